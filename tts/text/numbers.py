"""Numbers and money in words, read as an American reads them: `$3.50` to `three dollars, fifty cents`."""

import re

from tts.text.inline import outside_inline

_MONEY = {  # one, many, one hundredth, many hundredths
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "sen", "sen"),
}
_SCALES = {"k": "thousand", "K": "thousand", "m": "million", "M": "million", "bn": "billion", "B": "billion"}
_SCALE = r"(?:\s*(k|K|m|M|bn|B)\b|\s+(hundred|thousand|million|billion|trillion)\b)?"
_AMOUNT = re.compile(r"(?<![\w.])(-)?(?:US)?([$£€¥])\s?(\d[\d,]*)?(?:\.(\d+))?(?<!,)" + _SCALE)
_AMOUNT_AFTER = re.compile(r"(?<![\w.])(\d[\d,]*)(?:\.(\d+))?\s?([$£€¥])(?!\w)")

_REGNAL = (
    "Henry|Charles|George|James|Edward|Louis|William|Richard|Elizabeth|Mary|Philip|Frederick|John|Paul|Pius|Napoleon|"
    "Leo|Alexander|Nicholas|Catherine|Gregory|Benedict|Innocent|Ptolemy|Peter|Ferdinand|Francis|Wilhelm|Clement|Urban"
)
_NUMBERED = "War|Part|Chapter|Volume|Book|Act|Scene|Section|Article|Title|Type|Phase|Class|Appendix|Bowl"
_ROMAN = r"((?=[IVX])X{0,3}(?:IX|IV|V?I{0,3}))(?![IVX])"  # never empty: IIII is none
_KING = re.compile(rf"\b({_REGNAL})\s+(?=[IVX]+\b){_ROMAN}\b(?:\.(?=\s+[a-z]|[,;:]))?")
_PART = re.compile(rf"\b({_NUMBERED})\s+(?=[IVX]+\b){_ROMAN}\b")
_SUFFIXED = re.compile(r"\b([A-Z][a-z]+)\s+(?=[IVX]{2,}\b)" + _ROMAN + r"\b")

_LONGEST = 15  # longer runs of digits are codes, read digit by digit


def number_words(n: int) -> str:
    """A cardinal in words, without `and` and commas: 1,105 is `one thousand one hundred five`."""
    from num2words import num2words

    return str(num2words(n)).replace(" and ", " ").replace(",", "")


def ordinal_words(n: int) -> str:
    """An ordinal in words: 121 is `one hundred twenty-first`."""
    from num2words import num2words

    return str(num2words(n, to="ordinal")).replace(" and ", " ").replace(",", "")


def digit_words(digits: str) -> str:
    """Digit by digit: `907` is `nine zero seven`."""
    return " ".join(number_words(int(digit)) for digit in digits)


def year_words(year: int) -> str:
    """A year from 1000 to 2999 as it is said: `nineteen oh five`, `two thousand five`, `twenty ten`."""
    century, rest = divmod(year, 100)
    if century % 10 == 0 and rest < 10:
        return number_words(year)
    if rest == 0:
        return f"{number_words(century)} hundred"
    return f"{number_words(century)} {'oh ' if rest < 10 else ''}{number_words(rest)}"


def _plural(words: str) -> str:
    return words[:-1] + "ies" if words.endswith("y") else words + ("es" if words.endswith("x") else "s")


def _whole(digits: str) -> str:
    """A run of digits that is not a year, commas allowed."""
    digits = digits.replace(",", "")
    code = len(digits) > _LONGEST or (len(digits) > 1 and digits[0] == "0")
    return digit_words(digits) if code else number_words(int(digits))


def _decimal(whole: str | None, fraction: str) -> str:
    return f"{_whole(whole) if whole else ''} point {digit_words(fraction)}".strip()


def _money(minus: str | None, sign: str, whole: str, fraction: str | None, scale: str | None) -> str:
    one, many, one_part, many_parts = _MONEY[sign]
    start = "minus " if minus else ""
    if scale or (fraction and len(fraction) > 2):
        amount = _decimal(whole, fraction) if fraction else _whole(whole or "0")
        return f"{start}{amount} {scale or ''} {many}".replace("  ", " ")
    n = int(whole.replace(",", "") or 0)
    parts = int((fraction or "0").ljust(2, "0"))
    said = []
    if n or not parts:
        said.append(f"{_whole(str(n))} {one if n == 1 else many}")
    if parts:
        said.append(f"{number_words(parts)} {one_part if parts == 1 else many_parts}")
    return start + ", ".join(said)


def _amount(match: re.Match[str]) -> str:
    minus, sign, whole, fraction, short, long = match.groups()
    if whole is None and fraction is None:
        return f" {_MONEY[sign][0]} {_SCALES.get(short or '', long or '')}".rstrip() + " "
    return _money(minus, sign, whole or "", fraction, _SCALES.get(short or "", long))


@outside_inline
def expand_currency(text: str) -> str:
    """Amounts in $, £, €, ¥ and ¢ in words; `$2.5 million` is `two point five million dollars`."""
    text = re.sub(r"([$£€¥]\s?\d[\d,.]*)\s*-\s*(?=[$£€¥]?\d)", r"\1 to ", text)
    text = _AMOUNT.sub(_amount, text)
    text = _AMOUNT_AFTER.sub(lambda m: _money(None, m.group(3), m.group(1), m.group(2), None), text)
    text = re.sub(r"(?<![\d.,])1\s?¢", "one cent", text)
    text = re.sub(r"(\d)\s?¢", r"\1 cents", text).replace("¢", " cent ")
    for sign, names in _MONEY.items():
        text = text.replace(sign, f" {names[0]} ")
    return re.sub(r"[^\S\n]+", " ", text)


