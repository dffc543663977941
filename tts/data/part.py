"""Which of several training processes this one is, for whatever hands out batches."""

from collections.abc import Sequence
from typing import NamedTuple


class Part(NamedTuple):
    """A process among those that train together: rank 0 to `of` - 1."""

    rank: int = 0
    of: int = 1

    def share(self, lengths: Sequence[int]) -> list[int]:
        """The places in a batch that are this process's share, as long in sum as those of the others, about.

        Dealt from the longest to the shortest, there and back. lengths: of all of the batch, at least one a process.
        """
        assert len(lengths) >= self.of, "a batch has something for every process"
        longest_first = sorted(range(len(lengths)), key=lambda place: -lengths[place])
        there_and_back = [*range(self.of), *reversed(range(self.of))]
        return sorted(
            place for turn, place in enumerate(longest_first) if there_and_back[turn % (2 * self.of)] == self.rank
        )


WHOLE = Part()  # one process trains alone
