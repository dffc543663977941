"""When each word and phone of a clip is spoken, and how well the sound fits them: forced alignment by CMU Sphinx.

Words are said as our frontend says them, stress aside, so every phone of the alignment is a symbol of the text. An
alignment is kept in the cache, by the content of the clip and the phones: what was aligned once is read from then on.
"""

import hashlib
import importlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from tts.atomic import write_atomically, write_failure
from tts.audio.sphinx import FRAMES_PER_SECOND, PADDING, listen, open_sphinx, samples_for_sphinx
from tts.batch import PhoneTime
from tts.data.cache import load_wave
from tts.data.manifest import SUFFIX, Clip
from tts.errors import DataError, TextError
from tts.parallel import WorkerDiedError, n_cores, unordered
from tts.progress import progress_bar
from tts.settings import TextConfig
from tts.text.frontend import Frontend
from tts.text.symbols import spoken_phones

VERSION = 1  # of how clips are aligned; a change here aligns everything anew
FOLDER = "alignments"  # in the cache

# Sphinx's frame f sees 25.6 ms from 10 f ms on: what it says of the frame holds about the middle of that.
MIDDLE = (0.0256 - 1 / FRAMES_PER_SECOND) / 2  # seconds

Word = tuple[str, tuple[str, ...]]  # a word and its phones, without stress


class SpokenWord(NamedTuple):
    """A word in a clip. Times in seconds of the trimmed clip."""

    word: str
    start: float
    end: float
    score: float  # log likelihood of a frame under the phones, mean; in Sphinx's units, the higher, the better
    phones: tuple[PhoneTime, ...]


class Alignment(NamedTuple):
    """A clip with its text laid along it."""

    words: tuple[SpokenWord, ...]
    score: float  # of a frame, mean over the words' frames


class AlignTask(NamedTuple):
    """All that a process needs to align a clip with a text."""

    entry: Path  # of the cache
    sample_rate: int  # Hz
    words: tuple[Word, ...]
    kept: Path  # where the alignment is kept


def require_aligner() -> None:
    """Raise a DataError where there is nothing to align with."""
    try:
        importlib.import_module("pocketsphinx")
    except ImportError as error:
        raise DataError(
            f'aligning texts with audio needs the package pocketsphinx ({error}): pip install -e ".[evaluate]"'
        ) from None


class Phones:
    """How the words of clips are said, whether the corpus is read in phonemes or in characters."""

    def __init__(self, text: TextConfig):
        self._spell = None if text.units == "phonemes" else Frontend(TextConfig(style=text.style, days=text.days))

    def __call__(self, clip: Clip) -> tuple[Word, ...]:
        """The words of a clip with their phones; a word of which none are known has none."""
        return tuple((span.word, self._say(span.word, clip.symbols[span.start : span.end])) for span in clip.words)

    def _say(self, word: str, symbols: Sequence[str]) -> tuple[str, ...]:
        if self._spell is not None:
            try:
                symbols = self._spell(word).symbols
            except TextError:
                return ()
        return spoken_phones(symbols)


def align_task(clip: Clip, words: tuple[Word, ...], sample_rate: int, cache: Path) -> AlignTask:
    """What is to be done to align a clip with words, its own or others. cache: the folder of prepared clips."""
    said = json.dumps([VERSION, clip.cache_file.name, sample_rate, [phones for _, phones in words]])
    name = f"{clip.cache_file.stem}-{hashlib.sha256(said.encode()).hexdigest()[:16]}"
    return AlignTask(clip.cache_file, sample_rate, words, cache.resolve() / FOLDER / f"{name}.json")


def orphans(cache: Path) -> Iterator[Path]:
    """Alignments whose clip is no longer in the cache."""
    for file in (cache / FOLDER).glob("*.json"):
        if not (cache / f"{file.stem.partition('-')[0]}{SUFFIX}").exists():
            yield file


def align_all(
    tasks: Mapping[str, AlignTask], what: str = "align", workers: int = 0, progress: bool = True
) -> dict[str, Alignment | None]:
    """Align many clips in processes, or read what was aligned before; None where text and sound cannot be aligned.

    Args:
        tasks: by any name, which the result has again.
        what: for the progress bar.
        workers: processes; 0: one a core.

    Raises:
        DataError: without pocketsphinx, if an alignment cannot be kept, or if a process was killed.
    """
    require_aligner()
    kept = {name: read_alignment(task) for name, task in tasks.items()}
    found = {name: known.alignment for name, known in kept.items() if known}
    left = [(name, task) for name, task in tasks.items() if name not in found]
    with progress_bar(len(tasks), what, " clips", done=len(found), shown=progress) as bar:
        for name, alignment in _aligned(left, workers or n_cores()):
            found[name] = alignment
            bar.update()
    return {name: found[name] for name in tasks}


