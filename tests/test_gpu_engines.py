"""Engines for a GPU, as far as a CPU can tell: the graph's steps run one by one, the kernel interpreted and compiled.

What concerns the kernel needs `triton`, which comes with torch for CUDA; others get it by `pip install triton`.
"""

import importlib.util
import os
import subprocess
import sys
import warnings
from importlib import metadata
from itertools import product
from types import SimpleNamespace

import pytest
import torch

from tests.test_wavenet_engine import calm, make, random_mel, speak
from tts.vocoder import _cuda_graph, _engines, _generation
from tts.vocoder._cuda_graph import Block, GraphEngine
from tts.vocoder._engines import TorchEngine, engine_of_rows

OUTPUTS = ["mu_law", "logistics", "gaussian"]
TRITON = metadata.version("triton") if importlib.util.find_spec("triton") else "0.0"
needs_triton = pytest.mark.skipif(TRITON == "0.0", reason="needs triton")
# Interpreters before cannot count with numpy 2.4. A GPU runs the kernel itself: see test_gpu.py.
NEW = tuple(map(int, TRITON.split(".")[:2])) >= (3, 7)
interpreted = pytest.mark.skipif(not NEW or torch.cuda.is_available(), reason="needs triton 3.7, and no GPU")


def at_once(model):
    """The engine's eager twin: what a graph would replay."""
    block = Block(model, 3)
    return GraphEngine(block, block.run)


def conditions_and_noise(model, n_rows, n_frames):
    generators = [torch.Generator().manual_seed(row) for row in range(n_rows)]
    conditions = model.step_condition(random_mel(n_frames + 2 * model.mel_context, n_rows))
    return conditions, torch.cat([model.noise(generators) for _ in range(n_frames)])


def in_two_runs(engine, model, conditions, noise):
    first = engine.run(conditions[:1], noise[: model.frame_steps])
    return torch.cat([first, engine.run(conditions[1:], noise[model.frame_steps :])], dim=2)


@torch.inference_mode()
@pytest.mark.parametrize(("output", "kernel_size", "n_bands"), list(product(OUTPUTS, [2, 3], [1, 4])))
def test_a_graph_s_steps_are_torch_s(monkeypatch, output, kernel_size, n_bands):
    """Of blocks that are parts of a frame, with rings that are longer than a block."""
    monkeypatch.setattr(_cuda_graph, "STEPS", 8)
    model = make(output=output, kernel_size=kernel_size, n_bands=n_bands, n_layers=5, n_cycles=1)
    conditions, noise = conditions_and_noise(model, 3, 12)
    expected = TorchEngine(model, 3).run(conditions, noise)
    assert torch.equal(in_two_runs(at_once(model), model, conditions, noise), expected)


@torch.inference_mode()
def test_two_thousand_steps_of_a_graph_are_torch_s():
    model = make(kernel_size=3, n_layers=8, n_cycles=1)
    conditions, noise = conditions_and_noise(model, 3, 125)
    expected = TorchEngine(model, 3).run(conditions, noise)
    assert expected.shape[2] == 2000
    assert torch.equal(in_two_runs(at_once(model), model, conditions, noise), expected)


@torch.inference_mode()
def test_a_graph_begins_in_silence_whatever_warmed_it_up():
    model = make(n_layers=5, n_cycles=1)
    conditions, noise = conditions_and_noise(model, 3, 3)
    engine = at_once(model)
    first = engine.run(conditions, noise)
    engine.block.begin()
    assert torch.equal(engine.run(conditions, noise), first)


def test_rows_and_folds_in_a_graph_are_those_of_torch(monkeypatch):
    model, mel = calm(output="gaussian", n_bands=2, pre_emphasis=0.8), random_mel(100, n_rows=2)
    monkeypatch.setattr(_generation, "compiled_engines", lambda model, storage: None)
    whole = speak(model, mel, folds=2)
    asked = []

    def engine(model, n_rows, storage):
        asked.append(n_rows)
        block = Block(model, n_rows)
        return GraphEngine(block, block.run)

    monkeypatch.setattr(_generation, "engine_of_rows", engine)
    assert torch.equal(speak(model, mel, folds=2), whole)
    assert asked == [4]
    alone = model.generate(mel[1:, :, :70], torch.tensor([70]), seeds=[4])
    lengths = torch.tensor([100, 70])
    among = model.generate(mel, lengths, seeds=[3, 4])
    torch.testing.assert_close(among[1, : alone.shape[1]], alone[0], atol=1e-5, rtol=0)


