"""What a reading rule is, what it sees, and the patterns that rules share."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tts.text.numbers import NumberWords, is_fraction
from tts.text.tables import STREETS
from tts.text.tokens import Kind, Sure, Token

# A number: grouped or not, with or without decimals.
NUMBER = r"(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d{1,2}(?:,\d\d)+,\d{3}(?!\d)|\d+)(?:\.\d+)?|\.\d+)"
VULGAR = "½¼¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
# A quantity: also with a fraction, `5 1/2` or `5½`.
_SLASHED = r"\d{1,2}/\d{1,3}(?![\d/])"
QUANTITY = rf"(?:\d{{1,9}}[ -]{_SLASHED}|{_SLASHED}|\d{{1,9}}\s?[{VULGAR}]|{NUMBER}|[{VULGAR}])"
DASH = r"\s?(?:-|–|—)\s?"
# What follows the number of a house: a name or two, and what kind of street it is.
STREET = re.compile(
    rf"\s(?:[NSEW]\.?\s|North\s|South\s|East\s|West\s)?(?:[A-Z][a-z]+\s|\d+(?:st|nd|rd|th)\s){{1,3}}(?:{'|'.join(STREETS)})\b"
)


@dataclass
class Context:
    """What a rule sees beside its match."""

    text: str  # plain, all of it
    words: NumberWords
    style: Literal["us", "uk"]
    days: Literal["ordinal", "cardinal"]
    emoji: Literal["skip", "name"]
    shouted: bool  # the whole text is in capitals, so that they mean nothing
    tokens: list[Token]  # read so far, with places in the plain text

    def before(self, count: int = 1) -> str:
        """The token so many before, lower case, without a final point; empty where there is none."""
        return self.tokens[-count].text.lower().rstrip(".") if len(self.tokens) >= count else ""

    def written_before(self) -> str:
        """The last token as written; empty where there is none."""
        return self.tokens[-1].text if self.tokens else ""

    def quantity(self, written: str) -> str:
        """A quantity in words: `5 1/2` is `five and a half`."""
        written = written.strip()
        if vulgar := next((c for c in written if c in VULGAR), None):
            above, below = VULGAR_VALUES[vulgar]
            whole = written.replace(vulgar, "").strip()
            return self.words.mixed_fraction(whole, above, below) if whole else self.words.fraction(above, below)
        if "/" in written:
            whole, _, fraction = written.replace("-", " ").rpartition(" ")
            above, below = (int(part) for part in fraction.split("/"))
            if whole and is_fraction(above, below):
                return self.words.mixed_fraction(whole, above, below)
            return (
                f"{self.words.whole(whole)} {self.words.fraction(above, below)}".strip()
                if whole
                else (self.words.fraction(above, below))
            )
        return self.words.decimal(written.replace(",", ""))


VULGAR_VALUES = {
    **{"½": (1, 2), "¼": (1, 4), "¾": (3, 4), "⅐": (1, 7), "⅑": (1, 9), "⅒": (1, 10), "⅓": (1, 3), "⅔": (2, 3)},
    **{"⅕": (1, 5), "⅖": (2, 5), "⅗": (3, 5), "⅘": (4, 5), "⅙": (1, 6), "⅚": (5, 6), "⅛": (1, 8), "⅜": (3, 8)},
    **{"⅝": (5, 8), "⅞": (7, 8)},
}
Say = Callable[[re.Match[str], Context], str | None]


class Rule(NamedTuple):
    """One row: what it is called, the class it gives, what it looks like, and how it is said.

    `say` gives None where the match is something else after all; the next rule is tried then.
    """

    name: str
    kind: Kind
    pattern: re.Pattern[str]
    say: Say
    sure: Sure = "certain"
    marks: str = ""


def rule(name: str, kind: Kind, pattern: str, say: Say, sure: Sure = "certain", *, any_case: bool = False) -> Rule:
    """A row of a table, with its pattern compiled."""
    return Rule(name, kind, re.compile(pattern, re.IGNORECASE if any_case else 0), say, sure)


def spelled(letters: str) -> str:
    """Letters as rules say them when they are spelled: `FBI` is `F.B.I.`."""
    return "".join(f"{letter}." for letter in letters)


def closes(text: str, end: int) -> bool:
    """Whether nothing but closing quotes and brackets follows: then the point of an abbreviation ends the sentence."""
    return re.match(r"[\s\"')\]]{0,20}\Z", text[end : end + 21]) is not None and len(text) - end <= 20
