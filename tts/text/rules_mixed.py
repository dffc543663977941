"""Rules for letters joined to digits: `COVID-19`, `B2B`, `MP3`, `v2.0`, `under-5s`."""

import re

from tts.text.numbers import plural
from tts.text.rules import Context, Rule, rule, spelled
from tts.text.tables import ACRONYMS
from tts.text.vocabulary import is_word, spells


def letters_of(written: str) -> str:
    """The letters of a mixed token: a word where they are one, else spelled."""
    lower = written.lower()
    if len(written) == 1:
        return spelled(written)
    if written in ACRONYMS or (
        not written.isupper() and (is_word(lower) or (len(written) > 3 and re.search("[aeiouy]", lower)))
    ):
        return written
    if written.isupper() and len(written) > 5:
        return written
    if written.isupper() and len(written) > 3 and not spells(written):
        return written
    if not written.isupper() and not written.islower() and len(written) > 2 and written[1:].islower():
        return written
    return spelled(written.upper())


def _mixed(match: re.Match[str], context: Context) -> str:
    """Runs of letters and digits: `COVID-19`, `B2B`, `MP3`, `C2766`."""
    written = match.group().removesuffix("'s")
    runs = re.findall(r"[A-Za-z]+|\d+|-", written)
    said: list[str] = []
    lead = ""
    for place, run in enumerate(runs):
        if run == "-":
            continue
        if run.isalpha():
            many = run[:-1] if run.endswith("s") and run[:-1].isupper() else ""
            if run == "s" and said and runs[place - 1].isdecimal():  # under-5s
                said[-1] = plural(said[-1])
                continue
            ordinal = place > 0 and run in ("st", "nd", "rd", "th")
            said.append(run if ordinal else f"{letters_of(many)}s" if many else letters_of(run))
            lead = run
            continue
        hyphen = place > 0 and runs[place - 1] == "-"
        said.append(_run_of_digits(run, lead, hyphen, context))
    return " ".join(said) + (match.group(1) or "")


def _lettered_decimal(match: re.Match[str], context: Context) -> str:
    """`v2.0`, `PM2.5`."""
    first, *rest = match.group(2).split(".")
    parts = [context.words.whole(first), *(context.words.digits(part) for part in rest)]
    return f"{letters_of(match.group(1))} {' point '.join(parts)}"


def _word_and_decade(match: re.Match[str], context: Context) -> str:
    return f"{match.group(1)} {context.words.decade(match.group(2) or '', match.group(3))}"


def _run_of_digits(run: str, lead: str, hyphen: bool, context: Context) -> str:
    if lead and re.fullmatch(r"(?:19|20)\d\d", run):  # FY2023
        return context.words.year(int(run))
    if run[0] == "0":
        return context.words.digits(run)
    if len(run) == 3 and not run.endswith("00") and (hyphen or len(lead) <= 1):
        return context.words.pairs(run)
    if len(run) == 4 and hyphen:
        return context.words.year(int(run))
    if len(run) >= 3 and lead and not run.endswith("00"):
        return context.words.digits(run)
    return context.words.whole(run)


MIXED: tuple[Rule, ...] = (
    rule("word and decade", "decade", r"([A-Za-z]{2,12})-(?!00'?s)(\d\d)?(\d0)'?s(?!\w)", _word_and_decade),
    rule("letters and decimal", "mixed", r"([A-Za-z]{1,10})-?(\d+(?:\.\d+)+)(?!\w)", _lettered_decimal, "likely"),
    rule(
        "letters and digits",
        "mixed",
        r"(?=[A-Za-z]{1,20}-?\d|\d{1,20}-?[A-Za-z])[A-Za-z\d]+(?:-[A-Za-z\d]+)*('s)?(?!\w)",
        _mixed,
        "likely",
    ),
)
