"""How fast Tacotron 2 trains on a GPU, its loops step by step and as CUDA graphs, beside torchaudio's."""

import time
from collections.abc import Callable
from unittest import mock

import torch

from tests.benchmarks._peers import median_seconds, torchaudios
from tts.acoustic import _recorded
from tts.batch import AcousticBatch

Job = Callable[[], None]


def measure(batch: AcousticBatch, ours: Callable[[AcousticBatch, int], Job], rounds: int) -> dict[str, float]:
    """Prints a table; returns the figures.

    Args:
        batch: where all are to train.
        ours: makes training steps of ours, of a batch and frames per decoder step.
        rounds: of which the median is taken.
    """
    device, (n_rows, _, n_frames) = batch.mel.device, batch.mel.shape
    # TF32 for all: whether a peer bears bf16 is its own affair.
    jobs = {"torchaudio r=1": in_tf32(torchaudios(batch))}
    for r in (1, 2):  # the recipes' schedules end at r=2
        jobs[f"ours r={r} step by step"] = in_tf32(step_by_step(ours(batch, r)))
        jobs[f"ours r={r}"] = in_tf32(ours(batch, r))
        jobs[f"ours r={r} bf16"] = in_bf16(ours(batch, r), device)
    for job in jobs.values():  # twice with the first round: what is seen again is recorded
        job()
    seconds = median_seconds(jobs, rounds, clock_of(device))
    rates = {name: n_rows * n_frames / value for name, value in seconds.items()}
    print(f"training on {name_of(device)}, batch {n_rows}, {batch.text_ids.shape[1]} symbols, {n_frames} frames; TF32")
    for name, rate in rates.items():
        ratio = rate / rates["torchaudio r=1"]
        print(f"  {name:32} {seconds[name]:7.3f} s/step {rate:7.0f} frames/s {ratio:5.2f} x torchaudio")
    figures = {f"gpu_frames_per_s_{name.removeprefix('ours ').translate(PLAIN)}": rate for name, rate in rates.items()}
    for name, r in (("r1", 1), ("default", 2)):
        figures[f"gpu_train_ratio_torchaudio_{name}"] = rates[f"ours r={r}"] / rates["torchaudio r=1"]
    return figures


PLAIN = str.maketrans({" ": "_", "=": None})


def step_by_step(job: Job) -> Job:
    def step() -> None:
        with mock.patch.object(_recorded, "can_record", return_value=False):
            job()

    return step


def in_tf32(job: Job) -> Job:
    def step() -> None:
        before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
        try:
            job()
        finally:
            torch.set_float32_matmul_precision(before[0])
            torch.backends.cudnn.allow_tf32 = before[1]

    return step


def in_bf16(job: Job, device: torch.device) -> Job:
    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            job()

    return step


def clock_of(device: torch.device) -> Callable[[], float]:
    """Of the wall, once the device has done all that it was told."""

    def clock() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    return clock


def name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"
