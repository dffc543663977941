"""A pseudo-QMF bank: the wave as N bands, each at an N-th of the rate, and back (Vaidyanathan 1993, section 8).

The filters are one low-pass, moved to the middle of each band by a cosine. The low-pass is a sinc under a Kaiser window
whose cutoff is searched for the flattest sum of the bands (Lin and Vaidyanathan 1998). What is lost on the way through
lies 60 dB below the wave.

Shapes: B batch, N bands, T_wave samples.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TAPS_PER_BAND = 16  # on either side of the centre, half of it
BETA = 9.0  # of the Kaiser window: 90 dB between bands that are not neighbours


class FilterBank(nn.Module):
    """Analysis and synthesis; energy is kept. Nothing in it is learned. With one band it does nothing."""

    filters: Tensor  # (N, 1, taps)

    def __init__(self, n_bands: int):
        super().__init__()
        self.n_bands = n_bands
        # Samples on either side of one that its bands are made of, and on which it depends.
        self.reach = (TAPS_PER_BAND * n_bands - 2) // 2 if n_bands > 1 else 0
        prototype = _prototype(n_bands, self.reach)
        time = torch.arange(-self.reach, self.reach + 1, dtype=torch.double)
        band = torch.arange(n_bands, dtype=torch.double)[:, None]
        angle = (2 * band + 1) * math.pi / (2 * n_bands) * time
        phase = (1 - 2 * (band % 2)) * math.pi / 4
        filters = 2 * math.sqrt(n_bands) * prototype * torch.cos(angle + phase)
        # They follow from the number of bands, so a checkpoint need not hold them.
        self.register_buffer("filters", filters.float()[:, None], False)

    def analyse(self, wave: Tensor) -> Tensor:
        """(B, T_wave) -> (B, N, T_wave / N). Around the wave lies silence."""
        if self.n_bands == 1:
            return wave[:, None]
        with torch.autocast(wave.device.type, enabled=False):
            padded = F.pad(wave[:, None], (self.reach, self.reach))
            return F.conv1d(padded, self.filters.to(wave.dtype), stride=self.n_bands)

    def synthesise(self, bands: Tensor) -> Tensor:
        """(B, N, T) -> (B, T * N), the wave whose bands these are: every value spreads by its filter."""
        if self.n_bands == 1:
            return bands[:, 0]
        spread = F.conv_transpose1d(bands, self.filters.to(bands.dtype), stride=self.n_bands)[:, 0]
        return spread[:, self.reach : self.reach + bands.shape[2] * self.n_bands]


def _prototype(n_bands: int, reach: int) -> Tensor:
    """The low-pass, (2 * reach + 1,) double, with the cutoff that makes the sum of all bands flattest."""
    if n_bands == 1:
        return torch.ones(1, dtype=torch.double) / 2
    low, high = 0.5 / n_bands, 1.0 / n_bands  # as a share of the Nyquist frequency
    for _ in range(60):  # to the last bits, thirds being thrown away
        third = (high - low) / 3
        if _ripple(_low_pass(low + third, reach), n_bands) < _ripple(_low_pass(high - third, reach), n_bands):
            high -= third
        else:
            low += third
    return _low_pass((low + high) / 2, reach)


def _low_pass(cutoff: float, reach: int) -> Tensor:
    time = torch.arange(-reach, reach + 1, dtype=torch.double)
    window = torch.kaiser_window(2 * reach + 1, periodic=False, beta=BETA, dtype=torch.double)
    return torch.sinc(time * cutoff) * cutoff * window


def _ripple(prototype: Tensor, n_bands: int) -> float:
    """How far the bands together are from passing everything: their autocorrelation at every second band's distance.

    The prototype's own autocorrelation at lags of 2 N, without lag 0, would all be zero if it were perfect.
    """
    n_fft = 4096
    power = torch.fft.rfft(prototype, n_fft).abs().square()
    correlation = torch.fft.irfft(power, n_fft)[: len(prototype)]
    return float(correlation[2 * n_bands :: 2 * n_bands].abs().max() / correlation[0])
