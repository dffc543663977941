"""WaveNet's steps as one CUDA graph: torch's own, recorded once and replayed, which spares the time of starting each
of their kernels. For many rows: a step takes about as long for hundreds of them as for one.

Shapes: B rows, N bands, F frames, T steps of a block.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tts.vocoder._steps import Slots

if TYPE_CHECKING:
    from tts.vocoder.wavenet import WaveNet

STEPS = 64  # of a block, at most: each has about a hundred kernels, and recording them all takes a moment


class Block:
    """Some steps, of one frame, from tensors that stay where they are into such: what a graph can record.

    Nothing in it depends on a number that Python holds, and nothing of it is random.
    """

    def __init__(self, model: "WaveNet", n_rows: int):
        self.model, self.state = model, model.start(n_rows)
        self.n_steps = max(n for n in range(1, STEPS + 1) if model.frame_steps % n == 0)
        empty = self.state.window.new_zeros
        self.previous = empty(n_rows, model.n_bands)
        self.condition = torch.zeros_like(self.state.buffers.gates)  # (L, B, 2 G) is filled before
        self.noise = empty(self.n_steps, n_rows, model.n_bands, model.distribution.n_noise)  # is filled before
        self.signal = empty(n_rows, model.n_bands, self.n_steps)  # what is drawn
        self.read, self.write = (torch.stack(slots) for slots in self.state.slots)  # by position, until they repeat
        self.positions = torch.arange(self.n_steps, device=self.read.device) % len(self.read)  # (T,)

    def run(self) -> None:
        """All steps."""
        slots = Slots(*(table.index_select(0, self.positions).unbind() for table in (self.read, self.write)))
        previous, state = self.previous, self.state._replace(slots=slots)
        for t, noise in enumerate(self.noise.unbind()):
            parameters, state = self.model.step(previous, state, self.condition)
            previous = self.model.sample(parameters, noise)
            self.signal[:, :, t] = previous
        self.previous.copy_(previous)
        self.state.window.copy_(state.window)
        self.positions.add_(self.n_steps).remainder_(len(self.read))

    def begin(self) -> None:
        """Back to before the first step."""
        for heard in (self.previous, self.state.window, self.state.rings):
            heard.zero_()
        self.positions.copy_(torch.arange(self.n_steps) % len(self.read))


class GraphEngine:
    """See `Engine`; for any number of rows. The weights are those of its making: it is recorded anew for each batch."""

    def __init__(self, block: Block, run: Callable[[], None]):
        """run: of the block, or what replays it."""
        self.block, self.run_block = block, run

    def run(self, conditions: Sequence[Tensor], noise: Tensor) -> Tensor:
        """See `Engine`."""
        block, made = self.block, []
        in_frame = block.model.frame_steps // block.n_steps
        for i, now in enumerate(noise.to(block.noise.device).split(block.n_steps)):  # type: ignore[no-untyped-call]
            if i % in_frame == 0:
                block.condition.copy_(conditions[i // in_frame])
            block.noise.copy_(now)
            self.run_block()
            made.append(block.signal.clone())
        return torch.cat(made, dim=2)


def recorded(model: "WaveNet", n_rows: int) -> GraphEngine:
    """An engine that replays. The model is on a CUDA device."""
    block = Block(model, n_rows)
    with torch.cuda.device_of(block.previous), _full_precision():  # type: ignore[no-untyped-call]
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            block.run()  # what libraries do the first time, they cannot do in a recording
        torch.cuda.current_stream().wait_stream(stream)
        # Other threads may use the device meanwhile.
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            block.run()
        block.begin()
    return GraphEngine(block, graph.replay)


@contextmanager
def _full_precision() -> Iterator[None]:
    """Products of float32 in float32: TF32 has 10 bits, and a sample is heard by all that follow."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
