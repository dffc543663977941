"""What the loaders of batches have in common."""

from typing import TypedDict

import torch


class Loading(TypedDict):
    """Arguments of every `DataLoader`."""

    num_workers: int
    persistent_workers: bool
    pin_memory: bool
    multiprocessing_context: str | None


def loading(workers: int) -> Loading:
    """How batches are loaded by `workers` processes, or by this one if there are none."""
    return Loading(
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        # Spawned: a fork of a process that has threads (of torch, of a stream) may hang.
        multiprocessing_context="spawn" if workers else None,
    )
