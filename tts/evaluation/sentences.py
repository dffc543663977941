"""What is spoken in an evaluation: held-out recordings with their texts, and the hard sentences.

Shapes: T_mel frames, T_wave samples.
"""

import hashlib
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from tts.audio.mel import mel_spectrogram
from tts.corpora import own
from tts.data.cache import ClipCache, load_wave, make_entry
from tts.data.manifest import Prepared, load_prepared, sentence_of
from tts.errors import DataError, TextError, TTSError
from tts.evaluation.hard import HARD
from tts.evaluation.language_model import text_of
from tts.evaluation.measures import Text
from tts.progress import progress_bar
from tts.runs import read_recipe
from tts.settings import Recipe
from tts.speakers import speaker_id
from tts.text.frontend import EncodedText, Frontend

HELD_OUT = "held out"
KNOWN_TEXTS = 20000  # at most so many sentences of the corpus are in the closed language model


class Item(NamedTuple):
    """A sentence, and its recording where there is one."""

    text: Text
    encoded: EncodedText  # as the voice reads it
    wave: Tensor | None = None  # (T_wave,) trimmed and levelled as training clips are
    mel: Tensor | None = None  # (n_mels, T_mel) of that wave
    speaker: str = ""  # who recorded it


class Recordings(NamedTuple):
    """Recordings that the voice was not trained on."""

    items: list[Item]
    source: str  # for the reader
    corpus: list[str]  # texts that the closed language model also knows


def recordings(run: Path, recipe: Recipe, frontend: Frontend, data: str, n_sentences: int) -> Recordings:
    """Held-out sentences of the run or of another one, or the clips of a folder; one take of each sentence.

    Args:
        run: the voice's folder.
        frontend: the voice's.
        data: another run, or a folder in LJSpeech's format with metadata.csv; or empty.

    Raises:
        DataError: if there is nothing that was recorded.
    """
    prepared = _prepared(run)
    if data and (other := _prepared(Path(data))):
        run, data, prepared = Path(data), "", other
    if data:
        return _folder(Path(data), recipe, frontend, prepared, n_sentences)
    if prepared is None:
        raise DataError(
            f"{run} has no prepared corpus; name recordings to compare with: data=RUN, or data=FOLDER with metadata.csv"
        )
    if difference := prepared.audio.difference(recipe.audio):
        raise DataError(f"{run}/data was prepared with another mel contract than its voice has: {difference}")
    reader = phoneme_frontend(recipe)
    items = []
    clips = {sentence_of(clip.words): clip for clip in reversed(prepared.split("held_out"))}
    for clip in list(reversed(clips.values()))[:n_sentences]:
        wave = load_wave(clip.cache_file)
        text = text_of(clip.id, clip.text, HELD_OUT, reader)
        items.append(Item(text, frontend(clip.text), wave, mel_spectrogram(wave, recipe.audio), clip.speaker))
    return Recordings(items, f"{run}/data, held out", [clip.text for clip in prepared.clips])


def hard_items(recipe: Recipe, frontend: Frontend, absent: dict[str, str]) -> list[Item]:
    """The hard sentences, which nobody recorded; those that this voice cannot read are left out, and named."""
    reader = phoneme_frontend(recipe)
    items = []
    for kind, texts in HARD.items():
        for number, text in enumerate(texts, 1):
            try:
                items.append(Item(text_of(f"hard {kind} {number}", text, kind, reader), frontend(text)))
            except TextError as error:
                absent[f"hard {kind} {number}"] = str(error)
    return items


def assign_speakers(items: Sequence[Item], speakers: Sequence[str], speaker: str = "") -> list[Item]:
    """Who says what: the speaker of a recording where the voice knows that one, else `speaker`, or the voice's first.

    Raises:
        ConfigError: if the voice has no such speaker.
    """
    other = speakers[speaker_id(speaker, speakers)]
    names = [item.speaker if item.wave is not None and item.speaker in speakers else other for item in items]
    return [item._replace(encoded=replace(item.encoded, speaker=name)) for item, name in zip(items, names, strict=True)]


def known_texts(found: "Recordings", items: Sequence[Item], recipe: Recipe) -> list[Text]:
    """What the closed language model knows: the corpus's sentences, as far as they can be read, and the evaluated."""
    reader = phoneme_frontend(recipe)
    texts = [item.text for item in items if item.text.kind == HELD_OUT]
    different = list(dict.fromkeys(found.corpus))[:KNOWN_TEXTS]
    with progress_bar(len(different), "language model", " texts") as bar:
        for text in different:
            with suppress(TextError):  # not evaluated: nothing is lost
                texts.append(text_of("", text, "", reader))
            bar.update()
    return texts


def trained_on(run: Path, items: Sequence[Item]) -> int:
    """How many of the recorded sentences a run was trained on, by their words."""
    prepared = _prepared(run)
    if prepared is None:
        return 0
    known = {_plain(clip.text) for clip in prepared.split("train")}
    return sum(_plain(item.text.text) in known for item in items if item.text.kind == HELD_OUT)


def _plain(text: str) -> str:
    """A text by its letters and digits: runs may cut it into words in their own ways."""
    return "".join(character for character in text.casefold() if character.isalnum())


def phoneme_frontend(recipe: Recipe) -> Frontend:
    """Reads texts for recognisers: always in phonemes, the way the voice reads."""
    if recipe.text.units == "phonemes":
        return Frontend(recipe.text)
    return Frontend(replace(recipe.text, units="phonemes"))


def fingerprint(items: Sequence[Item]) -> str:
    """Twelve hex digits of every text and sample."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(f"{item.text.id}|{item.text.text}\n".encode())
        if item.wave is not None:
            digest.update(item.wave.numpy().tobytes())
    return digest.hexdigest()[:12]


def _prepared(run: Path) -> Prepared | None:
    if not (run / "recipe.yaml").is_file() or not (run / "data" / "manifest.jsonl").is_file():
        return None
    recipe = read_recipe(run)
    return load_prepared(run, recipe.audio, Frontend(recipe.text).fingerprint)


def _folder(root: Path, recipe: Recipe, frontend: Frontend, prepared: Prepared | None, n_sentences: int) -> Recordings:
    """Clips cleaned as the voice's own training clips were."""
    utterances = [utterance for utterance in own.read(own.Config(root=str(root))) if not utterance.lacks]
    reader = phoneme_frontend(recipe)
    chosen: dict[str, Item] = {}
    with tempfile.TemporaryDirectory() as folder:
        cache = ClipCache(recipe.audio, replace(recipe.data, cache=folder))
        for utterance in utterances:
            if len(chosen) == n_sentences:
                break
            try:
                encoded = frontend(utterance.text)
                sentence = sentence_of(encoded.words)
                if sentence in chosen:
                    continue
                task = cache.task(utterance.audio_path, utterance.start, utterance.end)
                make_entry(task)
            except (TTSError, OSError) as error:
                raise DataError(f"{utterance.id} cannot be used: {error}; remove it from {root}/metadata.csv") from None
            wave = load_wave(task.entry).clone()
            text = text_of(utterance.id, utterance.text, HELD_OUT, reader)
            mel = mel_spectrogram(wave, recipe.audio)
            chosen[sentence] = Item(text, encoded, wave, mel, utterance.speaker)
    corpus = [utterance.text for utterance in utterances] + ([clip.text for clip in prepared.clips] if prepared else [])
    return Recordings(list(chosen.values()), str(root), corpus)
