"""A normalised text as words and the punctuation marks that follow them."""

import re
from typing import Literal, NamedTuple

from tts.errors import TextError
from tts.text.symbols import MARKS

_TOKEN = re.compile(
    r"""
    (?P<inline>\{[^{}]*\})
    | (?P<dotted>(?<![A-Za-z'])(?:[A-Za-z]\.){2,}(?:'?s\b)?)  # U.S., p.m.
    | (?P<initial>(?<![A-Za-z'])[A-HJ-Z]\.(?=\s+[A-Z{]))      # the point after J. in J. Edgar is no pause
    | (?P<word>'?[A-Za-z]+(?:['-][A-Za-z]+)*'?)
    | (?P<ellipsis>\.(?:\s?\.)+)
    | (?P<dash>-{2,}|(?<!\S)-(?!\S))
    | (?P<mark>[,.?!;:])
    | (?P<bracket>[()\[\]])
    | (?P<mute>[\s"'-])                                      # quotes and stray hyphens have no sound of their own
    | (?P<digit>\d)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)

Kind = Literal["inline", "dotted", "word"]


class Token(NamedTuple):
    """One word as written, and the marks between it and the next."""

    text: str
    kind: Kind
    marks: list[str]


class Tokens(NamedTuple):
    """What a text consists of."""

    words: list[Token]
    skipped: tuple[str, ...]  # characters that nobody can read, each once


def _add_mark(marks: list[str], mark: str, *, implied: bool) -> None:
    """Each mark once; a comma, and a pause that a bracket or an ellipsis implies, yields to any other mark."""
    if marks and (implied or mark == ","):
        return
    if marks == [","]:
        marks.clear()
    if mark not in marks:
        marks.append(mark)


def _closes_sentence(text: str, start: int) -> bool:
    """Whether what follows an ellipsis starts a new sentence, or nothing."""
    following = re.search(r"[A-Za-z{]", text[start:])
    return following is None or following.group().isupper()


def tokenize(text: str) -> Tokens:
    """Words and marks. Marks before the first word are left out, as silence at the start is trimmed from clips.

    Raises:
        TextError: for a digit or a brace that opens no inline phonemes.
    """
    words: list[Token] = []
    skipped: dict[str, None] = {}
    marks: list[str] = []  # those before the first word are collected here and forgotten
    for match in _TOKEN.finditer(text):
        kind, found = match.lastgroup, match.group()
        if kind in ("inline", "dotted", "word", "initial"):
            marks = []
            spoken: Kind = "inline" if kind == "inline" else "word" if kind == "word" else "dotted"
            words.append(Token(found, spoken, marks))
        elif kind == "mark":
            _add_mark(marks, found, implied=False)
        elif kind == "dash":
            _add_mark(marks, "-", implied=False)
        elif kind == "bracket":
            _add_mark(marks, ",", implied=True)
        elif kind == "ellipsis":
            _add_mark(marks, "." if _closes_sentence(text, match.end()) else ",", implied=True)
        elif kind == "digit":
            raise TextError(f"digit {found!r} in {text!r}: have it read by adding expand_numbers to text.steps")
        elif found in "{}":
            raise TextError(f"brace {found!r} without its partner in {text!r}; inline phonemes look like {{HH AY1}}")
        elif kind == "other":
            skipped[found] = None
    if words and words[-1].text.endswith(".") and not words[-1].marks:
        words[-1].marks.append(".")  # the point of "p.m." that ends a text ends the sentence too
    assert all(mark in MARKS for word in words for mark in word.marks), "every mark is a symbol"
    return Tokens(words, tuple(skipped))
