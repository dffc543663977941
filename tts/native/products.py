"""Either kind of packed matrix: how it is made, and its product with a vector."""

from collections.abc import Callable
from typing import Any

from numba.extending import overload

from tts.native import compact, matrices
from tts.native.compact import Compact
from tts.native.matrices import Floats, Packed, padded


def empty(n_out: int, n_in: int, *, small: bool) -> Packed | Compact:
    """Zeros, in one byte a weight if `small`; n_in may be padded."""
    return compact.empty(n_out, padded(n_in)) if small else matrices.empty(n_out, n_in)


def pack(matrix: Floats, *, small: bool) -> Packed | Compact:
    """A whole matrix (n_out, n_in)."""
    made = empty(*matrix.shape, small=small)
    fill(made, matrix, (0, matrix.shape[0]), (0, matrix.shape[1]), 0, 0)
    return made


def fill(
    packed: Packed | Compact,
    matrix: Floats,
    rows: tuple[int, int],
    columns: tuple[int, int],
    out_at: int,
    in_at: int,
) -> None:
    """See `matrices.fill` and `compact.fill`."""
    kind = compact if isinstance(packed, Compact) else matrices
    kind.fill(packed, matrix, rows, columns, out_at, in_at)


def product(packed: Any, bias: Any, x: Any, x_at: int, y: Any, y_at: int) -> None:
    """y[y_at:] = bias + packed times x[x_at : x_at + n_in]; for compiled functions only."""
    raise AssertionError("compiled functions have their own")


def _choose(packed: Any, bias: Any, x: Any, x_at: int, y: Any, y_at: int) -> Callable[..., None]:
    chosen = compact.product if packed.instance_class is Compact else matrices.product

    def run(packed: Any, bias: Any, x: Any, x_at: int, y: Any, y_at: int) -> None:
        chosen(packed, bias, x, x_at, y, y_at)

    return run


overload(product)(_choose)
