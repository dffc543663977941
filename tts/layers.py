"""Small layers that both models share: masks, normalisation that ignores padding, zoneout, the mel scaler.

Shapes: B batch, C channels, T time.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tts import ranks


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """(B,) lengths -> (B, size) bool, True = real."""
    return torch.arange(size, device=lengths.device)[None] < lengths[:, None]


class MaskedBatchNorm1d(nn.BatchNorm1d):
    """Batch normalisation whose statistics and output know real positions only; padding comes out as zero."""

    over_ranks = False  # statistics of training are those of all processes together; the trainer sets it

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        """x: (B, C, T); mask: (B, T) bool. Returns (B, C, T)."""
        channels_last = x.transpose(1, 2)
        real = channels_last[mask]  # (n real positions, C)
        real = self._over_ranks(real) if self.training and self.over_ranks else super().forward(real)
        return torch.zeros_like(channels_last).masked_scatter(mask[:, :, None], real).transpose(1, 2)

    def _over_ranks(self, real: Tensor) -> Tensor:
        """What `nn.BatchNorm1d` does with the rows of all processes."""
        standard, mean, variance, n = ranks.Standardized.apply(real.float(), self.eps)  # type: ignore[no-untyped-call]
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        assert self.num_batches_tracked is not None
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * n / (n - 1), self.momentum)
        made: Tensor = (standard * self.weight + self.bias).to(real.dtype)
        return made


class ConvNorm(nn.Module):
    """A convolution over time that keeps the length, then masked batch normalisation."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int):
        super().__init__()
        self.conv = nn.Conv1d(in_channels, out_channels, kernel_size, padding=(kernel_size - 1) // 2)
        self.norm = MaskedBatchNorm1d(out_channels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x: (B, in_channels, T), zero where padded; mask: (B, T) bool. Returns (B, out_channels, T), likewise."""
        normed: Tensor = self.norm(self.conv(x), mask)
        return normed


def zoneout(previous: Tensor, new: Tensor, rate: float, keep: Tensor | None) -> Tensor:
    """Keep some units of a recurrent state as they were (Krueger et al. 2016, arXiv:1606.01305).

    Args:
        previous, new: (B, C) the state before and after the step.
        rate: share of units kept.
        keep: (B, C) bool, the units kept in this training step; None at synthesis, which takes the expectation.
    """
    if keep is None:
        return torch.lerp(new, previous, rate) if rate else new
    return torch.where(keep, previous, new)


class MelScaler(nn.Module):
    """Mels in the contract's units <-> zero mean and unit variance per bin, as measured on the training data."""

    mean: Tensor  # (n_mels,)
    std: Tensor  # (n_mels,)

    def __init__(self, n_mels: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_mels))
        self.register_buffer("std", torch.ones(n_mels))

    def fit(self, mean: Tensor, std: Tensor) -> None:
        """Take the statistics of the training data, (n_mels,) each."""
        self.mean.copy_(mean)
        self.std.copy_(std.clamp_min(1e-3))

    def normalize(self, mel: Tensor) -> Tensor:
        """(B, n_mels, T) in contract units -> normalised."""
        return (mel - self.mean[:, None]) / self.std[:, None]

    def denormalize(self, mel: Tensor) -> Tensor:
        """(B, n_mels, T) normalised -> in contract units."""
        return mel * self.std[:, None] + self.mean[:, None]


def windows(x: Tensor, before: int, after: int) -> Tensor:
    """What a filter sees at every position, zeros beyond the ends: (..., T) -> (..., T, before + 1 + after).

    A convolution written as one product with these is faster than `conv1d` for the few short filters of an attention.
    """
    return F.pad(x, (before, after)).unfold(-1, before + 1 + after, 1)


def windows_gradient(d_windows: Tensor, before: int, after: int) -> Tensor:
    """The gradient of `windows`: (..., T, before + 1 + after) -> (..., T)."""
    *rows, length, width = d_windows.shape
    padded = F.pad(d_windows, (0, 0, after, before)).contiguous()
    # Position j went to place i + before of the window at j - i: with the rows turned round those lie on a diagonal.
    outer, (row, one) = padded.stride()[:-2], padded.stride()[-2:]
    diagonal = padded.flip(-1).as_strided((*rows, length, width), (*outer, row, row + one))
    return diagonal.sum(dim=-1)
