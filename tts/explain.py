"""What the frontend makes of a text, told token by token, or summed up for a whole script."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from tts.errors import NothingToSayError
from tts.text.frontend import EncodedText, Frontend, TokenSpan
from tts.text.pronounce import SURENESS
from tts.text.split import split_sentences
from tts.text.symbols import readable

_COLUMNS = ("token", "class", "spoken", "rule", "phones", "source", "sure")
_WIDEST = 48  # characters of a column
_MOST_LISTED = 40  # words of each kind in a summary


class Explained(NamedTuple):
    """One token as it is shown."""

    text: str
    start: int  # characters from the start of the text; half open
    end: int
    kind: str  # the class
    spoken: str
    rule: str
    phones: str  # a bar between words
    source: str  # of the phones, each once
    sure: str  # "certain", "likely" or "guess"


class Summary(NamedTuple):
    """A whole script, counted."""

    sentences: int
    words: int
    kinds: Counter[str]  # tokens by class
    sources: Counter[str]  # words by where their pronunciation comes from
    guessed: Counter[str]  # words whose pronunciation only the model guessed
    skipped: Counter[str]  # what cannot be read
    transliterated: Counter[str]  # words of other scripts


def explain(frontend: Frontend, text: str) -> tuple[EncodedText, list[Explained]]:
    """A text and its tokens in order.

    Raises:
        TextError: as the frontend does.
    """
    encoded = frontend.encode(text)
    return encoded, [_explained(encoded, span) for span in encoded.tokens]


def _explained(encoded: EncodedText, span: TokenSpan) -> Explained:
    token, words = span.token, encoded.words[span.first : span.last]
    said = (" ".join(encoded.symbols[word.start : word.end]) for word in words)
    sources = tuple(dict.fromkeys(word.source for word in words))
    sure = "guess" if any(SURENESS[source] == "guessed" for source in sources) else token.sure
    return Explained(
        token.text,
        token.start,
        token.end,
        token.kind,
        token.spoken,
        token.rule,
        " | ".join(said),
        ", ".join(sources),
        sure,
    )


def as_json(encoded: EncodedText, tokens: Sequence[Explained]) -> dict[str, Any]:
    """For programs: the whole text in words, its phones, and the tokens with their places."""
    keys = ("text", "start", "end", "kind", "spoken", "rule", "phones", "source")
    return {
        "spoken": encoded.normalized,
        "phones": readable(encoded.symbols[:-1]),
        "tokens": [{"class" if k == "kind" else k: getattr(token, k) for k in keys} for token in tokens],
    }


def as_table(tokens: Sequence[Explained]) -> str:
    """For people: one line a token; a star marks words whose pronunciation is guessed."""
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for token in tokens:
        star = "*" if "g2p" in token.source else ""
        rows.append((*token[:1], token.kind, token.spoken, token.rule, token.phones, token.source + star, token.sure))
    rows = [tuple(_short(cell) for cell in row) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _short(cell: str) -> str:
    cell = " ".join(cell.split())
    return cell if len(cell) <= _WIDEST else f"{cell[: _WIDEST - 3]}..."


def summarize(frontend: Frontend, text: str) -> Summary:
    """A script, sentence by sentence, as it would be spoken."""
    counts = Summary(0, 0, Counter(), Counter(), Counter(), Counter(), Counter())
    n_sentences = n_words = 0
    for sentence in split_sentences(text):
        try:
            encoded = frontend(sentence)
        except NothingToSayError:
            counts.skipped[sentence] += 1
            continue
        n_sentences += 1
        n_words += len(encoded.words)
        counts.kinds.update(span.token.kind for span in encoded.tokens)
        counts.sources.update(word.source for word in encoded.words)
        counts.guessed.update(word.word for word in encoded.words if word.source == "g2p")
        counts.skipped.update(encoded.skipped)
        counts.transliterated.update(encoded.transliterated)
    return counts._replace(sentences=n_sentences, words=n_words)


def summary_json(summary: Summary) -> dict[str, Any]:
    """A summary for programs, the most frequent first."""
    return {
        name: dict(value.most_common()) if isinstance(value, Counter) else value
        for name, value in summary._asdict().items()
    }


def summary_text(summary: Summary) -> str:
    """A summary for people: what to look at before a script is spoken."""
    lines = [f"{summary.sentences} sentences, {summary.words} words"]
    for title, counted in (("tokens by class", summary.kinds), ("words by source", summary.sources)):
        lines.append(f"{title}: " + ", ".join(f"{name} {count}" for name, count in counted.most_common()))
    listed = (
        ("pronunciation guessed; add what is wrong to text.lexicon", summary.guessed),
        ("cannot be read and is left out", summary.skipped),
        ("of another script, read in Latin letters", summary.transliterated),
    )
    for title, counted in listed:
        if counted:
            shown = [f"  {count:5}  {word}" for word, count in counted.most_common(_MOST_LISTED)]
            more = len(counted) - len(shown)
            lines += [f"{title} ({len(counted)}):", *shown, *([f"         and {more} more"] if more else [])]
    return "\n".join(lines)
