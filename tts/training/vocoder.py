"""Training the vocoder: likelihood of real samples given their mel; copy synthesis to measure and to listen to.

Shapes: B batch, T_mel frames, T_wave samples.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from tts.audio.mel import mel_spectrogram
from tts.batch import VocoderBatch
from tts.data.cache import load_mel, load_wave
from tts.data.datasets import VocoderClip
from tts.data.pauses import most_spoken, quiet_frames
from tts.evaluation.copies import CopyFigures, compare_copies, why_no_pitch
from tts.interfaces import Vocoder
from tts.settings import AudioConfig, VocoderStage
from tts.training.figures import mel_figure
from tts.training.task import Losses, Score, Task
from tts.vocoder import griffin_lim


class Passage(NamedTuple):
    """A part of a held-out clip that is copied."""

    id: str
    mel: Tensor  # (n_mels, T_mel) that the vocoder is given
    wave: Tensor  # (T_mel * hop,) as recorded


class VocoderTask(Task):
    """Trains a vocoder on aligned segments."""

    kind = "vocoder"
    stage: VocoderStage

    def __init__(
        self,
        model: Vocoder,
        stage: VocoderStage,
        audio: AudioConfig,
        held_out: Sequence[VocoderBatch],
        passages: Sequence[Passage],
        name: str = "vocoder",
    ):
        """held_out: validation segments, fixed. passages: to be copied in validation. name: of the stage."""
        super().__init__(model, stage)
        self.name = name
        self.vocoder = model
        self.audio = audio
        self.held_out = held_out
        self.passages = passages
        self.reference: CopyFigures | None = None  # of Griffin-Lim, measured once

    def losses(self, batch: VocoderBatch) -> Losses:
        """Bits per sample."""
        bits = self.vocoder.loss(batch)
        return Losses({"bits": bits}, torch.tensor([float(len(batch.wave))], device=self.device), (1.0,))

    def examine(self) -> Score:
        """Bits on held-out segments, which decide; then copies of the passages, as figures, audio and pictures."""
        bits = self.held_out_bits()
        self.log_scalars("val", {"bits": bits, "total": bits})
        self._copy()
        return Score(0.0, bits)

    @torch.no_grad()
    def held_out_bits(self) -> float:
        """Bits per sample of the held-out segments."""
        bits = [float(self.vocoder.loss(batch.to(self.device))) for batch in self.held_out]
        return sum(bits) / len(bits)

    def _copy(self) -> None:
        """Copy synthesis of the passages; the line that tells of it stands beside Griffin-Lim's figures."""
        waves = copy_synthesis(self.vocoder, self.passages, self.device)
        figures = self._compare(waves)
        if self.reference is None:
            self._refer()
        assert self.reference is not None
        self.log_scalars("val", {f"copy_{name}": value for name, value in figures.known.items()})
        self.log_scalars("val", {f"griffin_lim_{name}": value for name, value in self.reference.known.items()})
        compared = figures.beside("Griffin-Lim", self.reference)
        self.news.append(f"copy synthesis of {len(self.passages)} clips: {compared}")
        for passage, wave in zip(self.passages, waves, strict=True):
            self._add_audio(passage.id, wave)
            mels = {"recording": passage.wave, "copy synthesis": wave}
            figure = mel_figure({title: mel_spectrogram(one, self.audio) for title, one in mels.items()})
            self.writer.add_figure(f"mel/{passage.id}", figure, self.global_step)

    def _refer(self) -> None:
        """What Griffin-Lim makes of the same mels: the figures to be better than."""
        if reason := why_no_pitch():
            self.news.append(f"F0 and voicing of copies are not measured: {reason}")
        model = griffin_lim.build(griffin_lim.Config(), audio=self.audio)
        waves = copy_synthesis(model, self.passages, torch.device("cpu"))
        self.reference = self._compare(waves)
        for passage, wave in zip(self.passages, waves, strict=True):
            self._add_audio(f"{passage.id}/griffin_lim", wave)
            self._add_audio(f"{passage.id}/recording", passage.wave)

    def _compare(self, waves: Sequence[Tensor]) -> CopyFigures:
        return compare_copies(waves, [passage.wave for passage in self.passages], self.audio)

    def _add_audio(self, name: str, wave: Tensor) -> None:
        self.writer.add_audio(f"audio/{name}", wave[None], self.global_step, sample_rate=self.audio.sample_rate)


def read_passages(clips: Sequence[VocoderClip], stage: VocoderStage, audio: AudioConfig) -> list[Passage]:
    """The parts with the least silence of a few clips, which are spread over all that are given."""
    n_clips = min(stage.spoken, len(clips))
    n_frames = max(1, round(stage.spoken_seconds / audio.frame_seconds))
    return [_read_passage(clips[place * len(clips) // n_clips], n_frames, audio) for place in range(n_clips)]


def _read_passage(clip: VocoderClip, n_frames: int, audio: AudioConfig) -> Passage:
    start, end = most_spoken(quiet_frames(load_mel(clip.cache_file), audio), n_frames)
    wave = load_wave(clip.cache_file, start * audio.hop_length, end * audio.hop_length)
    missing = (end - start) * audio.hop_length - len(wave)  # the last frame of a clip need not be full
    return Passage(clip.id, load_mel(clip.mel_file, start, end), F.pad(wave, (0, missing)))


def copy_synthesis(vocoder: Vocoder, passages: Sequence[Passage], device: torch.device) -> list[Tensor]:
    """What a vocoder makes of the passages' mels, (T_wave,) each, on the CPU.

    As of predicted mels: kept to every detail of a recording's, copies would hardly show what the network has learned.
    """
    lengths = torch.tensor([passage.mel.shape[1] for passage in passages])
    padded = pad_sequence([passage.mel.T for passage in passages], batch_first=True).transpose(1, 2)
    made = vocoder.generate(padded.to(device), lengths.to(device), seeds=list(range(len(passages))))
    pairs = zip(made.float().cpu(), passages, strict=True)
    return [wave[: len(passage.wave)] for wave, passage in pairs]
