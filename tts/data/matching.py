"""Whether the texts of a corpus are those that are spoken, from their lengths alone.

Longer texts take longer to say. Where they do not, they were said in other clips; most often a line was lost in the
metadata, and all texts after it have slipped. Attention that is guided turns diagonal on such texts too.
"""

import math
from collections.abc import Sequence
from statistics import StatisticsError, correlation, pstdev
from typing import NamedTuple

from tts.data.manifest import Clip

FEWEST = 10  # clips that can be compared
SPREAD = 0.15  # deviation of the log of the texts' lengths, below which they say nothing of durations
FITTING = 0.7  # correlation of the logs of text length and duration, below which texts are hardly those spoken
MOVED = (-3, -2, -1, 1, 2, 3)  # lines by which texts may have slipped


class Finding(NamedTuple):
    """Something that was measured of a corpus."""

    measured: str
    advice: str  # empty: it is as it should be


def texts_and_durations(clips: Sequence[Clip]) -> Finding:
    """Compare the two. clips: in the order of the corpus."""
    texts = [math.log(len(clip.ids)) for clip in clips]
    durations = [math.log(clip.n_frames) for clip in clips]
    if len(clips) < FEWEST or min(pstdev(texts), pstdev(durations)) < SPREAD:
        return Finding("the texts are too few, or too much of one length, to be compared with the durations", "")
    fit = _correlation(texts, durations)
    measured = f"text lengths and durations correlate by {fit:.2f}"
    if fit >= FITTING:
        return Finding(measured, "")
    moved = {lines: _correlation(*_moved(texts, durations, lines)) for lines in MOVED}
    best = max(moved, key=moved.__getitem__)
    if moved[best] >= FITTING:
        where = f"{abs(best)} line{'s' if abs(best) > 1 else ''} {'further down' if best > 0 else 'further up'}"
        return Finding(measured, f"by {moved[best]:.2f} with the texts {where}: correct the metadata")
    return Finding(measured, "texts and audio hardly belong together: listen to a few clips and compare")


def _correlation(texts: Sequence[float], durations: Sequence[float]) -> float:
    """Pearson's; none where all are the same."""
    try:
        return correlation(texts, durations)
    except StatisticsError:
        return 0.0


def _moved(texts: Sequence[float], durations: Sequence[float], lines: int) -> tuple[Sequence[float], Sequence[float]]:
    """Each duration with the text so many lines further down."""
    if lines > 0:
        return texts[lines:], durations[:-lines]
    return texts[:lines], durations[-lines:]
