"""Rules for plain numbers: ordinals, fractions, ranges, decimals, signs, versions, codes, numbers joined to words."""

import re

from tts.text.numbers import is_fraction
from tts.text.rules import DASH, NUMBER, QUANTITY, STREET, VULGAR, Context, Rule, rule
from tts.text.rules_times import is_year
from tts.text.tables import words_of

# Words before a number that is said digit by digit, or in pairs.
_DIGITWISE = words_of("box pin code zip zipcode extension ext serial id account password isbn hex badge dial")
_PAIRWISE = words_of(
    "room rm flight route highway hwy interstate apartment apt suite ste bus channel boeing airbus exhibit number "
    "no sr us train bed gate hall rte frame p.s u.s"
)
_RATED = words_of("rate rated rates rating score scored scores gave give got")
_EMERGENCY = words_of("call called calling calls dial dialed dialing dials phoned a the")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_OPERATORS = {"+": "plus", "-": "minus", "−": "minus", "–": "minus", "×": "times", "*": "times", "x": "times"}
_OPERATORS |= {"÷": "divided by", "/": "divided by", "=": "equals", "<": "is less than", ">": "is greater than"}
_OPERATORS |= {
    "≤": "is less than or equal to",
    "≥": "is greater than or equal to",
    "≈": "is approximately",
    "^": "to the",
}
_SIGNS = {"-": "minus", "−": "minus", "+": "plus", "±": "plus or minus", "~": "about", "≈": "approximately"}
_SIGNS |= {"<": "less than", ">": "greater than", "≤": "at most", "≥": "at least", "#": "number", "№": "number"}


def _ordinal(match: re.Match[str], context: Context) -> str:
    digits = match.group(1).replace(",", "")
    return context.words.ordinal(int(digits)) if len(digits) <= 15 else context.words.digits(digits)


def _fraction(match: re.Match[str], context: Context) -> str | None:
    whole, above, below = match.group(1), int(match.group(2)), int(match.group(3))
    if len(match.group(2)) > 3 or len(match.group(3)) > 4:
        return None
    rated = context.before() in _RATED or context.before(2) in _RATED
    if not whole and (rated or re.match(r"\s(?:stars?|rating)\b", match.string[match.end() : match.end() + 9])):
        return f"{context.words.cardinal(above)} out of {context.words.cardinal(below)}"
    if not is_fraction(above, below):
        return None
    return context.words.mixed_fraction(whole, above, below) if whole else context.words.fraction(above, below)


def _slashed(match: re.Match[str], context: Context) -> str:
    numbers = match.group().split("/")
    if numbers == ["24", "7"] or len(numbers) > 2:
        return " ".join(context.words.decimal(number) for number in numbers)
    first, second = (context.words.decimal(number) for number in numbers)
    if numbers[0] == numbers[1]:  # fifty-fifty
        return f"{first} {second}"
    return f"{first} out of {second}" if numbers[1] in ("5", "10", "100") else f"{first} over {second}"


def _vulgar(match: re.Match[str], context: Context) -> str:
    return context.quantity(match.group())


def _range(match: re.Match[str], context: Context) -> str:
    minus = "minus " if match.group(1) else ""
    first, second = (_number(written, context) for written in match.group(2, 3))
    if first == second and not minus:  # fifty-fifty
        return f"{first} {second}"
    return f"{minus}{first} to {second}"


def _number(written: str, context: Context) -> str:
    plain = written.isdecimal() and is_year(written, context, "")
    return context.words.year(int(written)) if plain else context.quantity(written)


def _decimal(match: re.Match[str], context: Context) -> str:
    written = match.group()
    armed = context.before() in ("a", "his", "her", "my", "the") or _GUN.match(match.string, match.end())
    if written in _CALIBERS and armed:  # a .38 is a thirty-eight
        return context.words.pairs(written[1:])
    return context.quantity(written)


def _version(match: re.Match[str], context: Context) -> str:
    parts = match.group().split(".")
    if len(parts) == 4 and all(int(part) < 256 for part in parts):
        return " dot ".join(context.words.digits(part) for part in parts)
    return " point ".join(context.words.whole(part) for part in parts)