def _aligned(tasks: Sequence[tuple[str, AlignTask]], workers: int) -> Iterable[tuple[str, Alignment | None]]:
    if workers == 1 or len(tasks) < 2 * workers:
        yield from ((name, align(task)) for name, task in tasks)
        return
    try:
        yield from unordered(align, tasks, workers)
    except WorkerDiedError:
        raise DataError(
            "a process that aligns clips was killed, perhaps for lack of memory; run again with fewer, e.g. "
            "data.workers=1: what is done stays done"
        ) from None


def align(task: AlignTask) -> Alignment | None:
    """Align one clip and keep the result; None where it cannot be aligned.

    Raises:
        DataError: if the entry cannot be read or the result cannot be kept.
    """
    wave = load_wave(task.entry)
    words = [word for word in task.words if word[1]]
    samples = samples_for_sphinx(wave, task.sample_rate)
    aligned = _aligner().align(words, samples, len(wave) / task.sample_rate) if words else None
    try:
        task.kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(task.kept, json.dumps(_plain(aligned)).encode())
    except OSError as error:
        raise DataError(write_failure(task.kept, error)) from None
    return aligned


class Known(NamedTuple):
    """What was found in the cache."""

    alignment: Alignment | None


def read_alignment(task: AlignTask) -> Known | None:
    """What was kept of a task; None where nothing is, or nothing whole."""
    try:
        kept = json.loads(task.kept.read_text(encoding="utf-8"))
        if kept is None:
            return Known(None)
        words = tuple(
            SpokenWord(word, start, end, score, tuple(PhoneTime(*phone) for phone in phones))
            for word, (_, start, end, score, phones) in zip(
                [word for word, phones in task.words if phones], kept["words"], strict=True
            )
        )
        return Known(Alignment(words, kept["score"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _plain(alignment: Alignment | None) -> dict[str, Any] | None:
    return alignment and {"score": alignment.score, "words": alignment.words}


class _Aligner:
    """Sphinx's aligner. Its dictionary grows by every pronunciation that is met."""

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            # A dictionary must have a word when it is read; ours come later, named by their phones.
            dictionary = Path(folder) / "first.dict"
            dictionary.write_text("unused AA\n")
            self._decoder = open_sphinx(dictionary, bestpath=False)
        self._known: set[str] = set()

    def align(self, words: Sequence[Word], samples: bytes, seconds: float) -> Alignment | None:
        """Words with phones along 16-bit samples of a clip of so many seconds."""
        decoder = self._decoder
        decoder.set_align_text(" ".join(self._name(phones) for _, phones in words))
        try:
            listen(decoder, samples)  # finds the words and the pauses between them
            if decoder.hyp() is None:
                return None
            decoder.set_alignment()
            listen(decoder, samples)  # finds the phones within
        except RuntimeError:  # so Sphinx says that no path through the phones is left; it must begin anew
            _aligner.cache_clear()
            return None
        # What is found is only there as long as the whole is: it is read at once.
        whole = decoder.get_alignment()
        entries = [_read(entry) for entry in whole if entry.name in self._known]
        if len(entries) != len(words):
            return None
        spoken = tuple(
            SpokenWord(word, *_times(entry.place, seconds), entry.score, entry.phones(seconds))
            for (word, _), entry in zip(words, entries, strict=True)
        )
        frames = sum(entry.place.duration for entry in entries)
        total = sum(entry.score * entry.place.duration for entry in entries)
        return Alignment(spoken, round(total / max(1, frames), 3))

    def _name(self, phones: Sequence[str]) -> str:
        name = "_".join(phones).lower()
        if name not in self._known:
            self._decoder.add_word(name, " ".join(phones), False)
            self._known.add(name)
        return name


@lru_cache(maxsize=1)
def _aligner() -> _Aligner:
    """One per process."""
    return _Aligner()


class _Place(NamedTuple):
    """Where a word or a phone lies, in Sphinx's frames."""

    name: str
    start: int
    duration: int


class _Entry(NamedTuple):
    """A word as Sphinx aligned it."""

    place: _Place
    score: float  # of a frame, mean
    parts: tuple[_Place, ...]

    def phones(self, seconds: float) -> tuple[PhoneTime, ...]:
        """Its phones in a clip of so many seconds."""
        return tuple(PhoneTime(part.name, *_times(part, seconds)) for part in self.parts)


def _read(entry: Any) -> _Entry:
    parts = tuple(_Place(phone.name, phone.start, phone.duration) for phone in entry)
    place = _Place(entry.name, entry.start, entry.duration)
    return _Entry(place, round(entry.score / max(1, entry.duration), 3), parts)


def _times(place: _Place, seconds: float) -> tuple[float, float]:
    """Start and end in seconds of the clip, without the silence that was put before it."""
    first, last = (
        frame / FRAMES_PER_SECOND + MIDDLE - PADDING for frame in (place.start, place.start + place.duration)
    )
    return round(min(max(first, 0.0), seconds), 3), round(min(max(last, 0.0), seconds), 3)
