"""How each held-out sentence fares: its attention and its end, teacher-forced and free-running, as a table.

Shapes: T_mel frames.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from tts.alignment import ALIGNED, AlignmentHealth, mean_health

STOP_LOGIT = 0.0  # above it a decoder step says stop: a probability of one half
IN_TIME_SECONDS = 0.1  # the end of a word is hardly clearer than that
ALIGNED_STOPS = 0.8  # share of held-out sentences that must stop by themselves to count as aligned


class Ending(NamedTuple):
    """How a sentence ended."""

    stopped: bool  # by the stop token
    seconds_late: float  # after the end of the recording; negative: before it

    @property
    def in_time(self) -> bool:
        """Neither late nor early by IN_TIME_SECONDS."""
        return self.stopped and abs(self.seconds_late) <= IN_TIME_SECONDS

    def in_words(self) -> str:
        """`+0.12 s`, or that it did not stop."""
        return f"{self.seconds_late:+.2f} s" if self.stopped else "does not stop"


class SentenceHealth(NamedTuple):
    """What validation measured of one held-out sentence."""

    id: str
    text: str
    seconds: float  # of the recording
    forced: AlignmentHealth
    free: AlignmentHealth
    forced_ending: Ending
    free_ending: Ending

    @property
    def length_error(self) -> float:
        """How much longer or shorter than the recording the free-running decode is, as a share of it."""
        return abs(self.free_ending.seconds_late) / self.seconds


def forced_ending(stop_logit: Tensor, n_frames: int, step_frames: int, frame_seconds: float) -> Ending:
    """Where the stop token would have ended a teacher-forced sentence.

    Args:
        stop_logit: (T_mel,) with the padding behind the sentence.
        n_frames: of the recording.
        step_frames: frames that a decoder step makes; the step with the last real frame is the one to say stop.
        frame_seconds: duration of a frame.
    """
    said = (stop_logit > STOP_LOGIT).nonzero()
    if len(said) == 0:
        return Ending(False, (len(stop_logit) - n_frames) * frame_seconds)
    steps_late = int(said[0]) // step_frames - (n_frames - 1) // step_frames
    return Ending(True, steps_late * step_frames * frame_seconds)


class Seen(NamedTuple):
    """Whether attention is aligned when the model runs freely, and the figures that say so."""

    aligned: bool
    words: str


def alignment_in_words(sentences: Sequence[SentenceHealth]) -> Seen:
    """The mean over the held-out sentences against what "aligned" asks for; what falls short names what is asked."""
    mean = mean_health([one.free for one in sentences])
    n, n_stopped = len(sentences), sum(one.free_ending.stopped for one in sentences)
    least = math.ceil(ALIGNED_STOPS * n)
    lacking = mean.lacks(ALIGNED)
    figures = [
        f"{name} {getattr(mean, name):.2f}" + (f" of {asked:.2f}" if name in lacking else "")
        for name, asked in ALIGNED.items()
    ]
    stops = f"{n_stopped} of {n} held-out sentences stop by themselves"
    if n_stopped < least:
        stops += f", {least} are asked for"
    forced = mean_health([one.forced for one in sentences]).word
    if lacking and forced == "aligned":
        stops += "; teacher-forced attention is aligned, so it is lost when the model hears itself"
    return Seen(not lacking and n_stopped >= least, f"{', '.join(figures)}; {stops}")


def health_table(sentences: Sequence[SentenceHealth]) -> str:
    """Markdown: a row for each sentence, those first that are worst when running freely."""
    names = AlignmentHealth._fields
    head = ["sentence", "free", *names, "end", "forced", *(f"forced {name}" for name in names), "forced end"]
    rows = [
        [
            f"{one.id}: {one.text.replace('|', ' ')}",
            one.free.word,
            *(f"{figure:.2f}" for figure in one.free),
            one.free_ending.in_words(),
            one.forced.word,
            *(f"{figure:.2f}" for figure in one.forced),
            one.forced_ending.in_words(),
        ]
        for one in sorted(sentences, key=lambda one: (one.free_ending.stopped, one.free.focus))
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])
