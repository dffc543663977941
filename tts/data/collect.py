"""Prepared clips on their way to the manifest: each is a line in a temporary file at once, and a few numbers.

Shapes: N clips, n_mels bins.
"""

import hashlib
import json
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from numpy.typing import NDArray

from tts.atomic import write_failure
from tts.audio.silence import moved
from tts.batch import PhoneTime, Utterance
from tts.data.cache import EntryFacts
from tts.data.columns import ColumnsBuilder, LineFile
from tts.data.manifest import Clip, Clips, FramesPerSymbol, Prepared, line_of, sentence_of
from tts.data.report import Measured
from tts.errors import DataError
from tts.settings import AudioConfig, Recipe
from tts.text.frontend import EncodedText, Frontend

TRAIN_SHARE = 5  # at most one sentence in so many is held out
CHUNK = 1000  # clips whose sums are added at once


class Collector:
    """Takes in clips in the order of the corpus; then tells which are held out, and what is true of them all.

    Args:
        audio: the mel contract.
        folder: for temporary files.
    """

    def __init__(self, audio: AudioConfig, folder: Path):
        self.audio = audio
        self.folder = folder
        self.measured = Measured()
        self._lines = tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".tmp")  # noqa: SIM115
        self._sums = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._builder = ColumnsBuilder()
        self._lengths = array("q")
        self._sentences = array("Q")

    def __enter__(self) -> "Collector":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._lines.close()
        self._sums.close()

    def __len__(self) -> int:
        return len(self._lengths)

    def add(self, utterance: Utterance, encoded: EncodedText, entry: Path, facts: EntryFacts) -> None:
        """One more clip. Raises DataError if the disk is full."""
        clip = clip_of(utterance, encoded, entry, facts, self.audio)
        line = line_of(clip)
        try:
            self._lines.write(line)
            self._sums.write(np.array(facts.mel_sum + facts.mel_square_sum).tobytes())
        except OSError as error:
            raise DataError(write_failure(self.folder, error)) from None
        self._builder.add(clip.row)
        self._lengths.append(len(line))
        self._sentences.append(hash_of(sentence_of(encoded.words)))
        self.measured.add(clip, facts)

    @property
    def n_sentences(self) -> int:
        """Different ones."""
        return len(np.unique(np.array(self._sentences)))

    def prepared(self, recipe: Recipe, frontend: Frontend) -> Prepared:
        """Choose what is held out, and sum up what training needs to know of the corpus."""
        self._lines.flush()
        self._sums.flush()
        sentences = np.array(self._sentences)
        held_out = np.isin(sentences, choose_held_out(sentences, recipe.data.held_out))
        columns = replace(self._builder.build(), held_out=held_out)
        train = columns.rows(np.flatnonzero(~held_out))
        mean, square = (total / int(train.n_frames.sum()) for total in self._totals(~held_out))
        pace = torch.from_numpy(train.n_frames / train.n_symbols).float()
        offsets = np.append(0, np.array(self._lengths).cumsum())
        return Prepared(
            recipe.audio,
            tuple(frontend.symbols),
            Clips(columns, LineFile(Path(self._lines.name), offsets)),
            mean.float(),
            (square - mean**2).clamp_min(0).sqrt().float(),
            FramesPerSymbol(*(float(x) for x in (pace.min(), pace.mean(), pace.quantile(0.95), pace.max()))),
            frontend.fingerprint,
        )

    def lines(self, prepared: Prepared) -> Iterator[bytes]:
        """Those of the manifest, now that it is known what is held out."""
        self._lines.seek(0)
        for line, held_out in zip(self._lines, prepared.clips.columns.held_out, strict=True):
            if held_out:
                yield (json.dumps({**json.loads(line), "split": "held_out"}) + "\n").encode()
            else:
                yield line

    def _totals(self, chosen: NDArray[np.bool_]) -> tuple[torch.Tensor, torch.Tensor]:
        """(n_mels,) float64 sums of the mels of some clips, and of their squares. chosen: (N,)."""
        n_mels = self.audio.n_mels
        total = np.zeros(2 * n_mels)
        self._sums.seek(0)
        for start in range(0, len(chosen), CHUNK):
            some = chosen[start : start + CHUNK]
            sums = np.frombuffer(self._sums.read(len(some) * total.nbytes)).reshape(len(some), -1)
            total += sums[some].sum(axis=0)
        return torch.from_numpy(total[:n_mels]), torch.from_numpy(total[n_mels:])


def clip_of(utterance: Utterance, encoded: EncodedText, entry: Path, facts: EntryFacts, audio: AudioConfig) -> Clip:
    """A clip to train on; phones have their times in it, whatever was cut out before them."""

    def seconds_of(time: float) -> float:
        sample = moved((time - utterance.start) * audio.sample_rate - facts.start_sample, facts.cuts)
        return min(max(sample / audio.sample_rate, 0.0), seconds)

    seconds = facts.n_samples / audio.sample_rate
    inside = [PhoneTime(phone, seconds_of(begin), seconds_of(end)) for phone, begin, end in utterance.phone_times]
    return Clip(
        id=utterance.id,
        text=utterance.text,
        normalized=encoded.normalized,
        symbols=encoded.symbols,
        ids=tuple(encoded.ids),
        words=encoded.words,
        speaker=utterance.speaker,
        split="train",
        cache_file=entry,
        n_samples=facts.n_samples,
        n_frames=facts.n_frames,
        seconds=seconds,
        phone_times=tuple(inside),
    )


def choose_held_out(sentences: NDArray[np.uint64], wanted: int) -> NDArray[np.uint64]:
    """Sentences kept from training: `wanted`, but one in five at most; by hash, so that the order is of no concern.

    Args:
        sentences: (N,) as from `hash_of`.
    """
    different = np.unique(sentences)
    return different[: min(wanted, len(different) // TRAIN_SHARE)]


def hash_of(sentence: str) -> int:
    """64 bits that stand for a sentence."""
    return int.from_bytes(hashlib.sha256(sentence.encode()).digest()[:8], "big")
