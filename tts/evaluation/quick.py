"""The figures of a report that are cheap enough for every validation of a training: under 20 seconds.

Failures are counted on all held-out sentences; the distance of mel cepstra comes straight from the mels; a few
sentences are spoken by Griffin-Lim and listened to by the word recogniser, where it is installed.

Shapes: T_mel frames.
"""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tts.audio.griffin_lim import griffin_lim
from tts.data.manifest import Clip
from tts.decoding import Decoded
from tts.evaluation import recognition
from tts.evaluation.closeness import DB, warping_path
from tts.evaluation.language_model import text_of
from tts.evaluation.measures import Take, Text, estimate
from tts.evaluation.recognition import Intelligibility, build_language_model
from tts.evaluation.sentences import phoneme_frontend
from tts.failures import KINDS
from tts.settings import AudioConfig, Recipe

ORDER = 24  # cepstral coefficients, without the first, which is loudness
ITERATIONS = 32  # of Griffin-Lim: half of what a listener gets
KNOWN_TEXTS = 2000  # sentences of the corpus in the closed language model


def failure_shares(decoded: Sequence[Decoded]) -> dict[str, float]:
    """Share of sentences that failed in any way, and by kind."""
    kinds = [{failure.kind for failure in made.failures} for made in decoded]
    shares = {"failures": sum(map(bool, kinds)) / len(kinds)}
    return shares | {f"failures/{kind}": sum(kind in found for found in kinds) / len(kinds) for kind in KINDS}


def mel_cepstral_distance(mel: Tensor, target: Tensor) -> float:
    """Distortion in dB along the warping path, from the cosine transform of the log mels (Kubichek 1993).

    Comparable between mels of one contract only; not with the `mcd_db` of a report, which measures waves.

    Args:
        mel, target: (n_mels, T_mel) natural log of magnitude; lengths may differ.
    """
    ours, theirs = (_cepstrum(x.detach().double().cpu().numpy()) for x in (mel, target))
    path = warping_path(ours, theirs)
    distance = np.sqrt(np.square(ours[path[:, 0]] - theirs[path[:, 1]]).sum(axis=1))
    return float(DB * math.sqrt(2) * distance.mean())


def _cepstrum(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n_mels, T_mel) -> (T_mel, order), of the log power spectrum."""
    n_mels = len(mel)
    order = min(ORDER, n_mels - 1)
    angles = np.pi / n_mels * (np.arange(n_mels) + 0.5)[None, :] * np.arange(1, order + 1)[:, None]
    transformed: NDArray[np.float64] = (np.cos(angles) @ (2 * mel) / n_mels).T
    return transformed


class Listener:
    """Says how much of a few sentences the word recogniser understands; made once a training."""

    def __init__(self, recipe: Recipe, clips: Sequence[Clip], corpus: Sequence[Clip]):
        """clips: those to listen to. corpus: all that the closed language model may know."""
        self.audio: AudioConfig = recipe.audio
        reader = phoneme_frontend(recipe)
        self.texts: list[Text] = [text_of(clip.id, clip.text, "", reader) for clip in clips]
        different: dict[str, None] = {}
        for clip in corpus:
            different[clip.text] = None
            if len(different) == KNOWN_TEXTS:
                break
        known = [text_of("", text, "", reader) for text in different]
        with tempfile.TemporaryDirectory() as folder:
            build_language_model([*self.texts, *known], Path(folder))
            self.judge = Intelligibility(Path(folder), open_for=())

    def word_error_rate(self, mels: Sequence[Tensor]) -> float:
        """Of mels (n_mels, T_mel), one for each clip."""
        parts = []
        for text, mel in zip(self.texts, mels, strict=True):
            wave = griffin_lim(mel[None].float().cpu(), self.audio, ITERATIONS)[0]
            parts.append(self.judge(Take(text, "", wave, self.audio.sample_rate)).parts["wer"])
        (measure,) = (measure for measure in self.judge.measures if measure.name == "wer")
        return estimate(measure, parts).value


def why_deaf() -> str:
    """Why there can be no `Listener` here; empty if there can."""
    return recognition.missing()
