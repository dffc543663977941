"""Two processes train; one is killed at a random step. The job ends with a clear error, and goes on exactly.

Local files, shards and rows over HTTP: each process has its share of the very batches that one process would have had.
"""

import hashlib
import json
import os
import subprocess
import sys
from itertools import islice

import pytest

from tests.serving import serving
from tests.test_streaming_kill import served
from tests.toy import SMALL
from tts.config import load_recipe
from tts.data.loaders import acoustic_loader
from tts.data.manifest import load_prepared
from tts.data.part import WHOLE, Part
from tts.data.stream import AcousticBatching, stream_loader
from tts.data.streamed import open_streamed
from tts.text.frontend import Frontend

STEPS = 56
# Starts two processes as torchrun does, though by forks of one that has imported everything; kills one of them when
# both have begun a step that is drawn; starts them again. Each writes down a hash of each of its batches.
PROGRAM = """
import hashlib, json, os, random, signal, socket, sys, time
from pathlib import Path
from tts.cli import main
from tts.training.acoustic import AcousticTask

folder, arguments = Path(sys.argv[1]), sys.argv[2:]
train_on = AcousticTask.losses

def told(task, batch):
    with (folder / f"told{os.environ['RANK']}").open("a") as file:
        file.write(f"{task.batches_seen} {hashlib.sha256(batch.mel.numpy().tobytes()).hexdigest()} {batch.ids}\\n")
    return train_on(task, batch)

def start():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    ours = []
    for rank in "01":
        pid = os.fork()
        if pid == 0:
            os.environ.update(RANK=rank, LOCAL_RANK=rank, GROUP_RANK="0", WORLD_SIZE="2", LOCAL_WORLD_SIZE="2",
                              MASTER_ADDR="127.0.0.1", MASTER_PORT=port, TORCHELASTIC_RUN_ID="test")
            said = os.open(folder / f"said{rank}", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            os.dup2(said, 1)
            os.dup2(said, 2)
            os._exit(main(arguments))
        ours.append(pid)
    return ours

def n_told(rank):
    path = folder / f"told{rank}"
    return len(path.read_text().splitlines()) if path.exists() else 0

AcousticTask.losses = told
ours = start()
last = random.randint(6, 14)
while min(n_told(0), n_told(1)) < last:
    assert os.waitpid(-1, os.WNOHANG) == (0, 0), "they train until one is killed"
    time.sleep(0.005)
killed = random.randint(0, 1)
os.kill(ours[killed], signal.SIGKILL)
began = time.monotonic()
codes = {rank: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for rank, pid in enumerate(ours)}
seconds = time.monotonic() - began
for rank in "01":
    (folder / f"told{rank}").rename(folder / f"before{rank}")
ended = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in start()]
print(json.dumps({"killed": killed, "codes": codes, "seconds": seconds, "ended": ended}))
"""


def expected_batches(recipe, run, part):
    """The first batches of a part, as the program writes them down."""
    stage = recipe.trainer.acoustic
    streamed = open_streamed(recipe, frontend := Frontend(recipe.text))
    if streamed:
        source = streamed.source(streamed.prepare(run), run)
        loader = stream_loader(source, AcousticBatching(recipe.audio, stage), 0, part=part)
    else:
        prepared = load_prepared(run, recipe.audio, frontend.fingerprint)
        loader = acoustic_loader(
            prepared.split("train"), recipe.audio, stage, recipe.seed, speakers=prepared.speakers, part=part
        )
    return list(islice(loader, STEPS))


def as_told(batches):
    return [
        f"{number} {hashlib.sha256(batch.mel.numpy().tobytes()).hexdigest()} {batch.ids}"
        for number, batch in enumerate(batches)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["local", "shards", "rows"])
def test_a_killed_process_ends_the_job_which_goes_on_with_the_very_next_batches(way, tmp_path):
    with serving(served(way, tmp_path)) as server:
        where = {
            "local": [f"data.root={tmp_path / 'corpus'}", f"data.cache={tmp_path / 'cache'}"],
            "shards": [f"data.shards={server.address}"],
            "rows": [
                "data.corpus=huggingface",
                "data.stream=true",
                f"data.root={server.address}/part-{{0..1}}.parquet",
            ],
        }[way]
        stage = {"max_steps": STEPS, "checkpoint_every": 4, "validate_every": 100_000}
        overrides = [*SMALL, *(f"trainer.acoustic.{key}={value}" for key, value in stage.items()), *where]
        overrides += ["stages=[prepare,acoustic]", "data.window=8"]
        script, run = tmp_path / "program.py", tmp_path / "run"
        script.write_text(PROGRAM)
        command = [sys.executable, str(script), str(tmp_path), "train", "recipe=own", f"run={run}", *overrides]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        result = subprocess.run(
            [*command, "trainer.devices=2"],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env=environment,
            timeout=1800,
        )
        recipe = load_recipe("own", overrides)
        whole, *shares = (expected_batches(recipe, run, part) for part in (WHOLE, Part(0, 2), Part(1, 2)))
    found = json.loads(result.stdout)
    assert found["ended"] == [0, 0], (tmp_path / "said0").read_text()
    assert found["codes"][str(found["killed"])] == -9 and found["codes"][str(1 - found["killed"])] == 2
    said = (tmp_path / f"said{1 - found['killed']}").read_text()
    assert "has lost another one" in said and f"python train.py recipe={run}" in said, said
    assert found["seconds"] < 60  # less than one on an idle machine
    for rank, share in enumerate(shares):
        before, after = ((tmp_path / f"{name}{rank}").read_text().splitlines() for name in ("before", "told"))
        assert before == as_told(share)[: len(before)]
        first = int(after[0].split()[0])
        assert 0 < first <= len(before) and after == as_told(share)[first:]
    for batch, *each in zip(whole, *shares, strict=True):
        assert sorted(batch.ids) == sorted(id_ for share in each for id_ in share.ids)
