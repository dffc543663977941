"""The demo chain end to end, at toy size: espeak-ng speaks, both halves train, everything is measured and printed."""

import re

import pytest
import soundfile

from tests.toy import SMALL, steps
from tts.cli import main

pytest.importorskip("espeakng_loader")


def test_the_demo_chain_ends_to_end(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sizes = [key for key in SMALL if not key.startswith(("audio=", "acoustic=", "vocoder=", "trainer=", "data.held"))]
    arguments = ["demo", "data.n_sentences=14", "data.held_out=2", *sizes, *steps(3)]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert re.search(r"aligned at step \d+|did not align within 3 steps", said)
    error = re.search(r"mean absolute error (\d+\.\d) ms, over (\d+) phonemes of 2 held-out sentences", said)
    assert error
    assert 0 < float(error[1]) < 3000
    assert int(error[2]) > 10
    assert re.search(r"stopped by themselves: \d of 2", said)
    assert re.search(r"every word attended, in order: \d of 2", said)
    spoken = re.findall(r"^(\S+\.wav): WaveNet says '(.+)'$", said, re.MULTILINE)
    assert len(spoken) == 2
    for path, _ in spoken:
        wave, sample_rate = soundfile.read(path)
        assert sample_rate == 16000
        assert abs(wave).max() > 0
    assert "tensorboard --logdir runs" in said
    assert (tmp_path / "runs/demo/speech/alignment.png").is_file()
    assert main(arguments) == 0  # a finished demo measures again
    assert "already trained" in capsys.readouterr().out
