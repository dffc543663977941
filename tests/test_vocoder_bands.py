"""The filter bank: bands give the wave back, from low to high."""

import math

import pytest
import torch

from tts.vocoder._bands import FilterBank


@pytest.mark.parametrize("n_bands", [2, 4, 8])
def test_bands_give_the_wave_back(n_bands: int) -> None:
    bank = FilterBank(n_bands)
    wave = torch.randn(2, 2048, generator=torch.Generator().manual_seed(0))
    bands = bank.analyse(wave)
    assert bands.shape == (2, n_bands, 2048 // n_bands)
    assert float(bands.square().sum() / wave.square().sum()) == pytest.approx(1, abs=0.05)  # energy is kept
    inside = slice(2 * bank.reach, -2 * bank.reach)  # at the ends, part of what is needed lies outside
    error = (bank.synthesise(bands) - wave)[:, inside].square().mean()
    assert 10 * math.log10(1 / float(error)) > 60


def test_bands_are_low_to_high() -> None:
    bank = FilterBank(4)
    time = torch.arange(2048)
    for band in range(4):
        tone = torch.sin(math.pi * (band + 0.5) / 4 * time)[None]
        energy = bank.analyse(tone)[0].square().sum(1)
        assert int(energy.argmax()) == band and float(energy[band] / energy.sum()) > 0.999


def test_one_band_is_the_wave() -> None:
    bank = FilterBank(1)
    wave = torch.randn(2, 50)
    assert torch.equal(bank.analyse(wave)[:, 0], wave) and torch.equal(bank.synthesise(wave[:, None]), wave)
