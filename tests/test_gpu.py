"""What only a GPU can show: both halves train there in bf16, a run goes on, the voice speaks there; WaveNet's engines
make there what torch's steps make on a CPU, and how fast; the loops of training are recorded, and are the same.
"""

import copy
import time
from itertools import product
from unittest.mock import patch

import pytest
import torch

from tests.test_acoustic_contract import ATTENTIONS
from tests.test_recorded import TRAINED, change, make_inputs, train
from tests.test_recorded import run as attend
from tests.test_teacher_forcing import Both, gradients, relative_error
from tests.test_wavenet_engine import calm, make, random_mel, speak
from tests.toy import SMALL, steps
from tts.acoustic import _recorded
from tts.acoustic._loops import AttendedSteps
from tts.acoustic._recurrence import attention_loop
from tts.cli import main
from tts.settings import AudioConfig
from tts.vocoder import wavenet
from tts.vocoder._cuda_graph import GraphEngine, recorded
from tts.vocoder._engines import TURNS, TorchEngine, engine_of_rows

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
NETWORKS = list(product(["mu_law", "logistics", "gaussian"], [2, 3], [1, 4]))


@pytest.mark.parametrize("precision", ["bf16", "tf32"])
def test_training_going_on_and_speaking(trained, tmp_path, precision):
    run = tmp_path / "run"
    data = [f"data.root={trained.parent / 'corpus'}", f"data.cache={trained.parent / 'cache'}"]
    machine = ["trainer.accelerator=gpu", f"trainer.precision={precision}"]
    assert main(["train", "recipe=own", f"run={run}", *data, *SMALL, *machine, *steps(4, every=2)]) == 0
    assert main(["train", f"recipe={run}", *steps(6, every=2)]) == 0
    out = tmp_path / "out.wav"
    assert main(["synthesize", "One two.", f"voice={run}", f"out={out}", "device=cuda"]) == 0
    assert out.is_file()


def on_the_gpu(model):
    """A copy. What it hears is computed on the CPU in these tests, where no product is rounded to TF32."""
    with torch.inference_mode(False):
        return copy.deepcopy(model).cuda()


def conditions_and_noise(model, n_rows, n_frames):
    """Conditions on the CPU, and noise."""
    generators = [torch.Generator().manual_seed(row) for row in range(n_rows)]
    conditions = model.step_condition(random_mel(n_frames + 2 * model.mel_context, n_rows))
    return conditions, torch.cat([model.noise(generators) for _ in range(n_frames)])


def in_two_runs(engine, model, conditions, noise):
    half = len(conditions) // 2
    now = [condition.cuda() for condition in conditions]
    n_steps = half * model.frame_steps
    return torch.cat([engine.run(now[:half], noise[:n_steps]), engine.run(now[half:], noise[n_steps:])], dim=2).cpu()


@torch.inference_mode()
@pytest.mark.parametrize(("output", "kernel_size", "n_bands"), NETWORKS)
def test_the_kernel_agrees_over_two_thousand_steps(output, kernel_size, n_bands):
    from tts.vocoder._triton_wavenet import TritonEngine, pack

    model = make(output=output, kernel_size=kernel_size, n_bands=n_bands)
    n_frames = -(-2000 // model.frame_steps)
    mel = random_mel(n_frames + 2 * model.mel_context, n_rows=2)
    uniform = torch.rand(2, n_bands, n_frames * model.frame_steps, generator=torch.Generator().manual_seed(2))
    signal = model.distribution.encode(uniform - 0.5)
    parallel = model._predict(signal, mel, first=0)
    conditions = [condition.cuda() for condition in model.step_condition(mel)]
    for storage, least, most in (("float32", 0, 1e-5), ("half", 1e-6, 5e-3)):
        engine = TritonEngine(pack(on_the_gpu(model), storage), 2)
        off = (engine.teach(conditions, signal.cuda()).cpu() - parallel).abs().max()
        assert least <= float(off) < most


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["kernel", "graph"])
@pytest.mark.parametrize(("output", "kernel_size", "n_bands"), NETWORKS)
def test_draws_are_those_of_a_cpu(kind, output, kernel_size, n_bands):
    """Of the same noise, whatever torch was told of TF32; with rings that are longer than a block."""
    model = calm(output=output, kernel_size=kernel_size, n_bands=n_bands, n_layers=8, n_cycles=1)
    conditions, noise = conditions_and_noise(model, 3, 40)
    expected = TorchEngine(model, 3).run(conditions, noise)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        if kind == "graph":
            engine = recorded(on_the_gpu(model), 3)
        else:
            engine = engine_of_rows(on_the_gpu(model), 3, None)
            assert not isinstance(engine, GraphEngine | TorchEngine)
        drawn = in_two_runs(engine, model, conditions, noise)
    finally:
        torch.set_float32_matmul_precision(before)
    torch.testing.assert_close(drawn, expected, atol=1e-4, rtol=0)


