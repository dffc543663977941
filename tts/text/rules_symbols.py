"""Rules for signs: punctuation and the pauses it makes, symbols with names, emoji, letters of other scripts."""

import re
import unicodedata

from tts.text.rules import Context, Rule, rule
from tts.text.units import SIGNS

# A sign between words is said by its name.
NAMES = {
    **{
        "&": "and",
        "+": "plus",
        "=": "equals",
        "@": "at",
        "%": "percent",
        "/": "slash",
        "\\": "backslash",
        "#": "number",
    },
    **{
        "<": "less than",
        ">": "greater than",
        "^": "caret",
        "~": "tilde",
        "|": "bar",
        "*": "asterisk",
        "_": "underscore",
    },
    **{"§": "section", "¶": "paragraph", "©": "copyright", "®": "registered", "™": "trademark", "°": "degrees"},
    **{"µ": "micro", "×": "times", "÷": "divided by", "±": "plus or minus", "≈": "approximately equals", "№": "number"},
    **{"≠": "is not equal to", "≤": "is less than or equal to", "≥": "is greater than or equal to", "∞": "infinity"},
    **{"√": "square root of", "∑": "sum", "∏": "product", "∫": "integral", "∂": "partial", "∆": "delta", "∈": "in"},
    **{"→": "to", "⇒": "implies", "←": "from", "↔": "to and from", "↑": "up", "↓": "down", "∴": "therefore"},
    **{"¢": "cents", "‰": "per mille", "♯": "sharp", "♭": "flat", "∅": "empty set", "∪": "union", "∩": "intersection"},
    **{
        "²": "squared",
        "³": "cubed",
        "℠": "service mark",
        "℗": "copyright",
        "☎": "telephone",
        "✓": "check",
        "✔": "check",
    },
    **{sign: currency.one for sign, currency in SIGNS.items() if len(sign) == 1},
}
# Layout and emphasis: nothing to say, and no pause beyond that of the words.
SILENT = frozenset("\"'`•·▪●○◦‣⁃■□▶►✦★☆†‡_*|~^-´")
_GREEK_NAMES = (
    *(
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "zeta",
        "eta",
        "theta",
        "iota",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "xi",
    ),
    *("omicron", "pi", "rho", "sigma", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"),
)
_GREEK = dict(zip("αβγδεζηθικλμνξοπρςστυφχψω", _GREEK_NAMES, strict=True))
_SOUNDS = {
    **dict(zip("αβγδεζηικλμνοπρςστυφω", "avgdeziiklmnoprsstifo", strict=True)),
    **{"θ": "th", "ξ": "x", "χ": "ch", "ψ": "ps"},
    **dict(zip("абвгдезийклмнопрстуфыэё", "abvgdeziyklmnoprstufyeo", strict=True)),
    **{"ж": "zh", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ъ": "", "ь": "", "ю": "yu", "я": "ya"},
    **{
        "і": "i",
        "ї": "yi",
        "є": "ye",
        "ґ": "g",
        "ђ": "dj",
        "ј": "y",
        "љ": "ly",
        "њ": "ny",
        "ћ": "c",
        "џ": "dzh",
        "ў": "u",
    },
}
_EMOJI = "[\U0001f000-\U0001faff☀-➿⬀-⯿⌀-⏿]"


def _named(match: re.Match[str], context: Context) -> str | None:
    return NAMES.get(match.group())


def _silent(match: re.Match[str], context: Context) -> str:
    return ""


def _emoji(match: re.Match[str], context: Context) -> str:
    """By default an emoji is a picture, and not read; `text.emoji=name` reads its Unicode name."""
    if context.emoji == "skip":
        return ""
    names = [unicodedata.name(character, "") for character in dict.fromkeys(match.group())]
    return " ".join(re.sub(r"[^a-z ]", " ", name.lower()) for name in names if "MODIFIER" not in name).strip()


def transliterated(word: str) -> str:
    """Greek and Cyrillic in Latin letters; empty where a letter has no row in the table."""
    letters = []
    for letter in word.lower():
        base = unicodedata.normalize("NFD", letter)[0]
        sound = letter if letter.isascii() else _SOUNDS.get(letter, _SOUNDS.get(base))
        if sound is None:
            return ""
        letters.append(sound)
    return "".join(letters)


def _foreign(match: re.Match[str], context: Context) -> str | None:
    word = match.group()
    if word.lower() in _GREEK:
        return _GREEK[word.lower()]
    return transliterated(word) or None


def closes_sentence(match: re.Match[str]) -> bool:
    """Whether what follows an ellipsis starts a new sentence, or nothing."""
    following = re.search(r"[A-Za-z{]", match.string[match.end() : match.end() + 100])
    return following is None or following.group().isupper()


PUNCTUATION: tuple[Rule, ...] = (
    rule("ellipsis", "punctuation", r"\.(?:\s?\.){1,60}|…", _silent),
    rule("dash", "punctuation", r"-{2,60}|[—–](?:\s?[—–])*|(?<!\S)-(?!\S)", _silent)._replace(marks="-"),
    *(
        rule(name, "punctuation", re.escape(mark), _silent)._replace(marks=mark)
        for mark, name in (
            (",", "comma"),
            (".", "full stop"),
            ("?", "question mark"),
            ("!", "exclamation mark"),
            (";", "semicolon"),
            (":", "colon"),
        )
    ),
    rule("bracket", "punctuation", r"[()\[\]⟨⟩⟪⟫〈〉《》「」『』【】]", _silent)._replace(marks=","),
    rule("quote", "punctuation", r"[\"'`]+", _silent),
)
SYMBOLS: tuple[Rule, ...] = (
    rule(
        "emphasis",
        "symbol",
        r"(?:(?<=\s)|(?<![^\W_]))[*_~|^=#]{2,60}|[*_]+(?=[A-Za-z])|(?<=[A-Za-z.,!?])(?:[*_]+|~~)",
        _silent,
    ),
    rule("bullet", "symbol", r"(?:(?<=\n)|(?<!.))\s*[*+>](?=\s)", _silent),
    rule("hyphen", "punctuation", r"(?<=\w)-(?=\w)|-(?!\d)", _silent),
    rule("name of a sign", "symbol", r".", _named),
    rule("emoji", "emoji", rf"{_EMOJI}+", _emoji),
    rule("layout", "symbol", rf"[{re.escape(''.join(sorted(SILENT)))}]+", _silent),
    rule("transliterated", "foreign", r"[Ͱ-ϿЀ-ӿἀ-῿][Ͱ-ϿЀ-ӿἀ-῿'-]*(?<!['-])", _foreign, "guess"),
)
