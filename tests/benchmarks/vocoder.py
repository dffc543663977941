"""How fast WaveNet speaks and trains, beside what the machine allows.

Speed is the best of several rounds, all measured in turns, in seconds for which this process had its core, so that
another program on the machine spoils little. What runs on two cores is measured by the clock on the wall.

  full band     20 layers of 64 channels (gate 128, skip 64), kernel 2, 8-bit mu-law at 22,050 Hz
  multi-band    configs/vocoder/wavenet_bands.yaml
  gpu           only where there is one: so many seconds of sound a second, of all rows made at once

The floors: weights are read once a step, and multiplied once. A floor is the time of the slower of the two, were
nothing else to be done: reading an array of their size again and again, and multiplying from the innermost cache.

Run: python tests/benchmarks/vocoder.py [--quick] [--json] [--threads N]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from _plain_wavenet import plain_loss
from torch import Tensor

from tts.batch import VocoderBatch
from tts.config import load_recipe
from tts.native import Storage
from tts.native.compiled import inner
from tts.native.panels import add_product, stored, to_panels
from tts.native.vectors import add, load, splat, store
from tts.parallel import n_cores
from tts.settings import AudioConfig
from tts.vocoder._engines import compiled_engines
from tts.vocoder.wavenet import Config, WaveNet, build

AUDIO = AudioConfig()
CHANNELS = {"residual_channels": 64, "gate_channels": 64, "skip_channels": 64, "condition_channels": 64}
FULL = Config(n_layers=20, n_cycles=2, output="mu_law", **CHANNELS)
MULTIBAND = load_recipe("demo", ["vocoder=wavenet_bands"]).vocoder
assert isinstance(MULTIBAND, Config)
IN_ONE_BAND = replace(MULTIBAND, n_bands=1, temperature=[1.0])
BATCH, FRAMES = 4, 24  # of training; frames that count in the loss
STORAGES: dict[str, Storage] = {"fp32": "float32", "half": "half"}
# By which each figure is judged; "at least" where more is better.
TARGETS = {
    "samples_per_s_fp32": (">=", 30_000),
    "samples_per_s_half": (">=", 45_000),
    "logit_error_fp32": ("<=", 1e-5),
    "logit_error_half": ("<=", 5e-3),
    "rtf_multiband": ("<=", 0.15),
    "rtf_folds_2_cores": ("<=", 0.25),
    "first_sound_ms": ("<=", 150),
    "train_ratio_plain": (">=", 1.1),
    "train_ratio_multiband": (">=", 3.5),
    "compile_s": ("<=", 5),
    "start_s": ("<=", 0.5),
    "gpu_real_time_1_row": (">=", 1),
    "gpu_real_time_1_row_half": (">=", 1),
    "gpu_real_time_multiband": (">=", 1),
    "gpu_real_time_64_rows": (">=", 50),
    "gpu_real_time_512_rows": (">=", 50),
}
ON_A_GPU: dict[str, tuple[Config, int, Storage]] = {  # network, rows made at once, storage
    "1_row": (FULL, 1, "float32"),
    "1_row_half": (FULL, 1, "half"),
    "multiband": (MULTIBAND, 1, "float32"),
    "64_rows": (FULL, 64, "float32"),
    "512_rows": (FULL, 512, "float32"),
}


def make(config: Config) -> WaveNet:
    torch.manual_seed(0)
    return build(config, audio=AUDIO).eval()


def random_mel(n_frames: int) -> Tensor:
    return torch.randn(1, AUDIO.n_mels, n_frames, generator=torch.Generator().manual_seed(0)) - 4


def best(
    runs: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, float]:
    """Least seconds of each, taken in turns; the first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            began = clock()
            run()
            seconds[name].append(clock() - began)
    return {name: min(values[1:]) for name, values in seconds.items()}


@inner
def read(numbers: Any, times: int, total: Any) -> None:
    """Read an array of float32 from end to end, so many times."""
    a = b = c = d = splat(np.float32(0))
    for _ in range(times):
        for i in range(0, len(numbers) - 31, 32):
            a, b = add(a, load(numbers, i)), add(b, load(numbers, i + 8))
            c, d = add(c, load(numbers, i + 16)), add(d, load(numbers, i + 24))
    store(total, 0, add(add(a, b), add(c, d)))


@inner
def multiply(weights: Any, x: Any, y: Any, times: int) -> None:
    """A product of 64 by 64, so many times."""
    for _ in range(times):
        add_product(weights, 0, 64, 64, x, 0, y, 0)


