"""What is watched while a batch is decoded: when each row ends and why, and where its attention may go next.

Plain arrays on the CPU, a few operations a step, the same for whatever computes the steps. Each row is watched by
itself.

Shapes: B batch, T_text symbols.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tts.alignment import COVERED
from tts.interfaces import STOP_REASONS, AttentionWindow, StopReason

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
SOUND = -0.5  # mean of a frame's normalised bins above which it holds sound: phones exceed -0.2, silence lies below -1
# The stop token counts once attention has come to one of so many last symbols: some texts end before the last mark is
# attended, but one that ends further from its end was not read.
IN_SIGHT = 6
_STOP, _ATTENDED, _LIMIT = range(len(STOP_REASONS))


class Limits(NamedTuple):
    """What ends the rows of a batch, and how far their attention may move in a step; fixed for a decode."""

    text_lengths: Ints  # (B,)
    min_frames: Ints  # (B,) with sound
    max_frames: Ints  # (B,)
    rest_frames: int  # at the last symbol; 0: without end
    stop_threshold: float
    constrained: NDArray[np.bool_]  # (B,) whether attention must keep to a window
    back: Ints  # (B,) symbols; the longest text where attention is free
    ahead: Ints  # (B,)


class Step(NamedTuple):
    """What a step made, as far as it is watched."""

    weights: Floats  # (B, T_text) of attention, zero where padded
    stop_probability: Floats  # (B,)
    level: Floats  # (B, r) mean of the normalised mel bins of each of its frames


class Watch(NamedTuple):
    """Where the rows of a batch stand after a step."""

    furthest: Ints  # (B,) the last symbol of the text that was attended most at a step
    reached: Floats  # (B, T_text) largest weight of each symbol so far
    sounded: Ints  # (B,) frames with sound so far
    rested: Ints  # (B,) frames that attention has rested at the last symbol
    lengths: Ints  # (B,) frames of the rows that have ended; 0: still speaking
    reasons: Ints  # (B,) index into STOP_REASONS of the rows that have ended

    @property
    def speaking(self) -> bool:
        """Whether a row is left."""
        return not self.lengths.all()

    @property
    def stop_reasons(self) -> tuple[StopReason, ...]:
        """Why each row ended."""
        return tuple(STOP_REASONS[reason] for reason in self.reasons)


class Span(NamedTuple):
    """The symbols from `low` up to `high` that each row may attend at a step."""

    low: Tensor  # (B,) int64
    high: Tensor  # (B,) int64

    def mask(self, size: int) -> Tensor:
        """(B, size) bool, True = may be attended."""
        symbol = torch.arange(size, device=self.low.device)[None]
        return (self.low[:, None] <= symbol) & (symbol < self.high[:, None])


def make_limits(
    text_lengths: Tensor,
    *,
    max_frames: Sequence[int],
    min_frames: Sequence[int] | None,
    rest_frames: int,
    stop_threshold: float,
    windows: Sequence[AttentionWindow | None] | None,
) -> Limits:
    """The arguments of `AcousticModel.generate` as arrays."""
    lengths = text_lengths.cpu().numpy()
    n_rows, longest = len(lengths), int(lengths.max())
    moves = windows or [None] * n_rows
    lowest = min_frames or [0] * n_rows
    assert n_rows == len(max_frames) == len(lowest) == len(moves) and min(max_frames) >= 1
    free = AttentionWindow(longest, longest)
    return Limits(
        lengths,
        np.array(lowest, np.int64),
        np.array(max_frames, np.int64),
        rest_frames,
        stop_threshold,
        np.array([window is not None for window in moves]),
        np.array([(window or free).back for window in moves], np.int64),
        np.array([(window or free).ahead for window in moves], np.int64),
    )


def start(limits: Limits, size: int) -> Watch:
    """Before the first step. size: T_text."""
    nothing = np.zeros(len(limits.text_lengths), np.int64)
    return Watch(nothing, np.zeros((len(nothing), size), np.float32), nothing, nothing, nothing, nothing)


def allowed(watch: Watch, limits: Limits) -> Span | None:
    """Where attention may go at the next step; None if every row is free to go anywhere."""
    if not limits.constrained.any():
        return None
    low = np.maximum(watch.furthest - limits.back, 0)
    high = np.minimum(watch.furthest + limits.ahead + 1, limits.text_lengths)
    return Span(torch.from_numpy(low), torch.from_numpy(high))


def advance(watch: Watch, limits: Limits, step: Step, n_frames: int) -> Watch:
    """After a step.

    Args:
        watch: before it.
        limits: fixed for the decode.
        step: what it made.
        n_frames: decoded in all, those of the step included.
    """
    leading = step.weights.argmax(axis=1)
    furthest = np.maximum(watch.furthest, leading)
    reached = np.maximum(watch.reached, step.weights)
    sounded = watch.sounded + (step.level > SOUND).sum(axis=1)
    rested = np.where(leading == limits.text_lengths - 1, watch.rested + step.level.shape[1], 0)
    stops = (step.stop_probability > limits.stop_threshold) & (furthest + IN_SIGHT >= limits.text_lengths)
    may_end = (watch.lengths == 0) & (sounded >= limits.min_frames)
    stopped = may_end & stops
    attended = may_end & (rested >= limits.rest_frames) & (limits.rest_frames > 0)
    if attended.any():
        attended &= _all_read(reached, limits.text_lengths)
    cut = (watch.lengths == 0) & (n_frames >= limits.max_frames)
    ends = stopped | attended | cut
    reason = np.select([stopped, attended], [_STOP, _ATTENDED], _LIMIT)
    return Watch(
        furthest,
        reached,
        sounded,
        rested,
        np.where(ends, np.minimum(limits.max_frames, n_frames), watch.lengths),
        np.where(ends, reason, watch.reasons),
    )


def _all_read(reached: Floats, text_lengths: Ints) -> NDArray[np.bool_]:
    """(B,) whether every symbol was attended. reached: (B, T_text).

    Attention may pass over two in a row, such as silent letters or a mark and a boundary, but not over three: a word of
    one symbol between two boundaries.
    """
    missed = (reached <= COVERED) & (np.arange(reached.shape[1]) < text_lengths[:, None])
    three: NDArray[np.bool_] = missed[:, 2:] & missed[:, 1:-1] & missed[:, :-2]
    read: NDArray[np.bool_] = np.logical_not(three.any(axis=1))
    return read
