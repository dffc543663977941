"""Packed matrices in one byte a weight: a quarter of what a product must read, and about 0.6 % of noise in it.

Weights are int8 with a float32 unit for every output and group of 64 inputs, whose largest becomes 127. A product
rounds its vector to int16, with a unit for every group: thirty thousand steps, whose noise is nothing beside the
weights'. Within a group sums are exact: 64 * 127 * 32767 fits an int32. Groups are added in float32.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts.native.compiled import compiled, inner
from tts.native.matrices import BLOCK, Floats, padded
from tts.native.vectors import (
    N,
    absolute,
    add_pairs,
    largest,
    load,
    maximum,
    multiply,
    multiply_add,
    nearest,
    no_sums,
    prefetch,
    splat,
    store,
    store_integers,
    to_floats,
    transpose,
)

GROUP = BLOCK  # inputs that share a unit
LINE = 16  # float32 of a cache line
AHEAD = 4096  # bytes before their use that weights are asked for: a quarter faster than without, 2048 to 8192 alike

_ZERO, _LARGEST_BYTE, _LARGEST_SHORT = np.float32(0), np.float32(127), np.float32(32767)


class Compact(NamedTuple):
    """A matrix in the order (block, pair of inputs, output within the block, one of the pair)."""

    weights: NDArray[np.int8]  # (n_blocks * n_in * BLOCK,)
    units: Floats  # (n_blocks * n_in,) in the order (block, group, output within the block)
    n_in: int  # whole groups
    n_blocks: int


def empty(n_out: int, n_in: int) -> Compact:
    """Zeros; n_in in whole groups."""
    assert n_in % GROUP == 0, "groups are whole"
    n_blocks = padded(n_out) // BLOCK
    return Compact(np.zeros(n_blocks * n_in * BLOCK, np.int8), np.zeros(n_blocks * n_in, np.float32), n_in, n_blocks)


@compiled
def fill(compact: Any, matrix: Any, rows: Any, columns: Any, out_at: int, in_at: int) -> None:
    """Put a part of a matrix into a packed one; blocks and groups that it does not fill become zero for the rest.

    Args:
        compact: as `empty` made it.
        matrix: (n_out, n_in) contiguous.
        rows, columns: first and count of the part.
        out_at, in_at: where it goes, in whole blocks and groups.
    """
    n_in, taken, tile = matrix.shape[1], np.zeros(GROUP, np.float32), np.zeros(BLOCK * GROUP, np.int8)
    pairs, packed_pairs = tile.view(np.int16), compact.weights.view(np.int16)
    for done in range(0, rows[1], BLOCK):
        height, block = min(BLOCK, rows[1] - done), (out_at + done) // BLOCK
        tile[:] = 0
        for first in range(0, columns[1], GROUP):
            width, at = min(GROUP, columns[1] - first), block * compact.n_in + in_at + first
            for j in range(height):
                source = (rows[0] + done + j) * n_in + columns[0] + first
                if width == GROUP:
                    for k in range(source, source + GROUP, LINE):
                        prefetch(matrix, k + GROUP)
                    compact.units[at + j] = round_group(matrix, source, _LARGEST_BYTE, tile, j * GROUP)
                else:
                    taken[:width] = matrix[rows[0] + done + j, columns[0] + first : columns[0] + columns[1]]
                    compact.units[at + j] = round_group(taken, 0, _LARGEST_BYTE, tile, j * GROUP)
            for j in range(0, BLOCK, N):
                for k in range(0, GROUP // 2, N):
                    to = at * BLOCK // 2 + k * BLOCK + j
                    transpose(pairs, j * GROUP // 2 + k, GROUP // 2, packed_pairs, to, BLOCK)


@inner
def round_group(taken: Any, at: int, limit: Any, rounded: Any, to: int) -> Any:
    """Write the integers up to `limit` that stand for a group of numbers from `at` on; their unit is returned."""
    peaks = splat(_ZERO)
    for k in range(at, at + GROUP, N):
        peaks = maximum(peaks, absolute(load(taken, k)))
    peak = largest(peaks)
    steps = splat(limit / peak if peak > 0 else _ZERO)
    for k in range(0, GROUP, N):
        store_integers(rounded, to + k, nearest(multiply(load(taken, at + k), steps)))
    return peak / limit


@inner
def add_scaled(y: Any, at: int, units: Any, unit_at: int, unit: Any, sums: Any) -> None:
    """Eight outputs of a group."""
    scaled = multiply(splat(unit), load(units, unit_at))
    store(y, at, multiply_add(scaled, to_floats(sums), load(y, at)))


@inner
def add_group(compact: Any, pairs: Any, unit: Any, block: int, group: int, y: Any, at: int) -> None:
    """What the inputs of one group add to the outputs of one block, y[at:]. pairs: int16 inputs, two in an int32."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = no_sums()
    weights, unit_at = compact.weights, block * compact.n_in + group * GROUP
    i = unit_at * BLOCK
    for k in range(group * GROUP // 2, (group + 1) * GROUP // 2):
        pair = pairs[k]
        prefetch(weights, i + AHEAD)
        prefetch(weights, i + AHEAD + BLOCK)
        s0 = add_pairs(weights, i, pair, s0)
        s1 = add_pairs(weights, i + 16, pair, s1)
        s2 = add_pairs(weights, i + 32, pair, s2)
        s3 = add_pairs(weights, i + 48, pair, s3)
        s4 = add_pairs(weights, i + 64, pair, s4)
        s5 = add_pairs(weights, i + 80, pair, s5)
        s6 = add_pairs(weights, i + 96, pair, s6)
        s7 = add_pairs(weights, i + 112, pair, s7)
        i += 2 * BLOCK
    add_scaled(y, at, compact.units, unit_at, unit, s0)
    add_scaled(y, at + 8, compact.units, unit_at + 8, unit, s1)
    add_scaled(y, at + 16, compact.units, unit_at + 16, unit, s2)
    add_scaled(y, at + 24, compact.units, unit_at + 24, unit, s3)
    add_scaled(y, at + 32, compact.units, unit_at + 32, unit, s4)
    add_scaled(y, at + 40, compact.units, unit_at + 40, unit, s5)
    add_scaled(y, at + 48, compact.units, unit_at + 48, unit, s6)
    add_scaled(y, at + 56, compact.units, unit_at + 56, unit, s7)


@inner
def product(compact: Any, bias: Any, x: Any, x_at: int, y: Any, y_at: int) -> None:
    """y[y_at:] = bias + compact times x[x_at : x_at + n_in]. bias: (n_blocks * BLOCK,)."""
    n_groups = compact.n_in // GROUP
    shorts, units = np.empty(compact.n_in, np.int16), np.empty(n_groups, np.float32)
    for group in range(n_groups):
        units[group] = round_group(x, x_at + group * GROUP, _LARGEST_SHORT, shorts, group * GROUP)
    pairs = shorts.view(np.int32)
    for block in range(compact.n_blocks):
        at = y_at + block * BLOCK
        for j in range(BLOCK):
            y[at + j] = bias[block * BLOCK + j]
        for group in range(n_groups):
            add_group(compact, pairs, units[group], block, group, y, at)
