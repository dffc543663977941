"""Copies of recordings: planted faults are measured as what they are, and passages are where somebody speaks."""

import math

import numpy as np
import pytest
import torch

from tts.data.pauses import most_spoken
from tts.evaluation import copies
from tts.evaluation.closeness import RATE
from tts.evaluation.copies import CopyFigures, compare_copies, periodicity
from tts.settings import AudioConfig

AUDIO = AudioConfig(sample_rate=RATE, f_max=7600.0)
HOP = AUDIO.hop_length


def tone(f0: float, n_frames: int = 60) -> torch.Tensor:
    """Harmonics of an F0 in Hz."""
    seconds = np.arange(n_frames * HOP) / RATE
    return torch.tensor(0.1 * sum(np.sin(2 * np.pi * k * f0 * seconds) / k for k in range(1, 12))).float()


def noise(n_frames: int = 60) -> torch.Tensor:
    return 0.1 * torch.randn(n_frames * HOP, generator=torch.Generator().manual_seed(0))


def test_a_recording_is_its_own_copy():
    assert compare_copies([tone(150)], [tone(150)], AUDIO) == CopyFigures(0.0, 0.0, 0.0, 0.0)


def test_another_pitch_is_told_in_hertz_over_all_clips():
    copied, recorded = [tone(210), tone(210), tone(150)], [tone(200), tone(200), tone(150)]
    found = compare_copies(copied, recorded, AUDIO)
    assert found.f0_error == pytest.approx(10, abs=0.5)
    assert found.voicing_error == pytest.approx(0, abs=0.05)
    assert found.periodicity_error < 0.05


def test_a_voice_lost_in_noise_is_a_voicing_error():
    half = torch.cat([tone(150)[: 30 * HOP], noise()[: 30 * HOP]])
    found = compare_copies([half], [tone(150)], AUDIO)
    assert found.voicing_error == pytest.approx(0.5, abs=0.1)
    assert found.periodicity_error == pytest.approx(0.7 * math.sqrt(0.5), abs=0.15)
    assert found.f0_error == pytest.approx(0, abs=0.5)


def test_the_mel_distance_is_in_nepers():
    found = compare_copies([noise() / math.e], [noise()], AUDIO)
    assert found.mel_distance == pytest.approx(1, abs=1e-3)
    assert found.f0_error is None
    assert "f0_error" not in found.known


def test_periodicity_of_a_tone_of_noise_and_of_silence():
    inner = slice(10, -10)  # away from the end, behind which nothing is repeated
    assert periodicity(tone(150).double())[inner].min() > 0.98
    assert periodicity(noise().double())[inner].mean() < 0.4
    assert periodicity(torch.zeros(8000).double()).max() == 0
    faint = torch.cat([tone(150), 1e-3 * tone(150)]).double()
    assert periodicity(faint)[-180:].max() == 0


def test_without_world_the_rest_is_measured(monkeypatch):
    monkeypatch.setattr(copies, "missing", lambda: {"f0_median_hz": "no pyworld"})
    found = compare_copies([tone(210)], [tone(200)], AUDIO)
    assert (found.f0_error, found.voicing_error) == (None, None)
    assert found.mel_distance > 0
    assert found.beside("Griffin-Lim", found).count("(") == 2


def test_what_is_no_number_is_far_off_and_measured():
    broken = torch.full_like(tone(150), torch.nan)
    found = compare_copies([broken], [tone(150)], AUDIO)
    assert found.voicing_error > 0.9
    assert found.mel_distance > 3


def test_figures_in_words_beside_those_of_another():
    mine, other = CopyFigures(0.412, 3.14, 0.081, 0.2), CopyFigures(0.144, None, 0.06, 0.1)
    said = "mel distance 0.41 (Griffin-Lim 0.14), F0 error 3.1 Hz (unknown), voicing error 8% (6%), "
    assert mine.beside("Griffin-Lim", other) == said + "periodicity error 0.20 (0.10)"


@pytest.mark.parametrize(
    ("quiet", "n_frames", "expected"),
    [("1110001", 3, (3, 6)), ("1100100", 3, (1, 4)), ("0000", 2, (0, 2)), ("10", 5, (0, 2)), ("11011", 1, (2, 3))],
)
def test_the_part_with_the_least_silence(quiet, n_frames, expected):
    assert most_spoken(np.array([mark == "1" for mark in quiet]), n_frames) == expected
