"""How `generate` moves a whole batch by one decoder step: by torch, or by compiled loops where they apply.

Shapes: B batch, T_text symbols.
"""

from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch import Tensor

from tts import native
from tts.acoustic._watch import Span
from tts.interfaces import AttentionMemory

if TYPE_CHECKING:
    from tts.acoustic.tacotron2 import Tacotron2

AHEAD = 32  # steps whose dropout is drawn at once


class Stepped(NamedTuple):
    """What one decoder step yields, at synthesis."""

    mel: Tensor  # (B, n_mels, r) normalised, before the postnet
    stop_logit: Tensor  # (B,)
    weights: Tensor  # (B, T_text) of the attention


class Stepper(Protocol):
    """The decoder on its way through a batch: it holds the state, and a step moves it on."""

    def step(self, previous: Tensor, kept: Tensor, speaking: Tensor, span: Span | None = None) -> Stepped:
        """One decoder step.

        Args:
            previous: (B, n_mels) normalised, the last frame so far; zeros at the start.
            kept: (B, units of the prenet) its dropout, as `PrenetDropout` draws it.
            speaking: (B,) bool; what comes out for other rows means nothing, and need not be computed.
            span: the symbols that each row may attend to; None allows all.
        """


class PrenetDropout:
    """The factors of the prenet's dropout, 0 or 1 / (1 - rate): a row's own, by its seed, step after step.

    The numbers of many steps are drawn at once, since a call costs more than they do; they are the same.
    """

    def __init__(self, seeds: Sequence[int], n_units: int, rate: float):
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.n_units, self.rate = n_units, rate
        self.drawn: Iterator[Tensor] = iter(())

    def next(self) -> Tensor:
        """(B, n_units) on the CPU, for the next step."""
        kept = next(self.drawn, None)
        if kept is None:
            numbers = [torch.rand(AHEAD, self.n_units, generator=generator) for generator in self.generators]
            self.drawn = iter((torch.stack(numbers, dim=1) >= self.rate) / (1 - self.rate))
            kept = next(self.drawn)
        return kept


class TorchStepper:
    """The model's own `step`, on any device."""

    def __init__(self, model: "Tacotron2", prepared: AttentionMemory):
        self.model, self.prepared = model, prepared
        self.state = model.start(prepared)

    def step(self, previous: Tensor, kept: Tensor, speaking: Tensor, span: Span | None = None) -> Stepped:
        """See `Stepper`."""
        factors = iter(kept.to(previous.device).split_with_sizes(self.model.prenet.dims, dim=1))
        prepared = self.prepared
        if span is not None:
            allowed = span.mask(prepared.mask.shape[1]).to(previous.device)
            prepared = prepared._replace(mask=prepared.mask & allowed)
        frames, self.state = self.model.step(previous, self.state, prepared, lambda x, rate: x * next(factors))
        return Stepped(frames.mel, frames.stop_logit, self.state.attended.attention.weights)


def make_stepper(model: "Tacotron2", prepared: AttentionMemory) -> Stepper:
    """Compiled loops for a model on the CPU in float32 whose attention has them; else torch."""
    attention = compiled_attention(model)
    if attention is None:
        return TorchStepper(model, prepared)

    def make() -> Stepper:
        from tts.acoustic._native import NativeStepper  # imports numba

        return NativeStepper(model, prepared, import_module(attention))

    return native.attempt(make) or TorchStepper(model, prepared)


def compiled_attention(model: "Tacotron2") -> str | None:
    """The module that holds the compiled step of the model's attention; None where the model must be stepped by torch.

    That is so elsewhere than on the CPU, in another precision, with an attention that has no such module, and for a
    model that changes what a step is.
    """
    from tts.acoustic.tacotron2 import Tacotron2

    plain = type(model).step is Tacotron2.step and type(model).project is Tacotron2.project
    if (
        not plain
        or torch.is_autocast_enabled("cpu")
        or any(p.device.type != "cpu" or p.dtype != torch.float32 for p in model.parameters())
    ):
        return None
    package, _, name = type(model.attention).__module__.rpartition(".")
    found = f"{package}._native_{name}"
    return found if package and find_spec(found) else None
