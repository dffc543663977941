"""Which columns of a table are the audio, the text, the speaker and the id: recognised by their names, or named."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tts.errors import DataError, nearest
from tts.settings import DataConfig

AUDIO = ("audio",)
TEXT = ("normalized_text", "text_normalized", "text", "transcription", "transcript", "sentence")
SPEAKER = ("speaker", "speaker_id", "speaker_name")
ID = ("id", "utterance_id")


@dataclass
class ColumnsConfig(DataConfig):
    """Columns that have other names than those that are recognised."""

    audio_column: str = ""
    text_column: str = ""
    speaker_column: str = ""
    id_column: str = ""


class Columns(NamedTuple):
    """What the columns are called; empty where there is none."""

    audio: str
    text: str
    speaker: str
    id: str

    @property
    def all(self) -> list[str]:
        """Those that there are, without repetition."""
        return list(dict.fromkeys(name for name in self if name))


def find_columns(there: Sequence[str], cfg: ColumnsConfig) -> Columns:
    """The columns to read; of several that are recognised, the first in the lists above.

    Raises:
        DataError: if one that was named is not there, or if none is the audio or the text.
    """
    columns = Columns(
        _find(there, "audio", cfg.audio_column, AUDIO),
        _find(there, "text", cfg.text_column, TEXT),
        _find(there, "speaker", cfg.speaker_column, SPEAKER),
        _find(there, "id", cfg.id_column, ID),
    )
    for what, name in (("audio", columns.audio), ("text", columns.text)):
        if not name:
            known = {"audio": AUDIO, "text": TEXT}[what]
            raise DataError(
                f"no column is recognised as the {what} ({', '.join(known)}) among {', '.join(there)}; "
                f"name it: data.{what}_column=COLUMN"
            )
    return columns


def _find(there: Sequence[str], what: str, named: str, known: Sequence[str]) -> str:
    if named and named not in there:
        listed = ", ".join(there)
        raise DataError(f"data.{what}_column: there is no {named!r}{nearest(named, there)} (there is: {listed})")
    return named or next((name for name in known if name in there), "")
