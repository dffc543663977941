"""Training batches from a stream: a corpus that is read as it is needed, window by window.

A window holds examples that follow each other in the stream; it is sorted into batches, and these are shuffled. Which
examples make up batch n depends on the seed, n and the settings of the batch alone: all processes that train together
plan the same batches, and each takes its share of every one.

Shapes: T_text symbols, T_wave samples.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from tts.audio.files import from_int16
from tts.audio.mel import mel_spectrogram
from tts.batch import AcousticBatch, VocoderBatch
from tts.data.ahead import ahead
from tts.data.datasets import AcousticItem, SegmentDataset, Sound, collate_acoustic
from tts.data.late import LateBatch, LateSegmentDataset, WaveItem, collate_waves
from tts.data.loading import loading
from tts.data.part import WHOLE, Part
from tts.data.sampler import SegmentBatches, length_batches
from tts.settings import AcousticStage, AudioConfig, VocoderStage

AHEAD = 4  # batches made before they are asked for, where no processes make them


class Example(NamedTuple):
    """An utterance as a stream hands it out."""

    id: str
    text_ids: Tensor  # (T_text,) int64
    speaker_id: int
    wave: Tensor  # (T_wave,) int16, as prepared


class Place(NamedTuple):
    """Which example of a window, and from which frame on."""

    row: int
    first_frame: int


class Pick(NamedTuple):
    """What a batch has of an example."""

    example: Example
    first_frame: int


class Wanted(NamedTuple):
    """Which batches a process is to have, and what of them."""

    start: int = 0  # number of the first
    every: int = 1  # so many further is the next
    part: Part = WHOLE  # whose share of each
    leads: bool = True  # whether it speaks and writes for all that read the same stream


class Batching(Protocol):
    """How a window becomes batches."""

    @property
    def key(self) -> str:
        """Changes when any setting does that decides which batches there are."""

    @property
    def revisits(self) -> bool:
        """Whether a window's examples are picked more than once."""

    def plan(self, n_frames: Sequence[int], rng: random.Random, least: int) -> list[list[Place]]:
        """The batches of a window, of which the length of every example is given.

        least: examples of a batch, one for each process; there are as many.
        """

    def begin(self, first_frame: int, planned: int, n_frames: int) -> int:
        """Where a pick begins in an example of `n_frames`, for which other ones were planned."""

    def make(self, picks: Sequence[Pick]) -> Any:
        """A batch of what was picked for it."""


class Source(Protocol):
    """Where examples come from."""

    def batches(self, batching: Batching, wanted: Wanted) -> Iterator[list[Pick]]:
        """What makes up the shares of batches that are wanted, endlessly; together the shares are the batch."""


class AcousticBatching:
    """Whole utterances of similar length."""

    revisits = False

    def __init__(self, audio: AudioConfig, stage: AcousticStage, late: bool = False):
        """late: batches are `LateBatch`es, whose mels are still to be made."""
        self.audio = audio
        self.late = late
        self.batch_size = stage.batch_size
        self.batch_frames = stage.batch_frames

    @property
    def key(self) -> str:  # noqa: D102
        return f"acoustic {self.batch_size} {self.batch_frames}"

    def plan(self, n_frames: Sequence[int], rng: random.Random, least: int) -> list[list[Place]]:  # noqa: D102
        batches = length_batches(n_frames, self.batch_size, self.batch_frames, rng, least)
        return [[Place(index, 0) for index in batch] for batch in batches]

    def begin(self, first_frame: int, planned: int, n_frames: int) -> int:  # noqa: D102
        return first_frame

    def make(self, picks: Sequence[Pick]) -> AcousticBatch | LateBatch:  # noqa: D102
        if self.late:
            return collate_waves([self._wave_item(one.example) for one in picks], self.audio)
        return collate_acoustic([self._item(one.example) for one in picks], self.audio)

    def _wave_item(self, example: Example) -> WaveItem:
        unknown = torch.full((self.audio.n_frames(len(example.wave)),), torch.nan)
        return WaveItem(example.id, example.text_ids, example.wave, example.speaker_id, unknown)

    def _item(self, example: Example) -> AcousticItem:
        mel = mel_spectrogram(from_int16(example.wave), self.audio)
        unknown = torch.full((mel.shape[1],), torch.nan)
        return AcousticItem(example.id, example.text_ids, mel, example.speaker_id, unknown)


class VocoderBatching:
    """Segments; a window is left when as many frames were drawn as it has."""

    revisits = True

    def __init__(
        self, audio: AudioConfig, stage: VocoderStage, mel_context: int, left_context_frames: int, late: bool = False
    ):
        """late: as of `AcousticBatching`."""
        self.audio = audio
        self.batch_size = stage.batch_size
        self.segments = SegmentDataset(
            [],
            audio,
            segment_frames=stage.segment_frames,
            mel_context=mel_context,
            left_context_frames=left_context_frames,
        )
        self.late_segments = LateSegmentDataset(self.segments) if late else None

    @property
    def key(self) -> str:  # noqa: D102
        return f"vocoder {self.batch_size} {self.segments.segment_frames}"

    def plan(self, n_frames: Sequence[int], rng: random.Random, least: int) -> list[list[Place]]:  # noqa: D102
        size = self.segments.segment_frames
        drawn = SegmentBatches(n_frames, self.batch_size, size, rng.getrandbits(32), part=Part(of=least))
        n_batches = max(1, sum(n_frames) // (self.batch_size * size))
        return [[Place(*place) for place in drawn.batch(number)] for number in range(n_batches)]

    def begin(self, first_frame: int, planned: int, n_frames: int) -> int:  # noqa: D102
        size = self.segments.segment_frames
        return first_frame * max(0, n_frames - size) // max(1, planned - size)

    def make(self, picks: Sequence[Pick]) -> VocoderBatch | LateBatch:  # noqa: D102
        if (late := self.late_segments) is not None:
            return late.collate([late.cut(one.example.id, one.example.wave, one.first_frame) for one in picks])
        return self.segments.collate([self.segments.cut(self._sound(one.example), one.first_frame) for one in picks])

    def _sound(self, example: Example) -> Sound:
        wave = from_int16(example.wave)
        mel = mel_spectrogram(wave, self.audio)
        return Sound(example.id, len(wave), mel.shape[1], lambda a, b: wave[a:b], lambda a, b: mel[:, a:b])


class StreamDataset(IterableDataset[Any]):
    """A part's shares of the batches from number `start` on; processes that load make them in turn."""

    def __init__(self, source: Source, batching: Batching, start: int, part: Part):
        self.source = source
        self.batching = batching
        self.start = start
        self.part = part

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        if info is None:
            yield from ahead(self._made(Wanted(self.start, 1, self.part, self.part.rank == 0)), AHEAD)
            return
        # The loader asks its processes in turn, beginning with the first: that one has the batch `start`.
        leads = self.part.rank == info.id == 0
        yield from self._made(Wanted(self.start + info.id, info.num_workers, self.part, leads))

    def _made(self, wanted: Wanted) -> Iterator[Any]:
        return (self.batching.make(picks) for picks in self.source.batches(self.batching, wanted))


def stream_loader(
    source: Source, batching: Batching, workers: int, start: int = 0, part: Part = WHOLE
) -> "DataLoader[Any]":
    """Yields batches endlessly, beginning with number `start`; in a thread, or in `workers` processes.

    part: whose shares of the batches these are.
    """
    return DataLoader(
        StreamDataset(source, batching, start, part),
        batch_size=None,
        **loading(workers),
    )
