"""The two loops of teacher forcing, each as one node of autograd with a backward pass of its own.

Step by step under autograd, every weight gradient is a small product per step that reads and writes the whole weight.
Here the loops go backward by hand, and each weight's gradient is one large product over all steps afterwards. The
arithmetic is that of `ZoneoutLSTM.step` and `Attention.step`, and tests hold values and gradients against those.

Shapes: B batch, T decoder steps, T_text symbols, H width of an LSTM, D width of the encoded text.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tts.interfaces import EnergyTape

Carry = Tensor | float  # share of its old value that a unit keeps: (T, 2, B, H) of hidden and cell, or one for all


def _in_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    """Both passes of a node say themselves what is lowered: autocast would lower sums over the whole utterance."""

    @wraps(function)
    def run(ctx: Any, first: Tensor, *rest: Any) -> Any:
        ctx.product_dtype = getattr(ctx, "product_dtype", None) or _product_dtype(first.device)
        with torch.autocast(first.device.type, enabled=False):
            return function(ctx, first, *rest)

    return run


class CellTape:
    """The elementwise part of a zoneout LSTM over all steps, and its gradient (Krueger et al. 2016)."""

    def __init__(self, projected: Tensor, carry: Carry, *, record: bool):
        """projected: (T, B, 4 H); record=False keeps one step only, since no backward pass follows."""
        n_steps, n_rows, width = projected.shape
        self.dim, self.carry, self.record = width // 4, carry, record
        kept = n_steps if record else 1
        self.gates = torch.empty(kept, n_rows, width, device=projected.device)
        self.squashed = torch.empty(kept, n_rows, self.dim, device=projected.device)  # tanh of the new cell
        self.cells = torch.zeros(kept + 1 if record else 2, n_rows, self.dim, device=projected.device)

    def _carries(self, t: int) -> tuple[Tensor | float, Tensor | float]:
        if isinstance(self.carry, Tensor):
            return self.carry[t, 0], self.carry[t, 1]
        return self.carry, self.carry

    def sums(self, t: int) -> Tensor:
        """(B, 4 H) where the sums of step t belong before `step`."""
        return self.gates[t if self.record else 0]

    def step(self, t: int, hidden: Tensor, new_hidden: Tensor) -> None:
        """From the `sums` to the next state. hidden: (B, H) before; new_hidden: (B, H) is written."""
        dim, gates, squashed = self.dim, self.sums(t), self.squashed[t if self.record else 0]
        old, cell = (self.cells[t], self.cells[t + 1]) if self.record else (self.cells[t % 2], self.cells[1 - t % 2])
        gates[:, : 2 * dim].sigmoid_()
        gates[:, 2 * dim : 3 * dim].tanh_()
        gates[:, 3 * dim :].sigmoid_()
        torch.mul(gates[:, dim : 2 * dim], old, out=cell)
        cell.addcmul_(gates[:, :dim], gates[:, 2 * dim : 3 * dim])
        torch.tanh(cell, out=squashed)
        torch.mul(gates[:, 3 * dim :], squashed, out=new_hidden)
        of_hidden, of_cell = self._carries(t)
        _lerp(new_hidden, hidden, of_hidden)
        _lerp(cell, old, of_cell)

    def back(self, t: int, d_hidden: Tensor, d_cell: Tensor, d_gates: Tensor) -> tuple[Tensor, Tensor]:
        """Through step t.

        Args:
            d_hidden, d_cell: (B, H) of the state after the step.
            d_gates: (B, 4 H) is written: of the sums before the nonlinearities.

        Returns:
            (B, H) each, of hidden and cell before the step, without the part of d_gates.
        """
        dim, gates, squashed = self.dim, self.gates[t], self.squashed[t]
        accept, forget, candidate, emit = gates.chunk(4, dim=1)
        of_hidden, of_cell = self._carries(t)
        d_new = d_hidden - d_hidden * of_hidden
        d_new_cell = d_cell - d_cell * of_cell + d_new * emit * (1 - squashed * squashed)
        torch.mul(d_new_cell * candidate, accept * (1 - accept), out=d_gates[:, :dim])
        torch.mul(d_new_cell * self.cells[t], forget * (1 - forget), out=d_gates[:, dim : 2 * dim])
        torch.mul(d_new_cell * accept, 1 - candidate * candidate, out=d_gates[:, 2 * dim : 3 * dim])
        torch.mul(d_new * squashed, emit * (1 - emit), out=d_gates[:, 3 * dim :])
        return d_hidden * of_hidden, torch.addcmul(d_cell * of_cell, d_new_cell, forget)


def _lerp(new: Tensor, old: Tensor, share: Tensor | float) -> None:
    """Move `new` back towards `old` in place."""
    if isinstance(share, Tensor) or share:
        torch.lerp(new, old, share, out=new)


def _product_dtype(device: torch.device) -> torch.dtype:
    """What autocast lowers products to; float32 without it."""
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else torch.float32


class _Product:
    """The product with a recurrent weight, and with its transpose on the way back."""

    def __init__(self, weight: Tensor, dtype: torch.dtype):
        """weight: (4 H, fed_back_dim)."""
        self.dtype = dtype
        self.weight = weight.to(dtype)
        # Transposed once: for a few rows this makes the product twice as fast.
        self.transposed = self.weight.t().contiguous()

    def forward(self, x: Tensor, offset: Tensor, out: Tensor) -> None:
        """out = offset + x @ weight.T, (B, 4 H) float32."""
        if self.dtype == torch.float32:
            torch.addmm(offset, x, self.transposed, out=out)
        else:
            torch.add(offset, x.to(self.dtype) @ self.transposed, out=out)

    def back(self, d_gates: Tensor) -> Tensor:
        """(B, 4 H) -> (B, fed_back_dim) float32."""
        return (d_gates.to(self.dtype) @ self.weight).float()

    def weight_gradient(self, d_gates: Tensor, fed_back: Tensor) -> Tensor:
        """(T, B, 4 H), (T, B, fed_back_dim) -> (4 H, fed_back_dim) float32."""
        return (d_gates.flatten(0, 1).to(self.dtype).t() @ fed_back.flatten(0, 1).to(self.dtype)).float()


class LSTMLoop(torch.autograd.Function):
    """All steps of an LSTM that feeds back nothing but its state."""

    @staticmethod
    @_in_float32
    def forward(ctx: Any, projected: Tensor, weight: Tensor, carry: Carry, record: bool) -> Tensor:
        """projected: (T, B, 4 H); weight: (4 H, H). Returns the hidden states (T, B, H)."""
        n_steps, n_rows, width = projected.shape
        given, product = projected.float(), _Product(weight, ctx.product_dtype)
        cell = CellTape(given, carry, record=record)
        hidden = torch.zeros(n_steps + 1, n_rows, width // 4, device=projected.device)
        for t in range(n_steps):
            product.forward(hidden[t], given[t], cell.sums(t))
            cell.step(t, hidden[t], hidden[t + 1])
        ctx.cell, ctx.product, ctx.hidden, ctx.dtype = cell, product, hidden, projected.dtype
        return hidden[1:].clone()

    @staticmethod
    @once_differentiable
    @_in_float32
    def backward(ctx: Any, d_output: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        cell, product, hidden = ctx.cell, ctx.product, ctx.hidden
        d_gates = torch.empty_like(cell.gates)
        d_hidden, d_cell = torch.zeros_like(hidden[0]), torch.zeros_like(hidden[0])
        for t in reversed(range(len(d_gates))):
            d_hidden, d_cell = cell.back(t, d_hidden + d_output[t], d_cell, d_gates[t])
            if t:
                d_hidden += product.back(d_gates[t])
        return d_gates.to(ctx.dtype), product.weight_gradient(d_gates, hidden[:-1]), None, None


class AttendedLSTMLoop(torch.autograd.Function):
    """All steps of the attention LSTM and of the attention that it queries and that feeds its context back."""

    @staticmethod
    @_in_float32
    def forward(
        ctx: Any,
        projected: Tensor,
        weight: Tensor,
        memory: Tensor,
        first: tuple[Tensor, Tensor],
        mask: Tensor,
        carry: Carry,
        record: bool,
        tape: EnergyTape,
        *leaves: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Hidden states (T, B, H), contexts (T, B, D) and weights (T, B, T_text).

        Args:
            projected: (T, B, 4 H).
            weight: (4 H, D + H) of what is fed back: the context, then the hidden state.
            memory: (B, T_text, D).
            first: (B, T_text) weights and their sum before the first step.
            mask: (B, T_text) bool.
            carry: zoneout.
            record: whether a backward pass will follow.
            tape: the attention's.
            leaves: the tape's own, so that autograd knows of them.
        """
        n_steps, n_rows, width = projected.shape
        context_dim, given, product = memory.shape[2], projected.float(), _Product(weight, ctx.product_dtype)
        cell = CellTape(given, carry, record=record)
        fed_back = torch.zeros(n_steps + 1, n_rows, context_dim + width // 4, device=projected.device)
        (before, cumulative), padding = first, ~mask
        weights = torch.empty(n_steps, *before.shape, device=projected.device)
        for t in range(n_steps):
            hidden = fed_back[t + 1, :, context_dim:]
            product.forward(fed_back[t], given[t], cell.sums(t))
            cell.step(t, fed_back[t, :, context_dim:], hidden)
            energies = tape.step(t, hidden, before, cumulative).masked_fill_(padding, -torch.inf)
            before = torch.softmax(energies, dim=1, out=weights[t])
            cumulative = cumulative + before
            fed_back[t + 1, :, :context_dim] = torch.bmm(before[:, None], memory)[:, 0]
        # An output kept on ctx itself would keep its own node alive.
        ctx.save_for_backward(memory, weights)
        ctx.cell, ctx.product, ctx.fed_back, ctx.tape, ctx.dtype = cell, product, fed_back, tape, projected.dtype
        return fed_back[1:, :, context_dim:].clone(), fed_back[1:, :, :context_dim].clone(), weights

    @staticmethod
    @once_differentiable
    @_in_float32
    def backward(  # type: ignore[override]
        ctx: Any, d_hidden: Tensor, d_context: Tensor, d_weights: Tensor
    ) -> tuple[Tensor | None, ...]:
        cell, product, fed_back = ctx.cell, ctx.product, ctx.fed_back
        memory, weights = ctx.saved_tensors
        context_dim, transposed, reverse = memory.shape[2], memory.transpose(1, 2), ctx.tape.reverse()
        d_gates, d_contexts = torch.empty_like(cell.gates), torch.empty_like(d_context)
        d_fed_back, d_cell = torch.zeros_like(fed_back[0]), torch.zeros_like(d_hidden[0])
        d_before: Tensor | None = None  # of the weights of this step, from the steps that looked back at them
        d_cumulative: Tensor | None = None
        for t in reversed(range(len(d_gates))):
            torch.add(d_context[t], d_fed_back[:, :context_dim], out=d_contexts[t])
            d_attended = torch.bmm(d_contexts[t][:, None], transposed)[:, 0].add_(d_weights[t])
            for looked_back in (d_before, d_cumulative):
                if looked_back is not None:
                    d_attended += looked_back
            d_energies = weights[t] * (d_attended - (weights[t] * d_attended).sum(dim=1, keepdim=True))
            gradient = reverse.step(t, d_energies)
            d_before = gradient.weights
            if gradient.cumulative is not None:
                d_cumulative = gradient.cumulative if d_cumulative is None else d_cumulative + gradient.cumulative
            d_state = (d_hidden[t] + d_fed_back[:, context_dim:]).add_(gradient.query)
            carried, d_cell = cell.back(t, d_state, d_cell, d_gates[t])
            d_fed_back = product.back(d_gates[t])
            d_fed_back[:, context_dim:] += carried
        d_memory = torch.bmm(weights.permute(1, 2, 0), d_contexts.transpose(0, 1))
        of_leaves = reverse.gradients(fed_back[1:, :, context_dim:])
        of_weight = product.weight_gradient(d_gates, fed_back[:-1])
        return d_gates.to(ctx.dtype), of_weight, d_memory, None, None, None, None, None, *of_leaves
