"""Words to ARPAbet: lexicons, homographs, CMUdict, words made of known words, spelling, and guessing for the rest."""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from tts.text.derive import Phones, adding, compounds, join_compound, plural_bases, stems, with_s
from tts.text.homographs import Context, choose_part, choose_reading, load_homographs
from tts.text.lexicon import Lexicon, load_cmudict
from tts.text.vocabulary import LONGEST_INITIALISM

Source = Literal[
    "inline", "lexicon", "user", "homograph", "cmudict", "derived", "compound", "spelled", "g2p", "characters"
]
Sureness = Literal["given", "known", "likely", "guessed"]
# How far a pronunciation can be trusted, by where it comes from.
SURENESS: dict[Source, Sureness] = {
    "inline": "given",
    "lexicon": "given",  # the voice's
    "user": "given",  # the user's lexicon
    "cmudict": "known",
    "characters": "known",
    "homograph": "likely",  # said in two ways; which one, the neighbours told
    "derived": "likely",  # a known word with an ending
    "compound": "likely",  # two known words
    "spelled": "likely",  # letter by letter
    "g2p": "guessed",  # by g2p-en's network
}

_CLITICS = {"'ve": "AH0 V", "'d": "D", "'ll": "AH0 L", "'re": "ER0", "'m": "M", "n't": "AH0 N T"}
_PREFIXES = ("to", "co", "re", "pre", "de", "un", "non")
_LONGEST_WORD = 40  # letters; nothing known is sought in what is longer
_REMEMBERED = 1 << 16  # words


class Spoken(NamedTuple):
    """A word and how it is said."""

    word: str
    phones: Phones
    source: Source


class Found(NamedTuple):
    """A pronunciation and where it comes from."""

    phones: Phones
    source: Source


class _Part(NamedTuple):
    """A part of a word with hyphens, as a word of its own."""

    text: str
    marks: tuple[str, ...] = ()


def _changed(found: Found, change: Callable[[Phones], Phones]) -> Found:
    """With an ending; what was in the dictionary without it is no longer the dictionary's own."""
    return Found(change(found.phones), "derived" if found.source == "cmudict" else found.source)


