"""Written text to words: the normalisation steps that `text.steps` names, in its order.

A step is a pure `str -> str`; what stands in `{...}` passes through untouched.
"""

import difflib
import re
import unicodedata
from collections.abc import Sequence

from tts.errors import ConfigError
from tts.text.abbreviations import expand_abbreviations
from tts.text.inline import outside_inline
from tts.text.numbers import expand_currency, expand_numbers

_QUOTES = {**dict.fromkeys("‘’‚‛′´`ʼʻ＇", "'"), **dict.fromkeys("“”„‟«»″〝〞＂", '"')}
_LETTERS = {
    **{"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D"},
    **{"ð": "th", "Ð": "Th", "þ": "th", "Þ": "Th", "ł": "l", "Ł": "L", "ħ": "h", "Ħ": "H", "ı": "i"},
}
_SYMBOLS = {
    **{"×": " times ", "÷": " divided by ", "±": " plus or minus ", "−": "-", "№": "No. ", "⁄": "/", "∕": "/"},
    **{"©": " copyright ", "®": " registered ", "™": " trademark ", "‐": "-", "‑": "-", "¿": "", "¡": ""},
    **dict.fromkeys("。｡", ". "),
    **dict.fromkeys("、，､", ", "),
}
_TABLE = str.maketrans({**_QUOTES, **_LETTERS, **_SYMBOLS})
_KEPT = frozenset("°£€¢¥⁄")  # not ASCII, and read by a later step


def _plain_character(character: str) -> str:
    """The ASCII form of a character where it has one, else the character itself."""
    if character.isascii():
        return character
    if unicodedata.category(character) == "Cf":  # soft hyphens, joiners, direction marks: nothing to see or say
        return ""
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    parts = unicodedata.normalize("NFKD", character)
    base = "".join(part for part in parts if not unicodedata.category(part).startswith("M"))
    # A full-width brace stays what it is: only a real one opens inline phonemes.
    readable = all(part.isascii() or part in _KEPT for part in base) and not set(base) & set("{}")
    return base if readable else character


@outside_inline
def plain_punctuation(text: str) -> str:
    """Curly quotes, dashes, ellipses, accents and compatibility forms in plain ASCII, where there is one."""
    text = re.sub(r"(?<=\d)(?=[¼-¾⅐-⅞])", " ", text)
    text = re.sub(r"(?<=[A-Za-z0-9])²(?![⁰¹²³⁴-⁹])", " squared ", text)
    text = re.sub(r"(?<=[A-Za-z0-9])³(?![⁰¹²³⁴-⁹])", " cubed ", text)
    text = re.sub(r"(?<=[0-9])(?=[⁰¹²³⁴-⁹])", " to the power of ", text)
    text = re.sub(r"(?<=[A-Za-z])(?=[⁰¹²³⁴-⁹])", " ", text)  # a footnote
    text = re.sub(r"[ \t]*(?:[—―⸺⸻]|-{2,}|(?<!\w)–|–(?!\w))[ \t]*", " - ", text).replace("–", "-")
    text = "".join(_plain_character(character) for character in text.translate(_TABLE))
    return re.sub(r"[^\S\n]+", " ", text.replace("⁄", "/"))


STEPS = {step.__name__: step for step in (plain_punctuation, expand_abbreviations, expand_currency, expand_numbers)}


def check_steps(names: Sequence[str]) -> None:
    """Raise a ConfigError that names the nearest known step for every unknown one."""
    for name in names:
        if name not in STEPS:
            near = difflib.get_close_matches(name, STEPS, n=1, cutoff=0.0)
            raise ConfigError(f"text.steps: unknown step {name!r}; did you mean {near[0]!r}? Known: {', '.join(STEPS)}")


def normalize(text: str, names: Sequence[str]) -> str:
    """The text after the named steps, with single spaces."""
    for name in names:
        text = STEPS[name](text)
    return " ".join(text.split())
