"""A sentence as a word recogniser must hear it: in plain words, each with its phones."""

import re

from tts.evaluation.measures import Text
from tts.text.frontend import Frontend
from tts.text.lexicon import load_cmudict
from tts.text.trigrams import Phones


def text_of(id: str, text: str, kind: str, frontend: Frontend) -> Text:
    """A sentence as a recogniser must hear it.

    Args:
        id: of the sentence.
        text: as it is written.
        kind: "held out", or the kind of a hard sentence.
        frontend: with units=phonemes, even where the voice reads characters.

    Raises:
        TextError: if it cannot be read, or nothing in it can be spoken.
    """
    assert frontend.cfg.units == "phonemes", "a dictionary is made of phones"
    encoded = frontend(text)
    spoken: list[tuple[str, Phones]] = []
    for span in encoded.words:
        phones = tuple(symbol.rstrip("012") for symbol in encoded.symbols[span.start : span.end])
        spoken += _parts(plain_words(span.word), phones)
    return Text(id, text, kind, tuple(word for word, _ in spoken), tuple(phones for _, phones in spoken))


def plain_words(written: str) -> tuple[str, ...]:
    """What is written between spaces in lower case, without points and outer apostrophes; a compound in its words.

    Those that are written without a hyphen as well are one word: "to-day" is "today", and "x-ray" is "x", "ray".
    """
    parts = [re.sub(r"[^a-z']", "", part).strip("'") for part in written.lower().split("-")]
    joined = "".join(parts)
    return (joined,) if joined in load_cmudict() else tuple(part for part in parts if part)


def _parts(words: tuple[str, ...], phones: Phones) -> list[tuple[str, Phones]]:
    """The words of a compound with the phones of each; in one where the dictionary does not tell which are whose."""
    if len(words) == 1:
        return [(words[0], phones)]
    first, last = (tuple(re.sub(r"\d", "", load_cmudict().get(word, "")).split()) for word in (words[0], words[-1]))
    if 0 < len(first) < len(phones) and phones[: len(first)] == first:
        return [(words[0], first), *_parts(words[1:], phones[len(first) :])]
    if 0 < len(last) < len(phones) and phones[-len(last) :] == last:
        return [*_parts(words[:-1], phones[: -len(last)]), (words[-1], last)]
    return [("".join(words), phones)]
