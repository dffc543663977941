"""From a corpus to clips ready for training: every clip checked, cleaned and cached, every text pronounced.

Processes make what the cache lacks; what they have done stays done, so an interrupted run goes on where it was.
"""

import hashlib
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from tqdm import tqdm

from tts.batch import PhoneTime, Utterance
from tts.data.cache import ClipCache, EntryFacts, EntryTask, make_entry, read_facts
from tts.data.manifest import Clip, FramesPerSymbol, Prepared, name_some, save_prepared, sentence_of, write_text
from tts.data.report import Found, LeftOut, build_report, write_report
from tts.errors import AudioError, DataError, TextError
from tts.parallel import WorkerDiedError, n_cores, unordered
from tts.progress import progress_bar
from tts.settings import AudioConfig, DataConfig, Recipe
from tts.text.frontend import EncodedText, Frontend

MISSING = "missing_clips.txt"
TRAIN_SHARE = 5  # at most one sentence in so many is held out


class Job(NamedTuple):
    """An utterance that can be spoken, and where its sound is or will be."""

    utterance: Utterance
    encoded: EncodedText
    task: EntryTask
    facts: EntryFacts | None  # None: the entry is yet to be made


class Done(NamedTuple):
    """An utterance with everything that training needs."""

    utterance: Utterance
    encoded: EncodedText
    entry: Path
    facts: EntryFacts


@dataclass
class Preparation:
    """The corpus on its way through."""

    data: DataConfig
    done: dict[str, Done]  # by id
    found: Found


def prepare(
    recipe: Recipe, run_dir: Path, utterances: Iterable[Utterance], frontend: Frontend, progress: bool = True
) -> Prepared:
    """Prepare a corpus and write manifest, statistics and report under `run_dir/data`.

    Raises:
        DataError: if there is nothing to train on, clips are missing or too many are bad, ids repeat, or a folder
            cannot be written.
    """
    data, folder = recipe.data, run_dir / "data"
    listed = list(utterances)
    _check_listed(listed, data)
    present = [utterance for utterance in listed if utterance.audio_path.exists()]
    there = {utterance.id for utterance in present}
    missing = [utterance.id for utterance in listed if utterance.id not in there]
    _check_missing(missing, len(listed), data, folder)
    run = Preparation(data, {}, Found(len(listed), missing, [], {}, Counter(), Counter()))
    found = run.found
    cache = ClipCache(recipe.audio, data)
    cache.open()
    try:
        with progress_bar(len(present), "prepare", " clips", shown=progress) as bar:
            jobs = _jobs(present, frontend, cache, found, bar)
            with closing(_results(jobs, data.workers or n_cores())) as results:
                for job, outcome in results:
                    _sort_in(run, job, outcome)
                    bar.update()
    finally:
        cache.save_index()
    order = {utterance.id: number for number, utterance in enumerate(listed)}
    found.left_out.sort(key=lambda clip: order[clip.id])
    done = sorted(run.done.values(), key=lambda item: order[item.utterance.id])
    prepared = assemble(done, recipe, frontend) if _enough(done, data) else None
    report = write_report(build_report(found, prepared), folder, recipe.audio.sample_rate)
    _check_usable(done, found, len(present), data, report)
    assert prepared is not None, "what is usable was assembled"
    check_speakers(prepared)
    save_prepared(prepared, run_dir)
    return prepared


def _check_listed(listed: Sequence[Utterance], data: DataConfig) -> None:
    if not listed:
        raise DataError(f"the corpus {data.corpus!r} at {data.root!r} lists no clips; check data.root and its metadata")
    repeated = [id_ for id_, n in Counter(utterance.id for utterance in listed).items() if n > 1]
    if repeated:
        raise DataError(f"{len(repeated)} ids are listed more than once: {name_some(repeated)}; make them differ")


def _check_missing(missing: list[str], n_listed: int, data: DataConfig, folder: Path) -> None:
    """Write down which clips are missing, at once: the page of the report comes last."""
    write_text(folder / MISSING, "".join(f"{id_}\n" for id_ in missing))
    if not missing:
        return
    if len(missing) == n_listed:
        raise DataError(f"none of the {n_listed} clips listed is there, e.g. {missing[0]}; check data.root={data.root}")
    if not data.allow_missing:
        raise DataError(
            f"{len(missing)} of {n_listed} clips listed are missing: {name_some(missing, 3)} "
            f"(all in {folder / MISSING}); get them, or go on without them: data.allow_missing=true"
        )


def _jobs(
    present: Sequence[Utterance], frontend: Frontend, cache: ClipCache, found: Found, bar: "tqdm[None]"
) -> Iterator[Job]:
    """Pronounce each text and look its clip up in the cache; what cannot be spoken is left out."""
    for utterance in present:
        try:
            encoded = frontend(utterance.text)
            task = cache.task(utterance.audio_path)
        except (TextError, OSError) as error:
            found.left_out.append(LeftOut(utterance.id, str(error)))
            bar.update()
            continue
        found.guessed.update(encoded.guessed)
        found.skipped.update(encoded.skipped)
        yield Job(utterance, encoded, task, read_facts(task.entry))


def _results(jobs: Iterable[Job], n_workers: int) -> Generator[tuple[Job, EntryFacts | str], None, None]:
    """Make the entries that are not there yet, in parallel; in place of the facts, why a clip is of no use."""
    if n_workers == 1:
        yield from ((job, job.facts or _attempt(job.task)) for job in jobs)
        return
    there: list[tuple[Job, EntryFacts | str]] = []

    def to_do() -> Iterator[tuple[Job, EntryTask]]:
        for job in jobs:
            if job.facts is not None:
                there.append((job, job.facts))
            else:
                yield job, job.task

    try:
        yield from unordered(_attempt, to_do(), n_workers)
    except WorkerDiedError:
        raise DataError(
            "a process that prepares clips was killed, perhaps for lack of memory; run again with fewer, e.g. "
            "data.workers=1: what is done stays done"
        ) from None
    yield from there


