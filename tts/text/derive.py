"""Words made of known words: plurals, past forms and a few more endings, and compounds.

An ending is here if what it makes of CMUdict's words is nearly always what the dictionary has for the longer word; a
compound, if the dictionary's own are met better than by g2p-en's network. A test measures both.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tts.text.tables import words_of

Phones = tuple[str, ...]

_SIBILANTS = ("S", "Z", "SH", "ZH", "CH", "JH")
_VOICELESS = ("P", "T", "K", "F", "TH")
_ENDINGS = (("ness", "N AH0 S"), ("less", "L AH0 S"), ("like", "L AY2 K"))
_SHORTEST_STEM = 4  # letters; shorter ones are found within words that they have nothing to do with
_SHORTEST_PART = 5  # letters of both parts of a compound, unless it begins or ends as many do
_FIRST_PARTS = words_of(
    "back bed bird black blood book butter cross door down fire fish foot half hand head high home horse house "
    "land life light long moon news night north over play rail rain road sand school sea ship short side snow "
    "south steam stone sun table tea tooth under water week whole wind wood work world "
)
_LAST_PARTS = words_of(
    "back bag ball bank bird board boat book bound box breaker brush burn car card cloth craft cup day door down "
    "dust fall field fighter fire fish flower fold foot free front girl glass guard hand head holder hole holding "
    "hood house houses keeper keeping land light line load maid maker making man mark master mate mill mother "
    "nail pan paper piece place play point post pot power print proof rail reader rider road room rooms shed ship "
    "shop side sight skin space stand stead step stone storm stream table tail tight time tower town track trap "
    "tree walk wall ward ware wash water way wear weight wheel wife wind wire wise woman wood word work worker "
    "works worm worthy yard year "
)
_LAST_SOUNDS = {"man": ("M", "AH0", "N"), "men": ("M", "IH0", "N")}  # that of Englishman, not that of man


class Stem(NamedTuple):
    """A word that another one is made of, and what the ending does to its phones."""

    word: str
    change: Callable[[Phones], Phones]


class Parts(NamedTuple):
    """The two words of a compound."""

    first: str
    last: str


def with_s(phones: Phones) -> Phones:
    """The possessive or plural of a word."""
    if phones[-1] in _SIBILANTS:
        return (*phones, "IH0", "Z")
    return (*phones, "S" if phones[-1] in _VOICELESS else "Z")


def _with_ed(phones: Phones) -> Phones:
    if phones[-1] in ("T", "D"):
        return (*phones, "IH0", "D")
    return (*phones, "T" if phones[-1] in (*_VOICELESS, "S", "SH", "CH") else "D")


def _with_ing(phones: Phones) -> Phones:
    return (*phones, "IH0", "NG")


def plural_bases(word: str) -> list[str]:
    """Words that a lower-case word may be the possessive or plural of, the likeliest first."""
    if word.endswith("'s"):
        return [word[:-2]]
    bases = []
    if word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        bases.append(word[:-1])
        if word.endswith("ies"):
            bases.append(word[:-3] + "y")
        elif re.search(r"(?:s|x|z|ch|sh)es$", word):
            bases.append(word[:-2])
    return bases


def stems(word: str) -> Iterator[Stem]:
    """Words that a lower-case word may be a form of (-ed, -ing, -ness, -less, -like), the likeliest first."""
    for ending, change in (("ed", _with_ed), ("ing", _with_ing)):
        if word.endswith(ending):
            for stem in _verbs(word[: -len(ending)]):
                if len(stem) >= _SHORTEST_STEM:
                    yield Stem(stem, change)
    for ending, sounds in _ENDINGS:
        if word.endswith(ending) and len(word) >= len(ending) + _SHORTEST_STEM:
            stem = word[: -len(ending)]
            yield Stem(stem[:-1] + "y" if stem.endswith("i") else stem, adding(sounds))


def adding(sounds: str) -> Callable[[Phones], Phones]:
    """What puts these phones behind those of a word."""
    return lambda phones: (*phones, *sounds.split())


def _verbs(stem: str) -> list[str]:
    """What may have stood before -ed or -ing: siding is of side, visiting of visit, dropping of drop."""
    silent = re.search(r"[^aeiou][aeiou][^aeiouwxy]$|[csgzuv]$", stem)
    verbs = [f"{stem}e", stem] if silent else [stem, f"{stem}e"]
    if stem[-1:] == stem[-2:-1]:
        verbs.append(stem[:-1])
    if stem.endswith("i"):
        verbs.insert(0, f"{stem[:-1]}y")
    return verbs


def compounds(letters: str) -> Iterator[Parts]:
    """Ways to see two words in one, those of parts of similar length first."""
    middle = len(letters) / 2
    for place in sorted(range(3, len(letters) - 2), key=lambda place: abs(place - middle)):
        first, last = letters[:place], letters[place:]
        ends = len(first) > 3 and (last in _LAST_PARTS or last in _LAST_SOUNDS)
        begins = len(last) > 3 and first in _FIRST_PARTS
        if ends or begins or min(len(first), len(last)) >= _SHORTEST_PART:
            yield Parts(first, last)


def join_compound(parts: Parts, first: Phones, last: Phones) -> Phones:
    """The phones of a compound: its first part keeps the stress, that of the last part becomes secondary."""
    if parts.last in _LAST_SOUNDS:
        return (*first, *_LAST_SOUNDS[parts.last])
    return (*first, *(phone.replace("1", "2") for phone in last))
