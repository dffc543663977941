"""Estimates, differences, verdicts and gates: what is said of numbers must be true of them."""

import json

import numpy as np
import pytest

from tts.errors import ConfigError
from tts.evaluation.against import compare, deaf_to
from tts.evaluation.gate import check_gate, read_gate
from tts.evaluation.measures import Estimate, Measure, Part, difference, estimate
from tts.evaluation.report import Report, System, as_json

RNG = np.random.default_rng(0)


def measure(name="mcd_db", better="lower", pool="mean"):
    return Measure(name, name, "dB", better, pool, "")


def parts(values):
    return [Part(float(value)) for value in values]


def test_each_way_to_pool():
    some = [Part(1, 10), Part(3, 10), Part(0, 20)]
    assert estimate(measure(pool="ratio"), some).value == pytest.approx(4 / 40)
    assert estimate(measure(pool="root"), some).value == pytest.approx((4 / 40) ** 0.5)
    assert estimate(measure(pool="mean"), some).value == pytest.approx((0.1 + 0.3 + 0) / 3)
    assert estimate(measure(pool="median"), some).value == pytest.approx(0.1)


def test_the_interval_of_a_mean_is_that_of_theory():
    values = RNG.normal(5, 2, 400)
    found = estimate(measure(), parts(values))
    half = 1.96 * values.std(ddof=1) / 20
    assert found.low == pytest.approx(values.mean() - half, abs=0.05)
    assert found.high == pytest.approx(values.mean() + half, abs=0.05)
    assert found.n == 400


def test_one_sentence_has_no_interval():
    assert estimate(measure(), parts([3])) == Estimate(3, None, None, 1)


def test_a_difference_on_the_same_sentences_is_told_where_the_intervals_overlap():
    theirs = RNG.normal(10, 3, 60)  # sentences differ much, voices little
    ours = theirs - 0.5 + RNG.normal(0, 0.2, 60)
    apart = [estimate(measure(), parts(values)) for values in (ours, theirs)]
    assert apart[0].high > apart[1].low
    found = difference(measure(), parts(ours), parts(theirs))
    assert found.verdict == "better" and found.low < -0.5 < found.high < 0
    assert difference(measure(), parts(theirs), parts(ours)).verdict == "worse"
    assert difference(measure(better="higher"), parts(ours), parts(theirs)).verdict == "worse"
    assert difference(measure(better=""), parts(ours), parts(theirs)).verdict == "cannot tell"


def test_best_at_one_is_a_distance_from_one():
    ratio = measure(better="one")
    near, slow, fast = (parts(RNG.normal(mean, 0.02, 30)) for mean in (1.0, 1.3, 1 / 1.3))
    assert difference(ratio, near, slow).verdict == difference(ratio, near, fast).verdict == "better"
    assert difference(ratio, slow, fast).verdict == "cannot tell"


@pytest.mark.parametrize(("n", "least", "most"), [(3, 0, 0), (5, 0, 0), (8, 2, 25), (50, 2, 25)])
def test_noise_is_rarely_called_a_difference(n, least, most):
    wrong = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        found = difference(measure(), parts(rng.normal(0, 1, n)), parts(rng.normal(0, 1, n)))
        wrong += found.verdict != "cannot tell"
    assert least <= wrong <= most  # 15 are expected of 300 at 95 %; of five sentences 1 in 32 is the surest there is


def test_failures_are_compared_as_a_sign_test_does():
    failures = measure("failures", pool="percent")
    ours, four, six = parts([0] * 100), parts([100] * 4 + [0] * 96), parts([100] * 6 + [0] * 94)
    assert difference(failures, ours, four).p == pytest.approx(0.125, abs=0.03)  # 2 / 2**4
    assert difference(failures, ours, four).verdict == "cannot tell"
    found = difference(failures, ours, six)
    assert found.p == pytest.approx(2 / 2**6, abs=0.012) and found.verdict == "better"
    assert found.low < -6 < found.high
    same = difference(failures, ours, ours)
    assert (same.verdict, same.value) == ("cannot tell", 0) and same.low < -3 and same.high > 3


def voice(mcd, failures=0.0, cer=0.05, n=40):
    rng = np.random.default_rng(1)
    names = [f"s{i}" for i in range(n)]
    return {
        "mcd_db": {name: Part(mcd + rng.normal(0, 0.3)) for name in names},
        "failures": {name: Part(100.0 * (i < failures * n)) for i, name in enumerate(names)},
        "cer": {name: Part(cer * 40 + rng.normal(0, 0.5), 40) for name in names},
        "rtf": {name: Part(rng.uniform(0.1, 5)) for name in names[:8]},
    }


