"""Waves to measure by."""

import numpy as np
import torch
from torch import Tensor


def speech_like(seconds: float, sample_rate: int = 22050, seed: int = 0) -> Tensor:
    """A gliding voice with syllables: harmonics under a slow envelope, and a little noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * sample_rate)) / sample_rate
    phase = 2 * np.pi * np.cumsum(150 + 40 * np.sin(2 * np.pi * 1.3 * t)) / sample_rate
    voice = sum(np.sin(k * phase) / k for k in range(1, 15))
    wave = 0.1 * voice * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * t)) + 0.002 * rng.standard_normal(len(t))
    return torch.from_numpy(wave.astype(np.float32))
