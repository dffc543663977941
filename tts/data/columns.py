"""What trainings ask of all clips at once, as one array a question, so that a million clips are a hundred megabytes.

The rest of a clip is a line of text, read when it is asked for. `manifest.npz` lies beside the lines it was made
from and carries their checksum: a file that does not fit them is as good as none, and made again from them.

Shapes: N clips.
"""

import io
import json
import os
import weakref
import zlib
from array import array
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from tts.atomic import write_atomically
from tts.errors import DataError

VERSION = 1  # of the file
NAME_BYTES = 32  # of a cache entry's name, without its suffix
CHUNK = 1 << 20  # bytes read at a time
NUMBERS = {"n_samples": "q", "n_frames": "i", "n_symbols": "i", "seconds": "d", "speaker": "i", "held_out": "b"}


@dataclass(frozen=True)
class Columns:
    """A row for each clip."""

    n_samples: NDArray[np.int64]  # (N,)
    n_frames: NDArray[np.int32]  # (N,)
    n_symbols: NDArray[np.int32]  # (N,)
    seconds: NDArray[np.float64]  # (N,)
    speaker: NDArray[np.int32]  # (N,) places in `speakers`
    held_out: NDArray[np.bool_]  # (N,)
    entry: NDArray[np.bytes_]  # (N,) names of the cache entries, without suffix
    speakers: tuple[str, ...]  # in the order in which they appear

    def __len__(self) -> int:
        return len(self.n_samples)

    def rows(self, chosen: NDArray[np.int64]) -> "Columns":
        """Some of the rows."""
        names = (*NUMBERS, "entry")
        return replace(self, **{name: getattr(self, name)[chosen] for name in names})


class Lines(NamedTuple):
    """A file of lines, and the columns of its clips."""

    columns: Columns
    offsets: NDArray[np.int64]  # (N + 1,) bytes
    cache: Path  # folder of the entries


class Row(NamedTuple):
    """What the columns keep of a clip."""

    n_samples: int
    n_frames: int
    n_symbols: int
    seconds: float
    speaker: str
    held_out: bool
    entry: str  # name of the cache entry, without suffix


class ColumnsBuilder:
    """Takes in one clip after the other."""

    def __init__(self) -> None:
        self._numbers = {name: array(code) for name, code in NUMBERS.items()}
        self._entries = bytearray()
        self._speakers: dict[str, int] = {}

    def add(self, row: Row) -> None:
        """One more clip."""
        known = row._replace(speaker=self._speakers.setdefault(row.speaker, len(self._speakers)))  # type: ignore[arg-type]
        for name, column in self._numbers.items():
            column.append(getattr(known, name))
        self._entries += row.entry.encode()[:NAME_BYTES].ljust(NAME_BYTES, b"\0")

    def build(self) -> Columns:
        """All that were added."""
        numbers = {name: np.array(column) for name, column in self._numbers.items()}
        numbers["held_out"] = numbers["held_out"].astype(bool)
        entry = np.frombuffer(bytes(self._entries), dtype=f"S{NAME_BYTES}")
        return Columns(**numbers, entry=entry, speakers=tuple(self._speakers))


class LineFile:
    """Lines by number, read where they lie: nothing is kept in memory, and processes may share one."""

    def __init__(self, path: Path, offsets: NDArray[np.int64]):
        self.path = path
        self.offsets = offsets
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.path, self.offsets)

    def __getitem__(self, number: int) -> bytes:
        start, end = (int(offset) for offset in self.offsets[number : number + 2])
        return os.pread(self._file, end - start, start)


def _reopened(path: Path, offsets: NDArray[np.int64]) -> LineFile:
    """In another process. Raises DataError where the file is no longer the one it was."""
    if not path.is_file() or path.stat().st_size != int(offsets[-1]):
        raise DataError(f"{path} has changed while it was in use; start again")
    return LineFile(path, offsets)


def gone(entries: NDArray[np.bytes_], cache: Path, suffix: str) -> list[str]:
    """Those of the entries that are not in the folder, which is listed once: a million questions would take longer."""
    names: list[bytes] = entries.tolist()
    missing = set(names)
    with suppress(OSError), os.scandir(cache) as listing:
        for file in listing:
            missing.discard(file.name.removesuffix(suffix).encode())
    return [name.decode() for name in names if name in missing]


def checksum(path: Path) -> str:
    """Of a file's bytes and size, at the speed of the disk. Raises OSError."""
    value, size = 0, 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            value, size = zlib.crc32(chunk, value), size + len(chunk)
    return f"{value:08x}-{size}"


def save_columns(lines: Lines, path: Path, of: str) -> None:
    """Write them. of: checksum of the file they were made from. Raises OSError."""
    facts = {"version": VERSION, "of": of, "cache": str(lines.cache), "speakers": lines.columns.speakers}
    arrays = {name: getattr(lines.columns, name) for name in (*NUMBERS, "entry")}
    packed = io.BytesIO()
    np.savez(packed, offsets=lines.offsets, facts=np.frombuffer(json.dumps(facts).encode(), np.uint8), **arrays)
    write_atomically(path, packed.getbuffer())


def load_columns(path: Path, of: str) -> Lines | None:
    """What was written for a file of that checksum; None where there is nothing, or it is damaged or of another."""
    try:
        # A zip file: it checks every byte that is read.
        with path.open("rb") as file, np.load(file) as packed:
            facts = json.loads(packed["facts"].tobytes())
            if (facts["version"], facts["of"]) != (VERSION, of):
                return None
            arrays = {name: packed[name] for name in (*NUMBERS, "entry")}
            return Lines(Columns(**arrays, speakers=tuple(facts["speakers"])), packed["offsets"], Path(facts["cache"]))
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile):
        return None
