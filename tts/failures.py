"""What went wrong in a free-running decode: it did not stop, or skipped, repeated, stalled or babbled.

Pure functions of what the decoder made; the thresholds are in seconds or frames of the mel. An alignment is at frame
rate; a decoder step that makes r frames repeats its weights r times.

Shapes: T_text symbols, T_mel frames.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tts.alignment import COVERED
from tts.interfaces import BY_ITSELF, StopReason

Kind = Literal["stop", "skip", "repeat", "stall", "babble"]
KINDS: tuple[Kind, ...] = ("stop", "skip", "repeat", "stall", "babble")

MIN_FRAMES_PER_SYMBOL = 1.0  # attention that a word gets at least, summed over time
VISIT_FRAMES = 6  # a shorter stay at a word is a flicker, and no repetition; about 70 ms
STALL_SECONDS = 1.0  # on one symbol; no phone and hardly a pause of read speech lasts as long
BABBLE_SECONDS = 0.5  # of speech that belongs to no symbol
SCATTERED = 0.2  # attention whose largest weight is below this rests on no symbol
LOUD = 3.0  # nepers below the loud frames of the sentence (26 dB) that still count as speech


class WordSpan(Protocol):
    """A word and the symbols it has: those from `start` up to `end`."""

    @property
    def word(self) -> str: ...  # noqa: D102
    @property
    def start(self) -> int: ...  # noqa: D102
    @property
    def end(self) -> int: ...  # noqa: D102


class WordsReport(NamedTuple):
    """What became of the words of a text in a decode."""

    missed: tuple[str, ...]
    repeated: tuple[str, ...]
    in_order: bool  # attention never went back to an earlier word for a considerable stretch


class Failure(NamedTuple):
    """Something that a listener would notice."""

    kind: Kind
    detail: str  # in words: "skipped: the, cat"


def find_failures(
    alignment: Tensor, mel: Tensor, words: WordsReport, *, stop_reason: StopReason, frame_seconds: float
) -> tuple[Failure, ...]:
    """What went wrong, at most one failure of a kind.

    - stop: the decoder was cut off at its limit.
    - skip, repeat: as `words_attended` found; words out of order count as repeated.
    - stall: attention rests STALL_SECONDS on one symbol that is not the last (the end).
    - babble: BABBLE_SECONDS of speech while attention is scattered, or after it has come to the end.

    Args:
        alignment: (T_text, T_mel), without padding.
        mel: (n_mels, T_mel) natural log of magnitude.
        words: of this alignment.
        stop_reason: why the decode ended.
        frame_seconds: duration of a frame.
    """
    weights = alignment.detach().float().cpu().numpy()
    led = weights.argmax(axis=0)
    loud = _loud(mel)
    failures: list[Failure] = []
    if stop_reason not in BY_ITSELF:
        failures.append(Failure("stop", f"did not stop by itself within {len(led) * frame_seconds:.1f} s"))
    if words.missed:
        failures.append(Failure("skip", f"skipped: {', '.join(words.missed)}"))
    if words.repeated or not words.in_order:
        failures.append(Failure("repeat", f"repeated: {', '.join(words.repeated) or 'words out of order'}"))
    last = len(weights) - 1
    stalled = frame_seconds * max((len(list(run)) for symbol, run in groupby(led) if symbol != last), default=0)
    if stalled >= STALL_SECONDS:
        failures.append(Failure("stall", f"stalled for {stalled:.1f} s"))
    astray = loud & ((weights.max(axis=0) < SCATTERED) | (led == last))
    babbled = frame_seconds * max((len(list(run)) for lost, run in groupby(astray) if lost), default=0)
    if babbled >= BABBLE_SECONDS:
        failures.append(Failure("babble", f"babbled for {babbled:.1f} s"))
    return tuple(failures)


def penalty(failures: Sequence[Failure], words: WordsReport) -> int:
    """How bad a decode is: 2 for each word that was missed, 1 for each that was repeated and for any other failure."""
    others = sum(failure.kind not in ("skip", "repeat") for failure in failures)
    return 2 * len(words.missed) + max(len(words.repeated), not words.in_order) + others


def _loud(mel: Tensor) -> NDArray[np.bool_]:
    """(T_mel,) frames that hold speech."""
    level = mel.detach().float().cpu().numpy().mean(axis=0)
    loud: NDArray[np.bool_] = level > np.quantile(level, 0.9) - LOUD
    return loud


class _Visit(NamedTuple):
    """A stay of attention at a word."""

    word: int
    n_frames: int


def words_attended(alignment: Tensor, words: Sequence[WordSpan]) -> WordsReport:
    """Whether a free-running decode attended to every word, in order, and to none twice.

    A word is missed unless half of its symbols exceed COVERED at some time and it gets MIN_FRAMES_PER_SYMBOL frames of
    attention for each symbol; one with more than one symbol must also be attended most at some time, since blurred
    attention on both sides of a skipped word covers its ends. It is repeated if attention stays VISIT_FRAMES at it,
    then as long at another word, then again at it.

    Args:
        alignment: (T_text, T_mel), without padding.
        words: spans of the T_text symbols, in order.
    """
    weights = alignment.detach().float().cpu().numpy()
    visits = _visits(weights, words)
    led = {visit.word for visit in visits}
    missed = tuple(
        span.word
        for index, span in enumerate(words)
        if not _attended(weights[span.start : span.end]) or (span.end - span.start > 1 and index not in led)
    )
    # Flickers left out, neighbours may be stays at the same word.
    stays = [word for word, _ in groupby(visit.word for visit in visits if visit.n_frames >= VISIT_FRAMES)]
    repeated = tuple(span.word for index, span in enumerate(words) if stays.count(index) > 1)
    return WordsReport(missed, repeated, in_order=stays == sorted(stays))


def _attended(weights: NDArray[np.float32]) -> bool:
    """Whether the symbols of a word got attention. weights: (its symbols, T_mel)."""
    covered = (weights.max(axis=1) > COVERED).mean()
    return bool(covered >= 0.5 and weights.sum() >= MIN_FRAMES_PER_SYMBOL * len(weights))


def _visits(weights: NDArray[np.float32], words: Sequence[WordSpan]) -> list[_Visit]:
    """The stays of attention at words; frames whose strongest symbol belongs to no word are part of none."""
    owner = np.full(len(weights), -1)
    for index, span in enumerate(words):
        owner[span.start : span.end] = index
    stays = groupby(owner[weights.argmax(axis=0)].tolist())
    return [_Visit(word, len(list(run))) for word, run in stays if word >= 0]
