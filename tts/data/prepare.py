"""From a corpus to clips ready for training: every clip checked, cleaned and cached, every text pronounced.

Processes make what the cache lacks; what they have done stays done, so an interrupted run goes on where it was. Clips
pass through one by one: a corpus of any size takes the same memory, but for some hundred bytes a clip.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tts.atomic import sweep, write_failure
from tts.batch import Utterance
from tts.data.aligning import require_aligner
from tts.data.cache import ClipCache, EntryFacts, EntryTask, make_entry, read_facts
from tts.data.collect import TRAIN_SHARE, Collector
from tts.data.guides import align_clips
from tts.data.listing import Listing
from tts.data.manifest import Clips, Prepared, line_of, load_prepared, name_some, save_prepared
from tts.data.report import Found, LeftOut, build_report, write_report
from tts.data.splitting import SplitCorpus
from tts.errors import AudioError, DataError, TextError
from tts.parallel import WorkerDiedError, in_order, n_cores
from tts.progress import progress_bar
from tts.settings import AudioConfig, DataConfig, Recipe, Share
from tts.text.frontend import EncodedText, Frontend


class Job(NamedTuple):
    """An utterance, and where its sound is or will be."""

    utterance: Utterance
    encoded: EncodedText | None  # None: it cannot be spoken
    task: EntryTask | None
    outcome: EntryFacts | str | None  # what the cache knows of it, or why it is of no use; None: it is yet to be made


class Source(NamedTuple):
    """What is to be prepared."""

    utterances: Iterable[Utterance]
    n_clips: int  # those, and what is lost of recordings that were split
    split: SplitCorpus | None


class ShareDone(NamedTuple):
    """What became of a share of a corpus."""

    n_clips: int
    left_out: list[LeftOut]


def prepare(
    recipe: Recipe, run_dir: Path, utterances: Iterable[Utterance], frontend: Frontend, progress: bool = True
) -> Prepared:
    """Prepare a corpus and write manifest, statistics and report under `run_dir/data`.

    Raises:
        DataError: if there is nothing to train on, clips are missing or too many are bad, ids repeat, or a folder
            cannot be written; or if attention shall be guided by alignments and nothing is there to align with.
    """
    if aligned := recipe.trainer.acoustic.guided_attention == "aligned":
        require_aligner()  # before the hours that come first
    data, folder, cache = recipe.data, data_folder(run_dir), ClipCache(recipe.audio, recipe.data)
    with (
        closing(Listing(utterances, data, folder)) as listing,
        Collector(recipe.audio, folder) as kept,
        # Until the manifest is written nothing else tells that its entries are in use.
        cache.opened(run_dir),
    ):
        found = Found(listing.n_listed, listing.missing)
        source = _source(lambda: listing, listing.n_present, recipe, cache, progress)
        if source.split:
            found.listed += source.n_clips - listing.n_present
            found.split = source.split.summary._asdict()
            found.left_out += [LeftOut(*lost) for lost in source.split.lost]
        for job, outcome in _outcomes(source.utterances, source.n_clips, cache, data, frontend, progress):
            _sort_in(job, outcome, data, kept, found)
        prepared = kept.prepared(recipe, frontend) if _enough(kept) else None
        report = write_report(build_report(found, kept.measured, prepared), folder, recipe.audio.sample_rate)
        _check_usable(kept, found, source.n_clips, data, report)
        assert prepared is not None, "what is usable was assembled"
        check_speakers(prepared)
        save_prepared(prepared, kept.lines(prepared), run_dir)
    if aligned:
        prepared = load_prepared(run_dir, recipe.audio, frontend.fingerprint)
        clips = Clips.of(align_clips(prepared.clips, recipe, progress))
        save_prepared(replace(prepared, clips=clips), map(line_of, clips), run_dir)
    return load_prepared(run_dir, recipe.audio, frontend.fingerprint)


def prepare_share(
    recipe: Recipe,
    run_dir: Path,
    utterances: Iterable[Utterance],
    frontend: Frontend,
    share: Share,
    progress: bool = True,
) -> ShareDone:
    """Put one machine's share of a corpus into the cache; `prepare` then finds there what all of them have made.

    Raises:
        DataError: as `prepare` does, but for what only the whole corpus tells.
    """
    cache = ClipCache(recipe.audio, recipe.data)
    with closing(Listing(utterances, recipe.data, data_folder(run_dir))) as listing, cache.opened(run_dir):
        n_mine = len(range(share.number - 1, listing.n_present, share.of))
        mine = _source(lambda: islice(listing, share.number - 1, None, share.of), n_mine, recipe, cache, progress)
        left_out = [
            LeftOut(job.utterance.id, outcome)
            for job, outcome in _outcomes(mine.utterances, mine.n_clips, cache, recipe.data, frontend, progress)
            if isinstance(outcome, str)
        ]
    left_out += [LeftOut(*lost) for lost in mine.split.lost] if mine.split else []
    return ShareDone(mine.n_clips, left_out)


def _source(
    utterances: Callable[[], Iterable[Utterance]], n_clips: int, recipe: Recipe, cache: ClipCache, progress: bool
) -> Source:
    """What is to be prepared of a corpus; `utterances` begins to read it whenever it is called."""
    if not recipe.data.split_long:
        return Source(utterances(), n_clips, None)
    split = SplitCorpus(utterances, recipe, cache, progress)
    return Source(split, split.n_clips + len(split.lost), split)


def data_folder(run_dir: Path) -> Path:
    """The folder of what is prepared, without what killed processes left there."""
    folder = run_dir / "data"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
    except OSError as error:
        raise DataError(write_failure(folder, error)) from None
    return folder


def _outcomes(
    utterances: Iterable[Utterance],
    n_clips: int,
    cache: ClipCache,
    data: DataConfig,
    frontend: Frontend,
    progress: bool,
) -> Iterator[tuple[Job, EntryFacts | str]]:
    """Every utterance in order, with what was measured of its clip or why it is of no use."""
    jobs = _jobs(utterances, frontend, cache)
    with (
        progress_bar(n_clips, "prepare", " clips", shown=progress) as bar,
        closing(_results(jobs, data.workers or n_cores())) as results,
    ):
        for result in results:
            yield result
            bar.update()


def _jobs(utterances: Iterable[Utterance], frontend: Frontend, cache: ClipCache) -> Iterator[Job]:
    """Pronounce each text and look its clip up in the cache."""
    for utterance in utterances:
        try:
            encoded = frontend(utterance.text)
            task = cache.task(utterance.audio_path, utterance.start, utterance.end)
            yield Job(utterance, encoded, task, read_facts(task.entry))
        except (TextError, OSError) as error:
            yield Job(utterance, None, None, str(error))


def _results(jobs: Iterable[Job], n_workers: int) -> Generator[tuple[Job, EntryFacts | str], None, None]:
    """Make the entries that are not there yet, in parallel; in place of the facts, why a clip is of no use."""
    to_do = ((job, job.task if job.outcome is None else None) for job in jobs)
    try:
        done = in_order(_attempt, to_do, n_workers) if n_workers > 1 else _one_by_one(to_do)
        with closing(done):
            for job, made in done:
                outcome = made if job.outcome is None else job.outcome
                assert outcome is not None, "what the cache lacks is made"
                yield job, outcome
    except WorkerDiedError:
        raise DataError(
            "a process that prepares clips was killed, perhaps for lack of memory; run again with fewer, e.g. "
            "data.workers=1: what is done stays done"
        ) from None


def _one_by_one(
    to_do: Iterable[tuple[Job, EntryTask | None]],
) -> Generator[tuple[Job, EntryFacts | str | None], None, None]:
    yield from ((job, None if task is None else _attempt(task)) for job, task in to_do)


def _attempt(task: EntryTask) -> EntryFacts | str:
    try:
        return make_entry(task)
    except AudioError as error:
        return str(error)
    except (ValueError, RuntimeError, MemoryError) as error:  # one odd clip must not end the corpus
        return f"{task.audio_path} cannot be prepared: {type(error).__name__}: {error}"


def _sort_in(job: Job, outcome: EntryFacts | str, data: DataConfig, kept: Collector, found: Found) -> None:
    """Keep a clip, or note why not."""
    if job.encoded is not None:
        found.guessed.update(job.encoded.guessed)
        found.skipped.update(job.encoded.skipped)
    reason = outcome if isinstance(outcome, str) else wrong_length(outcome, kept.audio, data)
    if reason or isinstance(outcome, str):
        found.left_out.append(LeftOut(job.utterance.id, reason))
        return
    assert job.encoded is not None and job.task is not None, "what was made can be spoken"
    kept.add(job.utterance, job.encoded, job.task.entry, outcome)


def wrong_length(facts: EntryFacts, audio: AudioConfig, data: DataConfig) -> str:
    """Why a clip is of no use for its length; empty if it is not."""
    seconds = facts.n_samples / audio.sample_rate
    if seconds < data.min_seconds:
        return f"{seconds:.2f} s without silence, below data.min_seconds={data.min_seconds}"
    if seconds > data.max_seconds:
        return f"{seconds:.1f} s without silence, above data.max_seconds={data.max_seconds}"
    return ""


def _enough(kept: Collector) -> bool:
    """Whether a sentence can be held out."""
    return kept.n_sentences >= TRAIN_SHARE


def _check_usable(kept: Collector, found: Found, n_present: int, data: DataConfig, report: Path) -> None:
    """Refuse a corpus too bad or too small to train on; the report says why."""
    n_bad = len(found.left_out)
    if not len(kept):
        first = found.left_out[0]
        raise DataError(f"no usable clip among {n_present}, e.g. {first.id}: {first.reason}; see {report}")
    if n_bad > data.max_bad_share * n_present:
        raise DataError(
            f"{n_bad} of {n_present} clips are unusable, more than data.max_bad_share={data.max_bad_share}; "
            f"{report} names them and says why"
        )
    if not _enough(kept):
        raise DataError(
            f"only {kept.n_sentences} different sentences are usable; at least {TRAIN_SHARE} are needed, as one is "
            "held out"
        )


def check_speakers(prepared: Prepared) -> None:
    """Refuse a speaker that nothing is left to learn from."""
    trained = set(prepared.split("train").speakers)
    if untrained := [name for name in prepared.speakers if name not in trained]:
        raise DataError(
            f"every usable clip of {name_some(untrained)} is held out, so there is nothing to learn from; "
            "record more, leave the speaker away, or hold out fewer sentences: data.held_out"
        )
