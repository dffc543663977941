"""Tests are small: one thread each is faster than several that wait for each other."""

import os

import pytest

from tests.toy import SMALL, steps, write_corpus
from tts.cli import main

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything imports torch


def pytest_configure():
    """Without a GPU, Triton's kernels run on the CPU, number by number; it must know before it is imported."""
    import torch

    if not torch.cuda.is_available():
        os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A toy run of all three stages, trained straight through."""
    folder = tmp_path_factory.mktemp("toy")
    corpus = write_corpus(folder / "corpus")
    run = folder / "run"
    arguments = ["train", "recipe=own", f"data.root={corpus}", f"data.cache={folder / 'cache'}", *SMALL]
    assert main([*arguments, f"run={run}", *steps(8, every=4)]) == 0
    return run
