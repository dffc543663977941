"""What is measured: the figures of a report, how sentences pool into one, and how sure one can be of it.

A judge turns one take (a sentence as one system spoke it) into `Part`s, one per measure. Parts of many sentences pool
into an `Estimate` whose interval comes from resampling sentences (percentile bootstrap, Efron and Tibshirani 1993,
chapter 13), or from the binomial distribution where a sentence either has a fault or not (Wilson 1927): none of 50 does
not mean none ever. Two systems are compared on the same sentences.

Shapes: T_wave samples.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Pool = Literal["mean", "percent", "ratio", "root", "median"]
Verdict = Literal["better", "worse", "cannot tell"]

RESAMPLES = 2000
LEVEL = 0.95  # of an interval
LEAST = 2  # sentences; fewer have no interval
EXACT = 11  # sentences up to which all exchanges are tried


class Part(NamedTuple):
    """What one sentence adds to a measure: errors and words, squared error and frames, or a value with weight 1."""

    amount: float
    weight: float = 1.0


class Measure(NamedTuple):
    """A figure of the report."""

    name: str  # its key in report.json
    title: str
    unit: str  # "share", "dB", "Hz", ...
    better: Literal["lower", "higher", "one", ""]  # "one": best at 1; "": neither is better
    # Over sentences: mean or median of amount / weight, sum over sum, or the root of that; percent: the mean of what is
    # either 0 or 100.
    pool: Pool
    meaning: str  # one sentence for the reader


class Estimate(NamedTuple):
    """A measure over many sentences; low and high are None where there are too few of them."""

    value: float
    low: float | None
    high: float | None
    n: int  # sentences


class Difference(NamedTuple):
    """How much two systems differ in a measure, on the same sentences."""

    value: float  # first minus second
    low: float
    high: float
    n: int
    p: float  # how often chance alone makes as large a difference
    verdict: Verdict  # of the first


class Text(NamedTuple):
    """A sentence to be spoken, and what a recogniser must hear."""

    id: str
    text: str
    kind: str  # "held out", or the kind of a hard sentence
    words: tuple[str, ...]  # as they are spoken: lower case, without marks
    phones: tuple[tuple[str, ...], ...]  # of each word: ARPAbet without stress


@dataclass(frozen=True)
class Take:
    """One sentence as one system spoke it."""

    text: Text
    system: str
    wave: Tensor  # (T_wave,) in [-1, 1]
    sample_rate: int  # Hz, the same for every take of an evaluation
    reference: Tensor | None = None  # (T_wave,) the recording of the same sentence
    copied: bool = False  # made from the recording's own mel: sample for sample as long


class Finding(NamedTuple):
    """What a judge found in a take."""

    parts: Mapping[str, Part]  # by the measure's name; what cannot be told of this take is left out
    notes: Mapping[str, str] = {}  # for the reader: "heard" -> the words that were recognised


class Judge(Protocol):
    """Something that measures takes."""

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What it can tell."""
        ...

    def __call__(self, take: Take) -> Finding:
        """Listen to one take."""
        ...


def estimate(measure: Measure, parts: Sequence[Part], seed: int = 0) -> Estimate:
    """Pool the parts of at least one sentence, with its interval."""
    amounts, weights = _columns(parts)
    value = float(_pooled(measure.pool, amounts[None], weights[None])[0])
    if len(parts) < LEAST:
        return Estimate(value, None, None, len(parts))
    if measure.pool == "percent":
        return Estimate(value, *_wilson(value / 100, len(parts)), len(parts))
    rows = _resampled(len(parts), seed)
    low, high = _interval(_pooled(measure.pool, amounts[rows], weights[rows]), LEVEL)
    return Estimate(value, low, high, len(parts))


