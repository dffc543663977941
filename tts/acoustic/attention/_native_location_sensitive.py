"""The compiled step of location-sensitive attention, for one row.

Shapes: T_text symbols, D width of the memory.
"""

from typing import Any, NamedTuple

import numpy as np

from tts.acoustic.attention._native import Row, array, attend, energy_of, make_row, steps_with, vector
from tts.acoustic.attention.location_sensitive import LocationSensitiveAttention
from tts.interfaces import AttentionMemory, AttentionState
from tts.native import products
from tts.native.compact import Compact
from tts.native.compiled import inner
from tts.native.matrices import BLOCK, Floats, Packed, add_panel, pack, padded
from tts.native.products import product


class Weights(NamedTuple):
    """Packed."""

    query: Packed | Compact
    no_bias: Floats  # (padded dim,) zeros
    filters: Packed  # 2 * kernel_size inputs: previous weights, then cumulative; convolution and dense layer in one
    energy: Floats  # (padded dim,)
    kernel_size: int


def pack_attention(attention: LocationSensitiveAttention, *, small: bool) -> Weights:
    """Its weights; those that see the query in one byte each if `small`."""
    filters = attention.location.weight @ attention.location_conv.weight.flatten(1)
    return Weights(
        products.pack(array(attention.query.weight), small=small),
        np.zeros(padded(len(filters)), np.float32),
        pack(array(filters)),
        vector(attention.energy_vector),
        2 * attention.reach + 1,
    )


def start(weights: Weights, prepared: AttentionMemory, state: AttentionState, b: int) -> Row:
    """Row b of a batch before its first step."""
    dim, margin = len(weights.energy), weights.kernel_size // 2
    return make_row(prepared, state, b, keyed=True, dim=dim, margin=margin)


@inner
def step(weights: Any, row: Any, x: Any, query_at: int, context_at: int, low: int, high: int) -> None:
    """See `attention_step`."""
    dim, size, filters, summed = len(weights.energy), weights.kernel_size, weights.filters, row.summed
    query = np.empty(dim, np.float32)
    product(weights.query, weights.no_bias, x, query_at, query, 0)
    for t in range(low, high):
        for j in range(dim):
            summed[j] = query[j] + row.keys[t * dim + j]
        for block in range(filters.n_blocks):
            at, y_at = block * filters.n_in * BLOCK, block * BLOCK
            add_panel(filters.weights, at, row.weights, t, size, summed, y_at)
            add_panel(filters.weights, at + size * BLOCK, row.cumulative, t, size, summed, y_at)
        row.energies[t] = energy_of(summed, weights.energy)
    attend(row, x, context_at, low, high)


steps_with(Weights, step)
