"""How natural a take sounds, as networks predict that listeners would rate it (mean opinion score, 1 to 5).

A predictor is used where its weights are there already: inside an installed package, in a cache, or in a file that
the command line names (`mos.utmos=FILE`). Nothing is ever downloaded.

Such scores rank systems that sound alike only roughly, and none was trained on the takes of this evaluation: read them
beside the other measures. distillmos was tried on real speech with its own weights. UTMOS and DNSMOS Pro follow the
sources that they name, and were tried with networks of the same interface, not with the published weights; of NISQA
only the call of torchmetrics was.

Shapes: T_wave samples.
"""

import contextlib
import importlib
import importlib.util
import io
import math
import warnings
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from tts.audio.backend import load_torchaudio
from tts.audio.files import Recording, resample
from tts.errors import ConfigError
from tts.evaluation.measures import Finding, Measure, Part, Take

RATE = 16000  # Hz, of every predictor but NISQA
SHORTEST = 0.1  # seconds that a predictor can take in
SILENCE = 1e-4  # of a wave's largest sample; a rating of nothing means nothing
UTMOS_WEIGHTS = "utmos22_strong_step7459_v1.pt"  # release v1.0.0 of github.com/tarepan/SpeechMOS
NISQA_WEIGHTS = "~/.torchmetrics/NISQA/nisqa.tar"  # where torchmetrics looks before it downloads


class Predictor(Protocol):
    """Predicts the rating of a wave."""

    name: str

    def missing(self) -> str:
        """Why it cannot be used, and the way out; empty if it can."""
        ...

    def score(self, wave: Tensor, sample_rate: int) -> float:
        """The rating of (T_wave,) in [-1, 1], NaN where it has none; weights are read at the first call."""
        ...


class Naturalness:
    """Rates takes by every predictor that is there: measures `mos_distillmos`, `mos_utmos`, ..."""

    def __init__(self, weights: Mapping[str, Path] | None = None, rated: Collection[str] | None = None) -> None:
        """Look for the predictors; reads no weights yet.

        Args:
            weights: predictor -> file. Any other name is a TorchScript file that maps (1, T_wave) at 16 kHz to a score.
            rated: ids of the texts whose takes are rated; None: all.

        Raises:
            ConfigError: if a file is not there, or its predictor takes none.
        """
        found = predictors(weights or {})
        self._predictors = [predictor for predictor in found if not predictor.missing()]
        self._missing = {f"mos_{p.name}": p.missing() for p in found if p.missing()}
        self._rated = rated
        self.measures = tuple(_measure(predictor.name) for predictor in self._predictors)

    def missing(self) -> dict[str, str]:
        """Measure -> why it cannot be told here, and the way out."""
        return dict(self._missing)

    def __call__(self, take: Take) -> Finding:
        """Rate one take; what is silent or shorter than 0.1 seconds has no rating."""
        if self._rated is not None and take.text.id not in self._rated:
            return Finding({})
        wave = take.wave.detach().cpu().float()
        if len(wave) < SHORTEST * take.sample_rate or not bool(torch.isfinite(wave).all()):
            return Finding({})
        if float(wave.abs().max()) < SILENCE:
            return Finding({})
        scores = {f"mos_{p.name}": p.score(wave, take.sample_rate) for p in self._predictors}
        return Finding({name: Part(score) for name, score in scores.items() if math.isfinite(score)})


def predictors(weights: Mapping[str, Path]) -> list[Predictor]:
    """The known predictors, then one for every other name; raises ConfigError as `Naturalness` does."""
    for name, path in weights.items():
        if name in ("distillmos", "nisqa"):
            own = "brings its weights with its package" if name == "distillmos" else f"reads {NISQA_WEIGHTS}"
            raise ConfigError(f"mos.{name}={path}: {name} {own}; leave that argument out")
        if not path.is_file():
            raise ConfigError(f"mos.{name}={path}: there is no such file")
    return [
        DistillMOS(),
        TorchScript("utmos", weights["utmos"]) if "utmos" in weights else UTMOS(),
        NISQA(),
        DNSMOSPro(weights.get("dnsmos_pro")),
        *(TorchScript(name, path) for name, path in weights.items() if name not in ("utmos", "dnsmos_pro")),
    ]


