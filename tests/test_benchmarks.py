"""Every benchmark starts and explains itself. What it measures is no test."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.benchmarks import data
from tests.test_data import AUDIO, corpus, recipe, run  # noqa: F401 - fixtures
from tts.audio.files import read_recording
from tts.data.manifest import load_prepared

BENCHMARKS = sorted((Path(__file__).parent / "benchmarks").glob("[!_]*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_it_starts_and_takes_quick_and_json(path):
    done = subprocess.run([sys.executable, path, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--quick" in done.stdout
    assert "--json" in done.stdout


def test_copies_of_a_clip_are_other_files_of_the_same_sound(tmp_path):
    soundfile.write(tmp_path / "clip.flac", 0.1 * np.sin(np.arange(4000)), 8000)
    root = data.copied([(tmp_path / "clip.flac", "one")], tmp_path / "corpus", 3)
    files = sorted((root / "wavs").iterdir())
    assert len({file.read_bytes() for file in files}) == len(files) == 3
    waves = {read_recording(file).wave.numpy().tobytes() for file in files}
    assert waves == {read_recording(tmp_path / "clip.flac").wave.numpy().tobytes()}


def test_a_manifest_that_is_made_longer_is_one_of_a_run(recipe, tmp_path, corpus):  # noqa: F811
    run(recipe, tmp_path, corpus)
    data.lengthen(tmp_path / "run", tmp_path / "longer", 57)
    clips = load_prepared(tmp_path / "longer", AUDIO, "letters").clips
    assert len(clips) == 57 == len({clip.id for clip in clips}) == len({clip.cache_file for clip in clips})
    assert sum(clip.split == "held_out" for clip in clips) == 1
