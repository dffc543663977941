"""A manifest of JSON lines: `{"audio": "take1.flac", "text": "Hello.", "speaker": "ann", "start": 1.5, "end": 3.25}`.

`audio` is a path from the manifest's folder, or an absolute one; `start` and `end` are seconds of it. Only `audio` and
`text` are needed; `id` names a clip, which else is named like its file and its start.
"""

import json
import math
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from tts.batch import Utterance
from tts.errors import DataError, nearest, quoted

KEYS = ("audio", "text", "speaker", "start", "end", "id")
NEEDED = KEYS[:2]


def is_manifest(path: Path) -> bool:
    """Whether the first line of a file is one of a manifest: other files of JSON lines may lie beside it."""
    try:
        with path.open(encoding="utf-8-sig") as lines:
            first = json.loads(next((line for line in lines if line.strip()), ""))
    except (OSError, ValueError):
        return False
    return isinstance(first, dict) and all(key in first for key in NEEDED)


def read_manifest(path: Path) -> Iterator[Utterance]:
    """Every line as an utterance, in order.

    Raises:
        DataError: for a line that is no JSON, lacks audio or text, or has a value of the wrong kind.
    """
    seen = False
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    seen = True
                    yield _utterance(line, f"{path}:{number}", path.parent)
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8; save the file as UTF-8 (iconv -t UTF-8 does it)") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check the path and its permissions") from None
    if not seen:
        raise DataError(f'{path} is empty; write {{"audio": "a.wav", "text": "..."}} on a line for each clip')


def _utterance(line: str, where: str, folder: Path) -> Utterance:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise DataError(
            f"{where}: no JSON in {quoted(line.strip())} ({error}); write one object on each line"
        ) from None
    if not isinstance(entry, dict):
        raise DataError(f"{where}: {quoted(line.strip())} is no object; write {{...}} with {', '.join(NEEDED)}")
    for key in entry:
        # Manifests of other programs have keys of their own, which do no harm; a key misspelt would.
        if key not in KEYS and (near := _misspelt(key)):
            raise DataError(f"{where}: unknown key {key!r}{near}")
    audio, text = (_text(entry, key, where) for key in NEEDED)
    start, end = (_seconds(entry, key, where) for key in ("start", "end"))
    if end and end <= start:
        raise DataError(f"{where}: end={end:g} does not lie after start={start:g}; both are seconds of the file")
    stem, _, suffix = audio.lstrip("/").rpartition(".")
    file_name = stem if stem and "/" not in suffix else audio
    named = f"{file_name}-{start:09.3f}" if start or end else file_name
    id_ = _text(entry, "id", where) if entry.get("id") is not None else named
    speaker = _text(entry, "speaker", where) if entry.get("speaker") is not None else ""
    return Utterance(id_, folder / audio, text, speaker, start=start, end=end)


@lru_cache  # the same keys on every line
def _misspelt(key: str) -> str:
    return nearest(key, KEYS)


def _text(entry: dict[str, Any], key: str, where: str) -> str:
    """A text that has to be there; numbers are taken as they are written, since they name speakers."""
    value = entry.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        there = ", ".join(str(name) for name in entry) or "none"
        raise DataError(f"{where}: {key}={value!r} should be a text that is not empty (keys there: {there})")
    return value.strip()


def _seconds(entry: dict[str, Any], key: str, where: str) -> float:
    value = entry.get(key)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (number and math.isfinite(value) and value >= 0):
        raise DataError(f"{where}: {key}={value!r} should be a number of seconds from 0 on")
    return float(value or 0.0)
