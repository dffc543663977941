"""Variance that was lost is measured by bin, and given back about the mean of the utterance."""

import pytest
import torch

from tts.variance import ENOUGH, EVERYBODY, MOST, give_back, lost_variance, of_speaker


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
    assert lost_variance(made, real, [""] * 3) == {EVERYBODY: pytest.approx([2.0, 1.25, 1.0, MOST])}
    still = lost_variance([mel[:, :1] for mel in real], real, [""] * 3)
    assert still == {EVERYBODY: [MOST] * 4}, "nothing moves in one frame"


def test_a_speaker_with_enough_utterances_has_ratios_of_their_own():
    real = utterances(1.0) * (2 * ENOUGH)
    who = ["ann"] * ENOUGH + ["bob"] * (len(real) - ENOUGH - 2) + ["cid"] * 2
    made = [mel / {"ann": 1.5, "bob": 1.1, "cid": 1.0}[name] for mel, name in zip(real, who, strict=True)]
    lost = lost_variance(made, real, who)
    assert lost.keys() == {EVERYBODY, "ann", "bob"}
    assert of_speaker(lost, "ann") == [1.5] and of_speaker(lost, "bob") == [1.1]
    assert of_speaker(lost, "cid") == lost[EVERYBODY] != [1.0]
    assert of_speaker({}, "ann") == ()


def test_it_is_given_back_about_the_mean():
    mel = utterances(1.0, 2.0)[0]
    spoken = give_back(mel, [1.5, 1.0], floor=-100.0)
    torch.testing.assert_close(spoken.mean(dim=1), mel.mean(dim=1))
    torch.testing.assert_close(spoken[0].std(), 1.5 * mel[0].std())
    torch.testing.assert_close(spoken[1], mel[1])
    assert give_back(mel, [2.0, 2.0], floor=-6.0).min() == -6.0
    assert give_back(mel, [], floor=-6.0) is mel, "a voice that does not know what it lost"
