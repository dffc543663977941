"""What an evaluation found, as values and as `report.json`.

The voice's own figures are keys of the top level (`wer`, `failures`, ...), those of every other system a block in
`baselines`; an `Estimate` becomes `{"value", "low", "high", "n"}`.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tts.atomic import write_atomically
from tts.evaluation.measures import Difference, Estimate, Measure

FORMAT = "tts-report-1"
VOICE = "voice"  # the system that is evaluated; the others are baselines


@dataclass(frozen=True)
class System:
    """A column of the tables."""

    name: str  # "voice", "real", "vocoder_copy", "griffin_lim", "espeak_ng", "command"
    title: str  # for the reader: "the voice", "real recordings", ...
    estimates: dict[str, Estimate]  # by measure


@dataclass(frozen=True)
class SpokenSentence:
    """One sentence as one system spoke it."""

    audio: str  # path of the WAV from the report's folder
    values: dict[str, float]  # by measure
    notes: dict[str, str]  # "heard" -> what the recogniser understood


@dataclass(frozen=True)
class SentenceResult:
    """One sentence by every system. Sentences are in order: worst first."""

    id: str
    text: str
    kind: str  # "held out", or the kind of a hard sentence
    phones: str
    failures: list[str]  # in words, of the voice: "repeated: the"; empty if it was spoken as it should
    spoken: dict[str, SpokenSentence]  # by system; hard sentences are spoken by the voice only
    picture: str = ""  # path of a PNG from the report's folder: alignment and mels; empty if there is none


@dataclass(frozen=True)
class FailureRow:
    """Failures of the voice in one group of sentences."""

    group: str  # "all", "held-out sentences", "hard: digits", "3-8 words"
    n: int  # sentences
    counts: dict[str, int]  # stop, skip, repeat, stall, babble -> sentences
    before_retry: int  # sentences that failed in any way, first try
    after_retry: int


@dataclass(frozen=True)
class Comparison:
    """Against another voice, on the same sentences."""

    against: str
    verdict: str  # "better", "worse" or "cannot tell", of the voice
    reason: str  # in words
    differences: dict[str, Difference]  # by measure: voice minus the other


@dataclass(frozen=True)
class GateResult:
    """One condition of gate=."""

    condition: str  # "cer<0.1"
    value: float | None  # None: it was not measured
    holds: bool


@dataclass
class Report:
    """Everything an evaluation found."""

    voice: str
    command: str
    created: str  # ISO 8601, UTC
    summary: list[str]
    facts: dict[str, str]  # for the reader: checkpoints, data, fingerprints, versions
    measures: list[Measure]  # in the order of the tables
    systems: list[System]  # the voice first
    failures: list[FailureRow]
    sentences: list[SentenceResult]
    cost: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)  # what was not measured -> why, and the way out
    comparison: Comparison | None = None
    gate: list[GateResult] = field(default_factory=list)


def as_json(report: Report) -> dict[str, Any]:
    """The content of report.json."""
    content: dict[str, Any] = {"format": FORMAT, "voice": report.voice, "command": report.command}
    content |= {"created": report.created, "summary": report.summary, "facts": report.facts}
    blocks = {system.name: _estimates(system.estimates) for system in report.systems}
    content |= blocks.pop(VOICE)
    content |= {
        f"{name}_real": blocks["real"][name] for name in ("wer", "cer", "per") if name in blocks.get("real", {})
    }
    content["baselines"] = blocks
    content["cost"] = report.cost
    content["measures"] = {measure.name: measure._asdict() for measure in report.measures}
    content["failures_by_group"] = [asdict(row) for row in report.failures]
    content["sentences"] = [asdict(sentence) for sentence in report.sentences]
    content["missing"] = report.missing
    if report.comparison:
        differences = {name: found._asdict() for name, found in report.comparison.differences.items()}
        content["against"] = {**asdict(report.comparison), "differences": differences}
    content["gate"] = [asdict(result) for result in report.gate]
    finite: dict[str, Any] = _finite(content)
    return finite


def write_json(report: Report, path: Path) -> None:
    """Write report.json, whole or not at all. Raises OSError."""
    write_atomically(path, (json.dumps(as_json(report), indent=1, ensure_ascii=False) + "\n").encode())


def _estimates(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: estimate._asdict() for name, estimate in estimates.items()}


def _finite(value: Any) -> Any:
    """JSON knows no NaN: what is not a number is null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value