def _signed(match: re.Match[str], context: Context) -> str:
    number = match.group(2)
    counted = match.group(1) in "#№"
    said = context.words.pairs(number) if counted and _pairs(number) else context.quantity(number)
    if counted and number.isdecimal() and len(number) > 4:
        said = context.words.digits(number)
    return f"{_SIGNS[match.group(1)]} {said}"


def _pairs(digits: str) -> bool:
    return len(digits) in (3, 4) and digits.isdecimal() and digits[0] != "0" and not digits.endswith("00")


def _power(match: re.Match[str], context: Context) -> str:
    power = match.group(2).translate(_SUPERSCRIPTS).lstrip("^+")
    base = context.quantity(match.group(1))
    if power in ("2", "3"):
        return f"{base} {'squared' if power == '2' else 'cubed'}"
    minus = "minus " if power.startswith("-") else ""
    return f"{base} to the power of {minus}{context.words.whole(power.lstrip('-'))}"


def _scientific(match: re.Match[str], context: Context) -> str:
    power = match.group(2).translate(_SUPERSCRIPTS)
    minus = "minus " if power.startswith("-") else ""
    exponent = context.words.whole(power.lstrip("+-") or "0")
    return f"{context.quantity(match.group(1))} times ten to the power of {minus}{exponent}"


def _calculation(match: re.Match[str], context: Context) -> str | None:
    written = match.group()
    if not re.search(r"[=×*÷+<>≤≥≈]|\s[-−–]\s.*=", written):
        return None
    said = []
    for part in re.findall(rf"{NUMBER}|[-+−–×*x÷/=<>≤≥≈^]", written):
        said.append(_OPERATORS.get(part) or context.quantity(part))
    return " ".join(said)


def _with_letter(match: re.Match[str], context: Context) -> str:
    """`401(k)` is `four oh one K`, `720p` `seven twenty P`."""
    return f"{context.words.pairs(match.group(1))} {match.group(2).upper()}."


def _pence(match: re.Match[str], context: Context) -> str:
    return f"{context.words.cardinal(int(match.group(1)))} {'penny' if match.group(1) == '1' else 'pence'}"


def _plus(match: re.Match[str], context: Context) -> str:
    return f"{_number(match.group(1), context)} plus"


def _joined(match: re.Match[str], context: Context) -> str:
    """`20-year`: the hyphen is kept, so that the words stay together."""
    number = match.group(1)
    said = context.words.pairs(number[1:]) if number in _CALIBERS else _number(number, context)
    return f"{said}-{match.group(2)}"


def _digit_run(match: re.Match[str], context: Context) -> str:
    return context.words.whole(match.group())


_CALIBERS = frozenset((".22", ".25", ".30", ".32", ".38", ".40", ".44", ".45", ".50", ".357", ".380"))
_GUN = re.compile(
    r"[- ]cal|\s(?:[Ss]pecial|pistol|revolver|rifle|[Mm]agnum|gun|handgun|slug|bullet|automatic|shell|round)"
)
_ERA = re.compile(r",?\s(?:B\.\s?C\.|A\.\s?D\.|BC|AD|CE)(?!\w)")


def _is_ancient(before: str, following: str) -> bool:
    """Whether three digits are a year: before an era, after `year`, or after `in` where nothing is counted."""
    alone = re.match(r"[,;.]?(?:\s|\Z)", following) is not None and re.match(r"[,;.]|\s[A-Z]", following) is not None
    return _ERA.match(following) is not None or before == "year" or (before == "in" and alone)


def _integer(match: re.Match[str], context: Context) -> str:
    """A number alone: what stands before and after it decides between digits, pairs, a year and a cardinal."""
    digits, before = match.group(), context.before()
    following = match.string[match.end() : match.end() + 60]
    if digits in ("911", "411", "311") and before in _EMERGENCY:
        return context.words.digits(digits)
    if (before in _DIGITWISE and len(digits) > 2) or (before in ("number", "no") and len(digits) > 4):
        return context.words.digits(digits)
    if (before == "code" and context.before(2) == "area") or (len(digits) == 5 and STREET.match(following)):
        return context.words.digits(digits)
    if _pairs(digits) and (before in _PAIRWISE or STREET.match(following)):
        return context.words.pairs(digits)
    if is_year(digits, context, following):
        return context.words.year(int(digits))
    if (len(digits) == 3 and _is_ancient(before, following)) or (len(digits) == 4 and _ERA.match(following)):
        return context.words.pairs(digits)
    if len(digits) >= 10 and before not in ("of", "for", "to"):
        return context.words.digits(digits)
    if len(digits) == 5 and context.tokens and context.tokens[-1].rule == "state":
        return context.words.digits(digits)
    return context.words.whole(digits)


