"""How fast Tacotron 2 trains and speaks on one thread, beside torchaudio's.

Run: python tests/benchmarks/acoustic.py [--quick] [--json]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple
from unittest import mock

import torch
from torch import Tensor, nn

from tts.acoustic import tacotron2
from tts.acoustic._stepping import TorchStepper
from tts.acoustic.attention import dynamic_convolution
from tts.audio.backend import load_torchaudio
from tts.batch import AcousticBatch
from tts.config import load_recipe
from tts.losses import masked_l2, stop_loss
from tts.settings import AudioConfig

N_SYMBOLS = 80
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


def total(before: Tensor, after: Tensor, stop_logit: Tensor, batch: AcousticBatch, r: int) -> Tensor:
    mel = masked_l2(before, batch.mel, batch.mel_mask) + masked_l2(after, batch.mel, batch.mel_mask)
    return mel + stop_loss(stop_logit, batch.mel_lengths, 1.0, r)


def training_step(model: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
    """Forward, backward, clipping and Adam; the optimizer's share is the same for all."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def ours(batch: AcousticBatch, r: int, attention: str = "location_sensitive") -> Callable[[], None]:
    config = tacotron2.Config()
    if attention == "dynamic_convolution":
        config.attention = dynamic_convolution.Config()
    model = make_model(config, r)

    def loss() -> Tensor:
        out = model(batch)
        return total(out.mel_before, out.mel, out.stop_logit, batch, r)

    return training_step(model, loss)


def torchaudios(batch: AcousticBatch) -> Callable[[], None]:
    torch.manual_seed(0)
    model = load_torchaudio().models.Tacotron2(n_symbol=N_SYMBOLS)

    def loss() -> Tensor:
        before, after, stop_logit, _ = model(batch.text_ids, batch.text_lengths, batch.mel, batch.mel_lengths)
        return total(before, after, stop_logit, batch, 1)

    return training_step(model, loss)


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
    seconds = median_seconds(jobs, sizes.rounds)
    rtf = {name: value / (sizes.spoken * AUDIO.frame_seconds) for name, value in seconds.items()}
    print(f"synthesis of {sizes.spoken} frames from {sizes.text} symbols, batch 1, one thread:", end=" ")
    print("seconds of computing per second of speech")
    for name, (r, part) in kinds.items():
        print(f"  {f'{part}, r={r}':32} {rtf[name]:7.3f}, the same stepped by torch {rtf[f'{name} by torch']:7.3f}")
    return {f"synthesis_rtf_{name}": rtf[name] for name in kinds}


def median_seconds(jobs: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """CPU time, jobs taking turns, so that other load on the machine meets all alike. The first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for i in range(rounds + 1):
        for name, job in jobs.items():
            start = time.process_time()
            job()
            if i > 0:
                seconds[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    sizes = QUICK if arguments.quick else FULL
    torch.set_num_threads(1)
    batch = make_batch(sizes)
    jobs = {"torchaudio r=1": torchaudios(batch), "ours r=1": ours(batch, 1)}
    if not arguments.quick:
        jobs |= {"ours r=1, dynamic convolution": ours(batch, 1, "dynamic_convolution"), "ours r=2": ours(batch, 2)}
    train = median_seconds(jobs, sizes.rounds)
    print(f"training, batch {sizes.batch}, {sizes.text} symbols, {sizes.frames} frames, one thread")
    for name, seconds in train.items():
        rate, ratio = sizes.batch * sizes.frames / seconds, train["torchaudio r=1"] / seconds
        print(f"  {name:32} {seconds:7.3f} s/step {rate:7.0f} frames/s {ratio:5.2f} x torchaudio")
    figures = {"train_ratio_torchaudio_r1": train["torchaudio r=1"] / train["ours r=1"]}
    figures |= {"train_frames_per_second_r1": sizes.batch * sizes.frames / train["ours r=1"]}
    figures |= measure_synthesis(sizes)
    if arguments.json:
        print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
