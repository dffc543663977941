"""What validation measures of free-running speech."""

import pytest
import torch

from tests.test_recognition import KATHLEEN, kathleen
from tts.audio.files import read_wave
from tts.audio.mel import mel_spectrogram
from tts.decoding import Decoded
from tts.evaluation import quick
from tts.failures import Failure, WordsReport
from tts.settings import AudioConfig, Recipe

AUDIO = AudioConfig()


def decoded(*kinds):
    failures = tuple(Failure(kind, kind) for kind in kinds)
    nothing = torch.zeros(1, 1)
    return Decoded(nothing, nothing, nothing, "stop", WordsReport((), (), True), failures, failures, 1, False)


def test_shares_by_kind():
    shares = quick.failure_shares([decoded(), decoded("skip", "repeat"), decoded("skip"), decoded()])
    assert shares["failures"] == 0.5 and shares["failures/skip"] == 0.5 and shares["failures/repeat"] == 0.25
    assert shares["failures/stall"] == 0


def test_distance_of_mels():
    torch.manual_seed(0)
    mel = torch.randn(80, 60).cumsum(dim=1)
    assert quick.mel_cepstral_distance(mel, mel) == pytest.approx(0, abs=1e-9)
    slower = mel.repeat_interleave(2, dim=1)
    assert quick.mel_cepstral_distance(slower, mel) == pytest.approx(0, abs=1e-9)
    louder = quick.mel_cepstral_distance(mel + 1, mel)
    assert louder == pytest.approx(0, abs=1e-5)  # c0 does not count
    # One cosine of amplitude a in the log power spectrum is a distance of a in one coefficient: 10 sqrt(2) / ln 10 * a.
    ripple = 0.5 * torch.cos(torch.pi / 80 * (torch.arange(80) + 0.5) * 3)[:, None].expand(-1, 60)
    assert quick.mel_cepstral_distance(ripple, torch.zeros(80, 60)) == pytest.approx(
        10 * 2**0.5 / 2.302585 * 0.5, rel=1e-4
    )


class Spoken:
    """As much of a clip as the listener needs."""

    def __init__(self, id, text):
        self.id, self.text = id, text


def test_the_listener_understands_recordings_and_no_noise():
    if reason := quick.why_deaf():
        pytest.skip(reason)
    if not KATHLEEN.is_dir():
        pytest.skip("no real speech at ../shared/data/kathleen")
    clips = [Spoken(*line) for line in kathleen()[:20]]
    mels = [mel_spectrogram(read_wave(KATHLEEN / "wavs" / f"{clip.id}.flac", 22050), AUDIO) for clip in clips[:3]]
    listener = quick.Listener(Recipe(), clips[:3], clips)
    assert listener.word_error_rate(mels) < 0.15
    torch.manual_seed(0)
    assert listener.word_error_rate([torch.randn_like(mel) - 5 for mel in mels]) > 0.7
    assert listener.word_error_rate([mels[1], mels[2], mels[0]]) > 0.7
