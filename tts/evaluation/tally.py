"""Failures of a voice, counted by kind, by group and by length."""

from collections.abc import Sequence

from tts.decoding import Decoded
from tts.evaluation.measures import Measure, Part
from tts.evaluation.report import FailureRow
from tts.evaluation.sentences import HELD_OUT, Item
from tts.failures import KINDS, Failure

FAILURES = Measure(
    "failures",
    "failures",
    "per 100",
    "lower",
    "percent",
    "Sentences that did not stop, or had words skipped, repeated, stalled on or babbled, after all tries.",
)
BEFORE = Measure(
    "failures_before_retry", "failures at first", "per 100", "lower", "percent", "The same, of the first try alone."
)
MEASURES = (FAILURES, BEFORE)
LENGTHS = ((1, 2), (3, 8), (9, 16), (17, 30), (31, 1000))  # words


def failure_parts(decoded: Sequence[Decoded]) -> dict[str, list[Part]]:
    """Parts of MEASURES, one a sentence."""
    return {
        FAILURES.name: [Part(100.0 * bool(made.failures)) for made in decoded],
        BEFORE.name: [Part(100.0 * bool(made.first_failures)) for made in decoded],
    }


def failure_rows(items: Sequence[Item], decoded: Sequence[Decoded]) -> list[FailureRow]:
    """All sentences, then by where they come from, then by their length."""
    pairs = list(zip(items, decoded, strict=True))
    groups = {"all": pairs, "held-out sentences": [pair for pair in pairs if pair[0].text.kind == HELD_OUT]}
    groups["hard sentences"] = [pair for pair in pairs if pair[0].text.kind != HELD_OUT]
    for kind in dict.fromkeys(item.text.kind for item in items if item.text.kind != HELD_OUT):
        groups[f"hard: {kind}"] = [pair for pair in pairs if pair[0].text.kind == kind]
    for low, high in LENGTHS:
        name = f"{low}-{high} words" if high < LENGTHS[-1][1] else f"{low} words and more"
        groups[name] = [pair for pair in pairs if low <= len(pair[0].text.words) <= high]
    return [_row(name, [made for _, made in group]) for name, group in groups.items() if group]


def _row(name: str, decoded: Sequence[Decoded]) -> FailureRow:
    counts: dict[str, int] = {kind: sum(_has(made.failures, kind) for made in decoded) for kind in KINDS}
    before = sum(bool(made.first_failures) for made in decoded)
    return FailureRow(name, len(decoded), counts, before, sum(bool(made.failures) for made in decoded))


def _has(failures: Sequence[Failure], kind: str) -> bool:
    return any(failure.kind == kind for failure in failures)
