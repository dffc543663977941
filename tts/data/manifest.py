"""What preparing leaves behind in a run folder, and how the trainings read it again.

`data/manifest.jsonl` has one line a clip, `data/statistics.json` what was measured over all of them.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from tts.atomic import write_atomically, write_failure
from tts.batch import PhoneTime
from tts.errors import DataError
from tts.settings import AudioConfig
from tts.text.frontend import WordSpan

Split = Literal["train", "held_out"]
MANIFEST = "manifest.jsonl"
STATISTICS = "statistics.json"


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

    @property
    def mel_file(self) -> Path:
        """Where a vocoder reads the mel of the clip: beside its wave."""
        return self.cache_file


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
    clips: list[Clip]
    mel_mean: Tensor  # (n_mels,) over the training clips
    mel_std: Tensor  # (n_mels,)
    frames_per_symbol: FramesPerSymbol
    text_fingerprint: str
    whole: Whole | None = None  # what `clips` are a sample of; None: they are all there is

    @property
    def speakers(self) -> tuple[str, ...]:
        """The table of speakers, sorted; one without a name where the corpus names none."""
        if self.whole:
            return self.whole.speakers
        return tuple(sorted({clip.speaker for clip in self.clips}))

    def split(self, name: Split) -> list[Clip]:
        """The clips of one split, in the order of the corpus."""
        return [clip for clip in self.clips if clip.split == name]

    def hours(self, name: Split) -> float:
        """Speech in a split."""
        return sum(clip.seconds for clip in self.split(name)) / 3600


def save_prepared(prepared: Prepared, run_dir: Path) -> None:
    """Write manifest and statistics under `run_dir/data`, each whole or not at all."""
    lines = [json.dumps(line_of(clip)) for clip in prepared.clips]
    statistics = {
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
    }
    write_text(run_dir / "data" / MANIFEST, "".join(line + "\n" for line in lines))
    write_text(run_dir / "data" / STATISTICS, json.dumps(statistics, indent=1) + "\n")


def load_prepared(run_dir: Path, audio: AudioConfig, text_fingerprint: str) -> Prepared:
    """Read what `save_prepared` wrote.

    Raises:
        DataError: if it is not there or damaged, was made with another mel contract or text frontend than the given
            ones, or if its clips are gone from the cache.
    """
    folder = run_dir / "data"
    try:
        statistics = json.loads((folder / STATISTICS).read_text(encoding="utf-8"))
        lines = (folder / MANIFEST).read_text(encoding="utf-8").splitlines()
        prepared = Prepared(
            AudioConfig(**statistics["audio"]),
            tuple(statistics["symbols"]),
            [clip_of(json.loads(line)) for line in lines],
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
    gone = [clip.cache_file for clip in prepared.clips if not clip.cache_file.is_file()]
    if gone:
        raise DataError(f"{len(gone)} prepared clips are gone, e.g. {gone[0]}; run the stage prepare again")
    return prepared


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


def line_of(clip: Clip) -> dict[str, Any]:
    """A clip as a line of the manifest."""
    return {**asdict(clip), "cache_file": str(clip.cache_file)}


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
        }
    )


def _whole(stored: dict[str, Any] | None) -> Whole | None:
    return Whole(**{**stored, "speakers": tuple(stored["speakers"])}) if stored else None
