"""Speaking rate: a mel that lasts shorter or longer.

Shapes: T_mel frames.
"""

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
