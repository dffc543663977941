"""Compiled decoder steps equal torch's, row by row, and are never those of other weights."""

import sys
import warnings
from importlib import import_module

import pytest
import torch

from tests.test_acoustic_contract import N_MELS, N_SYMBOLS, SILENCE, make_batch
from tts import native
from tts.acoustic import _native, _stepping, tacotron2
from tts.acoustic._stepping import PrenetDropout, TorchStepper, make_stepper
from tts.acoustic._watch import Span
from tts.acoustic.attention import location_sensitive

ATTENTIONS = ["location_sensitive", "dynamic_convolution"]


def make_sized(attention, width, *, reduction=2, sharpness=1.0, frames_heard=1.0):
    """Widths around `width`, none alike; a larger sharpness makes attention look at fewer symbols."""
    file = import_module(f"tts.acoustic.attention.{attention}")
    config = tacotron2.Config(
        attention=file.Config(dim=width + 3, kernel_size=5),
        encoder_dim=2 * width,
        prenet_dims=[width + 1, width - 1, width],
        attention_lstm_dim=width + 2,
        decoder_lstm_dim=width + 5,
        sharpness=1.5,
        postnet_dim=6,
        postnet_layers=2,
        stop_threshold=0.999,
    )
    torch.manual_seed(0)
    model = tacotron2.build(config, n_symbols=N_SYMBOLS, n_mels=N_MELS, max_reduction=3, silence=SILENCE).eval()
    with torch.no_grad():
        model.attention.energy.weight *= sharpness
    model.reduction, model.frames_heard = reduction, frames_heard
    return model


def speak(model, n_frames=24):
    batch = make_batch([4, 9, 2], [7, 14, 3])
    return model.generate(batch.text_ids, batch.text_lengths, seeds=[3, 1, 2], max_frames=[n_frames, 13, n_frames])


def by_torch(monkeypatch, model, n_frames=24):
    with monkeypatch.context() as patched:
        patched.setattr(_stepping, "compiled_attention", lambda model: None)
        return speak(model, n_frames)


@torch.no_grad()
def prepare(model):
    batch = make_batch([4, 9, 2], [7, 14, 3])
    return model.encode_rows(batch.text_ids, batch.text_lengths)


@torch.no_grad()
def steppers(model):
    prepared = prepare(model)
    compiled = make_stepper(model, prepared)
    assert isinstance(compiled, _native.NativeStepper)
    return compiled, TorchStepper(model, prepared)


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("width", [4, 31, 64])
@pytest.mark.parametrize(("reduction", "frames_heard"), [(1, 1.0), (3, 0.5), (2, 0.4)])
def test_compiled_steps_equal_those_of_torch(monkeypatch, attention, width, reduction, frames_heard):
    model = make_sized(attention, width, reduction=reduction, sharpness=5, frames_heard=frames_heard)
    spoken, expected = speak(model), by_torch(monkeypatch, model)
    torch.testing.assert_close(spoken.mel, expected.mel, atol=1e-4, rtol=0)
    torch.testing.assert_close(spoken.alignment, expected.alignment, atol=1e-4, rtol=0)
    torch.testing.assert_close(spoken.stop_probability, expected.stop_probability, atol=1e-4, rtol=0)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_one_byte_a_weight_changes_little(monkeypatch, attention):
    """The mel moves by a few percent of its spread, and attention walks the same way."""
    model = make_sized(attention, 64, sharpness=30)
    exact = speak(model, 60)
    monkeypatch.setattr(_native, "FLOATS_UP_TO", 0)
    small = speak(model, 60)
    assert not torch.equal(small.mel, exact.mel), "one byte a weight is in use"
    spread = exact.mel[0].std(dim=1).mean()
    assert (small.mel[0] - exact.mel[0]).square().mean().sqrt() < 0.03 * spread
    paths = [spoken.alignment.argmax(dim=1) for spoken in (small, exact)]
    assert len(paths[1][0].unique()) > 1, "attention moves"
    assert torch.equal(*paths)


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("floats_up_to", [0, 10**9])
def test_a_batch_of_many_is_exactly_batches_of_one(monkeypatch, attention, floats_up_to):
    monkeypatch.setattr(_native, "FLOATS_UP_TO", floats_up_to)
    model, lengths, limits = make_sized(attention, 31), [1 + 3 * b for b in range(16)], [40 - 2 * b for b in range(16)]
    batch = make_batch(lengths, [3] * 16)
    many = model.generate(batch.text_ids, batch.text_lengths, seeds=range(16), max_frames=limits)
    for b, (n_text, n_frames) in enumerate(zip(lengths, limits, strict=True)):
        one = model.generate(
            batch.text_ids[b : b + 1, :n_text], torch.tensor([n_text]), seeds=[b], max_frames=[n_frames]
        )
        assert torch.equal(many.mel[b, :, :n_frames], one.mel[0])
        assert torch.equal(many.stop_probability[b, :n_frames], one.stop_probability[0])
        assert torch.equal(many.alignment[b, :n_text, :n_frames], one.alignment[0])


