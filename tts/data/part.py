"""Which of several training processes this one is, for whatever hands out batches."""

from typing import NamedTuple


class Part(NamedTuple):
    """A process among those that train together: rank 0 to `of` - 1."""

    rank: int = 0
    of: int = 1


WHOLE = Part()  # one process trains alone
