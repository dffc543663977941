"""The text of a long recording: its words as they are said, and the places where it may be cut.

What lies between two words goes with the word before it, but for what opens a quotation or a bracket; where nothing
separates two words there is no cut. A sentence is read by itself, so a long text takes no longer than its sentences.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from tts.text.frontend import EncodedText, Frontend
from tts.text.split import split_text
from tts.text.symbols import spoken_phones

LONGEST = 1000  # characters that are read at once, of a text without marks
Rank = Literal[0, 1, 2]  # what a cut comes after: the end of a sentence, the mark of a clause, any other word

_CLAUSE = re.compile(r"[,;:!?…()\[\]\"“”–—]|\s--?\s")
_STOP = re.compile(r"[.!?]\S*\s")  # also before a small letter or a number, where no sentence would be split
_DASH = re.compile(r"[–—…]|--")


class SaidWord(NamedTuple):
    """A word of the text as a recogniser may hear it."""

    name: str  # in small letters
    phones: tuple[str, ...]  # without stress


class Border(NamedTuple):
    """Where a text may be cut."""

    place: int  # the character that the text after the cut begins with
    rank: Rank


class Transcript(NamedTuple):
    """A text to be laid along its recording."""

    text: str  # all of it, on one line
    words: tuple[SaidWord, ...]
    borders: tuple[Border | None, ...]  # before each word, and after the last; None: not here

    def part(self, first: int, last: int) -> str:
        """The text of words first to last - 1, with its marks; both have a border."""
        start, end = self.borders[first], self.borders[last]
        assert start and end, "a text is cut where it may be"
        return self.text[start.place : end.place].strip()


def read_transcript(text: str, frontend: Frontend) -> Transcript:
    """Read a text of any length.

    Args:
        text: see above.
        frontend: with units=phonemes.

    Raises:
        TextError: if a sentence of it cannot be read.
    """
    assert frontend.cfg.units == "phonemes", "words are heard by their phones"
    words: list[SaidWord] = []
    borders: list[Border | None] = []
    lines: list[str] = []
    begin = 0  # characters before the stretch
    rank: Rank = 0  # of the border before it
    for stretch in split_text(text, LONGEST):
        encoded = frontend.encode(stretch.text)
        borders += _borders(encoded, begin, rank)
        words += said_words(encoded)
        lines.append(stretch.text)
        begin += len(stretch.text) + 1
        rank = 0 if stretch.after != "clause" else _rank(stretch.text[-2:] + " ")
    return Transcript(" ".join(lines), tuple(words), (*borders, Border(begin, 0)))


def said_words(encoded: EncodedText) -> Iterator[SaidWord]:
    """The words of one sentence."""
    for span in encoded.words:
        symbols = encoded.symbols[span.start : span.end]
        phones = spoken_phones(symbols)
        letters = re.sub(r"[^a-z']", "", span.word.lower()).strip("'")
        yield SaidWord(letters or "_".join(phones).lower(), phones)


def _borders(encoded: EncodedText, begin: int, rank: Rank) -> Iterator[Border | None]:
    """Before each word of a sentence; what one token is read as stays in one piece."""
    before = 0  # where the token before ends
    for span in encoded.tokens:
        if span.first == span.last:
            continue
        start = span.token.start
        if before == 0:
            yield Border(begin, rank)
        else:
            between = encoded.text[before:start]
            space = re.search(r"\s\S*$", between)
            place = before + space.start() + 1 if space else start if _DASH.search(between) else None
            yield Border(begin + place, _rank(between)) if place is not None else None
        yield from [None] * (span.last - span.first - 1)
        before = span.token.end


def _rank(between: str) -> Rank:
    """Of a cut within a sentence, by what stands there."""
    return 0 if _STOP.search(between) else 1 if _CLAUSE.search(between) else 2
