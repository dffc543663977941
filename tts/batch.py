"""What travels between the parts: utterances and batches, their fields and shapes, and one `validate()` each.

Shapes: B batch, T_text symbols, T_mel frames, T_wave samples.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from tts.layers import length_mask


class PhoneTime(NamedTuple):
    """A phone as it was spoken. Times in seconds from the start of the audio file."""

    phone: str  # ARPAbet with stress, or the corpus's own symbol
    start: float
    end: float


@dataclass(frozen=True)
class Utterance:
    """One clip of a corpus, as its file in `tts/corpora` yields it: a file, or a part of one."""

    id: str
    audio_path: Path
    text: str
    speaker: str = ""
    phone_times: tuple[PhoneTime, ...] = ()  # known to a few corpora; used to measure alignments, never to train
    start: float = 0.0  # seconds, where the clip begins in its file
    end: float = 0.0  # seconds, where it ends there; 0: at the end of the file
    # What the corpus as published lacks of this clip, such as its text; the clip is left out, and listed with this.
    lacks: str = ""


@dataclass
class AcousticBatch:
    """Utterances of similar length for the acoustic model, padded at the end."""

    ids: list[str]
    text_ids: Tensor  # (B, T_text) int64, padded with 0
    text_lengths: Tensor  # (B,) int64
    mel: Tensor  # (B, n_mels, T_mel) float32, padded with the contract's log floor
    mel_lengths: Tensor  # (B,) int64
    # (B,) int64, places in the voice's table of speakers; where none are given, all are of the first.
    speaker_ids: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    # (B, T_mel) float32, how many symbols have been read at each frame; NaN where that is not known, padding included.
    reading_path: Tensor = field(default_factory=lambda: torch.zeros(0))

    def __post_init__(self) -> None:
        if not len(self.speaker_ids):
            self.speaker_ids = torch.zeros_like(self.text_lengths)
        if not len(self.reading_path):
            self.reading_path = torch.full_like(self.mel[:, 0], torch.nan)

    @property
    def text_mask(self) -> Tensor:
        """(B, T_text) bool, True = real."""
        return length_mask(self.text_lengths, self.text_ids.shape[1])

    @property
    def mel_mask(self) -> Tensor:
        """(B, T_mel) bool, True = real."""
        return length_mask(self.mel_lengths, self.mel.shape[2])

    def validate(self) -> "AcousticBatch":
        """Check what every model relies on; returns the batch."""
        n = len(self.ids)
        assert self.text_ids.shape[0] == self.mel.shape[0] == n, "one text and one mel per utterance"
        assert self.text_lengths.shape == self.mel_lengths.shape == (n,), "one length per utterance"
        assert self.speaker_ids.shape == (n,), "one speaker per utterance"
        assert self.reading_path.shape == (n, self.mel.shape[2]), "one place in the text per frame"
        assert int(self.text_lengths.min()) > 0 and int(self.mel_lengths.min()) > 0, "no empty utterance"
        assert int(self.text_lengths.max()) <= self.text_ids.shape[1], "texts fit their tensor"
        assert int(self.mel_lengths.max()) <= self.mel.shape[2], "mels fit their tensor"
        return self

    def padded(self, n_frames: int, silence: float) -> "AcousticBatch":
        """The same batch with mels padded to `n_frames`, whose places in the text are not known."""
        more = (0, n_frames - self.mel.shape[2])
        path = F.pad(self.reading_path, more, value=torch.nan)
        return replace(self, mel=F.pad(self.mel, more, value=silence), reading_path=path)

    def to(self, device: torch.device | str) -> "AcousticBatch":
        """The same batch on a device; from pinned memory it travels while the device computes."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=tensor.is_pinned()))

    def pin_memory(self) -> "AcousticBatch":
        """The same batch in memory that a GPU can fetch from by itself; loaders ask for it."""
        return self._each(Tensor.pin_memory)

    def _each(self, act: Callable[[Tensor], Tensor]) -> "AcousticBatch":
        return replace(
            self,
            text_ids=act(self.text_ids),
            text_lengths=act(self.text_lengths),
            mel=act(self.mel),
            mel_lengths=act(self.mel_lengths),
            speaker_ids=act(self.speaker_ids),
            reading_path=act(self.reading_path),
        )


@dataclass
class VocoderBatch:
    """Aligned segments for the vocoder.

    The wave of row b starts at sample f * hop of its clip (zeros before the clip's start). The mel starts
    `mel_context` frames earlier and ends as many later than the wave, with the log floor where the clip has none, so
    that a conditioning network without padding yields exactly one vector per frame of the wave.
    """

    wave: Tensor  # (B, T_wave) float32 in [-1, 1]
    mel: Tensor  # (B, n_mels, T_wave / hop + 2 * mel_context) float32
    loss_from: int = 0  # first sample whose prediction counts; those before are left context only
    ids: list[str] = field(default_factory=list)

    def validate(self) -> "VocoderBatch":
        """Check what every vocoder relies on; returns the batch."""
        assert self.wave.shape[0] == self.mel.shape[0], "one mel per wave"
        assert 0 <= self.loss_from < self.wave.shape[1], "something is left to learn from"
        return self

    def to(self, device: torch.device | str) -> "VocoderBatch":
        """The same batch on a device; from pinned memory it travels while the device computes."""
        wave, mel = (tensor.to(device, non_blocking=tensor.is_pinned()) for tensor in (self.wave, self.mel))
        return replace(self, wave=wave, mel=mel)

    def pin_memory(self) -> "VocoderBatch":
        """The same batch in memory that a GPU can fetch from by itself; loaders ask for it."""
        return replace(self, wave=self.wave.pin_memory(), mel=self.mel.pin_memory())
