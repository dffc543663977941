"""Rules for dates, times of day, years, decades and telephone numbers."""

import re

from tts.text.numbers import is_fraction
from tts.text.rules import DASH, Context, Rule, rule, spelled
from tts.text.tables import MONTH_NAMES, MONTHS, words_of

_MONTH = "|".join(sorted(MONTH_NAMES, key=len, reverse=True))
_YEAR = r"(?P<year>[12]\d{3}(?![\d,]*\d)|'\d\d)"
_AFTER = r"(?![\w]|[.,:/]\d|[-–/]\d)"
_DATED = words_of(
    "on by since until till from before after due dated between starting ending through deadline for expires "
    "monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun date effective"
)
_SCRIPTURE = words_of(
    "psalm psalms john luke mark matthew genesis exodus leviticus deuteronomy joshua judges samuel kings job proverbs "
    "ecclesiastes isaiah jeremiah ezekiel daniel acts romans corinthians galatians ephesians hebrews james revelation"
)
_RATIO = words_of("ratio odds score mix")
_BEFORE_YEAR = words_of(
    "the in of since by until till from during before after year years circa around about to between early late mid "
    "spring summer fall autumn winter copyright class christmas through"
)


def year_of(written: str, context: Context) -> str:
    """A year of four digits, or of two with an apostrophe."""
    if written.startswith("'"):
        return short_year(written[1:], context)
    return context.words.year(int(written))


def short_year(digits: str, context: Context) -> str:
    """`64` is `sixty-four`, `05` is `oh five`."""
    n = int(digits)
    return f"oh {context.words.cardinal(n)}" if 0 < n < 10 else context.words.cardinal(n)


def _full_year(digits: str) -> str:
    """Four digits for the two of a date: up to 40 they are of this century."""
    return digits if len(digits) == 4 else f"20{digits}" if int(digits) <= 40 else f"19{digits}"


def _day(day: int, context: Context, suffixed: bool = False) -> str:
    cardinal = context.days == "cardinal" and not suffixed
    return context.words.cardinal(day) if cardinal else context.words.ordinal(day)


def _date(month: int, day: int, year: str, context: Context) -> str | None:
    """A date of numbers, in the order of the style."""
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    ending = f", {context.words.year(int(_full_year(year)))}" if year else ""
    if context.style == "uk":
        return (
            f"{'' if context.before() == 'the' else 'the '}{context.words.ordinal(day)} of {MONTHS[month - 1]}{ending}"
        )
    return f"{MONTHS[month - 1]} {_day(day, context)}{ending}"


def _iso(match: re.Match[str], context: Context) -> str | None:
    year, month, day = match.group(1, 3, 4)
    return _date(int(month), int(day), year, context)


def _date_and_time(match: re.Match[str], context: Context) -> str | None:
    year, month, day, hour, minute = match.group(1, 2, 3, 4, 5)
    date = _date(int(month), int(day), year, context)
    return f"{date}, {_clock(hour, minute, context)}" if date else None


def _numeric(match: re.Match[str], context: Context) -> str | None:
    first, second, year = int(match.group(1)), int(match.group(3)), match.group(4)
    day_first = context.style == "uk" or match.group(2) == "."
    month, day = (second, first) if day_first else (first, second)
    if month > 12:
        month, day = day, month
    return _date(month, day, year, context)


def _month_and_day(match: re.Match[str], context: Context) -> str | None:
    first, second = int(match.group(1)), int(match.group(2))
    if match.group() == "9/11":
        return "nine eleven"
    dated = context.before() in _DATED
    if not dated and (is_fraction(first, second) or (first, second) == (24, 7)):
        return None
    month, day = (second, first) if context.style == "uk" else (first, second)
    if month > 12:
        month, day = day, month
    return _date(month, day, "", context) if dated or day > 9 else None


def _month_and_year(match: re.Match[str], context: Context) -> str | None:
    month = int(match.group(1))
    return f"{MONTHS[month - 1]} {context.words.year(int(match.group(2)))}" if 1 <= month <= 12 else None


