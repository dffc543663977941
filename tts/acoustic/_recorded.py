"""The loops of teacher forcing as CUDA graphs: blocks of a few steps, recorded once for each shape and replayed.

A step starts some fifty kernels that take the GPU a few microseconds each, less than it takes to start them. A graph
starts all those of a block at once. Training on a CUDA device does so by itself, and goes on step by step where it
cannot be had, with a warning that says why.

A block's tensors stay where they are, and hold nothing between calls: each call copies in what its loop is given, block
by block, and copies out what is made and what its own way back reads. So any number of calls may go forward before one
goes back. All of them belong on one stream at a time, as everything in a training does.

Shapes recur because batches are padded: steps to whole blocks, rows and symbols to few numbers of them. Where padded,
the forward pass is finite, and the gradient exactly zero.

Shapes: B batch, T decoder steps, T_text symbols, H width of an LSTM.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Hashable
from functools import cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tts.acoustic._loops import Carry, Reverse, Steps, Tensors, move
from tts.acoustic._teacher_forcing import AtOnce, Given, Gradients, Passed
from tts.interfaces import AttentionMemory

STEPS = 16  # of a block: enough that starting it takes no longer than its kernels
ROWS, SYMBOLS = 8, 32  # numbers of both are rounded up to multiples

# Shapes that a loop keeps recorded. Each has tensors of its own. Reckoned for Tacotron 2 as in its paper, with 64 rows
# of 128 symbols: 260 MB of the attention's loop, 120 MB of the decoder's, which knows no symbols; 75 and 50 MB of them
# are copies of the weights and their gradient. What is made in between lies in memory that a loop's recordings share.
KEPT = 8

_missing: list[str] = []  # why recordings cannot be had in this process


class Recording(NamedTuple):
    """A block of steps and its way back, and what runs them."""

    steps: Steps
    reverse: Reverse
    forward: Callable[[], None]
    backward: Callable[[], None]
    pool: Any  # of the graphs' memory


class InBlocks:
    """A call that a recording goes through, block by block. See `Passed`."""

    def __init__(self, recording: Recording, given: Given):
        """given: of a multiple of the block's steps."""
        steps, n_steps, n = recording.steps, len(given.inputs[0]), len(recording.steps.inputs[0])
        assert n_steps % n == 0, f"{n_steps} steps are not whole blocks of {n}"
        self.recording, self.constants, self.drawn = recording, given.constants, given.inputs[1:]
        self.dtype, self.firsts = given.inputs[0].dtype, range(0, n_steps, n)
        self.outputs = _room(steps.outputs, n_steps - n)
        self.kept = _room(steps.kept, n_steps - n) if given.record else ()
        move(steps.constants, given.constants)
        steps.begin(given.start)
        for first in self.firsts:
            move(steps.inputs, _part(given.inputs, first, steps.inputs))
            recording.forward()
            made = steps.outputs + steps.kept if given.record else steps.outputs
            move(_part(self.outputs + self.kept, first, made), made)

    def backward(self, d_outputs: Tensors) -> Gradients:
        """See `Passed`."""
        steps, reverse = self.recording.steps, self.recording.reverse
        known = self.drawn + self.outputs + self.kept + d_outputs
        read = steps.inputs[1:] + steps.outputs + steps.kept + reverse.d_outputs
        n, *sizes = reverse.d_given.shape
        d_given = reverse.d_given.new_empty(n * len(self.firsts), *sizes, dtype=self.dtype)
        move(steps.constants, self.constants)
        reverse.begin()
        for first in reversed(self.firsts):
            move(read, _part(known, first, read))
            self.recording.backward()
            d_given[first : first + n] = reverse.d_given
        return Gradients(d_given, tuple(total.clone() for total in reverse.sums))


def _room(like: Tensors, n_more: int) -> Tensors:
    """As a block's, with so many steps more."""
    return tuple(part.new_empty(len(part) + n_more, *part.shape[1:]) for part in like)


def _part(whole: Tensors, first: int, like: Tensors) -> Tensors:
    """What belongs to the block that begins at step `first`."""
    return tuple(tensor[first : first + len(part)] for tensor, part in zip(whole, like, strict=True))


