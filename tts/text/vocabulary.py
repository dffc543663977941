"""What the dictionary tells about reading: whether letters make a word, and whether capitals are spelled."""

import functools
from itertools import pairwise

from tts.text.lexicon import load_cmudict
from tts.text.tables import ACRONYMS, INITIALISMS

LONGEST_INITIALISM = 5  # letters; longer words in capitals are more likely shouted than spelled


def _without_stress(phones: str) -> str:
    return "".join(phone for phone in phones if not phone.isdecimal())


@functools.lru_cache(maxsize=1 << 14)
def is_spelled(word: str) -> bool:
    """Whether the dictionary says a word letter by letter."""
    known = load_cmudict()
    if word not in known:
        return False
    letters = [known.get(f"{letter}.", "") for letter in word]
    return _without_stress(known.get(word, "")) == _without_stress(" ".join(letters))


def is_word(word: str) -> bool:
    """Whether the dictionary has the lower-case word, and not as letters."""
    return word in load_cmudict() and not is_spelled(word)


@functools.lru_cache(maxsize=1 << 14)
def spells(word: str) -> bool:
    """Whether capitals are said letter by letter."""
    if word in INITIALISMS:
        return True
    if word in ACRONYMS:
        return False
    vowels = [letter in "AEIOUY" for letter in word]
    if not any(vowels):
        return True
    lower = word.lower()
    if lower in load_cmudict():
        return is_spelled(lower)
    # Four or five letters of consonants and vowels in turn can be said: IKEA, NASA.
    in_turn = len(word) >= 4 and not any(a == b for a, b in pairwise(vowels))
    return len(word) <= LONGEST_INITIALISM and not in_turn
