"""Errors a user can cause. The commands print their message as one line and exit with code 2, without a traceback."""

import difflib
from collections.abc import Iterable

LONGEST_QUOTE = 60  # characters of a text repeated in a message


class TTSError(Exception):
    """Something the user can mend; the message names the thing, the value and the way out."""


class ConfigError(TTSError):
    """A recipe, a key or a value is wrong."""


class AudioError(TTSError):
    """A file does not decode, or holds nothing that can be used."""


class TextError(TTSError):
    """A text cannot be spoken."""


class NothingToSayError(TextError):
    """A text without anything that can be pronounced."""


class DataError(TTSError):
    """A corpus is missing, empty or too bad to train on."""


class CheckpointError(TTSError):
    """A voice or a training state is missing, foreign or does not fit."""


def nearest(word: str, choices: Iterable[str]) -> str:
    """The choice that was probably meant, as the end of a message."""
    close = difflib.get_close_matches(word, list(choices), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def quoted(text: str) -> str:
    """A text as a message repeats it: in quotes, the end of a long one left out."""
    return repr(text if len(text) <= LONGEST_QUOTE else text[: LONGEST_QUOTE - 3] + "...")
