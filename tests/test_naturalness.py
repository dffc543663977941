"""Predictors of ratings: used where their weights are, described where not, and never fetched from anywhere."""

import socket
import sys
import warnings
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.faults import noise
from tts.errors import ConfigError
from tts.evaluation import naturalness
from tts.evaluation.measures import Take, Text
from tts.evaluation.naturalness import RATE, UTMOS_WEIGHTS, Naturalness, dnsmos_spectrum

TEXT = Text("a", "", "held out", (), ())


class Loudness(nn.Module):
    def forward(self, wave: Tensor) -> Tensor:
        return wave.square().mean(dim=1)


class Seconds(nn.Module):
    def forward(self, wave: Tensor, sample_rate: int) -> Tensor:
        return torch.full((1,), wave.shape[1] / sample_rate)


class TwoScores(nn.Module):
    def forward(self, wave: Tensor) -> Tensor:
        return wave[:, :2]


class MeanOfSpectrum(nn.Module):
    """The interface of DNSMOS Pro: mean and variance."""

    def forward(self, spectrum: Tensor) -> Tensor:
        assert spectrum.shape == [1, 1, 1001, 161]
        mean = spectrum.mean().reshape(1, 1)
        return torch.cat([mean, torch.full_like(mean, 99.0)], dim=1)


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No network, empty caches."""

    def refuse(*_: object) -> None:
        raise AssertionError("something goes to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setattr(naturalness, "NISQA_WEIGHTS", str(tmp_path / "nisqa.tar"))


@pytest.fixture
def script(tmp_path):
    """Writes a module as a TorchScript file."""

    def write(module):
        path = tmp_path / f"{type(module).__name__}.pt"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.jit.script(module).save(str(path))
        return path

    return write


def take(wave, rate=RATE) -> Take:
    return Take(TEXT, "voice", wave, rate)


def tone(seconds=1.0, rate=RATE) -> Tensor:
    return 0.3 * torch.sin(2 * torch.pi * 200 * torch.arange(round(seconds * rate)) / rate)


def score(judge, name, wave, rate=RATE) -> float:
    amount, weight = judge(take(wave, rate)).parts[f"mos_{name}"]
    assert weight == 1
    return amount


def test_any_script_that_maps_a_wave_to_a_score(script):
    judge = Naturalness({"loud": script(Loudness())})
    assert "mos_loud" in [measure.name for measure in judge.measures]
    assert score(judge, "loud", tone()) == pytest.approx(0.045, rel=1e-3)


def test_a_script_may_want_the_rate_and_hears_16_khz(script):
    judge = Naturalness({"length": script(Seconds()), "loud": script(Loudness())})
    assert score(judge, "length", tone(1.5, 22050), 22050) == pytest.approx(1.5, abs=1e-3)
    assert score(judge, "loud", tone(1.5, 22050), 22050) == pytest.approx(0.045, rel=0.01)


def test_a_file_of_that_name_replaces_the_cache(script):
    assert score(Naturalness({"utmos": script(Loudness())}), "utmos", tone()) == pytest.approx(0.045, rel=1e-3)


def test_what_is_not_there_is_said_with_the_way_out():
    missing = Naturalness().missing()
    assert "mos.utmos=FILE" in missing["mos_utmos"]
    assert "mos.dnsmos_pro=FILE" in missing["mos_dnsmos_pro"]
    assert "nisqa.tar" in missing["mos_nisqa"] or "pip install" in missing["mos_nisqa"]


def test_a_known_package_that_is_absent_is_named(monkeypatch):
    monkeypatch.setattr(naturalness.importlib.util, "find_spec", lambda name: None)
    judge = Naturalness()
    assert judge.measures == ()
    assert 'pip install "tts[evaluate]"' in judge.missing()["mos_distillmos"]
    assert judge(take(tone())).parts == {}


@pytest.mark.parametrize("name", ["distillmos", "nisqa"])
def test_a_predictor_that_takes_no_file_says_so(tmp_path, name):
    with pytest.raises(ConfigError, match=f"mos.{name}=.*leave that argument out"):
        Naturalness({name: tmp_path / "weights.pt"})


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"mos\.mine=.*there is no such file"):
        Naturalness({"mine": tmp_path / "weights.pt"})


def test_a_file_that_is_no_script_is_an_error(tmp_path):
    (tmp_path / "weights.pt").write_bytes(b"no script")
    judge = Naturalness({"mine": tmp_path / "weights.pt"})
    with pytest.raises(ConfigError, match=r"mos\.mine=.*is no TorchScript file"):
        judge(take(tone()))


def test_a_script_that_gives_no_single_number_is_an_error(script):
    with pytest.raises(ConfigError, match=r"mos\.mine=.*gives no score"):
        Naturalness({"mine": script(TwoScores())})(take(tone()))


@pytest.mark.parametrize(
    "wave",
    [torch.zeros(0), torch.zeros(RATE), torch.rand(1000), torch.full((RATE,), torch.nan)],
    ids=["empty", "silent", "short", "nan"],
)
def test_what_is_no_speech_has_no_rating(script, wave):
    assert Naturalness({"loud": script(Loudness())})(take(wave)).parts == {}


def test_dnsmos_pro_hears_its_spectrogram_and_gives_the_mean(script):
    judge = Naturalness({"dnsmos_pro": script(MeanOfSpectrum())})
    wave = torch.randn(4 * RATE, generator=torch.Generator().manual_seed(0)) * 0.1
    assert score(judge, "dnsmos_pro", wave) == pytest.approx(float(dnsmos_spectrum(wave).mean()), rel=1e-5)


@pytest.mark.parametrize("seconds", [0.7, 4, 10, 12])
def test_the_spectrogram_of_dnsmos_pro_frame_by_frame(seconds):
    wave = 0.1 * np.random.default_rng(0).standard_normal(round(seconds * RATE))
    repeated = np.pad(np.tile(wave, 20)[: 10 * RATE], 160)  # centred frames
    frames = np.stack([repeated[start : start + 320] for start in range(0, 10 * RATE + 1, 160)])
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(320) / 320)
    expected = np.log10(np.clip(np.abs(np.fft.rfft(frames * window)), 1e-7, 1e7))
    found = dnsmos_spectrum(torch.from_numpy(wave).float())
    assert found.shape == (1, 1, 1001, 161)
    assert found[0, 0].numpy() == pytest.approx(expected, abs=2e-2)


HUBCONF = """
import torch


