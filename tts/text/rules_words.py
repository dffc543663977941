"""Rules for words: abbreviations, roman numerals, initialisms, acronyms, and letters mixed with digits."""

import re

from tts.text.numbers import roman
from tts.text.rules import Context, Rule, rule, spelled
from tts.text.tables import (
    ACRONYMS,
    ANYWHERE,
    COUNTED,
    DOTTED_WORDS,
    INITIALISMS,
    MONTH_NAMES,
    NUMBERED,
    POINTLESS,
    RANKS,
    REGNAL,
    SLASHED,
    STATES,
    STREETS,
    TITLES,
    UNDOTTED,
    WEEKDAYS,
    words_of,
)
from tts.text.vocabulary import is_word, spells

Rows = dict[str, str]


def _any_of(words: Rows | frozenset[str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


def _title(match: re.Match[str], context: Context) -> str:
    return TITLES[match.group(1)]


def _rank(match: re.Match[str], context: Context) -> str:
    return RANKS[match.group(1)]


def _pointless_rank(match: re.Match[str], context: Context) -> str:
    return {**RANKS, **TITLES}[match.group(1)]


def _anywhere(match: re.Match[str], context: Context) -> str | None:
    written = match.group(1)
    if "." not in match.group() and written not in POINTLESS:
        return None
    return ANYWHERE[written] + (match.group(2) or "")


def _numbered(match: re.Match[str], context: Context) -> str | None:
    circa = re.match(r"\s?\d{3,4}\b", match.string[match.end() : match.end() + 6])
    if match.group(1) in ("C", "V") or (match.group(1) == "c" and not circa):
        return None
    word = NUMBERED[match.group(1).lower()]
    return word.capitalize() if match.group(1)[0].isupper() else word


def _doctor(match: re.Match[str], context: Context) -> str:
    """`Dr. Lee`, but `Oak Dr.`: a street where a name stands before and none after."""
    named = re.match(r"\s+[A-Z{]", match.string[match.end() : match.end() + 8])
    before = context.written_before()
    after_name = (
        before[:1].isupper() and context.tokens[-1].kind in ("word", "ordinal", "cardinal") if before else False
    )
    if before and before[0].isdecimal() and not named:
        after_name = True
    return "Drive" if after_name and not named else "Doctor"


def _saint(match: re.Match[str], context: Context) -> str | None:
    named = re.match(r"\s+[A-Z{]", match.string[match.end() : match.end() + 8])
    before = context.tokens[-1] if context.tokens else None
    street = (
        before is not None and (before.kind == "ordinal" or before.text[:1].isupper()) and before.kind != "punctuation"
    )
    numbered = len(context.tokens) > 1 and context.tokens[-2].text[:1].isdecimal()
    if street and (not named or numbered or (before is not None and before.kind == "ordinal")):
        return "Street"
    return "Saint" if named else "Street" if match.group().endswith(".") else None


def _weekdays(match: re.Match[str], context: Context) -> str:
    return f"{WEEKDAYS[match.group(1)]} to {WEEKDAYS[match.group(2)]}"


def _months(match: re.Match[str], context: Context) -> str:
    return f"{MONTH_NAMES[match.group(1)]} to {MONTH_NAMES[match.group(2)]}"


def _direction(match: re.Match[str], context: Context) -> str:
    return {"N": "North", "S": "South", "E": "East", "W": "West"}[match.group(1)]


def _weekday(match: re.Match[str], context: Context) -> str:
    return WEEKDAYS[match.group(1)]


def _state(match: re.Match[str], context: Context) -> str | None:
    if len(context.tokens) < 2 or context.tokens[-1].text != "," or not context.tokens[-2].text[:1].isupper():
        return None
    return STATES[match.group(1)]


def _dotted(match: re.Match[str], context: Context) -> str:
    """`U.S.` and `U.S.'s`, `e.g.`: what the table says, else the letters."""
    written = match.group().replace(" ", "")
    if found := DOTTED_WORDS.get(written.lower()):
        return found
    letters, _, ending = written.rpartition(".")
    return f"{letters.upper()}.{ending}"


def _versus(match: re.Match[str], context: Context) -> str | None:
    return "versus" if context.written_before()[:1].isupper() else None


def _by(match: re.Match[str], context: Context) -> str | None:
    return "by" if context.tokens and context.tokens[-1].kind in ("measure", "cardinal", "decimal") else None


def _slashed(match: re.Match[str], context: Context) -> str:
    return SLASHED[match.group().lower()]


# Roman numerals ----------------------------------------------------------------------------------------------------


# "George I think" is more likely someone speaking to George.
_MIND = (
    r"\.?\s+(?:think|thought|know|knew|am|have|don|do|did|can|will|would|want|believe|hope|feel|see|saw|love|like|mean|"
    r"need|guess|wish|swear|must|should|could|promise|never|just|always|also|really|was\s\w+ing)\b"
)


def _regnal(match: re.Match[str], context: Context) -> str | None:
    said = _numeral(match, context)
    return said + (match.group(2) or "") if said else None


def _numeral(match: re.Match[str], context: Context) -> str | None:
    """`Henry VIII` is the eighth; after other names and what is counted a numeral is a cardinal."""
    numeral = match.group(1)
    value = roman(numeral)
    if value and re.match(r"(?:-|\s)[Cc]entury\b", match.string[match.end() : match.end() + 9]):
        return context.words.ordinal(value)
    before = context.written_before().removesuffix("'s")
    if not value or not before or context.tokens[-1].kind == "punctuation":
        return None
    if context.tokens[-1].rule == "before a number":
        return context.words.cardinal(value)
    if context.tokens[-1].kind == "abbreviation":
        return None
    following = match.string[match.end() : match.end() + 20]
    if before in COUNTED:
        return (
            None
            if numeral == "I" and re.match(r"\s(?:am|was|have|will|had|think|do|can)\b", following)
            else context.words.cardinal(value)
        )
    earlier = context.tokens[-2].text if len(context.tokens) > 1 else ""
    if before in REGNAL:
        if numeral == "I" and re.match(_MIND, following):
            return None
        if numeral in ("C", "L") or (numeral in ("X", "V") and before == "Malcolm"):
            return None
        return f"the {context.words.ordinal(value)}"
    if len(numeral) == 1 or not before[0].isupper() or not before.isalpha() or not before[1:].islower():
        return None
    # A person's name has two parts: John Smith III.
    if (
        value <= 4
        and earlier[:1].isupper()
        and earlier[1:].islower()
        and is_name(earlier)
        and not context.text[match.end() :][:2].isdecimal()
    ):
        return f"the {context.words.ordinal(value)}"
    return context.words.cardinal(value)


def is_name(word: str) -> bool:
    """Whether a capitalised word is likely a first name: common nouns and adjectives are not."""
    return word in REGNAL or word in _FIRST_NAMES


_FIRST_NAMES = words_of(
    "Thomas Michael David Daniel Matthew Andrew Joshua Christopher Anthony Mark Donald Steven Kevin Brian Jason "
    "Jeffrey Ryan Jacob Gary Timothy Jose Larry Frank Scott Eric Raymond Gregory Samuel Benjamin Patrick Jack "
    "Dennis Jerry Tyler Aaron Henry Adam Douglas Nathan Zachary Walter Kyle Harold Carl Arthur Roger Lawrence "
    "Terry Sean Jesse Austin Davis Cornelius Harry Sam Joe Bob Bill Tom Jim Mike Dave Fred Ralph Howard Earl "
    "Ernest Clarence Lewis Loudon Griffin Robert Martin Luther Ken Hank Cal Sammy Dale Thurston Booker Quincy "
    "Davis Marcus Reginald Randall Winston"
)


_COUNTED_LOWER = words_of("page pages p pp chapter section part act scene item book volume vol article")


def _lower_numeral(match: re.Match[str], context: Context) -> str | None:
    value = roman(match.group(1).upper())
    counted = context.before() in _COUNTED_LOWER
    opens = len(context.tokens) < 2 or context.tokens[-2].kind == "punctuation"
    listed = match.group(2) == ")" and context.written_before() == "(" and opens
    return context.words.cardinal(value) if value and (counted or listed) else None


# Capitals ----------------------------------------------------------------------------------------------------------

_ALSO_WORDS = words_of(
    "US IT WHO AM ACT SAT LED AS IN OR ME OK AI ID NE PE POW ESP ICE CAT RIP BE IS NO SO ADD ICU AC MIA HI OS"
)


def _in_capitals(match: re.Match[str], context: Context) -> bool:
    """Whether a neighbour is a longer word in capitals too, so that they are emphasis."""
    after = re.match(r"[\s,!?.]{1,3}([A-Z]{2,})\b", match.string[match.end() : match.end() + 30])
    neighbours = [context.written_before(), after.group(1) if after else ""]
    return any(
        len(word) > 1 and word.isupper() and word.isalpha() and is_word(word.lower()) and word not in INITIALISMS
        for word in neighbours
    )


def _initialism(match: re.Match[str], context: Context) -> str | None:
    letters, ending = match.group(1), match.group(2) or ""
    if context.shouted and (letters in _ALSO_WORDS or letters not in INITIALISMS):
        return None
    if letters in _ALSO_WORDS and _in_capitals(match, context):
        return None
    if len(letters) > 6 or not spells(letters):
        return None
    return spelled(letters) + ending


def _acronym(match: re.Match[str], context: Context) -> str | None:
    if context.shouted or (is_word(match.group(1).lower()) and match.group(1) not in ACRONYMS):
        return None
    return match.group()


def _letter_and_sign(match: re.Match[str], context: Context) -> str | None:
    names = {"++": "plus plus", "+": "plus", "#": "sharp", "-": "minus", "*": "star"}
    return f"{match.group(1)}. {names[match.group(2)]}"


def _ampersand(match: re.Match[str], context: Context) -> str:
    first, second = match.group(1), match.group(2)
    return f"{spelled(first)} and {spelled(second)}{match.group(3) or ''}"


def _scale(match: re.Match[str], context: Context) -> str:
    return {"C": "Celsius", "F": "Fahrenheit"}[match.group(1)]


def _letter_power(match: re.Match[str], context: Context) -> str:
    power = match.group(2)
    named = {"2": "squared", "3": "cubed"}.get(power)
    minus = "minus " if power.startswith("-") else ""
    return f"{match.group(1)}. {named or f'to the power of {minus}{context.words.whole(power.lstrip(chr(45)))}'}"


def _letters(match: re.Match[str], context: Context) -> str:
    return spelled(match.group(1))


ROMAN = r"([IVXLC]{1,8})"
_DAY = _any_of(WEEKDAYS)
_STREETS = _any_of(STREETS)
NAMED_RANGES: tuple[Rule, ...] = (
    rule("days of the week", "range", rf"({_DAY})\.?\s?[-–—]\s?({_DAY})(?!\w)", _weekdays),
    rule("months", "range", rf"({_any_of(MONTH_NAMES)})\.?\s?[-–—]\s?({_any_of(MONTH_NAMES)})(?!\w)\.?", _months),
)
ABBREVIATIONS: tuple[Rule, ...] = (
    rule("direction", "abbreviation", r"([NSEW])\.?(?=\s\d{1,3}(?:st|nd|rd|th)\b)", _direction),
    rule("direction", "abbreviation", rf"([NSEW])\.(?=\s(?:[A-Z][a-z]+\s){{1,3}}(?:{_STREETS})\b)", _direction),
    rule("doctor or drive", "abbreviation", r"Dr(?:\.(?![a-z\d])|(?=\s+[A-Z])|(?=[,.]?(?:\s|\Z)))", _doctor),
    rule("saint or street", "abbreviation", r"St(?:\.(?!\w)|(?=\s)|(?=,)|(?=\Z))", _saint),
    rule("title", "abbreviation", rf"({_any_of(TITLES)})(?:\.(?![a-z\d])|(?=\s+[A-Z]))", _title),
    rule(
        "before a number",
        "abbreviation",
        rf"({_any_of(NUMBERED)})\.(?=\s?#?\(?[A-Z]{{0,2}}-?\d|\s?(?-i:[IVX]{{1,5}}\b))",
        _numbered,
        any_case=True,
    ),
    rule("rank", "abbreviation", r"(Capt|Sgt|Lt|Cpl|Pvt|Gov|Rev|Cmdr|Prof)(?=\s[A-Z][a-z])", _pointless_rank),
    rule("rank", "abbreviation", rf"({_any_of(RANKS)})\.(?=\s+[A-Z{{]|\s*\Z|,)", _rank),
    rule(
        "weekday",
        "abbreviation",
        rf"({_any_of(WEEKDAYS)})\.(?=,?\s+(?:[A-Z\d]|at\b|to\b|and\b|morning|night|afternoon)|[,-])",
        _weekday,
        "likely",
    ),
    rule(
        "weekday",
        "abbreviation",
        rf"({_any_of(WEEKDAYS)})(?=,\s(?:{_any_of(MONTH_NAMES)})\b|\s(?:{_any_of(MONTH_NAMES)})\.?\s\d)",
        _weekday,
    ),
    rule("weekday", "abbreviation", r"(Tues|Thurs|Thur)\.?(?!\w)", _weekday),
    rule("state", "abbreviation", rf"({_any_of(STATES)})(?!\w)", _state),
    rule("abbreviation", "abbreviation", rf"({_any_of(ANYWHERE)})(?:\.('s)?(?!\w)|(?!\w|'|-))", _anywhere),
    rule(
        "letters with points",
        "abbreviation",
        r"(?:e\.\s?g\.|i\.\s?e\.|a\.k\.a\.|n\.b\.|w\.r\.t\.|ph\.\s?ds?\.?|b\.sc\.|m\.sc\.|p\.s\.)(?!\w)",
        _dotted,
        any_case=True,
    ),
    rule("slashed abbreviation", "abbreviation", rf"(?:{_any_of(SLASHED)})(?!\w)", _slashed, any_case=True),
    rule("letters of a word", "initialism", rf"({_any_of(UNDOTTED)})(?!\w)", lambda match, _: UNDOTTED[match.group(1)]),
    rule("versus", "abbreviation", r"v\.(?=\s[A-Z])", _versus),
    rule("by", "measure", r"x(?=\s\d)", _by),
    rule("era", "initialism", r"(AD|BC|BCE|CE)(?=\s\d)", _letters),
)
CAPITALS: tuple[Rule, ...] = (
    rule("scale", "temperature", r"(?<=degrees )([CF])(?!\w)", _scale),
    rule("power", "symbol", r"([A-Za-z])\^(-?\d{1,3})(?!\w)", _letter_power),
    rule("initials", "initialism", r"(?:[A-Za-z]\.){2,20}(?:'?s(?!\w))?", _dotted),
    rule("initial", "initialism", r"([A-HJ-Z])\.(?=\s+[A-Z{])", _letters),
    rule("initials", "initialism", r"([A-Z]{1,3})\s?&\s?([A-Z]{1,3})('?s)?(?!\w)", _ampersand),
    rule("roman numeral", "roman", rf"{ROMAN}('s)?(?![\w'-])(?:\.(?=\s+[a-z]|[,;:]))?", _regnal),
    rule("roman numeral", "roman", r"([ivxl]{1,8})(?=(\)|\W|\Z))(?!['-])", _lower_numeral),
    rule("letter and sign", "mixed", r"([A-Z])(\+\+|[+#*]|-(?=[\s.,;!?]|\Z))(?!\w)", _letter_and_sign, "likely"),
    rule("initialism", "initialism", r"([A-Z]{2,6})('?s)?(?![A-Za-z\d]|-\d)", _initialism),
    rule("acronym", "acronym", r"([A-Z]{3,})(?:'?s)?(?![A-Za-z\d]|-\d)", _acronym, "likely"),
)
