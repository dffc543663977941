"""Long recordings become several utterances, cut at pauses, each with its own part of the text.

How a recording is cut is kept in the cache, by the content of its file, its text and the settings: what was cut once is
read from then on. A piece is named like its recording and its number, `talk_001`, and is a part of the same file.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from tts.atomic import write_atomically, write_failure
from tts.audio.files import read_recording, seconds_of
from tts.audio.silence import trim_silence
from tts.batch import Utterance
from tts.data.aligning import require_aligner
from tts.data.cache import ClipCache
from tts.data.cutting import Piece, cut
from tts.data.hearing import Extent, hear
from tts.data.transcript import Transcript, read_transcript, said_words
from tts.errors import AudioError, DataError, TextError
from tts.parallel import WorkerDiedError, n_cores, unordered
from tts.progress import progress_bar
from tts.settings import Recipe, TextConfig
from tts.text.frontend import Frontend

VERSION = 1  # of how recordings are cut; a change here cuts everything anew
FOLDER = "splits"  # in the cache
SHOWN = 60  # characters of a lost text that are told


class SplitTask(NamedTuple):
    """All that a process needs to cut a recording."""

    extent: Extent
    text: str
    spelling: str  # settings of the text in JSON
    min_seconds: float
    max_seconds: float
    trim_db: float
    keep_silence: float
    kept: Path  # where it is kept how the recording is cut


class Part(NamedTuple):
    """A piece of a recording. Times in seconds of its file."""

    start: float
    end: float
    text: str


class Split(NamedTuple):
    """How a recording is cut."""

    parts: tuple[Part, ...]
    lost: tuple[str, ...]  # where and why a part of the text is in no piece
    whole: bool  # it is not too long once silence is trimmed at its ends, and stays as it is


class SplitSummary(NamedTuple):
    """What became of all long recordings."""

    recordings: int
    pieces: int
    seconds: float
    seconds_lost: float  # in no piece, pauses included


class SplitCorpus:
    """The utterances of a corpus, with pieces in place of long recordings. Iterating gives them in order.

    Args:
        utterances: gives an iterator over the corpus, every time it is called.
        recipe: settings of text and data.
        cache: of prepared clips.

    Raises:
        DataError: without pocketsphinx, if a result cannot be kept, or if a process was killed.
    """

    def __init__(
        self, utterances: Callable[[], Iterable[Utterance]], recipe: Recipe, cache: ClipCache, progress: bool = True
    ):
        require_aligner()
        self._utterances = utterances
        self._tasks: dict[str, SplitTask] = {}
        self.n_clips = 0
        for utterance in utterances():
            self.n_clips += 1
            if task := split_task(utterance, recipe, cache):
                self._tasks[utterance.id] = task
        split_all(self._tasks, recipe.data.workers, progress)
        self.lost: list[tuple[str, str]] = []  # ids, and what of them is in no piece
        self._names: set[str] = set()  # of pieces
        counts = [0, 0]
        seconds = [0.0, 0.0]
        for id_, task in self._tasks.items():
            split = _kept(task)
            self.lost += [(id_, reason) for reason in split.lost]
            if split.whole:
                continue
            self.n_clips += len(split.parts) - 1
            self._names |= {_name(id_, number) for number in range(1, len(split.parts) + 1)}
            counts = [counts[0] + 1, counts[1] + len(split.parts)]
            inside = sum(part.end - part.start for part in split.parts)
            seconds = [seconds[0] + task.extent.seconds, seconds[1] + task.extent.seconds - inside]
        self.summary = SplitSummary(*counts, *seconds)

    def __iter__(self) -> Iterator[Utterance]:
        for utterance in self._utterances():
            task = self._tasks.get(utterance.id)
            split = _kept(task) if task else None
            if split and not split.whole:
                yield from _pieces(utterance, split)
            elif utterance.id in self._names:
                raise DataError(f"{utterance.id} is the id of a clip and of a piece of a longer one; rename the clip")
            else:
                yield utterance


def _name(id_: str, number: int) -> str:
    return f"{id_}_{number:03}"


def _pieces(utterance: Utterance, split: Split) -> Iterator[Utterance]:
    for number, part in enumerate(split.parts, 1):
        phones = tuple(time for time in utterance.phone_times if part.start <= time.start and time.end <= part.end)
        yield replace(
            utterance,
            id=_name(utterance.id, number),
            text=part.text,
            start=part.start,
            end=part.end,
            phone_times=phones,
        )


def split_task(utterance: Utterance, recipe: Recipe, cache: ClipCache) -> SplitTask | None:
    """What is to be done to cut an utterance; None if it is not too long, or its file tells nothing."""
    data = recipe.data
    lasts = seconds_of(utterance.audio_path)
    if lasts is None:
        return None
    seconds = (min(utterance.end, lasts) if utterance.end else lasts) - utterance.start
    if seconds <= data.max_seconds:
        return None
    spelling = json.dumps({**asdict(recipe.text), "units": "phonemes"}, sort_keys=True)
    settings = data.min_seconds, data.max_seconds, data.trim_db, data.keep_silence
    fingerprint = _frontend(spelling).fingerprint
    content = cache.hashes.of(utterance.audio_path)
    key = json.dumps([VERSION, content, utterance.start, utterance.end, utterance.text, fingerprint, *settings])
    name = hashlib.sha256(key.encode()).hexdigest()[:32]
    extent = Extent(utterance.audio_path, utterance.start, seconds)
    return SplitTask(extent, utterance.text, spelling, *settings, cache.folder / FOLDER / f"{name}.json")


def split_all(tasks: dict[str, SplitTask], workers: int, progress: bool) -> None:
    """Cut what was not cut before, in processes; the results are kept.

    Raises:
        DataError: if one cannot be, or a process was killed.
    """
    left = [(id_, task) for id_, task in tasks.items() if read_split(task) is None]
    with progress_bar(len(tasks), "split", " recordings", done=len(tasks) - len(left), shown=progress) as bar:
        for _ in _done(left, min(workers or n_cores(), len(left))):
            bar.update()


def _done(left: Sequence[tuple[str, SplitTask]], n_workers: int) -> Iterator[str]:
    """Ids, as their recordings are cut."""
    if n_workers < 2:
        for id_, task in left:
            split_recording(task)
            yield id_
        return
    try:
        yield from (id_ for id_, _ in unordered(split_recording, left, n_workers))
    except WorkerDiedError:
        raise DataError(
            "a process that splits long recordings was killed, perhaps for lack of memory; run again with fewer, e.g. "
            "data.workers=1: what is done stays done"
        ) from None


def split_recording(task: SplitTask) -> None:
    """Cut a recording and keep how. Raises DataError if that cannot be kept."""
    try:
        split = Split((), (), whole=True) if _is_short(task) else _cut(task)
    except (AudioError, TextError) as error:
        split = Split((), (str(error),), whole=False)
    try:
        task.kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(task.kept, json.dumps(split).encode())
    except OSError as error:
        raise DataError(write_failure(task.kept, error)) from None


def read_split(task: SplitTask) -> Split | None:
    """What was kept of a task; None where nothing is, or nothing whole."""
    try:
        parts, lost, whole = json.loads(task.kept.read_text(encoding="utf-8"))
        return Split(tuple(Part(*part) for part in parts), tuple(lost), whole)
    except (OSError, ValueError, TypeError):
        return None


def _kept(task: SplitTask) -> Split:
    split = read_split(task)
    if split is None:
        raise DataError(f"{task.kept} was removed or damaged meanwhile; run the stage prepare again")
    return split


def _is_short(task: SplitTask) -> bool:
    """Whether only silence at its ends makes a recording too long."""
    extent = task.extent
    if extent.seconds > 2 * task.max_seconds:
        return False
    wave, rate = read_recording(extent.path, extent.start, extent.start + extent.seconds)
    return len(trim_silence(wave, rate, task.trim_db, task.keep_silence).wave) <= task.max_seconds * rate


def _cut(task: SplitTask) -> Split:
    frontend = _frontend(task.spelling)
    transcript = read_transcript(task.text, frontend)
    if not any(word.phones for word in transcript.words):
        return Split((), ("nothing in its text can be spoken",), whole=False)
    pieces = cut(transcript, hear(task.extent, transcript), task.min_seconds, task.max_seconds)
    right = [piece for piece in pieces if _reads_alike(transcript, piece, frontend)]
    start = task.extent.start
    parts = tuple(
        Part(round(start + piece.start, 3), round(start + piece.end, 3), transcript.part(piece.first, piece.last))
        for piece in right
    )
    return Split(parts, tuple(_lost(transcript, right, task.extent)), whole=False)


def _reads_alike(transcript: Transcript, piece: Piece, frontend: Frontend) -> bool:
    """Whether the text of a piece is read by itself as it is within the whole."""
    alone = [word.name for word in said_words(frontend.encode(transcript.part(piece.first, piece.last)))]
    return alone == [word.name for word in transcript.words[piece.first : piece.last]]


def _lost(transcript: Transcript, pieces: Sequence[Piece], extent: Extent) -> Iterator[str]:
    """Where words are in no piece, and why."""
    n_words = len(transcript.words)
    edges = [Piece(0, 0, 0.0, 0.0), *pieces, Piece(n_words, n_words, extent.seconds, extent.seconds)]
    for before, after in pairwise(edges):
        if before.last < after.first:
            text = " ".join(word.name for word in transcript.words[before.last : after.first])
            shown = text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
            begin, end = extent.start + before.end, extent.start + after.start
            yield f"{begin:.1f} s to {end:.1f} s are not heard as written, or have no pause to cut at: {shown!r}"


@lru_cache(maxsize=1)
def _frontend(spelling: str) -> Frontend:
    """One per process."""
    return Frontend(TextConfig(**json.loads(spelling)))
