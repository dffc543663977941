"""The two loops of teacher forcing, each as one node of autograd with a backward pass of its own.

Step by step under autograd, every weight gradient is a small product per step that reads and writes the whole weight.
Here the loops go backward by hand, and each weight's gradient is one large product over many steps afterwards.

Shapes: B batch, T decoder steps, T_text symbols, H width of an LSTM, D width of the encoded text.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tts.acoustic._loops import AttendedSteps, Carry, CellTape, LSTMSteps, Product, Steps, Tensors
from tts.interfaces import Attention


class Given(NamedTuple):
    """What a loop is given for all of its T steps. Names are those of `Steps`."""

    make: Callable[[Tensors, Tensors], Steps]  # of constants and inputs
    constants: Tensors
    inputs: Tensors  # (T, ...) each
    start: Tensors
    record: bool  # whether a backward pass follows


class Gradients(NamedTuple):
    """Of what a loop was given."""

    given: Tensor  # (T, B, 4 H)
    constants: Tensors  # of those that have one


class Passed(Protocol):
    """A loop that has gone forward, and all that it must know to go back; it may go back more than once."""

    outputs: Tensors  # (T + 1, ...) each, as those of `Steps`

    def backward(self, d_outputs: Tensors) -> Gradients:
        """d_outputs: (T, ...) each."""


Run = Callable[[Given], Passed]


class AtOnce:
    """All steps of a call on tensors of its own. See `Passed`."""

    def __init__(self, given: Given):
        self.steps = given.make(given.constants, given.inputs)
        self.steps.begin(given.start)
        self.steps.forward()
        self.outputs = self.steps.outputs

    def backward(self, d_outputs: Tensors) -> Gradients:
        """See `Passed`."""
        reverse = self.steps.reverse(d_outputs)
        reverse.run()
        return Gradients(reverse.d_given, reverse.sums)


def _in_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    """Both passes of a node say themselves what is lowered: autocast would lower sums over the whole utterance."""

    @wraps(function)
    def run(ctx: Any, first: Tensor, *rest: Any) -> Any:
        ctx.product_dtype = getattr(ctx, "product_dtype", None) or _product_dtype(first.device)
        with torch.autocast(first.device.type, enabled=False):
            return function(ctx, first, *rest)

    return run


def _product_dtype(device: torch.device) -> torch.dtype:
    """What autocast lowers products to; float32 without it."""
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else torch.float32


def _inputs(projected: Tensor, carry: Carry) -> Tensors:
    return (projected, carry) if isinstance(carry, Tensor) else (projected,)


def _cell(inputs: Tensors, carry: Carry, *, record: bool) -> CellTape:
    """carry: if it is not drawn, and so among the inputs."""
    gates = inputs[0].to(torch.float32, copy=True)
    return CellTape(gates, inputs[1] if len(inputs) > 1 else carry, record=record)


class LSTMLoop(torch.autograd.Function):
    """All steps of an LSTM that feeds back nothing but its state."""

    @staticmethod
    @_in_float32
    def forward(ctx: Any, projected: Tensor, weight: Tensor, carry: Carry, record: bool, run: Run) -> Tensor:
        """projected: (T, B, 4 H); weight: (4 H, H). Returns the hidden states (T, B, H)."""

        def make(constants: Tensors, inputs: Tensors) -> Steps:
            return LSTMSteps(Product(*constants), _cell(inputs, carry, record=record))

        constants = tuple(Product.of(weight, ctx.product_dtype))
        ctx.passed = run(Given(make, constants, _inputs(projected, carry), (), record))
        ctx.dtype = projected.dtype
        hidden: Tensor = ctx.passed.outputs[0][1:].clone()
        return hidden

    @staticmethod
    @once_differentiable
    @_in_float32
    def backward(ctx: Any, d_hidden: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        gradients = ctx.passed.backward((d_hidden,))
        return gradients.given.to(ctx.dtype), *gradients.constants, None, None, None


class AttendedLSTMLoop(torch.autograd.Function):
    """All steps of the attention LSTM and of the attention that it queries and that feeds its context back."""

    @staticmethod
    @_in_float32
    def forward(
        ctx: Any,
        projected: Tensor,
        weight: Tensor,
        memory: Tensor,
        start: tuple[Tensor, Tensor],
        mask: Tensor,
        carry: Carry,
        record: bool,
        run: Run,
        attention: Attention,
        *leaves: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Contexts and hidden states (T, B, D + H), and weights (T, B, T_text).

        Args:
            projected: (T, B, 4 H).
            weight: (4 H, D + H) of what is fed back: the context, then the hidden state.
            memory: (B, T_text, D).
            start: (B, T_text) weights and their sum before the first step.
            mask: (B, T_text) bool.
            carry: zoneout.
            record: whether a backward pass will follow.
            run: what goes through the steps.
            attention: whose tape it is.
            leaves: of the tape.
        """

        def make(constants: Tensors, inputs: Tensors) -> Steps:
            weight, transposed, memory, padding, *leaves = constants
            tape = attention.tape(tuple(leaves), len(inputs[0]) if record else 1, mask.shape)
            cell = _cell(inputs, carry, record=record)
            return AttendedSteps(Product(weight, transposed), memory, padding, cell, tape)

        constants = (*Product.of(weight, ctx.product_dtype), memory, ~mask, *leaves)
        ctx.passed = run(Given(make, constants, _inputs(projected, carry), start, record))
        ctx.dtype = projected.dtype
        # An output kept on ctx itself would keep its own node alive.
        fed_back, weights = (output[1:].clone() for output in ctx.passed.outputs)
        return fed_back, weights

    @staticmethod
    @once_differentiable
    @_in_float32
    def backward(  # type: ignore[override]
        ctx: Any, d_fed_back: Tensor, d_weights: Tensor
    ) -> tuple[Tensor | None, ...]:
        gradients = ctx.passed.backward((d_fed_back, d_weights))
        of_weight, of_memory, *of_leaves = gradients.constants
        return gradients.given.to(ctx.dtype), of_weight, of_memory, *[None] * 6, *of_leaves
