"""What reading yields: tokens with their class, their place in the original, what each is read as and by which rule."""

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

Kind = Literal[
    "word", "inline", "cardinal", "ordinal", "decimal", "fraction", "range", "year", "decade", "date", "time", "money",
    "percent", "measure", "temperature", "phone", "roman", "abbreviation", "initialism", "acronym", "email", "url",
    "hashtag", "mention", "mixed", "code", "ratio", "version", "emoji", "symbol", "foreign", "punctuation", "skipped",
]  # fmt: skip
Sure = Literal["certain", "likely", "guess"]  # how sure a rule is of what it read

IMPLIED = frozenset({"bracket", "ellipsis"})  # rules whose pauses yield to any other
_MARKS = frozenset(",.?!;:-")

# "A.T." in what is said: letters that are spelled.
DOTTED = re.compile(r"(?<![A-Za-z'])(?:[A-Za-z]\.)+(?:'?s\b)?")


class Token(NamedTuple):
    """A stretch of the text and what it is read as."""

    text: str  # as in the original
    start: int  # characters from the start of the original; half open
    end: int
    kind: Kind
    said: str  # words with spaces between, letters that are spelled with points ("A.T. and T."); empty for silence
    rule: str
    marks: str = ""  # the pauses that it makes
    sure: Sure = "certain"

    @property
    def spoken(self) -> str:
        """What is said, in words: spelled letters as capitals with spaces between."""
        if self.kind == "inline" or "." not in self.said:
            return self.said
        return DOTTED.sub(_spaced, self.said)


def _spaced(match: re.Match[str]) -> str:
    letters, _, ending = match.group().rpartition(".")
    return " ".join(letters.replace(".", "").upper()) + ending


def spoken_text(tokens: Iterable[Token]) -> str:
    """All of a text in words, with the marks that make its pauses."""
    pieces: list[str] = []
    for token in tokens:
        if token.said:
            pieces.append(token.spoken)
        elif pieces and token.marks and not (token.rule in IMPLIED and pieces[-1][-1] in _MARKS):
            pieces[-1] += " -" if token.marks == "-" else token.marks
        if token.said and token.marks:
            pieces[-1] += token.marks
    return " ".join(pieces)
