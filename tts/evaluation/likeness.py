"""Whether a voice sounds like its speaker: the cosine of speaker embeddings of a take and its recording.

The embeddings are ECAPA-TDNN's (Desplanques et al. 2020, arXiv:2005.07143) through SpeechBrain, from a folder that the
user names, since loading one executes what its hyperparams.yaml says. Tested with a stand-in of the same interface.

Shapes: T_wave samples.
"""

import importlib.util
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from tts.audio.backend import load_torchaudio
from tts.audio.files import Recording, resample
from tts.errors import ConfigError
from tts.evaluation.measures import Finding, Measure, Part, Take

SAMPLE_RATE = 16000  # Hz
LIKENESS = Measure(
    "speaker_cosine", "speaker likeness", "", "higher", "mean", "Cosine of speaker embeddings, of take and recording."
)


def check(folder: str) -> None:
    """Refuse a model that cannot be used. Raises ConfigError."""
    if importlib.util.find_spec("speechbrain") is None:
        raise ConfigError(f'likeness={folder} needs SpeechBrain: pip install "tts[likeness]"')
    if not (Path(folder) / "hyperparams.yaml").is_file():
        raise ConfigError(
            f"likeness={folder} holds no hyperparams.yaml; name a copy of speechbrain/spkrec-ecapa-voxceleb"
        )


class Likeness:
    """The judge."""

    measures = (LIKENESS,)

    def __init__(self, folder: Path):
        """folder: a copy of speechbrain/spkrec-ecapa-voxceleb, or a model like it."""
        load_torchaudio()  # which the package imports, and which may lack its extension
        from speechbrain.inference.speaker import EncoderClassifier

        self._encoder = EncoderClassifier.from_hparams(source=str(folder), savedir=str(folder))
        self._known: dict[str, Tensor] = {}  # embeddings of recordings, by the text's id

    @torch.inference_mode()
    def __call__(self, take: Take) -> Finding:
        """Compare one take with its recording; without one there is nothing to say."""
        if take.reference is None:
            return Finding({})
        if take.text.id not in self._known:
            self._known[take.text.id] = self._embedding(take.reference, take.sample_rate)
        likeness = F.cosine_similarity(self._embedding(take.wave, take.sample_rate), self._known[take.text.id], dim=0)
        return Finding({LIKENESS.name: Part(float(likeness))})

    def _embedding(self, wave: Tensor, sample_rate: int) -> Tensor:
        samples = resample(Recording(wave.detach().float().cpu(), sample_rate), SAMPLE_RATE)
        embedding: Tensor = self._encoder.encode_batch(samples[None]).flatten()
        return embedding
