"""Whether the texts of a corpus are those that are spoken, from their lengths alone.

Longer texts take longer to say. Where they do not, they were said in other clips; most often a line was lost in the
metadata, and all texts after it have slipped. Attention that is guided turns diagonal on such texts too.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts.data.manifest import Clip, numbers

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
    texts, durations = np.log(numbers(clips, "n_symbols")), np.log(numbers(clips, "n_frames"))
    if len(clips) < FEWEST or min(texts.std(), durations.std()) < SPREAD:
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


def _correlation(texts: NDArray[np.float64], durations: NDArray[np.float64]) -> float:
    """Pearson's; none where all are the same."""
    if min(texts.std(), durations.std()) == 0:
        return 0.0
    return float(np.corrcoef(texts, durations)[0, 1])


class _Pair(NamedTuple):
    """Texts and the durations that they are compared with."""

    texts: NDArray[np.float64]
    durations: NDArray[np.float64]


def _moved(texts: NDArray[np.float64], durations: NDArray[np.float64], lines: int) -> _Pair:
    """Each duration with the text so many lines further down."""
    if lines > 0:
        return _Pair(texts[lines:], durations[:-lines])
    return _Pair(texts[:lines], durations[-lines:])
