"""What SSML's say-as makes of a text, for the ways to read it that can be forced."""

import re
from collections.abc import Callable

from tts.text.lexicon import load_cmudict
from tts.text.numbers import NumberWords

_NUMBERS = NumberWords("us")


def _characters(text: str) -> str:
    """Letter by letter, digit by digit."""
    said = [_letter(character) for character in text if not character.isspace()]
    if not said:
        raise ValueError("no characters to spell")
    return " ".join(said)


def _letter(character: str) -> str:
    if character.isdecimal():
        return _cardinal(character)
    if character.isalpha() and character.isascii():
        return "{" + load_cmudict()[f"{character.lower()}."] + "}"
    names = {".": "dot", "-": "dash", "_": "underscore", "@": "at", "/": "slash", "#": "hash", "+": "plus", "&": "and"}
    if character not in names:
        raise ValueError(f"the character {character!r} has no name; letters, digits and {' '.join(names)} have")
    return names[character]


def _whole(text: str) -> int:
    plain = text.replace(",", "").replace(" ", "")
    if not re.fullmatch(r"[+-]?\d{1,30}", plain, re.ASCII):
        raise ValueError(f"{text!r} is not a whole number of at most 30 digits")
    return int(plain)


def _cardinal(text: str) -> str:
    return _NUMBERS.cardinal(_whole(text))


def _ordinal(text: str) -> str:
    number = _whole(re.sub(r"(?<=\d)(?:st|nd|rd|th)$", "", text))
    if number < 0:
        raise ValueError(f"{text!r}: an ordinal is not negative")
    return _NUMBERS.ordinal(number)


def _digits(text: str) -> str:
    """One digit after the other, with a pause where the number is grouped."""
    groups = re.findall(r"\d+", text, re.ASCII)
    if not groups or not re.fullmatch(r"[\d\s().+-]+", text, re.ASCII):
        raise ValueError(f"{text!r}: digits with spaces, points, hyphens or brackets between")
    return ", ".join(" ".join(_cardinal(digit) for digit in group) for group in groups)


INTERPRETATIONS: dict[str, Callable[[str], str]] = {
    "characters": _characters,
    "spell-out": _characters,
    "cardinal": _cardinal,
    "number": _cardinal,
    "ordinal": _ordinal,
    "digits": _digits,
    "telephone": _digits,
}
