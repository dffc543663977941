"""The recursion that puts a predicted envelope back, compiled: sample by sample, each frame with its own filter."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tts.native.compiled import compiled, ensure

if TYPE_CHECKING:
    from tts.vocoder._linear_prediction import Envelope


@compiled
def recur_row(excitation: Any, coefficients: Any, gain: Any, wave: Any) -> None:
    """wave[t] = gain * excitation[t] + sum over k of coefficients[k] * wave[t - 1 - k].

    Args:
        excitation: (T_wave,).
        coefficients, gain: (T_mel, K) and (T_mel,), of each frame.
        wave: (K + T_wave,) float64; what lies before the first sample comes first.
    """
    order, hop_length = coefficients.shape[1], len(excitation) // len(gain)
    for t in range(len(excitation)):
        frame = t // hop_length
        value = np.float64(gain[frame]) * np.float64(excitation[t])
        for k in range(order):
            value += np.float64(coefficients[frame, k]) * wave[order + t - 1 - k]
        wave[order + t] = value


def prepare() -> None:
    """Compile, or load what was."""
    numbers = np.zeros(0, np.float32)
    ensure(recur_row, numbers, np.zeros((0, 0), np.float32), numbers, np.zeros(0))


def recur(excitation: Tensor, envelope: "Envelope", past: Tensor) -> Tensor:
    """See `Prediction.synthesise`. excitation: (B, T_wave); past: (B, order)."""
    order = past.shape[1]
    wave = torch.cat([past, torch.zeros_like(excitation)], dim=1).double().numpy()
    coefficients, gain = (np.ascontiguousarray(part.float().numpy()) for part in envelope)
    signal = np.ascontiguousarray(excitation.float().numpy())
    for row in range(len(wave)):
        recur_row(signal[row], coefficients[row], gain[row], wave[row])
    return torch.from_numpy(wave[:, order:]).to(excitation.dtype)