def test_rows_are_made_by_what_suits_them():
    model, n_cores = on_the_gpu(make()), torch.cuda.get_device_properties(0).multi_processor_count
    with torch.inference_mode():
        assert isinstance(engine_of_rows(model, TURNS * n_cores + 1, None), GraphEngine)
    assert isinstance(engine_of_rows(model.double(), 1, None), TorchEngine)


@pytest.mark.parametrize("output", ["logistics", "gaussian"])
def test_a_sentence_is_what_a_cpu_makes(output):
    """Nearly: what conditions it is computed there with other rounding, and a draw in a thousand is another."""
    model, mel = calm(output=output, n_bands=4, pre_emphasis=0.8), random_mel(40, n_rows=2)
    expected = speak(model, mel, storage="float32")
    model = on_the_gpu(model)
    made = speak(model, mel.cuda())
    assert torch.equal(made, speak(model, mel.cuda()))
    streamed = torch.cat(list(model.stream(mel[0].cuda().split(3, dim=1), seed=3)))
    for heard, wanted in ((made.cpu(), expected), (streamed, made[0])):
        assert float((heard - wanted).abs().mean()) < 0.05 * float(wanted.std())


@pytest.mark.parametrize(("n_rows", "storage"), [(1, "float32"), (1, "half"), (64, "float32"), (512, "float32")])
def test_how_fast_a_full_band_network_speaks(n_rows, storage, capsys):
    """Printed, not judged: it is the machine's. Seconds of sound a second, of 20 layers of 64 channels."""
    widths = {"residual_channels": 64, "gate_channels": 64, "skip_channels": 64, "condition_channels": 64}
    audio = AudioConfig()
    model = wavenet.build(wavenet.Config(n_layers=20, n_cycles=2, output="mu_law", **widths), audio=audio).cuda().eval()
    mel = torch.randn(n_rows, audio.n_mels, 40, device="cuda") - 4
    seconds = []
    for _ in range(2):  # the first compiles
        began = time.perf_counter()
        wave = speak(model, mel, storage=storage)
        assert bool(wave.isfinite().all())  # waits for the device
        seconds.append(time.perf_counter() - began)
    with capsys.disabled():
        print(f"\n{n_rows} rows, {storage}: {wave.numel() / audio.sample_rate / seconds[1]:.2f} times real time")


@pytest.fixture
def loops(monkeypatch):
    """Recordings of this test alone, in which nothing has failed, and products that are not rounded to TF32."""
    monkeypatch.setattr(_recorded, "_missing", [])
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


def step_by_step():
    return patch.object(_recorded, "can_record", return_value=False)


def n_recorded(loop):
    return len(_recorded.recordings_of(loop, torch.device("cuda")).kept)


def inputs_there(n_steps, lengths, seed=0):
    inputs, lengths = make_inputs(n_steps, lengths, seed)
    return {name: x.detach().cuda().requires_grad_() for name, x in inputs.items()}, lengths.cuda()


