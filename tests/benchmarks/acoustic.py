"""How fast Tacotron 2 trains and speaks on one thread, beside torchaudio's and, where it is installed, SpeechBrain's;
and, where there is one, how fast it trains on a GPU.

Run: python tests/benchmarks/acoustic.py [--quick] [--json]      (pip install -e ".[benchmarks]" for SpeechBrain)
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.benchmarks import _gpu_training
from tests.benchmarks._peers import N_SYMBOLS, median_seconds, speechbrains, torchaudios, total, training_step
from tests.plain_loops import plain_loops
from tts.acoustic import tacotron2
from tts.acoustic._stepping import TorchStepper
from tts.acoustic.attention import dynamic_convolution
from tts.batch import AcousticBatch
from tts.config import load_recipe
from tts.settings import AudioConfig

AUDIO = AudioConfig()


class Sizes(NamedTuple):
    """What is measured; all sizes of the networks are the paper's."""

    batch: int
    text: int  # symbols
    frames: int
    spoken: int  # frames of the utterance that is synthesised
    rounds: int


FULL = Sizes(batch=8, text=100, frames=200, spoken=400, rounds=5)
QUICK = Sizes(batch=8, text=100, frames=50, spoken=200, rounds=3)


def make_batch(sizes: Sizes) -> AcousticBatch:
    """Full rows: torchaudio's model knows no masks in its convolutions."""
    generator = torch.Generator().manual_seed(0)
    text_ids = torch.randint(1, N_SYMBOLS, (sizes.batch, sizes.text), generator=generator)
    mel = torch.randn(sizes.batch, AUDIO.n_mels, sizes.frames, generator=generator)
    text_lengths, mel_lengths = (torch.full((sizes.batch,), n) for n in (sizes.text, sizes.frames))
    return AcousticBatch([str(b) for b in range(sizes.batch)], text_ids, text_lengths, mel, mel_lengths).validate()


def ours(batch: AcousticBatch, r: int, attention: str = "location_sensitive") -> Callable[[], None]:
    config = tacotron2.Config()
    if attention == "dynamic_convolution":
        config.attention = dynamic_convolution.Config()
    model = make_model(config, r).to(batch.mel.device)

    def loss() -> Tensor:
        out = model(batch)
        return total(out.mel_before, out.mel, out.stop_logit, batch, r)

    return training_step(model, loss)


def gradient_error(sizes: Sizes) -> float:
    """How far a gradient is from that of `step` after `step`, relative to its norm; the worst of all weights."""
    batch, found = make_batch(sizes._replace(frames=min(sizes.frames, 50))), []
    for loops in (nullcontext(), plain_loops()):
        model = make_model(tacotron2.Config(), 1)
        with loops:
            torch.manual_seed(1)
            out = model(batch)
            total(out.mel_before, out.mel, out.stop_logit, batch, 1).backward()
        found.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    fast, plain = found
    # A bias before a normalisation has no gradient, only rounding.
    counted = [name for name in plain if not name.endswith("conv.bias")]
    return max(float((fast[name] - plain[name]).norm() / plain[name].norm()) for name in counted)


def make_model(config: tacotron2.Config, r: int) -> tacotron2.Tacotron2:
    torch.manual_seed(0)
    return tacotron2.build(config, n_symbols=N_SYMBOLS, n_mels=AUDIO.n_mels, max_reduction=r, silence=-11.5)


def speaking(sizes: Sizes, r: int, part: str = "tacotron2", *, by_torch: bool = False) -> Callable[[], None]:
    """An utterance, encoder and postnet included. part: of configs/acoustic, for the sizes of the network."""
    config = load_recipe("ljspeech", [f"acoustic={part}", "acoustic.stop_threshold=0.999"]).acoustic
    model = make_model(config, r).eval()
    nn.init.constant_(model.stop.bias, -50.0)  # goes on to the limit
    text_ids, text_lengths = torch.randint(1, N_SYMBOLS, (1, sizes.text)), torch.tensor([sizes.text])
    make_stepper = TorchStepper if by_torch else tacotron2.make_stepper

    def speak() -> None:
        with mock.patch.object(tacotron2, "make_stepper", make_stepper):
            model.generate(text_ids, text_lengths, seeds=[0], max_frames=[sizes.spoken])

    return speak


