"""Batches shared out to processes: nothing twice, nothing left out, as much for each, none without a clip."""

import random
from itertools import islice

import pytest

from tts.data.part import Part
from tts.data.sampler import LengthBatches, SegmentBatches
from tts.errors import ConfigError

LENGTHS = [random.Random(0).randint(20, 200) for _ in range(61)]


@pytest.mark.parametrize("of", [1, 2, 3])
def test_shares_of_a_batch_are_the_batch(of):
    samplers = [LengthBatches(LENGTHS, 8, 900, seed=1, start=5, part=Part(rank, of)) for rank in range(of)]
    whole = [batch for number in range(3) for batch in samplers[0].epoch(number)][5:]
    shares = zip(*(islice(sampler, 20) for sampler in samplers), strict=True)
    for batch, parts in zip(whole, shares, strict=False):
        assert sorted(index for part in parts for index in part) == sorted(batch)
        assert all(parts)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    samplers = [SegmentBatches(LENGTHS, 8, 10, seed=1, start=5, part=Part(rank, of)) for rank in range(of)]
    for number, parts in enumerate(zip(*(islice(sampler, 9) for sampler in samplers), strict=True), 5):
        assert sorted(place for part in parts for place in part) == sorted(samplers[0].batch(number))


def test_shares_are_as_long_as_each_other():
    lengths = [100, 90, 50, 40, 30, 20, 11, 10]
    sums = [sum(lengths[place] for place in Part(rank, 2).share(lengths)) for rank in range(2)]
    assert max(sums) - min(sums) <= 11


def test_every_process_has_a_clip_of_every_batch():
    """Clips longer than batch_frames, and a rest of one: for one process batches of one, for three none so small."""
    alone = LengthBatches(LENGTHS, 4, 10, seed=0)
    among = LengthBatches(LENGTHS, 4, 10, seed=0, part=Part(1, 3))
    assert {len(batch) for batch in alone.epoch(0)} == {1}
    assert {len(batch) for batch in among.epoch(0)} == {3, 4}
    assert sorted(index for batch in among.epoch(0) for index in batch) == list(range(61))


def test_more_processes_than_clips_are_refused():
    with pytest.raises(ConfigError, match=r"2 clips to train on for 3 processes: .* trainer.devices=2"):
        LengthBatches([5, 6], 4, 100, seed=0, part=Part(0, 3))
    with pytest.raises(ConfigError, match="batch_size"):
        SegmentBatches([5, 6], 2, 3, seed=0, part=Part(0, 3))
