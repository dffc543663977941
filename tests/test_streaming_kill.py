"""A training that streams over HTTP is killed, and goes on with the very batches that it would have had."""

import hashlib
import random
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest

from tests.serving import serving
from tests.toy import SMALL, write_corpus
from tts.cli import main
from tts.config import load_recipe
from tts.data.stream import AcousticBatching, stream_loader
from tts.data.streamed import open_streamed
from tts.text.frontend import Frontend

# Writes down a hash of each batch that is trained on, by its number.
PROGRAM = """
import hashlib, sys
from pathlib import Path
from tts.training.acoustic import AcousticTask

train_on = AcousticTask.losses

def told(task, batch):
    with Path(sys.argv[1]).open("a") as file:
        file.write(f"{task.batches_seen} {hashlib.sha256(batch.mel.numpy().tobytes()).hexdigest()} {batch.ids}\\n")
    return train_on(task, batch)

AcousticTask.losses = told
from tts.cli import main
sys.exit(main(sys.argv[2:]))
"""
STEPS = 66
TRAINING = [f"trainer.acoustic.max_steps={STEPS}", "trainer.acoustic.checkpoint_every=4"]
VOCODER = [f"trainer.vocoder.{key}=3" for key in ("max_steps", "checkpoint_every", "validate_every")]
OVERRIDES = [*SMALL, *TRAINING, "trainer.acoustic.validate_every=100000", *VOCODER, "data.window=8"]


def write_parquet(corpus: Path, folder: Path) -> None:
    """Two files of the clips of a corpus."""
    arrow, table = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    lines = [line.split("|") for line in (corpus / "metadata.csv").read_text().splitlines()]
    rows = [
        {"audio": {"bytes": (corpus / "wavs" / f"{name}.wav").read_bytes(), "path": f"{name}.wav"}, "text": text}
        for name, text in lines
    ]
    folder.mkdir()
    for file in range(2):
        table.write_table(arrow.Table.from_pylist(rows[file::2]), folder / f"part-{file}.parquet")


def served(way: str, tmp_path: Path) -> Path:
    """The folder that the web server serves."""
    corpus = write_corpus(tmp_path / "corpus")
    if way == "rows":
        pytest.importorskip("datasets")
        write_parquet(corpus, tmp_path / "parquet")
        return tmp_path / "parquet"
    if way == "local":
        return corpus
    command = ["train", "recipe=own", f"data.root={corpus}", f"data.cache={tmp_path / 'cache'}", *SMALL]
    assert main([*command, f"run={tmp_path / 'made'}", "stages=[prepare]", "data.format=shards"]) == 0
    return tmp_path / "made/data/shards"


@pytest.mark.slow
@pytest.mark.parametrize("way", ["shards", "rows"])
def test_a_killed_training_goes_on_with_the_very_next_batch(way, tmp_path):
    with serving(served(way, tmp_path)) as server:
        where = [f"data.shards={server.address}"]
        if way == "rows":
            where = ["data.corpus=huggingface", "data.stream=true", f"data.root={server.address}/part-{{0..1}}.parquet"]
        arguments = ["recipe=own", f"run={tmp_path / 'run'}", *OVERRIDES, *where]
        script, told = tmp_path / "program.py", tmp_path / "told.txt"
        script.write_text(PROGRAM)
        command = [sys.executable, str(script), str(told), "train", *arguments]
        last = random.Random().randint(6, 14)
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as training:
            while not told.exists() or len(told.read_text().splitlines()) < last:
                assert training.poll() is None, "it trains until it is killed"
                time.sleep(0.005)
            training.kill()
        before = told.read_text().splitlines()
        told.unlink()
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        after = told.read_text().splitlines()
        recipe = load_recipe("own", [*OVERRIDES, *where])
        streamed = open_streamed(recipe, Frontend(recipe.text))
        source = streamed.source(streamed.prepare(tmp_path / "run"), tmp_path / "run")
        loader = stream_loader(source, AcousticBatching(recipe.audio, recipe.trainer.acoustic), 0)
        expected = [
            f"{number} {hashlib.sha256(batch.mel.numpy().tobytes()).hexdigest()} {batch.ids}"
            for number, batch in enumerate(islice(loader, STEPS))
        ]
    assert before == expected[: len(before)]
    first = int(after[0].split()[0])
    assert 0 < first <= len(before) and len(after) >= 50
    assert after == expected[first:]
    assert (tmp_path / "run/vocoder/best.safetensors").is_file(), "the other half is trained from the stream too"
