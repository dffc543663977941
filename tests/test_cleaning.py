"""What is done to a clip before a model sees it, and what becomes of odd files."""

import math
import sys
import types
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from tests.test_data import AUDIO, corpus, recipe, report, run, voice  # noqa: F401 - fixtures
from tts.audio import denoise
from tts.audio.clean import Cleaning, clean, high_pass
from tts.audio.files import read_wave, write_wave
from tts.audio.loudness import change_loudness, loudness, true_peak_of
from tts.audio.silence import Cut, cap_pauses, moved, noise_floor
from tts.batch import PhoneTime
from tts.data.cache import load_wave, read_facts
from tts.errors import ConfigError
from tts.settings import DataConfig

RATE = 8000


def sine(hertz, seconds=1.0, rate=RATE, phase=0.0):
    return torch.sin(2 * math.pi * hertz * torch.arange(round(seconds * rate)) / rate + phase)


def level(wave, hertz, rate=RATE):
    """Amplitude of a tone within a wave."""
    t = torch.arange(len(wave)) / rate
    return 2 * abs(complex((wave * torch.exp(-2j * math.pi * hertz * t)).mean()))


# --- peaks ---


@pytest.mark.parametrize(("hertz", "phase"), [(12000, math.pi / 4), (8000, 0.3), (997, 0.0)])
def test_true_peaks_lie_between_samples(hertz, phase):
    wave = 0.5 * sine(hertz, 0.2, 48000, phase) * torch.hann_window(9600, periodic=False).mul(3).clamp_max(1)
    found = 20 * math.log10(true_peak_of(wave) / 0.5)
    assert -0.4 < found < 0.2, "as EBU Tech 3341 allows of a meter"
    assert true_peak_of(wave) >= float(wave.abs().max())


def test_a_true_peak_limit_holds_between_samples_too():
    wave = 0.5 * sine(2000, 0.5, RATE, math.pi / 4)  # its samples stand at 0.35
    loud = change_loudness(wave, loudness(wave, RATE), 2.0)
    assert float(loud.abs().max()) < 0.99 < true_peak_of(loud)
    held = change_loudness(wave, loudness(wave, RATE), 2.0, true_peak=-3.0)
    assert 20 * math.log10(true_peak_of(held)) == pytest.approx(-3.0, abs=0.01)
    soft = change_loudness(wave, loudness(wave, RATE), -30.0, true_peak=-3.0)
    assert torch.equal(soft, change_loudness(wave, loudness(wave, RATE), -30.0))


# --- rumble ---


def test_rumble_and_direct_current_go_and_speech_stays_where_it_is():
    speech = 0.3 * sine(300, 2.0)
    passed = high_pass(speech + 0.2 + 0.2 * sine(20, 2.0), RATE, 60.0)
    inside = slice(1600, -1600)  # away from the ends, where a tone that starts at once is no tone
    assert abs(float(passed[inside].mean())) < 1e-3 and level(passed[inside], 20) < 1e-3
    torch.testing.assert_close(passed[inside], speech[inside], rtol=0, atol=5e-3)
    assert level(high_pass(sine(60, 2.0), RATE, 60.0)[inside], 60) == pytest.approx(0.5, abs=0.02)


# --- pauses ---


def test_long_pauses_are_cut_in_their_middle_without_a_click():
    spoken, pause = 0.3 * sine(200, 0.5), torch.zeros(RATE)
    hum = 0.001 * sine(50, 3.5)
    wave = torch.cat([spoken, pause, spoken, torch.zeros(1600), spoken, pause[:4000]])
    wave = torch.cat([wave, spoken])[: len(hum)] + hum[: len(wave) + len(spoken)]
    capped = cap_pauses(wave, RATE, 40.0, 0.3)
    assert len(capped.cuts) == 2, "0.2 s may stay"
    first, second = capped.cuts
    window = round(0.05 * RATE)
    assert first.n_samples == pytest.approx(RATE - 0.3 * RATE, abs=window)
    assert second.n_samples == pytest.approx(0.2 * RATE, abs=window)
    assert 4000 < first.start_sample < 4000 + 0.2 * RATE
    assert len(capped.wave) == len(wave) - first.n_samples - second.n_samples
    # What was spoken is as it was, where `moved` says; and nothing jumps.
    for start in (0, 4000 + RATE, 4000 + RATE + 4000 + 1600):
        at = round(moved(start, capped.cuts))
        assert torch.equal(capped.wave[at + 200 : at + 3800], wave[start + 200 : start + 3800])
    quiet = capped.wave[4100 : 4000 + round(0.25 * RATE)]
    assert float(quiet.diff().abs().max()) < 2 * float(hum.diff().abs().max())
    assert cap_pauses(wave, RATE, 40.0, 1.5) == (pytest.approx(wave), ())


