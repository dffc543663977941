"""Everything about a corpus that should be known before the first hour of training: measured, listed, and judged.

It is prepared as training prepares it, and what is looked at is what training would see: the clips of the cache. The
findings are for people (`audit_page.py`) and for programs (`audit.json`).
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tts.data.aligning import Alignment, Phones, align_all, align_task
from tts.data.cache import EntryFacts, read_facts
from tts.data.manifest import Clip, Prepared, name_some, sentence_of, write_text
from tts.data.mismatch import Matching, match, swapped
from tts.data.report import Report
from tts.evaluation.soundness import Sound, hear_all
from tts.settings import Recipe
from tts.training.cost import Cost

Verdict = Literal["good", "open", "bad"]  # as it should be; worth a look; to be mended before training

NOISY_DB = 25.0  # speech above the noise floor, below which a voice learns the noise
PAUSE_SECONDS = 1.0  # a pause within a clip, above which attention may get stuck
RARE = 20  # times that a symbol must be there to be learned
FEW_MINUTES = 5.0  # of a speaker
CLIPPED_SHARE = 0.001  # samples at full scale
CROWDED = 0.8  # share of the machine's memory


class Finding(NamedTuple):
    """One check and what came of it."""

    name: str
    verdict: Verdict
    words: str  # for people
    ids: list[str]  # of the clips it is about, the worst first


class ClipFacts(NamedTuple):
    """What is known of one clip."""

    seconds: float
    symbols: int
    speaker: str
    loudness: float  # LUFS, as recorded
    clipping: float  # share of samples at full scale
    trimmed: float  # seconds of silence cut at the ends
    snr: float  # dB of speech above the noise floor
    noise: float  # dB of full scale, as recorded
    longest_pause: float  # seconds
    silence: float  # share of the clip
    score: float | None  # of the alignment; None: there is none, or nothing was aligned


@dataclass
class Audit:
    """The findings; its fields are the keys of `audit.json`."""

    recipe: str
    corpus: str
    hours: float
    n_clips: int
    findings: list[Finding]
    clips: dict[str, ClipFacts]  # by id
    matching: Matching | None  # None: nothing was aligned
    symbols: dict[str, int]  # times each symbol of the table is there
    speakers: dict[str, float]  # minutes of each
    words_guessed: dict[str, int]
    cost: Cost | None  # None: nothing was measured


class Heard(NamedTuple):
    """What listening to the clips yields."""

    sounds: dict[str, Sound]  # by id
    matching: Matching | None
    own: dict[str, Alignment | None]  # by id


def listen(prepared: Prepared, recipe: Recipe, aligned: int | None) -> Heard:
    """Listen to every clip, and align texts with sound.

    Args:
        aligned: at most so many clips are aligned, evenly spread over the corpus; 0: none, None: all.
    """
    clips, workers = prepared.clips, recipe.data.workers
    sounds = hear_all(clips, recipe.audio, workers)
    if aligned == 0:
        return Heard(sounds, None, {})
    step = 1 if aligned is None else max(1, -(-len(clips) // aligned))
    phones, rate, cache = Phones(recipe.text), recipe.audio.sample_rate, Path(recipe.data.cache)
    own = {clip.id: align_task(clip, phones(clip), rate, cache) for clip in clips[::step]}
    wrong = {clip.id: align_task(clip, phones(other), rate, cache) for clip, other in swapped(clips)}
    found = align_all(own, "align", workers)
    return Heard(sounds, match(found, list(align_all(wrong, "align with wrong texts", workers).values())), found)


def build_audit(
    recipe: Recipe, name: str, prepared: Prepared, report: Report, heard: Heard, cost: Cost | None
) -> Audit:
    """Put together what was found. report: of preparing; name: of the recipe."""
    facts = {clip.id: _facts(clip, read_facts(clip.cache_file), heard) for clip in prepared.clips}
    counts = Counter(symbol for clip in prepared.split("train") for symbol in clip.symbols)
    audit = Audit(
        recipe=name,
        corpus=f"{recipe.data.corpus} at {recipe.data.root}",
        hours=sum(clip.seconds for clip in prepared.clips) / 3600,
        n_clips=len(prepared.clips),
        findings=[],
        clips=facts,
        matching=heard.matching,
        symbols={symbol: counts[symbol] for symbol in prepared.symbols[1:]},
        speakers=_minutes(prepared.clips),
        words_guessed=report.words_guessed,
        cost=cost,
    )
    audit.findings = _findings(audit, prepared.clips, report)
    return audit


def write_audit(audit: Audit, folder: Path) -> Path:
    """Write `audit.json`; returns its path."""
    plain = asdict(audit)
    plain["findings"] = [finding._asdict() for finding in audit.findings]
    plain["clips"] = {id_: clip._asdict() for id_, clip in audit.clips.items()}
    plain["cost"] = audit.cost and audit.cost._asdict()
    plain["matching"] = audit.matching and _plain_matching(audit.matching)
    write_text(folder / "audit.json", json.dumps(plain, indent=1, ensure_ascii=False) + "\n")
    return folder / "audit.json"


def _plain_matching(matching: Matching) -> dict[str, Any]:
    return {**matching._asdict(), "suspects": [suspect._asdict() for suspect in matching.suspects]}


def _facts(clip: Clip, entry: EntryFacts | None, heard: Heard) -> ClipFacts:
    assert entry is not None, "what is prepared has an entry"
    sound, aligned = heard.sounds[clip.id], heard.own.get(clip.id)
    return ClipFacts(
        seconds=round(clip.seconds, 3),
        symbols=len(clip.ids),
        speaker=clip.speaker,
        loudness=round(entry.loudness, 2),
        clipping=entry.clipping,
        trimmed=round(entry.recorded_seconds - clip.seconds, 3),
        snr=sound.snr,
        noise=round(sound.noise + entry.loudness - sound.loudness, 1),
        longest_pause=sound.longest_pause,
        silence=sound.silence,
        score=aligned.score if aligned else None,
    )


def _minutes(clips: Sequence[Clip]) -> dict[str, float]:
    minutes: Counter[str] = Counter()
    for clip in clips:
        minutes[clip.speaker] += clip.seconds / 60  # type: ignore[assignment]
    return dict(minutes.most_common())


def _findings(audit: Audit, clips: Sequence[Clip], report: Report) -> list[Finding]:
    checks: list[Finding | None] = [
        _left_out(report),
        _matching(audit.matching),
        _fit(report),
        _rates(report),
        _over(audit, "clipping", "clipping", CLIPPED_SHARE, "have samples at full scale: record with more headroom"),
        _noise(audit),
        _over(audit, "pauses", "longest_pause", PAUSE_SECONDS, f"pause for more than {PAUSE_SECONDS:g} s within"),
        *_duplicates(clips),
        _words(report),
        _symbols(audit),
        _speakers(audit),
        _memory(audit.cost),
    ]
    order = {"bad": 0, "open": 1, "good": 2}
    return sorted((finding for finding in checks if finding), key=lambda finding: order[finding.verdict])


def _left_out(report: Report) -> Finding:
    gone = [*(clip.id for clip in report.left_out), *report.missing]
    if not gone:
        return Finding("left out", "good", f"all {report.clips_listed} clips that are listed can be used", [])
    reason = f", e.g. {report.left_out[0].id}: {report.left_out[0].reason}" if report.left_out else ""
    words = (
        f"{len(report.left_out)} of {report.clips_listed} clips are of no use and {len(report.missing)} missing{reason}"
    )
    return Finding("left out", "bad" if len(gone) > 0.05 * report.clips_listed else "open", words, gone)


def _matching(found: Matching | None) -> Finding | None:
    if found is None:
        return None
    if found.unclear:
        return Finding("texts and sound", "bad", found.unclear, [])
    ids = [suspect.id for suspect in found.suspects]
    if not ids:
        return Finding("texts and sound", "good", "every text that was aligned fits its sound", [])
    words = f"{len(ids)} texts are hardly what is spoken ({name_some(ids)}): listen to them, correct or remove them"
    return Finding("texts and sound", "bad", words, ids)


def _fit(report: Report) -> Finding:
    found = report.texts_and_durations
    words = "; ".join(part for part in found if part)
    return Finding("text lengths", "bad" if found.advice else "good", words, [])


def _rates(report: Report) -> Finding:
    outliers = report.rate_of_speech_outliers
    if not outliers:
        return Finding("rate of speech", "good", "no clip is spoken much faster or slower than the others", [])
    words = f"{len(outliers)} clips are spoken much faster or slower than the others: is the text all that is spoken?"
    return Finding("rate of speech", "open", words, [clip.id for clip in outliers])


def _over(audit: Audit, name: str, field: str, limit: float, trouble: str) -> Finding:
    """Clips in which a figure is above a limit."""
    values: dict[str, float] = {id_: getattr(clip, field) for id_, clip in audit.clips.items()}
    ids = sorted((id_ for id_, value in values.items() if value > limit), key=lambda id_: -values[id_])
    if not ids:
        return Finding(name, "good", f"no clips {trouble.partition(':')[0]}", [])
    return Finding(name, "bad" if len(ids) > 0.1 * len(values) else "open", f"{len(ids)} clips {trouble}", ids)


def _noise(audit: Audit) -> Finding:
    ids = sorted((id_ for id_, clip in audit.clips.items() if clip.snr < NOISY_DB), key=lambda i: audit.clips[i].snr)
    middle = sorted(clip.snr for clip in audit.clips.values())[len(audit.clips) // 2]
    words = f"speech stands {middle:.0f} dB above the noise floor (median)"
    if not ids:
        return Finding("noise", "good", f"{words}, and nowhere less than {NOISY_DB:g} dB", [])
    return Finding(
        "noise",
        "bad" if middle < NOISY_DB else "open",
        f"{words}; {len(ids)} clips have less than {NOISY_DB:g} dB",
        ids,
    )


def _duplicates(clips: Sequence[Clip]) -> list[Finding]:
    sounds: dict[Path, list[Clip]] = {}
    texts: dict[str, list[str]] = {}
    for clip in clips:
        sounds.setdefault(clip.cache_file, []).append(clip)
        texts.setdefault(sentence_of(clip.words), []).append(clip.id)
    twice = [same for same in sounds.values() if len(same) > 1]
    ids = [clip.id for same in twice for clip in same]
    differ = sum(len({sentence_of(clip.words) for clip in same}) > 1 for same in twice)
    again = [same for same in texts.values() if len(same) > 1]
    words = "no recording is there twice"
    if twice:
        words = f"{len(twice)} recordings are there more than once, {differ} of them with different texts"
    takes = f"{len(again)} sentences are there in several takes" if again else "no sentence is there twice"
    return [
        Finding("same sound", "bad" if differ else "open" if twice else "good", words, ids),
        Finding("same text", "good", f"{takes}; takes of one sentence are held out together", []),
    ]


def _words(report: Report) -> Finding:
    guessed, skipped = report.words_guessed, report.characters_skipped
    parts = []
    if guessed:
        parts.append(f"the pronunciation of {len(guessed)} words is guessed ({name_some(list(guessed))})")
    if skipped:
        parts.append(f"characters that cannot be read are skipped: {' '.join(skipped)}")
    advice = "; put those that are wrong into a lexicon: text.lexicon=words.tsv" if guessed else ""
    words = "; ".join(parts) + advice if parts else "every word is in the dictionary"
    return Finding("unknown words", "open" if parts else "good", words, [])


def _symbols(audit: Audit) -> Finding:
    never = [symbol for symbol, count in audit.symbols.items() if count == 0]
    rare = [symbol for symbol, count in audit.symbols.items() if 0 < count < RARE]
    if not never and not rare:
        return Finding("symbols", "good", f"every symbol is there {RARE} times or more", [])
    parts = []
    if never:
        parts.append(f"never there: {' '.join(never)}")
    if rare:
        parts.append(f"there fewer than {RARE} times: {' '.join(rare)}")
    return Finding("symbols", "open", "; ".join(parts) + "; the voice will hardly learn to say them", [])


def _speakers(audit: Audit) -> Finding:
    few = [name for name, minutes in audit.speakers.items() if minutes < FEW_MINUTES]
    words = f"{len(audit.speakers)} speaker{'s' if len(audit.speakers) > 1 else ''}"
    if not few:
        least = f"{min(audit.speakers.values()):.0f} minutes{' or more of each' if len(audit.speakers) > 1 else ''}"
        return Finding("speakers", "good", f"{words}, {least}", [])
    named = name_some([name or "the speaker without a name" for name in few])
    return Finding("speakers", "open", f"{words}; less than {FEW_MINUTES:g} minutes of {named}", [])


def _memory(cost: Cost | None) -> Finding | None:
    if cost is None:
        return None
    batch = f"the longest batch ({cost.batch_clips} clips, {cost.batch_frames} frames with padding)"
    there = f"of the {cost.memory_there_gib:.1f} GiB that {cost.device} has"
    if cost.memory_gib is None:
        words = f"{batch} does not fit into memory {there}: set trainer.acoustic.batch_frames lower"
        return Finding("cost", "bad", words, [])
    hours = ", ".join(f"{_duration(h)} at {r} frames a decoder step" for r, h in cost.hours_per_epoch.items())
    words = f"{batch} takes {cost.memory_gib:.2f} GiB {there}; an epoch of {cost.steps_per_epoch} steps takes {hours}"
    return Finding("cost", "open" if cost.memory_gib > CROWDED * cost.memory_there_gib else "good", words, [])


def _duration(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.1f} min"


def summary(audit: Audit, say: Callable[[str], None]) -> None:
    """A few lines for the terminal: what there is, then each finding with its verdict."""
    marks = {"bad": "✗", "open": "?", "good": "✓"}
    say(f"{audit.n_clips} clips, {audit.hours:.2f} h of speech: {audit.corpus}")
    for finding in audit.findings:
        say(f"  {marks[finding.verdict]} {finding.name}: {finding.words}")
