"""The compiled step of dynamic convolution attention, for one row.

Shapes: T_text symbols, D width of the memory.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from tts.acoustic.attention._native import Row, array, attend, make_row, vector
from tts.acoustic.attention.dynamic_convolution import DynamicConvolutionAttention
from tts.interfaces import AttentionMemory, AttentionState
from tts.native.compiled import compiled
from tts.native.functions import tanh
from tts.native.matrices import BLOCK, Floats, Packed, add_panel, pack, padded, product
from tts.native.vectors import N, load, multiply_add, splat, store, total

_ZERO = np.float32(0)


class Weights(NamedTuple):
    """Packed."""

    query: Packed
    query_bias: Floats  # (padded dim,)
    make_filters: Packed  # kernel_size * n_dynamic_filters outputs
    no_bias: Floats  # (of make_filters,) zeros
    static: Packed  # kernel_size inputs: static filters and dense layer in one
    dynamic: Packed  # n_dynamic_filters inputs
    dynamic_bias: Floats  # (padded dim,)
    energy: Floats  # (padded dim,)
    prior: Floats  # (prior_length,)
    prior_floor: float


def pack_attention(attention: DynamicConvolutionAttention) -> Weights:
    """Its weights."""
    makers = array(attention.make_filters.weight)
    return Weights(
        pack(array(attention.query.weight)),
        vector(attention.query.bias),
        pack(makers),
        np.zeros(padded(len(makers)), np.float32),
        pack(array(attention.static.weight @ attention.static_filters.weight)),
        pack(array(attention.dynamic.weight)),
        vector(attention.dynamic.bias),
        vector(attention.energy.weight),
        array(attention.prior),
        attention.prior_floor,
    )


def start(weights: Weights, prepared: AttentionMemory, state: AttentionState, b: int) -> Row:
    """Row b of a batch before its first step."""
    margin = max(weights.static.n_in // 2, len(weights.prior) - 1)
    return make_row(prepared, state, b, keyed=False, dim=len(weights.energy), margin=margin)


@compiled
def step(weights: Any, row: Any, x: Any, query_at: int, context_at: int, low: int, high: int) -> None:
    """One step, within symbols low .. high - 1. The query is read from x, the context written into it."""
    dim, size, static, dynamic, summed = (
        len(weights.energy),
        weights.static.n_in,
        weights.static,
        weights.dynamic,
        row.summed,
    )
    query, made = np.empty(dim, np.float32), np.empty(len(weights.no_bias), np.float32)
    product(weights.query, weights.query_bias, x, query_at, query, 0)
    for j in range(0, dim, N):
        store(query, j, tanh(load(query, j)))
    product(weights.make_filters, weights.no_bias, query, 0, made, 0)
    # The dynamic filters and the dense layer behind them are both linear: with the static ones, one filter per step.
    filters = static.weights.copy()
    for block in range(static.n_blocks):
        for k in range(size):
            at, y_at = block * dynamic.n_in * BLOCK, (block * size + k) * BLOCK
            add_panel(dynamic.weights, at, made, k * dynamic.n_in, dynamic.n_in, row.ones, 0, filters, y_at)
    first_heard, first_prior = row.margin - size // 2, row.margin - len(weights.prior) + 1
    for t in range(low, high):
        summed[:] = weights.dynamic_bias
        for block in range(static.n_blocks):
            add_panel(
                filters, block * size * BLOCK, row.weights, t + first_heard, size, row.ones, 0, summed, block * BLOCK
            )
        energy = splat(_ZERO)
        for j in range(0, dim, N):
            energy = multiply_add(tanh(load(summed, j)), load(weights.energy, j), energy)
        prior = _ZERO
        for k in range(len(weights.prior)):
            prior += weights.prior[k] * row.weights[t + first_prior + k]
        row.energies[t] = total(energy) + np.float32(math.log(max(prior, np.float32(weights.prior_floor))))
    attend(row, x, context_at, low, high)