@torch.no_grad()
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_span_keeps_attention_inside(attention):
    model = make_sized(attention, 8)
    dropout = PrenetDropout([0, 1, 2], sum(model.prenet.dims), 0.5)
    speaking, previous = torch.ones(3, dtype=torch.bool), torch.randn(3, N_MELS)
    compiled, expected = steppers(model)
    for edges in (None, [[1, 3], [4, 9], [-2, 1]], [[2, 4], [5, 6], [1, 7]], None):
        span = None if edges is None else Span(*torch.tensor(edges).unbind(1))
        kept = dropout.next()
        one, other = (stepper.step(previous, kept, speaking, span) for stepper in (compiled, expected))
        for part, same in zip(one, other, strict=True):
            torch.testing.assert_close(part, same, atol=1e-5, rtol=0)
        for b, (low, high) in enumerate(edges or []):
            assert (one.weights[b, : max(low, 0)] == 0).all() and (one.weights[b, high:] == 0).all()


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_changed_weights_are_heard_at_once(attention):
    """In place, past torch's own version counter: as optimizers, averaging and loading may do it."""
    model = make_sized(attention, 8)
    parameters = dict(model.named_parameters())
    for name in parameters:
        if name.startswith(("encoder", "postnet")) or name == "attention.query.bias":
            continue
        before = speak(model)
        parameters[name].data.mul_(-1.5).add_(0.1)
        after = speak(model)
        changed = (after.mel != before.mel).any() or (after.stop_probability != before.stop_probability).any()
        assert changed, name


def test_a_row_that_has_ended_is_not_computed():
    compiled, _ = steppers(make_sized("location_sensitive", 8))
    kept, previous = torch.ones(3, 24), torch.zeros(3, N_MELS)
    stepped = compiled.step(previous, kept, torch.tensor([True, False, True]))
    assert stepped.weights.sum(dim=1).round().tolist() == [1, 0, 1]


def test_dropout_is_the_rows_own_step_after_step():
    """The same numbers as drawn one step at a time."""
    dropout = PrenetDropout([5, 7], 12, 0.3)
    generators = [torch.Generator().manual_seed(seed) for seed in (5, 7)]
    for _ in range(_stepping.AHEAD + 3):
        numbers = torch.stack([torch.cat([torch.rand(n, generator=g) for n in (5, 7)]) for g in generators])
        torch.testing.assert_close(dropout.next(), (numbers >= 0.3) / 0.7)


class Louder(tacotron2.Tacotron2):
    """A model with a step of its own."""

    def step(self, previous, state, prepared, drop):
        frames, state = super().step(previous, state, prepared, drop)
        return frames._replace(mel=frames.mel + 1), state


class Narrower(location_sensitive.LocationSensitiveAttention):
    """An attention of somebody's own, of which there are no compiled steps."""


@pytest.mark.parametrize("which", ["model", "attention", "precision"])
def test_what_has_no_compiled_steps_is_stepped_by_torch(which):
    model = make_sized("location_sensitive", 8)
    prepared = prepare(model)
    assert not isinstance(make_stepper(model, prepared), TorchStepper)
    if which == "model":
        model.__class__ = Louder
    if which == "attention":
        model.attention.__class__ = Narrower
    if which == "precision":
        model.double()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(make_stepper(model, prepared), TorchStepper)


def test_without_numba_torch_speaks_and_says_so_once(monkeypatch):
    model = make_sized("dynamic_convolution", 8)
    expected = speak(model)
    monkeypatch.setattr(native, "_reasons", [])
    monkeypatch.setitem(sys.modules, "tts.acoustic._native", None)
    monkeypatch.delattr("tts.acoustic._native")
    with pytest.warns(RuntimeWarning, match="without compiled loops"):
        spoken = speak(model)
    torch.testing.assert_close(spoken.mel, expected.mel, atol=1e-4, rtol=0)
    torch.testing.assert_close(speak(model).mel, spoken.mel)
