"""Audio: files, the mel contract, Griffin-Lim, companding, trimming and loudness."""

import errno
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import scipy.signal
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sounds import speech_like
from tts.atomic import write_failure
from tts.audio import backend, companding, files
from tts.audio.clean import clipping_share
from tts.audio.files import read_recording, read_wave, write_wave
from tts.audio.griffin_lim import griffin_lim
from tts.audio.loudness import highpass_filter, k_weight, loudness, normalize_loudness, shelf_filter
from tts.audio.mel import mel_filters, mel_spectrogram, silence_value
from tts.audio.silence import trim_silence
from tts.errors import AudioError, ConfigError
from tts.settings import AudioConfig

AUDIO = AudioConfig()
SMALL = AudioConfig(sample_rate=8000, n_fft=128, win_length=128, hop_length=32, n_mels=10, f_max=4000.0)
SPEECH = Path(__file__).parents[1].parent / "shared/data/ljspeech-350/wavs"


# --- the mel contract ---


def numpy_mel(wave: np.ndarray, audio: AudioConfig) -> np.ndarray:
    """The mel contract once more, from its definition: loops, scipy's window, numpy's FFT."""

    def to_mel(hz: float) -> float:
        if audio.mel_scale == "htk":
            return 2595 * np.log10(1 + hz / 700)
        return hz / (200 / 3) if hz < 1000 else 15 + 27 * np.log(hz / 1000) / np.log(6.4)

    def to_hz(mel: float) -> float:
        if audio.mel_scale == "htk":
            return 700 * (10 ** (mel / 2595) - 1)
        return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)

    edges = [to_hz(m) for m in np.linspace(to_mel(audio.f_min), to_mel(audio.f_max), audio.n_mels + 2)]
    bins = np.arange(audio.n_fft // 2 + 1) * audio.sample_rate / audio.n_fft
    filters = np.zeros((audio.n_mels, len(bins)))
    for i, (left, middle, right) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        rise, fall = (bins - left) / (middle - left), (right - bins) / (right - middle)
        filters[i] = np.maximum(0, np.minimum(rise, fall))
        if audio.mel_norm == "slaney":
            filters[i] *= 2 / (right - left)
    window = np.zeros(audio.n_fft)
    left = (audio.n_fft - audio.win_length) // 2
    window[left : left + audio.win_length] = scipy.signal.get_window("hann", audio.win_length, fftbins=True)
    n_frames = -(-len(wave) // audio.hop_length)
    whole = np.pad(wave.astype(np.float64), (0, n_frames * audio.hop_length - len(wave)))
    padded = np.pad(whole, (audio.n_fft - audio.hop_length) // 2, mode="reflect")
    mel = np.zeros((audio.n_mels, n_frames))
    for t in range(n_frames):
        frame = padded[t * audio.hop_length : t * audio.hop_length + audio.n_fft] * window
        mel[:, t] = filters @ np.abs(np.fft.rfft(frame)) ** audio.power
    return np.log(np.maximum(mel, audio.log_floor))


@pytest.mark.parametrize(
    "audio",
    [
        AUDIO,
        SMALL,
        replace(SMALL, mel_scale="htk", mel_norm="none", power=2.0, f_min=50.0, win_length=100, log_floor=1e-3),
    ],
    ids=["default", "small", "htk_power_short_window"],
)
def test_mel_agrees_with_an_independent_computation(audio):
    wave = speech_like(0.7, audio.sample_rate)
    expected = numpy_mel(wave.numpy(), audio)
    # Near the floor a float32 transform is off by its rounding, relative to the whole frame.
    heard = expected > np.log(audio.log_floor) + 3
    difference = np.abs(mel_spectrogram(wave, audio).numpy() - expected)
    assert heard.mean() > 0.4
    assert difference[heard].max() < 1e-4 * (10 if audio.power == 2 else 1)
    assert difference.mean() < 1e-4


def test_frames_cover_the_samples_at_every_length():
    wave = speech_like(0.3)[:5000]
    for n in range(1, 5001):
        n_frames = SMALL.n_frames(n)
        assert 0 <= n_frames * SMALL.hop_length - n < SMALL.hop_length
        if n % 37 == 0 or n < 200:
            assert mel_spectrogram(wave[:n], SMALL).shape == (SMALL.n_mels, n_frames)
    dense = replace(SMALL, hop_length=8)  # where more than one frame fits into what short waves are padded to
    for n in range(1, 80):
        assert mel_spectrogram(wave[:n], dense).shape == (SMALL.n_mels, dense.n_frames(n))
    for n in (1, 255, 256, 257, 384, 385, 1023, 4999, 5000):
        mel = mel_spectrogram(wave[:n], AUDIO)
        assert mel.shape == (80, AUDIO.n_frames(n)) and torch.isfinite(mel).all()


def test_a_frame_is_centred_on_the_middle_of_its_hop():
    wave = torch.zeros(40 * 32)
    wave[20 * 32 + 16] = 1.0
    energy = mel_spectrogram(wave, SMALL).exp().sum(dim=0)
    assert int(energy.argmax()) == 20
    torch.testing.assert_close(energy[19], energy[21])


def test_silence_is_the_floor_and_batches_change_nothing():
    assert bool((mel_spectrogram(torch.zeros(1000), SMALL) == silence_value(SMALL)).all())
    waves = torch.stack([speech_like(0.2, 8000, seed) for seed in range(3)])
    torch.testing.assert_close(mel_spectrogram(waves, SMALL)[1], mel_spectrogram(waves[1], SMALL))


def test_mel_has_a_gradient_that_is_right():
    audio = replace(SMALL, log_floor=1e-12)
    wave = speech_like(0.1, 8000).requires_grad_()
    mel_spectrogram(wave, audio).sum().backward()
    slope = float(wave.grad.norm())
    uphill = 1e-5 * wave.grad / slope
    with torch.no_grad():
        above, below = (mel_spectrogram(wave + sign * uphill, audio).double().sum() for sign in (1, -1))
    assert float(above - below) / 2e-5 == pytest.approx(slope, rel=0.02)


def test_too_many_filters_are_refused():
    with pytest.raises(ConfigError, match="n_mels=200 filters are empty at n_fft=128"):
        mel_filters(replace(SMALL, n_mels=200))


def test_filters_are_kept_on_the_cpu_whatever_the_default_device_is():
    with torch.device("meta"):
        assert mel_filters(replace(SMALL, n_mels=7)).device.type == "cpu"


def test_every_field_of_the_contract_changes_its_fingerprint_and_is_named():
    other = {
        "sample_rate": 24000,
        "n_fft": 2048,
        "win_length": 800,
        "hop_length": 200,
        "n_mels": 64,
        "f_min": 20.0,
        "f_max": 7600.0,
        "power": 2.0,
        "mel_scale": "htk",
        "mel_norm": "none",
        "log_floor": 1e-4,
        "padding": "constant",
        "loudness": -20.0,
    }
    assert set(other) == {f.name for f in fields(AudioConfig)}
    for name, value in other.items():
        changed = replace(AUDIO, **{name: value})
        assert changed.fingerprint != AUDIO.fingerprint
        assert AUDIO.difference(changed).startswith(f"{name} ")


# --- Griffin-Lim ---


@pytest.mark.parametrize("source", ["synthetic", "real"])
def test_griffin_lim_is_in_step_with_the_original(source):
    if source == "real":
        if not SPEECH.is_dir():
            pytest.skip(f"no real speech at {SPEECH}")
        wave = read_wave(sorted(SPEECH.glob("*.flac"))[4], 22050)[: 86 * 256]
    else:
        wave = speech_like(1.0)[: 86 * 256]
    mel = mel_spectrogram(wave, AUDIO)
    again = griffin_lim(mel[None], AUDIO, iterations=40)[0]
    assert again.shape == wave.shape
    assert float((mel_spectrogram(again, AUDIO) - mel).abs().mean()) < 0.2
    # Phase is free, so samples cannot be correlated; but a shifted copy has a mel further off, both ways alike.
    shifts = range(-128, 129, 16)  # half a hop, the mistake to be feared, is 128 samples
    errors = [float((mel_spectrogram(again.roll(shift), AUDIO) - mel).abs().mean()) for shift in shifts]
    assert abs(shifts[int(np.argmin(errors))]) <= 16
    assert errors[0] > 1.5 * min(errors) and errors[-1] > 1.5 * min(errors)


def test_griffin_lim_depends_on_the_row_and_the_seed_only():
    mels = torch.stack([mel_spectrogram(speech_like(0.2, 8000, seed), SMALL) for seed in range(2)])
    state = torch.get_rng_state()
    both = griffin_lim(mels, SMALL, iterations=3, seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(both[1], griffin_lim(mels[1:], SMALL, iterations=3, seed=5)[0])
    assert not torch.equal(both, griffin_lim(mels, SMALL, iterations=3, seed=6))


@pytest.mark.parametrize("n_frames", [1, 2, 3])
def test_griffin_lim_of_a_very_short_mel(n_frames):
    wave = griffin_lim(torch.zeros(1, 80, n_frames), AUDIO, iterations=2)
    assert wave.shape == (1, n_frames * 256) and torch.isfinite(wave).all()


# --- companding ---


@given(bits=st.integers(4, 12))
@settings(max_examples=9, deadline=None)
def test_mu_law_codes_survive_the_round_trip(bits):
    codes = torch.arange(2**bits)
    assert torch.equal(companding.encode(companding.decode(codes, bits), bits), codes)


@given(st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_mu_law_stays_in_range_and_near(values):
    wave = torch.tensor(values)
    codes = companding.encode(wave, 8)
    assert codes.dtype == torch.int64 and int(codes.min()) >= 0 and int(codes.max()) <= 255
    clipped = wave.clamp(-1, 1)
    error = (companding.decode(codes, 8) - clipped).abs()
    assert bool((error <= 0.025 * clipped.abs() + 1e-4).all())  # the steps grow with the level


# --- files ---


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("rate", [44100, 48000])
def test_stereo_files_of_any_format_and_rate_read_the_same(tmp_path, suffix, rate):
    left = speech_like(0.6, rate).numpy()
    right = 0.5 * left[::-1]
    path = tmp_path / f"clip.{suffix}"
    soundfile.write(path, np.stack([left, right], axis=1), rate)
    expected = torch.from_numpy(scipy.signal.resample((left + right) / 2, round(0.6 * 16000)).astype(np.float32))
    wave = read_wave(path, 16000)
    assert wave.dtype == torch.float32 and abs(len(wave) - len(expected)) <= 1
    middle = slice(500, 9000)
    error = (wave[middle] - expected[middle]).norm() / expected[middle].norm()
    assert float(error) < {"wav": 0.02, "flac": 0.02, "ogg": 0.12, "mp3": 0.12}[suffix]


def test_broken_files_are_one_line_that_names_the_file(tmp_path):
    good = tmp_path / "good.wav"
    write_wave(good, speech_like(0.2), 22050)
    nan = np.zeros(100, dtype=np.float32)
    nan[50] = np.nan
    soundfile.write(tmp_path / "nan.wav", nan, 22050, subtype="FLOAT")
    soundfile.write(tmp_path / "nothing.wav", np.zeros(0, dtype=np.float32), 22050)
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "header.wav").write_bytes(good.read_bytes()[:20])
    (tmp_path / "cut.wav").write_bytes(good.read_bytes()[:3000])
    (tmp_path / "text.wav").write_text("this is no sound" * 100)
    (tmp_path / "folder.wav").mkdir()
    flac = tmp_path / "whole.flac"
    write_wave(flac, speech_like(0.5), 22050)
    (tmp_path / "cut.flac").write_bytes(flac.read_bytes()[: flac.stat().st_size // 2])
    reasons = {
        "missing.wav": "there is no such file",
        "nan.wav": "not numbers",
        "nothing.wav": "holds no samples",
        "empty.wav": "empty file",
        "header.wav": "cut off",
        "cut.wav": "cut off",
        "text.wav": "does not decode",
        "folder.wav": "is not a file",
        "cut.flac": "cut.flac",
    }
    for name, reason in reasons.items():
        with pytest.raises(AudioError, match=reason) as caught:
            read_wave(tmp_path / name, 22050)
        assert name in str(caught.value) and "\n" not in str(caught.value)


def test_what_exceeds_full_scale_is_scaled_down(tmp_path):
    soundfile.write(tmp_path / "loud.wav", np.array([0.0, 3.0, -1.5], dtype=np.float32), 8000, subtype="FLOAT")
    assert read_wave(tmp_path / "loud.wav", 8000).tolist() == [0.0, 1.0, -0.5]


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_written_and_read_again(tmp_path, suffix):
    wave = files.from_int16(torch.arange(-32768, 32768, 7, dtype=torch.int16))
    path = tmp_path / f"out{suffix}"
    write_wave(path, wave, 22050)
    assert torch.equal(read_wave(path, 22050), wave)
    assert soundfile.info(path).subtype == "PCM_16"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_place_that_cannot_be_written_is_named_and_nothing_is_left(tmp_path, monkeypatch):
    wave = torch.zeros(10)
    with pytest.raises(AudioError, match=r"'\.mp3' is not one of \.wav, \.flac"):
        write_wave(tmp_path / "out.mp3", wave, 8000)
    with pytest.raises(AudioError, match="the folder does not exist"):
        write_wave(tmp_path / "nowhere" / "out.wav", wave, 8000)
    with pytest.raises(AudioError, match="empty or holds NaN"):
        write_wave(tmp_path / "out.wav", torch.tensor([float("nan")]), 8000)
    (tmp_path / "taken.wav").mkdir()
    with pytest.raises(AudioError, match="there is a folder of that name"):
        write_wave(tmp_path / "taken.wav", wave, 8000)
    old = tmp_path / "old.wav"
    write_wave(old, wave, 8000)
    before = old.read_bytes()

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:5])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(AudioError, match=r"old\.wav: the disk is full; make room"):
        write_wave(old, wave, 8000)
    assert old.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["old.wav", "taken.wav"]


def test_a_full_disk_is_noticed():
    device = Path("/dev/full")
    if not device.exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(OSError, match="No space left") as caught:
        device.write_bytes(b"x")
    assert "make room" in write_failure(device, caught.value)


# --- cleaning ---


def test_silence_is_trimmed_at_both_ends_and_the_start_is_told():
    rate = 8000
    voice = speech_like(0.5, rate)
    wave = torch.cat([torch.full((4000,), 1e-4), voice, torch.full((6000,), -1e-4)])
    trimmed = trim_silence(wave, rate, top_db=40.0, keep_seconds=0.05)
    assert torch.equal(trimmed.wave, wave[trimmed.start_sample : trimmed.start_sample + len(trimmed.wave)])
    assert 4000 - 0.09 * rate <= trimmed.start_sample <= 4000 - 0.04 * rate
    end = trimmed.start_sample + len(trimmed.wave)
    assert 8000 + 0.04 * rate <= end <= 8000 + 0.09 * rate
    assert trim_silence(voice, rate, 40.0, 0.5) == (pytest.approx(voice), 0)


@pytest.mark.parametrize("wave", [torch.zeros(0), torch.zeros(5000), torch.full((5000,), 2e-5)])
def test_nothing_but_silence_is_an_error(wave):
    with pytest.raises(AudioError, match=r"silence|no samples"):
        trim_silence(wave, 8000, 40.0, 0.05)


def test_filters_are_those_printed_in_the_standard():
    shelf, highpass = shelf_filter(48000), highpass_filter(48000)
    assert shelf.b == pytest.approx((1.53512485958697, -2.69169618940638, 1.19839281085285))
    assert shelf.a == pytest.approx((1.0, -1.69065929318241, 0.73248077421585))
    assert highpass.b == (1.0, -2.0, 1.0)
    assert highpass.a == pytest.approx((1.0, -1.99004745483398, 0.99007225036621))


def test_weighting_block_by_block_is_the_recursive_filter():
    wave = speech_like(1.9).double()
    expected = wave.numpy()
    for b, a in (shelf_filter(22050), highpass_filter(22050)):
        expected = scipy.signal.lfilter(b, a, expected)
    torch.testing.assert_close(k_weight(wave, 22050), torch.from_numpy(expected), rtol=0, atol=1e-9)


def test_loudness_of_the_standard_sine_and_of_torchaudio():
    sine = torch.sin(2 * torch.pi * 997 * torch.arange(48000) / 48000)
    assert loudness(sine, 48000) == pytest.approx(-3.01, abs=0.01)
    voice = torch.cat([0.5 * speech_like(0.6, 8000), torch.zeros(4000)])
    theirs = backend.load_torchaudio().functional.loudness(voice[None], 8000)
    assert loudness(voice, 8000) == pytest.approx(float(theirs), abs=0.3)


def test_silence_between_words_does_not_count():
    voice = speech_like(2.0, 8000)
    assert loudness(torch.cat([voice, torch.zeros(40000)]), 8000) == pytest.approx(loudness(voice, 8000), abs=0.6)


@pytest.mark.parametrize("seconds", [0.1, 0.39, 0.41, 2.0])
@pytest.mark.parametrize("gain", [0.01, 1.0])
def test_loudness_is_brought_to_the_target(seconds, gain):
    wave = normalize_loudness(gain * speech_like(seconds), 22050, -23.0)
    assert loudness(wave, 22050) == pytest.approx(-23.0, abs=0.05)


def test_peaks_stay_below_full_scale_without_clipping():
    clicks = 0.001 * speech_like(1.0)
    clicks[::5000] = 0.5
    wave = normalize_loudness(clicks, 22050, -10.0)
    assert float(wave.abs().max()) == pytest.approx(0.99)
    torch.testing.assert_close(wave / wave.abs().max(), clicks / clicks.abs().max())
    with pytest.raises(AudioError, match="silence"):
        normalize_loudness(torch.zeros(22050), 22050, -23.0)


def test_clipping_share(tmp_path):
    wave = (8 * speech_like(0.5)).clamp(-1, 1)
    share = float((wave.abs() == 1).float().mean())
    assert share > 0.01
    write_wave(tmp_path / "clipped.wav", wave, 22050)
    recording = read_recording(tmp_path / "clipped.wav")
    assert clipping_share(recording.wave) == pytest.approx(share, abs=0.002)
    assert clipping_share(0.5 * wave) == 0


# --- the backend ---


@pytest.mark.parametrize("error", [OSError("libc10_cuda.so"), ImportError("libtorchaudio"), RuntimeError("CUDA")])
def test_a_foreign_extension_is_stood_in_for(tmp_path, error):
    # A process of its own, so that the torchaudio of the other tests is left alone.
    package = tmp_path / "torchaudio"
    (package / "_extension").mkdir(parents=True)
    (package / "__init__.py").write_text("from . import _extension, functional\n")
    (package / "_extension" / "__init__.py").write_text(f"raise {error!r}\n")
    (package / "functional.py").write_text(
        "from torchaudio._extension import _IS_TORCHAUDIO_EXT_AVAILABLE, _IS_ALIGN_AVAILABLE, fail_if_no_align\n"
        "assert not _IS_TORCHAUDIO_EXT_AVAILABLE and not _IS_ALIGN_AVAILABLE\n"
        "@fail_if_no_align\ndef forced_align(x): return x\n"
    )
    program = (
        "from tts.audio.backend import load_torchaudio\n"
        "functional = load_torchaudio().functional\n"
        "try: functional.forced_align(1)\n"
        "except RuntimeError as error: print(error)\n"
    )
    assert "forced_align needs torchaudio's extension" in run_python(program, tmp_path)


def test_the_real_extension_is_left_in_place(tmp_path):
    package = tmp_path / "torchaudio"
    (package / "_extension").mkdir(parents=True)
    (package / "__init__.py").write_text("from . import _extension\n")
    (package / "_extension" / "__init__.py").write_text("_IS_TORCHAUDIO_EXT_AVAILABLE = True\n")
    program = "from tts.audio.backend import load_torchaudio\nprint(load_torchaudio()._extension.__file__)\n"
    assert str(package) in run_python(program, tmp_path)


def run_python(program: str, first_on_path: Path) -> str:
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(first_on_path)!r})\n{program}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_torchaudio_works_here():
    torchaudio = backend.load_torchaudio()
    assert isinstance(torchaudio, ModuleType) and hasattr(torchaudio.models, "Tacotron2")


@pytest.mark.parametrize("rate", [7, 999_983, 2_000_000_011])
def test_absurd_rates_are_refused(tmp_path, rate):
    path = tmp_path / "odd.wav"
    soundfile.write(path, np.zeros(3000) + 0.1, 16000)
    content = bytearray(path.read_bytes())
    content[24:28] = rate.to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(AudioError, match=rf"odd.wav claims a rate of {rate} Hz"):
        files.read_recording(path)


def test_a_streamed_flac_is_refused_by_name(tmp_path):
    path = tmp_path / "streamed.flac"
    soundfile.write(path, np.zeros(3000) + 0.1, 16000)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # total samples, 36 bits of STREAMINFO, as a pipe leaves them: 0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"streamed\.flac"):
        files.read_recording(path)
