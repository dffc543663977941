"""Products of one vector with weights that stream by, of float32 or of half the bytes.

A panel is the weights of 64 or 32 outputs, which a product keeps in registers: all outputs of the first input, then
those of the second, and so on. Several panels, of several matrices, may lie in one array one after the other, so that a
compiled function takes networks of any size and depth without being compiled anew.

Weights in half precision (float16 on disk and in memory, float32 in every sum) halve what a product must read, which is
what bounds it, and change a weight by 0.02 % at most.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tts.native import Storage
from tts.native.compiled import inner
from tts.native.matrices import BLOCK, Floats, add_panel
from tts.native.vectors import WIDE, N, add, load_wide, multiply_add, splat_wide, store, widen

Weights = NDArray[np.float32] | NDArray[np.uint16]  # uint16: the bits of float16

NARROW = 32  # outputs of the last panel of a matrix, where they are enough; BLOCK of the others
_LINE = 64  # bytes of a cache line: vectors that lie across two take twice the time


def lanes_up(width: int) -> int:
    """The width in whole vectors: of what a product reads."""
    return -(-width // N) * N


def wide_up(width: int) -> int:
    """The width in whole vectors of sixteen."""
    return -(-width // WIDE) * WIDE


def panels_up(width: int) -> int:
    """The width in whole narrow panels: of what a product writes."""
    return -(-width // NARROW) * NARROW


def to_panels(matrix: Floats) -> Floats:
    """(n_out, n_in), both in whole panels and vectors -> (n_out * n_in,) as `add_product` reads them."""
    n_out = len(matrix)
    assert n_out % NARROW == 0 and matrix.shape[1] % N == 0, f"a matrix of shape {matrix.shape}"
    panels = [matrix[first : first + BLOCK].T.ravel() for first in range(0, n_out, BLOCK)]
    return np.concatenate(panels)


def stored(weights: Floats, storage: Storage) -> Weights:
    """A copy of an array as products read it fastest, from the start of a cache line on."""
    bits: Weights = weights.astype(np.float16).view(np.uint16) if storage == "half" else weights
    room = np.zeros(bits.nbytes + _LINE, np.uint8)
    first = -room.ctypes.data % _LINE
    found: Weights = room[first : first + bits.nbytes].view(bits.dtype)
    found[:] = bits
    return found


@inner
def add_narrow_panel(weights: Any, at: int, x: Any, x_at: int, n: int, y: Any, y_at: int) -> None:
    """As `add_panel`, for NARROW outputs and an even n: two inputs at a time, for sums enough that do not wait."""
    s0, s1 = load_wide(y, y_at), load_wide(y, y_at + 16)
    r0 = r1 = splat_wide(np.float32(0))
    for k in range(x_at, x_at + n, 2):
        value, following = splat_wide(x[k]), splat_wide(x[k + 1])
        s0 = multiply_add(value, widen(weights, at), s0)
        s1 = multiply_add(value, widen(weights, at + 16), s1)
        r0 = multiply_add(following, widen(weights, at + 32), r0)
        r1 = multiply_add(following, widen(weights, at + 48), r1)
        at += 2 * NARROW
    store(y, y_at, add(s0, r0))
    store(y, y_at + 16, add(s1, r1))


@inner
def add_product(weights: Any, at: int, n_in: int, n_out: int, x: Any, x_at: int, y: Any, y_at: int) -> None:
    """y[y_at : y_at + n_out] += the matrix in weights[at:], from `to_panels`, times x[x_at : x_at + n_in]."""
    whole = n_out - n_out % BLOCK
    for first in range(0, whole, BLOCK):
        add_panel(weights, at + first * n_in, x, x_at, n_in, y, y_at + first)
    if whole < n_out:
        add_narrow_panel(weights, at + whole * n_in, x, x_at, n_in, y, y_at + whole)
