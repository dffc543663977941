"""Where a long recording is cut: at pauses after words whose text is known, so that each piece is what its text says.

A piece is right only if all of it was heard as it is written, but for single words that a recogniser mistakes. Of all
ways to cut, the one that loses fewest words is taken; of those, the one whose cuts come after sentences, else clauses,
and in long pauses, with pieces that are neither very short nor long.
"""

import difflib
import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from tts.data.hearing import Heard, HeardWord, Pause
from tts.data.transcript import Border, SaidWord, Transcript

LOST = 10.0  # what a word in no piece costs
RANKS = (0.0, 1.0, 3.0)  # cost of an edge after a sentence, a clause, any other word
SHORT_PAUSE = 0.1  # cost of an edge in a pause of one second; twice that for half a second
SHORT = 2.0  # seconds; a shorter piece costs what it lacks of that
LONG = 1.0  # cost of a piece of the greatest length; a quarter of that for half of it

KEPT = 0.25  # seconds of a pause that a piece keeps at an edge; half of a shorter pause
NEAR = 0.3  # seconds of sound, such as a breath, that may lie between a word and the pause at an edge ...
# ... and where the word beyond was not understood, since it may be that one; such an edge is between sentences only.
BESIDE = 0.05
INTO = 0.15  # seconds by which a word, as it was heard, may reach into a pause
# Words. A recogniser that expects the next sentence tends to hear its first word in the breath before the pause: no cut
# lies so near to the end of a sentence without a pause.
AHEAD = 2

MISTAKEN = 3  # words in a row that a recogniser may mistake, where they take the time that they should
PHONE = (0.03, 0.2)  # seconds that a phone takes, at least and at most, among words that were not understood
SLACK = 0.35  # seconds by which such words may miss that
LONGEST_PHONE = 0.6  # seconds; a word with slower ones, on average, was heard where something else is said
UNDERSTOOD = 0.7  # share of a piece's phones that must be


class Piece(NamedTuple):
    """Words first to last - 1 of the text, and the seconds of the recording in which they are said."""

    first: int
    last: int
    start: float
    end: float


def cut(transcript: Transcript, heard: Heard, min_seconds: float, max_seconds: float) -> list[Piece]:
    """The pieces, in order; none where nothing fits. Seconds are bounds of their lengths."""
    found = _Found(transcript, heard)
    n_words = len(transcript.words)
    best = [0.0] + [math.inf] * n_words  # cost of the words before each place
    came: list[Piece | None] = [None] * (n_words + 1)  # the piece that ends there; None: the word before is lost
    for first in range(n_words):
        if best[first] + LOST < best[first + 1]:
            best[first + 1], came[first + 1] = best[first] + LOST, None
        for piece in found.pieces_from(first, min_seconds, max_seconds):
            cost = best[first] + found.cost(piece, max_seconds)
            if cost < best[piece.last]:
                best[piece.last], came[piece.last] = cost, piece
    pieces: list[Piece] = []
    place = n_words
    while place:
        taken = came[place]
        pieces += [taken] if taken else []
        place = taken.first if taken else place - 1
    return pieces[::-1]


def understood(words: Sequence[SaidWord], heard: Sequence[HeardWord]) -> list[int]:
    """For each word of a text, which of the words heard it is; -1: none."""
    places = [-1] * len(words)
    matcher = difflib.SequenceMatcher(None, [w.name for w in words], [w.name for w in heard], autojunk=False)
    for block in matcher.get_matching_blocks():
        places[block.a : block.a + block.size] = range(block.b, block.b + block.size)
    return places


