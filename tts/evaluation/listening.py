"""Blind listening: what is played to whom, what was answered, and what that says.

Preferences are forced choices between two voices on one sentence, sides at random, some asked twice with the sides
exchanged; ratings are of single clips from 1 to 5 in half steps (ITU-T P.800, absolute category rating), with hidden
recordings and a low anchor where the reports have them.
"""

import hashlib
import json
import math
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from tts.errors import ConfigError, DataError
from tts.evaluation.measures import Estimate, Measure, Part, estimate
from tts.evaluation.report import VOICE

FORMAT = "tts-listening-1"
OTHERS = {"real": "real recordings", "griffin_lim": "Griffin-Lim", "espeak_ng": "espeak-ng"}
ANCHORS = ("griffin_lim", "espeak_ng")  # the first that there is holds down the low end of the scale
RATINGS = tuple(half / 2 for half in range(2, 11))
PREFERENCE = Measure("preference", "preference", "share", "higher", "ratio", "Share of choices that fell on it.")
OPINION = Measure("mos", "mean opinion score", "1 to 5", "higher", "ratio", "Mean of the ratings.")


@dataclass(frozen=True)
class Sentence:
    """A sentence that every voice speaks."""

    id: str
    text: str
    clips: Mapping[str, Path]  # by system


@dataclass(frozen=True)
class Trial:
    """One question to a listener."""

    kind: Literal["pair", "rating"]
    sentence: Sentence
    systems: tuple[str, ...]  # in the order of their buttons
    repeat: bool = False  # asked before, with the sides exchanged

    @property
    def clips(self) -> tuple[Path, ...]:
        """In the order of `systems`."""
        return tuple(self.sentence.clips[system] for system in self.systems)


@dataclass(frozen=True)
class Plan:
    """What a listening is about: the same for all of its listeners, but for order and sides."""

    voices: tuple[str, ...]
    pairs: tuple[Sentence, ...]  # sentences compared by every two voices
    rated: tuple[Sentence, ...]  # sentences rated as every system speaks them
    repeats: int  # pairs asked twice
    seed: int
    fingerprint: str  # of all that and of the clips


def plan_listening(runs: Sequence[Path], *, pairs: int = 20, ratings: int = 8, repeats: int = 4, seed: int = 0) -> Plan:
    """Choose the sentences.

    Args:
        pairs: sentences on which every two voices are compared; none are with one voice alone.
        ratings: sentences rated.

    Raises:
        ConfigError: if a run is named twice.
        DataError: if a report or a clip is missing, or no sentence was spoken by all.
    """
    if not runs or len({run.resolve() for run in runs}) < len(runs):
        raise ConfigError("name the runs to listen to, each once: python -m tts listen runs/x runs/y")
    sentences = _shared({str(run): _read_report(run) for run in runs}, {str(run): _folder(run) for run in runs})
    if not sentences:
        raise DataError(
            f"no sentence was spoken by all of {', '.join(map(str, runs))}; evaluate them on the same corpus: "
            + "; ".join(f"python -m tts evaluate voice={run}" for run in runs)
        )
    fullest = max(len(sentence.clips) for sentence in sentences)
    full = [sentence for sentence in sentences if len(sentence.clips) == fullest]
    chosen = random.Random(seed)
    compared = chosen.sample(sentences, min(pairs, len(sentences))) if len(runs) > 1 else []
    rated = chosen.sample(full, min(ratings, len(full)))
    if not compared and not rated:
        raise DataError("there is nothing to ask; pairs= and ratings= say how many sentences")
    described = json.dumps([list(map(str, runs)), seed, repeats]) + _fingerprint([*compared, *rated])
    fingerprint = hashlib.sha256(described.encode()).hexdigest()[:16]
    return Plan(tuple(map(str, runs)), tuple(compared), tuple(rated), repeats, seed, fingerprint)


