"""The cache of prepared clips: one file a clip, named by what it was made from and how.

The name is a hash of the audio file's bytes, the part of it that is the clip, the mel contract, the cleaning settings
and VERSION, so that a file or a setting that changed is never mistaken for the old one, and runs share what they have
in common. An entry holds the wave as int16 and the mel of exactly that wave.

Beside the entries lie the content hashes of audio files and a list of the runs that use them; who prepares holds a
lock that keeps `tts cache gc` from removing what is about to be used.
"""

import errno
import fcntl
import hashlib
import json
import math
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from tts.atomic import sweep, write_atomically, write_failure
from tts.audio.clean import Cleaning, clean, clipping_share
from tts.audio.files import Recording, from_int16, read_recording, resample, to_int16
from tts.audio.mel import mel_spectrogram
from tts.audio.silence import Cut
from tts.data.hashes import ContentHashes
from tts.errors import DataError
from tts.settings import AudioConfig, DataConfig

VERSION = 1  # of what is done to a clip; a change here makes every entry anew
LONGEST = 600.0  # seconds of a file that is read as one clip: an hour at once would take gigabytes
HASHES = "hashes.bin"
RUNS = "runs.txt"  # folders of the runs that were prepared from here, a line each
LOCK = "in_use.lock"


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
    # Those that follow are not known of entries that were made before they were measured.
    cuts: tuple[Cut, ...] = ()  # taken out of pauses, from start_sample on
    noise_floor: float | None = None  # dB below the loudest, as recorded
    noise_reduced: float = 0.0  # dB
    rumble: float | None = None  # dB of what the high-pass took away; None: nothing
    held_back: float = 0.0  # dB softer than wanted, for the peaks


@dataclass(frozen=True)
class EntryTask:
    """All that a process needs to make an entry."""

    audio_path: Path
    entry: Path
    audio: AudioConfig
    cleaning: Cleaning
    start: float = 0.0  # seconds of the file; the clip is the part from here ...
    end: float = 0.0  # ... to here; 0: to the end


