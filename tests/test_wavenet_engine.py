"""Generation of WaveNet: compiled steps are the network's, noise alone decides the samples, however they are made."""

import math
import sys
import warnings
from dataclasses import replace
from itertools import pairwise, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tts import native
from tts.settings import AudioConfig
from tts.vocoder import _generation, _native_wavenet, wavenet
from tts.vocoder._engines import TorchEngine, compiled_engines
from tts.vocoder._generation import Piece, _joined, cut
from tts.vocoder._linear_prediction import LinearPrediction, _solve
from tts.vocoder._native_filter import recur
from tts.vocoder.wavenet import Config, WaveNet

AUDIO = AudioConfig(sample_rate=8000, n_fft=64, win_length=64, hop_length=16, n_mels=8, f_max=4000.0)
OUTPUTS = ["mu_law", "logistics", "gaussian"]
SMALL = {"n_layers": 4, "n_cycles": 2, "residual_channels": 12, "gate_channels": 10, "skip_channels": 9}
SMALL |= {"condition_channels": 8, "condition_kernels": [3]}


def make(**changes) -> WaveNet:
    torch.manual_seed(0)
    model = wavenet.build(replace(Config(), **SMALL | changes), audio=AUDIO)
    return model.eval()


def calm(**changes):
    """It hears its past, but faintly: a difference in rounding stays one."""
    model = make(**changes)
    with torch.no_grad():
        model.input.weight.mul_(0.05)
    return model


def random_mel(n_frames, n_rows=1):
    return torch.randn(n_rows, AUDIO.n_mels, n_frames, generator=torch.Generator().manual_seed(1)) - 4


def speak(model, mel, seed=3, **options):
    lengths = torch.full((len(mel),), mel.shape[2])
    return model.generate(mel, lengths, seeds=[seed + row for row in range(len(mel))], **options)


