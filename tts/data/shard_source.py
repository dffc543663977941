"""Reading shards (see `tts.data.shards`) from a folder or a web server: a `Source` of training batches.

The index alone says which clips make up which batch: whoever goes on with batch n reads the clips of batch n.
"""

import io
import json
import random
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, islice
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from tts.data.ahead import ahead
from tts.data.sampler import check_enough
from tts.data.shards import AT_HAND, COLUMNS, FORMAT, INDEX
from tts.data.storage import Storage, open_storage
from tts.data.stream import Batching, Example, Pick, Place, Wanted
from tts.errors import DataError
from tts.settings import AudioConfig

READERS = 8  # threads that read clips, and wait for the network
AHEAD = 4  # batches read before they are asked for
ATTEMPTS = 3  # at a clip that arrives damaged


@dataclass(frozen=True)
class ShardIndex:
    """What lies where."""

    address: str
    facts: dict[str, Any]  # what index.json says
    columns: dict[str, Tensor]  # see `tts.data.shards.columns`
    at_hand: list[dict[str, Any]]  # lines of the manifest, each with its `row`

    @property
    def audio(self) -> AudioConfig:
        """The contract that the clips were prepared with."""
        return AudioConfig(**self.facts["audio"])

    @property
    def train_rows(self) -> list[NDArray[np.int64]]:
        """Of each shard to train on, its rows."""
        rows = torch.nonzero(~self.columns["held_out"])[:, 0].numpy()
        shards = self.columns["shard"].numpy()[rows]
        return np.split(rows, np.nonzero(np.diff(shards))[0] + 1)

    def name(self, row: int) -> str:
        """Id of a clip."""
        start, end = self.columns["name_start"][row : row + 2].tolist()
        return self.columns["name"][start:end].numpy().tobytes().decode()

    def text_ids(self, row: int) -> Tensor:
        """(T_text,) int64."""
        start, end = self.columns["text_start"][row : row + 2].tolist()
        return self.columns["text"][start:end].long()


def read_index(address: str) -> ShardIndex:
    """Read the index of the shards at an address.

    Raises:
        DataError: if there is none, or it cannot be read.
    """
    storage = open_storage(address)
    try:
        facts = json.loads(storage.whole(INDEX))
        if facts["format"] != FORMAT:
            raise DataError(f"{storage.where(INDEX)} is of format {facts['format']!r}, not {FORMAT!r}; prepare again")
        lines = storage.whole(AT_HAND).decode("utf-8").splitlines()
        index = ShardIndex(address, facts, load(storage.whole(COLUMNS)), [json.loads(line) for line in lines])
        assert len(index.columns["shard"]) == len(index.columns["text_start"]) - 1
        assert len(facts["shards"]) == int(index.columns["shard"].max()) + 1
    except (ValueError, KeyError, TypeError, AssertionError, SafetensorError) as error:
        where = storage.where(INDEX)
        raise DataError(f"{where} or a file beside it is damaged ({error!r}); copy the folder there again") from None
    return index


class ShardReader:
    """Reads single clips; every byte is checked. Threads may share one.

    Args:
        index: of the shards.
        kept: shards at most that are kept of a server that knows no ranges.
        remembered: clips that stay in memory, encoded.
    """

    def __init__(self, index: ShardIndex, kept: int = 4, remembered: int = 0):
        self.index = index
        self.storage: Storage = open_storage(index.address, kept)
        self._content = lru_cache(remembered)(self._fetch)

    def wave(self, row: int) -> Tensor:
        """(T_wave,) int16, as prepared.

        Raises:
            DataError: if it cannot be read, or arrives damaged time and again.
        """
        content = self._content(row)
        samples, _ = soundfile.read(io.BytesIO(content), dtype="int16")
        return torch.from_numpy(samples)

    def _fetch(self, row: int) -> bytes:
        columns = self.index.columns
        shard = self.index.facts["shards"][int(columns["shard"][row])]["name"]
        for _ in range(ATTEMPTS):
            content = self.storage.read(shard, int(columns["start"][row]), int(columns["n_bytes"][row]))
            if zlib.crc32(content) == int(columns["checksum"][row]):
                return content
            self.storage.forget(shard)
        raise DataError(
            f"{self.storage.where(shard)} is damaged: the clip {self.index.name(row)} has another checksum than the "
            f"index says; copy {shard} there again from where the shards were prepared, or prepare them again"
        )


class ShardSource:
    """Examples from shards; see `tts.data.stream.Source`.

    Args:
        index: of the shards.
        window: examples of a window.
        seed: of all that is drawn.
    """

    def __init__(self, index: ShardIndex, window: int, seed: int):
        self.index = index
        self.window = window
        self.seed = seed

    def batches(self, batching: Batching, wanted: Wanted) -> Iterator[list[Pick]]:
        """Of the clips, only those of the shares are read."""
        return ahead(self._read(batching, wanted), AHEAD)

    def _read(self, batching: Batching, wanted: Wanted) -> Iterator[list[Pick]]:
        shards, part = self.index.train_rows, wanted.part
        n_rows = sum(map(len, shards))
        check_enough(n_rows, part, "clips to train on")
        kept = 2 + self.window * len(shards) // n_rows  # about as many as a window touches, and the next
        reader = ShardReader(self.index, kept, self.window if batching.revisits else 0)
        n_frames = self.index.columns["n_frames"].numpy()
        planned = islice(self.planned(batching, wanted.start, part.of), 0, None, wanted.every)
        with closing(reader.storage), ThreadPoolExecutor(READERS) as pool:
            for batch in planned:
                share = [batch[at] for at in part.share(n_frames[[place.row for place in batch]].tolist())]
                waves = pool.map(reader.wave, [place.row for place in share])
                yield [
                    Pick(self._example(place.row, wave), place.first_frame)
                    for place, wave in zip(share, waves, strict=True)
                ]

    def planned(self, batching: Batching, start: int, least: int = 1) -> Iterator[list[Place]]:
        """The whole batches from number `start` on, as rows of the index. least: clips of a batch."""
        n_frames = self.index.columns["n_frames"].numpy()
        for epoch in count():
            for number, rows in enumerate(self.windows(epoch, least)):
                rng = random.Random(f"window {self.seed} {epoch} {number}")
                batches = batching.plan(n_frames[rows].tolist(), rng, least)
                for batch in batches[start:]:
                    yield [Place(int(rows[place.row]), place.first_frame) for place in batch]
                start = max(0, start - len(batches))

    def windows(self, epoch: int, least: int = 1) -> list[NDArray[np.int64]]:
        """Rows of an epoch: the shards in a random order, cut into windows. least: rows of one."""
        shards = self.index.train_rows
        random.Random(f"shards {self.seed} {epoch}").shuffle(shards)
        rows = np.concatenate(shards)
        cuts = range(0, len(rows), max(self.window, least))[1:]
        if cuts and len(rows) - cuts[-1] < least:  # the rest
            cuts = cuts[:-1]
        return np.split(rows, cuts)

    def _example(self, row: int, wave: Tensor) -> Example:
        return Example(self.index.name(row), self.index.text_ids(row), int(self.index.columns["speaker"][row]), wave)
