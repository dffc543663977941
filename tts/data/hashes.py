"""Content hashes of audio files: one whose path, size and time of change are as they were is not read again.

They are kept sorted in one file, 36 bytes each, and looked up there. The file only saves time: one that is damaged is
as good as none, and of what two processes write at once some may be lost.
"""

import hashlib
import os
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tts.atomic import write_atomically

KEY_BYTES, DIGEST_BYTES = 16, 20
ROW = np.dtype([("key", f"S{KEY_BYTES}"), ("digest", f"S{DIGEST_BYTES}")])
CHECK_BYTES = 4  # in front of the rows: their checksum
SAVE_EVERY = 100_000  # new hashes, which are kept in memory until then


class ContentHashes:
    """Hashes of files by path, and their file."""

    def __init__(self, path: Path):
        self.path = path
        self.known = _read(path)
        self.new: dict[bytes, bytes] = {}

    def of(self, audio_path: Path) -> str:
        """Forty hex digits of a file's content. Raises OSError."""
        status = audio_path.stat()
        seen = f"{os.path.realpath(audio_path)}|{status.st_size}|{status.st_mtime_ns}".encode()
        key = hashlib.blake2b(seen, digest_size=KEY_BYTES).digest()
        digest = self.new.get(key) or self._find(key)
        if digest is None:
            digest = self.new[key] = hashlib.blake2b(audio_path.read_bytes(), digest_size=DIGEST_BYTES).digest()
            if len(self.new) >= SAVE_EVERY:
                self.save()
        return digest.hex()

    def save(self) -> None:
        """Write down what is new, beside what others have written since. Raises OSError."""
        if not self.new:
            return
        new = np.array(list(self.new.items()), dtype=ROW)
        rows = np.concatenate([new, _read(self.path)])
        _, first = np.unique(rows["key"], return_index=True)  # sorted by key
        self.known, self.new = rows[first], {}
        content = self.known.tobytes()
        write_atomically(self.path, zlib.crc32(content).to_bytes(CHECK_BYTES, "little") + content)

    def _find(self, key: bytes) -> bytes | None:
        place = int(np.searchsorted(self.known["key"], np.bytes_(key)))
        if place == len(self.known) or self.known["key"][place].ljust(KEY_BYTES, b"\0") != key:
            return None
        digest: bytes = self.known["digest"][place]
        return digest.ljust(DIGEST_BYTES, b"\0")  # numpy leaves zeros at the end away


def _read(path: Path) -> NDArray[np.void]:
    """The rows of a file, none where it is missing or damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        content = b""
    checked, rows = int.from_bytes(content[:CHECK_BYTES], "little"), content[CHECK_BYTES:]
    if not rows or len(rows) % ROW.itemsize or zlib.crc32(rows) != checked:
        return np.empty(0, dtype=ROW)
    return np.frombuffer(rows, dtype=ROW)
