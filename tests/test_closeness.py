"""Closeness: what is known beforehand is measured, independent arithmetic agrees, and planted faults are noticed."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests import faults
from tts.audio.files import read_wave
from tts.evaluation import closeness
from tts.evaluation.closeness import RATE, Closeness, clip_of, mel_cepstrum, warping_path
from tts.evaluation.measures import Take, Text, difference
from tts.settings import AudioConfig

REAL = Path(__file__).parents[1].parent / "shared/data/ljspeech-350"
# Short ones. With fewer than six pairs no permutation test reaches 5 %, and one of medians needs more.
CLIPS = [f"LJ001-{n}" for n in ("0013", "0125", "0165", "0170", "0174", "0078", "0002", "0008")]
CLIPS += [f"LJ002-{n}" for n in ("0044", "0153", "0198")]
MCD = 10 / math.log(10) * math.sqrt(2)


def take(wave, reference, *, copied=False, name="a", rate=RATE) -> Take:
    text = Text(name, "", "held out", (), ())
    return Take(text, "voice", torch.as_tensor(wave).float(), rate, torch.as_tensor(reference).float(), copied)


def values(found) -> dict[str, float]:
    return {name: part.amount / part.weight for name, part in found.parts.items()}


def tone(f0, seconds=1.0) -> np.ndarray:
    """Harmonics of an F0 in Hz, a number or one for every sample, each softer than the one below."""
    f0 = np.broadcast_to(f0, round(seconds * RATE))
    phase = 2 * np.pi * np.cumsum(f0) / RATE
    harmonics = [np.sin(k * phase) / k * (k * f0 < 7000) for k in range(1, 40)]
    return 0.2 * np.sum(harmonics, axis=0)


def babble(seed: int, seconds=1.2) -> np.ndarray:
    """Vowels without a meaning: a gliding tone whose formants wander."""
    rng = np.random.default_rng(seed)
    seconds_at = np.arange(round(seconds * RATE)) / RATE
    source = tone(150 + 40 * np.sin(2 * np.pi * (seconds_at + rng.random())), seconds)
    spectrum = np.zeros_like(source)
    for _ in range(4):
        place, width = rng.uniform(300, 5000), rng.uniform(100, 400)
        freqs = np.fft.rfftfreq(len(source), 1 / RATE)
        formant = np.fft.irfft(np.fft.rfft(source) / (1 + ((freqs - place) / width) ** 2), len(source))
        spectrum += formant * (1 + np.sin(2 * np.pi * rng.uniform(1, 3) * (seconds_at + rng.random())))
    return spectrum + 1e-3 * rng.standard_normal(len(source))


def summed(distance) -> np.ndarray:
    """Least cost of every cell, by the recursion of the textbook."""
    cost = np.full(np.add(distance.shape, 1), np.inf)
    cost[0, 0] = 0
    for i, j in np.ndindex(distance.shape):
        cost[i + 1, j + 1] = distance[i, j] + min(cost[i, j], cost[i, j + 1], cost[i + 1, j])
    return cost[1:, 1:]


@pytest.fixture(scope="module")
def judge():
    pytest.importorskip("pesq")
    pytest.importorskip("pystoi")
    needs_world()
    return Closeness()


def needs_world():
    try:
        return closeness.load_world()
    except ImportError:
        pytest.skip("pyworld is not installed")


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 5), (5, 1), (2, 2), (7, 4), (4, 9), (40, 41)])
def test_the_path_is_the_cheapest_there_is(n, m):
    rng = np.random.default_rng(n)
    ours, theirs = rng.standard_normal((n, 3)), rng.standard_normal((m, 3))
    path = warping_path(ours, theirs)
    distance = np.linalg.norm(ours[:, None] - theirs, axis=2)
    assert distance[path[:, 0], path[:, 1]].sum() == pytest.approx(summed(distance)[-1, -1], rel=1e-6)
    assert path[0].tolist() == [0, 0]
    assert path[-1].tolist() == [n - 1, m - 1]
    assert set(map(tuple, np.diff(path, axis=0))) <= {(1, 1), (1, 0), (0, 1)}


def test_the_path_follows_a_stretch():
    frames = np.random.default_rng(0).standard_normal((50, 24))
    assert (warping_path(frames.repeat(2, axis=0), frames) == [[i, i // 2] for i in range(100)]).all()


def warped(n_freqs: int, alpha: float) -> np.ndarray:
    """The angle that an all-pass bends each frequency to, in closed form."""
    angle = np.linspace(0, np.pi, n_freqs)
    return angle + 2 * np.arctan(alpha * np.sin(angle) / (1 - alpha * np.cos(angle)))


def test_a_mel_cepstrum_gives_its_coefficients_back():
    given = np.random.default_rng(0).standard_normal((3, 25)) * 0.3
    log_magnitude = given @ np.cos(np.arange(25)[:, None] * warped(513, closeness.ALPHA))
    assert mel_cepstrum(np.exp(2 * log_magnitude)) == pytest.approx(given, abs=1e-3)


def test_mcd_agrees_with_a_cosine_transform_on_the_warped_axis_and_the_textbooks_recursion(judge):
    world = needs_world()
    dct = pytest.importorskip("scipy.fft").dct
    cepstra = []
    for wave in (babble(1), babble(2, 1.0)):
        f0, seconds = world.dio(wave, RATE, frame_period=5.0)
        f0 = world.stonemask(wave, f0, seconds, RATE)
        log_magnitude = np.log(world.cheaptrick(wave, f0, seconds, RATE)) / 2
        axis = (np.arange(2048) + 0.5) * np.pi / 2048
        even = [np.interp(axis, warped(log_magnitude.shape[1], 0.42), frame) for frame in log_magnitude]
        cepstra.append(dct(np.array(even), type=2, axis=1)[:, 1:25] / 2048)
    distance = np.linalg.norm(cepstra[0][:, None] - cepstra[1], axis=2)
    found = judge(take(babble(1), babble(2, 1.0)))
    path = warping_path(*cepstra)
    assert distance[path[:, 0], path[:, 1]].sum() == pytest.approx(summed(distance)[-1, -1], rel=1e-6)
    assert values(found)["mcd_db"] == pytest.approx(MCD * summed(distance)[-1, -1] / len(path), rel=0.01)


def test_mcd_agrees_with_mel_cepstral_distance_on_the_same_cepstra(judge):
    """mel_cepstral_distance 0.0.4: its warping (exact) and its mean; its own cepstra are others."""
    alignment = pytest.importorskip("mel_cepstral_distance.alignment")
    computation = pytest.importorskip("mel_cepstral_distance.computation")
    clips = [clip_of(torch.from_numpy(babble(seed, seconds)), RATE) for seed, seconds in ((1, 0.6), (2, 0.5))]
    ours, theirs, _ = alignment.align_MC_s_D(*(c.analysis.cepstrum.T for c in clips), 0, 24, "dtw", None)
    expected = MCD * computation.get_average_MCD(computation.get_MCD_k(ours, theirs, 0, 24))
    found = judge(take(babble(1, 0.6), babble(2, 0.5)))
    assert values(found)["mcd_db"] == pytest.approx(expected, rel=0.01)


@pytest.mark.filterwarnings("ignore")
def test_the_cepstrum_is_that_of_sptk():
    sptk = pytest.importorskip("pysptk")
    envelope = np.exp(np.random.default_rng(0).standard_normal((4, 513)))
    assert mel_cepstrum(envelope) == pytest.approx(sptk.sp2mc(envelope, 24, 0.42), rel=0.01, abs=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_mcd_is_that_of_pymcd_in_its_settings(tmp_path):
    """pymcd 0.2.1, mode plain: 22,050 Hz, order 13, alpha 0.65, c0 counted, and the squared power plus 1e-8."""
    pymcd = pytest.importorskip("pymcd.mcd")
    world = needs_world()
    cepstra = []
    for seed in (1, 2):
        soundfile.write(tmp_path / f"{seed}.wav", babble(seed), 22050, subtype="FLOAT")
        wave = soundfile.read(tmp_path / f"{seed}.wav")[0]
        envelope = world.wav2world(wave, 22050, frame_period=5.0, fft_size=512)[1]
        cepstra.append(mel_cepstrum(envelope**2 + 1e-8, 13, 0.65))
    expected = pymcd.Calculate_MCD("plain").calculate_mcd(tmp_path / "1.wav", tmp_path / "2.wav")
    assert MCD * np.linalg.norm(np.subtract(*cepstra), axis=1).mean() == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("f0", [80, 110, 220, 350, 500])
def test_f0_of_a_known_tone(f0):
    needs_world()
    found, _ = closeness.pitch(tone(f0))
    assert np.mean(found > 0) > 0.9
    assert found[20:-20] == pytest.approx(np.full(len(found) - 40, f0), rel=0.01)


def test_a_tone_that_is_ten_hertz_higher_is_ten_hertz_off(judge):
    found = judge(take(tone(210), tone(200)))
    squared, frames = found.parts["f0_rmse_hz"]
    assert math.sqrt(squared / frames) == pytest.approx(10, rel=0.01)
    assert values(found)["f0_median_hz"] == pytest.approx(10, rel=0.01)
    assert "f0_correlation" not in found.parts, "a monotone has no melody"


def test_pitch_counts_what_is_known():
    reference = np.array([100.0] * 6 + [200.0] * 6 + [0.0] * 4)
    ours = np.array([110.0] * 6 + [220.0] * 4 + [440.0] + [0.0] * 4 + [90.0])
    parts = closeness.compare_pitch(ours, reference)
    assert parts["vuv_error"] == (2, 16)  # one frame lost its voice, one has it in a pause
    assert parts["f0_rmse_hz"] == (6 * 10**2 + 4 * 20**2 + 240**2, 11)
    assert parts["f0_median_hz"].amount == 10, "one octave error does not move it"
    assert parts["f0_correlation"].amount == pytest.approx(np.corrcoef(np.log(ours[:11]), np.log(reference[:11]))[0, 1])
    assert set(closeness.compare_pitch(ours * 0, reference)) == {"vuv_error"}


def test_a_melody_correlates_with_itself_in_another_key_and_not_with_its_mirror(judge):
    melody = 150 * 1.5 ** np.sin(np.pi * np.arange(2 * RATE) / RATE)
    assert values(judge(take(tone(1.02 * melody, 2), tone(melody, 2))))["f0_correlation"] == pytest.approx(1, abs=0.02)
    mirrored = closeness.compare_pitch(150**2 / melody, melody)
    assert mirrored["f0_correlation"].amount == pytest.approx(-1)


def test_duration_leaves_the_silence_at_both_ends_out(judge):
    padded = np.pad(babble(1), (RATE // 2, RATE))
    assert values(judge(take(padded, babble(1))))["duration_ratio"] == pytest.approx(1, abs=0.04)
    twice = judge(take(np.tile(babble(1), 2), babble(1)))
    assert values(twice)["duration_ratio"] == pytest.approx(2, abs=0.03)


def test_rates_do_not_matter(judge):
    wave, other = (torch.from_numpy(babble(seed)).float() for seed in (1, 2))
    finer = [faults.load_torchaudio().functional.resample(one, RATE, 44100) for one in (wave, other)]
    assert values(judge(take(*finer, rate=44100)))["mcd_db"] == pytest.approx(
        values(judge(take(wave, other)))["mcd_db"], rel=0.01
    )


def test_the_same_wave_is_as_close_as_can_be(judge):
    found = values(judge(take(babble(1, 2), babble(1, 2), copied=True)))
    assert set(found) == {measure.name for measure in judge.measures}
    assert found["pesq"] == pytest.approx(4.644, abs=0.01)
    assert found["stoi"] == pytest.approx(1, abs=1e-6)
    assert found["mcd_db"] == pytest.approx(0, abs=1e-9)
    assert found["lsd_db"] == found["f0_rmse_hz"] == found["vuv_error"] == 0


def test_loudness_alone_is_no_distance(judge):
    found = values(judge(take(0.5 * babble(1), babble(1))))
    assert found["mcd_db"] < 0.05
    assert found["lsd_db"] < 0.05


def test_only_copies_are_compared_sample_by_sample(judge):
    wave = babble(1, 2)
    assert judge(take(wave, wave)).parts.keys().isdisjoint({"pesq", "stoi"})
    padded = np.pad(wave, (0, 100))  # a copy ends with its frame
    assert values(judge(take(padded, wave, copied=True)))["pesq"] > 4.6


def test_a_take_without_a_recording_is_left_alone(judge):
    text = Text("a", "", "held out", (), ())
    assert judge(Take(text, "voice", torch.rand(RATE), RATE)) == ({}, {})


@pytest.mark.parametrize("wave", [np.zeros(0), np.zeros(RATE), np.full(RATE, np.nan)], ids=["empty", "silent", "nan"])
@pytest.mark.parametrize("copied", [False, True])
def test_silence_has_no_measures_and_says_so(judge, wave, copied):
    found = judge(take(wave, babble(1), copied=copied))
    assert found.parts == {}
    assert found.notes == {"closeness": "the take holds nothing but silence"}
    assert judge(take(babble(1), wave, copied=copied, name="b")).parts == {}


@pytest.mark.filterwarnings("default")  # as outside of tests: a package that warns still has no value
@pytest.mark.parametrize("n_samples", [1, 100, 1500, 1650, 5000])
def test_what_is_very_short_is_measured_as_far_as_it_goes(judge, n_samples):
    short = 0.1 * np.random.default_rng(0).standard_normal(n_samples)
    found = judge(take(short, babble(1), copied=True))
    assert ("mcd_db" in found.parts) == (n_samples >= 1600)
    assert values(found)["duration_ratio"] == pytest.approx(n_samples / RATE / 1.2, rel=0.05)
    assert found.parts.keys().isdisjoint({"pesq", "stoi"}) or n_samples > 4000
    assert all(math.isfinite(value) for value in values(found).values())


def test_a_recording_is_analysed_once_and_never_mistaken_for_another(judge, monkeypatch):
    seen = []
    monkeypatch.setattr(closeness, "clip_of", lambda wave, *rest: seen.append(len(wave)) or clip_of(wave, *rest))
    judge, first, second = Closeness(), babble(1), babble(2)
    alone = values(judge(take(babble(3), first)))
    assert values(judge(take(babble(3), first))) == alone
    assert len(seen) == 3, "two takes, one recording"
    assert values(judge(take(babble(3), second))) != alone, "the same id, another recording"
    assert len(seen) == 5


def test_recordings_that_were_long_unused_are_forgotten(judge, monkeypatch):
    monkeypatch.setattr(closeness, "KEPT", 2)
    judge = Closeness()
    for name in ("a", "b", "a", "c"):
        judge(take(babble(1, 0.3), babble(2, 0.3), name=name))
    assert [key[0] for key in judge._kept] == ["a", "c"]


@pytest.mark.parametrize(("package", "lost"), [("pyworld", 6), ("pesq", 1), ("pystoi", 1)])
def test_without_a_package_the_others_still_measure(judge, monkeypatch, package, lost):
    closeness.load_world.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)
    poorer = Closeness()
    absent = poorer.missing()
    assert len(absent) == lost
    assert all(package in why and 'pip install "tts[evaluate]"' in why for why in absent.values())
    found = poorer(take(babble(1, 2), babble(1, 2), copied=True))
    assert found.parts.keys() == {measure.name for measure in judge.measures} - absent.keys()
    closeness.load_world.cache_clear()


@pytest.fixture(scope="module")
def damaged(judge):
    """Fault -> the findings of it in each real clip, against that clip."""
    if not REAL.is_dir():
        pytest.skip("no real LJSpeech at ../shared/data/ljspeech-350")
    audio = AudioConfig()
    rate = audio.sample_rate
    found = {}
    waves = {name: read_wave(REAL / f"wavs/{name}.flac", rate) for name in CLIPS}
    for i, (name, wave) in enumerate(waves.items()):
        words = faults.read_words(REAL / f"TextGrid/{name}.TextGrid")
        copy = faults.copied(wave, audio)
        spoken = {
            "real": wave,
            "copy": copy,
            "noisy copy": faults.noise(copy),
            "noise": faults.noise(wave),
            "clipped": faults.clipped(wave),
            "low-passed": faults.low_passed(wave, rate),
            "resynthesised": faults.revoiced(wave, rate),
            "slower": faults.revoiced(wave, rate, slower=1.1),
            "higher": faults.revoiced(wave, rate, semitones=2),
            "words missing": faults.without(wave, rate, words[1::4]),
            "word repeated": faults.repeated(wave, rate, words[len(words) // 2]),
            "wrong text": list(waves.values())[i - 1],
        }
        aligned = {"real", "copy", "noisy copy", "noise", "clipped", "low-passed"}
        for fault, one in spoken.items():
            made = judge(take(one, wave, copied=fault in aligned, name=name, rate=rate))
            found.setdefault(fault, []).append(made.parts)
    return found


# Fault, the system it was planted in, and the measures that must notice it.
NOTICED = [
    ("copy", "real", ["mcd_db", "lsd_db", "pesq", "stoi"]),
    ("noisy copy", "copy", ["mcd_db", "lsd_db", "pesq", "stoi"]),
    ("noise", "real", ["mcd_db", "lsd_db", "pesq", "stoi"]),
    ("clipped", "real", ["mcd_db", "lsd_db", "pesq"]),
    ("low-passed", "real", ["mcd_db", "lsd_db"]),
    ("slower", "resynthesised", ["duration_ratio"]),
    ("higher", "resynthesised", ["f0_rmse_hz", "f0_median_hz"]),
    ("words missing", "real", ["mcd_db", "duration_ratio"]),
    ("word repeated", "real", ["mcd_db", "duration_ratio"]),
    ("wrong text", "noisy copy", ["f0_rmse_hz"]),
]


@pytest.mark.parametrize(("fault", "sound", "names"), NOTICED, ids=[fault for fault, _, _ in NOTICED])
def test_a_planted_fault_is_noticed(damaged, judge, fault, sound, names):
    for measure in judge.measures:
        if measure.name in names:
            ours, theirs = ([parts[measure.name] for parts in damaged[system]] for system in (fault, sound))
            assert difference(measure, ours, theirs).verdict == "worse", measure.name


def test_a_planted_fault_is_as_large_as_it_is(damaged):
    slower = sum(parts["duration_ratio"].amount for parts in damaged["slower"])
    assert slower / sum(parts["duration_ratio"].amount for parts in damaged["resynthesised"]) == pytest.approx(
        1.1, abs=0.02
    )
    medians = [parts["f0_median_hz"].amount for parts in damaged["higher"]]
    assert np.mean(medians) == pytest.approx(200 * (2 ** (2 / 12) - 1), rel=0.25)  # her F0 is about 200 Hz