def attended(both, inputs, lengths, *, lowered=False):
    """Values on the CPU, and gradients."""

    def go():
        with torch.autocast("cuda", torch.bfloat16, enabled=lowered):
            trace = attend(both, attention_loop, inputs, lengths)
        return [value.cpu() for value in trace]

    return gradients(go, inputs, both)


@pytest.mark.parametrize("lowered", [False, True], ids=["fp32", "bf16"])
@pytest.mark.parametrize("name", ATTENTIONS)
def test_the_recorded_attention_loop_is_that_of_steps(loops, name, lowered):
    both = Both(name).cuda().train()
    for seed, n_steps in enumerate((40, 40, 33, 90)):
        inputs, lengths = inputs_there(n_steps, (37, 20, 1, 9, 30), seed)
        with step_by_step():
            expected, theirs = attended(both, inputs, lengths, lowered=lowered)
        values, ours = attended(both, inputs, lengths, lowered=lowered)
        for value, wanted in zip(values, expected, strict=True):
            assert relative_error(value, wanted) < (2e-2 if lowered else 1e-4)
        assert_near(ours, theirs, 5e-2 if lowered else 1e-3)
        change(both)
    assert n_recorded(both.attention) == 1


def assert_near(ours, theirs, most):
    for key, wanted in theirs.items():
        assert (ours[key] is None) == (wanted is None)
        if wanted is not None:
            assert relative_error(ours[key], wanted) < most, key


@pytest.mark.parametrize("name", ATTENTIONS)
def test_recorded_calls_may_go_forward_before_one_goes_back(loops, name):
    one, other = Both(name).cuda().train(), Both(name).cuda().train()
    change(other)
    calls = [(both, *inputs_there(n, (37, 20), seed=n)) for both, n in ((one, 40), (other, 50), (one, 17))]

    def go(both, inputs, lengths):
        torch.manual_seed(3)
        return attend(both, attention_loop, inputs, lengths)

    def back(trace, both, inputs, _):
        total = (trace.hidden**2).sum() + trace.context.sum() + (trace.weights**2).sum()
        wanted = {**inputs, **dict(both.named_parameters())}
        found = torch.autograd.grad(total, list(wanted.values()), retain_graph=True, allow_unused=True)
        return dict(zip(wanted, found, strict=True))

    with step_by_step():
        expected = [back(go(*call), *call) for call in calls]
    for call in calls:
        go(*call)
    traces = [go(*call) for call in calls]
    found = [(expected[place], back(traces[place], *calls[place])) for place in (1, 0, 2, 0)]
    assert n_recorded(one.attention) == n_recorded(other.attention) == 1
    for theirs, ours in found:
        assert_near(ours, theirs, 1e-3)


@TRAINED
def test_a_training_with_graphs_is_one_without(loops, name, reduction):
    fast = train(name, reduction, "cuda")
    assert n_recorded(fast.attention) == n_recorded(fast.decoder_lstm) == 1
    with step_by_step():
        plain = train(name, reduction, "cuda")
    assert_near(dict(fast.named_parameters()), dict(plain.named_parameters()), 1e-3)


def test_a_recording_that_breaks_off_leaves_the_device_as_it_was(loops, monkeypatch):
    both, forward = Both("location_sensitive").cuda().train(), AttendedSteps.forward

    def break_off(self):
        forward(self)
        if torch.cuda.is_current_stream_capturing():
            raise RuntimeError("no memory is left")

    monkeypatch.setattr(AttendedSteps, "forward", break_off)
    inputs, lengths = inputs_there(40, (37, 20))
    expected, theirs = attended(both, inputs, lengths)
    stream = torch.cuda.current_stream()
    with pytest.warns(RuntimeWarning, match="could not be recorded, .*: no memory is left"):
        values, ours = attended(both, inputs, lengths)
    assert torch.cuda.current_stream() == stream
    assert len(_recorded._missing) == 1
    torch.testing.assert_close(values, expected)
    assert_near(ours, theirs, 1e-4)
