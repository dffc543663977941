"""Files that appear whole or not at all, and what to say when they cannot."""

import errno
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tts.errors import ConfigError

WAY_OUT = {
    errno.ENOSPC: "the disk is full; make room or choose another folder",
    errno.EDQUOT: "the disk quota is used up; make room or choose another folder",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.EACCES: "permission denied; choose a folder that you may write to",
    errno.EPERM: "permission denied; choose a folder that you may write to",
    errno.ENOENT: "the folder does not exist; make it or choose another",
    errno.ENOTDIR: "the folder is a file; choose another",
    errno.EISDIR: "there is a folder of that name; choose another name",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}


STALE_SECONDS = 3600  # a temporary file this old was left by a process that was killed


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Write a file that appears whole or not at all, through a temporary one beside it. Raises OSError."""
    temporary = _temporary(path)
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """A file to write piece by piece, which appears whole when all went well, or not at all. Raises OSError."""
    temporary = _temporary(path)
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder. Raises OSError."""
    for left in folder.glob(".*.tmp"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                left.unlink()


def _temporary(path: Path) -> Path:
    """A name beside it that no other process uses."""
    return path.with_name(f".{path.name[:64]}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def write_failure(path: Path, error: OSError) -> str:
    """One line: what could not be written, why, and the way out."""
    reason = WAY_OUT.get(error.errno or 0, (error.strerror or str(error)).lower() + "; choose another folder")
    return f"cannot write {path}: {reason}"


def check_writable(path: Path) -> None:
    """Refuse an output path before minutes are spent on what should go there."""
    folder = path.parent
    if not folder.is_dir():
        raise ConfigError(f"{path}: the folder {folder} does not exist; create it or choose another")
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path} is no ordinary file; name one that is, or that is not there yet")
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise ConfigError(f"{path}: no permission to write there; choose another folder")
