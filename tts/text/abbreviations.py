"""Abbreviations, units and symbols in words: `Dr. Lee & Co.` to `Doctor Lee and Company`."""

import re

from tts.text.inline import outside_inline

_TITLES = {  # before a name, with or without the point
    **{"Mr": "Mister", "Mrs": "Missus", "Ms": "Miz", "Messrs": "Messieurs", "Prof": "Professor", "Drs": "Doctors"},
}
_NAMED = {  # before a capital, with the point
    **{"Rev": "Reverend", "Gen": "General", "Col": "Colonel", "Capt": "Captain", "Lt": "Lieutenant"},
    **{"Sgt": "Sergeant", "Maj": "Major", "Cpl": "Corporal", "Gov": "Governor", "Sen": "Senator", "Hon": "Honorable"},
    **{"Rep": "Representative", "Pres": "President", "Supt": "Superintendent", "Insp": "Inspector", "Mt": "Mount"},
    **{"Ft": "Fort", "Cmdr": "Commander", "Adm": "Admiral"},
}
_ANYWHERE = {  # with the point
    **{"etc": "et cetera", "vs": "versus", "viz": "namely", "approx": "approximately", "dept": "department"},
    **{"Jr": "Junior", "Sr": "Senior", "Esq": "Esquire", "Inc": "Incorporated", "Ltd": "Limited", "Co": "Company"},
    **{"Corp": "Corporation", "Bros": "Brothers", "Dept": "Department", "Ave": "Avenue", "Blvd": "Boulevard"},
    **{"Rd": "Road", "Hwy": "Highway", "Jan": "January", "Feb": "February", "Mar": "March", "Apr": "April"},
    **{"Aug": "August", "Sept": "September", "Sep": "September", "Oct": "October", "Nov": "November"},
    **{"Dec": "December"},
}
_NUMBERED = {  # before a number, with the point
    **{"no": "number", "nos": "numbers", "vol": "volume", "vols": "volumes", "p": "page", "pp": "pages"},
    **{"ch": "chapter", "fig": "figure", "figs": "figures", "sec": "section", "art": "article", "jun": "june"},
    **{"jul": "july"},
}
_UNITS = {  # after a number: singular, plural
    **{"km": ("kilometer", "kilometers"), "cm": ("centimeter", "centimeters"), "mm": ("millimeter", "millimeters")},
    **{"kg": ("kilogram", "kilograms"), "mg": ("milligram", "milligrams"), "ml": ("milliliter", "milliliters")},
    **{"lb": ("pound", "pounds"), "lbs": ("pound", "pounds"), "oz": ("ounce", "ounces"), "ft": ("foot", "feet")},
    **{"mi": ("mile", "miles"), "hr": ("hour", "hours"), "hrs": ("hour", "hours"), "min": ("minute", "minutes")},
    **{"mins": ("minute", "minutes"), "sec": ("second", "seconds"), "secs": ("second", "seconds")},
    **{"ms": ("millisecond", "milliseconds"), "Hz": ("hertz", "hertz"), "kHz": ("kilohertz", "kilohertz")},
    **{"MHz": ("megahertz", "megahertz"), "GHz": ("gigahertz", "gigahertz"), "KB": ("kilobyte", "kilobytes")},
    **{"MB": ("megabyte", "megabytes"), "GB": ("gigabyte", "gigabytes"), "TB": ("terabyte", "terabytes")},
    **{"kW": ("kilowatt", "kilowatts"), "mph": ("mile per hour", "miles per hour")},
    **{"km/h": ("kilometer per hour", "kilometers per hour"), "m/s": ("meter per second", "meters per second")},
}


