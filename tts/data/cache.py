"""The cache of prepared clips: one file a clip, named by what it was made from and how.

The name is a hash of the audio file's bytes, the mel contract, the cleaning settings and VERSION, so that a file or a
setting that changed is never mistaken for the old one, and runs share what they have in common. An entry holds the
wave as int16 and the mel of exactly that wave.
"""

import hashlib
import json
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from tts.atomic import write_atomically, write_failure
from tts.audio.clean import change_loudness, clipping_share, loudness, trim_silence
from tts.audio.files import Recording, from_int16, read_recording, resample, to_int16
from tts.audio.mel import mel_spectrogram
from tts.errors import DataError
from tts.settings import AudioConfig, DataConfig

VERSION = 1  # of what is done to a clip; a change here makes every entry anew
INDEX = "index.json"
STALE_SECONDS = 3600  # a temporary file this old was left by a process that was killed


@dataclass(frozen=True)
class EntryFacts:
    """What was measured when an entry was made."""

    start_sample: int  # of the trimmed clip, at the contract's rate
    n_samples: int
    n_frames: int
    recorded_rate: int  # Hz
    recorded_seconds: float
    loudness: float  # LUFS as recorded
    clipping: float  # share of samples at full scale as recorded
    # Sums over the frames of the mel and of its square, per bin: the corpus' mean and deviation without reading mels.
    mel_sum: tuple[float, ...]
    mel_square_sum: tuple[float, ...]


@dataclass(frozen=True)
class EntryTask:
    """All that a process needs to make an entry."""

    audio_path: Path
    entry: Path
    audio: AudioConfig
    trim_db: float
    keep_silence: float


