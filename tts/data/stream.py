"""Training batches from a stream: a corpus that is read as it is needed, window by window.

A window holds examples that follow each other in the stream; it is sorted into batches, and these are shuffled. Which
examples make up batch n depends on the seed, n, the settings of the batch and the part alone.

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


class Batching(Protocol):
    """How a window becomes batches."""

    @property
    def key(self) -> str:
        """Changes when any setting does that decides which batches there are."""

    @property
    def revisits(self) -> bool:
        """Whether a window's examples are picked more than once."""

    def plan(self, n_frames: Sequence[int], rng: random.Random) -> list[list[Place]]:
        """The batches of a window, of which the length of every example is given."""

    def make(self, picks: Sequence[Pick]) -> Any:
        """A batch of what was picked for it."""


class Source(Protocol):
    """Where examples come from."""

    def batches(self, batching: Batching, start: int, part: Part) -> Iterator[list[Pick]]:
        """What makes up the batches of a part, endlessly, from number `start` on. Parts share nothing."""


class AcousticBatching:
    """Whole utterances of similar length."""

    revisits = False

    def __init__(self, audio: AudioConfig, stage: AcousticStage):
        self.audio = audio
        self.batch_size = stage.batch_size
        self.batch_frames = stage.batch_frames

    @property
    def key(self) -> str:  # noqa: D102
        return f"acoustic {self.batch_size} {self.batch_frames}"

    def plan(self, n_frames: Sequence[int], rng: random.Random) -> list[list[Place]]:  # noqa: D102
        batches = length_batches(n_frames, self.batch_size, self.batch_frames, rng)
        return [[Place(index, 0) for index in batch] for batch in batches]

    def make(self, picks: Sequence[Pick]) -> AcousticBatch:  # noqa: D102
        return collate_acoustic([self._item(one.example) for one in picks], self.audio)

    def _item(self, example: Example) -> AcousticItem:
        mel = mel_spectrogram(from_int16(example.wave), self.audio)
        unknown = torch.full((mel.shape[1],), torch.nan)
        return AcousticItem(example.id, example.text_ids, mel, example.speaker_id, unknown)


class VocoderBatching:
    """Segments; a window is left when as many frames were drawn as it has."""

    revisits = True

    def __init__(self, audio: AudioConfig, stage: VocoderStage, mel_context: int, left_context_frames: int):
        self.audio = audio
        self.batch_size = stage.batch_size
        self.segments = SegmentDataset(
            [],
            audio,
            segment_frames=stage.segment_frames,
            mel_context=mel_context,
            left_context_frames=left_context_frames,
        )

    @property
    def key(self) -> str:  # noqa: D102
        return f"vocoder {self.batch_size} {self.segments.segment_frames}"

    def plan(self, n_frames: Sequence[int], rng: random.Random) -> list[list[Place]]:  # noqa: D102
        size = self.segments.segment_frames
        drawn = SegmentBatches(n_frames, self.batch_size, size, rng.getrandbits(32))
        n_batches = max(1, sum(n_frames) // (self.batch_size * size))
        return [[Place(*place) for place in drawn.batch(number)] for number in range(n_batches)]

    def make(self, picks: Sequence[Pick]) -> VocoderBatch:  # noqa: D102
        return self.segments.collate([self.segments.cut(self._sound(one.example), one.first_frame) for one in picks])

    def _sound(self, example: Example) -> Sound:
        wave = from_int16(example.wave)
        mel = mel_spectrogram(wave, self.audio)
        return Sound(example.id, len(wave), mel.shape[1], lambda a, b: wave[a:b], lambda a, b: mel[:, a:b])


class StreamDataset(IterableDataset[Any]):
    """The batches of a part from number `start` on; processes that load share them out."""

    def __init__(self, source: Source, batching: Batching, start: int, part: Part):
        self.source = source
        self.batching = batching
        self.start = start
        self.part = part

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        if info is None:
            yield from ahead(self._made(self.start, self.part), AHEAD)
            return
        # The loader asks its processes in turn, beginning with the first: that one has the batch `start`.
        turn, n_turns = (self.start + info.id) % info.num_workers, info.num_workers
        part = Part(turn * self.part.of + self.part.rank, n_turns * self.part.of)
        yield from self._made(-(-(self.start - turn) // n_turns), part)

    def _made(self, start: int, part: Part) -> Iterator[Any]:
        return (self.batching.make(picks) for picks in self.source.batches(self.batching, start, part))


def stream_loader(
    source: Source, batching: Batching, workers: int, start: int = 0, part: Part = WHOLE
) -> "DataLoader[Any]":
    """Yields batches endlessly, beginning with number `start`; in a thread, or in `workers` processes."""
    return DataLoader(
        StreamDataset(source, batching, start, part),
        batch_size=None,
        **loading(workers),
    )
