"""Mels as an acoustic model predicts them: averages over what might have been said, in which single harmonics are lost.

A vocoder that knows sharp mels only takes such a blur for hoarseness. What it is to make of one it can learn from
recordings alone: their own mels, averaged over neighbouring bands and frames, still fit the wave in all that is left.

Shapes: B batch, T_mel frames.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

BANDS = (1, 3, 5, 7, 9)  # averaged over; harmonics of a voice lie three to seven bands apart where bands are narrowest
FRAMES = (1, 3)


def blurred(mel: Tensor, share: float) -> Tensor:
    """Some rows, drawn, each over drawn numbers of bands and frames. mel: (B, n_mels, T_mel) contract units."""
    out = mel.clone()
    for row in torch.nonzero(torch.rand(len(mel)) < share)[:, 0].tolist():
        bands, frames = (of[int(torch.randint(len(of), ()))] for of in (BANDS, FRAMES))
        sizes, beside = (bands, frames), (bands // 2, frames // 2)
        out[row] = F.avg_pool2d(mel[row][None], sizes, stride=1, padding=beside, count_include_pad=False)[0]
    return out
