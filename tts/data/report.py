"""What preparing found, for people (`report.md`) and programs (`report.json`): nothing is dropped in silence."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tts.data.cache import EntryFacts
from tts.data.manifest import Clip, Prepared, sentence_of, write_text
from tts.data.matching import Finding, texts_and_durations
from tts.errors import DataError

OUTLIER_MADS = 5.0  # a log rate of speech this many median absolute deviations from the median is an outlier ...
OUTLIER_FACTOR = 1.3  # ... if it also is so many times faster or slower: a very even speaker has no outliers
CLIPPED_SHARE = 0.001  # samples at full scale, above which a clip is named
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


class Found(NamedTuple):
    """What went by while the clips were prepared."""

    listed: int  # clips in the corpus' metadata
    missing: list[str]  # ids
    left_out: list[LeftOut]
    facts: dict[str, EntryFacts]  # by id, of the clips kept
    guessed: Counter[str]  # words that the grapheme-to-phoneme model had to guess
    skipped: Counter[str]  # characters that cannot be read


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


def build_report(found: Found, prepared: Prepared | None) -> Report:
    """Sum up; without `prepared` where preparing failed before there was anything to train on."""
    clips = prepared.clips if prepared else []
    facts = found.facts
    levels = sorted(fact.loudness for fact in facts.values())
    seconds = {clip.id: clip.seconds for clip in clips}
    clipped = [(id_, fact.clipping) for id_, fact in facts.items() if fact.clipping > CLIPPED_SHARE]
    return Report(
        clips_listed=found.listed,
        clips_kept=len(clips),
        hours={"train": prepared.hours("train"), "held_out": prepared.hours("held_out")} if prepared else {},
        speakers=dict(Counter(clip.speaker for clip in clips if clip.speaker)),
        sentences_held_out=len({sentence_of(clip.words) for clip in clips if clip.split == "held_out"}),
        missing=found.missing,
        left_out=found.left_out,
        longest=sorted(seconds.items(), key=lambda pair: -pair[1])[:LISTED],
        rate_of_speech_outliers=rate_outliers(clips),
        texts_and_durations=texts_and_durations(clips),
        words_guessed=dict(found.guessed.most_common()),
        characters_skipped=dict(found.skipped.most_common()),
        loudness={"min": levels[0], "median": median(levels), "max": levels[-1]} if levels else {},
        clipped=sorted(clipped, key=lambda pair: -pair[1]),
        recorded_rates=dict(Counter(fact.recorded_rate for fact in facts.values())),
        seconds_trimmed=sum(facts[id_].recorded_seconds - kept for id_, kept in seconds.items()),
    )


def rate_outliers(clips: Sequence[Clip]) -> list[RateOfSpeech]:
    """Clips whose symbols per second are far from the median, the furthest first."""
    if not clips:
        return []
    rates = {clip.id: len(clip.ids) / clip.seconds for clip in clips}
    middle = median(rates.values())
    off = {id_: abs(math.log(rate / middle)) for id_, rate in rates.items()}
    far = max(OUTLIER_MADS * median(off.values()), math.log(OUTLIER_FACTOR))
    outliers = sorted((id_ for id_ in rates if off[id_] > far), key=lambda id_: -off[id_])
    return [RateOfSpeech(id_, rates[id_], middle) for id_ in outliers]


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


def _counted(counts: dict[str, int]) -> list[str]:
    return [f"{name} ({n})" for name, n in counts.items()]


def _section(title: str, entries: Sequence[str]) -> list[str]:
    """A heading and its list, cut where it is long; nothing where there is nothing."""
    if not entries:
        return []
    more = [f"- and {len(entries) - LISTED} more, see report.json"] if len(entries) > LISTED else []
    return ["", f"## {title}", "", *(f"- {entry}" for entry in entries[:LISTED]), *more]
