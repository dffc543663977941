"""What of the wave need not be modelled: linear prediction from the mel, pre-emphasis."""

import cmath
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tts.audio.mel import mel_spectrogram, silence_value
from tts.settings import AudioConfig
from tts.vocoder._linear_prediction import LinearPrediction, PreEmphasis

AUDIO = AudioConfig(sample_rate=8000, n_fft=32, win_length=32, hop_length=8, n_mels=5, f_max=4000.0)


def test_pre_emphasis_is_undone() -> None:
    emphasis = PreEmphasis(0.9, audio=AUDIO)
    wave, mel = torch.rand(2, 6 * AUDIO.hop_length) - 0.5, torch.zeros(2, AUDIO.n_mels, 6)
    emphasised = emphasis.excitation(wave, mel)
    torch.testing.assert_close(emphasised[:, 1:], wave[:, 1:] - 0.9 * wave[:, :-1])
    torch.testing.assert_close(emphasis.synthesise(emphasised, mel), wave)


def resonance(n_samples: int) -> tuple[AudioConfig, Tensor, Tensor]:
    """A wave with one resonance at 1 kHz, and its mel."""
    audio = AudioConfig(sample_rate=8000, n_fft=256, win_length=256, hop_length=64, n_mels=20, f_max=4000.0)
    noise = torch.randn(n_samples, generator=torch.Generator().manual_seed(0))
    pole = 0.97 * cmath.exp(2j * math.pi * 1000 / audio.sample_rate)
    wave = torch.zeros(n_samples)
    for t in range(2, n_samples):
        wave[t] = 0.02 * noise[t] + 2 * pole.real * wave[t - 1] - abs(pole) ** 2 * wave[t - 2]
    return audio, wave[None], mel_spectrogram(wave[None], audio)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_linear_prediction_knows_the_envelope_from_the_mel(power: float) -> None:
    audio, wave, mel = resonance(64 * 40)
    prediction = LinearPrediction(8, audio=replace(audio, power=power))
    mel = mel_spectrogram(wave, replace(audio, power=power))
    excitation = prediction.excitation(wave, mel)
    gain = prediction.analyse(mel).gain.repeat_interleave(audio.hop_length, dim=1)
    left = (excitation * gain / 12).square().mean()
    assert wave.square().mean() / left > 10  # the mel's bands are too wide for all of it
    assert float(excitation.std()) * 12 == pytest.approx(1, abs=0.25)


def test_synthesis_is_the_inverse_of_prediction() -> None:
    audio, wave, mel = resonance(64 * 10)
    prediction = LinearPrediction(8, audio=audio)
    restored = prediction.synthesise(prediction.excitation(wave, mel), mel)
    torch.testing.assert_close(restored, wave, atol=1e-5, rtol=0)


def test_silence_has_a_finite_filter() -> None:
    prediction = LinearPrediction(16, audio=AudioConfig())
    mel = torch.full((1, 80, 3), silence_value(AudioConfig()))
    assert bool(prediction.excitation(torch.zeros(1, 768), mel).eq(0).all())
    assert bool(prediction.synthesise(torch.rand(1, 768), mel).abs().max() < 0.01)
    noise = torch.rand(1, 768, generator=torch.Generator().manual_seed(0)) * 1e-5
    assert bool(prediction.excitation(noise, mel).abs().max() < 0.1)