class ClipCache:
    """Finds the entry of an audio file."""

    def __init__(self, audio: AudioConfig, data: DataConfig):
        self.folder = Path(data.cache).resolve()
        self.audio = audio
        self.cleaning = Cleaning.of(data)
        self.settings = json.dumps([VERSION, audio.fingerprint, *self.cleaning.key]).encode()
        self.hashes = ContentHashes(self.folder / HASHES)

    def task(self, audio_path: Path, start: float = 0.0, end: float = 0.0) -> EntryTask:
        """What is to be done for an audio file or a part of it, and where its entry is or will be. Raises OSError."""
        # A whole file has the name that it had before there were parts.
        part = json.dumps((float(start), float(end))).encode() if start or end else b""
        key = hashlib.sha256(self.hashes.of(audio_path).encode() + self.settings + part).hexdigest()[:32]
        return EntryTask(audio_path, self.folder / f"{key}.safetensors", self.audio, self.cleaning, start, end)

    @contextmanager
    def opened(self, run_dir: Path) -> Iterator[None]:
        """Make the folder, sweep out what killed processes left there, and keep entries from being removed meanwhile.

        Args:
            run_dir: whose clips they are going to be.

        Raises:
            DataError: if there is no writing to it.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            sweep(self.folder)
            with locked(self.folder, fcntl.LOCK_SH):
                _note_run(self.folder / RUNS, run_dir)
                try:
                    yield
                finally:
                    self.hashes.save()
        except OSError as error:
            raise DataError(write_failure(self.folder, error)) from None


@contextmanager
def locked(folder: Path, how: int) -> Iterator[None]:
    """Hold the lock of a cache: LOCK_SH while entries are made or used, LOCK_EX to remove some.

    Raises:
        BlockingIOError: if `how` has LOCK_NB and somebody else holds it.
        OSError: if the folder cannot be written to.
    """
    with (folder / LOCK).open("a") as file:  # closing it lets go, and so does being killed
        try:
            fcntl.flock(file, how)
        except OSError as error:
            # A file system without locks: preparing goes on, and nothing can be removed.
            if error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP) or how & fcntl.LOCK_EX:
                raise
        yield


def _note_run(path: Path, run_dir: Path) -> None:
    """Add a run to the list, unless it is there. A line is appended in one go, also where another process does so."""
    line = f"{run_dir.resolve()}\n"
    with path.open("a+", encoding="utf-8") as file:
        file.seek(0)
        if line not in file:
            os.write(file.fileno(), line.encode())


class EntryContent(NamedTuple):
    """What an entry holds: a clip as a model meets it."""

    wave: Tensor  # (T_wave,) int16
    mel: Tensor  # (n_mels, T_mel) of exactly that wave
    facts: EntryFacts


def make_entry(task: EntryTask) -> EntryFacts:
    """Read, trim, resample and level a clip, and write its entry.

    Raises:
        AudioError: if the clip is of no use.
        DataError: if the entry cannot be written.
    """
    made = clean_clip(read_recording(task.audio_path, task.start, task.end, LONGEST), task)
    write_entry(task, made)
    return made.facts


def clean_clip(recording: Recording, task: EntryTask) -> EntryContent:
    """Trim, resample and level a recording as the task says, wherever it comes from.

    Raises:
        AudioError: if the clip is of no use.
    """
    audio = task.audio
    cleaned = clean(resample(recording, audio.sample_rate), audio.sample_rate, audio.loudness, task.cleaning)
    wave = to_int16(cleaned.wave)
    mel = mel_spectrogram(from_int16(wave), audio)
    summed = mel.double()
    facts = EntryFacts(
        start_sample=cleaned.start_sample,
        n_samples=len(wave),
        n_frames=mel.shape[1],
        recorded_rate=recording.sample_rate,
        recorded_seconds=len(recording.wave) / recording.sample_rate,
        loudness=cleaned.loudness,
        clipping=clipping_share(recording.wave),
        mel_sum=tuple(summed.sum(dim=1).tolist()),
        mel_square_sum=tuple(summed.square().sum(dim=1).tolist()),
        cuts=cleaned.cuts,
        noise_floor=cleaned.noise_floor if math.isfinite(cleaned.noise_floor) else None,
        noise_reduced=cleaned.noise_reduced,
        rumble=cleaned.rumble if math.isfinite(cleaned.rumble) else None,
        held_back=cleaned.held_back,
    )
    return EntryContent(wave, mel, facts)


def write_entry(task: EntryTask, made: EntryContent) -> None:
    """Write the entry of a task, whole or not at all. Raises DataError where that cannot be."""
    tensors = {"wave": made.wave, "mel": made.mel.contiguous()}
    measured, settings = json.dumps(vars(made.facts)), json.dumps(settings_of(task))
    # One key of metadata: several would be written in any order, and the same entry would not be the same bytes.
    written = {"facts": measured, "checksum": _checksum(tensors, measured + settings), "settings": settings}
    try:
        write_atomically(task.entry, save(tensors, {"entry": json.dumps(written)}))
    except OSError as error:
        raise DataError(write_failure(task.entry, error)) from None


def settings_of(task: EntryTask) -> dict[str, Any]:
    """How an entry is made, for people to read: the mel contract's and all that cleaning does."""
    return {"mel": task.audio.fingerprint, "sample_rate": task.audio.sample_rate, **vars(task.cleaning)}


def read_facts(entry: Path) -> EntryFacts | None:
    """The facts of an entry, or None where there is none that is whole: every byte is checked."""
    if not entry.exists():
        return None
    try:
        with safe_open(str(entry), framework="pt") as file:
            written = json.loads(file.metadata()["entry"])
            tensors = {name: file.get_tensor(name) for name in ("wave", "mel")}
        if written["checksum"] != _checksum(tensors, written["facts"] + written.get("settings", "")):
            return None
        facts = json.loads(written["facts"])
        sums = {name: tuple(facts[name]) for name in ("mel_sum", "mel_square_sum")}
        cuts = tuple(Cut(*cut) for cut in facts.get("cuts", ()))
        return EntryFacts(**{**facts, **sums, "cuts": cuts})
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):
        return None


def read_settings(entry: Path) -> dict[str, Any]:
    """How an entry was made, as `settings_of` says it; nothing where that was not written yet, or is damaged."""
    try:
        with safe_open(str(entry), framework="pt") as file:
            settings: dict[str, Any] = json.loads(json.loads(file.metadata()["entry"])["settings"])
            return settings
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):
        return {}


def load_mel(entry: Path, start: int = 0, end: int | None = None) -> Tensor:
    """(n_mels, end - start) float32 log mel of an entry, or a part of it."""
    mel = _slice(entry, "mel")
    part: Tensor = mel[:, start:end].float()
    return part


def load_samples(entry: Path) -> Tensor:
    """(T_wave,) int16 wave of an entry."""
    samples: Tensor = _slice(entry, "wave")[:]
    return samples


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
