"""Words to ARPAbet: the user's lexicon, CMUdict, spelling, and g2p-en's network (Park & Kim 2019) for the rest."""

import functools
import re
import warnings
from typing import Any, Literal, NamedTuple

from tts.text.lexicon import load_cmudict
from tts.text.symbols import PHONES

Source = Literal["inline", "lexicon", "cmudict", "g2p", "spelled", "characters"]

_CLITICS = {"'ve": "AH0 V", "'d": "D", "'ll": "AH0 L", "'re": "ER0", "'m": "M", "n't": "AH0 N T"}
_SIBILANTS = ("S", "Z", "SH", "ZH", "CH", "JH")
_VOICELESS = ("P", "T", "K", "F", "TH")
_PREFIXES = ("to", "co", "re", "pre", "de", "un", "non")
_LONGEST_INITIALISM = 5  # letters; longer words in capitals are more likely shouted than spelled
_LONGEST_GUESS = 14  # letters; g2p-en stops after 20 phones
_MOST_PHONES = 20
_SHORTEST_PART = 4  # letters of a dictionary word that a long unknown word is split at


class Spoken(NamedTuple):
    """A word and how it is said."""

    word: str
    phones: tuple[str, ...]
    source: Source


class Found(NamedTuple):
    """A pronunciation and where it comes from."""

    phones: tuple[str, ...]
    source: Source


@functools.lru_cache(maxsize=1)
def _load_g2p() -> Any:
    """g2p-en's network without its dictionary, tagger and tokenizer.

    Importing g2p_en asks NLTK to download data, and its constructor needs that data; the network needs neither.
    """
    import nltk

    download = nltk.download
    nltk.download = lambda *args, **options: False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from g2p_en.g2p import G2p
    finally:
        nltk.download = download
    model = G2p.__new__(G2p)
    model.load_variables()
    model.variables.close()
    graphemes = ["<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz"]
    # The network also knows an UW without stress, which CMUdict no longer has.
    phones = ["<pad>", "<unk>", "<s>", "</s>", *sorted([*PHONES, "UW"])]
    model.g2idx = {letter: index for index, letter in enumerate(graphemes)}
    model.idx2p = dict(enumerate(phones))
    assert model.fc_b.shape == (len(phones),), "the network's outputs are these phones"
    return model


@functools.lru_cache(maxsize=1 << 16)
def _predict(letters: str) -> tuple[str, ...]:
    """What the network says for lower-case letters; long words are split, so that nothing is cut off."""
    known = load_cmudict()
    if letters in known:  # a part of a long word
        return tuple(known[letters].split())
    if len(letters) <= _LONGEST_GUESS:
        predicted = [{"UW": "UW0"}.get(phone, phone) for phone in _load_g2p().predict(letters)]
        if len(predicted) < _MOST_PHONES or len(letters) < 2 * _SHORTEST_PART:
            return tuple(phone for phone in predicted if phone in PHONES)
    ends = range(len(letters) - _SHORTEST_PART, _SHORTEST_PART - 1, -1)
    # Longest known beginning or end first: "roominghouse" is "rooming" and "house".
    for length in ends:
        if letters[:length] in known:
            return (*known[letters[:length]].split(), *_predict(letters[length:]))
        if letters[-length:] in known:
            return (*_predict(letters[:-length]), *known[letters[-length:]].split())
    middle = _syllable_boundary(letters)
    return _predict(letters[:middle]) + _predict(letters[middle:])


def _syllable_boundary(letters: str) -> int:
    """The place nearest to the middle between a vowel and a consonant that begins a syllable; else the middle."""
    middle = len(letters) // 2
    places = [match.start() + 1 for match in re.finditer(r"[aeiouy](?=[^aeiouy][aeiouy])", letters)]
    places += [match.start() + 2 for match in re.finditer(r"[aeiouy][^aeiouy](?=[^aeiouy][aeiouy])", letters)]
    inner = [place for place in places if 3 <= place <= len(letters) - 3]
    return min(inner, key=lambda place: abs(place - middle), default=middle)


def _with_s(phones: tuple[str, ...]) -> tuple[str, ...]:
    """The possessive or plural of a word."""
    if phones[-1] in _SIBILANTS:
        return (*phones, "IH0", "Z")
    return (*phones, "S" if phones[-1] in _VOICELESS else "Z")


