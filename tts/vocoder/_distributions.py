"""What a vocoder says about the next sample: mu-law softmax, mixture of logistics, one Gaussian.

A distribution reads and writes *signals*: the waveform in the form that is fed back to the network, in [-1, 1].
`encode` and `decode` go between the two, so that generation converts once at the end and never in its loop.

Shapes: B batch, p parameters per sample; dimension 1 of `parameters` is always p, whatever follows it.
"""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from tts.audio import companding

HALF_STEP = 1 / 65535  # half the distance between two 16-bit values


class Distribution(ABC):
    """Distribution of one sample of the signal given p numbers from the network."""

    n_parameters: int
    n_noise: ClassVar[int]  # random numbers used up per sample drawn
    input_gain: ClassVar[float]  # what makes the signal of speech about as loud as noise of unit variance

    @abstractmethod
    def initial_bias(self) -> Tensor:
        """(p,) parameters to begin training with."""

    def encode(self, wave: Tensor) -> Tensor:
        """Waveform in [-1, 1] -> signal, any shape; the same unless a subclass says otherwise."""
        return wave

    def decode(self, signal: Tensor) -> Tensor:
        """Signal -> waveform in [-1, 1], any shape."""
        return signal

    @abstractmethod
    def log_likelihood(self, parameters: Tensor, signal: Tensor) -> Tensor:
        """Natural log probability. parameters: (B, p, ...) float32; signal: (B, ...). Returns (B, ...)."""

    @abstractmethod
    def noise(self, n: int, generator: torch.Generator) -> Tensor:
        """(n, n_noise) float32, the random numbers of n draws; the last of each multiplies a width, if there is one."""

    @abstractmethod
    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """Draw. parameters: (B, p); noise: (B, n_noise). Returns a signal (B,)."""


class MuLaw(Distribution):
    """Softmax over mu-law classes (van den Oord et al. 2016, arXiv:1609.03499, section 2.2; ITU-T G.711).

    The signal is the companded class scaled to [-1, 1], so it has 2 ** bits different values.
    """

    n_noise = 1
    input_gain = 2.0

    def __init__(self, bits: int):
        self.bits = bits
        self.n_parameters = 2**bits
        self.mu = self.n_parameters - 1

    def initial_bias(self) -> Tensor:
        """Every class is as likely as any other."""
        return torch.zeros(self.n_parameters)

    def encode(self, wave: Tensor) -> Tensor:
        """Compand, then round to the nearest class."""
        return self._signal(companding.encode(wave, self.bits))

    def decode(self, signal: Tensor) -> Tensor:
        """Expand."""
        return companding.decode(self._class(signal), self.bits)

    def log_likelihood(self, parameters: Tensor, signal: Tensor) -> Tensor:
        """Log softmax at the class of the signal."""
        # The softmax is quickest over what lies side by side, and that is how the network leaves its parameters.
        by_class = parameters.movedim(1, -1)
        flat = by_class.reshape(-1, self.n_parameters), self._class(signal).flatten()
        return -F.cross_entropy(*flat, reduction="none").view(signal.shape)

    def noise(self, n: int, generator: torch.Generator) -> Tensor:
        """Uniform in [0, 1)."""
        return torch.rand(n, 1, generator=generator)

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """Invert the cumulative distribution at the noise."""
        drawn = torch.searchsorted(parameters.softmax(dim=1).cumsum(dim=1), noise, right=True)
        # Rounding can leave the last cumulative probability below a noise close to 1.
        return self._signal(drawn.clamp_max_(self.mu).squeeze(1))

    def _class(self, signal: Tensor) -> Tensor:
        return ((signal + 1) * (self.mu / 2)).round().long()

    def _signal(self, classes: Tensor) -> Tensor:
        return classes * (2 / self.mu) - 1


