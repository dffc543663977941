"""What training a recipe will cost on this machine: memory of the longest batch, hours of an epoch.

Measured, not estimated: a few real steps of the acoustic model, forwards, backwards and through the optimizer, in a
process of their own: its peak of memory is theirs, and a system that runs out of memory kills nothing else.
"""

import os
import resource
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tts.batch import AcousticBatch
from tts.checkpoint import build_acoustic
from tts.data.loaders import acoustic_loader
from tts.data.manifest import Clip, load_prepared
from tts.data.pieces import Piece
from tts.parallel import WorkerDiedError, unordered
from tts.settings import AcousticStage, Recipe
from tts.text.frontend import Frontend
from tts.training.acoustic import acoustic_losses
from tts.training.fit import device_of_training

TIMED = (0.15, 0.5, 0.85)  # quantiles of the batches by size, whose steps are timed
GIB = 2**30


class Cost(NamedTuple):
    """What was measured."""

    device: str  # cpu, or the name of the GPU
    batch_clips: int  # of the longest batch
    batch_frames: int  # of it, padding included
    memory_gib: float | None  # the model with its optimizer, and the longest batch, together; None: it does not fit
    memory_there_gib: float
    steps_per_epoch: int
    hours_per_epoch: dict[int, float]  # by frames of a decoder step


class _Batches(NamedTuple):
    """The batches of the first epoch."""

    loader: Any
    batches: list[Any]
    frames: list[int]  # of each, padding included

    def load(self, place: int, device: torch.device) -> AcousticBatch:
        items = [self.loader.dataset[index] for index in self.batches[place]]
        batch: AcousticBatch = self.loader.collate_fn(items)
        return batch.to(device)


class _PeakMemory:
    """What this process holds more than now, at most, from now on.

    Linux keeps the peak of a process's own memory, and forgets it when it is asked to; `getrusage` there begins with
    the peak of the parent.
    """

    def __init__(self) -> None:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        self._before = self._bytes("VmRSS")

    def grown(self) -> int:
        """Bytes."""
        return self._bytes("VmHWM") - self._before

    def _bytes(self, name: str) -> int:
        status = Path("/proc/self/status")
        if status.is_file():
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
            return int(lines[name].split()[0]) * 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def measure_cost(recipe: Recipe, run: Path) -> Cost:
    """Measure what the acoustic half of a recipe costs. run: folder in which its corpus is prepared.

    Raises:
        DataError: if nothing is prepared there.
    """
    try:
        ((_, cost),) = unordered(_measure, [(None, (recipe, run))], 1)
    except WorkerDiedError:
        return _measure((recipe, run), dry=True)
    return cost


def _measure(task: tuple[Recipe, Path], dry: bool = False) -> Cost:
    """dry: only say how large the longest batch is, as it does not fit."""
    recipe, run = task
    stage, frontend = recipe.trainer.acoustic, Frontend(recipe.text)
    prepared = load_prepared(run, recipe.audio, frontend.fingerprint)
    device = device_of_training(recipe.trainer.accelerator)
    clips = prepared.split("train")
    loader: Any = acoustic_loader(clips, recipe.audio, stage, recipe.seed, speakers=prepared.speakers)
    batches = loader.batch_sampler.epoch(0)
    frames = [_frames(batch, clips) for batch in batches]
    epoch = _Batches(loader, batches, frames)
    longest = max(range(len(frames)), key=frames.__getitem__)
    memory: float | None = None
    hours: dict[int, float] = {}
    if not dry:
        torch.manual_seed(recipe.seed)
        host = _PeakMemory()
        model = build_acoustic(recipe, len(frontend.symbols), len(prepared.speakers))
        model.scaler.fit(prepared.mel_mean, prepared.mel_std)
        with suppress(torch.OutOfMemoryError):  # then there is no figure for it
            memory, hours = _steps(model.to(device), stage, epoch, longest, device, host)
    return Cost(
        torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        len(batches[longest]),
        frames[longest],
        memory,
        _memory_there(device),
        len(batches),
        hours,
    )


def _frames(batch: Sequence[Any], clips: Sequence[Clip]) -> int:
    """Of a batch of clips by index, or of joined pieces, padding included."""

    def length(item: int | tuple[Piece, ...]) -> int:
        return clips[item].n_frames if isinstance(item, int) else sum(piece.n_frames for piece in item)

    return len(batch) * max(map(length, batch))


def _steps(
    model: Any, stage: AcousticStage, epoch: _Batches, longest: int, device: torch.device, host: _PeakMemory
) -> tuple[float, dict[int, float]]:
    """GiB that the longest batch takes, and the hours of an epoch by reduction factor."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.0)
    order = sorted(range(len(epoch.frames)), key=epoch.frames.__getitem__)
    timed = [order[int(share * (len(order) - 1))] for share in TIMED]
    factors = list(dict.fromkeys((stage.reduction[max(stage.reduction)], stage.reduction[0])))
    hours = {}
    model.train()
    _step(model, optimizer, epoch.load(order[0], device), stage, factors[0])  # what comes first takes longest
    for factor in factors:
        spent = sum(_timed(model, optimizer, epoch.load(place, device), stage, factor) for place in timed)
        rate = spent / sum(epoch.frames[place] for place in timed)  # seconds per frame
        hours[factor] = rate * sum(epoch.frames) / 3600
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    for _ in range(2 if device.type == "cuda" else 1):  # at the second, recordings of its shape are made
        _step(model, optimizer, epoch.load(longest, device), stage, min(stage.reduction.values()))
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else host.grown()
    return peak / GIB, hours


def _timed(model: Any, optimizer: Any, batch: AcousticBatch, stage: AcousticStage, factor: int) -> float:
    """Seconds of a step."""
    if batch.mel.device.type == "cuda":
        for _ in range(2):  # a GPU records its loops when a shape comes again, and is fast from then on
            _step(model, optimizer, batch, stage, factor)
        torch.cuda.synchronize()
    start = time.perf_counter()
    _step(model, optimizer, batch, stage, factor)
    if batch.mel.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _step(model: Any, optimizer: Any, batch: AcousticBatch, stage: AcousticStage, factor: int) -> None:
    """One step of training as the task takes it, with a learning rate of zero."""
    model.reduction = factor
    losses = acoustic_losses(model, stage, batch, model(batch), stage.guided_weight)
    optimizer.zero_grad()
    torch.autograd.backward(losses.total)
    optimizer.step()


def _memory_there(device: torch.device) -> float:
    """GiB of memory that the device, or the machine, has."""
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory) / GIB
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
