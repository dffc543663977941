"""A corpus that espeak-ng speaks on the spot: sentences of a grammar of our own, with exact phoneme times.

Made once under `root/<voice>-<hash of the settings>` and found there again:
    metadata.csv  `id|text`, LJSpeech's format
    wavs/         22,050 Hz mono, 16 bit
    phones.jsonl  `{"id": ..., "phones": [[phone, start, end], ...]}`, seconds from the start of the clip
    espeak.json   the settings, and how many sentences were replaced
"""

import hashlib
import json
import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from tts.batch import PhoneTime, Utterance
from tts.corpora._espeak_ng import EspeakNG, open_espeak, phone_times, phoneme_text
from tts.corpora._grammar import sentences
from tts.corpora._metadata import read_metadata
from tts.errors import DataError
from tts.progress import progress_bar
from tts.settings import DataConfig, TextConfig, require
from tts.text.frontend import Frontend

DEFAULT_ROOT = "data/espeak"
EDGE_SILENCE = 0.1  # seconds before and after the speech, as a recording has
MAX_REPLACED_SHARE = 0.05  # above this share of sentences that espeak speaks otherwise than asked, something is wrong
FORMAT = 1  # raised when the same settings would make another corpus


@dataclass
class Config(DataConfig):
    """What is spoken, and how."""

    corpus: str = "espeak"
    n_sentences: int = 600
    voice: str = "en-us"  # or a variant of it, e.g. en-us+f3
    words_per_minute: int = 170
    rate_spread: int = 20  # words per minute by which a sentence may be faster or slower
    pitch: int = 50  # 0 to 99
    seed: int = 0  # of the sentences and their rates

    def __post_init__(self) -> None:
        super().__post_init__()
        require(1 <= self.n_sentences <= 20000, "n_sentences must lie between 1 and 20000")
        require(self.rate_spread >= 0, "rate_spread must not be negative")
        slowest, fastest = self.words_per_minute - self.rate_spread, self.words_per_minute + self.rate_spread
        require(slowest >= 80 and fastest <= 450, "words_per_minute +- rate_spread must lie between 80 and 450")
        require(0 <= self.pitch <= 99, "pitch must lie between 0 and 99")


class Clip(NamedTuple):
    """A sentence as it was spoken."""

    text: str
    wave: NDArray[np.int16]  # (T_wave,)
    phones: tuple[PhoneTime, ...]


def recognised(cfg: Config) -> str:
    """What is read, for the user."""
    return f"{cfg.n_sentences} sentences spoken by espeak-ng's voice {cfg.voice}, in {cfg.root or DEFAULT_ROOT}"


def read(cfg: Config) -> Iterator[Utterance]:
    """An utterance for every sentence, with its phone times; speaks the corpus first where it is not there yet."""
    folder = Path(cfg.root or DEFAULT_ROOT) / f"{cfg.voice.replace('/', '-')}-{_fingerprint(_settings(cfg))}"
    if not folder.exists():
        make(cfg, folder)
    try:
        phones = _read_phones(folder / "phones.jsonl")
        entries = list(read_metadata(folder / "metadata.csv"))
        times = [phones[entry.id] for entry in entries]
    except (OSError, ValueError, KeyError, TypeError, DataError):
        raise DataError(f"the corpus in {folder} is damaged; delete that folder, and it is spoken again") from None
    for entry, spoken in zip(entries, times, strict=True):
        yield Utterance(entry.id, folder / "wavs" / f"{entry.id}.wav", entry.text, phone_times=spoken)


def make(cfg: Config, folder: Path) -> None:
    """Speak the corpus into a folder, which appears when it is complete."""
    partial = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
        _write(cfg, partial)
        partial.chmod(0o755)
        _move(partial, folder)
    except (OSError, soundfile.SoundFileError) as error:
        raise DataError(f"cannot write the corpus to {folder.parent} ({error}); choose data.root=FOLDER") from None
    finally:
        if partial is not None and partial.exists():
            shutil.rmtree(partial, ignore_errors=True)


def _move(partial: Path, folder: Path) -> None:
    """Give a complete corpus its name, unless another run was faster."""
    try:
        partial.rename(folder)
    except OSError:
        if not folder.exists():
            raise


def speak_sentences(cfg: Config, espeak: EspeakNG) -> Iterator[Clip | None]:
    """The sentences of the grammar as espeak speaks them, without end; None where its phonemes were not those asked."""
    frontend = Frontend(TextConfig())
    rng = random.Random(cfg.seed)
    edge = np.zeros(round(EDGE_SILENCE * espeak.sample_rate), np.int16)
    shift = len(edge) / espeak.sample_rate
    for text in sentences(cfg.seed):
        rate = cfg.words_per_minute + rng.randint(-cfg.rate_spread, cfg.rate_spread)
        symbols = frontend(text).symbols
        speech = espeak.speak(phoneme_text(symbols), words_per_minute=rate, pitch=cfg.pitch)
        times = phone_times(symbols, speech, espeak.sample_rate)
        if times is None:
            yield None
            continue
        phones = tuple(PhoneTime(phone, start + shift, end + shift) for phone, start, end in times)
        yield Clip(text, np.concatenate([edge, speech.wave, edge]), phones)


def _write(cfg: Config, folder: Path) -> None:
    """Speak all sentences and write the files."""
    (folder / "wavs").mkdir()
    kept = replaced = 0
    with (
        open_espeak(cfg.voice) as espeak,
        (folder / "metadata.csv").open("w", encoding="utf-8") as metadata,
        (folder / "phones.jsonl").open("w", encoding="utf-8") as phones,
        progress_bar(cfg.n_sentences, "espeak-ng speaks the corpus", " sentences") as progress,
    ):
        for clip in speak_sentences(cfg, espeak):
            if clip is None:
                replaced += 1
                if replaced > max(1, MAX_REPLACED_SHARE * cfg.n_sentences):
                    raise DataError(
                        f"espeak-ng's voice {cfg.voice!r} spoke {replaced} of {kept + replaced} sentences with other "
                        "phonemes than asked; use data.voice=en-us"
                    )
                continue
            name = f"espeak-{kept:05d}"
            soundfile.write(folder / "wavs" / f"{name}.wav", clip.wave, espeak.sample_rate, subtype="PCM_16")
            metadata.write(f"{name}|{clip.text}\n")
            phones.write(json.dumps({"id": name, "phones": clip.phones}) + "\n")
            kept += 1
            progress.update()
            if kept == cfg.n_sentences:
                break
    (folder / "espeak.json").write_text(json.dumps({**_settings(cfg), "replaced": replaced}, indent=2) + "\n")


def _settings(cfg: Config) -> dict[str, Any]:
    """What decides how the corpus sounds."""
    names = ("n_sentences", "voice", "words_per_minute", "rate_spread", "pitch", "seed")
    return {"format": FORMAT, **{name: getattr(cfg, name) for name in names}}


def _fingerprint(settings: dict[str, Any]) -> str:
    """Eight hex digits that change when any setting does."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


def _read_phones(path: Path) -> dict[str, tuple[PhoneTime, ...]]:
    """The phone times of each clip by its id."""
    with path.open(encoding="utf-8") as lines:
        entries = [json.loads(line) for line in lines]
    return {entry["id"]: tuple(PhoneTime(*phone) for phone in entry["phones"]) for entry in entries}
