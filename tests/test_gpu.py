"""What only a GPU can show: both halves train there in bf16, a run goes on, the voice speaks there."""

import pytest
import torch

from tests.toy import SMALL, steps
from tts.cli import main

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


@pytest.mark.parametrize("precision", ["bf16", "tf32"])
def test_training_going_on_and_speaking(trained, tmp_path, precision):
    run = tmp_path / "run"
    data = [f"data.root={trained.parent / 'corpus'}", f"data.cache={trained.parent / 'cache'}"]
    machine = ["trainer.accelerator=gpu", f"trainer.precision={precision}"]
    assert main(["train", "recipe=own", f"run={run}", *data, *SMALL, *machine, *steps(4, every=2)]) == 0
    assert main(["train", f"recipe={run}", *steps(6, every=2)]) == 0
    out = tmp_path / "out.wav"
    assert main(["synthesize", "One two.", f"voice={run}", f"out={out}", "device=cuda"]) == 0
    assert out.is_file()
