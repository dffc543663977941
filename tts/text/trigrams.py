"""What a recogniser may hear: a trigram language model over given sentences, and how each of their words is said.

The trigrams are smoothed by Witten and Bell's method in its interpolated form (Chen and Goodman 1998, section 2.5),
which has no parameter and whose probabilities sum to 1 after every history. Files are those of CMU Sphinx: an ARPA
back-off model and a pronouncing dictionary of ARPAbet phones without stress.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tts.atomic import write_atomically

START, STOP = "<s>", "</s>"
ORDER = 3  # trigrams

Ngram = tuple[str, ...]
Phones = tuple[str, ...]


class Entry(NamedTuple):
    """What the model knows of an n-gram."""

    probability: float  # of its last word after the others
    backoff: float  # what the probabilities after all of it are multiplied by where the longer n-gram is unseen


Model = Mapping[Ngram, Entry]  # n-grams of 1 to ORDER words


def trigrams(sentences: Iterable[Sequence[str]]) -> Model:
    """Estimate the model that `write_arpa` writes; there is at least one sentence with a word."""
    counts = _counts(sentences)
    assert counts, "a model of something"
    seen: dict[Ngram, int] = defaultdict(int)  # history -> words counted after it
    kinds: dict[Ngram, int] = defaultdict(int)  # history -> different words after it
    for ngram, count in counts.items():
        seen[ngram[:-1]] += count
        kinds[ngram[:-1]] += 1
    backoff = {history: kinds[history] / (seen[history] + kinds[history]) for history in seen}
    probabilities: dict[Ngram, float] = {(): 1 / kinds[()]}  # what is below unigrams: any word, all alike
    for ngram in sorted(counts, key=len):  # the shorter first: each builds on the one below it
        history = ngram[:-1]
        below = probabilities[ngram[1:]]
        probabilities[ngram] = (counts[ngram] + kinds[history] * below) / (seen[history] + kinds[history])
    model = {
        ngram: Entry(probability, backoff.get(ngram, 1.0)) for ngram, probability in probabilities.items() if ngram
    }
    return {(START,): Entry(0.0, backoff[START,]), **model}


def _counts(sentences: Iterable[Sequence[str]]) -> Counter[Ngram]:
    """How often each n-gram of 1 to ORDER words occurs; the start of a sentence is only ever a history."""
    counts: Counter[Ngram] = Counter()
    for words in sentences:
        if words:
            marked = (START, *words, STOP)
            for end in range(2, len(marked) + 1):
                counts.update(marked[end - n : end] for n in range(1, min(ORDER, end) + 1))
    return counts


def probability(model: Model, history: Sequence[str], word: str) -> float:
    """Of a word of the model after any history, backing off as a recogniser does."""
    context = tuple(history)[1 - ORDER :]
    entry = model.get((*context, word))
    if entry is not None:
        return entry.probability
    assert context, f"{word!r} is a word of the model"
    known = model.get(context)
    return (known.backoff if known else 1.0) * probability(model, context[1:], word)


def write_arpa(model: Model, path: Path) -> None:
    """Write the model in ARPA's format. Raises OSError."""
    by_length: dict[int, list[Ngram]] = {n: [] for n in range(1, ORDER + 1)}
    for ngram in sorted(model):
        by_length[len(ngram)].append(ngram)
    lines = ["\\data\\", *(f"ngram {n}={len(ngrams)}" for n, ngrams in by_length.items())]
    for n, ngrams in by_length.items():
        lines += ["", f"\\{n}-grams:"]
        for ngram in ngrams:
            entry = model[ngram]
            tail = f"\t{_log10(entry.backoff)}" if n < ORDER else ""
            lines.append(f"{_log10(entry.probability)}\t{' '.join(ngram)}{tail}")
    write_atomically(path, "\n".join([*lines, "", "\\end\\", ""]).encode())


def _log10(value: float) -> str:
    return f"{math.log10(value):.5f}" if value > 0 else "-99"


def pronunciations(words: Iterable[tuple[str, Phones]], others: Path | None = None) -> dict[str, tuple[Phones, ...]]:
    """How each word is said: as it is given, and as a Sphinx dictionary has it.

    Args:
        words: with their phones, as often as they come.
        others: a dictionary whose further pronunciations are added ("and" is often said without its D).

    Raises:
        OSError: if that cannot be read.
    """
    said: dict[str, dict[Phones, None]] = defaultdict(dict)  # in the order in which they were met
    for word, phones in words:
        said[word][phones] = None
    for line in others.read_text(encoding="utf-8").splitlines() if others else ():
        written, *phones_written = line.split()
        word = written.partition("(")[0]  # further pronunciations are listed as word(2)
        if word in said:
            said[word][tuple(phones_written)] = None
    return {word: tuple(ways) for word, ways in said.items()}


def write_dictionary(words: Mapping[str, Sequence[Phones]], path: Path) -> None:
    """Write a Sphinx dictionary: a word, or word(2), and its phones. Raises OSError."""
    lines = [
        f"{word if number == 1 else f'{word}({number})'} {' '.join(phones)}\n"
        for word, ways in sorted(words.items())
        for number, phones in enumerate(ways, start=1)
    ]
    write_atomically(path, "".join(lines).encode())
