"""All layers of a WaveNet under teacher forcing, as one autograd node of matrix products.

A dilated convolution is a product for each of its taps, with rows that lie `dilation` steps apart. Rows are steps, so
that each product is a large one without copies; libraries' convolutions take several times as long at these widths.
The two halves of the gates are apart everywhere: what runs over them element by element takes half as long so.

Shapes: B batch, T steps, T_mel frames, L layers, R residual channels, G gate channels, K kernel size.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

RESIDUAL_SCALE = math.sqrt(0.5)  # keeps the variance of a sum of two like terms


class StackWeights(NamedTuple):
    """Of all layers, in the order in which products read them."""

    taps: Tensor  # (L, K, 2, R, G), oldest tap first; the tanh half, the sigmoid half
    residual: Tensor  # (L - 1, G, R): nothing reads the residual stream behind the last layer


def run_stack(hidden: Tensor, condition: Tensor, weights: StackWeights, *, dilations: list[int]) -> Tensor:
    """The units of all layers.

    Args:
        hidden: (B, T, R) what the first layer reads; its dtype is that of the products.
        condition: (L, 2, B, T_mel, G), T a multiple of T_mel.
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
        hiddens, units, gates = [hidden.contiguous()], [], []
        for i, dilation in enumerate(dilations):
            tanh, sigmoid = (_convolve(hiddens[-1], condition[i, half], taps[i, :, half], dilation) for half in (0, 1))
            _tanh_in_place(tanh)
            units.append(tanh * sigmoid.sigmoid_())
            gates += [tanh, sigmoid]
            if i < len(residual):
                # (hidden + units @ residual) times the scale
                rows = torch.addmm(
                    _rows(hiddens[-1]), _rows(units[-1]), residual[i], beta=RESIDUAL_SCALE, alpha=RESIDUAL_SCALE
                )
                hiddens.append(rows.view(hidden.shape))
        ctx.save_for_backward(taps, residual, *hiddens, *units, *gates)
        ctx.dilations, ctx.n_frames = dilations, condition.shape[3]
        return torch.cat(units, dim=2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_kept: Tensor) -> tuple[Tensor | None, ...]:
        taps, residual, *saved = ctx.saved_tensors
        n_layers = len(taps)
        hiddens, units, gates = saved[:n_layers], saved[n_layers : 2 * n_layers], saved[2 * n_layers :]
        # Sums over rows in float32: each of them is a large one.
        d_taps, d_residual = torch.zeros_like(taps, dtype=torch.float32), torch.empty_like(residual)
        n_rows, n_units = len(d_kept), taps.shape[4]
        d_condition = d_kept.new_empty(n_layers, 2, n_rows, ctx.n_frames, n_units)
        d_hidden = torch.zeros_like(hiddens[0])
        for i, d_units in reversed(list(enumerate(d_kept.chunk(n_layers, dim=2)))):
            d_units = d_units.contiguous()
            if i < len(residual):
                d_hidden *= RESIDUAL_SCALE
                d_residual[i] = _rows(units[i]).t() @ _rows(d_hidden)
                _rows(d_units).addmm_(_rows(d_hidden), residual[i].t())
            for half, d_half in enumerate(_gate_gradients(gates[2 * i], gates[2 * i + 1], units[i], d_units)):
                d_condition[i, half] = d_half.view(n_rows, ctx.n_frames, -1, n_units).sum(2)
                _add_convolution_gradient(
                    d_half, hiddens[i], taps[i, :, half], ctx.dilations[i], d_hidden, d_taps[i, :, half]
                )
        return d_hidden, d_condition, d_taps.to(taps.dtype), d_residual, None


def _rows(tensor: Tensor) -> Tensor:
    """(B, T, C) -> (B T, C), the same memory."""
    return tensor.view(-1, tensor.shape[2])


def _convolve(hidden: Tensor, condition: Tensor, taps: Tensor, dilation: int) -> Tensor:
    """(B, T, G) what goes into one half of the gates. condition: (B, T_mel, G); taps: (K, R, G)."""
    n_rows, n_frames, n_units = condition.shape
    spread = condition[:, :, None].expand(-1, -1, hidden.shape[1] // n_frames, -1)
    made = spread.reshape(n_rows, -1, n_units).contiguous()  # of one frame alone, reshape makes no copy
    for tap, past in _by_distance(taps, dilation, hidden.shape[1]):
        for row, heard in zip(made, hidden, strict=True):
            row[past:].addmm_(heard[: len(heard) - past], tap)
    return made


def _by_distance(taps: Tensor, dilation: int, n_steps: int) -> Iterator[tuple[Tensor, int]]:
    """The taps that reach into the segment, the newest first, and how many steps each looks back."""
    for k, tap in enumerate(reversed(taps.unbind())):
        if k * dilation < n_steps:
            yield tap, k * dilation


def _tanh_in_place(tensor: Tensor) -> None:
    """On a CPU tanh is quicker in float32, conversions included, a row at a time that stays in the cache."""
    if tensor.element_size() >= 4 or tensor.device.type != "cpu":
        tensor.tanh_()
        return
    for row in tensor:
        row.copy_(row.float().tanh_())


def _gate_gradients(tanh: Tensor, sigmoid: Tensor, units: Tensor, d_units: Tensor) -> tuple[Tensor, Tensor]:
    """Of what went into the two halves of the gates. All: (B, T, G); units are the product of the first two."""
    d_tanh = torch.addcmul(sigmoid, tanh, units, value=-1).mul_(d_units)  # sigmoid (1 - tanh^2)
    d_sigmoid = torch.addcmul(units, units, sigmoid, value=-1).mul_(d_units)  # tanh sigmoid (1 - sigmoid)
    return d_tanh, d_sigmoid


def _add_convolution_gradient(
    d_made: Tensor, hidden: Tensor, taps: Tensor, dilation: int, d_hidden: Tensor, d_taps: Tensor
) -> None:
    """Add what comes back through `_convolve` to the gradients of its input and of its taps."""
    n_steps = hidden.shape[1]
    sums = (d_tap for d_tap, _ in _by_distance(d_taps, dilation, n_steps))
    for (tap, past), d_tap in zip(_by_distance(taps, dilation, n_steps), sums, strict=True):
        for heard, d_heard, d_row in zip(hidden, d_made, d_hidden, strict=True):
            d_row[: n_steps - past].addmm_(d_heard[past:], tap.t())
            d_tap += heard[: n_steps - past].t() @ d_heard[past:]
