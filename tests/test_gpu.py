"""What only a GPU can show: both halves train there in bf16, a run goes on, the voice speaks there; WaveNet's engines
make there what torch's steps make on a CPU, and how fast.
"""

import copy
import time
from itertools import product

import pytest
import torch

from tests.test_wavenet_engine import calm, make, random_mel, speak
from tests.toy import SMALL, steps
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
