"""The losses of the acoustic model: masked, pure, each a mean that does not depend on padding or batch size.

Shapes: B batch, T_text symbols, T_mel frames, r frames per decoder step.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from tts.layers import length_mask

AFTER_END = 4  # decoder steps after the end of an utterance that still count in the stop loss
AFTER_END_WEIGHT = 0.25  # and how much


def masked_mean(error: Tensor, mask: Tensor) -> Tensor:
    """Mean over bins and real frames. error: (B, n_mels, T_mel); mask: (B, T_mel) bool."""
    return error.mean(dim=1)[mask].mean()


def masked_l1(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute error over real frames. predicted, target: (B, n_mels, T_mel); mask: (B, T_mel) bool."""
    return masked_mean((predicted - target).abs(), mask)


def masked_l2(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error over real frames. predicted, target: (B, n_mels, T_mel); mask: (B, T_mel) bool."""
    return masked_mean((predicted - target).square(), mask)


def group_mask(mel_lengths: Tensor, n_frames: int, r: int) -> Tensor:
    """(B, n_frames) bool: the real frames and those that fill up the last decoder step.

    The loss counts the fill as silence. At synthesis the last step yields all of its frames, and what no loss has
    ever looked at would be heard there.
    """
    return length_mask(-(-mel_lengths // r) * r, n_frames)


def guided_attention_loss(
    alignment: Tensor,
    text_lengths: Tensor,
    mel_lengths: Tensor,
    sigma: float,
    reading_path: Tensor | None = None,
    path_sigma: float = 2.0,
) -> Tensor:
    """Attention off the diagonal (Tachibana et al. 2018, arXiv:1710.08969, section 4.1), or off a path that is known.

    The mean over real frames of the share of attention off the diagonal: 0 along it, 1 far from it. (The paper divides
    by the number of symbols too, which makes the loss weaker for longer texts, and measures from the start of symbols
    and frames; their middles ask attention for no symbol half its duration early. The last symbol, the end of the
    sentence, has no duration: it belongs to the last frame.)

    Args:
        alignment: (B, T_text, T_mel).
        text_lengths: (B,). mel_lengths: (B,).
        sigma: width of the band as a share of the length; the paper's g.
        reading_path: (B, T_mel) symbols read at each frame, which then count in place of the diagonal; where it is NaN,
            the diagonal stays.
        path_sigma: width of the band about the path, in symbols.
    """
    _, n_symbols, n_frames = alignment.shape
    spoken = (text_lengths - 1).clamp_min(1)[:, None]
    text = ((torch.arange(n_symbols, device=alignment.device) + 0.5)[None] / spoken).clamp_max(1)  # (B, T_text)
    time = (torch.arange(n_frames, device=alignment.device) + 0.5)[None] / mel_lengths[:, None]  # (B, T_mel)
    width = torch.full_like(time, sigma)  # (B, T_mel)
    if reading_path is not None:
        unknown = reading_path.isnan()
        time = torch.where(unknown, time, reading_path / spoken)
        width = torch.where(unknown, width, path_sigma / spoken)
    penalty = 1 - torch.exp(-(text[:, :, None] - time[:, None]).square() / (2 * width[:, None] ** 2))
    return (alignment * penalty).sum(dim=1)[length_mask(mel_lengths, n_frames)].mean()


def stop_targets(mel_lengths: Tensor, n_frames: int, r: int) -> Tensor:
    """(B, n_frames) float: 1 from the first frame of the last decoder step on, 0 before.

    Synthesis ends with the first step that says stop, that step's frames included; so the step that yields the last
    real frame is the first that must say so.
    """
    before_last = (-(-mel_lengths // r) - 1) * r
    return 1.0 - length_mask(before_last, n_frames).float()


def stop_weight(mel_lengths: Tensor, n_frames: int, r: int) -> Tensor:
    """(B, n_frames) how much each frame counts in the stop loss."""
    weight = torch.where(group_mask(mel_lengths, n_frames, r), 1.0, AFTER_END_WEIGHT)
    return weight * group_mask(mel_lengths + AFTER_END * r, n_frames, r)


def stop_loss(stop_logit: Tensor, mel_lengths: Tensor, positive_weight: float, r: int) -> Tensor:
    """Binary cross entropy of the stop token.

    One step in a hundred is positive, hence `positive_weight` w: the model then says stop once it believes with
    1 / (1 + w) that this is the end. Being late by a step costs a pause, never saying it costs the utterance. A few
    steps of padding count too, a little: a decoder that has run past the end must still hear that it is the end.
    More of them would teach it that silence means stop, and a comma is silence.

    Args:
        stop_logit: (B, T_mel), r equal values per decoder step.
        mel_lengths: (B,).
        positive_weight: of the frames that say stop.
        r: frames per decoder step.
    """
    n_frames = stop_logit.shape[1]
    targets = stop_targets(mel_lengths, n_frames, r)
    weight = stop_weight(mel_lengths, n_frames, r)
    error = F.binary_cross_entropy_with_logits(
        stop_logit, targets, reduction="none", pos_weight=stop_logit.new_tensor(positive_weight)
    )
    return (error * weight).sum() / weight.sum()
