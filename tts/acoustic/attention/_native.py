"""What the compiled steps of all attentions share: where an attention stands, softmax, context.

The compiled step of the attention in `NAME.py` is in `_native_NAME.py`, which has

- `Weights`, a named tuple, and `pack_attention(attention, small=...)`, which makes it;
- `start(weights, prepared, state, b)`: the `Row` of row b of a batch;
- a compiled step, which agrees with the attention's own, and which `steps_with` ties to these weights.

An attention without such a file is stepped by torch.

Shapes: T_text symbols of one row, D width of the memory.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload
from torch import Tensor

from tts.interfaces import AttentionMemory, AttentionState
from tts.native.compiled import inner
from tts.native.functions import tanh
from tts.native.matrices import BLOCK, Floats, Packed, add_panel, pack, pad, padded
from tts.native.vectors import N, load, multiply_add, splat, total

_ZERO = np.float32(0)


class Row(NamedTuple):
    """One row's text and where attention stands on it; the steps write into it."""

    memory: Packed  # T_text inputs, D outputs: the context is its product with the weights
    keys: Floats  # (T_text * padded dim,)
    weights: Floats  # (margin + T_text + margin,) with zeros on both sides, for filters to look at
    cumulative: Floats  # likewise
    margin: int
    energies: Floats  # (T_text,)
    summed: Floats  # (padded dim,) room for what a symbol's energy is made of


def make_row(prepared: AttentionMemory, state: AttentionState, b: int, *, keyed: bool, dim: int, margin: int) -> Row:
    """Row b of a batch, without its padding.

    Args:
        prepared, state: of the batch.
        b: the row.
        keyed: whether the attention looks at the keys.
        dim: width in which the attention adds.
        margin: symbols beyond the ends that its filters see.
    """
    n_text = int(prepared.mask[b].sum())
    keys = prepared.keys[b, :n_text].numpy() if keyed else np.zeros((n_text, 0), np.float32)
    return Row(
        pack(array(prepared.memory[b, :n_text].t())),
        np.pad(keys, ((0, 0), (0, padded(dim) - keys.shape[1]))).reshape(-1),
        np.pad(state.weights[b, :n_text].numpy(), margin),
        np.pad(state.cumulative[b, :n_text].numpy(), margin),
        margin,
        np.zeros(n_text, np.float32),
        np.zeros(padded(dim), np.float32),
    )


def array(parameter: Tensor) -> Floats:
    """What compiled loops can read: the same memory."""
    return parameter.detach().contiguous().numpy()


def vector(parameter: Tensor) -> Floats:
    """As a padded vector."""
    return pad(array(parameter).reshape(-1))


def attention_step(weights: Any, row: Any, x: Any, query_at: int, context_at: int, low: int, high: int) -> None:
    """One step, for compiled functions only: that of the attention whose weights are given.

    Args:
        weights, row: of the attention.
        x: what the decoder computes; the query is read from it, the context written into it.
        query_at, context_at: where.
        low, high: the first symbol that may be attended, and the one after the last.
    """
    raise AssertionError("compiled functions have their own")


def steps_with(kind: type, step: Callable[..., None]) -> None:
    """Make `step` the step of attentions whose weights are of this kind."""

    def choose(
        weights: Any, row: Any, x: Any, query_at: int, context_at: int, low: int, high: int
    ) -> Callable[..., None] | None:
        def run(weights: Any, row: Any, x: Any, query_at: int, context_at: int, low: int, high: int) -> None:
            step(weights, row, x, query_at, context_at, low, high)

        return run if weights.instance_class is kind else None

    overload(attention_step)(choose)


@inner
def energy_of(summed: Any, energy: Any) -> Any:
    """energy . tanh(summed), both of the padded dim."""
    lanes = splat(_ZERO)
    for j in range(0, len(energy), N):
        lanes = multiply_add(tanh(load(summed, j)), load(energy, j), lanes)
    return total(lanes)


@inner
def attend(row: Any, x: Any, context_at: int, low: int, high: int) -> None:
    """From the energies of symbols low .. high - 1 to weights, their sum so far, and the context in x[context_at:]."""
    peak = row.energies[low]
    for t in range(low, high):
        peak = max(peak, row.energies[t])
    whole = _ZERO
    for t in range(low, high):
        row.energies[t] = math.exp(row.energies[t] - peak)
        whole += row.energies[t]
    row.weights[:] = _ZERO
    for t in range(low, high):
        weight = row.energies[t] / whole
        row.weights[row.margin + t] = weight
        row.cumulative[row.margin + t] += weight
    first, n_text = row.margin + low, row.memory.n_in
    for block in range(row.memory.n_blocks):
        y_at = context_at + block * BLOCK
        x[y_at : y_at + BLOCK] = _ZERO
        at = (block * n_text + low) * BLOCK
        add_panel(row.memory.weights, at, row.weights, first, high - low, x, y_at)
