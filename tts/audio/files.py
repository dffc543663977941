"""Reading and writing of audio files, through libsndfile alone: WAV, FLAC, Ogg and MP3 without any system library."""

import io
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import soundfile
import torch
from torch import Tensor

from tts.atomic import write_atomically, write_failure
from tts.audio.backend import load_torchaudio
from tts.audio.loudness import peak_of
from tts.errors import AudioError

WRITABLE = {".wav": "WAV", ".flac": "FLAC"}  # suffix -> libsndfile's name of the format

ENDLESS = 2**40  # frames; libsndfile's answer for an unknown length lies above
LATE = 0.1  # seconds by which a part may end after its file: manifests round
LOWEST_RATE, HIGHEST_RATE = 4000, 768000  # Hz that a recording can have


class Recording(NamedTuple):
    """An audio file as it was recorded, channels averaged."""

    wave: Tensor  # (T_wave,) float32 in [-1, 1]
    sample_rate: int  # Hz


def read_wave(path: Path, sample_rate: int) -> Tensor:
    """Read an audio file of any rate as (T_wave,) float32 mono in [-1, 1] at `sample_rate` Hz.

    Raises:
        AudioError: if it is missing, corrupt, cut off, empty or holds NaN.
    """
    return resample(read_recording(path), sample_rate)


def read_recording(path: Path, start: float = 0.0, end: float = 0.0, longest: float = math.inf) -> Recording:
    """Read an audio file at its own rate, or only a part of it; raises AudioError as `read_wave` does.

    Args:
        path: see above.
        start, end: seconds; an `end` of 0 is that of the file.
        longest: seconds; what lasts longer is an AudioError too.
    """
    if not path.is_file():
        raise AudioError(f"{path}: there is no such file" if not path.exists() else f"{path} is not a file")
    try:
        with path.open("rb") as file:
            head = file.read(8)
        _check_complete(str(path), head, path.stat().st_size)
    except OSError as error:
        raise AudioError(f"{path} cannot be read: {error.strerror}; check its permissions") from None
    return _decode(str(path), str(path), start, end, longest)


def decode_recording(content: bytes, name: str) -> Recording:
    """`read_recording` of a file that is in memory. name: what errors call it."""
    _check_complete(name, content[:8], len(content))
    return _decode(io.BytesIO(content), name)


def seconds_in(content: bytes, name: str) -> float:
    """How long a file in memory lasts, by its header alone; raises AudioError where that makes no sense."""
    _check_complete(name, content[:8], len(content))
    with _opened(io.BytesIO(content), name) as file:
        return float(file.frames / file.samplerate)


@contextmanager
def _opened(source: str | io.BytesIO, name: str) -> Iterator[soundfile.SoundFile]:
    """The file, of a length and a rate that can be; raises AudioError, also for what goes wrong while it is read."""
    try:
        with soundfile.SoundFile(source) as file:
            if file.frames >= ENDLESS:
                raise AudioError(f"{name} does not state its length, as streamed files do; encode it again")
            if not LOWEST_RATE <= file.samplerate <= HIGHEST_RATE:
                raise AudioError(
                    f"{name} claims a rate of {file.samplerate} Hz; its header is damaged, export it again"
                )
            yield file
    except (soundfile.LibsndfileError, OSError) as error:
        reason = " ".join(str(getattr(error, "error_string", error)).split()).rstrip(".")
        raise AudioError(f"{name} does not decode: {reason}; replace the file or leave it out") from None


def _decode(
    source: str | io.BytesIO, name: str, start: float = 0.0, end: float = 0.0, longest: float = math.inf
) -> Recording:
    with _opened(source, name) as file:
        promised, sample_rate = file.frames, file.samplerate
        part = _part(name, file, start, end)
        if len(part) > longest * sample_rate:
            raise AudioError(f"{name} lasts {len(part) / sample_rate:.0f} s, more than {longest:.0f}; split it")
        if part.start:
            file.seek(part.start)
        samples = file.read(len(part), dtype="float32", always_2d=True)  # (T_wave, channels)
    if len(samples) == 0:
        raise AudioError(f"{name} holds no samples; record it again or leave it out")
    if len(samples) < len(part):
        decoded = part.start + len(samples)
        raise AudioError(f"{name} is cut off: {decoded} of {promised} samples decode; copy it again")
    if not math.isfinite(peak_of(torch.from_numpy(samples))):
        raise AudioError(f"{name} holds samples that are not numbers (NaN or infinite); export it again")
    return Recording(
        _within_full_scale(torch.from_numpy(samples.mean(axis=1) if samples.shape[1] > 1 else samples[:, 0])),
        sample_rate,
    )


