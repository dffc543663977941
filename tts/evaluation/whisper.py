"""Intelligibility by Whisper (Radford et al. 2022, arXiv:2212.04356), by a model that the user has.

It runs in faster-whisper. Tested with a stand-in of the same interface: no model is downloaded here, nor by the tests.

Shapes: T_wave samples.
"""

import importlib.util
from pathlib import Path

from tts.audio.files import Recording, resample
from tts.errors import ConfigError
from tts.evaluation.language_model import plain_words
from tts.evaluation.measures import Finding, Measure, Take
from tts.evaluation.recognition import word_and_character_errors

SAMPLE_RATE = 16000  # Hz
MEASURES = (
    Measure("wer_whisper", "word error rate, Whisper", "share", "lower", "ratio", "Words misheard by Whisper."),
    Measure("cer_whisper", "character error rate, Whisper", "share", "lower", "ratio", "Letters misheard by Whisper."),
)


def check(folder: str) -> None:
    """Refuse a model that cannot be used. Raises ConfigError."""
    if importlib.util.find_spec("faster_whisper") is None:
        raise ConfigError(f'whisper={folder} needs faster-whisper: pip install "tts[whisper]"')
    if not Path(folder).is_dir():
        raise ConfigError(f"whisper={folder} is no folder; name one with a model that was converted for faster-whisper")


class Whisper:
    """The judge. Numbers that it writes in digits count as wrong, alike for every system."""

    measures = MEASURES

    def __init__(self, folder: Path):
        """folder: a model converted for CTranslate2, such as Systran/faster-whisper-base.en."""
        from faster_whisper import WhisperModel

        self._model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True)

    def __call__(self, take: Take) -> Finding:
        """Listen to one take."""
        samples = resample(Recording(take.wave.detach().float().cpu(), take.sample_rate), SAMPLE_RATE).numpy()
        segments, _ = self._model.transcribe(samples, language="en", temperature=0.0, condition_on_previous_text=False)
        written = " ".join(segment.text for segment in segments).split()
        heard = tuple(word for part in written for word in plain_words(part))
        parts = word_and_character_errors(take.text.words, heard)
        names = (measure.name for measure in MEASURES)
        return Finding(dict(zip(names, parts, strict=True)), {"heard (Whisper)": " ".join(heard)})
