"""Several processes on a CPU: the same training as one with the same batches; one that is killed ends all, clearly."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.toy import SMALL, steps

ROOT = Path(__file__).parents[1]
# Masks of dropout differ from process to process, as they must, so that what is compared has none.
NO_DROPOUT = [f"acoustic.{name}=0" for name in ("encoder_dropout", "prenet_dropout", "zoneout", "postnet_dropout")]


def train(run, trained, *overrides, devices):
    arguments = [f"data.root={trained.parent / 'corpus'}", f"data.cache={trained.parent / 'cache'}", *SMALL]
    command = [sys.executable, "train.py", "recipe=own", f"run={run}", *arguments, f"trainer.devices={devices}"]
    environment = {name: value for name, value in os.environ.items() if name not in ("LOCAL_RANK", "WORLD_SIZE")}
    return subprocess.Popen(
        [*command, *overrides],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment, "OMP_NUM_THREADS": "1"},
    )


def finish(process, seconds=150):
    try:
        return process.communicate(timeout=seconds)[0]
    finally:
        process.kill()


def test_two_processes_train_as_one_with_the_same_batches(trained, tmp_path):
    runs = {devices: tmp_path / str(devices) for devices in (1, 2)}
    heard = "trainer.acoustic.frames_heard={0: 1, 2: 0}"  # in between it is drawn for each utterance
    for devices, run in runs.items():
        process = train(run, trained, *NO_DROPOUT, heard, *steps(6, every=3), devices=devices)
        said = finish(process)
        assert process.returncode == 0, said
        assert said.count("prepared 12 clips") == said.count("acoustic validation at step 6") == 1, said
    for half in ("acoustic", "vocoder"):
        one, two = (load_file(run / half / "last.safetensors") for run in runs.values())
        for name in one:
            torch.testing.assert_close(
                two[name], one[name], rtol=2e-3, atol=2e-4, msg=lambda m, name=name: f"{name} {m}"
            )


def test_a_killed_process_ends_the_job_and_the_job_goes_on_exactly(trained, tmp_path):
    killed, straight = tmp_path / "killed", tmp_path / "straight"
    stage = "stages=[prepare,acoustic]"
    process = train(killed, trained, *steps(10**6, every=4), stage, devices=2)
    deadline = time.monotonic() + 120
    while not (killed / "acoustic" / "last.ckpt").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ours = [pid for pid in map(int, children) if b"train.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(ours[0], signal.SIGKILL)
    said = finish(process, seconds=30)
    assert process.returncode != 0
    assert "has lost another one" in said and f"python train.py recipe={killed}" in said, said
    saved = torch.load(killed / "acoustic" / "last.ckpt", weights_only=True)["global_step"]
    for run in (killed, straight):
        process = train(run, trained, *steps(saved + 2, every=4), stage, devices=2)
        said = finish(process)
        assert process.returncode == 0, said
    one, two = (load_file(run / "acoustic" / "last.safetensors") for run in (killed, straight))
    assert all(torch.equal(one[name], two[name]) for name in one)
