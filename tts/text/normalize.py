"""Characters: what a text is written in, brought to the few that the rules know, each with its place in the original.

Quotes become plain ones, accents go, full-width and other compatibility forms become what they stand for. What has a
meaning of its own (fractions, superscripts, signs, dashes, other scripts) stays for the rules to read.
"""

import unicodedata
from typing import NamedTuple

_QUOTES = {**dict.fromkeys("‘’‚‛′´`ʼʻʹ＇", "'"), **dict.fromkeys("“”„‟«»″〝〞＂〃", '"')}
_LETTERS = {
    **{"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D"},
    **{"ð": "th", "Ð": "Th", "þ": "th", "Þ": "Th", "ł": "l", "Ł": "L", "ħ": "h", "Ħ": "H", "ı": "i", "ŋ": "ng"},
    **{"ə": "e", "Ə": "E", "ĸ": "k", "ƒ": "f"},
}
_SIGNS = {
    **{"−": "-", "‐": "-", "‑": "-", "‒": "–", "―": "—", "⸺": "—", "⸻": "—", "⁄": "/", "∕": "/", "∶": ":"},
    **{"¿": " ", "¡": " ", "。": ". ", "｡": ". ", "、": ", ", "，": ", ", "､": ", ", "؟": "?", "։": ":"},
    **{"℃": "°C", "℉": "°F", "º": "°", "˚": "°", "∙": "·", "•": "•", "⋅": "·", "K": "K"},
}
_TABLE = {**_QUOTES, **_LETTERS, **_SIGNS}
# Not ASCII, with a meaning that their compatibility form would lose.
_KEPT = frozenset("°£€¢¥·–—×÷±™®©№²³¹⁰⁴⁵⁶⁷⁸⁹⁺⁻½¼¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞↉µ§¶†‡•")


class Plain(NamedTuple):
    """A text in plain characters."""

    text: str
    places: tuple[int, ...] | None  # of each plain character in the original, and the original's length; None: the same

    def place(self, index: int) -> int:
        """Where in the original the plain character at `index` begins."""
        return index if self.places is None else self.places[index]


def to_plain(text: str) -> Plain:
    """The text in plain characters; inline phonemes in braces are as they were."""
    if text.isascii() and "`" not in text:
        return Plain(text, None)
    pieces: list[str] = []
    places: list[int] = []
    known: dict[str, str] = {}
    for place, character in enumerate(text):
        plain = known.get(character)
        if plain is None:
            plain = known[character] = _plain(character)
        pieces.append(plain)
        places.extend([place] * len(plain))
    return Plain("".join(pieces), (*places, len(text)))


def plain_punctuation(text: str) -> str:
    """The text in plain characters, where places do not matter."""
    return to_plain(text).text


def _plain(character: str) -> str:
    """What stands for a character: nothing for marks that only change others, itself where rules must read it."""
    if character in _TABLE:
        return _TABLE[character]
    if character.isascii() or character in _KEPT:
        return character
    category = unicodedata.category(character)
    if category in ("Cf", "Mn", "Me", "Mc"):  # joiners, direction marks, accents: nothing to say of their own
        return ""
    if category in ("Zs", "Zl", "Zp"):
        return "\n" if category != "Zs" else " "
    if category == "Nd":
        return str(unicodedata.decimal(character))
    parts = unicodedata.normalize("NFKD", character)
    base = "".join(part for part in parts if not unicodedata.category(part).startswith("M"))
    # A full-width brace stays what it is: only a real one opens inline phonemes.
    readable = base != "" and all(part.isascii() or part in _KEPT for part in base) and not set(base) & set("{}")
    if readable:
        return base
    # The base of a Greek or Cyrillic letter with an accent, which has a row in the table of letters.
    return base if len(base) == 1 and base.isalpha() else character
