"""The metadata of LJSpeech's format: `id|transcription|normalized transcription`, UTF-8, no header, no quoting."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tts.errors import DataError


class Entry(NamedTuple):
    """One line of the metadata."""

    id: str
    text: str  # the normalized transcription where there is one, else the transcription


def read_metadata(path: Path) -> Iterator[Entry]:
    """Every entry, in order.

    Raises:
        DataError: if the file is empty, not UTF-8, or has a line without id or text, or an id twice.
    """
    seen: dict[str, int] = {}
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        fields = [field.strip() for field in line.split("|")]
        if not 2 <= len(fields) <= 3:
            raise DataError(f"{path}:{number}: {len(fields)} fields in {_short(line)}; write `id|text` on each line")
        name, text = fields[0], (fields[2] if len(fields) == 3 else "") or fields[1]
        if not name or not text:
            missing = "text" if name else "id"
            raise DataError(f"{path}:{number}: no {missing} in {_short(line)}; write `id|text` or remove the line")
        if name in seen:
            raise DataError(f"{path}:{number}: id {name!r} again, first in line {seen[name]}; remove one of the two")
        seen[name] = number
        yield Entry(name, text)
    if not seen:
        raise DataError(f"{path} is empty; write `id|text` on a line for each clip")


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file, with or without a byte order mark.

    Raises:
        DataError: if it cannot be read, or is not UTF-8.
    """
    try:
        # Not splitlines(): it also cuts at characters that may stand within a text, such as U+2028.
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}:{number}: not UTF-8; save the file as UTF-8 (iconv -t UTF-8 does it)") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check the path and its permissions") from None


def _short(line: str) -> str:
    """A line for a message."""
    return repr(line if len(line) <= 60 else line[:57] + "...")