def _any_of(words: dict[str, str] | dict[str, tuple[str, str]]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


_TITLE = re.compile(rf"\b({_any_of(_TITLES)})\b\.?(?!\w)")
_NAME = re.compile(rf"\b({_any_of(_NAMED)})\.(?=\s+[A-Z{{])")
_WORD = re.compile(rf"\b({_any_of(_ANYWHERE)})\.(?!\w)")
_NUMBER = re.compile(rf"(?<![\w.])({_any_of(_NUMBERED)})\.\s*(?=#?[A-Z]{{0,2}}\d|(?-i:[IVX]{{2,}}\b))", re.IGNORECASE)
_UNIT = re.compile(rf"(\d)\s?({_any_of(_UNITS)})\b(?!/)")
_DOCTOR = re.compile(r"(\b[A-Z][a-z]+ )?\bDr(?:\.(?!\w)|(?=\s+[A-Z]))(\s+[A-Z{])?")
_SAINT = re.compile(r"\bSt\.(?!\w)(\s+[A-Z{])?")
_CLOCK = re.compile(r"(?<=\d)\s*([ap])\.?\s?m\b\.?", re.IGNORECASE)


def _closing_point(match: re.Match[str]) -> str:
    """The point of an abbreviation that ends the text ends the sentence too."""
    return "." if re.fullmatch(r"[\s\"')\]]*", match.string[match.end() :]) else ""


def _doctor(match: re.Match[str]) -> str:
    before, after = match.group(1) or "", match.group(2) or ""
    if before and not after:
        return f"{before}Drive{_closing_point(match)}"
    return f"{before}Doctor{after}"


def _saint(match: re.Match[str]) -> str:
    after = match.group(1)
    return f"Saint{after}" if after else f"Street{_closing_point(match)}"


def _numbered(match: re.Match[str]) -> str:
    word = _NUMBERED[match.group(1).lower()]
    return (word.capitalize() if match.group(1)[0].isupper() else word) + " "


def _unit(match: re.Match[str]) -> str:
    alone = re.search(r"(?<![\d.,])1$", match.string[: match.start() + 1])
    return f"{match.group(1)} {_UNITS[match.group(2)][0 if alone else 1]}"


def _degrees(match: re.Match[str]) -> str:
    alone = re.search(r"(?<![\d.,])1\s*$", match.string[: match.start()])
    scale = {"C": " Celsius", "F": " Fahrenheit"}.get(match.group(1) or "", "")
    return f" {'degree' if alone else 'degrees'}{scale} "


def _read_symbols(text: str) -> str:
    """`& + = @ # / °` in words; the slash of a fraction or a date is left to `expand_numbers`."""
    text = re.sub(r"\bAT&T\b", "A.T. and T.", text)
    text = re.sub(r"&c\b\.?", "et cetera", text)
    text = re.sub(r"\s*&\s*", " and ", text)
    text = re.sub(r"°\s?([CF])?\b|°", _degrees, text)
    text = re.sub(r"\b([CF])#(?!\w)", r"\1 sharp", text)
    text = re.sub(r"#\s?(?=\d)", "number ", text)
    text = re.sub(r"#(?=[A-Za-z])", "hashtag ", text).replace("#", " number ")
    text = re.sub(r"\band/or\b", "and or", text, flags=re.IGNORECASE)
    text = re.sub(r"(?<!\d)/|/(?!\d)", " slash ", text)
    for symbol, word in (("+", "plus"), ("=", "equals"), ("@", "at")):
        text = text.replace(symbol, f" {word} ")
    return text


@outside_inline
def expand_abbreviations(text: str) -> str:
    """Titles, streets, months, units after a number and symbols in words. Dotted initials (U.S.) stay as they are."""
    text = re.sub(r"\b[Ee]\.\s?g\.", "for example", text)
    text = re.sub(r"\b[Ii]\.\s?e\.", "that is", text)
    text = re.sub(r"\bPh\.\s?D\.", "P.H.D.", text)
    text = _DOCTOR.sub(_doctor, text)
    text = _SAINT.sub(_saint, text)
    text = _TITLE.sub(lambda match: _TITLES[match.group(1)], text)
    text = _NAME.sub(lambda match: _NAMED[match.group(1)], text)
    text = _NUMBER.sub(_numbered, text)
    text = _WORD.sub(lambda match: _ANYWHERE[match.group(1)] + _closing_point(match), text)
    text = _CLOCK.sub(lambda match: f" {match.group(1).lower()}.m.", text)
    text = _UNIT.sub(_unit, text)
    text = _read_symbols(text)
    text = re.sub(r"\bAD(?=\s\d)|(?<=\d\s)AD\b", "A.D.", text)
    text = re.sub(r"(?<=\d\s)BC(E?)\b", lambda match: "B.C.E." if match.group(1) else "B.C.", text)
    text = re.sub(r"\bwww\.(?=\w)", "W.W.W. dot ", text)
    text = re.sub(r"(?<=[a-z0-9])\.(?=[a-z]{2})", " dot ", text)
    return re.sub(r"[^\S\n]+", " ", text)