def _integer_kind(match: re.Match[str], context: Context) -> str | None:
    return (
        _integer(match, context)
        if is_year(match.group(), context, match.string[match.end() : match.end() + 60])
        else None
    )


NUMBERS: tuple[Rule, ...] = (
    rule("ordinal", "ordinal", r"(\d[\d,]{0,30})(?:st|nd|rd|th|ST|ND|RD|TH)(?!\w)", _ordinal),
    rule("scientific notation", "decimal", rf"({NUMBER})(?:[eE]|\s?[x×]\s?10\^?)([-+]?\d+)(?!\w)", _scientific),
    rule("version or address", "version", r"\d+(?:\.\d+){2,}(?!\w)", _version),
    rule(
        "scientific notation",
        "decimal",
        rf"({NUMBER})\s?[x×]\s?10([⁻⁰¹²³⁴-⁹]+)",
        _scientific,
    ),
    rule("power", "cardinal", rf"({NUMBER})(\^[-+]?\d+|[⁻⁺]?[⁰¹²³⁴-⁹]+)", _power),
    rule("fraction", "fraction", rf"(?:\d+\s?|)[{VULGAR}]", _vulgar),
    rule("fraction", "fraction", r"(?:(\d+)[ -])?(\d+)/(\d+)(?![\w/]|[.,]\d)", _fraction),
    rule("calculation", "symbol", rf"{NUMBER}(?:\s?[-+−×*÷/=<>≤≥≈^]\s?{NUMBER}){{1,12}}(?!\w)", _calculation),
    rule("numbers with slashes", "ratio", r"\d+(?:\.\d+)?(?:/\d+)+(?!\w)", _slashed, "guess"),
    rule("range", "range", rf"([-−])?({QUANTITY}){DASH}({QUANTITY})(?![\w-]|[.,]\d)", _range, "likely"),
    rule("signed number", "cardinal", rf"([-−+±~≈<>≤≥#№])\s?({QUANTITY})(?![\w])", _signed),
    rule("number and letter", "mixed", r"(\d{3})\(([a-z])\)", _with_letter),
    rule("lines of a screen", "mixed", r"(240|360|480|720|1080|1440|2160)([pi])(?!\w)", _with_letter),
    rule("pence", "money", r"(\d{1,2})p(?!\w)", _pence, "likely"),
    rule("stars", "mixed", r"([1-7])[*★⭐](?!\w|\s?\d)", lambda m, c: f"{c.words.whole(m.group(1))} star"),
    rule("number and more", "cardinal", rf"({NUMBER})\+(?!\w)", _plus),
    rule("number and word", "mixed", rf"({NUMBER})-((?:[A-Za-z][a-z]+|[a-z]+)(?:-[A-Za-z]+)*)(?!\w)", _joined),
    rule("decimal", "decimal", r"(?:\d{1,3}(?:,\d{3})+|\d+)?\.\d+(?!\w)", _decimal),
    rule("number", "cardinal", r"\d{1,3}(?:,\d{3})+(?![\w])", _vulgar),
    rule("year", "year", r"\d{4}(?!\w|\.\d)", _integer_kind, "likely"),
    rule("number", "cardinal", r"\d+(?!\w|\.\d)", _integer),
)
LAST_NUMBER: tuple[Rule, ...] = (
    rule("decimal", "decimal", r"\d+\.\d+", _vulgar, "guess"),
    rule("number", "cardinal", r"\d+", _digit_run, "guess"),
)
BEFORE_NUMBERS: tuple[Rule, ...] = (
    rule("sign before a number", "symbol", r"[~≈<>≤≥±](?=\s?[\d.$£€])", lambda match, _: _SIGNS[match.group()]),
    rule("copyright", "symbol", r"\([cC]\)(?=\s?\d{4})", lambda *_: "copyright"),
)
