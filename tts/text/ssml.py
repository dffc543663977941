"""SSML (W3C, version 1.1), a subset: what is said, how, and the pauses between.

Elements: speak, p, s, break (time, strength), sub (alias), say-as (interpret-as), phoneme (alphabet, ph), prosody
(rate, volume), emphasis (level), mark (name), voice (name). Any other element or attribute, and any value that cannot
be honoured, is an error that names it and its place; nothing is passed over in silence. A tag separates words.

The parser takes no document type and so no entities but XML's own five, and has limits for size and depth.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from xml.parsers import expat

from tts.errors import ConfigError, TextError, nearest
from tts.settings import RATES
from tts.speakers import ONE_SPEAKER, speaker_id
from tts.text.ipa import arpabet_of_ipa
from tts.text.say_as import INTERPRETATIONS
from tts.text.symbols import parse_phones

MAX_CHARACTERS = 200_000  # about four hours of speech
MAX_DEPTH = 30  # elements within elements
MAX_BREAK = 20.0  # seconds
PARAGRAPH_SECONDS = 0.5  # around a p

_START = re.compile(r"\s*(<\?xml|<!--|<speak(?=[\s/>]))")
_ATTRIBUTES = {
    "speak": ("version", "xml:lang", "xmlns"),
    "p": ("xml:lang",),
    "s": ("xml:lang",),
    "break": ("time", "strength"),
    "sub": ("alias",),
    "say-as": ("interpret-as",),
    "phoneme": ("alphabet", "ph"),
    "prosody": ("rate", "volume"),
    "emphasis": ("level",),
    "mark": ("name",),
    "voice": ("name",),
}
_NEEDED = {"sub": ("alias",), "say-as": ("interpret-as",), "phoneme": ("alphabet", "ph"), "mark": ("name",)}
_NEEDED |= {"voice": ("name",)}
_EMPTY = ("break", "mark")  # hold nothing
_REPLACED = ("sub", "say-as", "phoneme")  # hold text only, and something else is said in its place
_STRENGTHS = {"none": 0.0, "x-weak": 0.1, "weak": 0.2, "medium": 0.35, "strong": 0.6, "x-strong": 1.0}  # seconds
_RATES = {"x-slow": 0.6, "slow": 0.8, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.6}
_VOLUMES = {"x-soft": -12.0, "soft": -6.0, "medium": 0.0, "default": 0.0, "loud": 4.0, "x-loud": 8.0}  # dB
_LOUDEST = 20.0  # dB, up or down
# Said slower and louder; a voice has no other way to stress a word than the one it has learned.
_EMPHASES = {"strong": (0.85, 4.0), "moderate": (0.92, 2.0), "none": (1.0, 0.0), "reduced": (1.1, -3.0)}


class SsmlError(TextError):
    """SSML that is not well formed, or asks for what cannot be done."""


@dataclass(frozen=True)
class Manner:
    """How something is said."""

    rate: float = 1.0  # of speaking
    decibels: float = 0.0  # of volume; -inf is silence
    speaker: str = ""  # empty: who was asked for

    @property
    def gain(self) -> float:
        """What samples are multiplied by."""
        return float(10 ** (self.decibels / 20))


class Said(NamedTuple):
    """Text that is said in one manner; inline phonemes stand in it as {ARPAbet}."""

    text: str
    manner: Manner


class Break(NamedTuple):
    """A pause."""

    seconds: float | None  # None: the usual one between sentences
    between: bool = False  # only if something is said before and after it


class Mark(NamedTuple):
    """A place whose time is reported."""

    name: str


Piece = Said | Break | Mark


class _Open(NamedTuple):
    """An element that has begun: what holds within it."""

    name: str
    manner: Manner
    instead: Callable[[str], str] | None  # what is said for the text within; None: the text


def is_ssml(text: str) -> bool:
    """Whether a text is SSML: it begins with the element speak, after a declaration and comments if there are any."""
    place = _START.match(text)
    while place and place[1] in ("<?xml", "<!--"):
        end = "?>" if place[1] == "<?xml" else "-->"
        closed = text.find(end, place.end())
        place = _START.match(text, closed + len(end)) if closed >= 0 else None
    return place is not None


def parse_ssml(text: str, speakers: Sequence[str] = ONE_SPEAKER) -> list[Piece]:
    """The pieces of an SSML document, in order.

    Args:
        text: the document.
        speakers: the names that the element voice may have.

    Raises:
        SsmlError: as the module says, with line and column.
    """
    return _Parser(speakers).parse(text)


class _Parser:
    def __init__(self, speakers: Sequence[str]) -> None:
        self.speakers = speakers
        self.pieces: list[Piece] = []
        self.open: list[_Open] = []
        self.held: list[str] = []  # text that has come and is not yet a piece
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self.held.append
        self.parser.StartDoctypeDeclHandler = lambda *_: self._fail("a document type is not taken; leave DOCTYPE out")
        self.parser.ProcessingInstructionHandler = lambda *_: self._fail("processing instructions are not taken")

    def parse(self, text: str) -> list[Piece]:
        if len(text) > MAX_CHARACTERS:
            raise SsmlError(f"SSML of {len(text)} characters; the most is {MAX_CHARACTERS}, split it")
        try:
            self.parser.Parse(text.encode("utf-8"), True)
        except UnicodeEncodeError as error:
            raise SsmlError(f"SSML with a half of a surrogate pair at character {error.start}") from None
        except expat.ExpatError as error:
            place = f"line {error.lineno}, column {error.offset + 1}"
            raise SsmlError(f"SSML, {place}: not well formed ({expat.errors.messages[error.code]})") from None
        return self.pieces

    def _fail(self, message: str) -> None:
        place = f"line {self.parser.CurrentLineNumber}, column {self.parser.CurrentColumnNumber + 1}"
        raise SsmlError(f"SSML, {place}: {message}")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._flush()
        self._check(name, attributes)
        within = self.open[-1] if self.open else _Open("", Manner(), None)
        manner, instead = within.manner, None
        try:
            if name == "break":
                seconds = _pause(attributes)
                self.pieces += [Break(seconds)] if seconds else []
            elif name == "mark":
                self.pieces.append(Mark(attributes["name"]))
            elif name in ("p", "s"):
                self.pieces.append(Break(PARAGRAPH_SECONDS if name == "p" else None, between=True))
            elif name in ("prosody", "emphasis"):
                manner = _prosody(manner, attributes) if name == "prosody" else _emphasis(manner, attributes)
            elif name == "voice":
                speaker_id(attributes["name"], self.speakers)
                manner = replace(manner, speaker=attributes["name"])
            elif name in _REPLACED:
                instead = _replacement(name, attributes)
        except (ValueError, ConfigError) as error:
            self._fail(f"<{name}>: {error}")
        self.open.append(_Open(name, manner, instead))

    def _check(self, name: str, attributes: dict[str, str]) -> None:
        """Refuse what is not of the subset, or not where it may stand."""
        if name not in _ATTRIBUTES:
            self._fail(f"<{name}> is not known{nearest(name, _ATTRIBUTES)}; known are {', '.join(_ATTRIBUTES)}")
        if (name == "speak") != (not self.open):
            self._fail(f"<{name}>: one <speak> holds everything else")
        if len(self.open) >= MAX_DEPTH:
            self._fail(f"<{name}> is {MAX_DEPTH} elements deep; that is the most")
        if self.open and self.open[-1].name in (*_EMPTY, *_REPLACED):
            self._fail(f"<{name}> within <{self.open[-1].name}>, which may not hold elements")
        for attribute, value in attributes.items():
            if attribute not in _ATTRIBUTES[name]:
                known = ", ".join(_ATTRIBUTES[name]) or "none"
                self._fail(f"<{name}>: the attribute {attribute}={value!r} cannot be honoured; known are {known}")
            if attribute == "xml:lang" and not re.fullmatch(r"en(?:-.*)?", value, re.IGNORECASE):
                self._fail(f"<{name}>: xml:lang={value!r}: only English is spoken")
        for attribute in _NEEDED.get(name, ()):
            if not attributes.get(attribute, "").strip():
                self._fail(f"<{name}> needs the attribute {attribute}")

    def _end(self, name: str) -> None:
        held = "".join(self.held).strip()
        self._flush()
        element = self.open.pop()
        if name in ("p", "s"):
            self.pieces.append(Break(PARAGRAPH_SECONDS if name == "p" else None, between=True))
        elif element.instead and not held:
            self._fail(f"<{name}> holds no text")

    def _flush(self) -> None:
        """Make the text that has come a piece."""
        text = "".join(self.held)
        self.held.clear()
        if not text.strip():
            return
        element = self.open[-1]
        if element.name in _EMPTY:
            self._fail(f"<{element.name}> may not hold text")
        if element.instead:
            try:
                text = element.instead(text.strip())
            except (ValueError, TextError) as error:
                self._fail(f"<{element.name}>: {error}")
        self.pieces.append(Said(text, element.manner))


def _choice(name: str, value: str, known: dict[str, float]) -> float | None:
    """The number that a word stands for; None where it is none of them and looks like a number.

    Raises:
        ValueError: for any other word.
    """
    if value in known:
        return known[value]
    if not re.search(r"\d", value):
        raise ValueError(f"{name}={value!r}: one of {', '.join(known)}, or a number")
    return None


def _pause(attributes: dict[str, str]) -> float:
    """Seconds of a break."""
    time, strength = attributes.get("time"), attributes.get("strength", "medium")
    if strength not in _STRENGTHS:
        raise ValueError(f"strength={strength!r}: one of {', '.join(_STRENGTHS)}")
    if time is None:
        return _STRENGTHS[strength]
    match = re.fullmatch(r"\+?(\d{1,9}(?:\.\d{1,9})?|\.\d{1,9})(ms|s)", time.strip())
    if not match:
        raise ValueError(f"time={time!r}: a number with its unit, such as 500ms or 1.5s")
    seconds = float(match[1]) / (1000 if match[2] == "ms" else 1)
    if seconds > MAX_BREAK:
        raise ValueError(f"time={time!r}: {MAX_BREAK:g}s is the longest")
    return seconds


def _prosody(manner: Manner, attributes: dict[str, str]) -> Manner:
    rate = _rate(attributes["rate"].strip()) if "rate" in attributes else 1.0
    decibels = _decibels(attributes["volume"].strip()) if "volume" in attributes else 0.0
    return _changed(manner, rate, decibels)


def _emphasis(manner: Manner, attributes: dict[str, str]) -> Manner:
    level = attributes.get("level", "moderate")
    if level not in _EMPHASES:
        raise ValueError(f"level={level!r}: one of {', '.join(_EMPHASES)}")
    return _changed(manner, *_EMPHASES[level])


def _changed(manner: Manner, rate: float, decibels: float) -> Manner:
    """Slower and louder than what is around it. Raises ValueError beyond what can be spoken."""
    made = replace(manner, rate=manner.rate * rate, decibels=manner.decibels + decibels)
    if not RATES[0] <= made.rate <= RATES[1]:
        raise ValueError(f"a rate of {made.rate:g} in all: from {RATES[0]:g} to {RATES[1]:g} can be spoken")
    return made


def _rate(value: str) -> float:
    chosen = _choice("rate", value, _RATES)
    if chosen is not None:
        return chosen
    match = re.fullmatch(r"([+-]?)(\d{1,6}(?:\.\d{1,6})?)(%?)", value)
    if not match or (match[1] and not match[3]):
        raise ValueError(f"rate={value!r}: a factor such as 0.8, 80% or -20%, or one of {', '.join(_RATES)}")
    number = float(match[2]) / (100 if match[3] else 1)
    return 1 + (-number if match[1] == "-" else number) if match[1] else number


def _decibels(value: str) -> float:
    if value == "silent":
        return float("-inf")
    chosen = _choice("volume", value, _VOLUMES)
    if chosen is not None:
        return chosen
    match = re.fullmatch(r"([+-]\d{1,6}(?:\.\d{1,6})?)dB", value)
    if not match or abs(float(match[1])) > _LOUDEST:
        raise ValueError(
            f"volume={value!r}: decibels from -{_LOUDEST:g}dB to +{_LOUDEST:g}dB with their sign, silent, or one of "
            f"{', '.join(_VOLUMES)}"
        )
    return float(match[1])


def _replacement(name: str, attributes: dict[str, str]) -> Callable[[str], str]:
    """What is said in place of the text of an element."""
    if name == "sub":
        return lambda text: attributes["alias"]
    if name == "say-as":
        kind = attributes["interpret-as"]
        if kind not in INTERPRETATIONS:
            raise ValueError(f"interpret-as={kind!r}: one of {', '.join(INTERPRETATIONS)}")
        return INTERPRETATIONS[kind]
    alphabet, written = attributes["alphabet"], attributes["ph"]
    if alphabet not in ("ipa", "x-arpabet"):
        raise ValueError(f"alphabet={alphabet!r}: ipa or x-arpabet")
    phones = arpabet_of_ipa(written) if alphabet == "ipa" else parse_phones(written, f"ph={written!r}")
    return lambda text: "{" + " ".join(phones) + "}"
