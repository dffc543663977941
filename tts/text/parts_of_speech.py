"""What part of speech a word is, from its neighbours: points for and against, added up.

A stand-in for a tagger, for the words of which only the part of speech tells how they are said. A position is a word
or a punctuation mark; all words are in lower case.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from tts.text.tables import words_of

Part = Literal["noun", "verb", "past", "adjective", "adverb"]
PARTS: tuple[Part, ...] = ("noun", "verb", "past", "adjective", "adverb")  # verb: the base, present or -s form

_MARKS = words_of(", . ? ! ; : -")
_POSSESSIVES = words_of("my your his its our their whose")
_DETERMINERS = _POSSESSIVES | words_of("the a an this that these those each every no another any some either neither")
_NUMBERS = words_of(
    "one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty hundred thousand million "
    "first second third last next many few several most all both much more less such own "
    "other certain various numerous different"
)
_PREPOSITIONS = words_of(
    "of in on at by for from with without about into onto over under between among through during before after against "
    "behind above below beside near off across along around as like than per via toward towards upon within"
)
_MODALS = words_of(
    "will would can could may might must shall should do does did cannot don't doesn't didn't can't won't couldn't "
    "wouldn't shouldn't mustn't i'll you'll he'll she'll it'll we'll they'll who'll i'd you'd he'd she'd we'd they'd "
    "let's please let help helps helped make makes made why"
)
_ASKING = words_of("will would can could may might must shall should do does did don't doesn't didn't can't won't")
_PLURAL_SUBJECTS = words_of("i you we they who people")
_SINGULAR_SUBJECTS = words_of("he she it everyone everybody someone somebody nobody")
_OBJECTS = words_of("me him them us it her you himself herself itself themselves myself yourself ourselves everything")
_BE = words_of("is are was were be been being am isn't aren't wasn't weren't i'm you're we're they're he's she's it's")
_HAVE = words_of("have has had having haven't hasn't hadn't i've you've we've they've")
_LINKING = _BE | words_of(
    "seem seems seemed look looks looked feel feels felt become became stay stayed keep kept get got"
)
_DEGREES = words_of("very so too quite rather more most less extremely pretty fairly as how")
_ADVERBS = words_of("always often never also just only really still already soon ever now then again usually not even")
_CONJUNCTIONS = words_of(
    "and or but nor so yet because if when while that which who although though until unless since"
)
_LINKS = _CONJUNCTIONS | _PREPOSITIONS | {"to", "not", "there", "here"}
_FUNCTION = (
    _MARKS | _DETERMINERS | _PREPOSITIONS | _MODALS | _PLURAL_SUBJECTS | _SINGULAR_SUBJECTS | _OBJECTS | _BE | _HAVE
) | (_CONJUNCTIONS | _ADVERBS | _DEGREES | words_of("to today tomorrow yesterday tonight"))
AUXILIARIES = _BE  # of the passive
OBJECT_STARTS = _DETERMINERS | _OBJECTS | {"her"}
_ADJECTIVE = re.compile(r".{2,}(?:ous|ive|al|ful|ent|ant|ic|ble|ary|ed|ing|less|ish)")
_PAST_TIMES = words_of("yesterday ago last once earlier then was were had said did already when")
_HABITS = words_of("every always often usually sometimes never daily today tonight tomorrow now")


def score_parts(words: Sequence[str], at: int, *, ends_in_s: bool = False) -> Counter[Part]:
    """Points for each part of speech that the word at `at` may be.

    Args:
        words: of one sentence, lower case, punctuation marks as words of their own.
        at: the place of the word.
        ends_in_s: it is a form in -s: a plural, or what he, she or it does.
    """
    points: Counter[Part] = Counter()
    before, after = words[at - 1] if at else "", words[at + 1] if at + 1 < len(words) else ""
    subject = _last_but_adverbs(words, at)
    _score_noun_phrase(points, words, at, ends_in_s)
    _score_verb(points, words, at, subject, ends_in_s)
    _score_object(points, before, after)
    if subject in _HAVE:
        points["past"] += 5
    if subject in _BE:
        points.update({"past": 4, "adjective": 4, "noun": -1})
    elif before in _LINKING or before in _DEGREES:
        points["adjective"] += 3
    if not _PAST_TIMES.isdisjoint(words):
        points["past"] += 1
    if not _HABITS.isdisjoint(words):
        points.update({"verb": 1, "past": -2})
    return points


def _last_but_adverbs(words: Sequence[str], at: int) -> str:
    """The word before, adverbs passed over; empty at the start."""
    place = at - 1
    while place >= 0 and (words[place] in _ADVERBS or (words[place].endswith("ly") and len(words[place]) > 4)):
        place -= 1
    return words[place] if place >= 0 else ""


def _content(word: str) -> bool:
    """Whether a word is none of the closed classes: a noun, verb or adjective, as far as we know."""
    return bool(word) and word not in _FUNCTION and word not in _NUMBERS


def _is_plural(word: str) -> bool:
    return word.endswith("s") and not word.endswith(("ss", "us", "is"))


def _score_noun_phrase(points: Counter[Part], words: Sequence[str], at: int, ends_in_s: bool) -> None:
    """What articles, prepositions and adjectives before, and the words after, say."""
    before, after = words[at - 1] if at else "", words[at + 1] if at + 1 < len(words) else ""
    begins = before in _DETERMINERS or before in _NUMBERS or before == "her" or before.endswith(("'s", "s'"))
    if begins and before not in _BE:
        # "many read the poem": words of number may be subjects, articles never.
        points.update({"noun": 4, "verb": 0 if before in _NUMBERS else -3, "past": -2})
        # "a live show", but not "the upset surprised everyone".
        points["adjective"] += 5 if _content(after) and not after.endswith("ed") else 0
    elif before in _PREPOSITIONS:
        points.update({"noun": 4, "verb": -2, "adjective": 5 if _content(after) else 0})
    elif _content(before) and not before.endswith("ly"):
        # "a cold wind", "the world record": an article a few words before, and only such words between.
        place = at - 1
        while place >= 0 and at - place < 4 and _content(words[place]):
            place -= 1
        opened = place >= 0 and (words[place] in _DETERMINERS or words[place] in _NUMBERS or words[place] == "her")
        described = _ADJECTIVE.fullmatch(before) is not None
        points["noun"] += 4 if described else 3 if opened != ends_in_s and not _is_plural(before) else 1
        points["adjective"] += 2 if _content(after) and not _is_plural(before) else 0
    elif before in ("and", "or") and at > 2 and words[at - 3] in _LINKING:
        points["adjective"] += 3
    elif ends_in_s and (not before or before in _MARKS):
        points["noun"] += 2
    if after == "of":
        points["noun"] += 2
    if after in _BE or after in _MODALS:
        points["noun"] += 2
    if ends_in_s and (not after or after in _MARKS):
        points["noun"] += 3


def _score_verb(points: Counter[Part], words: Sequence[str], at: int, subject: str, ends_in_s: bool) -> None:
    """What the subject, `to` and auxiliaries before say."""
    if subject == "to" and not ends_in_s:
        points["verb"] += 5
    elif subject in _MODALS and not ends_in_s:
        points["verb"] += 6
    elif subject == "you" and at > 1 and words[at - 2] in _PREPOSITIONS | {"to"}:
        points["adverb"] += 3  # "coming to you live"
    elif subject in _PLURAL_SUBJECTS and not ends_in_s:
        points.update({"verb": 4, "past": 4})
    elif subject in _SINGULAR_SUBJECTS:
        points["verb" if ends_in_s else "past"] += 5
    elif ends_in_s and subject in ("this", "that", "which"):
        points["verb"] += 7
    elif subject in ("", *_MARKS) and not ends_in_s:
        points["verb"] += 1
    elif _content(subject):
        points["verb"] += 3 if _is_plural(subject) != ends_in_s else 0
        points["verb"] += 1 if ends_in_s and at + 1 < len(words) and words[at + 1] in _PREPOSITIONS - {"of"} else 0
        points["past"] += 2
    if not ends_in_s and subject not in _DETERMINERS | _PREPOSITIONS and _is_asked(words, at):
        points.update({"verb": 4, "past": -4})


def _is_asked(words: Sequence[str], at: int) -> bool:
    """Whether the clause begins with an auxiliary before its subject: "did you", "how many cars does the plant"."""
    for place in range(at - 2, max(-1, at - 6), -1):
        if words[place] in _MARKS:
            return False
        if words[place] in _ASKING:
            inside = words[place + 1 : at]
            return inside[0] in _DETERMINERS | _PLURAL_SUBJECTS | _SINGULAR_SUBJECTS and not set(inside) & _LINKS
    return False


def _score_object(points: Counter[Part], before: str, after: str) -> None:
    """What follows a verb: "read the letter", "use it"."""
    if before in _DETERMINERS or before in _PREPOSITIONS:
        return
    if after in OBJECT_STARTS:
        points.update({"verb": 3, "past": 3, "noun": -2})
    elif after in _NUMBERS:
        points.update({"verb": 2, "past": 2})