def seconds_of(path: Path) -> float | None:
    """How long an audio file lasts, by its header; None where it is not there or tells nothing."""
    try:
        return float(soundfile.info(str(path)).duration)
    except (soundfile.LibsndfileError, OSError):
        return None


def resample(recording: Recording, sample_rate: int) -> Tensor:
    """(T_wave,) at `sample_rate` Hz; n samples become ceil(n * new / old)."""
    if recording.sample_rate == sample_rate:
        return recording.wave
    wave: Tensor = load_torchaudio().functional.resample(recording.wave, recording.sample_rate, sample_rate)
    return _within_full_scale(wave)


def wave_header(sample_rate: int) -> bytes:
    """The start of a mono 16-bit WAV whose length is not known, as players take from a pipe; `to_pcm` goes on."""
    sizes = b"\xff" * 4
    form = struct.pack("<IHHIIHH", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    return b"RIFF" + sizes + b"WAVEfmt " + form + b"data" + sizes


def to_pcm(wave: Tensor) -> bytes:
    """(T_wave,) in [-1, 1] as the 16-bit numbers that `write_wave` writes."""
    return to_int16(wave).cpu().numpy().astype("<i2").tobytes()


def write_wave(path: Path, wave: Tensor, sample_rate: int) -> None:
    """Write (T_wave,) in [-1, 1] as a 16-bit WAV or FLAC, by suffix. The file appears whole or not at all.

    Raises:
        AudioError: for another suffix, a wave that is empty or not finite, or a place that cannot be written.
    """
    kind = WRITABLE.get(path.suffix.lower())
    if kind is None:
        raise AudioError(f"cannot write {path}: the suffix {path.suffix!r} is not one of {', '.join(WRITABLE)}")
    if wave.numel() == 0 or not bool(torch.isfinite(wave).all()):
        raise AudioError(f"cannot write {path}: the wave is empty or holds NaN")
    # Encoded in memory first: libsndfile does not report every failed write.
    encoded = io.BytesIO()
    soundfile.write(encoded, to_int16(wave).cpu().numpy(), sample_rate, format=kind, subtype="PCM_16")
    try:
        write_atomically(path, encoded.getvalue())
    except OSError as error:
        raise AudioError(write_failure(path, error)) from None


def to_int16(wave: Tensor) -> Tensor:
    """Floats in [-1, 1] -> int16, the inverse of `from_int16`."""
    return (wave.detach() * 32768).round_().clamp_(-32768, 32767).to(torch.int16)


def from_int16(wave: Tensor) -> Tensor:
    """16-bit samples -> float32 in [-1, 1)."""
    return wave.float() / 32768


def _part(name: str, file: soundfile.SoundFile, start: float, end: float) -> range:
    """The samples from `start` to `end` seconds of an open file."""
    seconds = file.frames / file.samplerate
    if start == end == 0:
        return range(file.frames)
    if not 0 <= start < (end or seconds) <= seconds + LATE:
        asked = f"the part from {start:g} s to {f'{end:g} s' if end else 'the end'}"
        raise AudioError(f"{name} lasts {seconds:.2f} s, and {asked} is not in it; correct start and end")
    last = round(end * file.samplerate) if end else file.frames
    return range(round(start * file.samplerate), min(last, file.frames))


def _within_full_scale(wave: Tensor) -> Tensor:
    """Scale down what exceeds full scale: float files, and the overshoot of lossy codecs and of resampling."""
    peak = peak_of(wave)
    return wave / peak if peak > 1 else wave


def _check_complete(name: str, head: bytes, size: int) -> None:
    """Refuse a WAV that is shorter than its header says: libsndfile would read what is left as if it were all.

    Args:
        name: of the file, for errors.
        head: its first 8 bytes.
        size: bytes that are there.
    """
    if size == 0:
        raise AudioError(f"{name} is an empty file; copy it again or leave it out")
    promised = int.from_bytes(head[4:8], "little") + 8
    # Programs that write to a pipe leave the size at 0 or at its largest value.
    unknown = promised == 8 or promised > 0xFFFFFF00
    if head[:4] == b"RIFF" and not unknown and size + 1 < promised:  # the last padding byte is often left out
        raise AudioError(f"{name} is cut off: {size} of {promised} bytes are there; copy it again")
