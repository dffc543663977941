"""Which clips make up which batch: endless sequences in which batch n depends on the seed and n alone.

A training that resumes at step n passes `start=n` and goes on exactly where it was, whatever it had read ahead.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, count
from typing import TypeVar

from torch.utils.data import Sampler

from tts.data.part import WHOLE, Part
from tts.errors import ConfigError

T = TypeVar("T")

LENGTH_JITTER = 0.1  # lengths are taken up to this share longer or shorter, so that batches differ between epochs


class LengthBatches(Sampler[list[int]]):
    """Endless batches of clips of similar length; every epoch has every clip once.

    Args:
        lengths: frames of each clip.
        batch_size: clips of a batch at most.
        batch_frames: frames of a batch at most, padding included; a longer clip is a batch of its own.
        seed: of the order.
        start: number of the first batch.
        part: whose shares of the batches these are.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        batch_frames: int,
        seed: int,
        start: int = 0,
        part: Part = WHOLE,
    ):
        assert len(lengths) > 0, "there is something to draw from"
        check_enough(len(lengths), part, "clips to train on")
        self.lengths = lengths
        self.batch_size = batch_size
        self.batch_frames = batch_frames
        self.seed = seed
        self.start = start
        self.part = part

    def __iter__(self) -> Iterator[list[int]]:
        for batch in endless(self.epoch, self.start):
            yield [batch[place] for place in self.part.share([self.lengths[index] for index in batch])]

    def epoch(self, number: int) -> list[list[int]]:
        """The whole batches of one epoch, in order."""
        rng = random.Random(f"lengths {self.seed} {number}")
        return length_batches(self.lengths, self.batch_size, self.batch_frames, rng, least=self.part.of)


def endless(epoch: Callable[[int], list[T]], start: int) -> Iterator[T]:
    """The batches of all epochs one after the other, from batch `start` on."""
    skip = start
    for number in count():
        batches = epoch(number)
        yield from batches[skip:]
        skip = max(0, skip - len(batches))


def check_enough(n: int, part: Part, what: str) -> None:
    """Refuse fewer of what makes up a batch than there are processes, each of which needs one."""
    if n < part.of:
        raise ConfigError(f"{n} {what} for {part.of} processes: take fewer of them, with trainer.devices={max(1, n)}")


def length_batches(
    lengths: Sequence[int], batch_size: int, batch_frames: int, rng: random.Random, least: int = 1
) -> list[list[int]]:
    """The indices of all lengths, once each, as batches of similar length in a random order.

    least: clips of a batch, one for each process, whatever `batch_frames` says: it is the memory of one of them.
    """
    jittered = [length * rng.uniform(1 - LENGTH_JITTER, 1 + LENGTH_JITTER) for length in lengths]
    batches: list[list[int]] = []
    longest = 0
    for index in sorted(range(len(jittered)), key=jittered.__getitem__):
        longest = max(longest, lengths[index])
        full = not batches or len(batches[-1]) >= max(batch_size, least)
        too_long = batches and len(batches[-1]) >= least and longest * (len(batches[-1]) + 1) > batch_frames
        if full or too_long:
            batches.append([])
            longest = lengths[index]
        batches[-1].append(index)
    if len(batches) > 1 and len(batches[-1]) < least:  # the rest
        rest = batches.pop()
        batches[-1] += rest
    rng.shuffle(batches)
    return batches


class SegmentBatches(Sampler[list[tuple[int, int]]]):
    """Endless batches of segments: (index of the clip, first frame), so that every part of the corpus is as likely.

    Args:
        n_frames: of each clip.
        batch_size: segments of a batch.
        segment_frames: frames of a segment; a shorter clip is taken from its beginning.
        seed: of the draw.
        start: number of the first batch.
        part: whose shares of the batches these are.
    """

    def __init__(
        self,
        n_frames: Sequence[int],
        batch_size: int,
        segment_frames: int,
        seed: int,
        start: int = 0,
        part: Part = WHOLE,
    ):
        assert len(n_frames) > 0, "there is something to draw from"
        check_enough(batch_size, part, "segments of a batch (batch_size)")
        self.n_frames = n_frames
        self.batch_size = batch_size
        self.segment_frames = segment_frames
        self.seed = seed
        self.start = start
        self.part = part
        self.cumulative = list(accumulate(n_frames))

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return (self.batch(number)[self.part.rank :: self.part.of] for number in count(self.start))

    def batch(self, number: int) -> list[tuple[int, int]]:
        """The whole of batch `number`, the first being 0."""
        rng = random.Random(f"segments {self.seed} {number}")
        clips = rng.choices(range(len(self.n_frames)), cum_weights=self.cumulative, k=self.batch_size)
        return [(clip, rng.randint(0, max(0, self.n_frames[clip] - self.segment_frames))) for clip in clips]
