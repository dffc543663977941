"""The compiled step of dynamic convolution attention, for one row.

Shapes: T_text symbols, D width of the memory.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from tts.acoustic.attention._native import Row, array, attend, energy_of, make_row, steps_with, vector
from tts.acoustic.attention.dynamic_convolution import DynamicConvolutionAttention
from tts.interfaces import AttentionMemory, AttentionState
from tts.native import products
from tts.native.compact import Compact
from tts.native.compiled import inner
from tts.native.functions import tanh
from tts.native.matrices import BLOCK, Floats, Packed, add_panel, pack, padded
from tts.native.products import product
from tts.native.vectors import N, load, store


class Weights(NamedTuple):
    """Packed."""

    query: Packed | Compact
    query_bias: Floats  # (padded dim,)
    make_filters: Packed  # kernel_size * n_dynamic_filters outputs
    no_bias: Floats  # (of make_filters,) zeros
    static: Packed  # kernel_size inputs: static filters and dense layer in one
    dynamic: Packed  # n_dynamic_filters inputs
    dynamic_bias: Floats  # (padded dim,)
    energy: Floats  # (padded dim,)
    prior: Floats  # (prior_length,)
    prior_floor: float


def pack_attention(attention: DynamicConvolutionAttention, *, small: bool) -> Weights:
    """Its weights; those that see the query in one byte each if `small`."""
    makers = array(attention.make_filters.weight)
    return Weights(
        products.pack(array(attention.query.weight), small=small),
        vector(attention.query.bias),
        pack(makers),
        np.zeros(padded(len(makers)), np.float32),
        pack(array(attention.static.weight @ attention.static_filters.weight)),
        pack(array(attention.dynamic.weight)),
        vector(attention.dynamic.bias),
        vector(attention.energy_vector),
        array(attention.prior),
        attention.prior_floor,
    )


def start(weights: Weights, prepared: AttentionMemory, state: AttentionState, b: int) -> Row:
    """Row b of a batch before its first step."""
    margin = max(weights.static.n_in // 2, len(weights.prior) - 1)
    return make_row(prepared, state, b, keyed=False, dim=len(weights.energy), margin=margin)


@inner
def filters_of(weights: Any, x: Any, query_at: int) -> Any:
    """One filter in the place of all: of the fixed ones, and of those that the query makes; packed as `static`.

    Filters and the dense layers behind them are both linear.
    """
    static, dynamic = weights.static, weights.dynamic
    query, made = np.empty(len(weights.query_bias), np.float32), np.empty(len(weights.no_bias), np.float32)
    product(weights.query, weights.query_bias, x, query_at, query, 0)
    for j in range(0, len(query), N):
        store(query, j, tanh(load(query, j)))
    product(weights.make_filters, weights.no_bias, query, 0, made, 0)
    filters = static.weights.copy()
    for block in range(static.n_blocks):
        for k in range(static.n_in):
            at, y_at = block * dynamic.n_in * BLOCK, (block * static.n_in + k) * BLOCK
            add_panel(dynamic.weights, at, made, k * dynamic.n_in, dynamic.n_in, filters, y_at)
    return filters


@inner
def step(weights: Any, row: Any, x: Any, query_at: int, context_at: int, low: int, high: int) -> None:
    """See `attention_step`."""
    size, summed, before = weights.static.n_in, row.summed, row.weights
    filters = filters_of(weights, x, query_at)
    first_heard, first_prior = row.margin - size // 2, row.margin - len(weights.prior) + 1
    for t in range(low, high):
        summed[:] = weights.dynamic_bias
        for block in range(weights.static.n_blocks):
            at, y_at = block * size * BLOCK, block * BLOCK
            add_panel(filters, at, before, t + first_heard, size, summed, y_at)
        prior = np.float32(0)
        for k in range(len(weights.prior)):
            prior += weights.prior[k] * before[t + first_prior + k]
        prior = max(prior, np.float32(weights.prior_floor))
        row.energies[t] = energy_of(summed, weights.energy) + np.float32(math.log(prior))
    attend(row, x, context_at, low, high)


steps_with(Weights, step)
