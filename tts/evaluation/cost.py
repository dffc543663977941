"""What speaking costs: time, memory, size.

Measured on a few sentences, each spoken alone, as a listener would wait for it.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import nn

from tts.decoding import text_seed
from tts.evaluation.measures import Measure, Part
from tts.evaluation.sentences import Item
from tts.parallel import WorkerDiedError, unordered
from tts.synthesis import Synthesizer

SENTENCES = 4
SECONDS = 15.0  # after which no further sentence is begun, once there are two

MEASURES = (
    Measure("rtf", "real-time factor", "s/s", "lower", "ratio", "Seconds of computing for a second of speech."),
    Measure("rtf_acoustic", "of it: acoustic model", "s/s", "lower", "ratio", "Text to mel, for a second of speech."),
    Measure("rtf_vocoder", "of it: vocoder", "s/s", "lower", "ratio", "Mel to wave, for a second of speech."),
    Measure("first_sound_s", "first sound", "s", "lower", "mean", "From the text to the first sound of a sentence."),
)
CONSTANTS = ("peak_memory_mb", "acoustic_parameters", "acoustic_file_mb", "vocoder_parameters", "vocoder_file_mb")


class Cost(NamedTuple):
    """Parts of MEASURES, and what does not vary from sentence to sentence."""

    parts: dict[str, dict[str, Part]]  # by measure, then by the sentence's id
    constants: dict[str, float]


def measure_cost(
    synthesizer: Synthesizer, voice: Path, files: Mapping[str, Path], items: Sequence[Item], seed: int, tries: int
) -> Cost:
    """Speak a few sentences of middling length, one by one.

    Args:
        files: the halves' checkpoints by their kind.
    """
    ordered = sorted(items, key=lambda item: len(item.encoded.ids))
    middle = ordered[max(0, len(ordered) // 2 - SENTENCES // 2) :][:SENTENCES]
    parts: dict[str, dict[str, Part]] = {measure.name: {} for measure in MEASURES}
    _speak(synthesizer, ordered[0], seed, tries)  # warm up
    began = time.perf_counter()
    for item in middle:
        acoustic, vocoder, seconds = _speak(synthesizer, item, seed, tries)
        parts["rtf"][item.text.id] = Part(acoustic + vocoder, seconds)
        parts["rtf_acoustic"][item.text.id] = Part(acoustic, seconds)
        parts["rtf_vocoder"][item.text.id] = Part(vocoder, seconds)
        parts["first_sound_s"][item.text.id] = Part(acoustic + vocoder)  # a sentence sounds when it is done
        if len(parts["rtf"]) >= 2 and time.perf_counter() - began > SECONDS:
            break
    constants = {"peak_memory_mb": _memory_of(voice, ordered[0].text.text)}
    for kind, model in (("acoustic", synthesizer.acoustic), ("vocoder", synthesizer.vocoder)):
        constants[f"{kind}_parameters"] = float(_n_parameters(model))
        if kind in files:
            constants[f"{kind}_file_mb"] = files[kind].stat().st_size / 1e6
    return Cost(parts, constants)


class _Spent(NamedTuple):
    acoustic: float  # seconds
    vocoder: float
    speech: float


def _speak(synthesizer: Synthesizer, item: Item, seed: int, tries: int) -> _Spent:
    began = time.perf_counter()
    (made,) = synthesizer.decode([item.encoded], seed=seed, tries=tries)
    decoded = time.perf_counter()
    (wave,) = synthesizer.vocode([made.mel], seeds=[text_seed(seed, item.encoded.ids)])
    done = time.perf_counter()
    return _Spent(decoded - began, done - decoded, len(wave) / synthesizer.audio.sample_rate)


def _n_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _memory_of(voice: Path, text: str) -> float:
    """The most memory that a process holds which does nothing but speak, in MB; NaN where the system does not tell."""
    try:
        return next(peak for _, peak in unordered(_speak_once, [(None, (voice, text))], 1))
    except WorkerDiedError:  # there was no room for a second copy of the voice
        return float("nan")


def _speak_once(job: tuple[Path, str]) -> float:
    voice, text = job
    Synthesizer.load(voice).speak(text)
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would tell the most that the parent of this process ever held
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return float(peak.split()[1]) / 1e3
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