@interpreted
@torch.inference_mode()
@pytest.mark.parametrize(
    ("output", "kernel_size", "n_bands"),
    [("mu_law", 2, 1), ("logistics", 3, 4), ("gaussian", 2, 4)],
)
def test_the_kernel_s_steps_are_the_network(output, kernel_size, n_bands):
    """Interpreted: what it says of a given signal, and what it draws; over the end of each ring."""
    from tts.vocoder._triton_wavenet import TritonEngine, pack

    changes = {"output": output, "kernel_size": kernel_size, "n_bands": n_bands}
    changes |= {"n_layers": kernel_size, "n_cycles": 1}  # of kernel size 3, rings longer than a frame of four bands
    model = make(**changes)
    conditions, noise = conditions_and_noise(model, 1, 3 if n_bands > 1 else 1)
    signal = model.distribution.encode(torch.rand(1, n_bands, len(noise)) - 0.5)
    mel = random_mel(len(conditions) + 2 * model.mel_context)
    parallel = model._predict(signal, mel, first=0)
    for storage, least, most in (("float32", 0, 1e-5), ("half", 1e-6, 5e-3)):
        off = TritonEngine(pack(model, storage), 1).teach(conditions, signal) - parallel
        assert least <= float(off.abs().max()) < most
    model = calm(**changes)
    conditions, noise = conditions_and_noise(model, 2, 3 if n_bands > 1 else 2)
    expected = TorchEngine(model, 2).run(conditions, noise)
    drawn = in_two_runs(TritonEngine(pack(model, "float32"), 2), model, conditions, noise)
    torch.testing.assert_close(drawn, expected, atol=1e-4, rtol=0)


@interpreted
@torch.inference_mode()
def test_the_kernel_draws_a_class_there_is_at_the_ends_of_the_noise():
    from tts.vocoder._triton_wavenet import TritonEngine, pack

    model = make(output="mu_law", n_bands=4, n_layers=2, n_cycles=1)
    model.output.bias.view(4, -1)[:, :128] = -1e4
    conditions, noise = conditions_and_noise(model, 1, 1)
    for value, low, high in ((0.0, 0.0, 0.01), (1 - 2**-24, 0.9, 1.0)):
        drawn = TritonEngine(pack(model, "float32"), 1).run(conditions, torch.full_like(noise, value))
        assert bool(((drawn >= low) & (drawn <= high)).all())


COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from tests.test_wavenet_engine import make
from tts.vocoder._triton_wavenet import WARPS, pack, run

for output in ("mu_law", "logistics", "gaussian"):
    sizes = pack(make(output=output, n_bands=2), "half").sizes
    names, n_values = run.arg_names, len(sizes) + 1
    values = dict(zip(names[-n_values:], (*sizes, False), strict=True))
    types = {name: "*fp16" if name.endswith("weights") else "*fp32" for name in names[:-n_values]}
    types |= {"dilations": "*i32", "starts": "*i32"}
    types |= dict.fromkeys(("position", "n_steps", "n_rows", "n_slots"), "i32")
    source = ASTSource(
        fn=run,
        signature=types | dict.fromkeys(values, "constexpr"),
        constexprs={(names.index(name),): value for name, value in values.items()},
    )
    options = {"num_warps": WARPS, "enable_fp_fusion": True}
    made = triton.compile(source, target=GPUTarget("cuda", 80, 32), options=options)
    print(output, len(made.asm["cubin"]) > 1000)
"""


@needs_triton
def test_the_kernel_compiles_for_a_gpu(tmp_path):
    """Which needs none. The interpreter takes what the compiler does not."""
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    made = subprocess.run([sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert made.stdout.split() == [word for output in OUTPUTS for word in (output, "True")]


@pytest.fixture
def on_a_gpu(monkeypatch):
    """A model on the CPU is taken for one on a GPU of two multiprocessors; which engines were asked for."""
    asked = []
    monkeypatch.setattr(_engines, "_is_plain", lambda model, device: device == "cuda")
    properties = SimpleNamespace(multi_processor_count=2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(_engines, "_missing", {})
    monkeypatch.setattr(_engines, "_kernel_engine", lambda *arguments: asked.append("kernel") or "a kernel")
    monkeypatch.setattr(_engines, "recorded", lambda *arguments: asked.append("graph") or "a graph")
    return asked


def test_few_rows_are_a_kernel_s_and_many_a_graph_s(on_a_gpu):
    model = make()
    assert [engine_of_rows(model, n, None) for n in (1, 6, 7)] == ["a kernel", "a kernel", "a graph"]
    assert on_a_gpu == ["kernel", "kernel", "graph"]


def test_what_is_too_wide_for_the_kernel_is_a_graph_s(on_a_gpu, monkeypatch):
    monkeypatch.setattr(_engines, "_kernel_engine", lambda *arguments: None)
    assert engine_of_rows(make(), 1, None) == "a graph"


def fail(*arguments):
    raise RuntimeError("no such instruction\nand more")


def test_what_cannot_be_had_is_told_once_and_torch_steps(on_a_gpu, monkeypatch):
    model = make()
    monkeypatch.setattr(_engines, "_kernel_engine", fail)
    with pytest.warns(RuntimeWarning, match="without a kernel of its own, .*: RuntimeError: no such instruction$"):
        assert engine_of_rows(model, 1, None) == "a graph"
    monkeypatch.setattr(_engines, "recorded", fail)
    with pytest.warns(RuntimeWarning, match="without a CUDA graph") as told:
        assert isinstance(engine_of_rows(model, 1, None), TorchEngine)
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(engine_of_rows(model, 1, None), TorchEngine)


@interpreted
def test_a_layer_too_wide_for_a_program_is_no_kernel_s():
    model = make(residual_channels=200, gate_channels=200)
    assert _engines._kernel_engine(model, 1, "float32") is None
