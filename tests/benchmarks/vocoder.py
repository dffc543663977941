"""How fast WaveNet trains and speaks, beside a plain one that conditions at sample rate.

Run: python tests/benchmarks/vocoder.py [--quick] [--json] [--threads N]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from tts.batch import VocoderBatch
from tts.config import load_recipe
from tts.settings import AudioConfig
from tts.vocoder._stack import RESIDUAL_SCALE
from tts.vocoder.wavenet import WaveNet, build

AUDIO = AudioConfig(sample_rate=16000, win_length=800, hop_length=200, f_max=7600.0)
BATCH = 8
FRAMES = 24  # that count in the loss, as in configs/trainer


def plain_loss(model: WaveNet, batch: VocoderBatch) -> Tensor:
    """The same network and weights, done plainly.

    Mel features are repeated for every sample, each layer projects them there, and each adds to the sum of skips.
    """
    features = model.scaler.normalize(batch.mel)
    for conv in model.condition_convs:
        features = F.relu(conv(features))
    features = features.repeat_interleave(model.hop_length, dim=2)
    signal = model.encode(batch.wave, batch.mel)
    hidden = model.input(F.pad(signal[:, :, :-1], (model.kernel_size, 0)))
    n_layers = len(model.layers)
    weights, biases = model.condition_gates.weight.chunk(n_layers), model.condition_gates.bias.chunk(n_layers)
    skips = model.skip.bias[:, None]
    for i, skip_weight in enumerate(model.skip.weight.chunk(n_layers, dim=1)):
        layer = model.layers[i]
        gates = layer.conv(F.pad(hidden, ((model.kernel_size - 1) * model.dilations[i], 0))) + F.conv1d(
            features, weights[i], biases[i]
        )
        tanh, sigmoid = gates.chunk(2, dim=1)
        units = torch.tanh(tanh) * torch.sigmoid(sigmoid)
        skips = skips + F.conv1d(units, skip_weight)
        if layer.residual is not None:
            hidden = (hidden + layer.residual(units)) * RESIDUAL_SCALE
    parameters = model.output(F.relu(model.head(F.relu(skips))))[:, :, batch.loss_from :]
    return -model.log_likelihood(parameters, signal[:, :, batch.loss_from :]).mean() / torch.tensor(2.0).log()


def training_batch(model: WaveNet) -> VocoderBatch:
    torch.manual_seed(0)
    context = AUDIO.n_frames(model.receptive_field)
    wave = torch.rand(BATCH, (context + FRAMES) * AUDIO.hop_length) - 0.5
    mel = torch.randn(BATCH, AUDIO.n_mels, context + FRAMES + 2 * model.mel_context)
    return VocoderBatch(wave, mel, loss_from=context * AUDIO.hop_length).validate()


def training_step(model: WaveNet, loss: Callable[[], Tensor]) -> None:
    model.zero_grad()
    loss().backward()


def interleaved(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each, taken in turns so that a busy machine slows all of them alike."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}  # the first one warms up


def logit_error(model: WaveNet) -> float:
    """Largest difference between a step and the parallel pass, over half a second of teacher forcing."""
    torch.manual_seed(0)
    n_frames = AUDIO.sample_rate // 2 // AUDIO.hop_length
    wave = torch.rand(1, n_frames * AUDIO.hop_length) - 0.5
    mel = torch.randn(1, AUDIO.n_mels, n_frames + 2 * model.mel_context)
    with torch.inference_mode():
        parallel, conditions = model(wave, mel), model.step_condition(mel)
        signal = model.encode(wave, mel)
        state, previous, worst = model.start(1), torch.zeros(1, 1), 0.0
        for t in range(wave.shape[1]):
            parameters, state = model.step(previous, state, conditions[t // AUDIO.hop_length])
            worst = max(worst, float((parameters - parallel[:, :, t]).abs().max()))
            previous = signal[:, :, t]
    return worst


def generating(model: WaveNet, n_rows: int, n_frames: int) -> Callable[[], object]:
    mel = torch.randn(n_rows, AUDIO.n_mels, n_frames) - 4
    return lambda: model.generate(mel, torch.full((n_rows,), n_frames), seeds=list(range(n_rows)))


def shipped(name: str) -> WaveNet:
    """The network of configs/vocoder/NAME.yaml with random weights."""
    recipe = load_recipe("demo", [f"vocoder={name}"])
    torch.manual_seed(0)
    return build(recipe.vocoder, audio=AUDIO)


def measure_training(name: str, rounds: int) -> dict[str, float]:
    """Seconds of audio that count in the loss, per second."""
    model = shipped(name)
    batch = training_batch(model)
    torch.testing.assert_close(plain_loss(model, batch), model.loss(batch))
    runs: dict[str, Callable[[], object]] = {
        "ours": lambda: training_step(model, lambda: model.loss(batch)),
        "plain": lambda: training_step(model, lambda: plain_loss(model, batch)),
    }
    seconds = interleaved(runs, rounds)
    audio = BATCH * FRAMES * AUDIO.frame_seconds
    return {
        f"train_audio_s_per_s_{name}": audio / seconds["ours"],
        f"train_audio_s_per_s_{name}_plain": audio / seconds["plain"],
        f"train_ratio_plain_{name}": seconds["plain"] / seconds["ours"],
    }


def measure(quick: bool) -> dict[str, float]:
    figures = measure_training("wavenet_demo", rounds=3 if quick else 9)
    figures["train_ratio_plain"] = figures.pop("train_ratio_plain_wavenet_demo")
    if not quick:
        figures |= measure_training("wavenet_small", rounds=5)
    model = shipped("wavenet_demo").eval()
    n_frames = 10 if quick else 40
    seconds = interleaved({str(rows): generating(model, rows, n_frames) for rows in (1, 8)}, rounds=3)
    samples = n_frames * AUDIO.hop_length
    figures["samples_per_s_fp32"] = samples / seconds["1"]
    figures["samples_per_s_fp32_batch_8"] = 8 * samples / seconds["8"]
    figures["logit_error_fp32"] = logit_error(model)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute; less steady")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    figures = measure(arguments.quick)
    for name, figure in figures.items():
        print(f"{name:42} {figure:12.4g}")
    if arguments.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