class DistillMOS:
    """DistillMOS (Stahl and Gamper 2025, arXiv:2502.05356); the wheel holds its weights, MIT licence."""

    name = "distillmos"

    def __init__(self) -> None:
        self._model: Callable[[Tensor], Tensor] | None = None

    def missing(self) -> str:
        """Why it cannot be used, and the way out; empty if it can."""
        absent = [package for package in ("distillmos", "xls_r_sqa") if importlib.util.find_spec(package) is None]
        return f'{" and ".join(absent)} not installed; pip install "tts[evaluate]"' if absent else ""

    def score(self, wave: Tensor, sample_rate: int) -> float:
        """The rating of (T_wave,)."""
        if self._model is None:
            load_torchaudio()  # which the package imports, and which may lack its extension
            with contextlib.redirect_stdout(io.StringIO()):  # it prints where its weights lie
                self._model = importlib.import_module("distillmos").ConvTransformerSQAModel().eval()
        return _score(self._model, _at_rate(wave, sample_rate)[None])


class UTMOS:
    """UTMOS strong learner (Saeki et al. 2022, arXiv:2204.02152), as torch.hub cached it: tarepan/SpeechMOS, MIT."""

    name = "utmos"

    def __init__(self) -> None:
        self._model: Callable[[Tensor], Tensor] | None = None

    def missing(self) -> str:
        """Why it cannot be used, and the way out; empty if it can."""
        if self._repository() is None or not self._weights().is_file():
            return (
                f"neither mos.utmos=FILE (TorchScript) nor tarepan_SpeechMOS* and checkpoints/{UTMOS_WEIGHTS} "
                f"in {torch.hub.get_dir()}"
            )
        return ""

    def score(self, wave: Tensor, sample_rate: int) -> float:
        """The rating of (T_wave,)."""
        if self._model is None:
            self._model = self._load()
        return _score(self._model, _at_rate(wave, sample_rate)[None])

    def _load(self) -> Callable[[Tensor], Tensor]:
        load_torchaudio()
        # With `pretrained` the repository would fetch its weights.
        hub: Any = torch.hub
        model = hub.load(str(self._repository()), "utmos22_strong", source="local", pretrained=False)
        model.load_state_dict(torch.load(self._weights(), map_location="cpu", weights_only=True))
        model.eval()
        return lambda wave: model(wave, RATE)

    @staticmethod
    def _weights() -> Path:
        return Path(torch.hub.get_dir()) / "checkpoints" / UTMOS_WEIGHTS

    @staticmethod
    def _repository() -> Path | None:
        """The newest cached version."""
        versions = sorted(path.parent for path in Path(torch.hub.get_dir()).glob("tarepan_SpeechMOS*/hubconf.py"))
        return versions[-1] if versions else None


class NISQA:
    """NISQA 2.0 (Mittag et al. 2021, arXiv:2104.09494), overall quality, by torchmetrics; weights CC BY-NC-SA 4.0."""

    name = "nisqa"

    def missing(self) -> str:
        """Why it cannot be used, and the way out; empty if it can."""
        absent = [name for name in ("torchmetrics", "librosa", "requests") if importlib.util.find_spec(name) is None]
        if absent:
            return f"not installed: {', '.join(absent)}; pip install torchmetrics librosa requests"
        return "" if Path(NISQA_WEIGHTS).expanduser().is_file() else f"no weights in {NISQA_WEIGHTS}; put them there"

    def score(self, wave: Tensor, sample_rate: int) -> float:
        """The rating of (T_wave,); NaN for a clip shorter or longer (52 seconds) than it takes."""
        nisqa: Any = importlib.import_module("torchmetrics.functional.audio.nisqa")
        try:
            return float(nisqa.non_intrusive_speech_quality_assessment(wave, sample_rate)[0])
        except RuntimeError:
            return math.nan


