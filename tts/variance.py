"""Variance of mels that a model averages away, measured in validation and given back at synthesis.

What is trained on distances predicts the mean of all that could be said next, so its mels move less than real ones in
every bin. Toda and Tokuda (2007, IEICE Transactions E90-D, 816-824) call what is lost global variance, that of a bin
over an utterance; Silén et al. (2012, Interspeech, section 3) give it back by scaling each bin about its mean.

Shapes: n_mels bins, T_mel frames of one utterance.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

LostVariance = Mapping[str, Sequence[float]]  # n_mels ratios, by speaker

EVERYBODY = "*"  # in place of a speaker's name
ENOUGH = 10  # utterances of a speaker that tell something about the speaker
MOST = 2.0  # times that a bin may be stretched; beyond it the model has learned nothing there


def lost_variance(made: Sequence[Tensor], real: Sequence[Tensor], speakers: Sequence[str]) -> LostVariance:
    """By how much each bin of real utterances varies more than in what was made of their texts.

    Args:
        made, real: (n_mels, T_mel) mels of the same texts, in contract units.
        speakers: of each.

    Returns:
        For EVERYBODY, and for each speaker with ENOUGH utterances: n_mels ratios of mean standard deviations, between
        1 and MOST.
    """
    rows = {EVERYBODY: list(range(len(speakers)))}
    for speaker in sorted(set(speakers)):
        own = [row for row, name in enumerate(speakers) if name == speaker]
        if ENOUGH <= len(own) < len(speakers):
            rows[speaker] = own
    return {name: _ratios([made[row] for row in own], [real[row] for row in own]) for name, own in rows.items()}


def of_speaker(lost: LostVariance, speaker: str) -> Sequence[float]:
    """The ratios of a speaker, or everybody's; none where a voice does not know what it lost."""
    return lost.get(speaker, lost.get(EVERYBODY, ()))


def give_back(mel: Tensor, lost: Sequence[float], floor: float) -> Tensor:
    """The mel with the variance that was lost.

    Args:
        mel: (n_mels, T_mel) contract units.
        lost: n_mels ratios; empty: the mel stays as it is.
        floor: the value of silence, below which nothing falls.
    """
    if not lost:
        return mel
    mean = mel.mean(dim=1, keepdim=True)
    return (mean + (mel - mean) * torch.tensor(lost)[:, None]).clamp_min(floor)


def _ratios(made: Sequence[Tensor], real: Sequence[Tensor]) -> list[float]:
    ratio = _deviation(real) / _deviation(made).clamp_min(1e-3)
    return [round(one, 3) for one in ratio.clamp(1.0, MOST).tolist()]


def _deviation(mels: Sequence[Tensor]) -> Tensor:
    """(n_mels,) mean over utterances of the standard deviation over time; an utterance of one frame has none."""
    return torch.stack([mel.float().std(dim=1, correction=0) for mel in mels]).mean(dim=0)
