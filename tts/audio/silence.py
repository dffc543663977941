"""Silence at the ends of a clip and within it, and how loud silence is.

Shapes: T_wave samples, N windows.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from tts.errors import AudioError

SILENCE_RMS = 1e-4  # -80 dBFS: a clip that is nowhere louder holds the noise of a converter at most
TRIM_WINDOW = 0.025  # seconds over which a level is measured
TRIM_STEP = 0.010  # seconds from one such window to the next
CROSSFADE = 0.010  # seconds over which both sides of a cut are blended
# Of the windows, quietest first: how loud the room is. Speech without a pause still has closures of stops.
FLOOR_QUANTILE = 0.02


class Trimmed(NamedTuple):
    """What is left of a clip, and where that began."""

    wave: Tensor  # (T_wave,)
    start_sample: int


class Cut(NamedTuple):
    """Samples that were taken out of a pause."""

    start_sample: int  # of the clip before any were taken out
    n_samples: int


class Capped(NamedTuple):
    """A clip whose pauses are no longer than allowed."""

    wave: Tensor  # (T_wave,)
    cuts: tuple[Cut, ...]  # in order


def trim_silence(wave: Tensor, sample_rate: int, top_db: float, keep_seconds: float) -> Trimmed:
    """Cut silence at both ends.

    Args:
        wave: (T_wave,) float in [-1, 1].
        top_db: what lies this far below the loudest 25 ms counts as silence.
        keep_seconds: of silence kept at each end, where there is so much.

    Raises:
        AudioError: if nothing is left.
    """
    levels = window_levels(wave, sample_rate)
    loudest = float(levels.max())
    if loudest < SILENCE_RMS:
        raise AudioError("there is nothing but silence")
    window, step = _window(sample_rate), _step(sample_rate)
    loud = (levels >= loudest * 10 ** (-top_db / 20)).nonzero()
    keep = round(keep_seconds * sample_rate)
    start = max(0, int(loud[0]) * step - keep)
    end = min(len(wave), int(loud[-1]) * step + window + keep)
    return Trimmed(wave[start:end], start)


def cap_pauses(wave: Tensor, sample_rate: int, top_db: float, max_seconds: float) -> Capped:
    """Take the middle out of every pause longer than allowed; what is left meets in a short crossfade.

    Args:
        wave: (T_wave,) without silence at its ends.
        top_db: what lies this far below the loudest 25 ms counts as silence.
        max_seconds: that a pause may last.
    """
    levels = window_levels(wave, sample_rate)
    silent = levels < float(levels.max()) * 10 ** (-top_db / 20)
    window, step, allowed = _window(sample_rate), _step(sample_rate), round(max_seconds * sample_rate)
    fade = min(round(CROSSFADE * sample_rate), allowed)
    edges = torch.diff(silent.int(), prepend=torch.zeros(1, dtype=torch.int), append=torch.zeros(1, dtype=torch.int))
    starts, ends = (edges == 1).nonzero()[:, 0].tolist(), (edges == -1).nonzero()[:, 0].tolist()
    cuts, parts, at = [], [], 0
    for first, after in zip(starts, ends, strict=True):
        start, end = first * step, (after - 1) * step + window  # samples that are silent
        if first == 0 or after == len(silent) or end - start <= allowed:
            continue
        cut = Cut(start + (allowed + fade) // 2, end - start - allowed)
        parts.append(wave[at : cut.start_sample])
        at = cut.start_sample + cut.n_samples - fade
        cuts.append(cut)
    return Capped(_blend([*parts, wave[at:]], fade) if cuts else wave, tuple(cuts))


def moved(sample: float, cuts: tuple[Cut, ...]) -> float:
    """Where a sample of a clip lies once its pauses are capped."""
    return sample - sum(min(max(sample - cut.start_sample, 0.0), cut.n_samples) for cut in cuts)


def noise_floor(wave: Tensor, sample_rate: int) -> float:
    """Decibels of the quietest parts of (T_wave,) below its loudest; -inf for digital silence between words."""
    levels = window_levels(wave, sample_rate)
    quiet, loudest = float(levels.quantile(FLOOR_QUANTILE)), float(levels.max())
    return 20 * math.log10(quiet / loudest) if quiet > 0 else -math.inf


def window_levels(wave: Tensor, sample_rate: int) -> Tensor:
    """(N,) RMS of (T_wave,) over 25 ms every 10 ms. Raises AudioError where there are no samples."""
    if wave.numel() == 0:
        raise AudioError("there are no samples")
    window, step = _window(sample_rate), _step(sample_rate)
    padded = torch.nn.functional.pad(wave, (0, max(0, window - len(wave)) + step))
    rms: Tensor = padded.square_().unfold(0, window, step).mean(dim=1).sqrt()
    return rms


def _window(sample_rate: int) -> int:
    return max(1, round(TRIM_WINDOW * sample_rate))


def _step(sample_rate: int) -> int:
    return max(1, round(TRIM_STEP * sample_rate))


def _blend(parts: list[Tensor], n_samples: int) -> Tensor:
    """One after the other; so many samples of each two that meet are blended."""
    rising = (torch.arange(n_samples) + 0.5) / max(1, n_samples)
    joined = [parts[0]]
    for part in parts[1:]:
        before = joined.pop()
        kept = len(before) - n_samples
        joined += [before[:kept], torch.lerp(before[kept:], part[:n_samples], rising), part[n_samples:]]
    return torch.cat(joined)
