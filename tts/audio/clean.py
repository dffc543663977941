"""What every clip is put through before a model sees it: silence trimmed at the ends, loudness made the same.

Loudness is that of ITU-R BS.1770-4: K-weighted, in blocks of 400 ms, gated.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from tts.errors import AudioError

SILENCE_RMS = 1e-4  # -80 dBFS: a clip that is nowhere louder holds the noise of a converter at most
PEAK_LIMIT = 0.99
TRIM_WINDOW = 0.025  # seconds over which a level is measured
TRIM_STEP = 0.010  # seconds from one such window to the next
BLOCK = 0.4  # seconds of a loudness block; successive ones overlap by 3/4
ABSOLUTE_GATE = -70.0  # LUFS
RELATIVE_GATE = -10.0  # LU


class Trimmed(NamedTuple):
    """What is left of a clip, and where that began."""

    wave: Tensor  # (T_wave,)
    start_sample: int


class Biquad(NamedTuple):
    """Coefficients of a second-order filter, normalised so that a[0] = 1."""

    b: tuple[float, float, float]
    a: tuple[float, float, float]


def trim_silence(wave: Tensor, sample_rate: int, top_db: float, keep_seconds: float) -> Trimmed:
    """Cut silence at both ends.

    Args:
        wave: (T_wave,) float in [-1, 1].
        top_db: what lies this far below the loudest 25 ms counts as silence.
        keep_seconds: of silence kept at each end, where there is so much.

    Raises:
        AudioError: if nothing is left.
    """
    if wave.numel() == 0:
        raise AudioError("there are no samples")
    window, step = max(1, round(TRIM_WINDOW * sample_rate)), max(1, round(TRIM_STEP * sample_rate))
    padded = torch.nn.functional.pad(wave, (0, max(0, window - len(wave)) + step))
    rms = padded.unfold(0, window, step).square().mean(dim=1).sqrt()  # (n_windows,)
    loudest = float(rms.max())
    if loudest < SILENCE_RMS:
        raise AudioError("there is nothing but silence")
    loud = (rms >= loudest * 10 ** (-top_db / 20)).nonzero()
    keep = round(keep_seconds * sample_rate)
    start = max(0, int(loud[0]) * step - keep)
    end = min(len(wave), int(loud[-1]) * step + window + keep)
    return Trimmed(wave[start:end], start)


def normalize_loudness(wave: Tensor, sample_rate: int, target_lufs: float) -> Tensor:
    """Bring (T_wave,) to a loudness; what would then exceed 0.99 is scaled down as a whole, and so stays softer.

    Raises:
        AudioError: if the wave is silent.
    """
    return change_loudness(wave, loudness(wave, sample_rate), target_lufs)


def change_loudness(wave: Tensor, measured_lufs: float, target_lufs: float) -> Tensor:
    """`normalize_loudness` for a wave whose loudness is known."""
    if math.isinf(measured_lufs):
        raise AudioError("there is nothing but silence")
    louder: Tensor = wave * 10 ** ((target_lufs - measured_lufs) / 20)
    return louder * min(1.0, PEAK_LIMIT / float(louder.abs().max()))


def loudness(wave: Tensor, sample_rate: int) -> float:
    """Integrated loudness of (T_wave,) in LUFS; -inf for digital silence.

    A clip shorter than a block, or below the absolute gate throughout, is measured as a whole.
    """
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
    """(T_wave,) float64 through the two filters of BS.1770, applied in the frequency domain.

    Exact but for rounding: the impulse response has long died away within the half second of zeros that follows.
    """
    size = 1 << (len(wave) + sample_rate // 2 - 1).bit_length()
    weighted: Tensor = torch.fft.irfft(torch.fft.rfft(wave, size) * _k_response(size, sample_rate), size)[: len(wave)]
    return weighted


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


def clipping_share(wave: Tensor) -> float:
    """Share of samples that stand at full scale. Measure before resampling, which moves them off it."""
    return float((wave.abs() >= 0.999).float().mean())


def _lufs(energy: Tensor) -> float:
    return -0.691 + 10 * math.log10(float(energy)) if float(energy) > 0 else -math.inf


def _energy(lufs: float) -> float:
    return float(10 ** ((lufs + 0.691) / 10))
