"""Reading: one pass over a text that gives every stretch of it a class, what it is read as, and the rule for that."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tts.errors import TextError, quoted
from tts.settings import TextConfig
from tts.text.normalize import to_plain
from tts.text.numbers import NumberWords
from tts.text.rules import Context, Rule, closes
from tts.text.rules_amounts import AMOUNTS, MONEY
from tts.text.rules_mixed import MIXED
from tts.text.rules_numbers import BEFORE_NUMBERS, LAST_NUMBER, NUMBERS
from tts.text.rules_symbols import PUNCTUATION, SYMBOLS, closes_sentence
from tts.text.rules_times import DATES, NAMED_DATES, PHONES, TIMES
from tts.text.rules_web import TAGS, WEB
from tts.text.rules_words import ABBREVIATIONS, CAPITALS, NAMED_RANGES
from tts.text.tables import ANYWHERE, NUMBERED, SLASHED, words_of
from tts.text.tokens import Token

VERSION = 1  # of what is read how; a change is another frontend

_INLINE = re.compile(r"\{[^{}]*\}")
_SPACE = re.compile(r"\s+")
_WORD = re.compile(r"'?[A-Za-z]+(?:['-][A-Za-z]+)*'?")
# A word in small letters with nothing around it that a rule could want.
_PLAIN_WORD = re.compile(r"[a-z]{2,}(?:'[a-z]+)?(?=[ ,;!?]|\Z)")
_ELIDED = words_of("tis twas twere em n cause til till bout round cept kay tude gainst neath")
_NUMERAL = re.compile(r"[ivxl]+")
_LOWER = frozenset(word for word in (*ANYWHERE, *NUMBERED, *SLASHED, "w") if word[0].islower()) | {"jan"}
_LETTERS = re.compile(r"[A-Za-z]{1,10}")
_OTHER_WORD = re.compile(r"[^\W\d_]+")

_IN_DIGITS = (*PHONES, *TIMES, *DATES, *MONEY, *AMOUNTS, *NUMBERS, *MIXED, *LAST_NUMBER)
_AT_DIGIT = (*(row for row in WEB if row.name != "file name"), *_IN_DIGITS)
_AT_LETTER = (*WEB, *MONEY, *NAMED_RANGES, *NAMED_DATES, *ABBREVIATIONS, *CAPITALS, *MIXED)
_AT_SIGN = (*BEFORE_NUMBERS, *PHONES, *DATES, *MONEY, *AMOUNTS, *NUMBERS, *TAGS)
_SIGNED = frozenset("+-−–.'~≈<>≤≥±#№(")
_RECENT = 60  # tokens among which a quote may have been opened


class Reading(NamedTuple):
    """A text as it is read."""

    text: str  # as given
    tokens: tuple[Token, ...]  # in order; what lies between them is white space
    skipped: tuple[str, ...]  # what could not be read and was left out, each once
    transliterated: tuple[str, ...]  # words of other scripts read in Latin letters, each once


class Reader:
    """Reads texts the way a recipe says: `Reader(cfg)("Dr. Lee paid $3.50.").tokens`."""

    def __init__(self, cfg: TextConfig):
        self.cfg = cfg
        self.words = NumberWords(cfg.style)

    def __call__(self, text: str) -> Reading:
        """Every token of a text.

        Raises:
            TextError: for a brace without its partner, or, where the recipe says `text.unreadable=error`, for
                characters that no rule reads.
        """
        plain = to_plain(text)
        context = Context(
            plain.text, self.words, self.cfg.style, self.cfg.days, self.cfg.emoji, _is_shouted(plain.text), []
        )
        place = 0
        while place < len(plain.text):
            space = _SPACE.match(plain.text, place)
            if space:
                place = space.end()
                continue
            token = self._token(context, place)
            context.tokens.append(token)
            place = token.end
        tokens = tuple(_in_original(token, text, plain.place) for token in context.tokens)
        return Reading(
            text,
            tokens,
            tuple(
                dict.fromkeys(token.text for token in tokens if token.kind in ("skipped", "emoji") and not token.said)
            ),
            tuple(dict.fromkeys(token.text for token in tokens if token.rule == "transliterated")),
        )

    def _token(self, context: Context, place: int) -> Token:
        text, first = context.text, context.text[place]
        if first == "{" or first == "}":
            return _inline(text, place)
        if first.isascii() and (first.isalpha() or (first == "'" and _is_elision(text, place))):
            return _worded(context, place)
        rules: Sequence[Rule] = ()
        if first.isdecimal() or first in "½¼¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞":
            rules = _AT_DIGIT
        elif first in _SIGNED and text[place + 1 : place + 2] and not (first != "(" and text[place + 1].isalpha()):
            rules = _AT_SIGN if _may_sign(text, place) else ()
        elif first in "#@.":
            rules = TAGS
        elif not first.isascii() or first == "$":
            rules = MONEY
        for row in (*rules, *PUNCTUATION, *SYMBOLS):
            if token := _apply(row, context, place):
                return token
        return self._unreadable(context, place)

    def _unreadable(self, context: Context, place: int) -> Token:
        """A stretch that no rule reads: a word of another script, or one character."""
        word = _OTHER_WORD.match(context.text, place)
        end = word.end() if word and not context.text[place].isascii() else place + 1
        written = context.text[place:end]
        if self.cfg.unreadable == "error":
            raise TextError(
                f"{written!r} at character {place} cannot be read; write it in words, or set text.unreadable=skip"
            )
        return Token(written, place, end, "skipped", "", "no rule")


def _is_elision(text: str, place: int) -> bool:
    """Whether an apostrophe belongs to the word after it: 'tis, but not the quoted 'so'."""
    word = _LETTERS.match(text, place + 1)
    return word is not None and word.group().lower() in _ELIDED