def _base_forms(word: str) -> list[str]:
    """Words that `word` may be the possessive or plural of."""
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


class Pronouncer:
    """Says words.

    Args:
        lexicon: the user's words, lower case, to phones with spaces between.
    """

    def __init__(self, lexicon: dict[str, str]):
        self.lexicon = lexicon

    def say(self, written: str, *, shouted: bool = False) -> list[Spoken]:
        """A word with its apostrophes, hyphens or points: one word, or the parts of a compound.

        Args:
            written: e.g. `Hicks'`, `twenty-one`, `U.S.`, `FBI`.
            shouted: capitals mean nothing, because all of the text is in capitals.
        """
        bare = written.strip("'")
        for form in dict.fromkeys((written, written.rstrip("'"), written.lstrip("'"), bare)):
            found = self._find(form, shouted)
            if found:
                return [Spoken(form, *found)]
        if "-" in bare:
            first, _, rest = bare.lower().partition("-")
            joined = self._find(first + rest, True) if first in _PREFIXES else None
            if joined:  # to-day, co-operate
                return [Spoken(bare, *joined)]
            return [spoken for part in bare.split("-") for spoken in self.say(part, shouted=shouted)]
        return [Spoken(bare, *self._build(bare, shouted))]

    def say_dotted(self, written: str) -> Spoken:
        """Letters with points: an initial or an initialism such as `U.S.`, `p.m.`, `J.`."""
        found = self._entry(written.lower())
        return Spoken(written, *found) if found else self._spell(written)

    def _entry(self, word: str) -> Found | None:
        if word in self.lexicon:
            return Found(tuple(self.lexicon[word].split()), "lexicon")
        phones = load_cmudict().get(word)
        return Found(tuple(phones.split()), "cmudict") if phones else None

    def _find(self, word: str, shouted: bool) -> Found | None:
        """What the dictionaries have for the word, or for what it is a possessive or plural of."""
        lower = word.lower()
        if word == "US" and not shouted and lower not in self.lexicon:  # the country, not the pronoun
            return None
        found = self._entry(lower)
        if found:
            return found
        for base in _base_forms(lower):
            found = self._entry(base)
            if found:
                return Found(_with_s(found.phones), found.source)
        return None

    def _build(self, word: str, shouted: bool) -> Found:
        """The pronunciation of a word that no dictionary has."""
        lower = word.lower()
        if lower.endswith("'s") and len(word) > 2:
            base = self._whole(word[:-2], shouted)
            return Found(_with_s(base.phones), base.source)
        for clitic, phones in _CLITICS.items():
            if lower.endswith(clitic) and len(word) > len(clitic):
                base = self._whole(word[: -len(clitic)], shouted)
                glide = ("AH0",) if clitic == "'d" and base.phones[-1] in ("T", "D") else ()
                return Found((*base.phones, *glide, *phones.split()), base.source)
        if re.fullmatch(rf"[A-Z]{{2,{_LONGEST_INITIALISM}}}s", word):
            return Found(_with_s(self._spell(word[:-1]).phones), "spelled")
        letters = lower.replace("'", "")
        voiceless = not re.search(r"[aeiouy]", letters) and not re.search(r"(.)\1", letters)  # not hmm, pfft
        if voiceless or (word.isupper() and len(letters) <= _LONGEST_INITIALISM and not shouted):
            return Found(self._spell(letters).phones, "spelled")
        guess = _predict(letters)
        return Found(guess, "g2p") if guess else Found(self._spell(letters).phones, "spelled")

    def _whole(self, word: str, shouted: bool) -> Found:
        return self._find(word, shouted) or self._build(word, shouted)

    def _spell(self, word: str) -> Spoken:
        """Letter by letter, with the names that CMUdict gives to letters with a point."""
        plural = word.endswith("s") and "." in word
        letters = [letter for letter in (word[:-1] if plural else word).lower() if letter.isalpha()]
        phones = tuple(phone for letter in letters for phone in load_cmudict()[f"{letter}."].split())
        return Spoken(word, _with_s(phones) if plural else phones, "spelled")
