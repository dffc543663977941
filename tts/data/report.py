"""What preparing found, for people (`report.md`) and programs (`report.json`): nothing is dropped in silence."""

import json
import math
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts.audio.denoise import NOISY, missing
from tts.data.cache import EntryFacts
from tts.data.manifest import Clip, Clips, Prepared, numbers, sentence_of, write_text
from tts.data.matching import Finding, texts_and_durations
from tts.errors import DataError

OUTLIER_MADS = 5.0  # a log rate of speech this many median absolute deviations from the median is an outlier ...
OUTLIER_FACTOR = 1.3  # ... if it also is so many times faster or slower: a very even speaker has no outliers
CLIPPED_SHARE = 0.001  # samples at full scale, above which a clip is named
SOFTER = 0.1  # dB below the wanted loudness, from which on a clip was held back for its peaks
LISTED = 20  # names of a list that the page shows; report.json has all


class LeftOut(NamedTuple):
    """A clip that is there but of no use."""

    id: str
    reason: str


class RateOfSpeech(NamedTuple):
    """A clip spoken much faster or slower than the others, or whose text is not what is spoken."""

    id: str
    symbols_per_second: float
    median: float


@dataclass
class Found:
    """What went by while the clips were prepared."""

    listed: int  # clips in the corpus' metadata
    missing: list[str]  # ids
    left_out: list[LeftOut] = field(default_factory=list)
    guessed: Counter[str] = field(default_factory=Counter)  # words that the grapheme-to-phoneme model had to guess
    skipped: Counter[str] = field(default_factory=Counter)  # characters that cannot be read
    split: dict[str, float] = field(default_factory=dict)  # long recordings, and what became of them


class Measured:
    """What was measured of the clips kept, summed up as they come."""

    def __init__(self) -> None:
        self.loudness = array("d")  # LUFS
        self.noise_floors = array("d")  # dB
        self.noise_reduced = array("d")  # dB, of clips in which it was
        self.rumble = array("d")  # dB, of clips that the high-pass took something from
        self.held_back = array("d")  # dB, of clips that are softer than wanted
        self.pauses_cut = 0
        self.seconds_cut = 0.0  # out of pauses
        self.seconds_recorded = 0.0
        self.clipped: list[tuple[str, float]] = []
        self.rates: Counter[int] = Counter()

    def add(self, clip: Clip, facts: EntryFacts) -> None:
        """One more clip."""
        self.loudness.append(facts.loudness)
        self.seconds_recorded += facts.recorded_seconds
        self.rates[facts.recorded_rate] += 1
        self.pauses_cut += len(facts.cuts)
        self.seconds_cut += sum(cut.n_samples for cut in facts.cuts) * clip.seconds / clip.n_samples
        for values, value in (
            (self.noise_floors, facts.noise_floor),
            (self.noise_reduced, facts.noise_reduced or None),
            (self.rumble, facts.rumble),
            (self.held_back, facts.held_back if facts.held_back > SOFTER else None),
        ):
            if value is not None:
                values.append(value)
        if facts.clipping > CLIPPED_SHARE:
            self.clipped.append((clip.id, facts.clipping))


@dataclass
class Report:
    """The report; its fields are the keys of `report.json`."""

    clips_listed: int
    clips_kept: int
    hours: dict[str, float]  # by split
    speakers: dict[str, int]  # clips of each; empty where the corpus names none
    sentences_held_out: int
    missing: list[str]
    left_out: list[LeftOut]
    longest: list[tuple[str, float]]  # id and seconds, the longest first
    rate_of_speech_outliers: list[RateOfSpeech]
    texts_and_durations: Finding  # are the texts those that are spoken?
    words_guessed: dict[str, int]  # how often, the most frequent first
    characters_skipped: dict[str, int]
    loudness: dict[str, float]  # LUFS as recorded: min, median, max
    clipped: list[tuple[str, float]]  # id and share of samples at full scale
    recorded_rates: dict[int, int]  # Hz: clips
    seconds_trimmed: float  # silence cut at the ends, in all
    cleaning: dict[str, dict[str, float]]  # what each of its settings did, and to how many clips
    split: dict[str, float] = field(default_factory=dict)  # long recordings, and what became of them


