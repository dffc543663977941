"""Noise reduced by spectral gating, for recordings of noisy rooms; by the library noisereduce, an extra.

Shapes: T_wave samples.
"""

import importlib.util

import torch
from torch import Tensor

from tts.errors import ConfigError

GATE_STDS = 1.5  # deviations above the mean level of the noise in a band, below which it is turned down


def missing() -> str:
    """Why noise cannot be reduced here; empty if it can."""
    if importlib.util.find_spec("noisereduce") is None:
        return "noisereduce is not installed (pip install 'tts[clean]')"
    return ""


def reduce_noise(wave: Tensor, sample_rate: int) -> Tensor:
    """(T_wave,) with every band turned down where it is no louder than the steady noise of the clip.

    Raises:
        ConfigError: if the library is missing.
    """
    if reason := missing():
        raise ConfigError(f"noise cannot be reduced: {reason}; or leave it as it is: data.reduce_noise=never")
    from noisereduce import reduce_noise as gate

    return torch.from_numpy(gate(y=wave.numpy(), sr=sample_rate, stationary=True, n_std_thresh_stationary=GATE_STDS))