@torch.inference_mode()
def taught(model, n_steps):
    """Parameters (P, T) of a random signal: in parallel, by torch's steps, by compiled ones in float32 and in half."""
    n_frames = -(-n_steps // model.frame_steps)
    mel = random_mel(n_frames + 2 * model.mel_context)
    uniform = torch.rand(1, model.n_bands, n_frames * model.frame_steps, generator=torch.Generator().manual_seed(2))
    signal = model.distribution.encode(uniform - 0.5)
    parallel = model._predict(signal, mel, first=0)[0]
    conditions = model.step_condition(mel)
    state, previous, steps = model.start(1), torch.zeros(1, model.n_bands), []
    for t in range(signal.shape[2]):
        parameters, state = model.step(previous, state, conditions[t // model.frame_steps])
        previous = signal[:, :, t]
        steps.append(parameters[0])
    compiled = [compiled_engines(model, storage)().teach(conditions, signal)[0] for storage in ("float32", "half")]
    return parallel, torch.stack(steps, dim=1), *compiled


def largest(difference):
    return float(difference.abs().max())


@pytest.mark.parametrize(("output", "kernel_size", "n_bands"), list(product(OUTPUTS, [2, 3], [1, 4])))
def test_two_thousand_steps_agree(output, kernel_size, n_bands):
    model = make(output=output, kernel_size=kernel_size, n_bands=n_bands)
    parallel, steps, floats, halves = taught(model, 2000)
    assert parallel.shape[1] >= 2000
    assert largest(steps - parallel) < 1e-5
    assert largest(floats - parallel) < 1e-5
    assert 1e-6 < largest(halves - parallel) < 5e-3


@st.composite
def configs(draw):
    n_cycles = draw(st.integers(1, 3))
    width = st.integers(1, 70)
    return {
        "n_cycles": n_cycles,
        "n_layers": n_cycles * draw(st.integers(1, 5)),
        "kernel_size": draw(st.integers(2, 4)),
        "residual_channels": draw(width),
        "gate_channels": draw(width),
        "skip_channels": draw(width),
        "n_bands": draw(st.sampled_from([1, 2, 4, 8])),
        "output": draw(st.sampled_from(OUTPUTS)),
        "bits": draw(st.integers(8, 10)),
        "n_mixtures": draw(st.integers(1, 12)),
    }


@settings(max_examples=25, deadline=None)
@given(configs())
def test_networks_of_any_size_agree(changes):
    parallel, steps, floats, halves = taught(make(**changes), 100)
    bound = 1e-5 * max(1.0, largest(parallel))
    assert largest(steps - parallel) < bound
    assert largest(floats - parallel) < bound
    assert largest(halves - parallel) < 500 * bound


# The same examples every time: once in many thousand draws, rounding chooses another class or component.
@settings(max_examples=25, deadline=None, derandomize=True)
@given(configs(), st.integers(0, 2**31))
def test_compiled_draws_are_torch_s(changes, seed):
    """Of the same noise."""
    model = calm(**changes)
    with torch.inference_mode():
        conditions = model.step_condition(random_mel(2 + 2 * model.mel_context))
        generator = torch.Generator().manual_seed(seed)
        noise = torch.cat([model.noise([generator]) for _ in range(2)])
        expected = TorchEngine(model, 1).run(conditions, noise)
        drawn = compiled_engines(model, "float32")().run(conditions, noise)
    torch.testing.assert_close(drawn, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_whole_row_is_what_torch_makes(output, monkeypatch):
    model, mel = calm(output=output, n_bands=2, pre_emphasis=0.8), random_mel(21, n_rows=2)
    compiled = speak(model, mel, storage="float32")
    monkeypatch.setattr(_generation, "compiled_engines", lambda model, storage: None)
    torch.testing.assert_close(compiled, speak(model, mel), atol=1e-4, rtol=0)


@pytest.mark.parametrize("storage", ["float32", "half"])
def test_the_same_seed_gives_the_same_samples(storage):
    model, mel = make(), random_mel(20)
    first = speak(model, mel, storage=storage)
    assert torch.equal(first, speak(model, mel, storage=storage))
    assert not torch.equal(first, speak(model, mel, seed=4, storage=storage))


def test_storage_is_what_was_asked_for():
    model, mel = calm(output="gaussian"), random_mel(20)
    floats, halves = (speak(model, mel, storage=storage) for storage in ("float32", "half"))
    assert 0 < largest(floats - halves) < 0.05
    assert torch.equal(speak(model, mel), floats), "a small network is not slower in float32"


@pytest.mark.parametrize("measured", [False, True])
def test_rows_side_by_side_are_rows_one_by_one(measured, monkeypatch):
    model, mel = make(refinement=2), random_mel(30, n_rows=5)
    lengths, seeds = torch.tensor([30, 7, 1, 16, 17]), [5, 6, 7, 8, 9]
    options = {"folds": 2, "measured": measured}
    alone = []
    for cores in (1, 3):
        monkeypatch.setattr(_generation, "n_cores", lambda cores=cores: cores)
        alone.append(model.generate(mel, lengths, seeds=seeds, **options))
    assert torch.equal(*alone)
    for row, n in enumerate(lengths):
        made = model.generate(mel[row : row + 1, :, :n], lengths[row : row + 1], seeds=seeds[row : row + 1], **options)
        assert torch.equal(alone[0][row, : n * AUDIO.hop_length], made[0])


@pytest.mark.parametrize("changes", [{}, {"n_bands": 4, "pre_emphasis": 0.9}, {"output": "gaussian", "lpc_order": 6}])
@pytest.mark.parametrize("sizes", [[1] * 25, [25], [3, 0, 20, 2], [8, 8, 9]])
@pytest.mark.parametrize("measured", [False, True])
def test_a_stream_is_the_whole_in_pieces(changes, sizes, measured):
    model, mel = make(refinement=2, **changes), random_mel(25)
    whole = speak(model, mel, measured=measured)[0]
    pieces = list(model.stream(mel[0].split(sizes, dim=1), seed=3, measured=measured))
    assert len(pieces) > 2
    assert torch.equal(torch.cat(pieces), whole)


@pytest.mark.parametrize(("refinement", "blocks"), [(0, 1), (8, 2)])
def test_a_stream_begins_with_the_first_frames(refinement, blocks):
    """It asks for a block and its context, one more if it is refined, and nothing that comes later."""
    model, mel, given_out = make(n_bands=4, refinement=refinement), random_mel(40), []

    def frames():
        for frame in mel[0].split(1, dim=1):
            given_out.append(frame)
            yield frame

    first = next(iter(model.stream(frames(), seed=3)))
    assert len(given_out) == blocks * _generation.BLOCK + model.mel_context
    assert len(first) >= (_generation.BLOCK - 2) * AUDIO.hop_length


def test_one_fold_is_the_whole():
    model, mel = make(), random_mel(200)
    assert torch.equal(speak(model, mel, folds=1), speak(model, mel))


def test_folds_join_without_a_click():
    """Where two folds do not agree at all, one takes over from the other over a frame."""
    hop = AUDIO.hop_length
    before, after = Piece(0, 0, 0, 21, 22), Piece(0, 15, 20, 40, 40)
    made = [(before, torch.full((22 * hop,), 0.5)), (after, torch.full((25 * hop,), -0.5))]
    wave = _joined(torch.zeros(1, 40 * hop), made, hop)[0]
    assert bool((wave[: 20 * hop] == 0.5).all()) and bool((wave[21 * hop :] == -0.5).all())
    assert largest(wave.diff()) < 1.01 / hop


def test_folds_are_warm_and_hear_the_noise_of_the_whole():
    """So where the past matters little they are like the whole, from their first sample on."""
    model, mel = calm(output="gaussian", n_bands=4, pre_emphasis=0.5), random_mel(200)
    mel[:, :, 60:70] -= 3
    whole, folded = speak(model, mel), speak(model, mel, folds=3)
    assert not torch.equal(folded, whole)
    assert largest(folded - whole) < 1e-3 * largest(whole)
    model, mel = make(output="gaussian"), random_mel(200)
    assert torch.equal(speak(model, mel, folds=3), speak(model, mel, folds=3))


@given(st.integers(1, 400), st.integers(1, 5), st.integers(1, 30))
def test_folds_cover_the_row(n_frames, folds, warm):
    pieces = cut(
        torch.randn(4, n_frames, generator=torch.Generator().manual_seed(n_frames)), 0, folds, warm=warm, behind=2
    )
    assert 1 <= len(pieces) <= folds
    assert pieces[0].start == pieces[0].first == 0 and pieces[-1].last == pieces[-1].end == n_frames
    for before, piece in pairwise(pieces):
        assert before.last == before.end - 2 == piece.first + _generation.FADE
        assert piece.start == piece.first - warm
        assert piece.last - piece.first > warm


def test_folds_are_cut_at_pauses():
    mel = torch.zeros(4, 300)
    mel[:, 110:114] = mel[:, 195:198] = -8
    first, second, third = cut(mel, 0, 3, warm=5, behind=0)
    assert second.first in (111, 112) and third.first == 196
    assert first.last == second.first + _generation.FADE


def fail_to_compile(*arguments):
    raise ValueError("LLVM has no such instruction")


@pytest.mark.parametrize("broken", ["import", "compiler"])
def test_without_compiled_loops_torch_speaks_and_says_so_once(monkeypatch, broken):
    model, mel = calm(output="gaussian", lpc_order=4), random_mel(12)
    expected = speak(model, mel)
    monkeypatch.setattr(native, "_reasons", [])
    if broken == "import":
        monkeypatch.setitem(sys.modules, "tts.vocoder._native_wavenet", None)
    else:
        monkeypatch.setattr(_native_wavenet, "ensure", fail_to_compile)
    with pytest.warns(RuntimeWarning, match="without compiled loops") as told:
        again = speak(model, mel)
    assert len(told) == 1
    torch.testing.assert_close(again, expected, atol=1e-4, rtol=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(torch.cat(list(model.stream([mel[0]], seed=3))), again[0])


@pytest.mark.parametrize("change", ["precision", "step", "autocast"])
def test_what_is_not_the_compiled_network_is_stepped_by_torch(change):
    model = make()
    if change == "precision":
        assert compiled_engines(model.double(), None) is None
    elif change == "step":
        model.__class__ = type("Other", (WaveNet,), {"sample": lambda self, parameters, noise: parameters[:, :1]})
        assert compiled_engines(model, None) is None
    else:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert compiled_engines(model, None) is None


def test_weights_are_those_of_now():
    model, mel = make(), random_mel(8)
    before = speak(model, mel)
    with torch.no_grad():
        model.output.weight.mul_(1.5)
    assert not torch.equal(speak(model, mel), before)


def test_the_compiled_recursion_is_the_triangular_solve():
    audio = replace(AUDIO, n_fft=256, win_length=256, hop_length=64, n_mels=20)
    prediction = LinearPrediction(8, audio=audio)
    generator = torch.Generator().manual_seed(0)
    envelope = prediction.analyse(torch.randn(2, 20, 5, generator=generator) - 4)
    excitation, past = (torch.randn(2, n, generator=generator) / 10 for n in (5 * 64, 8))
    made = recur(excitation, envelope, past)
    torch.testing.assert_close(made, _solve(excitation, envelope, past), atol=1e-6, rtol=1e-5)
    assert math.isfinite(largest(made))


def test_progress_ends_with_the_last_sample(monkeypatch):
    monkeypatch.setattr(_generation, "n_cores", lambda: 2)
    heard = []
    wave = speak(make(n_bands=4), random_mel(150, n_rows=2), folds=2, progress=heard.append)
    assert heard == sorted(heard) and heard[-1] == wave.shape[1] and len(heard) > 20
