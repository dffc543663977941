"""Words that are said in more than one way, such as read, lead, live: which way, by their neighbours.

The table `homographs.tsv` has a line for each way. NLTK's tagger says the part of speech if its data is installed, our
own rules otherwise; where parts of speech cannot tell (lead, bass, bow), words of the sentence do.
"""

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, cast

from tts.text.parts_of_speech import AUXILIARIES, OBJECT_STARTS, PARTS, Part, score_parts
from tts.text.tagger import tag_words

_TABLE = Path(__file__).with_name("homographs.tsv")
_WINDOW = 40  # words before and after that are looked at
_CUE = 4  # points of a word that speaks for a line; as much as an article for a noun
_TAGGED = 3  # points of the tagger's answer, which is not better than the rules where those are sure


class Written(Protocol):
    """A word of a text and the punctuation marks behind it."""

    @property
    def text(self) -> str: ...  # noqa: D102
    @property
    def marks(self) -> Sequence[str]: ...  # noqa: D102


class Context(NamedTuple):
    """A word among all words of its sentence."""

    words: Sequence[Written]
    at: int


class Reading(NamedTuple):
    """One way to say a word."""

    parts: tuple[Part, ...]
    phones: tuple[str, ...]
    cues: frozenset[str]  # words anywhere in the sentence
    before: frozenset[str]  # words directly before
    after: frozenset[str]  # words directly after
    capital: bool  # a name: written with a capital within a sentence


class _Sentence(NamedTuple):
    """Words and marks in order, and the place of the word in question."""

    words: tuple[str, ...]
    at: int


@functools.lru_cache(maxsize=1)
def load_homographs() -> dict[str, tuple[Reading, ...]]:
    """The table: lower-case word to its readings, the usual one first."""
    table: dict[str, tuple[Reading, ...]] = {}
    for line in _TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        word, parts, phones, *rest = line.split("\t")
        known = tuple(cast(Part, part) for part in parts.split())
        assert set(known) <= set(PARTS), f"{word}: parts of speech are {PARTS}"
        near = rest[0].split() if rest else []
        reading = Reading(
            known,
            tuple(phones.split()),
            frozenset(cue for cue in near if "_" not in cue and cue != "^"),
            frozenset(cue[:-1] for cue in near if cue.endswith("_")),
            frozenset(cue[1:] for cue in near if cue.startswith("_")),
            "^" in near,
        )
        table[word] = (*table.get(word, ()), reading)
    return table


def choose_reading(readings: Sequence[Reading], context: Context | None, *, ends_in_s: bool = False) -> Reading:
    """The reading with the most points; the first of equals.

    Args:
        readings: of the word, or of the word that it is a form of.
        context: None: the word stands alone.
        ends_in_s: the word is a form in -s, which adjectives and past forms do not have.
    """
    if ends_in_s:
        readings = [reading for reading in readings if {"noun", "verb"} & set(reading.parts)]
    if context is None or len(readings) == 1:
        return readings[0]
    sentence = _flatten(context)
    points = part_points(sentence.words, sentence.at, ends_in_s=ends_in_s)
    return max(readings, key=lambda reading: _points(reading, points, sentence))


def choose_part(parts: Sequence[Part | Literal[""]], context: Context | None) -> Part | Literal[""]:
    """The likeliest of some parts of speech, the first of equals; "" where none of them has a point."""
    points = part_points(*_flatten(context)) if context else {}
    scored = [part for part in parts if part and points.get(part, 0) > 0]
    if scored:
        return max(scored, key=lambda part: points[part])
    return "" if "" in parts else parts[0]


def part_points(words: tuple[str, ...], at: int, *, ends_in_s: bool = False) -> dict[Part, int]:
    """Points for parts of speech: those of the rules, and the tagger's where it can be had."""
    points = score_parts([word.lower() for word in words], at, ends_in_s=ends_in_s)
    tags = tag_words(words)
    part = _part_of_tag(tags[at]) if tags else None
    if part:
        points[part] += _TAGGED
    return points


def _part_of_tag(tag: str) -> Part | None:
    """Our part of speech for one of the Penn Treebank."""
    if tag in ("VBD", "VBN"):
        return "past"
    kinds: dict[str, Part] = {"NN": "noun", "VB": "verb", "JJ": "adjective", "RB": "adverb"}
    return kinds.get(tag[:2])


def _points(reading: Reading, parts: dict[Part, int], sentence: _Sentence) -> int:
    points = max(parts.get(part, 0) for part in reading.parts)
    words, at = [word.lower() for word in sentence.words], sentence.at
    before, after = words[at - 1] if at else "", words[at + 1] if at + 1 < len(words) else ""
    if before in reading.before or after in reading.after:
        points += 2 * _CUE
    if not reading.cues.isdisjoint(words):
        points += _CUE
    if words[at] == "used" and after == "to" and "adjective" in reading.parts:
        points += 2 * _CUE if _is_habit(words, at) else 0
    if reading.capital and before.isalpha() and sentence.words[at].istitle():
        points += 2 * _CUE
    return points


def _is_habit(words: Sequence[str], at: int) -> bool:
    """Whether `used to` is "used to swim" or "is used to it", rather than "is used to open it"."""
    following = words[at + 2] if at + 2 < len(words) else ""
    passive = not AUXILIARIES.isdisjoint(words[max(0, at - 2) : at])
    gerund = following.endswith("ing") and re.search("[aeiouy].*ing", following) is not None  # not "sing"
    return not passive or gerund or following in OBJECT_STARTS


def _flatten(context: Context) -> _Sentence:
    words: list[str] = []
    at = 0
    first = max(0, context.at - _WINDOW)
    for place, word in enumerate(context.words[first : context.at + _WINDOW], first):
        if place == context.at:
            at = len(words)
        words.append(word.text)
        words.extend(word.marks)
    return _Sentence(tuple(words), at)