def test_times_move_with_the_cuts():
    cuts = (Cut(100, 50), Cut(300, 10))
    assert [moved(sample, cuts) for sample in (99, 100, 120, 150, 299, 305, 400)] == [99, 100, 100, 100, 249, 250, 340]


def test_phones_keep_their_sound_when_pauses_are_capped(recipe, tmp_path, corpus):  # noqa: F811
    wave = torch.cat([torch.zeros(1600), voice(0.5), torch.zeros(RATE), voice(0.5, 3), torch.zeros(800)])
    write_wave(corpus[2].audio_path, wave, RATE)
    phones = (PhoneTime("AA1", 0.2, 0.7), PhoneTime("sil", 0.7, 1.7), PhoneTime("T", 1.7, 2.2))
    corpus[2] = replace(corpus[2], phone_times=phones)
    capped = replace(recipe, data=replace(recipe.data, max_pause=0.25))
    clip = run(capped, tmp_path, corpus).clips[2]
    original, cleaned = read_wave(corpus[2].audio_path, RATE), load_wave(clip.cache_file)
    assert clip.seconds == pytest.approx(1.0 + 0.25 + 0.1, abs=0.05)
    for before, after in zip(phones, clip.phone_times, strict=True):
        if before.phone != "sil":
            a = original[round(before.start * RATE) + 40 :][:3000]
            b = cleaned[round(after.start * RATE) + 40 :][:3000]
            assert float(torch.nn.functional.cosine_similarity(a, b, dim=0)) > 0.99
    assert clip.phone_times[1].end - clip.phone_times[1].start == pytest.approx(0.25, abs=0.05)
    assert report(tmp_path)["cleaning"]["pauses"] == {"cuts": 1, "seconds": pytest.approx(0.75, abs=0.05)}
    assert "long pauses shortened: 1, by 0.7" in (tmp_path / "run/data/report.md").read_text()


# --- noise ---


def hissing(snr_db, seconds=2.0):
    speech = torch.cat([voice(seconds / 2), torch.zeros(2400), voice(seconds / 2, 2)])
    hiss = torch.randn(len(speech), generator=torch.Generator().manual_seed(0))
    return speech + hiss * speech.square().mean().sqrt() * 10 ** (-snr_db / 20)


def test_the_noise_floor_is_how_far_noise_lies_below_speech():
    floors = [noise_floor(hissing(snr), RATE) for snr in (10, 20, 30)]
    assert floors[0] - floors[1] == pytest.approx(10, abs=1.5) and floors[1] - floors[2] == pytest.approx(10, abs=1.5)
    assert noise_floor(torch.cat([voice(0.5), torch.zeros(4000)]), RATE) == -math.inf


def test_noise_is_reduced_where_asked_for_and_needed(recipe, tmp_path, corpus, monkeypatch):  # noqa: F811
    """The library is replaced: what it does is its own affair, when it is asked is ours."""
    asked = []

    def gate(y, sr, **settings):
        asked.append(settings)
        return y * np.where(np.abs(y) < 0.2, 0.01, 1.0)

    monkeypatch.setattr(denoise, "missing", lambda: "")
    monkeypatch.setattr("tts.audio.clean.missing", lambda: "")
    monkeypatch.setitem(sys.modules, "noisereduce", types.SimpleNamespace(reduce_noise=gate))
    common = {"trim_db": 40.0, "keep_silence": 0.05}
    noisy, quiet = hissing(10), hissing(40)
    for setting, wave, expected in (
        ("never", noisy, 0),
        ("auto", quiet, 0),
        ("auto", noisy, 1),
        ("always", quiet, 1),
    ):
        asked.clear()
        cleaned = clean(wave, RATE, -23.0, Cleaning(**common, reduce_noise=setting))
        assert len(asked) == expected and (cleaned.noise_reduced > 3) == bool(expected), (setting, expected)
    write_wave(corpus[1].audio_path, noisy, RATE)
    run(replace(recipe, data=replace(recipe.data, reduce_noise="auto")), tmp_path, corpus)
    assert report(tmp_path)["cleaning"]["noise_reduced"]["clips"] == 1


def test_a_missing_library_is_said(recipe, tmp_path, corpus, monkeypatch):  # noqa: F811
    reason = "noisereduce is not installed (pip install 'tts[clean]')"
    monkeypatch.setattr("tts.audio.clean.missing", lambda: reason)
    monkeypatch.setattr("tts.data.report.missing", lambda: reason)
    with pytest.raises(ConfigError, match=r"data\.reduce_noise=always, but noisereduce is not installed \(pip install"):
        run(replace(recipe, data=replace(recipe.data, reduce_noise="always")), tmp_path, corpus)
    write_wave(corpus[1].audio_path, hissing(10), RATE)
    run(replace(recipe, data=replace(recipe.data, reduce_noise="auto")), tmp_path, corpus)
    page = (tmp_path / "run/data/report.md").read_text()
    assert f"clips with a noise floor above -30 dB: 1, as they are; {reason}" in page


