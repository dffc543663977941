"""Progress of long work: a bar that is alive on a terminal, and shares of the whole for whoever shows them."""

import sys
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

Progress = Callable[[str, float], None]  # what is being done, share done in [0, 1]


def progress_bar(
    total: int, what: str, unit: str, *, done: int = 0, shown: bool = True, scaled: bool = False
) -> "tqdm[Any]":
    """A bar over `total` pieces of work, to be used in a `with` and moved by `update()`.

    Where the output goes to a file it is a line now and then. A `scaled` one counts in thousands, millions and so on.
    """
    terminal = sys.stderr.isatty()
    return tqdm(
        total=total,
        initial=done,
        desc=what,
        unit=unit,
        unit_scale=scaled,
        disable=not shown,
        dynamic_ncols=terminal,
        mininterval=0.1 if terminal else 15.0,
        miniters=None if terminal else 1,
    )


def share_of(
    progress: Progress | None, what: str, first: int, count: int, total: int, longest: int
) -> Callable[[int], None] | None:
    """Turn what is done of pieces `first` to `first + count`, of `longest` each, into a share of all `total`."""
    if progress is None:
        return None

    def report(done: int) -> None:
        progress(what, (first + count * min(1.0, done / longest)) / total)

    return report
