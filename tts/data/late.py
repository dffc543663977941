"""Batches whose mels are made on the device that trains: processes that load hand on 16-bit waves, and compute nothing.

What a frame of a mel sees of a clip is settled here, where the clip ends are known; the device transforms it, by the
code that makes all mels. Rows of a batch see nothing of each other.

Shapes: B batch, T_text symbols, T_mel frames, T_wave samples of a clip.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from tts.audio.files import from_int16
from tts.audio.mel import mel_of_framed, silence_value, what_frames_see
from tts.batch import AcousticBatch, VocoderBatch
from tts.data.cache import load_samples
from tts.data.datasets import ClipDataset, SegmentDataset, collate_clips
from tts.layers import length_mask
from tts.settings import AudioConfig


@dataclass
class LateBatch:
    """A batch without its mels, and all that they are made of."""

    batch: AcousticBatch | VocoderBatch  # with a mel of no frames
    framed: Tensor  # (B, T_mel * hop + n_fft - hop) int16, what the frames see
    heard: Tensor  # (B, T_mel) bool, True = a frame of the clip; the others hold the log floor

    def complete(self, audio: AudioConfig) -> AcousticBatch | VocoderBatch:
        """The batch, with mels made where its tensors are."""
        mel = mel_of_framed(from_int16(self.framed), audio)
        mel = mel.masked_fill_(~self.heard[:, None], silence_value(audio))
        return replace(self.batch, mel=mel).validate()

    def to(self, device: torch.device | str) -> "LateBatch":
        """The same on a device; from pinned memory it travels while the device computes."""
        moved = self._each(lambda tensor: tensor.to(device, non_blocking=tensor.is_pinned()))
        return replace(moved, batch=self.batch.to(device))

    def pin_memory(self) -> "LateBatch":
        """The same in memory that a GPU can fetch from by itself; loaders ask for it."""
        return replace(self._each(Tensor.pin_memory), batch=self.batch.pin_memory())

    def _each(self, act: Callable[[Tensor], Tensor]) -> "LateBatch":
        return replace(self, framed=act(self.framed), heard=act(self.heard))


class WaveItem(NamedTuple):
    """One clip for the acoustic model, as a wave."""

    id: str
    text_ids: Tensor  # (T_text,) int64
    wave: Tensor  # (T_wave,) int16
    speaker_id: int
    reading_path: Tensor  # (T_mel,) as in `AcousticItem`


class WaveDataset(ClipDataset[WaveItem]):
    """Clips with their waves."""

    def __getitem__(self, index: int) -> WaveItem:
        clip = self.clips[index]
        return self.item(WaveItem, clip, load_samples(clip.cache_file))


def collate_waves(items: Sequence[WaveItem], audio: AudioConfig) -> LateBatch:
    """As `collate_acoustic`, the mels left for later."""
    lengths = [audio.n_frames(len(item.wave)) for item in items]
    batch = collate_clips(items, torch.empty(len(items), audio.n_mels, 0), lengths)
    framed = pad_sequence([what_frames_see(item.wave[None], audio)[0] for item in items], batch_first=True)
    return LateBatch(batch, framed, length_mask(batch.mel_lengths, max(lengths)))


class LateSegment(NamedTuple):
    """A part of one clip for the vocoder, aligned as `VocoderBatch` says."""

    id: str
    wave: Tensor  # (T_wave,) float32
    framed: Tensor  # (T_mel * hop + n_fft - hop,) int16
    heard: Tensor  # (T_mel,) bool


class LateSegmentDataset(Dataset[LateSegment]):
    """Segments by (index of the clip, first frame that counts), cut as `segments` cuts them."""

    def __init__(self, segments: SegmentDataset):
        self.segments = segments

    def __len__(self) -> int:
        return len(self.segments)

    def __getitem__(self, place: tuple[int, int]) -> LateSegment:
        index, first_frame = place
        clip = self.segments.clips[index]
        return self.cut(clip.id, load_samples(clip.cache_file), first_frame)

    def cut(self, id_: str, samples: Tensor, first_frame: int) -> LateSegment:
        """The segment whose first frame that counts is the given one. samples: (T_wave,) int16 of the whole clip."""
        cutter, audio = self.segments, self.segments.audio
        hop, n_frames = audio.hop_length, audio.n_frames(len(samples))
        start, end = first_frame - cutter.left_context_frames, first_frame + cutter.segment_frames
        wave = cutter.wave_between(lambda a, b: from_int16(samples[a:b]), len(samples), start, end)
        start, end = start - cutter.mel_context, end + cutter.mel_context
        first, last = max(0, start), min(end, n_frames)
        seen = what_frames_see(samples[None], audio)[0][first * hop : last * hop + audio.n_fft - hop]
        frame = torch.arange(start, end)
        return LateSegment(
            id_,
            wave,
            F.pad(seen, ((first - start) * hop, (end - last) * hop)),
            (frame >= first) & (frame < last),
        )

    def collate(self, segments: Sequence[LateSegment]) -> LateBatch:
        """Segments are of one size: nothing is padded."""
        batch = self.segments.batch(segments, torch.empty(len(segments), self.segments.audio.n_mels, 0))
        framed = torch.stack([segment.framed for segment in segments])
        return LateBatch(batch, framed, torch.stack([segment.heard for segment in segments]))
