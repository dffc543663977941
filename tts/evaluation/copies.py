"""How close copies are to their recordings, frame by frame: cheap enough for every validation of a vocoder.

A copy is made from its recording's mel, so both begin together and nothing is warped. F0 and voicing are those of
`closeness` and need WORLD; the distance of log mels and the periodicity need nothing.

Shapes: T_wave samples, n_frames of 5 ms.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from tts.audio.files import Recording, resample
from tts.audio.mel import mel_spectrogram
from tts.evaluation.closeness import FRAME_MS, RATE, TOP_DB, compare_pitch, missing, pitch
from tts.settings import AudioConfig

WINDOW = 400  # samples at 16 kHz that are compared with as many later ones: 25 ms
LAGS = (40, 225)  # samples at 16 kHz: 400 to 71 Hz


class CopyFigures(NamedTuple):
    """The figures of some copies together; None where there is no WORLD, or no frame that is voiced in both."""

    mel_distance: float  # mean absolute difference of the log mels
    f0_error: float | None  # Hz, median over the frames that are voiced in both
    voicing_error: float | None  # share of frames that are voiced in one and not in the other
    periodicity_error: float  # root mean square, of periodicities between 0 and 1

    @property
    def known(self) -> dict[str, float]:
        """Those that could be told, by name."""
        return {name: value for name, value in self._asdict().items() if value is not None}

    def beside(self, title: str, other: "CopyFigures") -> str:
        """In words, with those of another: `mel distance 0.41 (Griffin-Lim 0.14), F0 error 3.1 Hz (1.2 Hz)`."""
        mine, theirs = _in_words(self), _in_words(other)
        named = [f"{name} {value} ({theirs.get(name, 'unknown')})" for name, value in mine.items()]
        return ", ".join(named).replace("(", f"({title} ", 1)


def _in_words(figures: CopyFigures) -> dict[str, str]:
    formats = {"mel_distance": "{:.2f}", "f0_error": "{:.1f} Hz", "voicing_error": "{:.0%}"}
    return {
        name.replace("_", " ").replace("f0", "F0"): formats.get(name, "{:.2f}").format(value)
        for name, value in figures.known.items()
    }


def why_no_pitch() -> str:
    """Why F0 and voicing cannot be told here; empty if they can."""
    return missing().get("f0_median_hz", "")


def compare_copies(made: Sequence[Tensor], recorded: Sequence[Tensor], audio: AudioConfig) -> CopyFigures:
    """Compare copies with the same stretches of their recordings. Both: (T_wave,) each, a whole number of frames."""
    # A young vocoder may produce what is no number; that is as far off as silence.
    waves = [(torch.nan_to_num(copy.float()), wave.float()) for copy, wave in zip(made, recorded, strict=True)]
    mels = [(mel_spectrogram(copy, audio) - mel_spectrogram(wave, audio)).abs().flatten() for copy, wave in waves]
    at_rate = [[resample(Recording(wave, audio.sample_rate), RATE).double() for wave in pair] for pair in waves]
    periodicities = [periodicity(copy) - periodicity(wave) for copy, wave in at_rate]
    parts = {}
    if not why_no_pitch():
        pitches = [[pitch(wave.numpy())[0] for wave in pair] for pair in at_rate]
        parts = compare_pitch(*(np.concatenate(side) for side in zip(*pitches, strict=True)))
    told = {name: part.amount / part.weight for name, part in parts.items()}
    return CopyFigures(
        mel_distance=float(torch.cat(mels).mean()),
        f0_error=told.get("f0_median_hz"),
        voicing_error=told.get("vuv_error"),
        periodicity_error=float(np.sqrt(np.square(np.concatenate(periodicities)).mean())),
    )


def periodicity(wave: Tensor) -> NDArray[np.float64]:
    """(n_frames,) the largest normalised cross-correlation (Talkin 1995) of a frame with itself one period later.

    Between 0 and 1; 0 where a frame is TOP_DB below the loudest, since there is nothing to repeat.

    Args:
        wave: (T_wave,) float64 at 16 kHz.
    """
    shortest, longest = LAGS
    frames = F.pad(wave, (0, WINDOW + longest)).unfold(0, WINDOW + longest, round(RATE * FRAME_MS / 1000))
    n_fft = 2 * (WINDOW + longest)
    spectra = torch.fft.rfft(frames[:, :WINDOW], n_fft).conj() * torch.fft.rfft(frames, n_fft)
    products = torch.fft.irfft(spectra, n_fft)[:, shortest : longest + 1]  # (n_frames, lags)
    sums = F.pad(frames.square().cumsum(dim=1), (1, 0))
    energies = sums[:, WINDOW:] - sums[:, :-WINDOW]  # (n_frames, longest + 1) of the window that begins at each lag
    scale = (energies[:, :1] * energies[:, shortest:]).clamp_min(1e-20).sqrt()
    loud = energies[:, 0] > energies[:, 0].max() * 10 ** (-TOP_DB / 10)
    found: NDArray[np.float64] = ((products / scale).amax(dim=1).clamp(0, 1) * loud).numpy()
    return found
