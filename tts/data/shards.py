"""A prepared corpus as a few large files, for a training that reads them over a network: written once, then only read.

A shard is an ordinary tar file: `ID.flac`, the cleaned clip in 16 bits, and `ID.json`, what is said and by whom, as
WebDataset readers expect. The index beside the shards says where each clip lies, so that a training reads single clips
in any order and knows all batches before it has read any: `index.json` (the contract, the symbols, the statistics, the
shards), `clips.safetensors` (columns, a row a clip), `at_hand.jsonl` (the clips that a training wants as files: those
held out, and some of the others).

Clips are spread over the shards by a hash of their names: neighbours in a shard are no neighbours in the corpus.
"""

import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from tts.atomic import write_atomically, write_failure
from tts.data.manifest import Clip, Prepared, line_of, write_text
from tts.errors import DataError
from tts.progress import progress_bar

FORMAT = "tts-shards-1"
INDEX, COLUMNS, AT_HAND = "index.json", "clips.safetensors", "at_hand.jsonl"
N_AT_HAND = 64  # clips to train on that every training has as files, spread over the corpus
ENCODING = {"format": "FLAC", "subtype": "PCM_16"}


class Lies(NamedTuple):
    """Where a clip lies."""

    shard: int
    start: int  # byte in the shard
    n_bytes: int
    checksum: int  # CRC-32 of these bytes