class TorchScript:
    """Any TorchScript file that maps (1, T_wave) at 16 kHz, or that and the rate, to one score."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path
        self._model: Callable[[Tensor], Tensor] | None = None

    def missing(self) -> str:
        """Why it cannot be used, and the way out; empty if it can."""
        return ""

    def score(self, wave: Tensor, sample_rate: int) -> float:
        """The rating of (T_wave,); raises ConfigError if the file does not load or gives no single number."""
        if self._model is None:
            model = load_script(self.name, self.path)
            with_rate = len(model.forward.schema.arguments) > 2  # besides itself and the wave
            self._model = (lambda wave: model(wave, RATE)) if with_rate else model
        try:
            return _score(self._model, _at_rate(wave, sample_rate)[None])
        except (RuntimeError, ValueError) as error:  # of the script; of a tensor that is no single number
            reason = str(error).strip().splitlines()[-1]
            raise ConfigError(f"mos.{self.name}={self.path}: gives no score for a wave of 16 kHz: {reason}") from None


class DNSMOSPro:
    """DNSMOS Pro (Cumlin et al. 2024), a `model_best.pt` of github.com/fcumlin/DNSMOSPro, MIT licence.

    Its input is (1, 1, n_frames, 161): log10 of the magnitudes between 1e-7 and 1e7 of librosa's default STFT with 320
    samples every 160 at 16 kHz (`stft` in its utils.py), of a clip repeated and cut to 10 seconds (`repetitive_crop` in
    its audio.py). Its output is (1, 2): mean and variance of the rating (README.md).
    """

    name = "dnsmos_pro"

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._model: Callable[[Tensor], Tensor] | None = None

    def missing(self) -> str:
        """Why it cannot be used, and the way out; empty if it can."""
        return "" if self.path else "no weights; name a model_best.pt of fcumlin/DNSMOSPro by mos.dnsmos_pro=FILE"

    def score(self, wave: Tensor, sample_rate: int) -> float:
        """The mean rating of (T_wave,)."""
        if self._model is None:
            assert self.path is not None
            self._model = load_script(self.name, self.path)
        with torch.inference_mode():
            rating = self._model(dnsmos_spectrum(_at_rate(wave, sample_rate)))  # (1, 2)
        return float(rating[0, 0])


def dnsmos_spectrum(wave: Tensor) -> Tensor:
    """(T_wave,) at 16 kHz -> (1, 1, 1001, 161), the input of DNSMOS Pro."""
    repeated = wave.repeat(-(-10 * RATE // len(wave)))[: 10 * RATE]
    spectrum = torch.stft(
        repeated, 320, 160, window=torch.hann_window(320), center=True, pad_mode="constant", return_complex=True
    )
    return spectrum.abs().clamp(1e-7, 1e7).log10().T[None, None]


def load_script(name: str, path: Path) -> Any:
    """A TorchScript module, ready to score; raises ConfigError if the file is none."""
    jit: Any = torch.jit
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # the published weights come in this format
        try:
            return jit.load(str(path), map_location="cpu").eval()
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ConfigError(f"mos.{name}={path}: is no TorchScript file: {reason}") from None


def _score(model: Callable[[Tensor], Tensor], wave: Tensor) -> float:
    with torch.inference_mode():
        return float(model(wave))


def _at_rate(wave: Tensor, sample_rate: int) -> Tensor:
    return resample(Recording(wave.detach().cpu().float(), sample_rate), RATE)


def _measure(name: str) -> Measure:
    meaning = f"The mean opinion score, 1 to 5, that {name} predicts for a listener."
    return Measure(f"mos_{name}", f"predicted MOS ({name})", "MOS", "higher", "mean", meaning)
