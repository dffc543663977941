"""A reading as the words to pronounce, one after the other, and the marks between them."""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from tts.text.tokens import DOTTED, IMPLIED, Token

_SAID = re.compile(r"\{[^{}]*\}|[^\s,{}]+|,")


class Piece(NamedTuple):
    """One word to pronounce, and the marks between it and the next."""

    text: str
    kind: Literal["inline", "dotted", "word"]
    marks: list[str]
    place: int  # of its token
    spelled: bool  # letters that were written without points, such as FBI


def pieces_of(tokens: Sequence[Token]) -> list[Piece]:
    """Words in order. Marks before the first word are left out, as silence at the start is trimmed from clips."""
    pieces: list[Piece] = []
    marks: list[str] = []  # those before the first word are collected here and forgotten
    for place, token in enumerate(tokens):
        for said in _SAID.findall(token.said):
            if said == ",":
                _add_mark(marks, ",", implied=False)
                continue
            marks = []
            dotted = token.kind != "inline" and DOTTED.fullmatch(said) is not None
            kind: Literal["inline", "dotted", "word"] = (
                "inline" if token.kind == "inline" else "dotted" if dotted else "word"
            )
            pieces.append(Piece(said, kind, marks, place, dotted and "." not in token.text))
        for mark in token.marks:
            _add_mark(marks, mark, implied=token.rule in IMPLIED)
    return pieces


def _add_mark(marks: list[str], mark: str, *, implied: bool) -> None:
    """Each mark once; a comma, and a pause that a bracket or an ellipsis implies, yields to any other mark."""
    if marks and (implied or mark == ","):
        return
    if marks == [","]:
        marks.clear()
    if mark not in marks:
        marks.append(mark)