def write_shards(prepared: Prepared, folder: Path, shard_bytes: int, progress: bool = True) -> int:
    """Write a prepared corpus as shards and their index; what is there of just this corpus is left as it is.

    Args:
        prepared: with all its clips in the cache.
        folder: of the shards; what is in it of another corpus is replaced.
        shard_bytes: after which a shard is full.
        progress: whether to show it.

    Returns:
        How many shards there are.

    Raises:
        DataError: if the folder cannot be written.
    """
    fingerprint = fingerprint_of(prepared, shard_bytes)
    with suppress(OSError, ValueError, KeyError):
        there = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if there["fingerprint"] == fingerprint:
            return len(there["shards"])
    # First all to train on, then all that is held out: an epoch never meets a shard of the latter.
    clips = [clip for split in ("train", "held_out") for clip in _mixed(c for c in prepared.clips if c.split == split)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in (folder / INDEX, *folder.glob("*.tar"), *folder.glob(".*.tmp")):
            old.unlink(missing_ok=True)
        with progress_bar(len(clips), "write shards", " clips", shown=progress) as bar:
            places: list[Lies] = []
            for place in _fill(clips, folder, shard_bytes):
                places.append(place)
                bar.update()
        write_atomically(folder / COLUMNS, save(columns(clips, places, prepared.speakers)))
    except OSError as error:
        raise DataError(write_failure(folder, error)) from None
    lines = [json.dumps({**json.loads(line_of(clips[row])), "row": row}) for row in _at_hand(clips)]
    write_text(folder / AT_HAND, "".join(line + "\n" for line in lines))
    shards = [{"name": _name(n), "bytes": (folder / _name(n)).stat().st_size} for n in range(places[-1].shard + 1)]
    index = {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "audio": asdict(prepared.audio),
        "text_fingerprint": prepared.text_fingerprint,
        "symbols": prepared.symbols,
        "speakers": prepared.speakers,
        "hours": prepared.hours("train"),
        "frames_per_symbol": prepared.frames_per_symbol._asdict(),
        "mel_mean": prepared.mel_mean.tolist(),
        "mel_std": prepared.mel_std.tolist(),
        "shards": shards,
    }
    write_text(folder / INDEX, json.dumps(index, indent=1) + "\n")  # last: without it there are no shards
    return len(shards)


def fingerprint_of(prepared: Prepared, shard_bytes: int) -> str:
    """Of all that shards are made from. The name of a cache file stands for its content."""
    said = [FORMAT, prepared.audio.fingerprint, prepared.text_fingerprint, shard_bytes, prepared.speakers]
    clips = [(clip.id, clip.ids, clip.speaker, clip.split, clip.cache_file.name) for clip in prepared.clips]
    return hashlib.sha256(json.dumps([said, clips]).encode()).hexdigest()[:16]


def columns(clips: Sequence[Clip], places: Sequence[Lies], speakers: Sequence[str]) -> dict[str, Tensor]:
    """What a training needs to know of every clip; texts and names lie end to end, row n from `_start[n]` on."""
    speaker_ids = {name: number for number, name in enumerate(speakers)}
    names = [clip.id.encode() for clip in clips]
    return {
        "shard": torch.tensor([place.shard for place in places], dtype=torch.int32),
        "start": torch.tensor([place.start for place in places], dtype=torch.int64),
        "n_bytes": torch.tensor([place.n_bytes for place in places], dtype=torch.int32),
        "checksum": torch.tensor([place.checksum for place in places], dtype=torch.int64),
        "held_out": torch.tensor([clip.split == "held_out" for clip in clips]),
        "n_samples": torch.tensor([clip.n_samples for clip in clips], dtype=torch.int32),
        "n_frames": torch.tensor([clip.n_frames for clip in clips], dtype=torch.int32),
        "speaker": torch.tensor([speaker_ids[clip.speaker] for clip in clips], dtype=torch.int32),
        "text": torch.tensor([number for clip in clips for number in clip.ids], dtype=torch.int16),
        "text_start": torch.tensor([0, *accumulate(len(clip.ids) for clip in clips)]),
        "name": torch.from_numpy(np.frombuffer(b"".join(names), dtype=np.uint8).copy()),
        "name_start": torch.tensor([0, *accumulate(map(len, names))]),
    }


def _mixed(clips: Iterable[Clip]) -> list[Clip]:
    return sorted(clips, key=lambda clip: hashlib.sha256(clip.id.encode()).digest())


def _at_hand(clips: Sequence[Clip]) -> list[int]:
    """Rows of what is held out, of some others, and of the one with the longest text, which bounds a decode."""
    held_out = [row for row, clip in enumerate(clips) if clip.split == "held_out"]
    train = range(len(clips) - len(held_out))
    longest = max(train, key=lambda row: len(clips[row].ids))
    step = max(1, len(train) // N_AT_HAND)
    return sorted({*train[::step][:N_AT_HAND], longest}) + held_out


def _name(number: int) -> str:
    return f"shard-{number:05}.tar"


def _fill(clips: Sequence[Clip], folder: Path, shard_bytes: int) -> Iterator[Lies]:
    """Write the shards one after the other; a shard appears when it is full."""
    number, first = 0, 0
    while first < len(clips):
        path = folder / _name(number)
        temporary = path.with_name(f".{path.name}.tmp")
        with temporary.open("wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
            while first < len(clips) and (file.tell() == 0 or file.tell() < shard_bytes):
                # What is held out begins a shard.
                if file.tell() and clips[first].split != clips[first - 1].split:
                    break
                yield _add(tar, clips[first], number)
                first += 1
        temporary.replace(path)
        number += 1


def _add(tar: tarfile.TarFile, clip: Clip, number: int) -> Lies:
    sound, said = encode(clip), {"text": clip.text, "normalized": clip.normalized, "speaker": clip.speaker}
    _put(tar, f"{clip.id}.json", json.dumps(said, ensure_ascii=False).encode())
    return Lies(number, _put(tar, f"{clip.id}.flac", sound), len(sound), zlib.crc32(sound))


def _put(tar: tarfile.TarFile, name: str, content: bytes) -> int:
    """Add a file; returns the byte in the shard at which its content begins."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
    padded = -(-len(content) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    return int(tar.offset) - padded


def encode(clip: Clip) -> bytes:
    """The wave of a cached clip, without loss."""
    with safe_open(str(clip.cache_file), framework="pt") as file:
        wave: Tensor = file.get_tensor("wave")
    encoded = io.BytesIO()
    soundfile.write(encoded, wave.numpy(), clip_rate(clip), **ENCODING)
    return encoded.getvalue()


def clip_rate(clip: Clip) -> int:
    """Hz."""
    return round(clip.n_samples / clip.seconds)