def measure_synthesis(sizes: Sizes) -> dict[str, float]:
    """Prints a table; returns the figures, seconds of computing per second of speech."""
    kinds = {"r1": (1, "tacotron2"), "r2": (2, "tacotron2"), "small": (1, "tacotron2_small")}
    jobs = {name: speaking(sizes, *kind) for name, kind in kinds.items()}
    jobs |= {f"{name} by torch": speaking(sizes, *kind, by_torch=True) for name, kind in kinds.items()}
    seconds = median_seconds(jobs, sizes.rounds, time.process_time)
    rtf = {name: value / (sizes.spoken * AUDIO.frame_seconds) for name, value in seconds.items()}
    print(f"synthesis of {sizes.spoken} frames from {sizes.text} symbols, batch 1, one thread:", end=" ")
    print("seconds of computing per second of speech")
    for name, (r, part) in kinds.items():
        print(f"  {f'{part}, r={r}':32} {rtf[name]:7.3f}, the same stepped by torch {rtf[f'{name} by torch']:7.3f}")
    return {f"synthesis_rtf_{name}": rtf[name] for name in kinds}


def measure_on_gpu(rounds: int, *, quick: bool) -> dict[str, float]:
    """Nothing without one, which is said."""
    if not torch.cuda.is_available():
        print("training on a GPU: left out, torch sees no CUDA device")
        return {}
    sizes = Sizes(batch=64, text=100, frames=100 if quick else 400, spoken=0, rounds=rounds)
    return _gpu_training.measure(make_batch(sizes).to("cuda"), ours, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    sizes = QUICK if arguments.quick else FULL
    torch.set_num_threads(1)
    batch = make_batch(sizes)
    jobs = {"torchaudio r=1": torchaudios(batch), "ours r=1": ours(batch, 1), "ours r=2": ours(batch, 2)}
    if not arguments.quick:
        jobs["ours r=1, dynamic convolution"] = ours(batch, 1, "dynamic_convolution")
    try:
        jobs["SpeechBrain r=1"] = speechbrains(batch)
    except ImportError as error:
        print(f'without SpeechBrain ({error}); pip install -e ".[benchmarks]"')
    train = median_seconds(jobs, sizes.rounds, time.process_time)
    print(f"training, batch {sizes.batch}, {sizes.text} symbols, {sizes.frames} frames, one thread")
    for name, seconds in train.items():
        rate, ratio = sizes.batch * sizes.frames / seconds, train["torchaudio r=1"] / seconds
        print(f"  {name:32} {seconds:7.3f} s/step {rate:7.0f} frames/s {ratio:5.2f} x torchaudio")
    figures = {f"train_ratio_{name.split()[0].lower()}_r1": train[name] / train["ours r=1"]
               for name in train if not name.startswith("ours")}  # fmt: skip
    # The recipes' schedules end at r=2; frames per second, as a step has the same frames.
    figures["train_ratio_torchaudio_default"] = train["torchaudio r=1"] / train["ours r=2"]
    figures["train_gradient_error"] = gradient_error(sizes)
    print(f"gradients against those of step after step: {figures['train_gradient_error']:.1e} relative")
    figures |= {"train_frames_per_second_r1": sizes.batch * sizes.frames / train["ours r=1"]}
    figures |= measure_synthesis(sizes)
    figures |= measure_on_gpu(sizes.rounds, quick=arguments.quick)
    if arguments.json:
        print(json.dumps({name: float(f"{value:.4g}") for name, value in figures.items()}))


if __name__ == "__main__":
    main()
