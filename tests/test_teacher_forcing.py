"""The loops with a backward pass of their own give the values and gradients of the steps under autograd."""

import pytest
import torch

from tests.plain_loops import lstm_steps, plain_loops
from tests.test_acoustic_contract import ATTENTIONS, make_attention, make_batch, make_model
from tts.acoustic._recurrence import ZoneoutLSTM, attend_steps, attention_loop
from tts.layers import length_mask, windows, windows_gradient

N_STEPS, N_ROWS, N_SYMBOLS = 7, 3, 9


def relative_error(ours, theirs):
    return ((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1e-8)).item()


def make_lstm(in_dim, fed_back_dim, dim, rate=0.2):
    torch.manual_seed(0)
    return ZoneoutLSTM(in_dim, fed_back_dim, dim, rate=rate)


def gradients(run, inputs, module):
    """Values of `run` and the gradients of a sum over them, weighted at random; every run draws the same zoneout."""
    torch.manual_seed(3)
    values = run()
    generator = torch.Generator().manual_seed(4)
    total = sum((value * torch.randn(value.shape, generator=generator)).sum() for value in values)
    named = {**inputs, **dict(module.named_parameters())}
    found = torch.autograd.grad(total, list(named.values()), allow_unused=True)
    return values, dict(zip(named, found, strict=True))


def check(loop, steps, inputs, module):
    values, ours = gradients(loop, inputs, module)
    expected, theirs = gradients(steps, inputs, module)
    for value, wanted in zip(values, expected, strict=True):
        assert relative_error(value, wanted) < 1e-5
    assert ours.keys() == theirs.keys()
    for name in theirs:
        assert (ours[name] is None) == (theirs[name] is None), name
        if theirs[name] is not None:
            assert relative_error(ours[name], theirs[name]) < 1e-4, name


@pytest.mark.parametrize("training", [True, False])
def test_an_lstm_over_all_steps_equals_its_steps(training):
    lstm = make_lstm(4, 0, 6).train(training)
    x = torch.randn(N_STEPS, N_ROWS, 4, requires_grad=True)
    check(lambda: (lstm(x),), lambda: (lstm_steps(lstm, x),), {"x": x}, lstm)


class Both(torch.nn.Module):
    """An LSTM and the attention it queries."""

    def __init__(self, name):
        super().__init__()
        self.lstm = make_lstm(4, 4, 5)
        self.attention = make_attention(name)

    def run(self, loop, projected, memory, lengths):
        prepared = self.attention.prepare(memory, length_mask(lengths, memory.shape[1]))
        return loop(self.lstm, self.attention, projected, prepared)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ATTENTIONS)
def test_the_attention_loop_equals_its_steps(name, training):
    both = Both(name).train(training)
    projected = torch.randn(N_STEPS, N_ROWS, 20, requires_grad=True)
    lengths = torch.tensor([9, 4, 6])
    memory = torch.randn(N_ROWS, N_SYMBOLS, 4).masked_fill(~length_mask(lengths, N_SYMBOLS)[:, :, None], 0)
    memory.requires_grad_()
    loops = [lambda loop=loop: both.run(loop, projected, memory, lengths) for loop in (attention_loop, attend_steps)]
    check(*loops, {"projected": projected, "memory": memory}, both)
    assert both.attention.leaves(both.attention.prepare(memory, length_mask(lengths, N_SYMBOLS))) is not None


@pytest.mark.parametrize("name", ATTENTIONS)
def test_without_gradients_nothing_is_kept_and_all_is_the_same(name, monkeypatch):
    both = Both(name).eval()
    tape, asked = type(both.attention).tape, []
    monkeypatch.setattr(type(both.attention), "tape", lambda *given: asked.append(given[2]) or tape(*given))
    projected, memory, lengths = (
        torch.randn(N_STEPS, N_ROWS, 20),
        torch.randn(N_ROWS, N_SYMBOLS, 4),
        torch.tensor([9] * 3),
    )
    with torch.no_grad():
        alone = both.run(attention_loop, projected, memory, lengths)
    assert asked == [1]  # step
    for value, wanted in zip(alone, both.run(attend_steps, projected, memory, lengths), strict=True):
        assert relative_error(value, wanted) < 1e-5


@pytest.mark.parametrize("name", ATTENTIONS)
@pytest.mark.parametrize("reduction", [1, 3])
def test_a_training_step_has_the_gradients_of_the_plain_loop(name, reduction):
    model = make_model("tacotron2", name, reduction=reduction, dropout=True).train()
    batch = make_batch([4, 9, 7], [13, 8, 14])

    def step():
        torch.manual_seed(1)
        out = model(batch)
        (out.mel.square().mean() + out.stop_logit.sigmoid().mean() + (out.alignment**2).mean()).backward()
        found = {key: value.grad.clone() for key, value in model.named_parameters() if value.grad is not None}
        model.zero_grad(set_to_none=True)
        return found

    fast = step()
    with plain_loops():
        plain = step()
    assert fast.keys() == plain.keys()
    assert max(relative_error(fast[name], plain[name]) for name in plain if "conv.bias" not in name) < 1e-4


def test_an_attention_without_a_tape_takes_the_steps(monkeypatch):
    both = Both("location_sensitive").eval()
    monkeypatch.setattr(type(both.attention), "leaves", lambda *given: None)
    projected, memory, lengths = torch.randn(N_STEPS, 1, 20), torch.randn(1, N_SYMBOLS, 4), torch.tensor([9])
    both.run(attention_loop, projected, memory, lengths).weights.sum().backward()
    assert both.lstm.recurrent.weight.grad is not None


def test_memory_is_freed_once_the_gradients_are_taken():
    """Nothing that the loop keeps refers to itself: training would grow until the garbage collector came."""
    import gc
    import weakref

    both = Both("location_sensitive").train()
    projected = torch.randn(N_STEPS, 1, 20, requires_grad=True)
    memory, lengths = torch.randn(1, N_SYMBOLS, 4), torch.tensor([9])
    gc.disable()
    try:
        trace = both.run(attention_loop, projected, memory, lengths)
        kept = weakref.ref(trace.weights.grad_fn.passed)
        trace.weights.sum().backward()
        del trace
        assert kept() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(("before", "after"), [(3, 3), (4, 0), (0, 2)])
def test_the_gradient_of_windows(before, after):
    x = torch.randn(2, 8, requires_grad=True)
    seen = windows(x, before, after)
    weight = torch.randn(seen.shape)
    (wanted,) = torch.autograd.grad((seen * weight).sum(), x)
    torch.testing.assert_close(windows_gradient(weight, before, after), wanted)
