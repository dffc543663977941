"""The loops of teacher forcing in recorded blocks give what they give step by step; what is recorded, and when."""

import gc
import warnings
import weakref
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch

from tests.plain_loops import lstm_steps, plain_loops
from tests.replays import Operations, replaying
from tests.test_acoustic_contract import ATTENTIONS, make_batch, make_model
from tests.test_teacher_forcing import Both, check, gradients, make_lstm, relative_error
from tests.toy import SMALL, steps
from tts.acoustic import _recorded
from tts.acoustic._recorded import KEPT, Recordings
from tts.acoustic._recurrence import attend_steps, attention_loop
from tts.acoustic._teacher_forcing import AtOnce, Given
from tts.cli import main
from tts.layers import length_mask

WIDTH = 20  # of what is given to a step, 4 H


@pytest.fixture
def replays():
    with replaying() as replays:
        yield replays


def make_inputs(n_steps=7, lengths=(9, 4, 6), seed=0):
    """7 steps of 3 rows and 9 symbols: of no number is it a whole one."""
    generator = torch.Generator().manual_seed(seed)
    projected = torch.randn(n_steps, len(lengths), WIDTH, generator=generator)
    mask = length_mask(torch.tensor(lengths), max(lengths))
    memory = torch.randn(*mask.shape, 4, generator=generator).masked_fill(~mask[:, :, None], 0)
    return {"projected": projected.requires_grad_(), "memory": memory.requires_grad_()}, torch.tensor(lengths)


def run(both, loop, inputs, lengths):
    return both.run(loop, inputs["projected"], inputs["memory"], lengths)