def _named_day(match: re.Match[str], context: Context) -> str | None:
    """`January 5`, `Jan. 5-7, 1999`, `March 3rd`."""
    day, to, year = int(match.group("day")), match.group("to"), match.group("year")
    if not 1 <= day <= 31:
        return None
    said = f"{MONTH_NAMES[match.group('month')]} {_day(day, context, match.group('suffix') is not None)}"
    if to:
        said += f" to {_day(int(to), context)}"
    return said + (f", {year_of(year, context)}" if year else "")


def _day_named(match: re.Match[str], context: Context) -> str | None:
    """`5 January 2020`, `14th June`, `1st of May`."""
    day, year = int(match.group("day")), match.group("year")
    if not 1 <= day <= 31:
        return None
    suffixed, of = match.group("suffix"), match.group("of")
    said = _day(day, context, True)
    if match.group("to"):
        said += f" to {context.words.ordinal(int(match.group('to')))}"
    article = "" if context.before() in ("the", "this", "that") or suffixed else "the "
    linked = " of" if of or not suffixed else ""
    named = f"{article}{said}{linked} {MONTH_NAMES[match.group('month')]}"
    return named + (f", {year_of(year, context)}" if year else "")


def _named_year(match: re.Match[str], context: Context) -> str:
    return f"{MONTH_NAMES[match.group('month')]} {year_of(match.group('year'), context)}"


def _month_alone(match: re.Match[str], context: Context) -> str | None:
    written = match.group(1) or match.group(2)
    return None if written in MONTHS else MONTH_NAMES[written]


# Times of day ----------------------------------------------------------------------------------------------------


def _clock(hour: str, minute: str | None, context: Context) -> str:
    """Hours and minutes without what follows them."""
    said = context.words.cardinal(int(hour))
    if not minute or minute == "00":
        return said
    return f"{said} {'oh ' if minute[0] == '0' else ''}{context.words.cardinal(int(minute))}"


def _half_day(match: re.Match[str], context: Context) -> str | None:
    if int(match.group("h")) > 12 and match.group("m") is None:
        return None
    said = _clock(match.group("h"), match.group("m"), context)
    return f"{said} {match.group('half').upper()}.M."


def _half_days(match: re.Match[str], context: Context) -> str:
    first = _clock(match.group("h1"), match.group("m1"), context)
    if match.group("half1"):
        first += f" {match.group('half1').upper()}.M."
    return f"{first} to {_clock(match.group('h2'), match.group('m2'), context)} {match.group('half2').upper()}.M."


def _time(match: re.Match[str], context: Context) -> str | None:
    hour, minute, second = match.group(1, 2, 3)
    if context.before() in _RATIO or (context.before() in ("of", "was", "is") and context.before(2) in _RATIO):
        return None
    if second:
        parts = [(int(hour), "hour"), (int(minute), "minute"), (int(second), "second")]
        named = [f"{context.words.cardinal(n)} {name}{'' if n == 1 else 's'}" for n, name in parts if n]
        return " ".join([*named[:-1], *(["and"] if len(named) > 1 else []), *named[-1:]]) or "zero seconds"
    if minute != "00":
        return _clock(hour, minute, context)
    said = context.words.cardinal(int(hour))
    if re.match(r"\s*o'clock|\s*hours", match.string[match.end() : match.end() + 12]):
        return said if int(hour) <= 12 else f"{said} hundred"
    return f"{said} hundred" if int(hour) > 12 or int(hour) == 0 else f"{said} o'clock"


def _military(match: re.Match[str], context: Context) -> str:
    """`0800 hours` is `oh eight hundred`."""
    hour, minute = match.groups()
    said = f"{'oh ' if hour[0] == '0' else ''}{context.words.cardinal(int(hour))}"
    return f"{said} {'hundred' if minute == '00' else short_year(minute, context)}"