def _attempt(task: EntryTask) -> EntryFacts | str:
    try:
        return make_entry(task)
    except AudioError as error:
        return str(error)
    except (ValueError, RuntimeError, MemoryError) as error:  # one odd clip must not end the corpus
        return f"{task.audio_path} cannot be prepared: {type(error).__name__}: {error}"


def _sort_in(run: Preparation, job: Job, outcome: EntryFacts | str) -> None:
    """Keep a clip, or note why not."""
    reason = outcome if isinstance(outcome, str) else wrong_length(outcome, job.task.audio, run.data)
    if reason or isinstance(outcome, str):
        run.found.left_out.append(LeftOut(job.utterance.id, reason))
        return
    run.done[job.utterance.id] = Done(job.utterance, job.encoded, job.task.entry, outcome)
    run.found.facts[job.utterance.id] = outcome


def wrong_length(facts: EntryFacts, audio: AudioConfig, data: DataConfig) -> str:
    """Why a clip is of no use for its length; empty if it is not."""
    seconds = facts.n_samples / audio.sample_rate
    if seconds < data.min_seconds:
        return f"{seconds:.2f} s without silence, below data.min_seconds={data.min_seconds}"
    if seconds > data.max_seconds:
        return f"{seconds:.1f} s without silence, above data.max_seconds={data.max_seconds}"
    return ""


def choose_held_out(sentences: Iterable[str], wanted: int) -> set[str]:
    """Sentences kept from training: `wanted`, but one in five at most; by hash, so that the order is of no concern."""
    different = sorted(set(sentences), key=lambda sentence: hashlib.sha256(sentence.encode()).digest())
    return set(different[: min(wanted, len(different) // TRAIN_SHARE)])


def _enough(done: Sequence[Done], data: DataConfig) -> bool:
    """Whether a sentence can be held out."""
    return bool(choose_held_out((sentence_of(item.encoded.words) for item in done), data.held_out))


def _check_usable(done: Sequence[Done], found: Found, n_present: int, data: DataConfig, report: Path) -> None:
    """Refuse a corpus too bad or too small to train on; the report says why."""
    n_bad = len(found.left_out)
    if not done:
        first = found.left_out[0]
        raise DataError(f"no usable clip among {n_present}, e.g. {first.id}: {first.reason}; see {report}")
    if n_bad > data.max_bad_share * n_present:
        raise DataError(
            f"{n_bad} of {n_present} clips are unusable, more than data.max_bad_share={data.max_bad_share}; "
            f"{report} names them and says why"
        )
    if not _enough(done, data):
        n_sentences = len({sentence_of(item.encoded.words) for item in done})
        raise DataError(
            f"only {n_sentences} different sentences are usable; at least {TRAIN_SHARE} are needed, as one is held out"
        )


def check_speakers(prepared: Prepared) -> None:
    """Refuse a speaker that nothing is left to learn from."""
    trained = {clip.speaker for clip in prepared.split("train")}
    if untrained := [name for name in prepared.speakers if name not in trained]:
        raise DataError(
            f"every usable clip of {name_some(untrained)} is held out, so there is nothing to learn from; "
            "record more, leave the speaker away, or hold out fewer sentences: data.held_out"
        )


def assemble(done: Sequence[Done], recipe: Recipe, frontend: Frontend) -> Prepared:
    """Choose the split and sum up what training needs to know of the corpus."""
    held_out = choose_held_out((sentence_of(item.encoded.words) for item in done), recipe.data.held_out)
    clips = [_clip(item, recipe.audio, sentence_of(item.encoded.words) in held_out) for item in done]
    training = [item.facts for item, clip in zip(done, clips, strict=True) if clip.split == "train"]
    n_frames = sum(facts.n_frames for facts in training)
    mean = torch.tensor([facts.mel_sum for facts in training], dtype=torch.float64).sum(dim=0) / n_frames
    square = torch.tensor([facts.mel_square_sum for facts in training], dtype=torch.float64).sum(dim=0) / n_frames
    pace = torch.tensor([clip.n_frames / len(clip.ids) for clip in clips if clip.split == "train"])
    return Prepared(
        recipe.audio,
        tuple(frontend.symbols),
        clips,
        mean.float(),
        (square - mean**2).clamp_min(0).sqrt().float(),
        FramesPerSymbol(*(float(x) for x in (pace.min(), pace.mean(), pace.quantile(0.95), pace.max()))),
        frontend.fingerprint,
    )


def _clip(item: Done, audio: AudioConfig, held_out: bool) -> Clip:
    """A line of the manifest."""
    seconds, start = item.facts.n_samples / audio.sample_rate, item.facts.start_sample / audio.sample_rate
    inside = [
        PhoneTime(phone, *(min(max(time - start, 0.0), seconds) for time in (begin, end)))
        for phone, begin, end in item.utterance.phone_times
    ]
    return Clip(
        id=item.utterance.id,
        text=item.utterance.text,
        normalized=item.encoded.normalized,
        symbols=item.encoded.symbols,
        ids=tuple(item.encoded.ids),
        words=item.encoded.words,
        speaker=item.utterance.speaker,
        split="held_out" if held_out else "train",
        cache_file=item.entry,
        n_samples=item.facts.n_samples,
        n_frames=item.facts.n_frames,
        seconds=seconds,
        phone_times=tuple(inside),
    )
