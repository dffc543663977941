"""Speaking rate and volume: a mel that lasts shorter or longer, all of it or stretch by stretch; a louder wave.

Shapes: T_mel frames, T_wave samples.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tts.settings import check_rate


def change_rate(mel: Tensor, rate: float) -> Tensor:
    """A mel of round(T_mel / rate) frames, one at least, between which the given ones are interpolated linearly.

    Args:
        mel: (n_mels, T_mel).
        rate: 1.1 speaks a tenth faster.

    Raises:
        ConfigError: if the rate is not one of `RATES`.
    """
    check_rate(rate)
    if rate == 1:
        return mel
    n_frames = max(1, round(mel.shape[1] / rate))
    return F.interpolate(mel[None], size=n_frames, mode="linear", align_corners=False)[0]


class Stretch(NamedTuple):
    """Frames of a mel that are spoken in one way, up to where the next stretch begins."""

    start: int  # its first frame
    rate: float
    gain: float = 1.0  # what its samples are multiplied by


class Paced(NamedTuple):
    """A mel in several rates."""

    mel: Tensor  # (n_mels, any)
    before: tuple[int, ...]  # frames of the given mel where stretches begin, and its length
    after: tuple[int, ...]  # where those lie in `mel`

    def moved(self, frame: float) -> float:
        """The place in `mel` of a place among the frames of the given mel."""
        return float(np.interp(frame, self.before, self.after))


def change_rates(mel: Tensor, stretches: Sequence[Stretch]) -> Paced:
    """A mel whose stretches last shorter or longer, each by itself.

    Args:
        mel: (n_mels, T_mel).
        stretches: in order, the first from frame 0 on; one without frames stays so.

    Raises:
        ConfigError: if a rate is not one of `RATES`.
    """
    before = (*(stretch.start for stretch in stretches), mel.shape[1])
    made = []
    for stretch, end in zip(stretches, before[1:], strict=True):
        part = mel[:, stretch.start : end]
        made.append(change_rate(part, stretch.rate) if part.shape[1] else part)
    after = (0, *np.cumsum([part.shape[1] for part in made]).tolist())
    return Paced(torch.cat(made, dim=1), before, after)


def change_volume(wave: Tensor, starts: Sequence[int], gains: Sequence[float], ramp: int) -> Tensor:
    """A wave whose stretches are louder or softer.

    Args:
        wave: (T_wave,).
        starts: samples where stretches begin, the first 0.
        gains: of each stretch.
        ramp: samples over which one gain gives way to the next, so that nothing clicks.
    """
    if all(gain == 1 for gain in gains):
        return wave
    lengths = torch.diff(torch.tensor([*starts, len(wave)]))
    steps = torch.repeat_interleave(torch.tensor(gains, dtype=wave.dtype), lengths)
    width = 2 * (ramp // 2) + 1
    smooth = F.avg_pool1d(steps[None], width, stride=1, padding=width // 2, count_include_pad=False)[0]
    return wave * smooth
