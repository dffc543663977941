"""What turns a Python function into machine code, once for all processes."""

import hashlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from numba import njit, typeof
from numba.np import linalg

Function = TypeVar("Function", bound=Callable[..., Any])


def digest(package: Path) -> str:
    """Of all source files from which machine code is made: those with "native" in their path."""
    found = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        if "native" in str(path.relative_to(package)):
            found.update(path.read_bytes())
    return found.hexdigest()[:12]


_SOURCES = digest(Path(__file__).parents[1])


def spare_scipy() -> None:
    """Let numba load its arrays without scipy, whose linear algebra takes a fifth of the time to start.

    They import it only to know whether numpy's products can be compiled, which no loop here has. To find it is enough
    for that; whoever compiles such a product has it imported then.
    """

    def find() -> None:
        if importlib.util.find_spec("scipy") is None:
            raise ImportError("scipy is required for linear algebra")

    imports = getattr(linalg, "ensure_blas", None)
    if imports is None:  # a numba that asks in another way
        return
    linalg.ensure_blas = find
    try:
        import numba.np.arraymath  # noqa: F401
    finally:
        linalg.ensure_blas = imports


spare_scipy()


def inner(function: Function) -> Function:
    """For a function that only compiled functions call: it becomes part of them."""
    made: Function = njit(nogil=True, error_model="numpy")(function)
    return made


def compiled(function: Function) -> Function:
    """For a function that Python calls. Other threads run meanwhile; the machine code is kept on disk.

    numba looks only at the file of the function itself to tell whether stored code is out of date. What it calls comes
    from other files, so the name under which the code is stored holds a digest of them all.
    """
    function.__qualname__ = f"{function.__qualname__}_{_SOURCES}"
    made: Function
    try:
        made = njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # no folder that can be written: compiled anew in every process
        made = inner(function)
    return made


def ensure(function: Callable[..., Any], *arguments: Any) -> None:
    """Compile `function` for arguments like these, or load it, without calling it."""
    function.compile(tuple(typeof(argument) for argument in arguments))  # type: ignore[attr-defined]
