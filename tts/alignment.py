"""What an alignment tells: whether attention works, and when each phone was spoken.

Pure functions of the attention weights. An alignment is at frame rate; a decoder step that makes r frames repeats its
weights r times. Times count from the first frame; frame f lasts from f to f + 1 frames. The weights of a step are given
to the frames that the step made: nothing is shifted or fitted, so a lag of the attention shows as an error.

Shapes: B batch, T_text symbols, T_mel frames, T_step decoder steps.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tts.batch import PhoneTime
from tts.errors import DataError

BAND = 0.2  # half width of the diagonal band, as a share of the length
MAX_JUMP = 4  # symbols that attention may advance in a step
COVERED = 0.2  # a symbol whose weight never exceeds this was not attended

# What the words "aligning" and "aligned" ask for, at least.
ALIGNING = {"focus": 0.2, "diagonality": 0.6}
ALIGNED = {"focus": 0.5, "diagonality": 0.6, "monotonicity": 0.9, "coverage": 0.8}

WEIGHT_FLOOR = 1e-4  # so that one frame without attention does not forbid a path
MAX_ADVANCE = 2  # symbols that a path may advance in a frame: attention may pass over a boundary without a stop


class AlignmentHealth(NamedTuple):
    """How the attention of an utterance looks; each lies between 0 and 1."""

    focus: float  # mean over steps of the largest weight
    diagonality: float  # share of attention within BAND of the diagonal; 0.36 if spread evenly
    monotonicity: float  # share of steps that move 0 to MAX_JUMP symbols ahead
    coverage: float  # share of symbols whose weight exceeds COVERED at some time
    entropy: float  # mean over steps, as a share of an even spread's

    @property
    def word(self) -> str:
        """`scattered`, `aligning` or `aligned`."""
        if not self.lacks(ALIGNED):
            return "aligned"
        return "scattered" if self.lacks(ALIGNING) else "aligning"

    def lacks(self, least: Mapping[str, float]) -> dict[str, float]:
        """The figures that are below the least asked for, by name."""
        return {name: getattr(self, name) for name, asked in least.items() if getattr(self, name) < asked}


def health(alignment: Tensor, text_lengths: Tensor, mel_lengths: Tensor, step_frames: int = 1) -> list[AlignmentHealth]:
    """The health of each utterance of a batch.

    Args:
        alignment: (B, T_text, T_mel).
        text_lengths, mel_lengths: (B,).
        step_frames: frames that a decoder step made.
    """
    lengths = zip(text_lengths.tolist(), mel_lengths.tolist(), strict=True)
    return [
        _health(weights[:n_symbols, :n_frames:step_frames].float())
        for weights, (n_symbols, n_frames) in zip(alignment, lengths, strict=True)
    ]


def mean_health(healths: Sequence[AlignmentHealth]) -> AlignmentHealth:
    """The mean of each figure over utterances, one at least."""
    return AlignmentHealth(*(sum(figures) / len(healths) for figures in zip(*healths, strict=True)))


def _health(weights: Tensor) -> AlignmentHealth:
    """weights: (T_text, T_step)."""
    n_symbols, n_steps = weights.shape
    symbol = (torch.arange(n_symbols, device=weights.device) + 0.5) / n_symbols
    step = (torch.arange(n_steps, device=weights.device) + 0.5) / n_steps
    in_band = (symbol[:, None] - step[None, :]).abs() < BAND
    moves = weights.argmax(dim=0).diff()
    entropy = torch.special.entr(weights).sum(dim=0).mean()
    return AlignmentHealth(
        focus=float(weights.amax(dim=0).mean()),
        diagonality=float((weights * in_band).sum() / weights.sum().clamp_min(1e-8)),
        monotonicity=float(((moves >= 0) & (moves <= MAX_JUMP)).float().mean()) if n_steps > 1 else 1.0,
        coverage=float((weights.amax(dim=1) > COVERED).float().mean()),
        entropy=float(entropy) / math.log(n_symbols) if n_symbols > 1 else 0.0,
    )


def monotonic_path(weights: NDArray[np.float32]) -> NDArray[np.int64]:
    """The best path from the first symbol to the last that never goes back (Viterbi, sum of log weights).

    A frame advances MAX_ADVANCE symbols at most, or more where a text has too many symbols for its frames.

    Args:
        weights: (T_text, T_mel).

    Returns:
        (T_mel,) the symbol of each frame.
    """
    n_symbols, n_frames = weights.shape
    advance = max(MAX_ADVANCE, -(-(n_symbols - 1) // max(n_frames - 1, 1)))
    score = np.log(np.maximum(weights, WEIGHT_FLOOR)).astype(np.float64).T  # (T_mel, T_text)
    best = np.full(n_symbols + advance, -np.inf)  # padded in front: best[advance + i] is the score of symbol i
    best[advance] = score[0, 0]
    moves = np.zeros((n_frames, n_symbols), np.int64)  # by how many symbols the best path came
    for frame in range(1, n_frames):
        arrivals = np.stack([best[advance - move : advance - move + n_symbols] for move in range(advance + 1)])
        moves[frame] = arrivals.argmax(axis=0)
        best[advance:] = arrivals.max(axis=0) + score[frame]
    path = np.empty(n_frames, np.int64)
    path[-1] = n_symbols - 1
    for frame in range(n_frames - 1, 0, -1):
        path[frame - 1] = path[frame] - moves[frame, path[frame]]
    return path


def symbol_times(alignment: Tensor, frame_seconds: float, step_frames: int = 1) -> list[tuple[float, float]]:
    """When each symbol was attended: (start, end) in seconds, without gaps, from the best monotonic path.

    The weights of a step hold at the middle of its frames and change linearly between; one symbol gives way to the
    next where their weights are equal. A symbol that the path passes over starts and ends there.

    Args:
        alignment: (T_text, T_mel), without padding.
        frame_seconds: duration of a frame.
        step_frames: frames that a decoder step made.
    """
    weights = _between_steps(alignment.detach().float().cpu().numpy(), step_frames)
    n_symbols, n_frames = weights.shape
    path = monotonic_path(weights)
    starts = np.zeros(n_symbols)
    for frame in np.flatnonzero(np.diff(path)) + 1:
        before, after = path[frame - 1], path[frame]
        lead, follow = (weights[before, f] - weights[after, f] for f in (frame - 1, frame))
        # From the middle of the frame before to the middle of this one, `lead` falls linearly to `follow`.
        share = np.clip(lead / (lead - follow), 0, 1) if lead > follow else 0.5
        starts[before + 1 : after + 1] = frame - 0.5 + share
    ends = np.append(starts[1:], n_frames)
    return [(float(start), float(end)) for start, end in zip(starts * frame_seconds, ends * frame_seconds, strict=True)]


def _between_steps(weights: NDArray[np.float32], step_frames: int) -> NDArray[np.float32]:
    """Weights repeated over the frames of a step -> interpolated linearly between the middles of the steps."""
    if step_frames == 1:
        return weights
    n_frames = weights.shape[1]
    steps = weights[:, ::step_frames]
    position = np.clip((np.arange(n_frames) + 0.5) / step_frames - 0.5, 0, steps.shape[1] - 1)
    left = np.floor(position).astype(np.int64)
    right = np.minimum(left + 1, steps.shape[1] - 1)
    share = (position - left).astype(np.float32)
    between: NDArray[np.float32] = steps[:, left] * (1 - share) + steps[:, right] * share
    return between


def phone_time_errors(
    alignment: Tensor,
    symbols: Sequence[str],
    phone_times: Sequence[PhoneTime],
    frame_seconds: float,
    step_frames: int = 1,
) -> list[float]:
    """Absolute error of each phone's onset in seconds: |start by `symbol_times` - true start|.

    Boundaries, punctuation and the end have no true time and are not measured; nor are phones without a duration of
    their own (start equals end). The first phone is: its attended onset is 0, since no symbol stands for the silence
    before it.

    Args:
        alignment: (T_text, T_mel), teacher-forced, without padding.
        symbols: the T_text symbols.
        phone_times: the phones among the symbols, in seconds from the first frame.
        frame_seconds: duration of a frame.
        step_frames: frames that a decoder step made.

    Raises:
        DataError: if other phones were spoken than the symbols hold.
    """
    rows = [row for row, symbol in enumerate(symbols) if symbol[:1].isalpha()]
    asked, spoken = [symbols[row] for row in rows], [time.phone for time in phone_times]
    if asked != spoken:
        raise DataError(
            f"the corpus knows times for the phones {' '.join(spoken)}, the text has {' '.join(asked)}; "
            "measure with text.units=phonemes and the pronunciations that the corpus was spoken with"
        )
    times = symbol_times(alignment, frame_seconds, step_frames)
    pairs = zip(rows, phone_times, strict=True)
    return [abs(times[row][0] - true.start) for row, true in pairs if true.end > true.start]