class ClipCache:
    """Finds the entry of an audio file."""

    def __init__(self, audio: AudioConfig, data: DataConfig):
        self.folder = Path(data.cache).resolve()
        self.audio = audio
        self.trim_db = data.trim_db
        self.keep_silence = data.keep_silence
        settings = (VERSION, audio.fingerprint, float(data.trim_db), float(data.keep_silence))
        self.settings = json.dumps(settings).encode()
        self.index = self._read_index()

    def task(self, audio_path: Path) -> EntryTask:
        """What is to be done for an audio file, and where its entry is or will be. Raises OSError."""
        digest = self._content_hash(audio_path)
        key = hashlib.sha256(digest.encode() + self.settings).hexdigest()[:32]
        entry = self.folder / f"{key}.safetensors"
        return EntryTask(audio_path, entry, self.audio, self.trim_db, self.keep_silence)

    def open(self) -> None:
        """Make the folder, and sweep out what killed processes left there.

        Raises:
            DataError: if there is no writing to it.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for left in self.folder.glob(".*.tmp"):
                with suppress(FileNotFoundError):
                    if time.time() - left.stat().st_mtime > STALE_SECONDS:
                        left.unlink()
        except OSError as error:
            raise DataError(write_failure(self.folder, error)) from None

    def save_index(self) -> None:
        """Write down the content hashes, with those that other runs have added since."""
        try:
            write_atomically(self.folder / INDEX, json.dumps({**self._read_index(), **self.index}).encode())
        except OSError as error:
            raise DataError(write_failure(self.folder / INDEX, error)) from None

    def _content_hash(self, audio_path: Path) -> str:
        """Hash of a file's bytes, without reading them where path, size and time of change are as they were."""
        status = audio_path.stat()
        name, seen = str(audio_path.resolve()), [status.st_size, status.st_mtime_ns]
        known = self.index.get(name)
        if known is None or known[:2] != seen:
            known = self.index[name] = [*seen, hashlib.blake2b(audio_path.read_bytes(), digest_size=20).hexdigest()]
        return str(known[2])

    def _read_index(self) -> dict[str, list[Any]]:
        """The index only saves time: one that cannot be read is as good as none."""
        try:
            index = json.loads((self.folder / INDEX).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        whole = isinstance(index, dict) and all(isinstance(v, list) and len(v) == 3 for v in index.values())
        return index if whole else {}


class Cleaned(NamedTuple):
    """A clip as a model meets it."""

    wave: Tensor  # (T_wave,) int16
    mel: Tensor  # (n_mels, T_mel) of exactly that wave
    facts: EntryFacts


def make_entry(task: EntryTask) -> EntryFacts:
    """Read, trim, resample and level a clip, and write its entry.

    Raises:
        AudioError: if the clip is of no use.
        DataError: if the entry cannot be written.
    """
    cleaned = clean_clip(read_recording(task.audio_path), task)
    write_entry(task.entry, cleaned)
    return cleaned.facts


def clean_clip(recording: Recording, task: EntryTask) -> Cleaned:
    """Trim, resample and level a recording as the task says, wherever it comes from.

    Raises:
        AudioError: if the clip is of no use.
    """
    audio = task.audio
    resampled = resample(recording, audio.sample_rate)
    trimmed = trim_silence(resampled, audio.sample_rate, task.trim_db, task.keep_silence)
    recorded_loudness = loudness(trimmed.wave, audio.sample_rate)
    wave = to_int16(change_loudness(trimmed.wave, recorded_loudness, audio.loudness))
    mel = mel_spectrogram(from_int16(wave), audio)
    facts = EntryFacts(
        start_sample=trimmed.start_sample,
        n_samples=len(wave),
        n_frames=mel.shape[1],
        recorded_rate=recording.sample_rate,
        recorded_seconds=len(recording.wave) / recording.sample_rate,
        loudness=recorded_loudness,
        clipping=clipping_share(recording.wave),
        mel_sum=tuple(mel.double().sum(dim=1).tolist()),
        mel_square_sum=tuple(mel.double().square().sum(dim=1).tolist()),
    )
    return Cleaned(wave, mel, facts)


def write_entry(entry: Path, cleaned: Cleaned) -> None:
    """Write an entry, whole or not at all. Raises DataError where that cannot be."""
    tensors = {"wave": cleaned.wave, "mel": cleaned.mel.contiguous()}
    measured = json.dumps(asdict(cleaned.facts))
    # One key of metadata: several would be written in any order, and the same entry would not be the same bytes.
    metadata = {"entry": json.dumps({"facts": measured, "checksum": _checksum(tensors, measured)})}
    try:
        write_atomically(entry, save(tensors, metadata))
    except OSError as error:
        raise DataError(write_failure(entry, error)) from None


def read_facts(entry: Path) -> EntryFacts | None:
    """The facts of an entry, or None where there is none that is whole: every byte is checked."""
    if not entry.exists():
        return None
    try:
        with safe_open(str(entry), framework="pt") as file:
            written = json.loads(file.metadata()["entry"])
            tensors = {name: file.get_tensor(name) for name in ("wave", "mel")}
        if written["checksum"] != _checksum(tensors, written["facts"]):
            return None
        facts = json.loads(written["facts"])
        sums = {name: tuple(facts[name]) for name in ("mel_sum", "mel_square_sum")}
        return EntryFacts(**{**facts, **sums})
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):
        return None


def load_mel(entry: Path, start: int = 0, end: int | None = None) -> Tensor:
    """(n_mels, end - start) float32 log mel of an entry, or a part of it."""
    mel = _slice(entry, "mel")
    part: Tensor = mel[:, start:end].float()
    return part


def load_wave(entry: Path, start: int = 0, end: int | None = None) -> Tensor:
    """(end - start,) float32 wave of an entry, or a part of it."""
    return from_int16(_slice(entry, "wave")[start:end])


def _slice(entry: Path, name: str) -> Any:
    """A tensor in a file of which only the part asked for is read.

    The file is mapped: what is read again comes from the system's page cache, so a small corpus stays in memory and
    a large one takes none that is needed elsewhere.
    """
    try:
        with safe_open(str(entry), framework="pt") as file:
            return file.get_slice(name)
    except (SafetensorError, OSError) as error:
        raise DataError(f"{entry} cannot be read ({error}); run the stage prepare again") from None


def _checksum(tensors: Mapping[str, Tensor], measured: str) -> str:
    value = zlib.crc32(measured.encode())
    for name in sorted(tensors):
        value = zlib.crc32(tensors[name].numpy().data, value)
    return f"{value:08x}"
