"""Judges whose models the user brings: asked through stand-ins that have the packages' interfaces."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

from tts.cli import main
from tts.evaluation.likeness import Likeness
from tts.evaluation.measures import Take, Text
from tts.evaluation.whisper import Whisper

TEXT = Text("1", "The cat sat.", "held out", ("the", "cat", "sat"), ())


class WhisperModel:
    """Hears as many words as there are tenths of a second, at 16 kHz."""

    def __init__(self, folder, *, device, compute_type, cpu_threads, local_files_only):
        assert local_files_only

    def transcribe(self, samples, *, language, temperature, condition_on_previous_text):
        words = ["The", "cat,", "sat", "ON", "it."][: round(len(samples) / 1600)]
        return iter([SimpleNamespace(text=f" {word}") for word in words]), None


class EncoderClassifier:
    """The embedding is the mean and the deviation of the wave."""

    @classmethod
    def from_hparams(cls, source, savedir):
        assert source == savedir
        return cls()

    def encode_batch(self, waves):
        return torch.stack([waves.mean(dim=1), waves.std(dim=1)], dim=1)[:, None]


@pytest.fixture
def packages(monkeypatch):
    for name, content in (
        ("faster_whisper", {"WhisperModel": WhisperModel}),
        ("speechbrain", {}),
        ("speechbrain.inference", {}),
        ("speechbrain.inference.speaker", {"EncoderClassifier": EncoderClassifier}),
    ):
        module = ModuleType(name)
        module.__dict__.update(content)
        module.__spec__ = SimpleNamespace(name=name)
        monkeypatch.setitem(sys.modules, name, module)


def test_whisper_hears_at_its_own_rate(packages, tmp_path):
    judge = Whisper(tmp_path)
    found = judge(Take(TEXT, "voice", torch.zeros(2205 * 5), 22050))
    assert found.parts == {"wer_whisper": (2, 3), "cer_whisper": (6, 11)}  # "on it" is too much
    assert found.notes == {"heard (Whisper)": "the cat sat on it"}
    assert judge(Take(TEXT, "voice", torch.zeros(4800), 16000)).parts["wer_whisper"] == (0, 3)


def test_likeness_is_the_cosine_to_the_recording(packages, tmp_path):
    judge = Likeness(tmp_path)
    torch.manual_seed(0)
    recording = torch.randn(16000)
    assert judge(Take(TEXT, "real", recording, 16000, recording)).parts["speaker_cosine"].amount == pytest.approx(1)
    shifted = judge(Take(TEXT, "voice", recording + 1, 16000, recording)).parts["speaker_cosine"].amount
    assert shifted == pytest.approx(0.5**0.5, abs=0.02)  # (1, 1) against (0, 1)
    assert judge(Take(TEXT, "voice", recording, 16000)).parts == {}


@pytest.mark.parametrize(("option", "package"), [("whisper", "faster_whisper"), ("likeness", "speechbrain")])
def test_a_model_that_is_not_there_is_told_at_once(trained, tmp_path, capsys, monkeypatch, packages, option, package):
    arguments = ["evaluate", f"voice={trained}", f"out={tmp_path / 'out'}"]
    assert main([*arguments, f"{option}={tmp_path / 'nowhere'}"]) == 2
    assert f"{option}={tmp_path / 'nowhere'}" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, package, None)
    assert main([*arguments, f"{option}={tmp_path}"]) == 2
    assert f'pip install "tts[{option}]"' in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
