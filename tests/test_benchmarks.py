"""Every benchmark starts and explains itself. What it measures is no test."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.benchmarks import _gpu_training, acoustic, data
from tests.benchmarks._peers import total, training_step
from tests.replays import replaying
from tests.test_acoustic_contract import make_batch, make_model
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


def small(batch, r):
    model = make_model("tacotron2", "location_sensitive", reduction=r).train()

    def loss():
        out = model(batch)
        return total(out.mel_before, out.mel, out.stop_logit, batch, r)

    return training_step(model, loss)


def test_training_on_a_gpu_is_measured_both_ways(monkeypatch, capsys):
    monkeypatch.setattr(_gpu_training, "torchaudios", lambda batch: small(batch, 1))
    before = torch.get_float32_matmul_precision()
    with replaying() as replays:
        figures = _gpu_training.measure(make_batch([4, 9], [8, 6]), small, rounds=1)
    assert torch.get_float32_matmul_precision() == before
    assert replays.n_recorded == 2 * 5  # loops of all models, the peer's too, but for those that go step by step
    assert "ours r=2 bf16" in capsys.readouterr().out
    for r in (1, 2):
        assert {f"gpu_frames_per_s_r{r}{way}" for way in ("", "_step_by_step", "_bf16")} < set(figures)
    ratio = figures["gpu_frames_per_s_r1"] / figures["gpu_frames_per_s_torchaudio_r1"]
    assert figures["gpu_train_ratio_torchaudio_r1"] == pytest.approx(ratio)
    ratio = figures["gpu_frames_per_s_r2"] / figures["gpu_frames_per_s_torchaudio_r1"]
    assert figures["gpu_train_ratio_torchaudio_default"] == pytest.approx(ratio)


def test_without_a_gpu_its_training_is_left_out(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert acoustic.measure_on_gpu(1, quick=True) == {}
    assert capsys.readouterr().out == "training on a GPU: left out, torch sees no CUDA device\n"