class Recordings:
    """Those of one loop.

    A shape that was seen once is not recorded: it may not come again. Once there are `KEPT` of them, another takes the
    place of the rarest when it was seen twice as often; which may happen only so often, since recording takes a moment.
    """

    def __init__(self) -> None:
        self.kept: dict[Hashable, Recording] = {}
        self.seen: Counter[Hashable] = Counter()

    def run(self, given: Given) -> Passed:
        """Go through the steps."""
        recording = self._find(given)
        return AtOnce(given) if recording is None else InBlocks(recording, given)

    def _find(self, given: Given) -> Recording | None:
        key = (
            *((tensor.shape, tensor.dtype, tensor.device) for tensor in given.constants),
            *(tensor.shape[1:] for tensor in given.inputs),
            torch.get_float32_matmul_precision(),
        )
        self.seen[key] += given.record  # a pass without gradients is not one of training, or goes before one
        if key not in self.kept and self.seen[key] > 1 and not _missing and self._has_room(self.seen[key]):
            made = _attempt(lambda: self._record(given))
            if made is not None:
                self.kept[key] = made
        return self.kept.get(key)

    def _has_room(self, n_seen: int) -> bool:
        if len(self.kept) >= KEPT:
            rarest = min(self.kept, key=self.seen.__getitem__)
            if n_seen < 2 * self.seen[rarest]:
                return False
            del self.kept[rarest]
        return True

    def _record(self, given: Given) -> Recording:
        constants = tuple(torch.zeros_like(tensor) for tensor in given.constants)
        inputs = tuple(tensor.new_zeros(STEPS, *tensor.shape[1:]) for tensor in given.inputs)
        steps = given.make(constants, inputs)
        reverse = steps.reverse(tuple(torch.zeros_like(output[1:]) for output in steps.outputs))
        return record(steps, reverse, next((other.pool for other in self.kept.values()), None))


_recordings: "WeakKeyDictionary[nn.Module, Recordings]" = WeakKeyDictionary()


def recordings_of(loop: nn.Module, device: torch.device) -> Recordings | None:
    """Those that live as long as `loop`; None where there are none to be had."""
    if not can_record(device):
        return None
    found = _recordings.setdefault(loop, Recordings())
    return None if _missing and not found.kept else found


def can_record(device: torch.device) -> bool:
    """Whether there are graphs on such a device."""
    return device.type == "cuda"


def record(steps: Steps, reverse: Reverse, pool: Any) -> Recording:
    """Both ways, on a CUDA device. pool: of another recording, which is never replayed at the same time, or None."""
    device = steps.inputs[0].device
    with torch.cuda.device(device):
        here, stream = torch.cuda.current_stream(), _stream(device)
        stream.wait_stream(here)
        try:
            with torch.cuda.stream(stream):  # leads back here also when a recording breaks off
                steps.forward()  # what libraries do the first time, they cannot do in a recording
                reverse.run()
                forward = _graph(steps.forward, stream, pool)
                backward = _graph(reverse.run, stream, forward.pool())
        finally:
            here.wait_stream(stream)
    return Recording(steps, reverse, forward.replay, backward.replay, forward.pool())


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """One for all recordings: libraries keep some memory for each stream that they have seen."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _graph(run: Callable[[], None], stream: torch.cuda.Stream, pool: Any) -> torch.cuda.CUDAGraph:
    graph = torch.cuda.CUDAGraph()
    # Other threads may use the device meanwhile.
    with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
        run()
    return graph


def _attempt(make: Callable[[], Recording]) -> Recording | None:
    """`make()`; None where that fails, and from then on nothing more is recorded, which a warning tells."""
    try:
        return make()
    except Exception as error:  # of a driver, of a library, or out of memory
        lines = str(error).strip().splitlines()
        _missing.append(f"{type(error).__name__}: {lines[0] if lines else ''}")
    warnings.warn(
        f"A CUDA graph of the loops could not be recorded, and they go on step by step, slower: {_missing[0]}",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


def in_whole_blocks(projected: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
    """With steps and rows of zeros at the ends. projected: (T, B, 4 H); carry: (T, 2, B, H), or a number."""
    steps, rows = _short_of(STEPS, len(projected)), _short_of(ROWS, projected.shape[1])
    if isinstance(carry, Tensor):
        carry = F.pad(carry, (0, 0, 0, rows, 0, 0, 0, steps))
    return F.pad(projected, (0, 0, 0, rows, 0, steps)), carry


def in_few_shapes(prepared: AttentionMemory) -> AttentionMemory:
    """With rows and symbols at the ends that are none."""
    n_rows, n_symbols = prepared.mask.shape
    rows, symbols = _short_of(ROWS, n_rows), _short_of(SYMBOLS, n_symbols)
    mask = F.pad(prepared.mask, (0, symbols, 0, rows))
    mask[n_rows:, 0] = True  # attention must rest somewhere: on a symbol whose memory is zero
    memory, keys = (F.pad(tensor, (0, 0, 0, symbols, 0, rows)) for tensor in (prepared.memory, prepared.keys))
    return AttentionMemory(memory, keys, mask)


def _short_of(multiple: int, n: int) -> int:
    return -n % multiple
