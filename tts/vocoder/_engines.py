"""Engines of a WaveNet's generation: torch's steps on any device; compiled ones for one row on a CPU; on a GPU a kernel
that makes all steps of a few rows, and for many rows a graph of torch's steps.

All make the same samples of the same noise; tests hold that. Shapes: B rows, F frames, N bands, L layers, G gate
channels.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from tts import native
from tts.native import Storage
from tts.vocoder._cuda_graph import recorded
from tts.vocoder._distributions import Gaussian, Logistics, MuLaw

if TYPE_CHECKING:
    from tts.vocoder.wavenet import WaveNet

# Weights up to which compiled steps keep them in float32: they stay in a core's own cache, where nothing is gained by
# reading half of the bytes, and widening them takes as long as multiplying. Measured with 2 MB of such a cache.
FLOATS_UP_TO = 400_000

# Rows for each multiprocessor of a GPU up to which the kernel makes them. It makes one on each at a time, in turns; a
# step of a graph takes as long for all. Not measured but reckoned, for 20 layers of 64 channels: a turn's step reads
# 2 MB at about 100 GB/s and waits some 20 times for all threads, 40 microseconds; a graph's starts 120 kernels, 200.
TURNS = 3

_missing: dict[str, str] = {}  # what of a GPU's engines cannot be had in this process, and why


class Engine(Protocol):
    """Generation on its way through the frames of some rows: it holds the state, and a run moves it on."""

    def run(self, conditions: Sequence[Tensor], noise: Tensor) -> Tensor:
        """All steps of F frames.

        Args:
            conditions: F times (L, B, 2 G), from `step_condition`.
            noise: (F * steps, B, N, n_noise) on the CPU.

        Returns:
            (B, N, F * steps) the signals drawn.
        """


class TorchEngine:
    """The model's own `step`."""

    def __init__(self, model: "WaveNet", n_rows: int):
        self.model, self.state = model, model.start(n_rows)
        self.previous = self.state.window.new_zeros(n_rows, model.n_bands)

    def run(self, conditions: Sequence[Tensor], noise: Tensor) -> Tensor:
        """See `Engine`."""
        signals = []
        for t, now in enumerate(noise.to(self.previous.device).unbind()):
            condition = conditions[t // self.model.frame_steps]
            parameters, self.state = self.model.step(self.previous, self.state, condition)
            self.previous = self.model.sample(parameters, now)
            signals.append(self.previous)
        return torch.stack(signals, dim=2)


def compiled_engines(model: "WaveNet", storage: Storage | None) -> Callable[[], Engine] | None:
    """What makes engines of one row each, with the weights of now; None where torch must step.

    Args:
        model: on the CPU in float32, or torch must.
        storage: of the weights; arithmetic is float32. None takes what is faster.
    """
    if not _is_plain(model, "cpu"):
        return None

    def make() -> Callable[[], Engine]:
        from tts.native.vectors import WIDENS  # imports numba
        from tts.vocoder._native_wavenet import NativeEngine, pack

        n_weights = sum(weight.numel() for layer in model.stack() for weight in layer.parameters())
        faster: Storage = "half" if WIDENS and n_weights > FLOATS_UP_TO else "float32"
        packed = pack(model, storage or faster)
        NativeEngine(packed)  # now, so that a failure to compile is one of making
        return lambda: NativeEngine(packed)

    return native.attempt(make)


def engine_of_rows(model: "WaveNet", n_rows: int, storage: Storage | None) -> Engine:
    """What makes rows all at once, with the weights of now; for where there are no compiled ones.

    Args:
        model: on any device.
        n_rows: B.
        storage: of the kernel's weights; None is float32.
    """
    if _is_plain(model, "cuda"):
        device = torch.cuda.get_device_properties(model.input.weight.device)
        made = None
        if n_rows <= TURNS * device.multi_processor_count:
            made = _attempt("a kernel of its own", lambda: _kernel_engine(model, n_rows, storage or "float32"))
        made = made or _attempt("a CUDA graph", lambda: recorded(model, n_rows))
        if made is not None:
            return made
    return TorchEngine(model, n_rows)


def _kernel_engine(model: "WaveNet", n_rows: int, storage: Storage) -> Engine | None:
    from tts.vocoder._triton_wavenet import TritonEngine, pack  # imports triton, which comes with torch for CUDA

    packed = pack(model, storage)
    return packed and TritonEngine(packed, n_rows)


def _attempt(name: str, make: Callable[[], Engine | None]) -> Engine | None:
    """`make()`; None where that fails, and from then on. The first failure is told in a warning."""
    if name in _missing:
        return None
    try:
        return make()
    except Exception as error:  # of a compiler, of a driver, of an import
        lines = str(error).strip().splitlines()
        _missing[name] = f"{type(error).__name__}: {lines[0] if lines else ''}"
    warnings.warn(
        f"WaveNet goes on without {name}, several times slower: {_missing[name]}", RuntimeWarning, stacklevel=2
    )
    return None


def _is_plain(model: "WaveNet", device: str) -> bool:
    """Whether it is on such a device, and compiled steps are the model's."""
    from tts.vocoder.wavenet import WaveNet

    return (
        all(getattr(type(model), name) is getattr(WaveNet, name) for name in ("step", "sample", "noise"))
        and type(model.distribution) in (MuLaw, Logistics, Gaussian)
        and not torch.is_autocast_enabled(device)
        and all(p.device.type == device and p.dtype == torch.float32 for p in model.parameters())
    )