def _may_sign(text: str, place: int) -> bool:
    """Whether a sign at `place` may belong to a number: a hyphen does not, right behind a word."""
    return text[place] not in "+-−–.'" or place == 0 or not (text[place - 1].isalnum() or text[place - 1] in ")%}")


def _apply(row: Rule, context: Context, place: int) -> Token | None:
    match = row.pattern.match(context.text, place)
    if match is None or match.end() == place:
        return None
    said = row.say(match, context)
    if said is None:
        return None
    marks = row.marks
    if row.name == "ellipsis":
        marks = "." if closes_sentence(match) else ","
    elif row.kind != "punctuation" and match.group().endswith(".") and closes(context.text, match.end()):
        marks = "."  # the point of "p.m." that ends a text ends the sentence too
    return Token(match.group(), place, match.end(), row.kind, " ".join(said.split()), row.name, marks, row.sure)


def _worded(context: Context, place: int) -> Token:
    """What begins with a letter: what the rules make of it, else a word."""
    text = context.text
    plain = _PLAIN_WORD.match(text, place)
    if plain and plain.group() not in _LOWER and not _NUMERAL.fullmatch(plain.group()):
        return Token(plain.group(), place, plain.end(), "word", plain.group(), "word")
    for row in _AT_LETTER:
        if token := _apply(row, context, place):
            return token
    match = _WORD.match(text, place)
    assert match is not None, "it begins with a letter"
    word = _without_quote(match.group(), context)
    return Token(word, place, place + len(word), "word", word, "word")


def _without_quote(word: str, context: Context) -> str:
    """A word without an apostrophe at its end that closes a quote; that of `hours'` belongs to it."""
    if not word.endswith("'"):
        return word
    recent = [token.text for token in context.tokens[-_RECENT:] if token.rule == "quote"]
    opened = recent.count("'") % 2 == 1
    return word[:-1] if opened or not word.endswith(("s'", "S'", "n'")) else word


def _inline(text: str, place: int) -> Token:
    match = _INLINE.match(text, place)
    if match is None:
        raise TextError(
            f"brace {text[place]!r} without its partner in {quoted(text)}; inline phonemes look like {{HH AY1}}"
        )
    return Token(match.group(), place, match.end(), "inline", match.group(), "inline phonemes")


def _is_shouted(text: str) -> bool:
    """Whether all of a text is in capitals, and so long that it is no initialism."""
    return text.isupper() and re.search(r"[A-Z]{6}", text) is not None and re.search(r"[A-Z]\s+[A-Z]", text) is not None


def _in_original(token: Token, text: str, place: Callable[[int], int]) -> Token:
    # One character may stand for several, such as ℃ for two, and two tokens may share it.
    start, end = place(token.start), max(place(token.end), place(token.end - 1) + 1)
    if start == token.start and end == token.end:
        return token if text[start:end] == token.text else token._replace(text=text[start:end])
    return token._replace(text=text[start:end], start=start, end=end)
