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
FILTER_BLOCK = 1 << 14  # samples that are filtered at once: what fits a core's cache is three times as fast
MEMORY = 0.2  # seconds after which the filters have forgotten a sample to the last bit of a double
OVERSAMPLING = 4
REACH = 16  # samples to either side that tell what lies between two


class Biquad(NamedTuple):
    """Coefficients of a second-order filter, normalised so that a[0] = 1."""

    b: tuple[float, float, float]
    a: tuple[float, float, float]


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
    peak = float(louder.abs().max())
    held = louder * min(1.0, PEAK_LIMIT / peak)
    limit = 10 ** (true_peak / 20)
    # What lies between samples exceeds them by a few decibels at most, so quiet clips need no closer look.
    if true_peak < 0 and 2 * min(peak, PEAK_LIMIT) > limit:
        held = held * min(1.0, limit / true_peak_of(held))
    return held


def true_peak_of(wave: Tensor) -> float:
    """The largest magnitude of (T_wave,) between and at its samples, seen at four times the rate."""
    padded = F.pad(wave.float(), (REACH, REACH))[None, None]
    return max(float(F.conv1d(padded, _between(wave.device)).abs().max()), float(wave.abs().max()))


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
    energy = weighted.square().unfold(0, block, step).mean(dim=1)  # (n_blocks,)
    audible = energy[energy > _energy(ABSOLUTE_GATE)]
    if len(audible) == 0:
        return _lufs(energy.mean())
    gate = float(audible.mean()) * 10 ** (RELATIVE_GATE / 10)
    return _lufs(audible[audible > gate].mean())


def k_weight(wave: Tensor, sample_rate: int) -> Tensor:
    """(T_wave,) float64 through the two filters of BS.1770, applied in the frequency domain, block by block.

    Exact but for rounding: every block is preceded by as many samples as the filters remember.
    """
    memory = round(MEMORY * sample_rate)
    block = FILTER_BLOCK * max(1, sample_rate // 48000)
    step = block - memory
    n_blocks = max(1, -(-len(wave) // step))
    padded = F.pad(wave, (memory, n_blocks * step - len(wave)))
    blocks = torch.fft.rfft(padded.unfold(0, block, step))  # (N, block // 2 + 1)
    weighted: Tensor = torch.fft.irfft(blocks * _k_response(block, sample_rate), block)[:, memory:]
    return weighted.reshape(-1)[: len(wave)]


@lru_cache(maxsize=8)
def _k_response(size: int, sample_rate: int) -> Tensor:
    """(size // 2 + 1,) complex128, what both filters do to each frequency; most clips share a size."""
    delay = torch.exp(-2j * math.pi * torch.arange(size // 2 + 1, dtype=torch.float64) / size)  # z ** -1
    response = torch.ones_like(delay)
    for (b0, b1, b2), (a0, a1, a2) in (shelf_filter(sample_rate), highpass_filter(sample_rate)):
        response = response * (b0 + b1 * delay + b2 * delay**2) / (a0 + a1 * delay + a2 * delay**2)
    return response


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
