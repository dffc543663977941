"""Where a speaker pauses, heard in the log mel alone: silence at the ends of a clip and pauses within it.

Shapes: T_mel frames.
"""

from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tts.settings import AudioConfig

QUIET_DB = 35.0  # below the loud frames of the clip counts as silence
LOUD_QUANTILE, FLOOR_QUANTILE = 0.95, 0.02  # frames that tell how loud the speech, and how quiet the room is
ABOVE_FLOOR_DB = 6.0  # what does not rise further above the quietest frames is silence in a noisy room, too
LEAST_CONTRAST_DB = 15.0  # but never what is louder than this below the loud frames
PAUSE_SECONDS = 0.14  # a stop consonant closes for less


class Stretch(NamedTuple):
    """Frames, half open."""

    start: int
    end: int


class EndSilence(NamedTuple):
    """Seconds of silence at both ends of a clip."""

    start: float
    end: float


def quiet_frames(mel: Tensor, audio: AudioConfig) -> NDArray[np.bool_]:
    """(T_mel,) True where nobody speaks. mel: (n_mels, T_mel) log mel."""
    # A log of magnitude to the power of `audio.power`; decibels are those of the energy in all bins.
    energy = np.exp(mel.double().numpy() * (2 / audio.power)).sum(axis=0)
    return quiet_levels(10 * np.log10(energy))


def quiet_levels(level: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) True where nobody speaks. level: (N,) decibels of the frames of one recording."""
    loud, floor = np.quantile(level, [LOUD_QUANTILE, FLOOR_QUANTILE])
    limit = min(max(loud - QUIET_DB, floor + ABOVE_FLOOR_DB), loud - LEAST_CONTRAST_DB)
    quiet: NDArray[np.bool_] = level < limit
    return quiet


def end_silence(quiet: NDArray[np.bool_], frame_seconds: float) -> EndSilence:
    """Silence at both ends. quiet: (T_mel,) as from `quiet_frames`."""
    spoken = np.flatnonzero(~quiet)
    return EndSilence(int(spoken[0]) * frame_seconds, (len(quiet) - 1 - int(spoken[-1])) * frame_seconds)


def most_spoken(quiet: NDArray[np.bool_], n_frames: int) -> Stretch:
    """So many frames in a row with the least silence, the first of equals; all of a shorter clip.

    Args:
        quiet: (T_mel,) as from `quiet_frames`.
        n_frames: at least 1.
    """
    n_frames = min(n_frames, len(quiet))
    silent = np.append(0, quiet.cumsum())
    start = int((silent[n_frames:] - silent[:-n_frames]).argmin())
    return Stretch(start, start + n_frames)


def pauses(quiet: NDArray[np.bool_], frame_seconds: float) -> list[Stretch]:
    """The stretches of silence within a clip that last PAUSE_SECONDS. quiet: (T_mel,) as from `quiet_frames`."""
    found, frame = [], 0
    for silent, run in groupby(quiet.tolist()):
        end = frame + len(list(run))
        if silent and frame > 0 and end < len(quiet) and (end - frame) * frame_seconds >= PAUSE_SECONDS:
            found.append(Stretch(frame, end))
        frame = end
    return found
