"""What every clip is put through before a model sees it: rumble and noise out, silence trimmed, loudness made the same.

Shapes: T_wave samples.
"""

import math
from dataclasses import astuple, dataclass, fields, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from tts.audio.denoise import NOISY, missing, reduce_noise
from tts.audio.loudness import change_loudness, loudness, peak_of
from tts.audio.silence import Capped, Cut, cap_pauses, noise_floor, trim_silence
from tts.errors import ConfigError
from tts.settings import DataConfig

ROLL_OFF = 8  # power with which the high-pass falls: as a Butterworth filter of fourth order, there and back
FULL_SCALE = 0.999  # of samples that count as clipped
RING = 0.5  # seconds of silence in which the high-pass may ring at the ends


@dataclass(frozen=True)
class Cleaning:
    """The settings of cleaning. Those that are off are not part of `key`, so that new ones leave old entries valid."""

    trim_db: float
    keep_silence: float
    high_pass: float = 0.0
    max_pause: float = 0.0
    true_peak: float = 0.0
    reduce_noise: str = "never"

    @classmethod
    def of(cls, data: DataConfig) -> "Cleaning":
        """Those of a recipe; `auto` leaves noise alone where the library is missing, and the report says so.

        Raises:
            ConfigError: if noise is to be reduced always, and the library is missing.
        """
        settings = cls(**{field.name: getattr(data, field.name) for field in fields(cls)})
        reason = missing() if settings.reduce_noise != "never" else ""
        if reason and settings.reduce_noise == "always":
            raise ConfigError(f"data.reduce_noise=always, but {reason}")
        return replace(settings, reduce_noise="never") if reason else settings

    @property
    def key(self) -> list[Any]:
        """All that changes what comes out."""
        always, extra = [float(self.trim_db), float(self.keep_silence)], astuple(self)[2:]
        off = [field.default for field in fields(self)[2:]]
        names = [field.name for field in fields(self)[2:]]
        on = {name: value for name, value, none in zip(names, extra, off, strict=True) if value != none}
        return [*always, on] if on else always


class Cleaned(NamedTuple):
    """A clip as models see it, and what was done."""

    wave: Tensor  # (T_wave,)
    start_sample: int  # of the whole
    cuts: tuple[Cut, ...]  # in samples from there
    loudness: float  # LUFS, before it was changed
    noise_floor: float  # dB below the loudest, before noise was reduced
    noise_reduced: float  # dB by which the floor fell; 0: noise was left as it is
    rumble: float  # dB of what the high-pass took away, against all that was there
    held_back: float  # dB that the clip is softer than wanted, for its peaks


def clean(wave: Tensor, sample_rate: int, target_lufs: float, cleaning: Cleaning) -> Cleaned:
    """All of it. wave: (T_wave,) float in [-1, 1].

    Raises:
        AudioError: if there is nothing but silence.
    """
    passed = high_pass(wave, sample_rate, cleaning.high_pass) if cleaning.high_pass else wave
    trimmed = trim_silence(passed, sample_rate, cleaning.trim_db, cleaning.keep_silence)
    floor = noise_floor(trimmed.wave, sample_rate)
    noisy = cleaning.reduce_noise == "always" or (cleaning.reduce_noise == "auto" and floor > NOISY)
    quiet = reduce_noise(passed, sample_rate) if noisy else passed
    if noisy:  # silence ends elsewhere where noise no longer fills it
        trimmed = trim_silence(quiet, sample_rate, cleaning.trim_db, cleaning.keep_silence)
    fallen = floor - noise_floor(trimmed.wave, sample_rate) if noisy else 0.0
    spoken, cuts = Capped(trimmed.wave, ())
    if cleaning.max_pause:
        spoken, cuts = cap_pauses(spoken, sample_rate, cleaning.trim_db, cleaning.max_pause)
    measured = loudness(spoken, sample_rate)
    levelled = change_loudness(spoken, measured, target_lufs, cleaning.true_peak)
    gain = 20 * math.log10(peak_of(levelled) / peak_of(spoken))
    rumble = _share_db(wave - passed, wave) if cleaning.high_pass else -math.inf
    held_back = max(0.0, target_lufs - measured - gain)
    return Cleaned(levelled, trimmed.start_sample, cuts, measured, floor, fallen, rumble, held_back)


def high_pass(wave: Tensor, sample_rate: int, cutoff: float) -> Tensor:
    """(T_wave,) without its direct current and with what lies below `cutoff` Hz turned down, in no phase moved."""
    size = len(wave) + round(RING * sample_rate)
    hertz = torch.arange(size // 2 + 1) * (sample_rate / size)
    response = 1 / (1 + (cutoff / hertz.clamp_min(1e-9)) ** ROLL_OFF)  # at 0 Hz: nothing is left
    # The mean is taken out first: it would make a step at the ends, where silence follows.
    spectrum = torch.fft.rfft(F.pad(wave - wave.mean(), (0, size - len(wave))))
    passed: Tensor = torch.fft.irfft(spectrum * response, size)[: len(wave)]
    return passed


def clipping_share(wave: Tensor) -> float:
    """Share of samples that stand at full scale. Measure before resampling, which moves them off it."""
    return int(torch.count_nonzero(wave.abs() >= FULL_SCALE)) / len(wave) if peak_of(wave) >= FULL_SCALE else 0.0


def _share_db(part: Tensor, whole: Tensor) -> float:
    energy = float(part.square().sum() / whole.square().sum().clamp_min(1e-20))
    return 10 * math.log10(energy) if energy > 0 else -math.inf