def _times(match: re.Match[str], context: Context) -> str:
    first, second = match.group(1).split(":"), match.group(2).split(":")
    return f"{_clock(first[0], first[1], context)} to {_clock(second[0], second[1], context)}"


def _ratio(match: re.Match[str], context: Context) -> str:
    verse = context.before() in _SCRIPTURE
    return (" " if verse else " to ").join(context.words.whole(part) for part in match.group().split(":"))


# Telephone numbers -------------------------------------------------------------------------------------------------


def _phone(match: re.Match[str], context: Context) -> str:
    """Digit by digit, a pause between groups; 800 is `eight hundred`."""
    written = match.group()
    groups = re.findall(r"\d+", written)
    said = ["eight hundred" if group == "800" else context.words.digits(group) for group in groups]
    if re.search(r"[x#]|ext", written):
        said[-1] = f"extension {said[-1]}"
    joined = f"{said[0]} {', '.join(said[1:])}" if groups[0] == "1" else ", ".join(said)
    return f"plus {joined}" if written.startswith("+") else joined


def _vanity(match: re.Match[str], context: Context) -> str:
    number = "eight hundred" if match.group(1) == "800" else context.words.digits(match.group(1))
    words = [word if len(word) > 3 else spelled(word) for word in match.group(2).split("-")]
    return f"one {number} {' '.join(words)}"


def _code_digits(match: re.Match[str], context: Context) -> str:
    return ", ".join(context.words.digits(group) for group in re.findall(r"\d+", match.group()))


def _decade(match: re.Match[str], context: Context) -> str:
    return context.words.decade(match.group(1) or "", match.group(2))


def _short_year(match: re.Match[str], context: Context) -> str:
    return short_year(match.group(1), context)


def _years(match: re.Match[str], context: Context) -> str | None:
    first, last = match.group(1), match.group(2)
    if len(last) == 4 and not int(first) < int(last):
        return None
    said = context.words.year(int(last)) if len(last) == 4 else short_year(last, context)
    return f"{context.words.year(int(first))} to {said}"


def is_year(digits: str, context: Context, following: str) -> bool:
    """Whether four digits are read as a year: not before a noun that they count, unless they are round hundreds."""
    if not (len(digits) == 4 and 1010 <= int(digits) <= 2199):
        return False
    counted = re.match(r"\s(?:[a-z]{3,}[^s\W]s|people|men|women|children|feet|more)\b(?<!\bthis)", following)
    return not counted or digits.endswith("00") or context.before() in _BEFORE_YEAR or digits == "2000"