class _Found:
    """A text laid along what was heard, and what follows for pieces of it."""

    def __init__(self, transcript: Transcript, heard: Heard):
        self.words, self.heard, self.borders = transcript.words, heard.words, transcript.borders
        self.places = understood(transcript.words, heard.words)
        self.before = _pauses_before(heard)
        self.after = _pauses_after(heard)
        self.pause_starts = [pause.start for pause in heard.pauses]
        self.pause_ends = [pause.end for pause in heard.pauses]
        known = [index for index, place in enumerate(self.places) if place >= 0]
        wrong = [0] * len(self.words)
        for left, right in pairwise(known):
            wrong[right] += not self._fits(left, right, heard.pauses)
        self.wrong = list(accumulate(wrong))  # places up to each word where text and sound part
        self.slow = [0, *accumulate(self._is_slow(index) for index in range(len(self.words)))]
        phones = [len(word.phones) for word in self.words]
        self.phones = [0, *accumulate(phones)]
        heard_phones = [n if place >= 0 else 0 for n, place in zip(phones, self.places, strict=True)]
        self.heard_phones = [0, *accumulate(heard_phones)]

    def pieces_from(self, first: int, min_seconds: float, max_seconds: float) -> list[Piece]:
        """All right pieces that begin with a word."""
        pieces: list[Piece] = []
        begin = self.before[self.places[first]] if self.places[first] >= 0 else None
        if begin is None or self.borders[first] is None:
            return pieces
        if not self._is_edge(first, self.heard[self.places[first]].start - begin.end):
            return pieces
        start = max((begin.start + begin.end) / 2, begin.end - KEPT)
        for last in range(first + 1, len(self.words) + 1):
            place = self.places[last - 1]
            if place < 0:
                continue
            if self.wrong[last - 1] > self.wrong[first] or self.heard[place].end - start > max_seconds:
                break
            finish = self.after[place]
            if finish is None or self.borders[last] is None or not self._is_understood(first, last):
                continue
            if not self._is_edge(last, finish.start - self.heard[place].end):
                continue
            end = min((finish.start + finish.end) / 2, finish.start + KEPT)
            if min_seconds <= end - start <= max_seconds:
                pieces.append(Piece(first, last, start, end))
        return pieces

    def cost(self, piece: Piece, max_seconds: float) -> float:
        """Of a piece: the lower, the better."""
        seconds = piece.end - piece.start
        length = max(0.0, SHORT - seconds) + LONG * (seconds / max_seconds) ** 2
        before = self._edge(self.borders[piece.first], self.before[self.places[piece.first]])
        after = self._edge(self.borders[piece.last], self.after[self.places[piece.last - 1]])
        return length + (before + after) / 2

    def _is_edge(self, index: int, sound: float) -> bool:
        """Whether a piece may end at a border, with so many seconds of sound between its word and the pause there."""
        before = self.places[index - 1] if index else -1
        after = self.places[index] if index < len(self.words) else len(self.heard)
        border = self.borders[index]
        if any(self._runs_on(index - n) or self._runs_on(index + n) for n in range(1, AHEAD + 1)):
            return False
        return after == before + 1 or (border is not None and border.rank == 0 and sound <= BESIDE)

    def _runs_on(self, index: int) -> bool:
        """Whether words were heard one at once after the other, though a sentence ends between them."""
        if not 0 < index < len(self.words):
            return False
        border, place = self.borders[index], self.places[index - 1]
        ends = border is not None and border.rank == 0 and place >= 0 and self.places[index] == place + 1
        return ends and self.after[place] is None

    def _edge(self, border: Border | None, pause: Pause | None) -> float:
        assert border and pause, "a piece begins and ends in pauses, where the text may be cut"
        at_end = pause.start == pause.end  # of the recording
        return RANKS[border.rank] + (0.0 if at_end else SHORT_PAUSE / (pause.end - pause.start))

    def _is_understood(self, first: int, last: int) -> bool:
        if self.slow[last] > self.slow[first]:
            return False
        heard = self.heard_phones[last] - self.heard_phones[first]
        return heard >= UNDERSTOOD * (self.phones[last] - self.phones[first])

    def _is_slow(self, index: int) -> bool:
        if self.places[index] < 0:
            return False
        word = self.heard[self.places[index]]
        return word.end - word.start > LONGEST_PHONE * max(1, len(self.words[index].phones))

    def _fits(self, left: int, right: int, pauses: Sequence[Pause]) -> bool:
        """Whether what is said between two words that were understood may be the words between them in the text."""
        first, last = self.places[left], self.places[right]
        start, end = self.heard[first].end, self.heard[last].start
        near = pauses[bisect_left(self.pause_ends, start) : bisect_right(self.pause_starts, end)]
        quiet = sum(max(0.0, min(end, pause.end) - max(start, pause.start)) for pause in near)
        seconds = end - start - quiet
        n_phones = sum(len(word.phones) for word in self.words[left + 1 : right])
        return (
            max(right - left, last - first) - 1 <= MISTAKEN
            and PHONE[0] * n_phones - SLACK <= seconds <= PHONE[1] * n_phones + SLACK
        )


def _pauses_after(heard: Heard) -> list[Pause | None]:
    """For each word heard, the pause that follows it at once."""
    following: list[Pause | None] = []
    place = 0
    for word, after in zip(heard.words, [*heard.words[1:], None], strict=True):
        while place < len(heard.pauses) - 1 and heard.pauses[place].end <= word.end:
            place += 1
        pause = heard.pauses[place]
        near = -INTO <= pause.start - word.end <= NEAR
        following.append(pause if near and (after is None or pause.start < after.start) else None)
    return following


def _pauses_before(heard: Heard) -> list[Pause | None]:
    """For each word heard, the pause that it follows at once: the same, backwards in time."""
    words = tuple(HeardWord(word.name, -word.end, -word.start) for word in reversed(heard.words))
    pauses = tuple(Pause(-pause.end, -pause.start) for pause in reversed(heard.pauses))
    found = _pauses_after(Heard(words, pauses))
    return [pause and Pause(-pause.end, -pause.start) for pause in reversed(found)]
