"""What a CUDA graph does, on a CPU: operations are recorded with the very tensors they read and write, and done again.

As there, a replay knows nothing of Python: neither what an attribute is bound to by then, nor what a number has become.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tts.acoustic import _recorded
from tts.acoustic._loops import Reverse, Steps
from tts.acoustic._recorded import Recording


class Operations(TorchDispatchMode):
    """Those that were done inside."""

    def __init__(self):
        super().__init__()
        self.done: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        assert torch.Tag.nondeterministic_seeded not in operation.tags, f"{operation} draws numbers"
        assert torch.Tag.data_dependent_output not in operation.tags, f"{operation} makes Python wait for the device"
        assert torch.Tag.dynamic_output_shape not in operation.tags, f"{operation} makes Python wait for the device"
        made = operation(*args, **(kwargs or {}))
        self.done.append((operation, args, kwargs or {}, made))
        return made

    def replay(self) -> None:
        for operation, args, kwargs, made in self.done:
            again = operation(*args, **kwargs)
            for place, value in zip(_tensors(made), _tensors(again), strict=True):
                if place.data_ptr() != value.data_ptr():  # it made a tensor, and did not write into one or look at one
                    place.copy_(value)


def _tensors(made: Any) -> list[Tensor]:
    return [made] if isinstance(made, Tensor) else list(made or ())


class Replays:
    """Stands for `_recorded.record`, and counts."""

    def __init__(self):
        self.n_recorded, self.n_replayed = 0, 0

    def record(self, steps: Steps, reverse: Reverse, pool: Any) -> Recording:
        self.n_recorded += 1
        steps.forward()
        reverse.run()
        ways = [self._operations(run) for run in (steps.forward, reverse.run)]
        return Recording(steps, reverse, *ways, "a pool")

    def _operations(self, run: Callable[[], None]) -> Callable[[], None]:
        with Operations() as operations:
            run()

        def replay() -> None:
            self.n_replayed += 1
            operations.replay()

        return replay


@contextmanager
def replaying(n_steps: int = 4) -> Iterator[Replays]:
    """Inside, the loops train on a CPU as they do on a GPU, in blocks of so many steps."""
    replays = Replays()
    with (
        patch.multiple(
            _recorded, STEPS=n_steps, ROWS=2, SYMBOLS=4, _missing=[], _recordings=type(_recorded._recordings)()
        ),
        patch.multiple(_recorded, can_record=lambda device: True, record=replays.record),
    ):
        yield replays
