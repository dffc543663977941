"""Tacotron 2 of torchaudio, and of SpeechBrain where it is installed, as training steps of the same batch; taking turns
with ours.
"""

import statistics
from collections.abc import Callable
from importlib import import_module

import torch
from torch import Tensor, nn

from tts.audio.backend import load_torchaudio
from tts.batch import AcousticBatch
from tts.losses import masked_l2, stop_loss

N_SYMBOLS = 80


def total(before: Tensor, after: Tensor, stop_logit: Tensor, batch: AcousticBatch, r: int) -> Tensor:
    """The same loss for all."""
    mel = masked_l2(before, batch.mel, batch.mel_mask) + masked_l2(after, batch.mel, batch.mel_mask)
    return mel + stop_loss(stop_logit, batch.mel_lengths, 1.0, r)


def training_step(model: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
    """Forward, backward, clipping and Adam; the optimizer's share is the same for all."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def torchaudios(batch: AcousticBatch) -> Callable[[], None]:
    """torchaudio.models.Tacotron2, r=1."""
    torch.manual_seed(0)
    model = load_torchaudio().models.Tacotron2(n_symbol=N_SYMBOLS).to(batch.mel.device)

    def loss() -> Tensor:
        before, after, stop_logit, _ = model(batch.text_ids, batch.text_lengths, batch.mel, batch.mel_lengths)
        return total(before, after, stop_logit, batch, 1)

    return training_step(model, loss)


def speechbrains(batch: AcousticBatch) -> Callable[[], None]:
    """speechbrain.lobes.models.Tacotron2, r=1.

    Raises:
        ImportError: where it is not installed.
    """
    load_torchaudio()  # which SpeechBrain imports, in a way that fails beside a CPU build of torch
    peer = import_module("speechbrain.lobes.models.Tacotron2").Tacotron2
    torch.manual_seed(0)
    model = peer(n_symbols=N_SYMBOLS)
    inputs = (batch.text_ids, batch.text_lengths, batch.mel, batch.mel.shape[2], batch.mel_lengths)

    def loss() -> Tensor:
        before, after, stop_logit, _ = model(inputs)
        return total(before, after, stop_logit, batch, 1)

    return training_step(model, loss)


def median_seconds(jobs: dict[str, Callable[[], None]], rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """By the clock, jobs taking turns, so that other load on the machine meets all alike. The first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for i in range(rounds + 1):
        for name, job in jobs.items():
            start = clock()
            job()
            if i > 0:
                seconds[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}
