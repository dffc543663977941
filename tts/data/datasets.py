"""Prepared clips as training items, and items as batches.

Shapes: B batch, T_text symbols, T_mel frames, T_wave samples.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from tts.audio.mel import silence_value
from tts.batch import AcousticBatch, VocoderBatch
from tts.data.cache import load_mel, load_wave
from tts.data.guides import reading_path
from tts.data.manifest import Clip
from tts.settings import AudioConfig
from tts.speakers import ONE_SPEAKER

Item = TypeVar("Item", covariant=True)


class AcousticItem(NamedTuple):
    """One clip for the acoustic model."""

    id: str
    text_ids: Tensor  # (T_text,) int64
    mel: Tensor  # (n_mels, T_mel)
    speaker_id: int
    reading_path: Tensor  # (T_mel,) symbols read at each frame; NaN where that is not known


class Segment(NamedTuple):
    """A part of one clip for the vocoder, aligned as `VocoderBatch` says."""

    id: str
    wave: Tensor  # (T_wave,)
    mel: Tensor  # (n_mels, T_wave / hop + 2 * mel_context)


class Sound(NamedTuple):
    """A clip of which parts are read, from wherever it is."""

    id: str
    n_samples: int
    n_frames: int
    wave: Callable[[int, int], Tensor]  # (start, end) in samples -> (end - start,) float32
    mel: Callable[[int, int], Tensor]  # (start, end) in frames -> (n_mels, end - start)


class VocoderClip(Protocol):
    """What a vocoder learns from: a prepared clip, or its wave with another mel of as many frames."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def cache_file(self) -> Path: ...  # noqa: D102 - of the wave, and of the mel of exactly that wave
    @property
    def mel_file(self) -> Path: ...  # noqa: D102 - of the mel that the vocoder is given
    @property
    def n_samples(self) -> int: ...  # noqa: D102
    @property
    def n_frames(self) -> int: ...  # noqa: D102


class HasWave(Protocol):
    """What every segment has; see `Segment`."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def wave(self) -> Tensor: ...  # noqa: D102


class ClipItem(Protocol):
    """What every item for the acoustic model tells beside its sound; see `AcousticItem`."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def text_ids(self) -> Tensor: ...  # noqa: D102
    @property
    def speaker_id(self) -> int: ...  # noqa: D102
    @property
    def reading_path(self) -> Tensor: ...  # noqa: D102


class ClipDataset(Dataset[Item]):
    """Clips by index. `speakers` is the table of the whole corpus, of which the clips may be a part."""

    def __init__(self, clips: Sequence[Clip], audio: AudioConfig, speakers: Sequence[str] = ONE_SPEAKER):
        self.clips = clips
        self.audio = audio
        self.speaker_ids = {name: place for place, name in enumerate(speakers)}

    def __len__(self) -> int:
        return len(self.clips)

    def item(self, kind: Callable[..., Item], clip: Clip, sound: Tensor) -> Item:
        """An item of a clip, which has its sound third."""
        path = reading_path(clip, self.audio.frame_seconds)
        return kind(clip.id, torch.tensor(clip.ids), sound, self.speaker_ids[clip.speaker], path)


class AcousticDataset(ClipDataset[AcousticItem]):
    """Clips with their mels."""

    def __getitem__(self, index: int) -> AcousticItem:
        clip = self.clips[index]
        return self.item(AcousticItem, clip, load_mel(clip.cache_file))


def collate_acoustic(items: Sequence[AcousticItem], audio: AudioConfig) -> AcousticBatch:
    """Pad texts with 0, mels with the log floor and reading paths with NaN."""
    mels = pad_sequence([item.mel.T for item in items], batch_first=True, padding_value=silence_value(audio))
    return collate_clips(items, mels.transpose(1, 2).contiguous(), [item.mel.shape[1] for item in items]).validate()


def collate_clips(items: Sequence[ClipItem], mel: Tensor, mel_lengths: Sequence[int]) -> AcousticBatch:
    """Items as a batch, with a mel that is padded already."""
    return AcousticBatch(
        ids=[item.id for item in items],
        text_ids=pad_sequence([item.text_ids for item in items], batch_first=True),
        text_lengths=torch.tensor([len(item.text_ids) for item in items]),
        mel=mel,
        mel_lengths=torch.tensor(mel_lengths),
        speaker_ids=torch.tensor([item.speaker_id for item in items]),
        reading_path=pad_sequence([item.reading_path for item in items], batch_first=True, padding_value=torch.nan),
    )


class SegmentDataset(Dataset[Segment]):
    """Segments by (index of the clip, first frame that counts).

    The wave spans `left_context_frames + segment_frames` frames and begins with the context; the mel has `mel_context`
    frames more on either side. Outside of the clip there are zeros, and the log floor.
    """

    def __init__(
        self,
        clips: Sequence[VocoderClip],
        audio: AudioConfig,
        *,
        segment_frames: int,
        mel_context: int,
        left_context_frames: int,
    ):
        self.clips = clips
        self.audio = audio
        self.segment_frames = segment_frames
        self.mel_context = mel_context
        self.left_context_frames = left_context_frames

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, place: tuple[int, int]) -> Segment:
        index, first_frame = place
        clip = self.clips[index]
        sound = Sound(
            clip.id,
            clip.n_samples,
            clip.n_frames,
            partial(load_wave, clip.cache_file),
            partial(load_mel, clip.mel_file),
        )
        return self.cut(sound, first_frame)

    def cut(self, sound: Sound, first_frame: int) -> Segment:
        """The segment whose first frame that counts is the given one of a clip."""
        start, end = first_frame - self.left_context_frames, first_frame + self.segment_frames
        wave = self.wave_between(sound.wave, sound.n_samples, start, end)
        start, end = start - self.mel_context, end + self.mel_context
        mel = sound.mel(max(0, start), min(end, sound.n_frames))
        mel = F.pad(mel, (max(0, -start), max(0, end - sound.n_frames)), value=silence_value(self.audio))
        return Segment(sound.id, wave, mel)

    def wave_between(self, wave: Callable[[int, int], Tensor], n_samples: int, start: int, end: int) -> Tensor:
        """((end - start) * hop,) from frame to frame of a clip, zeros outside of it. wave: as of `Sound`."""
        hop = self.audio.hop_length
        inside = wave(max(0, start * hop), min(end * hop, n_samples))
        return F.pad(inside, (max(0, -start * hop), max(0, end * hop - n_samples)))

    def collate(self, segments: Sequence[Segment]) -> VocoderBatch:
        """Segments are of one size: nothing is padded."""
        return self.batch(segments, torch.stack([segment.mel for segment in segments])).validate()

    def batch(self, segments: Sequence[HasWave], mel: Tensor) -> VocoderBatch:
        """Segments as a batch, with a mel (B, n_mels, T_mel)."""
        return VocoderBatch(
            wave=torch.stack([segment.wave for segment in segments]),
            mel=mel,
            loss_from=self.left_context_frames * self.audio.hop_length,
            ids=[segment.id for segment in segments],
        )
