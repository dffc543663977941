"""Matrices packed for products with one vector, and that product.

Outputs come in blocks of 64, which a product keeps in registers while the weights stream by. Widths are padded with
zeros to whole blocks. `Packed` has float32 weights; `compact.py` has the same in one byte a weight, and `panels.py` has
matrices in float16, many in one array.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts.native.compiled import compiled, inner
from tts.native.vectors import load_wide, multiply_add, splat_wide, store, widen

BLOCK = 64  # outputs of a block
Floats = NDArray[np.float32]


class Packed(NamedTuple):
    """A matrix in the order (block, input, output within the block)."""

    weights: Floats  # (n_blocks * n_in * BLOCK,)
    n_in: int
    n_blocks: int


def padded(width: int) -> int:
    """The width in whole blocks."""
    return -(-width // BLOCK) * BLOCK


def pad(vector: Floats) -> Floats:
    """A vector with zeros up to whole blocks."""
    return np.pad(vector, (0, padded(len(vector)) - len(vector)))


def empty(n_out: int, n_in: int) -> Packed:
    """Zeros."""
    return Packed(np.zeros(padded(n_out) * n_in, np.float32), n_in, padded(n_out) // BLOCK)


def pack(matrix: Floats) -> Packed:
    """A whole matrix (n_out, n_in)."""
    made = empty(*matrix.shape)
    fill(made, matrix, (0, matrix.shape[0]), (0, matrix.shape[1]), 0, 0)
    return made


@compiled
def fill(packed: Any, matrix: Any, rows: Any, columns: Any, out_at: int, in_at: int) -> None:
    """Put a part of a matrix into a packed one.

    Args:
        packed: as `empty` made it.
        matrix: (n_out, n_in) contiguous.
        rows, columns: first and count of the part.
        out_at, in_at: where it goes.
    """
    for n in range(rows[1]):
        block, lane = divmod(out_at + n, BLOCK)
        at = (block * packed.n_in + in_at) * BLOCK + lane
        for k in range(columns[1]):
            packed.weights[at + k * BLOCK] = matrix[rows[0] + n, columns[0] + k]


@inner
def add_panel(weights: Any, at: int, x: Any, x_at: int, n: int, y: Any, y_at: int) -> None:
    """One block: y[y_at + j] += sum of x[x_at + k] * weights[at + k * BLOCK + j] over k < n."""
    s0, s1, s2, s3 = (
        load_wide(y, y_at),
        load_wide(y, y_at + 16),
        load_wide(y, y_at + 32),
        load_wide(y, y_at + 48),
    )
    for k in range(x_at, x_at + n):
        value = splat_wide(x[k])
        s0 = multiply_add(value, widen(weights, at), s0)
        s1 = multiply_add(value, widen(weights, at + 16), s1)
        s2 = multiply_add(value, widen(weights, at + 32), s2)
        s3 = multiply_add(value, widen(weights, at + 48), s3)
        at += BLOCK
    store(y, y_at, s0)
    store(y, y_at + 16, s1)
    store(y, y_at + 32, s2)
    store(y, y_at + 48, s3)


@inner
def product(packed: Any, bias: Any, x: Any, x_at: int, y: Any, y_at: int) -> None:
    """y[y_at:] = bias + packed times x[x_at : x_at + n_in]. bias: (n_blocks * BLOCK,)."""
    for block in range(packed.n_blocks):
        first = block * BLOCK
        for j in range(BLOCK):
            y[y_at + first + j] = bias[first + j]
        add_panel(packed.weights, first * packed.n_in, x, x_at, packed.n_in, y, y_at + first)
