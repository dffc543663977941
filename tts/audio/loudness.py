"""Loudness and peaks as ITU-R BS.1770-4 defines them: K-weighted and gated; between samples, too (annex 2).

Shapes: T_wave samples, N blocks.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from tts.errors import AudioError

PEAK_LIMIT = 0.99  # of samples
BLOCK = 0.4  # seconds of a loudness block; successive ones overlap by 3/4
ABSOLUTE_GATE = -70.0  # LUFS
RELATIVE_GATE = -10.0  # LU
FILTER_BLOCK = 64  # samples that are filtered at once, by a matrix
OVERSAMPLING = 4
REACH = 16  # samples to either side that tell what lies between two


class Biquad(NamedTuple):
    """Coefficients of a second-order filter, normalised so that a[0] = 1."""

    b: tuple[float, float, float]
    a: tuple[float, float, float]


class BlockFilter(NamedTuple):
    """A recursive filter that goes on by a block of samples; its state is S numbers. All float64."""

    within: Tensor  # (block, block), what each sample of a block adds to each that comes out
    left: Tensor  # (block, S), what it adds to the state after the block
    heard: Tensor  # (S, block), what the state before the block adds to each sample that comes out
    decay: Tensor  # (S, S), and to the state after it


def normalize_loudness(wave: Tensor, sample_rate: int, target_lufs: float) -> Tensor:
    """Bring (T_wave,) to a loudness; what would then exceed 0.99 is scaled down as a whole, and so stays softer.

    Raises:
        AudioError: if the wave is silent.
    """
    return change_loudness(wave, loudness(wave, sample_rate), target_lufs)


def change_loudness(wave: Tensor, measured_lufs: float, target_lufs: float, true_peak: float = 0.0) -> Tensor:
    """`normalize_loudness` for a wave whose loudness is known.

    Args:
        true_peak: dBTP that is not exceeded between samples either, below 0; 0: samples alone are looked at.
    """
    if math.isinf(measured_lufs):
        raise AudioError("there is nothing but silence")
    louder: Tensor = wave * 10 ** ((target_lufs - measured_lufs) / 20)
    peak = peak_of(louder)
    held = louder * (PEAK_LIMIT / peak) if peak > PEAK_LIMIT else louder
    limit = 10 ** (true_peak / 20)
    # What lies between samples exceeds them by a few decibels at most, so quiet clips need no closer look.
    if true_peak < 0 and 2 * min(peak, PEAK_LIMIT) > limit:
        held = held * min(1.0, limit / true_peak_of(held))
    return held


def peak_of(wave: Tensor) -> float:
    """The largest magnitude of a wave; NaN if it holds one."""
    low, high = wave.aminmax()
    return max(-float(low), float(high))


def true_peak_of(wave: Tensor) -> float:
    """The largest magnitude of (T_wave,) between and at its samples, seen at four times the rate."""
    padded = F.pad(wave.float(), (REACH, REACH))[None, None]
    return max(float(F.conv1d(padded, _between(wave.device)).abs().max()), peak_of(wave))


@lru_cache(maxsize=2)
def _between(device: torch.device) -> Tensor:
    """(3, 1, 2 REACH) windowed sincs, for a quarter, a half and three quarters of the way between two samples."""
    places = torch.arange(-REACH, REACH, dtype=torch.float64) + 1
    parts = torch.arange(1, OVERSAMPLING, dtype=torch.float64)[:, None] / OVERSAMPLING
    away = places - parts  # (3, 2 REACH) samples
    taps = torch.sinc(away) * torch.cos(math.pi / 2 * away / (REACH + 1)) ** 2
    return (taps / taps.sum(dim=1, keepdim=True)).float()[:, None].to(device)


def loudness(wave: Tensor, sample_rate: int) -> float:
    """Integrated loudness of (T_wave,) in LUFS; -inf for digital silence, and where a sample is not finite.

    A clip shorter than a block, or below the absolute gate throughout, is measured as a whole.
    """
    if not math.isfinite(float(wave.sum())):
        return -math.inf
    weighted = k_weight(wave.double(), sample_rate)
    block, step = round(BLOCK * sample_rate), round(BLOCK * sample_rate / 4)
    if len(weighted) < block:
        return _lufs(weighted.square().mean())
    energy = weighted.square_().unfold(0, block, step).mean(dim=1)  # (n_blocks,)
    audible = energy[energy > _energy(ABSOLUTE_GATE)]
    if len(audible) == 0:
        return _lufs(energy.mean())
    gate = float(audible.mean()) * 10 ** (RELATIVE_GATE / 10)
    return _lufs(audible[audible > gate].mean())


def k_weight(wave: Tensor, sample_rate: int) -> Tensor:
    """(T_wave,) float64 through the two filters of BS.1770."""
    kernel = _k_kernel(sample_rate)
    blocks = F.pad(wave, (0, -len(wave) % FILTER_BLOCK)).view(-1, FILTER_BLOCK)  # (N, block)
    state = blocks @ kernel.left  # (N, S) after each block, as if there were none before
    decay, reach = kernel.decay, 1
    while reach < len(state):  # it knows of the last `reach` blocks, then of twice as many
        state = torch.cat([state[:reach], torch.addmm(state[reach:], state[:-reach], decay)])
        decay, reach = decay @ decay, 2 * reach
    before = F.pad(state[:-1], (0, 0, 1, 0))
    weighted = (blocks @ kernel.within).addmm_(before, kernel.heard)
    return weighted.view(-1)[: len(wave)]


@lru_cache(maxsize=8)
def _k_kernel(sample_rate: int) -> BlockFilter:
    """Both filters, one after the other; what they do to a block is tried on every sample and every state alone."""
    n_states = 4
    shelf, highpass = shelf_filter(sample_rate), highpass_filter(sample_rate)
    tried = torch.eye(n_states + FILTER_BLOCK, dtype=torch.float64)
    s1, s2, s3, s4 = tried[:n_states]
    outputs = []
    for sample in tried[n_states:]:
        between = shelf.b[0] * sample + s1
        s1 = shelf.b[1] * sample - shelf.a[1] * between + s2
        s2 = shelf.b[2] * sample - shelf.a[2] * between
        output = highpass.b[0] * between + s3
        s3 = highpass.b[1] * between - highpass.a[1] * output + s4
        s4 = highpass.b[2] * between - highpass.a[2] * output
        outputs.append(output)
    output, state = torch.stack(outputs, dim=1), torch.stack([s1, s2, s3, s4], dim=1)
    return BlockFilter(output[n_states:], state[n_states:], output[:n_states], state[:n_states])


def shelf_filter(sample_rate: int) -> Biquad:
    """The first filter of BS.1770, a model of the head, at any rate.

    The standard prints coefficients for 48 kHz only; these are the analogue parameters behind them (De Man 2014,
    "Evaluation of implementations of the EBU R128 loudness measurement").
    """
    k = math.tan(math.pi * 1681.974450955533 / sample_rate)
    q = 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    a0 = 1 + k / q + k * k
    return Biquad(
        ((high + band * k / q + k * k) / a0, 2 * (k * k - high) / a0, (high - band * k / q + k * k) / a0),
        (1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0),
    )


def highpass_filter(sample_rate: int) -> Biquad:
    """The second filter of BS.1770, at any rate; sources as for `shelf_filter`."""
    k = math.tan(math.pi * 38.13547087602444 / sample_rate)
    q = 0.5003270373238773
    a0 = 1 + k / q + k * k
    return Biquad((1.0, -2.0, 1.0), (1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0))


def _lufs(energy: Tensor) -> float:
    return -0.691 + 10 * math.log10(float(energy)) if float(energy) > 0 else -math.inf


def _energy(lufs: float) -> float:
    return float(10 ** ((lufs + 0.691) / 10))
