"""Losses of the acoustic model: what they count, and what they do not."""

import math

import pytest
import torch
from torch.nn import functional as F

from tts.batch import AcousticBatch
from tts.losses import (
    group_mask,
    guided_attention_loss,
    masked_l1,
    masked_l2,
    stop_loss,
    stop_targets,
)

LENGTHS = torch.tensor([3, 5])
MASK = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], dtype=torch.bool)


def test_masked_losses_are_the_mean_over_real_frames():
    predicted, target = torch.randn(2, 4, 5), torch.randn(2, 4, 5)
    real = torch.cat([(predicted - target)[0, :, :3].flatten(), (predicted - target)[1].flatten()])
    torch.testing.assert_close(masked_l1(predicted, target, MASK), real.abs().mean())
    torch.testing.assert_close(masked_l2(predicted, target, MASK), real.square().mean())


@pytest.mark.parametrize("loss", [masked_l1, masked_l2])
def test_padding_has_no_value_and_no_gradient(loss):
    predicted, target = torch.randn(2, 4, 5, requires_grad=True), torch.randn(2, 4, 5)
    value = loss(predicted, target, MASK)
    value.backward()
    assert (predicted.grad[0, :, 3:] == 0).all() and (predicted.grad[0, :, :3] != 0).all()
    target[0, :, 3:] = 1e6
    torch.testing.assert_close(loss(predicted, target, MASK), value)


def test_group_mask_fills_up_the_last_step():
    assert group_mask(LENGTHS, 7, 2).sum(dim=1).tolist() == [4, 6]
    assert group_mask(LENGTHS, 7, 1).sum(dim=1).tolist() == [3, 5]
    assert group_mask(LENGTHS, 5, 4).sum(dim=1).tolist() == [4, 5]


def diagonal(n_symbols, n_frames, shift=0):
    alignment = torch.zeros(1, n_symbols, n_frames)
    for t in range(n_frames):
        alignment[0, (t * n_symbols // n_frames + shift) % n_symbols, t] = 1
    return alignment


def test_guided_attention_rewards_the_diagonal():
    lengths = {"text_lengths": torch.tensor([10]), "mel_lengths": torch.tensor([40]), "sigma": 0.2}
    on, near, far = (guided_attention_loss(diagonal(10, 40, shift), **lengths) for shift in (0, 1, 5))
    assert on < 0.06 and on < near < far
    spread = guided_attention_loss(torch.full((1, 10, 40), 0.1), **lengths)
    assert near < spread < 1


def test_guided_attention_is_what_the_paper_says():
    alignment = torch.rand(1, 4, 6)
    expected = sum(
        alignment[0, n, t] * (1 - math.exp(-((min(1, (n + 0.5) / 3) - (t + 0.5) / 6) ** 2) / (2 * 0.3**2)))
        for n in range(4)
        for t in range(6)
    )
    value = guided_attention_loss(alignment, torch.tensor([4]), torch.tensor([6]), 0.3)
    torch.testing.assert_close(value, expected / 6)


def test_guided_attention_ignores_padding():
    alignment = torch.rand(1, 4, 6)
    padded = F.pad(alignment, (0, 5, 0, 3), value=0)
    padded[:, :4, 6:] = 0.7  # decoder steps after the end attend to something
    lengths = torch.tensor([4]), torch.tensor([6])
    torch.testing.assert_close(
        guided_attention_loss(padded, *lengths, 0.2), guided_attention_loss(alignment, *lengths, 0.2)
    )


@pytest.mark.parametrize(("r", "first"), [(1, [2, 4]), (2, [2, 4]), (3, [0, 3]), (5, [0, 0])])
def test_stop_starts_with_the_step_of_the_last_frame(r, first):
    targets = stop_targets(LENGTHS, 6, r)
    assert targets.argmax(dim=1).tolist() == first
    assert (targets.sum(dim=1) == 6 - torch.tensor(first)).all()


def test_stop_loss_is_least_where_the_targets_are():
    targets = stop_targets(LENGTHS, 8, 2)
    right = stop_loss(targets * 20 - 10, LENGTHS, 6.0, 2)
    early = stop_loss(stop_targets(LENGTHS - 2, 8, 2) * 20 - 10, LENGTHS, 6.0, 2)
    late = stop_loss(stop_targets(LENGTHS + 2, 8, 2) * 20 - 10, LENGTHS, 6.0, 2)
    assert right < 1e-3 < early < late


def test_stop_loss_soon_forgets_what_follows_the_end():
    """A few steps after the end count, a quarter each; the rest of the padding does not."""
    logit = torch.zeros(1, 60, requires_grad=True)
    stop_loss(logit, torch.tensor([4]), 1.0, 2).backward()
    gradient = logit.grad[0].abs()
    torch.testing.assert_close(gradient[4:12], gradient[:1].expand(8) / 4)
    assert (gradient[12:] == 0).all()
    one, other = torch.zeros(1, 12), torch.zeros(1, 60)
    torch.testing.assert_close(stop_loss(one, torch.tensor([4]), 6.0, 2), stop_loss(other, torch.tensor([4]), 6.0, 2))


def test_the_positive_weight_weighs_the_end():
    logit = torch.zeros(1, 10, requires_grad=True)
    stop_loss(logit, torch.tensor([10]), 6.0, 1).backward()
    torch.testing.assert_close(logit.grad[0, 9], -6 * logit.grad[0, 8])


def test_a_batch_padded_for_other_processes_has_the_same_aligned_guidance():
    path = torch.tensor([[0.5, 1.0, 2.0, 2.5]])
    batch = AcousticBatch(
        ids=["a"],
        text_ids=torch.tensor([[1, 2, 3]]),
        text_lengths=torch.tensor([3]),
        mel=torch.zeros(1, 2, 4),
        mel_lengths=torch.tensor([4]),
        reading_path=path,
    ).validate()
    padded = batch.padded(7, -11.5).validate()
    alignment = torch.softmax(torch.randn(1, 3, 7, generator=torch.Generator().manual_seed(0)), dim=1)
    longer, shorter = (
        guided_attention_loss(weights, one.text_lengths, one.mel_lengths, 0.2, one.reading_path, 2.0)
        for weights, one in ((alignment, padded), (alignment[:, :, :4], batch))
    )
    torch.testing.assert_close(longer, shorter)