def floors(n_weights: int, rounds: int) -> dict[str, float]:
    """Samples a second that reading and multiplying so many weights a sample allows."""
    tile = to_panels(np.ones((64, 64), np.float32))
    x, y, total, times = np.zeros(64, np.float32), np.zeros(64, np.float32), np.zeros(8, np.float32), 50
    numbers = {
        kind: stored(np.ones(n_weights // share, np.float32), "float32") for kind, share in (("fp32", 1), ("half", 2))
    }
    tiles = {kind: stored(tile, storage) for kind, storage in STORAGES.items()}
    products = times * n_weights // tile.size
    runs: dict[str, Callable[[], object]] = {
        **{f"read_{kind}": lambda kind=kind: read(numbers[kind], times, total) for kind in STORAGES},
        **{f"multiply_{kind}": lambda kind=kind: multiply(tiles[kind], x, y, products) for kind in STORAGES},
    }
    seconds = best(runs, rounds)
    return {
        f"samples_per_s_{kind}": times / max(seconds[f"read_{kind}"], seconds[f"multiply_{kind}"]) for kind in STORAGES
    }


@torch.inference_mode()
def measure_steps(n_frames: int, rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """The full-band network on one core, without conditioning and noise, which are made before; and its floors."""
    model = make(FULL)
    conditions = model.step_condition(random_mel(n_frames + 2 * model.mel_context))
    noise = torch.cat([model.noise([torch.Generator()]) for _ in range(n_frames)])
    runs: dict[str, Callable[[], object]] = {}
    for kind, storage in STORAGES.items():
        engine = compiled_engines(model, storage)
        assert engine is not None
        runs[kind] = lambda engine=engine: engine().run(conditions, noise)
    seconds = best(runs, rounds)
    stacked = [model.input, model.skip, model.head, model.output, *model.stack()]
    n_weights = sum(weight.numel() for part in stacked for weight in part.parameters() if weight.dim() > 1)
    figures = {f"samples_per_s_{kind}": len(noise) / seconds[kind] for kind in STORAGES}
    return figures, floors(n_weights, rounds)


@torch.inference_mode()
def logit_errors() -> dict[str, float]:
    """Largest difference from the parallel pass over 2,000 teacher-forced steps."""
    model = make(FULL)
    n_frames = -(-2000 // AUDIO.hop_length)
    mel = random_mel(n_frames + 2 * model.mel_context)
    wave = torch.rand(1, n_frames * AUDIO.hop_length, generator=torch.Generator().manual_seed(0)) - 0.5
    parallel, signal, conditions = model(wave, mel), model.encode(wave, mel), model.step_condition(mel)
    errors = {}
    for kind, storage in STORAGES.items():
        engine = compiled_engines(model, storage)
        assert engine is not None
        errors[f"logit_error_{kind}"] = float((engine().teach(conditions, signal) - parallel).abs().max())
    return errors


def measure_speech(seconds: float, rounds: int) -> dict[str, float]:
    """Real-time factors from mel to wave, and how soon a stream sounds."""
    full, multiband = make(FULL), make(MULTIBAND)
    mel = random_mel(round(seconds / AUDIO.frame_seconds))
    lengths, duration = torch.tensor([mel.shape[2]]), mel.shape[2] * AUDIO.frame_seconds
    taken = best(
        {
            "rtf_full_band": lambda: full.generate(mel, lengths, seeds=[0]),
            "rtf_multiband": lambda: multiband.generate(mel, lengths, seeds=[0]),
            "first_sound_ms": lambda: next(iter(full.stream(mel[0].split(1, dim=1), seed=0))),
        },
        rounds,
    )
    figures = {name: value / duration for name, value in taken.items() if name != "first_sound_ms"}
    figures["first_sound_ms"] = 1000 * taken["first_sound_ms"]
    if n_cores() < 2:
        print("rtf_folds_2_cores is left out: this process may use one core only", file=sys.stderr)
        return figures
    folded = best({"": lambda: full.generate(mel, lengths, seeds=[0], folds=2)}, rounds, time.perf_counter)
    return figures | {"rtf_folds_2_cores": folded[""] / duration}


def measure_gpu(seconds: float, rounds: int) -> dict[str, float]:
    """Seconds of sound a second from mel to wave, of all rows together, by the clock; nothing without a GPU."""
    if not torch.cuda.is_available():
        return {}
    mel = random_mel(round(seconds / AUDIO.frame_seconds)).cuda()
    runs: dict[str, Callable[[], object]] = {}
    for name, (config, n_rows, storage) in ON_A_GPU.items():
        model, lengths = make(config).cuda(), torch.full((n_rows,), mel.shape[2])
        runs[f"gpu_real_time_{name}"] = lambda model=model, lengths=lengths, storage=storage: model.generate(
            mel.expand(len(lengths), -1, -1), lengths, seeds=range(len(lengths)), storage=storage
        ).cpu()
    taken = best(runs, rounds, time.perf_counter)
    rows = {f"gpu_real_time_{name}": n_rows for name, (_, n_rows, _) in ON_A_GPU.items()}
    return {name: rows[name] * mel.shape[2] * AUDIO.frame_seconds / value for name, value in taken.items()}


def training_step(model: WaveNet, loss: Callable[[WaveNet, VocoderBatch], Tensor]) -> Callable[[], None]:
    context = AUDIO.n_frames(model.receptive_field)
    torch.manual_seed(0)
    wave = torch.rand(BATCH, (context + FRAMES) * AUDIO.hop_length) - 0.5
    mel = torch.randn(BATCH, AUDIO.n_mels, context + FRAMES + 2 * model.mel_context)
    batch = VocoderBatch(wave, mel, loss_from=context * AUDIO.hop_length).validate()

    def step() -> None:
        model.zero_grad()
        loss(model, batch).backward()

    return step


def measure_training(rounds: int) -> dict[str, float]:
    """Seconds of audio that count in the loss, per second; and their ratios."""
    full, multiband, one_band = make(FULL), make(MULTIBAND), make(IN_ONE_BAND)
    seconds = best(
        {
            "plain": training_step(full, plain_loss),
            "full_band": training_step(full, WaveNet.loss),
            "multiband": training_step(multiband, WaveNet.loss),
            "multiband_in_one": training_step(one_band, WaveNet.loss),
        },
        rounds,
    )
    audio = BATCH * FRAMES * AUDIO.frame_seconds
    return {
        **{f"train_audio_s_per_s_{name}": audio / value for name, value in seconds.items()},
        "train_ratio_plain": seconds["plain"] / seconds["full_band"],
        "train_ratio_multiband": seconds["multiband_in_one"] / seconds["multiband"],
    }


START = """
import time, torch
from tts.settings import AudioConfig
from tts.vocoder.wavenet import Config, build
from tts.vocoder._engines import compiled_engines
channels = {"residual_channels": 64, "gate_channels": 64, "skip_channels": 64}
model = build(Config(n_layers=20, n_cycles=2, output="mu_law", **channels), audio=AudioConfig())
began = time.process_time()
assert compiled_engines(model, None) is not None
print(time.process_time() - began)
"""


def measure_start() -> dict[str, float]:
    """Seconds until the engine is ready in a new process, numba and all: at first, and later."""
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"NUMBA_CACHE_DIR": cache}
        taken = [
            float(
                subprocess.run([sys.executable, "-c", START], env=environment, capture_output=True, check=True).stdout
            )
            for _ in range(3)
        ]
    return {"compile_s": taken[0], "start_s": min(taken[1:])}


def table(figures: dict[str, float], floor: dict[str, float]) -> str:
    lines = [f"{'':34}{'measured':>12}{'floor':>12}   target"]
    for name, figure in figures.items():
        sign, target = TARGETS.get(name, ("", 0))
        kept = not sign or (figure >= target if sign == ">=" else figure <= target)
        judged = f"   {sign} {target:g}{'' if kept else '   missed'}" if sign else ""
        lines.append(f"{name:34}{figure:12.4g}{floor.get(name, float('nan')):12.4g}{judged}".replace("nan", "   "))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under a minute; less steady")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--threads", type=int, default=1, help="of torch, in training")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rounds = 3 if arguments.quick else 9
    steps, floor = measure_steps(16 if arguments.quick else 64, rounds)
    figures = steps | logit_errors() | measure_speech(1 if arguments.quick else 4, 2 if arguments.quick else 5)
    figures |= measure_training(1 if arguments.quick else 5) | measure_start()
    figures |= measure_gpu(1 if arguments.quick else 4, 1 if arguments.quick else 3)
    print(table(figures, floor))
    if arguments.json:
        print(json.dumps(figures | {f"floor_{name}": value for name, value in floor.items()}))


if __name__ == "__main__":
    main()
