"""Variance that was lost is measured by bin, and given back about the mean of the utterance."""

import pytest
import torch

from tts.variance import MOST, give_back, lost_variance


def utterances(*deviations):
    """Three utterances of other lengths and levels, whose bins vary as told."""
    generator = torch.Generator().manual_seed(0)
    scale = torch.tensor(deviations)[:, None]
    return [
        scale * torch.randn(len(deviations), n, generator=generator) - level for n, level in ((90, 5), (60, 2), (70, 9))
    ]


def test_what_is_lost_is_told_by_bin():
    real = utterances(1.0, 1.0, 1.0, 1.0)
    made = [torch.tensor([0.5, 0.8, 1.25, 0.01])[:, None] * mel for mel in real]
    assert lost_variance(made, real) == pytest.approx([2.0, 1.25, 1.0, MOST])
    assert lost_variance([mel[:, :1] for mel in real], real) == [MOST] * 4, "nothing moves in one frame"


def test_it_is_given_back_about_the_mean():
    mel = utterances(1.0, 2.0)[0]
    spoken = give_back(mel, [1.5, 1.0], floor=-100.0)
    torch.testing.assert_close(spoken.mean(dim=1), mel.mean(dim=1))
    torch.testing.assert_close(spoken[0].std(), 1.5 * mel[0].std())
    torch.testing.assert_close(spoken[1], mel[1])
    assert give_back(mel, [2.0, 2.0], floor=-6.0).min() == -6.0
    assert give_back(mel, [], floor=-6.0) is mel, "a voice that does not know what it lost"