class Biased(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(1))

    def forward(self, wave, sr):
        assert wave.shape[0] == 1 and sr == 16000
        return self.bias + wave.shape[1] / sr


def utmos22_strong(progress=True, pretrained=True):
    assert not pretrained, "this would download"
    return Biased()
"""


def test_utmos_is_read_from_the_cache_of_torch_hub(tmp_path):
    repository, checkpoints = tmp_path / "hub/tarepan_SpeechMOS_v1.2.0", tmp_path / "hub/checkpoints"
    repository.mkdir(parents=True)
    checkpoints.mkdir()
    (repository / "hubconf.py").write_text(HUBCONF)
    assert "mos_utmos" in Naturalness().missing(), "the repository without its weights"
    torch.save({"bias": torch.tensor([2.5])}, checkpoints / UTMOS_WEIGHTS)
    judge = Naturalness()
    assert "mos_utmos" not in judge.missing()
    assert score(judge, "utmos", tone(1.5, 22050), 22050) == pytest.approx(4.0, abs=1e-3)


def test_nisqa_is_called_as_torchmetrics_wants_it(monkeypatch, tmp_path):
    """A stand-in for torchmetrics: five scores, the first of them the overall one; some clips it refuses."""
    seen = []

    def assess(preds, fs):
        seen.append((tuple(preds.shape), fs))
        if len(preds) < fs:
            raise RuntimeError("Input signal is too short.")
        return torch.tensor([3.5, 1.0, 1.0, 1.0, 1.0])

    stand_in = ModuleType("torchmetrics.functional.audio.nisqa")
    stand_in.non_intrusive_speech_quality_assessment = assess
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.audio.nisqa", stand_in)
    monkeypatch.setattr(naturalness.importlib.util, "find_spec", lambda name: None if "mos" in name else stand_in)
    (tmp_path / "nisqa.tar").write_bytes(b"weights")
    judge = Naturalness()
    assert score(judge, "nisqa", tone(1.5, 22050), 22050) == 3.5
    assert seen == [((33075,), 22050)]
    assert judge(take(tone(0.5))).parts == {}


def test_distillmos_likes_speech_better_without_noise(capsys):
    pytest.importorskip("distillmos")
    from tests.test_closeness import REAL
    from tts.audio.files import read_wave

    if not REAL.is_dir():
        pytest.skip("no real LJSpeech at ../shared/data/ljspeech-350")
    wave = read_wave(REAL / "wavs/LJ001-0013.flac", 22050)
    judge = Naturalness()
    clean, noisy = (score(judge, "distillmos", one, 22050) for one in (wave, noise(wave, snr_db=0)))
    assert 3 < clean <= 5
    assert 1 <= noisy < clean - 1
    assert capsys.readouterr().out == "", "it prints nothing of its own"