class Pronouncer:
    """Says words.

    Args:
        lexicon: the voice's, which wins over everything else.
        user: the user's, which comes next.
    """

    def __init__(self, lexicon: Lexicon, user: Lexicon | None = None):
        self.lexicons: Mapping[Literal["lexicon", "user"], Lexicon] = {"lexicon": lexicon, "user": user or {}}
        # What no neighbour can change is found once.
        self._alone = functools.lru_cache(maxsize=_REMEMBERED)(self._find_alone)

    def say(self, written: str, *, shouted: bool = False, context: Context | None = None) -> list[Spoken]:
        """A word with its apostrophes, hyphens or points: one word, or the parts of a compound.

        Args:
            written: e.g. `Hicks'`, `twenty-one`, `U.S.`, `FBI`.
            shouted: capitals mean nothing, because all of the text is in capitals.
            context: the word among those of its sentence, for words that are said in more than one way.
        """
        bare = written.strip("'")
        for form in dict.fromkeys((written, written.rstrip("'"), written.lstrip("'"), bare)):
            found = self._find(form, shouted, context)
            if found:
                return [Spoken(form, *found)]
        if "-" in bare:
            first, _, rest = bare.lower().partition("-")
            joined = self._find(first + rest, True, context) if first in _PREFIXES else None
            if joined:  # to-day, co-operate
                return [Spoken(bare, *joined)]
            parts = [_Part(part) for part in bare.split("-")]
            return [
                spoken
                for place, part in enumerate(parts)
                for spoken in self.say(part.text, shouted=shouted, context=Context(parts, place))
            ]
        return [Spoken(bare, *self._build(bare, shouted, context))]

    def say_dotted(self, written: str) -> Spoken:
        """Letters with points: an initial or an initialism such as `U.S.`, `p.m.`, `J.`."""
        lower = written.lower()
        found = self._listed(lower, None) or _in_cmudict(lower)
        return Spoken(written, *found) if found else self._spell(written)

    def lists(self, word: str) -> bool:
        """Whether a lexicon has a lower-case word."""
        return any(word in lexicon for lexicon in self.lexicons.values())

    def _listed(self, word: str, context: Context | None) -> Found | None:
        """What a lexicon has for a lower-case word, by its part of speech where the lexicon tells some apart."""
        for source, lexicon in self.lexicons.items():
            entry = lexicon.get(word)
            if entry:
                part = choose_part(tuple(entry), context) if len(entry) > 1 else next(iter(entry))
                return Found(tuple(entry[part].split()), source)
        return None

    def _find(self, word: str, shouted: bool, context: Context | None) -> Found | None:
        """What is known of the word, or of the words that it is made of."""
        lower = word.lower()
        if word == "US" and not shouted and not self.lists(lower):  # the country, not the pronoun
            return None
        return self._listed(lower, context) or _as_homograph(lower, context, self._listed) or self._alone(lower)

    def _find_alone(self, word: str) -> Found | None:
        """What CMUdict has for a lower-case word, or what can be made of known words."""
        found = _in_cmudict(word)
        if found or len(word) > _LONGEST_WORD:
            return found
        for base in plural_bases(word):
            found = self._listed(base, None) or self._alone(base)
            if found:
                return _changed(found, with_s)
        for stem in stems(word):
            found = self._listed(stem.word, None) or _in_cmudict(stem.word)
            if found:
                return _changed(found, stem.change)
        for parts in compounds(word):
            first, last = (self._listed(part, None) or _in_cmudict(part) for part in parts)
            if first and last:
                return Found(join_compound(parts, first.phones, last.phones), "compound")
        return None

    def _build(self, word: str, shouted: bool, context: Context | None) -> Found:
        """The pronunciation of a word that nothing is known of."""
        lower, short = word.lower(), len(word) <= _LONGEST_WORD
        if lower.endswith("'s") and len(word) > 2 and short:
            return _changed(self._whole(word[:-2], shouted, context), with_s)
        for clitic, sounds in _CLITICS.items():
            if short and lower.endswith(clitic) and len(word) > len(clitic):
                base = self._whole(word[: -len(clitic)], shouted, context)
                glide = "AH0 " if clitic == "'d" and base.phones[-1] in ("T", "D") else ""
                return _changed(base, adding(glide + sounds))
        if re.fullmatch(rf"[A-Z]{{2,{LONGEST_INITIALISM}}}s", word):
            return Found(with_s(self._spell(word[:-1]).phones), "spelled")
        letters = lower.replace("'", "")
        voiceless = not re.search(r"[aeiouy]", letters) and not re.search(r"(.)\1", letters)  # not hmm, pfft
        if voiceless or (word.isupper() and len(letters) <= LONGEST_INITIALISM and not shouted):
            return Found(self._spell(letters).phones, "spelled")
        from tts.text.guess import guess  # numpy is imported only for words that nobody knows

        phones = guess(letters)
        return Found(phones, "g2p") if phones else Found(self._spell(letters).phones, "spelled")

    def _whole(self, word: str, shouted: bool, context: Context | None) -> Found:
        return self._find(word, shouted, context) or self._build(word, shouted, context)

    def _spell(self, word: str) -> Spoken:
        """Letter by letter, with the names that CMUdict gives to letters with a point."""
        plural = word.endswith("s") and "." in word
        letters = [letter for letter in (word[:-1] if plural else word).lower() if letter.isalpha()]
        phones = tuple(phone for letter in letters for phone in load_cmudict()[f"{letter}."].split())
        return Spoken(word, with_s(phones) if plural else phones, "spelled")


def _in_cmudict(word: str) -> Found | None:
    phones = load_cmudict().get(word)
    return Found(tuple(phones.split()), "cmudict") if phones else None


def _as_homograph(
    word: str, context: Context | None, listed: Callable[[str, Context | None], Found | None]
) -> Found | None:
    """The reading of a word that has several, or of the plural, possessive or -s form of one."""
    table = load_homographs()
    if word in table:
        plural = word.endswith("s") and not word.endswith("ss")  # lives, proceeds
        return Found(choose_reading(table[word], context, ends_in_s=plural).phones, "homograph")
    for base in plural_bases(word):
        if base in table:
            found = listed(base, context)
            reading = choose_reading(table[base], context, ends_in_s=True)
            return _changed(found or Found(reading.phones, "homograph"), with_s)
    return None