@pytest.mark.skipif(denoise.missing() != "", reason=denoise.missing())
def test_the_library_lowers_the_noise_and_leaves_speech():
    words = torch.cat([torch.cat([voice(0.3, seed), torch.zeros(4000)]) for seed in range(6)])
    hiss = 0.05 * torch.randn(len(words), generator=torch.Generator().manual_seed(0))
    noisy = words + hiss
    reduced = denoise.reduce_noise(noisy, RATE)
    silent = words == 0
    assert len(reduced) == len(noisy)
    assert float(reduced[silent].square().mean()) < 0.25 * float(noisy[silent].square().mean())
    assert float(torch.nn.functional.cosine_similarity(reduced, words, dim=0)) > 0.9


def test_what_cleaning_did_is_in_the_report(recipe, tmp_path, corpus):  # noqa: F811
    write_wave(corpus[3].audio_path, voice(0.8) + 0.1 + 0.1 * sine(15, 0.8), RATE)
    write_wave(corpus[4].audio_path, torch.cat([0.002 * voice(1.5), torch.tensor([0.9, -0.9])]), RATE)
    data = replace(recipe.data, high_pass=60.0, true_peak=-1.0, trim_db=60.0)
    run(replace(recipe, audio=replace(AUDIO, loudness=-14.0), data=data), tmp_path, corpus)
    did = report(tmp_path)["cleaning"]
    assert did["rumble"]["clips"] == 10 and did["rumble"]["max"] > -8 > -20 > did["rumble"]["median"]
    assert did["held_back"]["clips"] >= 1 and did["held_back"]["max"] > 10
    page = (tmp_path / "run/data/report.md").read_text()
    assert "rumble taken out: " in page and "softer than wanted, for their peaks: " in page


# --- odd files ---


def odd(name, folder):
    """A file that somebody has, as it is named."""
    path, wave = folder / f"{name}.wav", voice(0.8).numpy()
    if name == "nan":
        soundfile.write(path, np.where(np.arange(len(wave)) == 99, np.nan, wave), RATE, subtype="FLOAT")
    elif name == "no samples":
        soundfile.write(path, wave[:0], RATE)
    elif name == "an hour":
        soundfile.write(path, np.zeros(3600 * 4000, dtype=np.int16), 4000)
    elif name == "truncated":
        soundfile.write(path, wave, RATE)
        path.write_bytes(path.read_bytes()[:-3000])
    elif name == "text":
        path.write_text("Not a sound, but a note about one.\n" * 20)
    elif name == "8 channels":
        soundfile.write(path, np.stack([wave * gain for gain in (1, 1, 1, 1, 0, 0, 0, 0)], axis=1), RATE)
    elif name == "8 bit":
        soundfile.write(path, wave, RATE, subtype="PCM_U8")
    else:
        assert name == "96 kHz"
        soundfile.write(path, voice(0.8, rate=96000).numpy(), 96000)
    return path


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nan", "not numbers (NaN or infinite); export it again"),
        ("no samples", "holds no samples; record it again or leave it out"),
        ("an hour", "lasts 3600 s, more than 600; split it"),
        ("truncated", "is cut off: "),
        ("text", "does not decode: "),
    ],
)
def test_odd_files_that_are_of_no_use_are_left_out_and_named(recipe, tmp_path, corpus, name, reason):  # noqa: F811
    corpus[5] = replace(corpus[5], audio_path=odd(name, tmp_path))
    lenient = replace(recipe, data=replace(recipe.data, max_bad_share=0.2))
    assert len(run(lenient, tmp_path, corpus).clips) == 9
    ((left_out),) = report(tmp_path)["left_out"]
    assert left_out["id"] == "clip5" and reason in left_out["reason"] and f"{name}.wav" in left_out["reason"]


@pytest.mark.parametrize(("name", "likeness"), [("8 channels", 0.9999), ("8 bit", 0.99), ("96 kHz", 0.99)])
def test_odd_files_that_can_be_read_sound_as_others(recipe, tmp_path, corpus, name, likeness):  # noqa: F811
    corpus[5] = replace(corpus[5], audio_path=odd(name, tmp_path))
    clip = run(recipe, tmp_path, corpus).clips[5]
    wave, expected = load_wave(clip.cache_file), voice(0.8)
    start = read_facts(clip.cache_file).start_sample
    expected = expected[start : start + len(wave)]
    assert len(wave) == len(expected) and clip.seconds == pytest.approx(0.8, abs=0.05)
    assert float(torch.nn.functional.cosine_similarity(wave, expected, dim=0)) > likeness
    assert loudness(wave, RATE) == pytest.approx(AUDIO.loudness, abs=0.1)


def test_settings_that_make_no_sense_are_refused():
    for wrong in ({"max_pause": -1.0}, {"high_pass": -5.0}, {"true_peak": 1.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            DataConfig(**wrong)