def build_report(found: Found, measured: Measured, prepared: Prepared | None) -> Report:
    """Sum up; without `prepared` where preparing failed before there was anything to train on."""
    clips = prepared.clips if prepared else Clips.of([])
    columns = clips.columns
    levels = np.array(measured.loudness)
    longest = np.argsort(-columns.seconds, kind="stable")[:LISTED].tolist()
    counts = np.bincount(columns.speaker, minlength=len(columns.speakers)).tolist()
    kept_seconds = float(columns.seconds.sum())
    return Report(
        clips_listed=found.listed,
        clips_kept=len(clips),
        hours={"train": prepared.hours("train"), "held_out": prepared.hours("held_out")} if prepared else {},
        speakers={name: n for name, n in zip(columns.speakers, counts, strict=True) if name},
        sentences_held_out=len({sentence_of(clip.words) for clip in prepared.split("held_out")}) if prepared else 0,
        missing=found.missing,
        left_out=found.left_out,
        longest=[(clips[row].id, float(columns.seconds[row])) for row in longest],
        rate_of_speech_outliers=rate_outliers(clips),
        texts_and_durations=texts_and_durations(clips),
        words_guessed=dict(found.guessed.most_common()),
        characters_skipped=dict(found.skipped.most_common()),
        loudness=_spread(levels),
        clipped=sorted(measured.clipped, key=lambda pair: -pair[1]),
        recorded_rates=dict(measured.rates),
        seconds_trimmed=measured.seconds_recorded - measured.seconds_cut - kept_seconds if len(clips) else 0.0,
        cleaning=_effects(measured),
        split=found.split,
    )


def _effects(measured: Measured) -> dict[str, dict[str, float]]:
    """What cleaning did; nothing is said of what it did not do."""
    floors = np.array(measured.noise_floors)
    effects = {
        "noise_floor": {**_counts(floors), "noisy": int((floors > NOISY).sum())} if len(floors) else {},
        "noise_reduced": _counts(np.array(measured.noise_reduced)),
        "rumble": _counts(np.array(measured.rumble)),
        "held_back": _counts(np.array(measured.held_back)),
        "pauses": {"cuts": measured.pauses_cut, "seconds": measured.seconds_cut} if measured.pauses_cut else {},
    }
    return {name: effect for name, effect in effects.items() if effect}


def _counts(values: NDArray[np.float64]) -> dict[str, float]:
    return {"clips": len(values), **_spread(values)} if len(values) else {}


def _spread(values: NDArray[np.float64]) -> dict[str, float]:
    """The least, the middle and the most of (N,) values; nothing of none."""
    if not len(values):
        return {}
    return {"min": float(values.min()), "median": float(np.median(values)), "max": float(values.max())}


def rate_outliers(clips: Sequence[Clip]) -> list[RateOfSpeech]:
    """Clips whose symbols per second are far from the median, the furthest first."""
    if not len(clips):
        return []
    rates = numbers(clips, "n_symbols") / numbers(clips, "seconds")
    middle = float(np.median(rates))
    off = np.abs(np.log(rates / middle))
    far = max(OUTLIER_MADS * float(np.median(off)), math.log(OUTLIER_FACTOR))
    outliers = sorted(np.flatnonzero(off > far).tolist(), key=lambda place: -off[place])
    return [RateOfSpeech(clips[place].id, float(rates[place]), middle) for place in outliers]


def write_report(report: Report, folder: Path, sample_rate: int) -> Path:
    """Write `report.json` and `report.md`; returns the latter."""
    plain = asdict(report)
    plain["left_out"] = [clip._asdict() for clip in report.left_out]
    plain["rate_of_speech_outliers"] = [outlier._asdict() for outlier in report.rate_of_speech_outliers]
    plain["texts_and_durations"] = report.texts_and_durations._asdict()
    write_text(folder / "report.json", json.dumps(plain, indent=1) + "\n")
    write_text(folder / "report.md", render(report, sample_rate))
    return folder / "report.md"


def read_report(run_dir: Path) -> Report:
    """What `write_report` wrote of a corpus that was prepared under a folder. Raises DataError."""
    path = run_dir / "data" / "report.json"
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        report = Report(**plain)
        report.left_out = [LeftOut(**clip) for clip in plain["left_out"]]
        report.rate_of_speech_outliers = [RateOfSpeech(**clip) for clip in plain["rate_of_speech_outliers"]]
        report.texts_and_durations = Finding(**plain["texts_and_durations"])
        return report
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} cannot be read ({error!r}); run the stage prepare again") from None