MEASURES = [measure("failures"), measure("cer", pool="ratio"), measure("mcd_db"), measure("rtf")]


def test_two_copies_of_a_voice_cannot_be_told_apart():
    found = compare(voice(6), voice(6), MEASURES, "copy")
    assert found.verdict == "cannot tell" and "3 measures decide together" in found.reason
    assert all(d.verdict == "cannot tell" and d.value == 0 for d in found.differences.values())


def test_better_worse_and_both():
    assert compare(voice(5), voice(6), MEASURES, "other").verdict == "better"
    worse = compare(voice(6, failures=0.4), voice(6), MEASURES, "other")
    assert worse.verdict == "worse" and "failures" in worse.reason
    both = compare(voice(5, failures=0.4), voice(6), MEASURES, "other")
    assert both.verdict == "cannot tell" and "but worse in failures" in both.reason


def test_speed_decides_nothing():
    fast, slow = voice(6), voice(6)
    slow["rtf"] = {name: Part(part.amount + 100) for name, part in fast["rtf"].items()}
    found = compare(fast, slow, MEASURES, "other")
    assert found.differences["rtf"].verdict == "better" and found.verdict == "cannot tell"


def test_only_sentences_that_both_spoke_are_compared():
    ours, theirs = voice(5), voice(6)
    del theirs["mcd_db"]["s0"]
    assert compare(ours, theirs, MEASURES, "other").differences["mcd_db"].n == 39
    del theirs["cer"]
    assert "cer" not in compare(ours, theirs, MEASURES, "other").differences


SYSTEMS = [
    System("voice", "the voice", {"cer": Estimate(0.05, 0.04, 0.06, 50), "failures": Estimate(2.0, 0, 5, 100)}),
    System("real", "recordings", {"cer": Estimate(0.02, 0.01, 0.03, 50)}),
]


NAMES = ["cer", "per", "failures", "peak_memory_mb"]


@pytest.mark.parametrize(
    ("gate", "holds"),
    [
        ("cer<0.1,failures<=2", [True, True]),
        ("failures<2", [False]),
        ("real.cer<0.03, voice.cer>1e-3", [True, True]),
        ("per<0.5", [False]),
        ("griffin_lim.cer<1", [False]),
        ("peak_memory_mb<700,peak_memory_mb<200", [True, False]),
        ("real.peak_memory_mb<700", [False]),
        ("", []),
    ],
)
def test_gate(gate, holds):
    assert [result.holds for result in check_gate(read_gate(gate, NAMES), SYSTEMS, {"peak_memory_mb": 300.0})] == holds


@pytest.mark.parametrize("gate", ["cer", "cer<", "cer<x", "cer=0.1", "a.b.c<1"])
def test_a_gate_that_cannot_be_read(gate):
    with pytest.raises(ConfigError, match="cannot read"):
        read_gate(gate, NAMES)


def test_a_measure_that_does_not_exist_is_no_broken_gate():
    with pytest.raises(ConfigError, match="no measure cerr; did you mean cer"):
        read_gate("cerr<0.1", NAMES)


def test_json_names_what_programs_look_for():
    report = Report("runs/x", "tts evaluate", "2026-01-01", ["fine"], {}, [measure("cer")], SYSTEMS, [], [])
    report.cost["peak_memory_mb"] = float("nan")
    content = json.loads(json.dumps(as_json(report), allow_nan=False))
    assert content["cer"] == {"value": 0.05, "low": 0.04, "high": 0.06, "n": 50}
    assert content["cer_real"]["value"] == 0.02
    assert content["baselines"] == {"real": {"cer": content["cer_real"]}}
    assert content["cost"]["peak_memory_mb"] is None


def test_none_of_fifty_does_not_mean_none_ever():
    failures = measure("failures", pool="percent")
    none = estimate(failures, parts([0] * 50))
    assert none.value == 0 and none.low == 0 and none.high == pytest.approx(7.13, abs=0.01)  # Wilson 1927
    some = estimate(failures, parts([100] * 5 + [0] * 45))
    assert (some.value, some.low, some.high) == pytest.approx((10, 4.35, 21.36), abs=0.01)


def test_a_recogniser_that_understands_nobody_decides_nothing():
    ours, theirs = voice(6, cer=0.1), voice(6, cer=0.5)
    assert compare(ours, theirs, MEASURES, "other").verdict == "better"
    real = {"wer": Estimate(0.4, 0.3, 0.5, 20), "per": Estimate(0.2, 0.1, 0.3, 20)}
    assert deaf_to(real) == ["wer", "cer"]
    assert compare(ours, theirs, MEASURES, "other", deaf_to(real)).verdict == "cannot tell"