def _roman(numeral: str) -> int:
    values = [{"I": 1, "V": 5, "X": 10}[letter] for letter in numeral]
    return sum(-v if v < after else v for v, after in zip(values, [*values[1:], 0], strict=True))


def _king(match: re.Match[str]) -> str:
    # "George I think" is more likely someone speaking to George.
    if match.group(2) == "I" and re.match(r"\s+(?!of\b|was\b|and\b|in\b)\w", match.string[match.end() :]):
        return match.group()
    return f"{match.group(1)} the {ordinal_words(_roman(match.group(2)))}"


def _numeral(match: re.Match[str]) -> str:
    return f"{match.group(1)} {number_words(_roman(match.group(2)))}"


def _time(match: re.Match[str]) -> str:
    hour, minute, second = match.group(1), int(match.group(2)), match.group(3)
    said = number_words(int(hour))
    if second:
        return f"{said} {number_words(minute)} and {number_words(int(second))} seconds"
    if minute:
        return f"{said} {'oh ' if minute < 10 else ''}{number_words(minute)}"
    if re.match(r"\s*(?:[ap]\.|o'clock)", match.string[match.end() :]):
        return said
    return f"{said} hundred" if int(hour) > 12 else f"{said} o'clock"


def _decade(match: re.Match[str]) -> str:
    century, tens = match.groups()
    said = number_words(int(tens)) if tens != "00" else "hundred"
    if century in ("10", "20") and tens == "00":
        return _plural(number_words(int(century + tens)))
    return f"{number_words(int(century)) + ' ' if century else ''}{_plural(said)}"


def _fraction(match: re.Match[str]) -> str:
    whole, above, below = match.group(1), int(match.group(2)), int(match.group(3))
    if below not in (*range(2, 11), 12, 16, 20, 32, 64, 100) or above >= below or len(match.group(2)) > 2:
        return f"{whole + ' ' if whole else ''}{_whole(match.group(2))} {_whole(match.group(3))}"
    part = {2: "half", 4: "quarter"}.get(below) or ordinal_words(below)
    if whole and above == 1:
        said = f"{'an' if part.startswith('e') else 'a'} {part}"
    else:
        said = f"{number_words(above)} {part if above == 1 else 'halves' if below == 2 else part + 's'}"
    return f"{_whole(whole)} and {said}" if whole else said


def _integer(match: re.Match[str]) -> str:
    digits = match.group()
    if len(digits) == 4 and (1010 <= int(digits) <= 2099):
        return year_words(int(digits))
    return _whole(digits)


def _groups(digits: str) -> str:
    return ", ".join(digit_words(group) for group in digits.split("-"))


def _ordinal(digits: str) -> str:
    digits = digits.replace(",", "")
    return ordinal_words(int(digits)) if len(digits) <= _LONGEST else digit_words(digits)


_RULES = (
    (re.compile(r"\s*%"), " percent"),
    (_KING, _king),
    (_PART, _numeral),
    (_SUFFIXED, _numeral),
    # Telephone numbers.
    (re.compile(r"(?<![\d-])(?:\d{1,2}-)?(?:\d{3}-)?\d{3}-\d{4}(?![\d-])"), lambda m: _groups(m.group())),
    (re.compile(r"(?<![\d:])([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\d:])"), _time),
    (re.compile(r"(?<=\d):(?=\d)"), " to "),
    (re.compile(r"(?<![\w.,])'?(\d{2})?(\d0)'?s\b"), _decade),
    (re.compile(r"(?<!\w)(\d[\d,]*)(?:st|nd|rd|th)\b", re.I), lambda m: _ordinal(m.group(1))),
    # Dates: the parts are read one after the other.
    (re.compile(r"(?<![\d/])\d+(?:/\d+){2,}(?![\d/])"), lambda m: m.group().replace("/", " ")),
    (re.compile(r"(?<![\d-])\d+(?:-\d+){2,}(?![\d-])"), lambda m: m.group().replace("-", " ")),
    (re.compile(r"(?<![\d/.,])(?:(\d+)[ -])?(\d+)/(\d+)(?![\d/])"), _fraction),
    (re.compile(r"/"), " slash "),
    (re.compile(r"(?<!\w)'(?=\d\d\b)"), ""),
    (re.compile(r"(?<=\d)\s*-\s*(?=\d)"), " to "),
    (re.compile(r"(?<![^\s(\[\"'=])-(?=\.?\d)"), "minus "),
    # Versions and addresses.
    (re.compile(r"\d+(?:\.\d+){2,}"), lambda m: m.group().replace(".", " point ")),
    (re.compile(r"(\d[\d,]*)?(?<!,)(?<![A-Za-z])\.(\d+)"), lambda m: _decimal(m.group(1), m.group(2))),
    (re.compile(r"\d{1,3}(?:,\d{3})+(?![\d,])"), lambda m: _whole(m.group())),
    # Codes such as C2766 and box numbers.
    (re.compile(r"(?<=[A-Za-z])\d{3,}"), lambda m: f" {digit_words(m.group())}"),
    (re.compile(r"(?i)(?<=box )\d{4,}|(?<=zip )\d{5,}|(?<=number )\d{5,}"), lambda m: digit_words(m.group())),
    (re.compile(r"(?<=[A-Za-z])-?(?=\d)|(?<=\d)(?=[A-Za-z{])|(?<=\})(?=\d)"), " "),
    (re.compile(r"\d+"), _integer),
    (re.compile(r"[^\S\n]+"), " "),
)


@outside_inline
def expand_numbers(text: str) -> str:
    """Every digit in words: years, times, dates, ordinals, fractions, ranges, decimals, codes, cardinals, percent."""
    for pattern, words in _RULES:
        text = pattern.sub(words, text)
    return text
