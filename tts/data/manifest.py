"""What preparing leaves behind in a run folder, and how the trainings read it again.

`data/manifest.jsonl` has one line a clip, `data/statistics.json` what was measured over all of them. Lines are read
one by one when a clip is asked for; what trainings ask of all clips lies in columns (`tts.data.columns`).

Shapes: N clips.
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tts.atomic import open_atomically, write_atomically, write_failure
from tts.batch import PhoneTime
from tts.data.columns import (
    Columns,
    ColumnsBuilder,
    LineFile,
    Lines,
    Row,
    checksum,
    gone,
    load_columns,
    save_columns,
)
from tts.errors import DataError
from tts.settings import AudioConfig
from tts.text.frontend import WordSpan

Split = Literal["train", "held_out"]
MANIFEST = "manifest.jsonl"
COLUMNS = "manifest.npz"
STATISTICS = "statistics.json"
SUFFIX = ".safetensors"  # of a cache entry


@dataclass(frozen=True)
class Clip:
    """An utterance ready for training: text as ids, sound in the cache."""

    id: str
    text: str
    normalized: str
    symbols: tuple[str, ...]
    ids: tuple[int, ...]
    words: tuple[WordSpan, ...]
    speaker: str
    split: Split
    cache_file: Path
    n_samples: int  # after trimming and resampling
    n_frames: int
    seconds: float
    phone_times: tuple[PhoneTime, ...]  # in seconds of the trimmed clip; a phone that was trimmed away has no duration
    # When each symbol but the last gives way to the next, in seconds; empty where text and sound are not aligned.
    symbol_ends: tuple[float, ...] = ()

    @property
    def mel_file(self) -> Path:
        """Where a vocoder reads the mel of the clip: beside its wave."""
        return self.cache_file

    @property
    def n_symbols(self) -> int:
        """Of its text."""
        return len(self.ids)

    @property
    def row(self) -> Row:
        """What the columns keep of it."""
        n_symbols, held_out, entry = len(self.ids), self.split == "held_out", self.cache_file.stem
        return Row(self.n_samples, self.n_frames, n_symbols, self.seconds, self.speaker, held_out, entry)


class Clips(Sequence[Clip]):
    """The clips of a corpus or of a part of it, each read when it is asked for; `columns` answers for all at once.

    Args:
        columns: of all clips of the corpus.
        source: a clip by its row, or the line that it is written in.
        rows: (N,) those meant, in order; None: all.
    """

    def __init__(self, columns: Columns, source: "Sequence[Clip] | LineFile", rows: NDArray[np.int64] | None = None):
        self._all = columns
        self._source = source
        self._rows = np.arange(len(columns)) if rows is None else rows
        self.columns = columns if rows is None else columns.rows(rows)

    @classmethod
    def of(cls, clips: Iterable[Clip]) -> "Clips":
        """Clips that are in memory."""
        known, builder = list(clips), ColumnsBuilder()
        for clip in known:
            builder.add(clip.row)
        return cls(builder.build(), known)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Clip: ...
    @overload
    def __getitem__(self, index: slice) -> "Clips": ...
    def __getitem__(self, index: int | slice) -> "Clip | Clips":
        if isinstance(index, slice):
            return Clips(self._all, self._source, self._rows[index])
        row = int(self._rows[index])
        found = self._source[row]
        return found if isinstance(found, Clip) else clip_of(json.loads(found))

    def where(self, chosen: NDArray[np.bool_]) -> "Clips":
        """Some of them, in order. chosen: (N,)."""
        return Clips(self._all, self._source, self._rows[chosen])

    @property
    def speakers(self) -> tuple[str, ...]:
        """Who speaks, sorted."""
        return tuple(sorted(self.columns.speakers[place] for place in np.unique(self.columns.speaker)))


def numbers(
    clips: Sequence[Any], name: Literal["n_samples", "n_frames", "n_symbols", "seconds"]
) -> NDArray[np.int64] | NDArray[np.float64]:
    """(N,) one number of every clip, without reading the clips where they are `Clips`."""
    if isinstance(clips, Clips):
        column: NDArray[np.int64] = getattr(clips.columns, name)
        return column
    return np.array([getattr(clip, name) for clip in clips])


class FramesPerSymbol(NamedTuple):
    """How long symbols last, over the training clips: frames of a clip / symbols of its text."""

    min: float
    mean: float
    p95: float
    max: float


def sentence_of(words: Sequence[WordSpan]) -> str:
    """The words alone: takes of one sentence may be written with other capitals and marks."""
    return " ".join(word.word for word in words).casefold()


class Whole(NamedTuple):
    """A corpus that is streamed, of which only some clips are at hand."""

    speakers: tuple[str, ...]  # all of them
    hours: float  # to train on; 0 where nobody knows before the end
    fingerprint: str  # of what is streamed; the batches follow from it


@dataclass
class Prepared:
    """A corpus ready for training."""

    audio: AudioConfig
    symbols: tuple[str, ...]  # all that a text can hold; the index is the id
    clips: Clips
    mel_mean: Tensor  # (n_mels,) over the training clips
    mel_std: Tensor  # (n_mels,)
    frames_per_symbol: FramesPerSymbol
    text_fingerprint: str
    whole: Whole | None = None  # what `clips` are a sample of; None: they are all there is

    @property
    def speakers(self) -> tuple[str, ...]:
        """The table of speakers, sorted; one without a name where the corpus names none."""
        return self.whole.speakers if self.whole else self.clips.speakers

    def split(self, name: Split) -> Clips:
        """The clips of one split, in the order of the corpus."""
        return self.clips.where(self.clips.columns.held_out == (name == "held_out"))

    def hours(self, name: Split) -> float:
        """Speech in a split."""
        return float(self.split(name).columns.seconds.sum()) / 3600


def save_prepared(prepared: Prepared, lines: Iterable[bytes], run_dir: Path) -> None:
    """Write manifest, columns and statistics under `run_dir/data`, each whole or not at all.

    Args:
        lines: of all clips, as `line_of` gives them.
    """
    folder, statistics = (
        run_dir / "data",
        {
            "audio": asdict(prepared.audio),
            "audio_fingerprint": prepared.audio.fingerprint,
            "text_fingerprint": prepared.text_fingerprint,
            "symbols": prepared.symbols,
            "speakers": prepared.speakers,
            "hours": {"train": prepared.hours("train"), "held_out": prepared.hours("held_out")},
            "frames_per_symbol": prepared.frames_per_symbol._asdict(),
            "mel_mean": prepared.mel_mean.tolist(),
            "mel_std": prepared.mel_std.tolist(),
            "whole": prepared.whole._asdict() if prepared.whole else None,
        },
    )
    lengths = []
    try:
        with open_atomically(folder / MANIFEST) as file:
            for line in lines:
                lengths.append(file.write(line))
        _note(folder, prepared.clips.columns, np.array(lengths), prepared.clips[0].cache_file.parent)
    except OSError as error:
        raise DataError(write_failure(folder / MANIFEST, error)) from None
    write_text(folder / STATISTICS, json.dumps(statistics, indent=1) + "\n")


def line_of(clip: Clip) -> bytes:
    """A clip as it stands in the manifest."""
    return (json.dumps({**vars(clip), "cache_file": str(clip.cache_file)}) + "\n").encode()


def load_prepared(run_dir: Path, audio: AudioConfig, text_fingerprint: str) -> Prepared:
    """Read what `save_prepared` wrote.

    Raises:
        DataError: if it is not there or damaged, was made with another mel contract or text frontend than the given
            ones, or if its clips are gone from the cache.
    """
    folder = run_dir / "data"
    try:
        statistics = json.loads((folder / STATISTICS).read_text(encoding="utf-8"))
        lines = read_lines(folder)
        prepared = Prepared(
            AudioConfig(**statistics["audio"]),
            tuple(statistics["symbols"]),
            Clips(lines.columns, LineFile(folder / MANIFEST, lines.offsets)),
            torch.tensor(statistics["mel_mean"]),
            torch.tensor(statistics["mel_std"]),
            FramesPerSymbol(**statistics["frames_per_symbol"]),
            statistics["text_fingerprint"],
            _whole(statistics.get("whole")),
        )
    except FileNotFoundError as error:
        raise DataError(f"nothing is prepared: {error.filename} is missing; run the stage prepare first") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder} cannot be read ({error!r}); run the stage prepare again") from None
    if difference := prepared.audio.difference(audio):
        raise DataError(f"{folder} was prepared with another mel contract: {difference}; run the stage prepare again")
    if prepared.text_fingerprint != text_fingerprint:
        fingerprints = f"{prepared.text_fingerprint} != {text_fingerprint}"
        raise DataError(
            f"{folder} was prepared with another text frontend: {fingerprints}; run the stage prepare again"
        )
    missing = gone(lines.columns.entry, lines.cache, SUFFIX)
    if missing:
        example = lines.cache / (missing[0] + SUFFIX)
        raise DataError(f"{len(missing)} prepared clips are gone, e.g. {example}; run the stage prepare again")
    return prepared


def read_lines(folder: Path) -> Lines:
    """Where the lines of a manifest are, and its columns; made again where they are missing or of another manifest.

    Raises:
        OSError: if there is no manifest.
        ValueError, KeyError, TypeError: if it is damaged.
    """
    manifest = folder / MANIFEST
    if known := load_columns(folder / COLUMNS, checksum(manifest)):
        return known
    builder, lengths, caches = ColumnsBuilder(), [], set()
    with manifest.open("rb") as file:
        for line in file:
            clip = clip_of(json.loads(line))
            builder.add(clip.row)
            lengths.append(len(line))
            caches.add(clip.cache_file.parent)
    if len(caches) != 1:
        raise ValueError(f"{manifest} names entries in {len(caches)} caches")
    (cache,) = caches
    with suppress(OSError):  # a folder that cannot be written to can still be trained on
        return _note(folder, builder.build(), np.array(lengths), cache)
    return _lines(builder.build(), np.array(lengths), cache)


def _note(folder: Path, columns: Columns, lengths: NDArray[np.int64], cache: Path) -> Lines:
    """Write the columns down. lengths: (N,) bytes of the lines. Raises OSError."""
    lines = _lines(columns, lengths, cache)
    save_columns(lines, folder / COLUMNS, checksum(folder / MANIFEST))
    return lines


def _lines(columns: Columns, lengths: NDArray[np.int64], cache: Path) -> Lines:
    return Lines(columns, np.append(0, lengths.cumsum()), cache)


def write_text(path: Path, content: str) -> None:
    """Write a text file whole or not at all; raises DataError where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content.encode())
    except OSError as error:
        raise DataError(write_failure(path, error)) from None


def name_some(names: Sequence[str], n_names: int = 5) -> str:
    """The first few of many names, for a message."""
    more = f" and {len(names) - n_names} more" if len(names) > n_names else ""
    return ", ".join(names[:n_names]) + more


def clip_of(line: dict[str, Any]) -> Clip:
    """A line of the manifest, with its tuples as they were."""
    return Clip(
        **{
            **line,
            "symbols": tuple(line["symbols"]),
            "ids": tuple(line["ids"]),
            "words": tuple(WordSpan(*word) for word in line["words"]),
            "cache_file": Path(line["cache_file"]),
            "phone_times": tuple(PhoneTime(*phone) for phone in line["phone_times"]),
            "symbol_ends": tuple(line.get("symbol_ends", ())),
        }
    )


def _whole(stored: dict[str, Any] | None) -> Whole | None:
    return Whole(**{**stored, "speakers": tuple(stored["speakers"])}) if stored else None
