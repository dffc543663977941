"""What is said in a long recording, and when: heard by CMU Sphinx, which expects the words of its text.

The recogniser has a trigram model of that text alone (after Moreno et al. 1998, "A recursive algorithm for the forced
alignment of very long audio segments"), so what is read as it stands is understood almost without an error, from any
place on: a sentence left out or put in misleads it for that sentence only. Forced alignment would lose its way there.
Sound is read in chunks that end at a quiet place, so a recording of any length takes the same memory.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tts.audio.files import read_recording, resample
from tts.audio.silence import window_levels
from tts.audio.sphinx import (
    FRAMES_PER_SECOND,
    PADDING,
    SAMPLE_RATE,
    listen,
    model_path,
    open_sphinx,
    samples_for_sphinx,
)
from tts.data.aligning import MIDDLE
from tts.data.pauses import pauses, quiet_levels
from tts.data.transcript import Transcript
from tts.text.trigrams import pronunciations, trigrams, write_arpa, write_dictionary

CHUNK = 30.0  # seconds heard at once
LAST = 10.0  # of those; the chunk ends at the quietest place in them
HOLE = 0.3  # seconds over which a place is quiet
STEP = SAMPLE_RATE // FRAMES_PER_SECOND  # samples; `window_levels` moves on by them
WINDOW = 0.025  # seconds, of `window_levels`
FAINTEST = 1e-5  # of full scale; digital silence is no quieter

# Of two real voices, 99 % of the words were understood, in 0.04 s of computing for a second of speech.
SEARCH = {"lw": 10.0, "maxhmmpf": 3000, "fwdflat": False, "bestpath": False}


class HeardWord(NamedTuple):
    """A word that was recognised. Times in seconds from the start of the clip."""

    name: str
    start: float
    end: float


class Pause(NamedTuple):
    """A stretch in which nobody speaks, in seconds from the start of the clip."""

    start: float
    end: float


class Heard(NamedTuple):
    """A recording as it was heard."""

    words: tuple[HeardWord, ...]
    pauses: tuple[Pause, ...]  # in order; the edges of the recording count as such


class Extent(NamedTuple):
    """A recording: a file, or a part of it."""

    path: Path
    start: float  # seconds of the file
    seconds: float


def hear(extent: Extent, transcript: Transcript) -> Heard:
    """Recognise a recording, which says a text with words.

    Raises:
        AudioError: if it cannot be read.
    """
    decoder = _recogniser(transcript)
    words: list[HeardWord] = []
    quiet: list[NDArray[np.bool_]] = []
    for begin, wave in _chunks(extent):
        words += _recognise(decoder, wave, begin)
        quiet.append(quiet_levels(_levels(wave)))
    return Heard(tuple(words), tuple(_pauses(np.concatenate(quiet), extent.seconds)))


def _recogniser(transcript: Transcript) -> Any:
    """One that expects a text."""
    said = [(word.name, word.phones) for word in transcript.words if word.phones]
    with tempfile.TemporaryDirectory() as folder:
        model, dictionary = Path(folder) / "text.arpa", Path(folder) / "text.dict"
        write_arpa(trigrams([[name for name, _ in said]]), model)
        write_dictionary(pronunciations(said, model_path("cmudict-en-us.dict")), dictionary)
        return open_sphinx(dictionary, model, **SEARCH)


def _chunks(extent: Extent) -> Iterator[tuple[float, Tensor]]:
    """Seconds before each chunk, and its wave (T_wave,) at Sphinx's rate."""
    begin = 0.0
    while begin < extent.seconds:
        end = min(begin + CHUNK, extent.seconds)
        recording = read_recording(extent.path, extent.start + begin, extent.start + end)
        wave = resample(recording, SAMPLE_RATE)
        if end < extent.seconds:
            wave = wave[: STEP * _quietest(_levels(wave))]
        yield begin, wave
        begin = begin + len(wave) / SAMPLE_RATE if end < extent.seconds else end


def _levels(wave: Tensor) -> NDArray[np.float64]:
    """(N,) decibels every 10 ms of (T_wave,), the last of them too."""
    n_frames = max(1, round(len(wave) / STEP))
    levels = window_levels(wave, SAMPLE_RATE)[:n_frames]
    known = 20 * torch.log10(levels.clamp_min(FAINTEST)).double().numpy()
    return np.pad(known, (0, n_frames - len(known)), mode="edge")


def _quietest(levels: NDArray[np.float64]) -> int:
    """The middle of the quietest place near the end of (N,) levels, in frames."""
    width = round(HOLE * FRAMES_PER_SECOND)
    first = len(levels) - round(LAST * FRAMES_PER_SECOND)
    sums = np.convolve(levels[first:], np.ones(width), mode="valid")
    return first + int(sums.argmin()) + width // 2


def _recognise(decoder: Any, wave: Tensor, begin: float) -> Iterator[HeardWord]:
    """The words of a chunk, without the names of silence and noise."""
    listen(decoder, samples_for_sphinx(wave, SAMPLE_RATE))
    for segment in decoder.seg() or ():
        if segment.word[0] not in "<[+":
            start, end = (
                begin + frame / FRAMES_PER_SECOND + MIDDLE - PADDING
                for frame in (segment.start_frame, segment.end_frame + 1)
            )
            yield HeardWord(segment.word.partition("(")[0], max(start, begin), end)


def _pauses(quiet: NDArray[np.bool_], seconds: float) -> Iterator[Pause]:
    """Pauses, and both edges. quiet: (N,) every 10 ms."""
    yield Pause(0.0, 0.0)
    # Silence at the edges is a pause as well, so something is put around it.
    for stretch in pauses(np.pad(quiet, 1), 1 / FRAMES_PER_SECOND):
        start, last = (stretch.start - 1) / FRAMES_PER_SECOND, (stretch.end - 2) / FRAMES_PER_SECOND
        yield Pause(start, min(last + WINDOW, seconds))
    yield Pause(seconds, seconds)
