"""Compiled loops for the CPU: products of a packed matrix with one vector, in explicit vectors (numba).

A decoder at batch one reads every weight once per step and does little with it, so it is bound by how fast weights
arrive. What is here packs them in the order in which they are read, in one byte each where that pays.

numba is imported by the modules of this package only, and by what is built on them in files named `_native*.py`. They
are loaded when synthesis first needs them, through `attempt`. Their machine code is kept on disk: see `compiled.py`.
"""

import warnings
from collections.abc import Callable
from typing import Literal, TypeVar

Made = TypeVar("Made")
Storage = Literal["half", "float32"]  # of weights; arithmetic is float32

_reasons: list[str] = []  # why compiled loops cannot be had in this process


def attempt(make: Callable[[], Made]) -> Made | None:
    """`make()`, which imports and compiles; or None where that fails, and from then on.

    The first failure is told in a warning. There is always a slower way that gives the same.
    """
    if _reasons:
        return None
    try:
        return make()
    except Exception as error:  # numba has many, and a missing or broken one is an ImportError, OSError, ...
        lines = str(error).strip().splitlines()
        _reasons.append(f"{type(error).__name__}: {lines[0] if lines else ''}")
    warnings.warn(
        f"synthesis goes on without compiled loops, several times slower: {_reasons[0]}; "
        "`pip install --force-reinstall numba` may mend it",
        RuntimeWarning,
        stacklevel=2,
    )
    return None