def change(module):
    """As an optimizer does, in place."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))


@pytest.mark.parametrize("rate", [0.2, 0.0])
@pytest.mark.parametrize("name", ATTENTIONS)
def test_the_attention_loop_in_blocks_equals_its_steps(replays, name, rate):
    both = Both(name).train()
    both.lstm.rate = rate
    for seed, n_steps in enumerate((7, 7, 8, 3)):
        inputs, lengths = make_inputs(n_steps, seed=seed)
        loops = [lambda loop=loop: run(both, loop, inputs, lengths) for loop in (attention_loop, attend_steps)]  # noqa: B023
        check(*loops, inputs, both)
        change(both)
    assert replays.n_recorded == 1
    assert replays.n_replayed == 2 * (2 + 2 + 1)  # both ways, from the second sight of the shape on


@pytest.mark.parametrize("rate", [0.2, 0.0])
def test_an_lstm_in_blocks_equals_its_steps(replays, rate):
    lstm = make_lstm(4, 0, 6, rate).train()
    for seed in range(3):
        torch.manual_seed(seed)
        x = torch.randn(7, 3, 4, requires_grad=True)
        check(lambda: (lstm(x),), lambda: (lstm_steps(lstm, x),), {"x": x}, lstm)  # noqa: B023
        change(lstm)
    assert replays.n_recorded == 1
    assert replays.n_replayed == 8


@pytest.mark.parametrize("name", ATTENTIONS)
def test_blocks_lower_the_products_that_autocast_lowers(replays, name):
    both = Both(name).train()
    inputs, lengths = make_inputs(30)
    inputs["projected"] = inputs["projected"].detach().bfloat16().requires_grad_()

    def go(lowered=True):
        with torch.autocast("cpu", torch.bfloat16, enabled=lowered):
            return gradients(lambda: run(both, attention_loop, inputs, lengths), inputs, both)

    (expected, theirs), (values, ours) = go(), go()  # the first time, nothing is recorded
    assert replays.n_replayed == 2 * 8
    for value, wanted in zip(values, expected, strict=True):
        assert relative_error(value, wanted) < 1e-5
    for key, wanted in theirs.items():
        if wanted is not None:
            assert ours[key].dtype == wanted.dtype
            assert relative_error(ours[key].float(), wanted.float()) < 0.01, key  # sums of lowered products
    for _ in range(2):
        go(lowered=False)
    recorded = _recorded.recordings_of(both.attention, lengths.device).kept.values()
    assert [one.steps.product.weight.dtype for one in recorded] == [torch.bfloat16, torch.float32]


@pytest.mark.parametrize("name", ATTENTIONS)
def test_calls_may_go_forward_before_one_goes_back(replays, name):
    """Of one model, of another, and of other lengths; then back in any order, and twice."""
    one, other = Both(name).train(), Both(name).train()
    change(other)
    given = [make_inputs(n_steps, seed=n_steps) for n_steps in (7, 9, 6)]
    calls = [(one, *given[0]), (other, *given[1]), (one, *given[2])]

    def go(both, inputs, lengths):
        torch.manual_seed(3)
        return run(both, attention_loop, inputs, lengths)

    def back(trace, both, inputs, lengths):
        total = (trace.hidden**2).sum() + trace.context.sum() + (trace.weights**2).sum()
        wanted = [*inputs.values(), *both.parameters()]
        return torch.autograd.grad(total, wanted, retain_graph=True, allow_unused=True)

    with patch.object(_recorded, "can_record", lambda device: False):
        expected = [back(go(*call), *call) for call in calls]
    for call in calls[:2]:
        go(*call)
    traces = [go(*call) for call in calls]
    assert replays.n_recorded == 2
    found = [(expected[place], back(traces[place], *calls[place])) for place in (1, 0, 2, 0)]
    for theirs, ours in found:  # now that all have gone back
        for mine, wanted in zip(ours, theirs, strict=True):
            if wanted is not None:
                assert relative_error(mine, wanted) < 1e-5


def train(name, reduction, device="cpu"):
    """A model after three steps."""
    torch.manual_seed(1)
    model = make_model("tacotron2", name, reduction=reduction, dropout=True).train().to(device)
    model.own_frames = 0.3
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    for seed, mel_lengths in enumerate(([13, 8, 14], [16, 15, 9], [12, 14, 5])):
        torch.manual_seed(seed)
        out = model(make_batch([4, 9, 7], mel_lengths).to(device))
        loss = out.mel.square().mean() + out.stop_logit.sigmoid().mean() + (out.alignment**2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


TRAINED = pytest.mark.parametrize(("name", "reduction"), [("location_sensitive", 1), ("dynamic_convolution", 3)])


@TRAINED
def test_a_training_in_blocks_is_one_of_the_plain_loop(replays, name, reduction):
    fast = dict(train(name, reduction).named_parameters())
    assert replays.n_recorded == 2  # an attention's and an LSTM's
    with plain_loops():
        plain = train(name, reduction)
    for key, wanted in plain.named_parameters():
        torch.testing.assert_close(fast[key], wanted, rtol=1e-4, atol=1e-5, msg=lambda text, key=key: f"{key}: {text}")


def test_evaluation_goes_step_by_step(replays):
    both = Both("location_sensitive").eval()
    inputs, lengths = make_inputs()
    for _ in range(3):
        with torch.no_grad():
            run(both, attention_loop, inputs, lengths)
        run(both.eval(), attention_loop, inputs, lengths).weights.sum().backward()
    assert replays.n_recorded == 0


def test_a_recording_goes_with_its_model_and_a_call_with_its_gradients(replays):
    both = Both("dynamic_convolution").train()
    inputs, lengths = make_inputs()
    gc.disable()
    try:
        for _ in range(2):
            trace = run(both, attention_loop, inputs, lengths)
        node = trace.weights.grad_fn.next_functions[0][0]
        while not hasattr(node, "passed"):
            node = node.next_functions[0][0]
        call, recording = weakref.ref(node.passed), weakref.ref(node.passed.recording.steps)
        trace.weights.sum().backward()
        del trace, node
        assert call() is None
        del both
        assert recording() is None
    finally:
        gc.enable()


def test_a_run_trains_in_blocks_over_a_change_of_r_and_leaves_none_behind(trained, tmp_path):
    data = [f"data.root={trained.parent / 'corpus'}", f"data.cache={trained.parent / 'cache'}"]
    stages = ["stages=[prepare,acoustic]", "trainer.acoustic.reduction={0: 3, 2: 2}", *steps(4, every=4)]
    with replaying() as replays:
        assert main(["train", "recipe=own", f"run={tmp_path / 'run'}", *data, *SMALL, *stages]) == 0
        assert replays.n_recorded >= 2
        assert replays.n_replayed >= 4 * replays.n_recorded
        gc.collect()
        assert len(_recorded._recordings) == 0  # the vocoder, which is trained next, has all memory


def random_steps(constants, inputs):
    return torch.rand(3)


def sight(recordings, width, *, record=True):
    """A call of a shape of its own; whether it was recorded."""
    given = Given(random_steps, (torch.zeros(width),), (torch.zeros(4, 1),), (), record)
    return recordings._find(given) is not None


@pytest.fixture
def recordings(monkeypatch):
    monkeypatch.setattr(_recorded, "_missing", [])
    monkeypatch.setattr(Recordings, "_record", lambda self, given: given)
    return Recordings()


def test_a_shape_is_recorded_when_it_is_seen_again(recordings):
    assert not sight(recordings, 1, record=False)
    assert [sight(recordings, width) for width in (1, 2, 1, 2, 3)] == [False, False, True, True, False]
    assert sight(recordings, 2, record=False)


def test_precision_is_part_of_a_shape(recordings):
    assert [sight(recordings, 1) for _ in range(2)] == [False, True]
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if before == "highest" else "highest")
    try:
        assert not sight(recordings, 1)
    finally:
        torch.set_float32_matmul_precision(before)
    assert sight(recordings, 1)


def test_the_rarest_shape_makes_room_for_one_seen_twice_as_often(recordings):
    for width in range(KEPT):
        for _ in range(3 + (width != 5)):
            sight(recordings, width)
    assert len(recordings.kept) == KEPT
    assert [sight(recordings, 99) for _ in range(6)] == 5 * [False] + [True]
    assert len(recordings.kept) == KEPT
    assert [sight(recordings, width) for width in (4, 5, 6)] == [True, False, True]


def test_what_cannot_be_recorded_is_told_once_and_goes_step_by_step(replays, monkeypatch):
    both, lstm = Both("location_sensitive").train(), make_lstm(4, 0, 6).train()
    inputs, lengths = make_inputs()
    for _ in range(2):
        run(both, attention_loop, inputs, lengths)

    def fail(*given):
        raise RuntimeError("operation not permitted\nand more")

    monkeypatch.setattr(_recorded, "record", fail)
    x = torch.randn(7, 3, 4)
    expected = lstm_steps(lstm.eval(), x)
    lstm.rate = 0.0
    lstm.train()
    lstm(x)
    with pytest.warns(RuntimeWarning, match="step by step, slower: RuntimeError: operation not permitted$") as told:
        lstm(x)
    assert len(told) == 1
    replayed = replays.n_replayed
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lstm.run_of(lstm, x.device) is AtOnce
        torch.testing.assert_close(lstm(x), lstm_steps(lstm, x))
        run(both, attention_loop, inputs, lengths)
        for _ in range(3):
            run(both, attention_loop, *make_inputs(lengths=(17, 4)))
    assert replays.n_replayed == replayed + 2  # what was recorded before goes on; nothing more is tried
    assert expected.shape == lstm(x).shape


class Device:
    """Stands for `torch.cuda`: tells what was asked of it, in order. What is recorded is not done."""

    def __init__(self, told, *, fails=False):
        self.told, self.fails, self.now, self.n_pools = told, fails, "here", 0
        self.device = lambda device: nullcontext()
        self.current_stream = lambda: SimpleNamespace(wait_stream=lambda other: told.append("here waits"))
        self.Stream = lambda device: SimpleNamespace(wait_stream=lambda other: told.append("aside waits"))

    @contextmanager
    def stream(self, stream):
        self.now = "aside"
        try:
            yield
        finally:
            self.now = "here"

    def CUDAGraph(self):
        self.n_pools += 1
        pool = f"pool {self.n_pools}"
        return SimpleNamespace(pool=lambda: pool, replay=lambda: self.told.append("replay"))

    @contextmanager
    def graph(self, graph, *, pool, stream, capture_error_mode):
        self.told.append(f"record into {pool} {self.now}")
        self.now = "recording"
        yield
        if self.fails:
            raise RuntimeError("not permitted")
        self.now = "aside"


def test_both_ways_are_recorded_aside_after_they_ran_there(monkeypatch):
    told = []
    monkeypatch.setattr(_recorded.torch, "cuda", device := Device(told))
    _recorded._stream.cache_clear()
    steps = SimpleNamespace(inputs=(torch.zeros(1),), outputs=(), forward=lambda: told.append(f"forward {device.now}"))
    reverse = SimpleNamespace(run=lambda: told.append(f"back {device.now}"))
    recording = _recorded.record(steps, reverse, None)
    ran = ["aside waits", "forward aside", "back aside", "record into None aside", "forward recording"]
    assert told == [*ran, "record into pool 1 aside", "back recording", "here waits"]
    assert recording.pool == "pool 1"
    recording.forward()
    recording.backward()
    assert told[-2:] == ["replay", "replay"]
    device.fails = True
    with pytest.raises(RuntimeError, match="not permitted"):
        _recorded.record(steps, reverse, recording.pool)
    assert told[-3:] == ["record into pool 1 aside", "forward recording", "here waits"]
    assert device.now == "here"
    _recorded._stream.cache_clear()


def test_the_stand_in_for_a_graph_refuses_what_a_graph_cannot_hold():
    x = torch.tensor([2.0, 1.0])
    for run_of in (lambda: torch.rand(2), lambda: x.sum().item(), lambda: x[x > 1]):
        with pytest.raises(AssertionError, match=r"draws numbers|wait for the device"), Operations():
            run_of()
    with Operations() as operations:
        y = (x * 2).exp()
        y[0] = x[1]
    x.fill_(0.5)
    operations.replay()
    torch.testing.assert_close(y, torch.tensor([0.5, 2.718281828]))
