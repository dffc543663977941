"""CMU Sphinx with the English acoustic model of the wheel `pocketsphinx` (Huggins-Daines et al. 2006): its ears.

What listens to speech with it, to recognise words or to align them, loads it and hands it samples from here.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tts.audio.files import Recording, resample, to_int16

SAMPLE_RATE = 16000  # Hz, of the acoustic model
FRAMES_PER_SECOND = 100
PADDING = 0.1  # seconds of silence on either side: a voice begins at once, the acoustic model expects silence first
LEVEL = -20.0  # dB of full scale, root mean square


def model_path(name: str = "") -> Path:
    """Of a part of the English model in the wheel; without a name, of the acoustic model."""
    import pocketsphinx

    return Path(pocketsphinx.get_model_path("en-us")) / (name or "en-us")


def open_sphinx(dictionary: Path, language_model: Path | None = None, **search: Any) -> Any:
    """A recogniser, or without a language model an aligner. search: settings of Sphinx, see `pocketsphinx -h`."""
    import pocketsphinx

    return pocketsphinx.Decoder(
        hmm=str(model_path()),
        lm=str(language_model) if language_model else None,
        dict=str(dictionary),
        # Its log goes to stderr past Python, and is about its inner workings: only what ends the process is let out.
        loglevel="FATAL",
        **search,
    )


def listen(decoder: Any, samples: bytes) -> None:
    """Have Sphinx hear a clip by itself. samples: of `samples_for_sphinx`."""
    decoder.reinit_feat()  # forgets what it knew of the sound before
    decoder.start_utt()
    try:
        decoder.process_raw(samples, full_utt=True)  # at once: the cepstral mean is that of this clip
    finally:
        decoder.end_utt()


def samples_for_sphinx(wave: Tensor, sample_rate: int) -> bytes:
    """(T_wave,) in [-1, 1] as Sphinx takes it: 16-bit samples at its own rate, at one level, in silence."""
    edge = torch.zeros(round(PADDING * SAMPLE_RATE))
    if len(wave):
        wave = resample(Recording(wave.detach().float().cpu(), sample_rate), SAMPLE_RATE)
        level = wave.square().mean().sqrt().clamp_min(1e-4)  # what is digital silence stays it
        wave = wave * (10 ** (LEVEL / 20) / level)
        wave = wave / wave.abs().max().clamp_min(1.0)
    return to_int16(torch.cat([edge, wave, edge])).numpy().tobytes()
