"""Which column of a table holds the sound, the text, the speaker and the name of an utterance."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tts.errors import DataError, nearest

# The first of these names that a table has is taken; `a.b` is the field b of the column a.
TEXTS = ("normalized_text", "text_normalized", "text", "sentence", "transcription", "transcript", "json.text", "txt")
SPEAKERS = ("speaker_id", "speaker", "client_id", "speaker_name", "json.speaker")
NAMES = ("id", "utterance_id", "utt_id", "__key__", "file")


class Columns(NamedTuple):
    """Names of columns; empty where a table has no such one."""

    audio: str
    text: str
    speaker: str
    name: str


def find_columns(features: Mapping[str, Any], wanted: Mapping[str, str], where: str) -> Columns:
    """Recognise the columns by name, and the sound by what it is.

    Args:
        features: what each column holds: an object whose class is called Audio, a mapping of fields, or another type.
        wanted: by `audio_column`, `text_column`, `speaker_column`: what the user says it is; empty: recognise it.
        where: what messages call the table.

    Raises:
        DataError: if there is no such column, or sound or text are not recognised.
    """
    names = [*features, *(f"{name}.{field}" for name, inner in features.items() for field in _fields(inner))]
    for key, name in wanted.items():
        if name and name not in names:
            raise DataError(f"{where} has no column data.{key}={name}{nearest(name, names)} (there is: {_some(names)})")
    sounds = [name for name, kind in features.items() if type(kind).__name__ == "Audio" or "bytes" in _fields(kind)]
    found = Columns(
        wanted["audio_column"] or next(iter(sounds), ""),
        wanted["text_column"] or _first(TEXTS, names),
        wanted["speaker_column"] or _first(SPEAKERS, names),
        _first(NAMES, names),
    )
    for what, name in (("audio", found.audio), ("text", found.text)):
        if not name:
            raise DataError(
                f"which column of {where} is the {what}? there is: {_some(names)}; say data.{what}_column=NAME"
            )
    return found


def value_of(row: Mapping[str, Any], column: str) -> Any:
    """What a row has in a column; None where it has nothing."""
    value: Any = row
    for part in column.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _fields(kind: Any) -> Sequence[str]:
    return list(kind) if isinstance(kind, Mapping) else []


def _first(candidates: Sequence[str], names: Sequence[str]) -> str:
    return next((name for name in candidates if name in names), "")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names)
