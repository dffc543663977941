"""Training of the phone recogniser on a prepared corpus: CTC, SpecAugment (Park et al. 2019), tempo and noise.

Only recordings are learned from, never what a voice says: a recogniser that knew the voice would forgive it.

Shapes: B batch, T_mel frames, T_out steps.
"""

import random
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from tts.data.cache import load_mel
from tts.data.manifest import Prepared, Split
from tts.data.sampler import LengthBatches
from tts.errors import CheckpointError, DataError
from tts.evaluation.phone_recognizer import BLANK, PHONES, PhoneNetwork, PhoneRecognizer, edit_distance, without_stress
from tts.progress import progress_bar
from tts.settings import TextConfig
from tts.text.frontend import Frontend
from tts.text.symbols import symbol_table
from tts.training.ema import EMA

WIDTH = 128
BATCH_SIZE = 8  # clips
BATCH_FRAMES = 6000
LEARNING_RATE = 3e-3
WARMUP_STEPS = 100
STEADY_SHARE = 0.3  # of the time, before the learning rate falls to zero in a straight line
WEIGHT_DECAY = 0.01
GRADIENT_CLIP = 1.0  # norm
EMA_DECAY = 0.998
TEMPO = 0.1  # clips are stretched and squeezed by up to this share
NOISY_SHARE = 0.5  # of the clips: a faint hiss must not count as wrong phones
NOISE_LEVELS = (-7.0, -1.0)  # nats of log mel from the clip's loudest frame to the noise: about 60 to 9 dB below
NOISE_FLUTTER = 0.3  # standard deviation of the noise's log mel
BAND_MASKS = 2
FRAMES_PER_MASK = 100  # one mask in time for so many frames
WIDEST_MASK = 12  # mel bins, and frames
CHECKPOINT_SECONDS = 60.0


class Example(NamedTuple):
    """A clip to learn from."""

    mel_file: Path
    n_frames: int
    seconds: float
    phones: tuple[str, ...]


class Batch(NamedTuple):
    """Clips of similar length."""

    normalized: Tensor  # (B, n_mels, T_mel), 0 where padded
    mel_lengths: Tensor  # (B,)
    classes: Tensor  # (sum of class_lengths,)
    class_lengths: Tensor  # (B,)


def train_phone_recognizer(
    prepared: Prepared, path: Path, *, minutes: float, seed: int = 0, width: int = WIDTH, progress: bool = True
) -> dict[str, Any]:
    """Train a recogniser and write it to `path`, about once a minute and at the end.

    One that is there already is trained on until it has had `minutes` in all; its width stays.

    Returns:
        Facts: clips, hours, left_out (clips too short for their text), minutes, steps, held_out_clips, and per, the
        phone error rate of the held-out clips (None if there is none).

    Raises:
        CheckpointError: if `path` cannot be written, holds something else, or hears through another mel contract.
        DataError: if there is nothing to learn from.
    """
    recognizer = _begun(prepared, path, width, seed)
    train, left_out = _examples(prepared, "train", recognizer.network.stride)
    held_out, _ = _examples(prepared, "held_out", recognizer.network.stride)
    if not train:
        raise DataError("no clip to train a phone recogniser on is long enough for its text; check the transcripts")
    before = {"minutes": 0.0, "steps": 0, **recognizer.facts}
    if before["steps"] and before["minutes"] >= minutes:
        return dict(recognizer.facts)
    training = Training(recognizer.network, train, seed, before["steps"])
    facts = {
        "clips": len(train),
        "hours": sum(example.seconds for example in train) / 3600,
        "left_out": left_out,
        "held_out_clips": len(held_out),
    }
    seconds, saved = 60 * minutes, time.monotonic()
    start = saved - 60 * before["minutes"]
    with progress_bar(round(seconds), "phone recogniser", " s", shown=progress) as bar:
        while (spent := time.monotonic() - start) < seconds:
            loss = training.step(spent / seconds)
            bar.update(min(bar.total, int(spent)) - bar.n)
            if time.monotonic() - saved >= CHECKPOINT_SECONDS:
                facts = _checkpoint(training, recognizer, held_out, {**facts, "minutes": spent / 60}, path)
                heard = "" if facts["per"] is None else f", {facts['per']:.1%} phone errors"
                bar.set_postfix_str(f"loss {loss:.2f}{heard}", refresh=False)
                saved = time.monotonic()
    return _checkpoint(training, recognizer, held_out, {**facts, "minutes": minutes}, path)


class Training:
    """A network that learns, its average, and what it learns from.

    Args:
        steps: done before.
    """

    def __init__(self, network: PhoneNetwork, examples: Sequence[Example], seed: int, steps: int = 0):
        self.network = network
        self.examples = examples
        self.steps = steps
        self.began = steps
        self.ema = EMA(network, EMA_DECAY)
        self.optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        self.random = random.Random(f"phones {seed} {steps}")
        lengths = [example.n_frames for example in examples]
        self.order = iter(LengthBatches(lengths, BATCH_SIZE, BATCH_FRAMES, seed, start=steps))

    def step(self, share: float) -> float:
        """Learn from one batch.

        Args:
            share: of the training's time that is over, in [0, 1].

        Returns:
            The loss.
        """
        warm = min(1.0, (self.steps - self.began + 1) / WARMUP_STEPS)
        for group in self.optimizer.param_groups:
            group["lr"] = LEARNING_RATE * warm * min(1.0, (1 - share) / (1 - STEADY_SHARE))
        self.network.train()
        batch = augmented(self.network, [self.examples[index] for index in next(self.order)], self.random)
        loss = ctc_loss(self.network, batch)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_CLIP)
        self.optimizer.step()
        self.ema.update(self.network)
        self.steps += 1
        return loss.item()


