"""Endless loaders of training batches; `start=n` continues with the batch of step n."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch.utils.data import DataLoader, Dataset, Sampler

from tts.data.datasets import AcousticDataset, SegmentDataset, VocoderClip, collate_acoustic
from tts.data.late import LateSegmentDataset, WaveDataset, collate_waves
from tts.data.loading import loading
from tts.data.manifest import Clip, numbers
from tts.data.part import WHOLE, Part
from tts.data.pieces import PieceBatches, PieceDataset
from tts.data.sampler import LengthBatches, SegmentBatches
from tts.settings import AcousticStage, AudioConfig, VocoderStage
from tts.speakers import ONE_SPEAKER


def acoustic_loader(
    clips: Sequence[Clip],
    audio: AudioConfig,
    stage: AcousticStage,
    seed: int,
    start: int = 0,
    speakers: Sequence[str] = ONE_SPEAKER,
    part: Part = WHOLE,
    late: bool = False,
) -> "DataLoader[Any]":
    """Yields an `AcousticBatch` of utterances of similar length, endlessly. speakers: the table of the corpus.

    part: whose shares of the batches these are. late: a `LateBatch` instead, whose mels are still to be made.
    """
    dataset: Dataset[Any] = WaveDataset(clips, audio, speakers) if late else AcousticDataset(clips, audio, speakers)
    lengths = numbers(clips, "n_frames").tolist()
    batches: Sampler[Any] = LengthBatches(lengths, stage.batch_size, stage.batch_frames, seed, start, part)
    if stage.join or stage.cut:
        dataset, batches = PieceDataset(clips, audio, speakers), PieceBatches(clips, audio, stage, seed, start, part)
    return DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=partial(collate_waves if late else collate_acoustic, audio=audio),
        **loading(stage.loader_workers),
    )


def vocoder_loader(
    clips: Sequence[VocoderClip],
    audio: AudioConfig,
    stage: VocoderStage,
    mel_context: int,
    left_context_frames: int,
    seed: int,
    start: int = 0,
    part: Part = WHOLE,
    late: bool = False,
) -> "DataLoader[Any]":
    """Yields a `VocoderBatch` of random segments, endlessly. part, late: as of `acoustic_loader`."""
    segments = SegmentDataset(
        clips,
        audio,
        segment_frames=stage.segment_frames,
        mel_context=mel_context,
        left_context_frames=left_context_frames,
    )
    dataset: Any = LateSegmentDataset(segments) if late else segments
    n_frames = numbers(clips, "n_frames").tolist()
    return DataLoader(
        dataset,
        batch_sampler=SegmentBatches(n_frames, stage.batch_size, stage.segment_frames, seed, start, part),
        collate_fn=dataset.collate,
        **loading(stage.loader_workers),
    )
