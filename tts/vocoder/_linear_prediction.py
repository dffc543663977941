"""Linear prediction, fixed or with coefficients from the mel (Valin and Skoglund 2019, arXiv:1810.11846, section 3.1).

The spectral envelope is known to whoever has the mel, so a network need not learn it: it models the excitation that is
left over, like ExcitNet (Song et al. 2018, arXiv:1811.04769), and a filter puts the envelope back.

Shapes: B batch, T_mel frames, T_wave samples, K order of the prediction.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tts import native
from tts.audio.mel import mel_filters
from tts.settings import AudioConfig

RANGE = 12.0  # excitation of this many standard deviations is full scale; glottal pulses reach 8 to 11
LAG_HZ = 40.0  # the autocorrelation is tapered as if each resonance were this much wider
NOISE = 1e-4  # white noise added to the spectrum, relative to its power
LEAST_VARIANCE = 1e-9  # of what is left over: digital silence must not become a loud excitation


class Envelope(NamedTuple):
    """The prediction filter of each frame."""

    coefficients: Tensor  # (B, T_mel, K) float32, of the sample before, of the one before that, ...
    gain: Tensor  # (B, T_mel) float32 standard deviation of what the prediction leaves over, times RANGE


class Prediction(nn.Module, ABC):
    """Wave to excitation and back. Nothing in it is learned."""

    order: int  # samples of the past that a prediction sees
    hop_length: int

    @abstractmethod
    def analyse(self, mel: Tensor) -> Envelope:
        """The filters. mel: (B, n_mels, T_mel) contract units."""

    def excitation(self, wave: Tensor, mel: Tensor) -> Tensor:
        """What of each sample its past and the mel do not predict. wave: (B, T_wave); mel: (B, n_mels, T_mel)."""
        coefficients, gain = self.analyse(mel)
        past = F.pad(wave, (self.order, -1)).unfold(1, self.order, 1)  # (B, T_wave, K), oldest first
        by_frame = past.reshape(*gain.shape, self.hop_length, self.order)
        with torch.autocast(wave.device.type, enabled=False):
            predicted = (by_frame @ coefficients.flip(2)[:, :, :, None]).squeeze(3)  # (B, T_mel, hop)
        left = wave.view_as(predicted) - predicted
        return (left / gain[:, :, None]).flatten(1)

    def synthesise(self, excitation: Tensor, mel: Tensor, past: Tensor | None = None) -> Tensor:
        """The wave whose excitation this is, (B, T_wave); the inverse of `excitation`.

        Args:
            excitation: (B, T_wave). mel: (B, n_mels, T_mel) contract units.
            past: (B, order) the wave before, which may be silence.
        """
        envelope = self.analyse(mel)
        if past is None:
            past = excitation.new_zeros(len(excitation), self.order)
        if excitation.device.type != "cpu":
            return _solve(excitation, envelope, past)

        recur = native.attempt(_load)
        return _solve(excitation, envelope, past) if recur is None else recur(excitation, envelope, past)


def _load() -> Callable[[Tensor, Envelope, Tensor], Tensor]:
    """The compiled recursion."""
    from tts.vocoder import _native_filter  # imports numba

    _native_filter.prepare()
    return _native_filter.recur


def _solve(excitation: Tensor, envelope: Envelope, past: Tensor) -> Tensor:
    """See `Prediction.synthesise`. Within a frame the filter is a band matrix: one triangular solve per frame."""
    coefficients, gain = envelope
    order, device = past.shape[1], excitation.device
    by_frame = excitation.double().view(*gain.shape, -1) * gain[:, :, None]
    hop_length = by_frame.shape[2]
    padded = F.pad(coefficients.double(), (1, 0))  # (B, T_mel, 1 + K): entry 0 is zero, entry k of lag k
    row = torch.arange(hop_length, device=device)[:, None]
    column = torch.arange(-order, hop_length, device=device)
    lag = row - column  # (hop, K + hop)
    lag = torch.where((lag >= 1) & (lag <= order), lag, 0)
    identity = torch.eye(hop_length, dtype=torch.double, device=device)
    before, frames = past.double(), []
    for frame in range(gain.shape[1]):
        predict = padded[:, frame][:, lag]  # (B, hop, K + hop)
        known = by_frame[:, frame, :, None] + predict[:, :, :order] @ before[:, :, None]
        solved = torch.linalg.solve_triangular(identity - predict[:, :, order:], known, upper=False)
        frames.append(solved.squeeze(2))
        before = torch.cat([before, frames[-1]], dim=1)[:, -order:]
    return torch.cat(frames, dim=1).to(excitation.dtype)


class PreEmphasis(Prediction):
    """Predicts of each sample a fixed share of the one before: a high-pass that makes all pitches about as loud."""

    def __init__(self, share: float, *, audio: AudioConfig):
        super().__init__()
        self.order = 1
        self.hop_length = audio.hop_length
        self.share = share

    def analyse(self, mel: Tensor) -> Envelope:
        """The same for every frame; see `Prediction`."""
        gain = torch.ones_like(mel[:, 0])
        return Envelope(self.share * gain[:, :, None], gain)


class LinearPrediction(Prediction):
    """The filters follow the mel."""

    autocorrelation: Tensor  # (K + 1, n_mels)
    inverse_area: Tensor  # (n_mels, 1)
    taper: Tensor  # (K + 1,)

    def __init__(self, order: int, *, audio: AudioConfig):
        super().__init__()
        self.order = order
        self.hop_length = audio.hop_length
        self.exponent = 2 / audio.power
        filters = mel_filters(audio).double()  # (n_freqs, n_mels)
        # The power at a frequency is interpolated between the bands around it; its cosine transform, the
        # autocorrelation, is then linear in the power of the bands.
        share = filters / filters.amax(dim=0)
        share = share / share.sum(dim=1, keepdim=True).clamp_min(1e-3)
        # Outside of the first and the last band, whose power is unknown, it goes on as it is there.
        peaks = filters.argmax(dim=0)
        share[: peaks[0]] = F.one_hot(torch.tensor(0), audio.n_mels).double()
        share[peaks[-1] :] = F.one_hot(torch.tensor(audio.n_mels - 1), audio.n_mels).double()
        lags = torch.arange(order + 1, dtype=torch.double)[:, None]
        cosines = torch.cos(2 * math.pi * lags * torch.arange(filters.shape[0]) / audio.n_fft)
        cosines[:, 1:-1] *= 2  # negative frequencies
        window_energy = torch.hann_window(audio.win_length).square().sum()
        taper = torch.exp(-0.5 * (2 * math.pi * LAG_HZ / audio.sample_rate * lags[:, 0]) ** 2)
        taper[0] += NOISE
        # They follow from the audio settings alone, so a checkpoint need not hold them.
        self.register_buffer("autocorrelation", (cosines @ share / audio.n_fft / window_energy).float(), False)
        self.register_buffer("inverse_area", (1 / filters.sum(dim=0))[:, None].float(), False)
        self.register_buffer("taper", taper.float(), False)

    @torch.no_grad()
    def analyse(self, mel: Tensor) -> Envelope:
        """Solve for the coefficients of each frame; see `Prediction`."""
        with torch.autocast(mel.device.type, enabled=False):
            power = (mel.float().exp() * self.inverse_area) ** self.exponent
            r = (self.autocorrelation @ power).transpose(1, 2) * self.taper  # (B, T_mel, K + 1)
            index = torch.arange(self.order, device=mel.device)
            matrix = r[:, :, (index[:, None] - index).abs()]  # (B, T_mel, K, K)
            coefficients = torch.linalg.solve(matrix, r[:, :, 1:])
            left = r[:, :, 0] - (coefficients * r[:, :, 1:]).sum(dim=2)
            return Envelope(coefficients, RANGE * left.clamp_min(LEAST_VARIANCE).sqrt())
