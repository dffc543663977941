"""Distributions of a sample: what is likely sums to one, and what is drawn follows it."""

import math

import pytest
import torch
from torch import Tensor

from tts.vocoder._distributions import Distribution, Gaussian, Logistics, MuLaw


@pytest.mark.parametrize("bits", [8, 9, 10])
def test_mu_law_keeps_every_class(bits: int) -> None:
    mu_law = MuLaw(bits)
    signal = torch.linspace(-1, 1, 2**bits)
    wave = mu_law.decode(signal)
    torch.testing.assert_close(mu_law.encode(wave), signal)
    assert (wave[0], wave[-1]) == (-1, 1) and bool((wave.diff() > 0).all())


def total_probability(distribution: Distribution, parameters: Tensor, signal: Tensor) -> float:
    likelihood = distribution.log_likelihood(
        parameters.double()[None, :, None].expand(-1, -1, len(signal)), signal[None]
    )
    return float(likelihood.exp().sum())


def test_the_gaussian_sums_to_one_over_all_16_bit_values() -> None:
    signal = torch.linspace(-1, 1, 65536, dtype=torch.double)
    assert total_probability(Gaussian(), torch.tensor([0.1, -3.0]), signal) == pytest.approx(1, abs=1e-4)


def test_mu_law_probabilities_sum_to_one() -> None:
    torch.manual_seed(0)
    signal = torch.linspace(-1, 1, 256, dtype=torch.double)
    assert total_probability(MuLaw(8), torch.randn(256) * 3, signal) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("log_scale", [-20.0, -8.0, -3.0, 2.0])
def test_logistics_sum_to_one_over_all_16_bit_values(log_scale: float) -> None:
    signal = torch.linspace(-1, 1, 65536, dtype=torch.double)
    parameters = torch.tensor([0.3, -1.0, 0.5, -0.9999, 0.02, 1.1, log_scale, log_scale + 1, log_scale])
    assert total_probability(Logistics(3), parameters, signal) == pytest.approx(1, abs=1e-6)


def test_logistics_agree_with_the_textbook_in_double() -> None:
    """The mass as a difference of two sigmoids, which float64 can still afford."""
    signal = torch.linspace(-0.99, 0.99, 997, dtype=torch.double)
    mean, log_scale = 0.1, -3.5
    parameters = torch.tensor([0.0, mean, log_scale])
    scale, half = math.exp(log_scale), 1 / 65535
    mass = torch.sigmoid((signal - mean + half) / scale) - torch.sigmoid((signal - mean - half) / scale)
    expected = mass.log().float()
    likelihood = Logistics(1).log_likelihood(parameters[None, :, None].expand(-1, -1, 997), signal.float()[None])[0]
    close = expected > -25  # further out the difference cancels in float64 too
    assert int(close.sum()) > 500
    torch.testing.assert_close(likelihood[close], expected[close], atol=2e-3, rtol=1e-3)


def test_extreme_parameters_keep_loss_and_gradient_finite() -> None:
    for scale in (1.0, 30.0, 1000.0):
        parameters = (torch.randn(4, 9, 20, generator=torch.Generator().manual_seed(0)) * scale).requires_grad_()
        signal = torch.linspace(-1, 1, 20).expand(4, -1)
        loss = Logistics(3).log_likelihood(parameters, signal).mean()
        loss.backward()
        assert bool(loss.isfinite()) and parameters.grad is not None and bool(parameters.grad.isfinite().all())


@pytest.mark.parametrize("distribution", [MuLaw(8), Logistics(2), Gaussian()], ids=["mu_law", "logistics", "gaussian"])
def test_samples_follow_the_likelihood(distribution: Distribution) -> None:
    """The share of samples below a value is the sum of the probabilities below it."""
    torch.manual_seed(0)
    if isinstance(distribution, MuLaw):
        parameters = torch.randn(256) * 2
        values = torch.linspace(-1, 1, 256)
    else:
        mixture = [0.5, -0.5, -0.2, 0.6, -2.5, -1.5]
        parameters = torch.tensor(mixture if isinstance(distribution, Logistics) else [0.1, -1.5])
        values = torch.linspace(-1, 1, 65536)
    many = 20000
    drawn = distribution.sample(parameters.expand(many, -1), distribution.noise(many, torch.Generator().manual_seed(0)))
    spread = parameters[None, :, None].expand(-1, -1, len(values))
    cumulative = distribution.log_likelihood(spread, values[None])[0].exp().cumsum(0)
    for share in (0.1, 0.35, 0.5, 0.8):
        at = int(torch.searchsorted(cumulative, share))
        assert float((drawn <= values[at] + 1e-5).float().mean()) == pytest.approx(float(cumulative[at]), abs=0.015)


def test_noise_at_its_ends_draws_a_class_there_is() -> None:
    torch.manual_seed(0)
    parameters = torch.randn(256, 256)  # among so many, some cumulative sums end below the largest noise
    largest = MuLaw(8).sample(parameters, torch.full((256, 1), 1 - 2**-24))
    assert bool((largest.abs() <= 1).all())
    parameters[:, :128] = -1e4
    assert bool((MuLaw(8).sample(parameters, torch.zeros(256, 1)) > 0).all())  # never a class without probability


def test_noise_at_its_ends_draws_no_click(monkeypatch: pytest.MonkeyPatch) -> None:
    log_scale = -6.0
    for uniform in (0.0, 1 - 2**-24):
        monkeypatch.setattr(torch, "rand", lambda *shape, generator, uniform=uniform: torch.full(shape, uniform))
        noise = Logistics(1).noise(1, torch.Generator())
        drawn = Logistics(1).sample(torch.tensor([[0.0, 0.1, log_scale]]), noise)
        assert abs(float(drawn) - 0.1) < 20 * math.exp(log_scale)