def plan_session(plan: Plan, listener: str) -> list[Trial]:
    """The questions of one listener, in order: the same for the same name, another order for each."""
    order = random.Random(f"{plan.seed} {listener}")
    pairs = [Trial("pair", sentence, pair) for sentence in plan.pairs for pair in combinations(plan.voices, 2)]
    order.shuffle(pairs)
    pairs = [Trial(pair.kind, pair.sentence, _either_way(pair.systems, order)) for pair in pairs]
    # Repeated pairs come from the first half into the second, so that none follows itself but in the middle.
    first, second = pairs[: len(pairs) // 2], pairs[len(pairs) // 2 :]
    second += [Trial("pair", pair.sentence, pair.systems[::-1], repeat=True) for pair in first[: plan.repeats]]
    order.shuffle(second)
    ratings = [Trial("rating", sentence, (system,)) for sentence in plan.rated for system in sentence.clips]
    order.shuffle(ratings)
    return [*first, *second, *ratings]


def empty_results(plan: Plan) -> dict[str, Any]:
    """The content of listening.json before anybody has listened."""
    head = {"format": FORMAT, "fingerprint": plan.fingerprint, "seed": plan.seed, "voices": list(plan.voices)}
    return {**head, "listeners": {}, "summary": {}}


def read_results(path: Path, plan: Plan) -> dict[str, Any]:
    """listening.json as it stands, or empty results.

    Raises:
        DataError: if it is broken, or was begun with other clips.
    """
    if not path.exists():
        return empty_results(plan)
    try:
        results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        known = results["format"] == FORMAT and isinstance(results["listeners"], dict)
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise DataError(f"{path} is no listening.json of ours; name another file: out=other.json")
    if results["fingerprint"] != plan.fingerprint:
        raise DataError(
            f"{path} was begun with other clips or settings; go on with those, or begin anew: out=another.json"
        )
    return results


def answer_of(trial: Trial, value: Any) -> dict[str, Any] | None:
    """What is kept of an answer: 0 or 1 for the side preferred, or a rating; None if it is neither."""
    kept = {"kind": trial.kind, "sentence": trial.sentence.id, "systems": list(trial.systems), "repeat": trial.repeat}
    allowed: tuple[float, ...] = (0, 1) if trial.kind == "pair" else RATINGS
    if isinstance(value, bool) or not isinstance(value, int | float) or value not in allowed:
        return None
    return {**kept, "value": int(value) if trial.kind == "pair" else float(value)}


def summarize(results: Mapping[str, Any]) -> dict[str, Any]:
    """Who was preferred, how clips were rated, and how far the listeners agree with themselves.

    Intervals resample sentences. The test of a preference (two-sided, binomial) takes every choice as independent.
    """
    answers = [answer for given in results["listeners"].values() for answer in given]
    first = [answer for answer in answers if answer["kind"] == "pair" and not answer["repeat"]]
    pairs = [_preference(a, b, first) for a, b in combinations(results["voices"], 2)]
    ratings: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for answer in answers:
        if answer["kind"] == "rating":
            ratings[answer["systems"][0]].append((answer["sentence"], answer["value"]))
    opinions = {system: _pool(OPINION, given) for system, given in ratings.items()}
    ranked = sorted(opinions.items(), key=lambda item: -item[1].value)
    return {
        "listeners": len(results["listeners"]),
        "preferences": [pair for pair in pairs if pair["n"]],
        "ratings": {system: {**mos._asdict(), "ratings": len(ratings[system])} for system, mos in ranked},
        "consistency": {name: _consistency(given) for name, given in results["listeners"].items()},
    }


def binomial_test(successes: int, n: int) -> float:
    """Two-sided probability of a split at least this uneven, were both sides as likely."""
    tail = sum(math.comb(n, k) for k in range(min(successes, n - successes) + 1))
    return float(min(1.0, 2 * tail / 2**n))


def _preference(a: str, b: str, answers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """How often the first of two voices was preferred."""
    choices = [
        (answer["sentence"], float(answer["systems"][answer["value"]] == a))
        for answer in answers
        if set(answer["systems"]) == {a, b}
    ]
    wins = int(sum(won for _, won in choices))
    found: dict[str, Any] = {"systems": [a, b], "n": len(choices), "wins": [wins, len(choices) - wins]}
    if choices:
        share = _pool(PREFERENCE, choices)
        found |= {"share": share.value, "low": share.low, "high": share.high, "p": binomial_test(wins, len(choices))}
    return found


def _pool(measure: Measure, values: Sequence[tuple[str, float]]) -> Estimate:
    """The mean of values by sentence; answers to one sentence stay together when sentences are resampled."""
    by_sentence: dict[str, list[float]] = defaultdict(list)
    for sentence, value in values:
        by_sentence[sentence].append(value)
    return estimate(measure, [Part(sum(given), len(given)) for given in by_sentence.values()])


def _consistency(answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How often the same was preferred when asked again, and how often the left side."""
    pairs = [answer for answer in answers if answer["kind"] == "pair"]
    before = {_question(pair): _preferred(pair) for pair in pairs if not pair["repeat"]}
    again = [pair for pair in pairs if pair["repeat"]]
    same = sum(_preferred(pair) == before[_question(pair)] for pair in again)
    left = sum(pair["value"] == 0 for pair in pairs)
    return {"same": same, "repeated": len(again), "left": left, "pairs": len(pairs), "answers": len(answers)}


def _question(pair: Mapping[str, Any]) -> tuple[str, ...]:
    """What was asked, whatever the sides."""
    return (pair["sentence"], *sorted(pair["systems"]))


def _preferred(pair: Mapping[str, Any]) -> str:
    preferred: str = pair["systems"][pair["value"]]
    return preferred


def _either_way(systems: tuple[str, ...], order: random.Random) -> tuple[str, ...]:
    return systems[::-1] if order.random() < 0.5 else systems


def _folder(run: Path) -> Path:
    """Where a run's report is; the folder of a report may be named itself."""
    return run if (run / "report.json").is_file() else run / "evaluation"


def _read_report(run: Path) -> dict[str, Any]:
    path = _folder(run) / "report.json"
    way_out = f"make one: python -m tts evaluate voice={run}"
    if not path.is_file():
        raise DataError(f"{run} holds no report ({path}); {way_out}")
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        list(report["sentences"])
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path} is no report; {way_out}") from None
    return report


def _shared(reports: Mapping[str, Mapping[str, Any]], folders: Mapping[str, Path]) -> list[Sentence]:
    """Sentences that every voice spoke, with the recording and the low anchor where the first report has them."""
    spoken = {
        run: {(one["id"], one["text"]): one["spoken"] for one in report["sentences"]} for run, report in reports.items()
    }
    first = next(iter(spoken))
    anchor = next((name for name in ANCHORS if any(name in clips for clips in spoken[first].values())), "")
    sentences = []
    for key, clips in spoken[first].items():
        if not all(VOICE in by_key.get(key, {}) for by_key in spoken.values()):
            continue
        paths = {run: folders[run] / by_key[key][VOICE]["audio"] for run, by_key in spoken.items()}
        paths |= {OTHERS[name]: folders[first] / clips[name]["audio"] for name in ("real", anchor) if name in clips}
        sentences.append(Sentence(*key, paths))
    return sorted(sentences, key=lambda sentence: sentence.id)


def _fingerprint(sentences: Iterable[Sentence]) -> str:
    """Of the clips themselves: a voice trained further is another voice."""
    digest = hashlib.sha256()
    for sentence in sentences:
        for system, path in sentence.clips.items():
            if not path.is_file():
                raise DataError(f"{path} is missing; make the report again: python -m tts evaluate")
            digest.update(f"{sentence.id}\n{sentence.text}\n{system}\n".encode() + path.read_bytes())
    return digest.hexdigest()
