"""A wave that is brought nearer to its mel: nearer in every band, or in the broad shape only, however it arrives."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.sounds import speech_like
from tts.audio.mel import mel_spectrogram
from tts.settings import AudioConfig
from tts.vocoder import wavenet
from tts.vocoder._refinement import Made, Pass, Refinement

AUDIO = AudioConfig(sample_rate=16000, n_fft=512, win_length=512, hop_length=128, n_mels=40, f_max=7600.0)
OTHERS = [
    {},
    {"win_length": 400},
    {"hop_length": 160, "win_length": 400},  # windows that overlap unevenly
    {"power": 2.0},
    {"n_fft": 384, "win_length": 384},  # no power of two
]
N_FRAMES = 40


def spoken(audio: AudioConfig = AUDIO, n_frames: int = N_FRAMES, n_rows: int = 1) -> Tensor:
    """(n_rows, n_frames * hop)."""
    seconds = n_frames * audio.hop_length / audio.sample_rate
    rows = [speech_like(seconds, audio.sample_rate, seed) for seed in range(n_rows)]
    return 0.3 * torch.stack(rows)[:, : n_frames * audio.hop_length]


def refined(
    wave: Tensor, mel: Tensor, n_passes: int, audio: AudioConfig = AUDIO, *, measured: bool = True, **options: Tensor
) -> Tensor:
    refinement = Refinement(n_passes, audio)
    pieces = iter([Made(wave, mel)])
    for _ in range(refinement.passes(measured=measured)):
        pieces = Pass(refinement, options.get("lengths"), measured=measured).over(pieces)
    return torch.cat([piece.wave for piece in pieces], dim=1)


def distance(wave: Tensor, mel: Tensor, audio: AudioConfig = AUDIO) -> float:
    """Of the mels, at frames that know no edge."""
    inner = slice(4, -4)
    return float((mel_spectrogram(wave, audio) - mel)[:, :, inner].abs().mean())


@pytest.mark.parametrize("changes", OTHERS)
@pytest.mark.parametrize("measured", [True, False])
def test_a_wave_that_has_its_mel_stays_as_it_is(changes: dict[str, float], measured: bool) -> None:
    audio = replace(AUDIO, **changes)
    wave = spoken(audio)
    inner = slice(10 * audio.hop_length, -10 * audio.hop_length)  # the mel's first windows see a reflection
    made = refined(wave, mel_spectrogram(wave, audio), 2, audio, measured=measured)
    assert made.shape == wave.shape
    torch.testing.assert_close(made[:, inner], wave[:, inner], atol=1e-5, rtol=0)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_a_mel_of_twice_the_loudness_makes_it_twice_as_loud(power: float) -> None:
    audio = replace(AUDIO, power=power)
    wave, inner = spoken(audio), slice(10 * audio.hop_length, -10 * audio.hop_length)
    mel = mel_spectrogram(wave, audio)
    louder = torch.where(mel > mel.min(), mel + power * math.log(2), mel)
    made = refined(wave, louder, 1, audio)
    torch.testing.assert_close(made[:, inner], 2 * wave[:, inner], atol=3e-3, rtol=0)  # some bands are at the floor


@pytest.mark.parametrize("changes", OTHERS)
def test_every_pass_brings_it_nearer(changes: dict[str, float]) -> None:
    """Noise has to go a long way to the mel of speech."""
    audio = replace(AUDIO, **changes)
    mel = mel_spectrogram(spoken(audio), audio)
    noise = 0.1 * torch.randn(1, N_FRAMES * audio.hop_length, generator=torch.Generator().manual_seed(0))
    distances = [distance(refined(noise, mel, n, audio) if n else noise, mel, audio) for n in (0, 1, 2, 4, 8)]
    assert distances == sorted(distances, reverse=True)
    assert distances[1] < 0.6 * distances[0] and distances[-1] < 0.8 * distances[1]


def test_of_a_predicted_mel_the_broad_shape_alone_is_obeyed() -> None:
    wave = spoken()
    mel = mel_spectrogram(wave, AUDIO)
    tilt = torch.linspace(-1, 1, AUDIO.n_mels)[None, :, None]
    comb = torch.tensor([0.5, 0.5, -0.5, -0.5]).repeat(AUDIO.n_mels // 4)[None, :, None]
    asked, inner = mel + tilt + comb, slice(8, -8)
    for measured, followed in ((True, 0.5), (False, 0.0)):
        change = mel_spectrogram(refined(wave, asked, 1, measured=measured), AUDIO) - mel
        change = change[:, inner, 4:-4].mean(dim=2)
        fine = float((change * comb[:, inner, 0]).mean() / 0.5**2)
        slope = float((change * tilt[:, inner, 0]).mean() / tilt[:, inner].square().mean())
        assert slope == pytest.approx(1, abs=0.3)
        assert fine == pytest.approx(followed, abs=0.15)


def test_a_predicted_mel_is_followed_once() -> None:
    refinement = Refinement(8, AUDIO)
    assert (refinement.passes(measured=True), refinement.passes(measured=False)) == (8, 1)
    assert refinement.reach(measured=True) == 8 * refinement.reach(measured=False) > 0
    assert Refinement(0, AUDIO).passes(measured=False) == Refinement(0, AUDIO).reach(measured=True) == 0


def test_it_depends_on_no_more_than_its_reach() -> None:
    wave, refinement, frame = spoken(), Refinement(2, AUDIO), 20
    mel = mel_spectrogram(wave, AUDIO) + 0.5
    expected = refined(wave, mel, 2)
    reach, hop = refinement.reach(measured=True), AUDIO.hop_length
    heard = slice(frame * hop, (frame + 1) * hop)
    for first, last in ((0, frame - reach), (frame + reach + 1, N_FRAMES)):
        other_wave, other_mel = wave.clone(), mel.clone()
        other_wave[:, first * hop : last * hop] = 0.9
        other_mel[:, :, first:last] = 3.0
        made = refined(other_wave, other_mel, 2)
        assert torch.equal(made[:, heard], expected[:, heard])
        assert not torch.equal(made, expected)


@pytest.mark.parametrize("sizes", [[1] * N_FRAMES, [3, 30, 7], [8] * 5])
def test_it_is_the_same_in_pieces(sizes: list[int]) -> None:
    wave, refinement = spoken(), Refinement(2, AUDIO)
    mel = mel_spectrogram(wave, AUDIO) + 0.5
    pieces = iter(
        [
            Made(*both)
            for both in zip(
                wave.split([n * AUDIO.hop_length for n in sizes], dim=1), mel.split(sizes, dim=2), strict=True
            )
        ]
    )
    for _ in range(2):
        pieces = Pass(refinement, None, measured=True).over(pieces)
    assert torch.equal(torch.cat([piece.wave for piece in pieces], dim=1), refined(wave, mel, 2))


def test_rows_that_end_sooner_are_as_alone() -> None:
    wave, lengths = spoken(n_rows=3), torch.tensor([40, 21, 1])
    mel = mel_spectrogram(wave, AUDIO) + 0.5
    together = refined(wave, mel, 2, lengths=lengths)
    for row, n in enumerate(lengths.tolist()):
        n_samples = n * AUDIO.hop_length
        alone = refined(wave[row : row + 1, :n_samples], mel[row : row + 1, :, :n], 2)
        torch.testing.assert_close(together[row, :n_samples], alone[0], atol=1e-6, rtol=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_makes_the_same() -> None:
    wave, lengths = spoken(n_rows=2), torch.tensor([40, 21])
    mel = mel_spectrogram(wave, AUDIO) + 0.5
    refinement, expected = Refinement(2, AUDIO).cuda(), refined(wave, mel, 2, lengths=lengths)
    pieces = iter([Made(wave.cuda(), mel.cuda())])
    for _ in range(2):
        pieces = Pass(refinement, lengths.cuda(), measured=True).over(pieces)
    made = torch.cat([piece.wave for piece in pieces], dim=1).cpu()
    torch.testing.assert_close(made, expected, atol=1e-4, rtol=0)


def test_nothing_stays_nothing() -> None:
    assert list(Pass(Refinement(1, AUDIO), None, measured=True).over([])) == []
    silence = torch.zeros(1, 5 * AUDIO.hop_length)
    assert torch.equal(refined(silence, mel_spectrogram(spoken(n_frames=5), AUDIO), 2), silence)


def test_a_wavenet_s_copies_come_nearer_to_their_recordings() -> None:
    sizes = {"n_layers": 2, "n_cycles": 1, "residual_channels": 8, "gate_channels": 8, "skip_channels": 8}
    mel = mel_spectrogram(spoken(), AUDIO)
    distances = {}
    for n_passes, measured in ((0, True), (8, False), (8, True)):
        torch.manual_seed(0)
        config = wavenet.Config(**sizes, condition_channels=8, output="gaussian", refinement=n_passes)
        model = wavenet.build(config, audio=AUDIO).eval()
        wave = model.generate(mel, torch.tensor([N_FRAMES]), seeds=[1], measured=measured)
        distances[n_passes, measured] = distance(wave, mel)
    assert distances[8, True] < 0.5 * distances[8, False] < 0.5 * distances[0, True]
