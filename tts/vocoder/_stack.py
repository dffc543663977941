"""All layers of a WaveNet under teacher forcing, as one autograd node of matrix products.

A dilated convolution is a product for each of its taps, with rows that lie `dilation` steps apart. Rows are steps, so
that each product is a large one without copies; libraries' convolutions take several times as long at these widths.

Shapes: B batch, T steps, T_mel frames, L layers, R residual channels, G gate channels, K kernel size.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

RESIDUAL_SCALE = math.sqrt(0.5)  # keeps the variance of a sum of two like terms


class StackWeights(NamedTuple):
    """Of all layers, in the order in which products read them."""

    taps: Tensor  # (L, K, R, 2 G), oldest tap first
    residual: Tensor  # (L - 1, G, R): nothing reads the residual stream behind the last layer


def run_stack(hidden: Tensor, condition: Tensor, weights: StackWeights, *, dilations: list[int]) -> Tensor:
    """The units of all layers.

    Args:
        hidden: (B, T, R) what the first layer reads; its dtype is that of the products.
        condition: (B, T_mel, L, 2 G), T a multiple of T_mel.
        weights: of the dtype of `hidden`.
        dilations: of each layer.

    Returns:
        (B, T, L G), those of the first layer first.
    """
    units: Tensor = _Stack.apply(hidden, condition, weights.taps, weights.residual, dilations)  # type: ignore[no-untyped-call]
    return units


class _Stack(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, condition: Tensor, taps: Tensor, residual: Tensor, dilations: list[int]
    ) -> Tensor:
        n_layers, n_units = taps.shape[0], taps.shape[3] // 2
        units = hidden.new_empty(*hidden.shape[:2], n_layers * n_units)
        hiddens, gates = [hidden], []
        for i, own in enumerate(units.chunk(n_layers, dim=2)):
            gates.append(_gates(hiddens[-1], condition[:, :, i], taps[i], dilations[i]))
            tanh, sigmoid = gates[-1].chunk(2, dim=2)
            torch.mul(tanh.tanh_(), sigmoid.sigmoid_(), out=own)
            if i < len(residual):
                hiddens.append(_scaled_sum(hiddens[-1], own, residual[i]))
        ctx.save_for_backward(taps, residual, units, *hiddens, *gates)
        ctx.dilations, ctx.n_frames = dilations, condition.shape[1]
        return units

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_units: Tensor) -> tuple[Tensor | None, ...]:
        taps, residual, units, *saved = ctx.saved_tensors
        n_layers = len(taps)
        hiddens, gates = saved[:n_layers], saved[n_layers:]
        # Sums over rows in float32: each of them is a large one.
        d_taps, d_residual = torch.zeros_like(taps, dtype=torch.float32), torch.empty_like(residual)
        d_condition = units.new_empty(len(units), ctx.n_frames, n_layers, taps.shape[3])
        by_layer = zip(units.chunk(n_layers, dim=2), d_units.chunk(n_layers, dim=2), strict=True)
        d_hidden = torch.zeros_like(hiddens[0])
        for i, (own, d_own) in reversed(list(enumerate(by_layer))):
            if i < len(residual):
                d_hidden *= RESIDUAL_SCALE
                d_residual[i] = _rows(own).t() @ _rows(d_hidden)
                d_own = torch.addmm(_rows(d_own), _rows(d_hidden), residual[i].t()).view(own.shape)
            d_gates = _d_gates(gates[i], own, d_own)
            d_condition[:, :, i] = d_gates.view(len(units), ctx.n_frames, -1, taps.shape[3]).sum(2)
            _add_convolution_gradient(d_gates, hiddens[i], taps[i], ctx.dilations[i], d_hidden, d_taps[i])
        return d_hidden, d_condition, d_taps.to(taps.dtype), d_residual, None


def _rows(tensor: Tensor) -> Tensor:
    """(B, T, C) -> (B T, C), without a copy."""
    return tensor.view(-1, tensor.shape[2]) if tensor.is_contiguous() else tensor.flatten(0, 1)


def _gates(hidden: Tensor, condition: Tensor, taps: Tensor, dilation: int) -> Tensor:
    """(B, T, 2 G). hidden: (B, T, R); condition: (B, T_mel, 2 G); taps: (K, R, 2 G)."""
    gates = condition.repeat_interleave(hidden.shape[1] // condition.shape[1], dim=1)
    for k, tap in enumerate(reversed(taps.unbind())):
        past = k * dilation
        for row, heard in zip(gates, hidden, strict=True):
            if past < len(heard):
                row[past:].addmm_(heard[: len(heard) - past], tap)
    return gates


def _d_gates(gates: Tensor, units: Tensor, d_units: Tensor) -> Tensor:
    """The gradient of what went into the gates, (B, T, 2 G).

    Args:
        gates: (B, T, 2 G) tanh(a) and sigmoid(b).
        units: (B, T, G) their product.
        d_units: (B, T, G).
    """
    tanh, sigmoid = gates.chunk(2, dim=2)
    made = torch.empty_like(gates)
    to_tanh, to_sigmoid = made.chunk(2, dim=2)
    torch.addcmul(sigmoid, tanh, units, value=-1, out=to_tanh).mul_(d_units)  # sigmoid (1 - tanh^2)
    torch.addcmul(units, units, sigmoid, value=-1, out=to_sigmoid).mul_(d_units)  # tanh sigmoid (1 - sigmoid)
    return made


def _add_convolution_gradient(
    d_gates: Tensor, hidden: Tensor, taps: Tensor, dilation: int, d_hidden: Tensor, d_taps: Tensor
) -> None:
    """Add what comes through a dilated convolution to the gradients of its input and of its taps."""
    n_taps, n_steps = len(taps), hidden.shape[1]
    for k in range(min(n_taps, -(-n_steps // dilation))):
        past, at = k * dilation, n_taps - 1 - k
        for heard, d_heard, d_row in zip(hidden, d_gates, d_hidden, strict=True):
            d_row[: n_steps - past].addmm_(d_heard[past:], taps[at].t())
            d_taps[at] += heard[: n_steps - past].t() @ d_heard[past:]


def _scaled_sum(hidden: Tensor, units: Tensor, residual: Tensor) -> Tensor:
    """(hidden + units @ residual) times the scale."""
    made = torch.addmm(_rows(hidden), _rows(units), residual, beta=RESIDUAL_SCALE, alpha=RESIDUAL_SCALE)
    return made.view(hidden.shape)