def difference(measure: Measure, ours: Sequence[Part], theirs: Sequence[Part], seed: int = 0) -> Difference:
    """Compare two systems on the same sentences, in the same order.

    The verdict is that of a permutation test (Fisher 1935): were the systems alike, every sentence could as well have
    its two takes exchanged. It holds for few sentences too, where a bootstrap interval is too narrow.
    """
    assert len(ours) == len(theirs) and ours, "paired sentences"
    columns = [_columns(parts) for parts in (ours, theirs)]
    value = estimate(measure, ours).value - estimate(measure, theirs).value
    rows = _resampled(len(ours), seed)
    mine, other = (_pooled(measure.pool, amounts[rows], weights[rows]) for amounts, weights in columns)
    low, high = _interval(mine - other, LEVEL)
    if measure.pool == "percent" and len(ours) >= LEAST:
        low, high = _newcombe(estimate(measure, ours), estimate(measure, theirs))
    if not measure.better:
        return Difference(value, low, high, len(ours), 1.0, "cannot tell")
    worse_by, p = _exchanged(measure, columns[0], columns[1], seed)
    return Difference(value, low, high, len(ours), p, _verdict(worse_by, p))


def _verdict(worse_by: float, p: float) -> Verdict:
    """worse_by: how much larger the first system's badness is."""
    if p > 1 - LEVEL or worse_by == 0:
        return "cannot tell"
    return "worse" if worse_by > 0 else "better"


def _exchanged(measure: Measure, ours: "_Columns", theirs: "_Columns", seed: int) -> tuple[float, float]:
    """The difference in badness, and the share of exchanges of takes that make it as large."""
    n = len(ours[0])
    if n <= EXACT:
        swaps = (np.arange(2**n)[:, None] >> np.arange(n)) % 2 == 1  # all of them, the one without any first
    else:
        swaps = np.random.default_rng(seed).random((RESAMPLES, n)) < 0.5
        swaps[0] = False
    mixed = [
        _badness(measure, _pooled(measure.pool, *(np.where(swaps, b, a) for a, b in zip(one, other, strict=True))))
        for one, other in ((ours, theirs), (theirs, ours))
    ]
    gaps = mixed[0] - mixed[1]
    return float(gaps[0]), float((np.abs(gaps) >= abs(gaps[0]) - 1e-12).mean())


def _newcombe(ours: Estimate, theirs: Estimate) -> tuple[float, float]:
    """Of a difference of two percentages, from their score intervals (Newcombe 1998, method 10)."""
    assert ours.low is not None and ours.high is not None and theirs.low is not None and theirs.high is not None
    value = ours.value - theirs.value
    below = math.hypot(ours.value - ours.low, theirs.high - theirs.value)
    above = math.hypot(ours.high - ours.value, theirs.value - theirs.low)
    return value - below, value + above


_Columns = tuple[NDArray[np.float64], NDArray[np.float64]]


def _columns(parts: Sequence[Part]) -> _Columns:
    """Amounts and weights, each (n,)."""
    table = np.array(parts, np.float64)
    return table[:, 0], table[:, 1]


def _resampled(n: int, seed: int) -> NDArray[np.int64]:
    """(RESAMPLES, n) sentences, drawn with replacement; the same for every measure and system of n sentences."""
    return np.random.default_rng(seed).integers(0, n, (RESAMPLES, n))


def _pooled(pool: Pool, amounts: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(draws, n) -> (draws,)."""
    pooled: NDArray[np.float64]
    if pool in ("mean", "percent", "median"):
        each = amounts / weights
        pooled = np.median(each, axis=1) if pool == "median" else each.mean(axis=1)
        return pooled
    pooled = amounts.sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-12)
    return np.sqrt(pooled) if pool == "root" else pooled


def _badness(measure: Measure, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The smaller the better."""
    if measure.better == "one":
        away: NDArray[np.float64] = np.abs(np.log(np.maximum(values, 1e-12)))
        return away
    return -values if measure.better == "higher" else values


def _interval(draws: NDArray[np.float64], level: float) -> tuple[float, float]:
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _wilson(share: float, n: int) -> tuple[float, float]:
    """The score interval of a share of n, in percent."""
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return 100 * max(0.0, middle - half), 100 * min(1.0, middle + half)
