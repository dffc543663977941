"""The symbols a model reads: ARPAbet with stress (as CMUdict writes it) or letters, and the marks both share.

The tables are frozen: a symbol's place is its id in every trained voice. A change is a new VERSION.
"""

from collections.abc import Sequence
from typing import Literal

from tts.errors import TextError

VERSION = 2  # of the tables and of what the frontend does with a text

PADDING = "_"
END = "~"
BOUNDARY = " "
MARKS = (",", ".", "?", "!", ";", ":", "-")  # "-" is a dash between words; hyphens within words are boundaries

_VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
_CONSONANTS = (*"BDFGKLMNPRSTVWYZ", "CH", "DH", "HH", "JH", "NG", "SH", "TH", "ZH")
PHONES = tuple(sorted([vowel + stress for vowel in _VOWELS for stress in "012"] + [*_CONSONANTS]))
LETTERS = (*"abcdefghijklmnopqrstuvwxyz", "'")

_SHARED = (PADDING, END, BOUNDARY, *MARKS)
TABLES = {"phonemes": (*_SHARED, *PHONES), "characters": (*_SHARED, *LETTERS)}
_KNOWN = frozenset(PHONES)


def symbol_table(units: Literal["phonemes", "characters"]) -> tuple[str, ...]:
    """All symbols of the current version; the index is the id."""
    return TABLES[units]


def readable(symbols: Sequence[str]) -> str:
    """Symbols for people: `HH AY1 , | Y UW1 ~`, a bar for a word boundary."""
    return " ".join("|" if symbol == BOUNDARY else symbol for symbol in symbols)


def parse_phones(text: str, where: str) -> tuple[str, ...]:
    """ARPAbet phones from `HH AH0 L OW1`.

    Args:
        text: phones with spaces between.
        where: what the phones belong to, for the message.

    Raises:
        TextError: if there is none, or one is not ARPAbet with stress.
    """
    phones = tuple(text.split())
    if not phones:
        raise TextError(f"{where}: no phones; write ARPAbet with stress, e.g. HH AH0 L OW1")
    for phone in phones:
        if phone in _VOWELS:
            raise TextError(f"{where}: vowel {phone!r} needs its stress: {phone}0, {phone}1 or {phone}2")
        if phone not in _KNOWN:
            raise TextError(f"{where}: unknown phone {phone!r}; phones are ARPAbet with stress, e.g. HH AH0 L OW1")
    return phones


def spoken_phones(symbols: Sequence[str]) -> tuple[str, ...]:
    """The phones among symbols, without stress, as CMU Sphinx names them."""
    return tuple(symbol.rstrip("012") for symbol in symbols if symbol not in (BOUNDARY, END, *MARKS))


def is_vowel(phone: str) -> bool:
    """Whether an ARPAbet phone, with stress or without, is a vowel."""
    return phone.rstrip("012") in _VOWELS
