"""A progress bar for long work: alive on a terminal, a line now and then where the output goes to a file."""

import sys
from typing import Any

from tqdm import tqdm


def progress_bar(total: int, what: str, unit: str, *, done: int = 0, shown: bool = True) -> "tqdm[Any]":
    """A bar over `total` pieces of work, to be used in a `with` and moved by `update()`."""
    terminal = sys.stderr.isatty()
    return tqdm(
        total=total,
        initial=done,
        desc=what,
        unit=unit,
        disable=not shown,
        dynamic_ncols=terminal,
        mininterval=0.1 if terminal else 15.0,
        miniters=None if terminal else 1,
    )
