"""Intelligibility: what a speech recogniser that knows neither the voice nor its training understands.

The recogniser is CMU Sphinx (Huggins-Daines et al. 2006) with the English acoustic model of the wheel `pocketsphinx`.
It listens twice: expecting the sentences of the corpus and of the evaluation, so that an error is one of speaking
("closed"), and with the general language model of the wheel, which forgives less and errs by itself ("open").
"""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tts.audio.sphinx import listen, model_path, open_sphinx, samples_for_sphinx
from tts.evaluation.language_model import plain_words
from tts.evaluation.measures import Finding, Measure, Part, Take, Text
from tts.text.trigrams import pronunciations, trigrams, write_arpa, write_dictionary

# Sphinx searches up to 30000. With this, both models together take two thirds of the time; of 20 clips of real speech
# the closed one understood as much, and the open one 22.9 % of the words wrong instead of 22.1 %.
STATES = 3000  # in a frame

ARPA, DICTIONARY = "closed.arpa", "closed.dict"

CLOSED = (
    Measure("wer", "word error rate", "share", "lower", "ratio", "words misheard by a recogniser that knows the texts"),
    Measure("cer", "character error rate", "share", "lower", "ratio", "letters of what that recogniser heard wrong"),
)
OPEN = (
    Measure("wer_open", "word error rate, open", "share", "lower", "ratio", "words misheard with a general model"),
    Measure("cer_open", "character error rate, open", "share", "lower", "ratio", "letters misheard with that model"),
)


def missing() -> str:
    """Why nothing can be recognised here, and the way out; empty if it can."""
    for package in ("pocketsphinx", "jiwer"):
        try:
            importlib.import_module(package)
        except ImportError as error:
            return f'intelligibility needs the package {package} ({error}): pip install "tts[evaluate]"'
    return ""


def build_language_model(texts: Sequence[Text], folder: Path) -> None:
    """Write what the closed recogniser may hear; each different sentence counts once.

    Args:
        texts: at least one: of the corpus, and all that are evaluated.
        folder: made if it is not there.

    Raises:
        OSError: if it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_arpa(trigrams(dict.fromkeys(text.words for text in texts)), folder / ARPA)
    said = (pair for text in texts for pair in zip(text.words, text.phones, strict=True))
    write_dictionary(pronunciations(said, model_path("cmudict-en-us.dict")), folder / DICTIONARY)


class Intelligibility:
    """The judge: one per process, as its recognisers are.

    Args:
        folder: filled by `build_language_model` with every text that will be judged.
        open_for: systems whose takes are also heard with the general language model; None: all.
    """

    def __init__(self, folder: Path, open_for: Sequence[str] | None = None):
        open_too = open_for is None or bool(open_for)
        self.open_for = open_for
        self.measures: tuple[Measure, ...] = (*CLOSED, *(OPEN if open_too else ()))
        self._closed = open_sphinx(folder / DICTIONARY, folder / ARPA, maxhmmpf=STATES)
        general = model_path("cmudict-en-us.dict"), model_path("en-us.lm.bin")
        self._open = open_sphinx(*general, maxhmmpf=STATES) if open_too else None

    def __call__(self, take: Take) -> Finding:
        """Listen to one take, of any length."""
        samples = samples_for_sphinx(take.wave, take.sample_rate)
        heard = _hear(self._closed, samples)
        parts = dict(zip(("wer", "cer"), word_and_character_errors(take.text.words, heard), strict=True))
        notes = {"heard": " ".join(heard)}
        if self._open is not None and (self.open_for is None or take.system in self.open_for):
            heard = _hear(self._open, samples)
            parts |= zip(("wer_open", "cer_open"), word_and_character_errors(take.text.words, heard), strict=True)
            notes["heard (open model)"] = " ".join(heard)
        return Finding(parts, notes)


def _hear(decoder: Any, samples: bytes) -> tuple[str, ...]:
    """The words that were recognised."""
    if not any(samples):  # it would imagine words in digital silence
        return ()
    listen(decoder, samples)
    found = decoder.hyp()
    return tuple(word for written in found.hypstr.split() for word in plain_words(written)) if found else ()


def word_and_character_errors(spoken: Sequence[str], heard: Sequence[str]) -> tuple[Part, Part]:
    """Edit errors over words, and over characters with the spaces between words."""
    import jiwer

    reference, hypothesis = " ".join(spoken), " ".join(heard)
    words = jiwer.process_words(reference, hypothesis)
    characters = jiwer.process_characters(reference, hypothesis)
    return (
        Part(words.substitutions + words.deletions + words.insertions, len(spoken)),
        Part(characters.substitutions + characters.deletions + characters.insertions, len(reference)),
    )