_SUFFIX = r"(?P<suffix>st|nd|rd|th)?"
_HALF = r"\s?(?P<half{0}>[AaPp])(?:\.\s?[Mm]\b\.?|[Mm](?!\w))"
NAMED_DATES: tuple[Rule, ...] = (
    rule(
        "month and day",
        "date",
        rf"(?P<month>{_MONTH})\.?\s+(?:the\s)?(?P<day>\d{{1,2}}){_SUFFIX}(?:{DASH}(?P<to>\d{{1,2}})(?:st|nd|rd|th)?(?!\d))?"
        rf"(?!\w|[:%]|[.,/]\d|-\d)(?:,?\s+{_YEAR})?",
        _named_day,
    ),
    rule("month and year", "date", rf"(?P<month>{_MONTH})\.?,?\s+(?P<year>[12]\d{{3}}|'\d\d)(?!\w|,\d)", _named_year),
    rule(
        "month", "abbreviation", rf"({_MONTH})\.(?!\w)(?!\s+[A-Z])|\b(Jan|Feb|Aug|Sept|Oct|Nov|Dec)\b\.?", _month_alone
    ),
)
PHONES: tuple[Rule, ...] = (
    rule(
        "digits in groups",
        "code",
        r"\d{4}(?:[ -]\d{4}){3}(?![\w-])|\d{5}-\d{4}(?![\w-])|\d{3}-\d{2}-\d{4}(?![\w-])",
        _code_digits,
    ),
    rule(
        "telephone number",
        "phone",
        r"(?:\+?\d{1,3}[ .-]?)?\(\d{3}\)\s?\d{3}[ .-]?\d{4}(?:,?\s?(?:x|ext\.?)\s?\d{1,5})?(?![\w-])",
        _phone,
    ),
    rule(
        "telephone number",
        "phone",
        r"(?:\+?1[ .-])?(?:\d{3}-\d{3}-|\d{3}\.\d{3}\.|\d{3} \d{3}[ -])\d{4}(?:,?\s?(?:x|ext\.?)\s?\d{1,5})?(?![\w-])",
        _phone,
    ),
    rule("telephone number", "phone", r"\+\d{1,3}(?:[ .-]\(?\d{1,4}\)?){2,6}(?![\w-])", _phone),
    rule("telephone number", "phone", r"0\d{2,4}[ -]\d{3,4}[ -]\d{3,4}(?![\w-])", _phone),
    rule("telephone number", "phone", r"\d{3}-\d{4}(?![\w-])", _phone),
    rule("telephone number in letters", "phone", r"1-(8\d\d|900)-([A-Z]+(?:-[A-Z]+)*)\b", _vanity),
    rule("digits in groups", "code", r"\d{1,5}(?:-\d{1,7}){3,6}(?![\w-])", _code_digits),
)
TIMES: tuple[Rule, ...] = (
    rule(
        "times of day",
        "time",
        rf"(?P<h1>1[0-2]|0?\d)(?::(?P<m1>[0-5]\d))?(?:{_HALF.format(1)})?{DASH}(?P<h2>1[0-2]|0?\d)(?::(?P<m2>[0-5]\d))?{_HALF.format(2)}",
        _half_days,
    ),
    rule("time of day", "time", rf"(?P<h>[01]?\d|2[0-4])(?:[:.](?P<m>[0-5]\d))?{_HALF.format('')}", _half_day),
    rule("times of day", "time", rf"((?:[01]?\d|2[0-4]):[0-5]\d){DASH}((?:[01]?\d|2[0-4]):[0-5]\d)(?![\d:])", _times),
    rule("time of day", "time", r"([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\w:]|\.\d)", _time),
    rule("hours of a day", "time", r"(0\d|1\d|2[0-4])([0-5]\d)(?=\s?(?:hours|hrs)\b)", _military),
    rule("ratio", "ratio", r"\d+(?::\d+)+(?!\w)", _ratio),
)
DATES: tuple[Rule, ...] = (
    rule(
        "date and time",
        "date",
        r"([12]\d{3})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?(Z|[+-]\d\d:?\d\d)?(?!\w)",
        _date_and_time,
    ),
    rule("date, year first", "date", r"([12]\d{3})([-/])(\d{1,2})\2(\d{1,2})(?![\w-])", _iso),
    rule("date in numbers", "date", rf"(\d{{1,2}})([/.-])(\d{{1,2}})\2([12]\d{{3}}|\d\d){_AFTER}", _numeric),
    rule("month and year in numbers", "date", r"(0?[1-9]|1[0-2])/((?:19|20)\d\d)(?![\w/])", _month_and_year),
    rule("month and day in numbers", "date", rf"(\d{{1,2}})/(\d{{1,2}}){_AFTER}", _month_and_day, "likely"),
    rule(
        "day and month",
        "date",
        rf"(?P<day>\d{{1,2}})(?:{DASH}(?P<to>\d{{1,2}}))?{_SUFFIX}\s+(?P<of>of\s+)?(?P<month>{_MONTH})(?:\.(?=\s))?(?!\w)(?:,?\s+{_YEAR})?",
        _day_named,
    ),
    rule("decade", "decade", r"'?(?!00'?s)(\d\d)?(\d0)'?s(?!\w)", _decade),
    rule("years", "range", rf"((?:1[0-9]|20)\d\d){DASH}((?:1[0-9]|20)\d\d|\d\d)(?![\w%]|[.,]\d|-\d)", _years),
    rule("short year", "year", r"'(\d\d)(?![\w'])", _short_year),
)
