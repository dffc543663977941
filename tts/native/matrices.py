"""Matrices packed for products with one vector, and that product.

Outputs come in blocks of 64, which a product keeps in registers while the weights stream by, in the order
(block, input, output within the block). Widths are padded with zeros to whole blocks.

Weights are float32, or int8 with a float32 scale for every output and group of 64 inputs (round to nearest, the
largest of a group becoming 127): a quarter of the bytes, and about 0.6 % of noise in a product. Sums are float32.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts.native.compiled import compiled, inner
from tts.native.vectors import (
    N,
    absolute,
    largest,
    load,
    maximum,
    multiply,
    multiply_add,
    nearest,
    prefetch,
    prefetch_bytes,
    splat,
    store,
    store_bytes,
)

BLOCK = 64  # outputs of a block, and inputs that share a scale
LINE = 16  # float32 of a cache line
AHEAD = 4096  # bytes ahead of their use that weights are asked for: a quarter faster than without, 2048 to 8192 alike
Floats = NDArray[np.float32]

_ZERO, _LARGEST = np.float32(0), np.float32(127)


class Packed(NamedTuple):
    """A matrix."""

    weights: NDArray[Any]  # (n_blocks * n_in * BLOCK,) float32 or int8
    scales: Floats  # (n_blocks * n_in / group * BLOCK,) of each output and group of inputs
    n_in: int
    group: int  # inputs that share a scale; all of them for float32
    n_blocks: int


def padded(width: int) -> int:
    """The width in whole blocks."""
    return -(-width // BLOCK) * BLOCK


def empty(n_out: int, n_in: int, *, compact: bool) -> Packed:
    """Zeros. n_out is padded; n_in must be whole groups if `compact`, which means int8."""
    assert not compact or n_in % BLOCK == 0, "groups of inputs are whole"
    n_blocks, group = padded(n_out) // BLOCK, BLOCK if compact else n_in
    weights = np.zeros(n_blocks * n_in * BLOCK, np.int8 if compact else np.float32)
    return Packed(weights, np.ones(n_blocks * (n_in // group) * BLOCK, np.float32), n_in, group, n_blocks)


def pack(matrix: Floats) -> Packed:
    """A small matrix (n_out, n_in) in float32."""
    made = empty(*matrix.shape, compact=False)
    fill(made, matrix, (0, matrix.shape[0]), (0, matrix.shape[1]), 0, 0)
    return made


def pad(vector: Floats) -> Floats:
    """A vector with zeros up to whole blocks."""
    return np.pad(vector, (0, padded(len(vector)) - len(vector)))


def fill(
    packed: Packed, matrix: Floats, rows: tuple[int, int], columns: tuple[int, int], out_at: int, in_at: int
) -> None:
    """Put a part of a matrix into a packed one.

    Args:
        packed: as `empty` made it.
        matrix: (n_out, n_in), contiguous.
        rows, columns: first and count of the part.
        out_at, in_at: where it goes; whole blocks, and whole groups for int8.
    """
    copy = _quantise if packed.weights.dtype == np.int8 else _copy
    copy(packed, matrix, rows, columns, out_at, in_at)


@compiled
def _copy(packed: Any, matrix: Any, rows: Any, columns: Any, out_at: int, in_at: int) -> None:
    for n in range(rows[1]):
        block, lane = divmod(out_at + n, BLOCK)
        at = (block * packed.n_in + in_at) * BLOCK + lane
        for k in range(columns[1]):
            packed.weights[at + k * BLOCK] = matrix[rows[0] + n, columns[0] + k]


@compiled
def _quantise(packed: Any, matrix: Any, rows: Any, columns: Any, out_at: int, in_at: int) -> None:
    n_groups, n_in = packed.n_in // BLOCK, matrix.shape[1]
    taken, rounded = np.zeros(BLOCK, np.float32), np.zeros(BLOCK, np.int8)
    # By tiles of one block and one group, which a core's nearest cache holds.
    for tile in range(0, rows[1], BLOCK):
        for first in range(0, columns[1], BLOCK):
            width = min(BLOCK, columns[1] - first)
            for n in range(tile, min(tile + BLOCK, rows[1])):
                block, lane = divmod(out_at + n, BLOCK)
                group, source = block * n_groups + (in_at + first) // BLOCK, (rows[0] + n) * n_in + columns[0] + first
                if width == BLOCK:
                    for k in range(0, BLOCK, LINE):
                        prefetch(matrix, source + BLOCK + k)
                    packed.scales[group * BLOCK + lane] = _round_group(matrix, source, rounded)
                else:
                    taken[:width] = matrix[rows[0] + n, columns[0] + first : columns[0] + columns[1]]
                    packed.scales[group * BLOCK + lane] = _round_group(taken, 0, rounded)
                for k in range(BLOCK):
                    packed.weights[(group * BLOCK + k) * BLOCK + lane] = rounded[k]


@inner
def _round_group(taken: Any, at: int, rounded: Any) -> Any:
    """Write the integers that stand for BLOCK numbers from `at` on; their unit is returned."""
    peaks = splat(_ZERO)
    for k in range(at, at + BLOCK, N):
        peaks = maximum(peaks, absolute(load(taken, k)))
    peak = largest(peaks)
    steps = splat(_LARGEST / peak if peak > 0 else _ZERO)
    for k in range(0, BLOCK, N):
        store_bytes(rounded, k, nearest(multiply(load(taken, at + k), steps)))
    return peak / _LARGEST


@inner
def add_panel(weights: Any, at: int, x: Any, x_at: int, n: int, scales: Any, scale_at: int, y: Any, y_at: int) -> None:
    """One block: y[y_at + j] += scales[scale_at + j] * sum of x[x_at + k] * weights[at + k * BLOCK + j], k < n."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = splat(_ZERO)
    for k in range(x_at, x_at + n):
        value = splat(x[k])
        prefetch_bytes(weights, at + AHEAD)
        s0 = multiply_add(value, load(weights, at), s0)
        s1 = multiply_add(value, load(weights, at + 8), s1)
        s2 = multiply_add(value, load(weights, at + 16), s2)
        s3 = multiply_add(value, load(weights, at + 24), s3)
        s4 = multiply_add(value, load(weights, at + 32), s4)
        s5 = multiply_add(value, load(weights, at + 40), s5)
        s6 = multiply_add(value, load(weights, at + 48), s6)
        s7 = multiply_add(value, load(weights, at + 56), s7)
        at += BLOCK
    store(y, y_at, multiply_add(s0, load(scales, scale_at), load(y, y_at)))
    store(y, y_at + 8, multiply_add(s1, load(scales, scale_at + 8), load(y, y_at + 8)))
    store(y, y_at + 16, multiply_add(s2, load(scales, scale_at + 16), load(y, y_at + 16)))
    store(y, y_at + 24, multiply_add(s3, load(scales, scale_at + 24), load(y, y_at + 24)))
    store(y, y_at + 32, multiply_add(s4, load(scales, scale_at + 32), load(y, y_at + 32)))
    store(y, y_at + 40, multiply_add(s5, load(scales, scale_at + 40), load(y, y_at + 40)))
    store(y, y_at + 48, multiply_add(s6, load(scales, scale_at + 48), load(y, y_at + 48)))
    store(y, y_at + 56, multiply_add(s7, load(scales, scale_at + 56), load(y, y_at + 56)))


@inner
def add_product(packed: Any, x: Any, x_at: int, y: Any, y_at: int) -> None:
    """y[y_at:] += packed times x[x_at : x_at + n_in]; y has whole blocks."""
    at = scale_at = 0
    for block in range(packed.n_blocks):
        for k in range(0, packed.n_in, packed.group):
            add_panel(packed.weights, at, x, x_at + k, packed.group, packed.scales, scale_at, y, y_at + block * BLOCK)
            at += packed.group * BLOCK
            scale_at += BLOCK


@inner
def product(packed: Any, bias: Any, x: Any, x_at: int, y: Any, y_at: int) -> None:
    """y[y_at:] = bias + packed times x[x_at : x_at + n_in]. bias: (n_blocks * BLOCK,)."""
    for j in range(packed.n_blocks * BLOCK):
        y[y_at + j] = bias[j]
    add_product(packed, x, x_at, y, y_at)