def ctc_loss(network: PhoneNetwork, batch: Batch) -> Tensor:
    """Negative log likelihood of the phones over all their alignments, per phone, averaged over clips."""
    scores = network(batch.normalized, batch.mel_lengths)  # (B, T_out, V)
    steps = network.steps(batch.mel_lengths)
    # A clip that was squeezed below one step a phone has no alignment, and teaches nothing.
    return F.ctc_loss(
        scores.transpose(0, 1), batch.classes, steps, batch.class_lengths, blank=BLANK, zero_infinity=True
    )


def augmented(network: PhoneNetwork, examples: Sequence[Example], rng: random.Random) -> Batch:
    """Clips as a batch, each at another tempo, some with noise, all with bands and moments missing."""
    mels = []
    for example in examples:
        mel = load_mel(example.mel_file)
        if rng.random() < NOISY_SHARE:
            mel = _with_noise(mel, rng)
        frames = max(1, round(mel.shape[1] * rng.uniform(1 - TEMPO, 1 + TEMPO)))
        mels.append(_masked(F.interpolate(network.normalized(mel)[None], frames, mode="linear")[0], rng))
    return Batch(
        normalized=pad_sequence([mel.T for mel in mels], batch_first=True).transpose(1, 2),
        mel_lengths=torch.tensor([mel.shape[1] for mel in mels]),
        classes=torch.tensor([PHONES.index(phone) + 1 for example in examples for phone in example.phones]),
        class_lengths=torch.tensor([len(example.phones) for example in examples]),
    )


def phone_error_rate(recognizer: PhoneRecognizer, examples: Sequence[Example]) -> float | None:
    """Errors over phones; None without any."""
    phones = sum(len(example.phones) for example in examples)
    errors = sum(edit_distance(e.phones, recognizer.read(load_mel(e.mel_file))) for e in examples)
    return errors / phones if phones else None


def _with_noise(mel: Tensor, rng: random.Random) -> Tensor:
    """(n_mels, T_mel) log mel with steady noise in it, of any loudness and colour."""
    level = float(mel.mean(dim=0).max()) + rng.uniform(*NOISE_LEVELS)
    tilt = torch.linspace(-0.5, 0.5, len(mel))[:, None] * rng.uniform(-2, 2)
    return torch.logaddexp(mel, level + tilt + NOISE_FLUTTER * torch.randn_like(mel))


def _masked(normalized: Tensor, rng: random.Random) -> Tensor:
    """SpecAugment: some bands and some moments of (n_mels, T_mel) become average. Changes it in place."""
    n_mels, n_frames = normalized.shape
    for _ in range(BAND_MASKS):
        band = rng.randint(0, min(WIDEST_MASK, n_mels // 4))
        low = rng.randint(0, n_mels - band)
        normalized[low : low + band] = 0
    for _ in range(max(1, n_frames // FRAMES_PER_MASK)):
        moment = rng.randint(0, min(WIDEST_MASK, n_frames // 4))
        start = rng.randint(0, n_frames - moment)
        normalized[:, start : start + moment] = 0
    return normalized


def _checkpoint(
    training: Training, recognizer: PhoneRecognizer, held_out: Sequence[Example], facts: dict[str, Any], path: Path
) -> dict[str, Any]:
    """Write the averaged weights; returns the facts with steps and error rate."""
    with training.ema.applied(recognizer.network):
        found = {**facts, "steps": training.steps, "per": phone_error_rate(recognizer, held_out)}
        recognizer._replace(facts=found).save(path)
    return found


def _begun(prepared: Prepared, path: Path, width: int, seed: int) -> PhoneRecognizer:
    """What lies at `path`, or a fresh recogniser."""
    torch.manual_seed(seed)
    if path.exists():
        recognizer = PhoneRecognizer.load(path)
        if difference := recognizer.audio.difference(prepared.audio):
            raise CheckpointError(f"{path} hears through another mel contract: {difference}; train to another file")
        return recognizer
    recognizer = PhoneRecognizer.fresh(prepared.audio, width)
    recognizer.network.mel_mean.copy_(prepared.mel_mean)
    recognizer.network.mel_std.copy_(prepared.mel_std)
    return recognizer


def _examples(prepared: Prepared, split: Split, stride: int) -> tuple[list[Example], int]:
    """Clips with their phones, and how many others are too short for theirs.

    CTC needs a step for each phone, and a blank between two that are the same.
    """
    reader = None if prepared.symbols == symbol_table("phonemes") else Frontend(TextConfig(units="phonemes"))
    examples, left_out = [], 0
    for clip in prepared.split(split):
        symbols = reader(clip.text).symbols if reader else clip.symbols
        phones = without_stress(symbols)
        needed = len(phones) + sum(a == b for a, b in pairwise(phones))
        if needed > -(-clip.n_frames // stride):
            left_out += 1
            continue
        examples.append(Example(clip.cache_file, clip.n_frames, clip.seconds, phones))
    return examples, left_out
