"""A toy size of everything: seconds, not minutes. Overrides for `recipe=own` on a corpus that a test writes itself."""

from pathlib import Path

import numpy as np
import soundfile

SMALL = [
    "audio=16khz",
    "audio.n_mels=20",
    "acoustic=tacotron2_demo",
    "acoustic.encoder_dim=16",
    "acoustic.prenet_dims=[12,12]",
    "acoustic.attention_lstm_dim=16",
    "acoustic.decoder_lstm_dim=16",
    "acoustic.attention.dim=8",
    "acoustic.postnet_dim=8",
    "acoustic.postnet_layers=2",
    "vocoder=wavenet_demo",
    "vocoder.n_layers=4",
    "vocoder.n_cycles=2",
    "vocoder.condition_kernels=[3]",
    "vocoder.residual_channels=8",
    "vocoder.gate_channels=8",
    "vocoder.skip_channels=8",
    "vocoder.condition_channels=8",
    "trainer=demo",
    "trainer.acoustic.batch_size=4",
    "trainer.acoustic.reduction={0: 4, 4: 3}",
    "trainer.acoustic.frames_heard={0: 1, 2: 0.5, 4: 0}",
    "trainer.vocoder.batch_size=2",
    "trainer.vocoder.segment_frames=6",
    "trainer.vocoder.spoken=2",
    "trainer.vocoder.spoken_seconds=0.3",
    "data.workers=1",
    "data.held_out=2",
]

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


def steps(count: int, every: int | None = None) -> list[str]:
    """Overrides that train both halves for `count` steps, saving and validating every `every`."""
    every = every or count
    return [
        f"trainer.{half}.{key}={value}"
        for half in ("acoustic", "vocoder")
        for key, value in (("max_steps", count), ("checkpoint_every", every), ("validate_every", every))
    ]


def write_corpus(folder: Path, n_clips: int = 12) -> Path:
    """Clips of about a second: a tone per word, in LJSpeech's format."""
    (folder / "wavs").mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = []
    for number in range(n_clips):
        said = rng.choice(len(WORDS), size=2 + number % 3, replace=False)
        tones = [np.sin(2 * np.pi * (200 + 60 * word) * np.arange(4000) / 16000) for word in said]
        wave = 0.3 * np.concatenate(tones) + 0.01 * rng.standard_normal(4000 * len(said))
        soundfile.write(folder / "wavs" / f"clip{number:02}.wav", wave, 16000)
        lines.append(f"clip{number:02}|{' '.join(WORDS[word] for word in said)} {WORDS[number]}.\n")
    (folder / "metadata.csv").write_text("".join(lines))
    return folder