class Logistics(Distribution):
    """Mixture of logistics cut into 16-bit values (Salimans et al. 2017, arXiv:1701.05517, section 2.1).

    The first and the last value take the tails, so the probabilities of all 65,536 values sum to 1. The signal is the
    waveform itself. Parameters are the mixture's logits, means and log scales, in this order.
    """

    n_noise = 2
    # Without it, and with scales of 1 to begin with, training stands still at what the loudness alone can explain.
    input_gain = 10.0
    half_step = HALF_STEP
    # From four 16-bit steps, below which digital silence is all that counts, to where the mass of a step vanishes.
    log_scale_range = (-9.0, 5.0)

    def __init__(self, n_mixtures: int):
        self.n_parameters = 3 * n_mixtures

    def initial_bias(self) -> Tensor:
        """All mixtures about as wide as quiet speech."""
        n_mixtures = self.n_parameters // 3
        return torch.cat([torch.zeros(2 * n_mixtures), torch.full((n_mixtures,), -4.0)])

    def log_likelihood(self, parameters: Tensor, signal: Tensor) -> Tensor:
        """Log of the mass between half a step below the signal and half a step above it.

        The textbook difference of two sigmoids cancels in float32. With u and l the scaled upper and lower edge,
        sigmoid(u) - sigmoid(l) = sigmoid(u) sigmoid(-l) (1 - exp(l - u)), and no term of that product does.
        """
        logits, means, log_scales = self._split(parameters)
        value = signal[:, None]
        inverse_scales = torch.exp(-log_scales)
        centred = value - means
        below_upper = F.logsigmoid((centred + self.half_step) * inverse_scales)
        above_lower = F.logsigmoid((self.half_step - centred) * inverse_scales)
        width = torch.log(-torch.expm1(-2 * self.half_step * inverse_scales))
        inside = below_upper + above_lower + width
        edge = 1 - self.half_step
        mass = torch.where(value < -edge, below_upper, torch.where(value > edge, above_lower, inside))
        return torch.logsumexp(F.log_softmax(logits, dim=1) + mass, dim=1)

    def noise(self, n: int, generator: torch.Generator) -> Tensor:
        """The first is uniform in [0, 1), the second logistic."""
        uniform = torch.rand(n, 2, generator=generator)
        return torch.stack([uniform[:, 0], torch.logit(uniform[:, 1], eps=1e-7)], dim=1)

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """The first noise chooses the mixture, the second the value."""
        logits, means, log_scales = self._split(parameters)
        drawn = torch.searchsorted(logits.softmax(dim=1).cumsum(dim=1), noise[:, :1].contiguous(), right=True)
        chosen = drawn.clamp_max_(logits.shape[1] - 1)
        value = means.gather(1, chosen) + log_scales.gather(1, chosen).exp() * noise[:, 1:]
        return value.squeeze(1).clamp_(-1.0, 1.0)

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, means, log_scales = parameters.chunk(3, dim=1)
        return logits, means, log_scales.clamp(*self.log_scale_range)


class Gaussian(Distribution):
    """One Gaussian, whose density times the width of a 16-bit step stands for a probability (Ping et al. 2019,
    arXiv:1807.07281, section 3.1).

    The signal is the waveform itself. Parameters are the mean and the log of the standard deviation.
    """

    n_parameters = 2
    n_noise = 1
    input_gain = 10.0
    log_scale_range = (-9.0, 1.0)  # from four 16-bit steps to beyond full scale
    log_step = math.log(2 * HALF_STEP)
    log_normalizer = 0.5 * math.log(2 * math.pi)

    def initial_bias(self) -> Tensor:
        """About as wide as quiet speech."""
        return torch.tensor([0.0, -3.0])

    def log_likelihood(self, parameters: Tensor, signal: Tensor) -> Tensor:
        """Log of the density at the signal times the width of a step."""
        mean, log_scale = parameters[:, 0], parameters[:, 1].clamp(*self.log_scale_range)
        off = (signal - mean) * torch.exp(-log_scale)
        return self.log_step - self.log_normalizer - log_scale - 0.5 * off.square()

    def noise(self, n: int, generator: torch.Generator) -> Tensor:
        """Standard normal."""
        return torch.randn(n, 1, generator=generator)

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """The mean and so many standard deviations."""
        scale = parameters[:, 1].clamp(*self.log_scale_range).exp()
        return (parameters[:, 0] + scale * noise[:, 0]).clamp_(-1.0, 1.0)