def render(report: Report, sample_rate: int) -> str:
    """The page for people. sample_rate: of the mel contract, Hz."""
    lines = ["# Prepared data", ""]
    lines.append(f"- clips kept: {report.clips_kept} of {report.clips_listed} listed")
    lines.append(f"- missing: {len(report.missing)}; left out: {len(report.left_out)}")
    if report.split:
        said = (
            "long recordings split: {recordings:.0f}, into {pieces:.0f} pieces; {seconds_lost:.0f} of {seconds:.0f} s"
        )
        lines.append(f"- {said.format(**report.split)} are in none, pauses between them included")
    for split, hours in report.hours.items():
        lines.append(f"- {split.replace('_', ' ')}: {hours:.2f} hours")
    lines.append(f"- sentences held out: {report.sentences_held_out}")
    if report.speakers:
        lines.append("- clips of each speaker: " + ", ".join(_counted(report.speakers)))
    lines.append(f"- silence trimmed: {report.seconds_trimmed:.0f} s")
    lines.append(f"- {'; '.join(part for part in report.texts_and_durations if part)}")
    if report.loudness:
        low, middle, high = (report.loudness[key] for key in ("min", "median", "max"))
        lines.append(f"- loudness as recorded: {middle:.1f} LUFS, from {low:.1f} to {high:.1f}")
    lines += [f"- {line}" for line in _cleaning_lines(report.cleaning)]
    for rate, n_clips in sorted(report.recorded_rates.items()):
        dull = f", below the {sample_rate} Hz of the recipe: they lack the highest sounds" if rate < sample_rate else ""
        lines.append(f"- recorded at {rate} Hz: {n_clips} clips{dull}")
    lines += _section("Left out", [f"{clip.id}: {clip.reason}" for clip in report.left_out])
    lines += _section("Missing", report.missing)
    outliers = [
        f"{clip.id}: {clip.symbols_per_second:.1f} symbols per second, where the median is {clip.median:.1f}"
        for clip in report.rate_of_speech_outliers
    ]
    lines += _section("Rate of speech far from the median: is the text what is spoken?", outliers)
    lines += _section("Clipped", [f"{id_}: {share:.1%} of the samples" for id_, share in report.clipped])
    lines += _section("Longest", [f"{id_}: {seconds:.1f} s" for id_, seconds in report.longest[:5]])
    lines += _section("Words whose pronunciation was guessed", _counted(report.words_guessed))
    lines += _section("Characters that cannot be read", _counted(report.characters_skipped))
    return "\n".join(lines) + "\n"


def _cleaning_lines(cleaning: dict[str, dict[str, float]]) -> list[str]:
    """What each setting of cleaning did."""
    said = {
        "noise_floor": "noise floor as recorded: {median:.0f} dB below the loudest (median), {max:.0f} at the noisiest",
        "noise_reduced": "noise reduced in {clips:.0f} clips: their floor fell by {median:.0f} dB (median)",
        "rumble": "rumble taken out: {median:.0f} dB against the whole (median), {max:.0f} at most",
        "held_back": "softer than wanted, for their peaks: {clips:.0f} clips, by {median:.1f} to {max:.1f} dB",
        "pauses": "long pauses shortened: {cuts:.0f}, by {seconds:.1f} s in all",
    }
    lines = [said[name].format(**effect) for name, effect in cleaning.items()]
    if (noisy := cleaning.get("noise_floor", {}).get("noisy", 0)) and "noise_reduced" not in cleaning:
        way_out = missing() or "data.reduce_noise=auto reduces it"
        lines.append(f"clips with a noise floor above {NOISY:.0f} dB: {noisy:.0f}, as they are; {way_out}")
    return lines


def _counted(counts: dict[str, int]) -> list[str]:
    return [f"{name} ({n})" for name, n in counts.items()]


def _section(title: str, entries: Sequence[str]) -> list[str]:
    """A heading and its list, cut where it is long; nothing where there is nothing."""
    if not entries:
        return []
    more = [f"- and {len(entries) - LISTED} more, see report.json"] if len(entries) > LISTED else []
    return ["", f"## {title}", "", *(f"- {entry}" for entry in entries[:LISTED]), *more]
