"""Faults planted in speech on purpose, to see which measure notices which.

Shapes: T_wave samples; a wave is a float32 tensor in [-1, 1]; spans of words are seconds (start, end).
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from tts.audio.backend import load_torchaudio
from tts.audio.griffin_lim import griffin_lim
from tts.audio.mel import mel_spectrogram
from tts.settings import AudioConfig

EDGE = 0.005  # seconds over which what remains of a cut is faded


class Word(NamedTuple):
    """A word and where it lies."""

    text: str
    start: float  # seconds
    end: float


def noise(wave: Tensor, snr_db: float = 10.0, seed: int = 0) -> Tensor:
    """White noise, this far below the speech."""
    hiss = torch.randn(len(wave), generator=torch.Generator().manual_seed(seed))
    return (wave + hiss * wave.square().mean().sqrt() * 10 ** (-snr_db / 20)).clamp(-1, 1)


def clipped(wave: Tensor, share: float = 0.05) -> Tensor:
    """The loudest `share` of the samples cut off, at the loudness of before."""
    limit = float(wave.abs().quantile(1 - share))
    flat = wave.clamp(-limit, limit)
    return (flat * wave.square().mean().sqrt() / flat.square().mean().sqrt()).clamp(-1, 1)


def low_passed(wave: Tensor, sample_rate: int, cutoff: float = 4000.0) -> Tensor:
    """Nothing above `cutoff` Hz, as of a recording at 8 kHz."""
    functional = load_torchaudio().functional
    narrow = functional.resample(wave, sample_rate, round(2 * cutoff))
    return functional.resample(narrow, round(2 * cutoff), sample_rate)[: len(wave)]


def revoiced(wave: Tensor, sample_rate: int, *, slower: float = 1.0, semitones: float = 0.0) -> Tensor:
    """Taken apart by WORLD and put together again: slower by a factor, higher by semitones, or as it was."""
    from tts.evaluation.closeness import load_world

    world = load_world()
    samples = wave.double().numpy()
    f0, seconds = world.dio(samples, sample_rate)
    f0 = world.stonemask(samples, f0, seconds, sample_rate)
    envelope = world.cheaptrick(samples, f0, seconds, sample_rate)
    aperiodicity = world.d4c(samples, f0, seconds, sample_rate)
    spoken = world.synthesize(
        f0 * 2 ** (semitones / 12), envelope, aperiodicity, sample_rate, world.default_frame_period * slower
    )
    return torch.from_numpy(spoken).float().clamp(-1, 1)


def without(wave: Tensor, sample_rate: int, words: Sequence[Word]) -> Tensor:
    """These words cut out, and the gaps closed."""
    parts, start = [], 0
    for word in words:
        parts.append(wave[start : round(word.start * sample_rate)])
        start = round(word.end * sample_rate)
    return joined([*parts, wave[start:]], sample_rate)


def repeated(wave: Tensor, sample_rate: int, word: Word) -> Tensor:
    """This word said twice."""
    start, end = round(word.start * sample_rate), round(word.end * sample_rate)
    return joined([wave[:end], wave[start:end], wave[end:]], sample_rate)


def joined(parts: Sequence[Tensor], sample_rate: int) -> Tensor:
    """One after the other; each is faded where it meets the next, so that nothing clicks."""
    parts = [part.clone() for part in parts if len(part)]
    for i, part in enumerate(parts):
        n = min(round(EDGE * sample_rate), len(part) // 2)
        ramp = torch.linspace(0, 1, n)
        if i > 0:
            part[:n] *= ramp
        if i < len(parts) - 1:
            part[len(part) - n :] *= ramp.flip(0)
    return torch.cat(parts)


def copied(wave: Tensor, audio: AudioConfig) -> Tensor:
    """Griffin-Lim's speech from the wave's own mel."""
    return griffin_lim(mel_spectrogram(wave, audio)[None], audio)[0]


def read_words(path: Path) -> list[Word]:
    """The words of a TextGrid, without its pauses."""
    tier = path.read_text(encoding="utf-8").partition('name = "phones"')[0]
    found = re.findall(r'xmin = (\S+)\s+xmax = (\S+)\s+text = "([^"]*)"', tier)
    return [Word(text, float(start), float(end)) for start, end, text in found if text]


def find_pieces(wave: Tensor, sample_rate: int) -> list[Word]:
    """Pieces of speech between dips of its energy, at least 0.2 seconds long: what is cut where words have no times."""
    step = round(0.01 * sample_rate)
    level = torch.nn.functional.pad(wave, (2 * step, 2 * step)).unfold(0, 5 * step, step).square().mean(dim=1)
    dips = [i for i in range(20, len(level) - 20) if level[i] == level[i - 10 : i + 11].min()]
    edges = [dip for i, dip in enumerate(dips) if i == 0 or dip - dips[i - 1] >= 10]
    spans = [(start / 100, end / 100) for start, end in pairwise(edges) if end - start >= 20]
    return [Word("", start, end) for start, end in spans]
