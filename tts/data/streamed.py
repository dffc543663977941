"""A corpus that is streamed: what a run keeps of it on the disk, and the source of its batches.

The run holds a few clips in `RUN/data`, as if they were all that was prepared: those held out, and some others to
measure and to hear. All others come from the source when their batch is due.
"""

import hashlib
import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch

from tts.atomic import write_failure
from tts.audio.files import from_int16
from tts.audio.mel import mel_spectrogram
from tts.batch import Utterance
from tts.data.cache import EntryContent, EntryFacts, write_entry
from tts.data.collect import TRAIN_SHARE, Collector
from tts.data.manifest import (
    Clips,
    FramesPerSymbol,
    Prepared,
    Whole,
    clip_of,
    line_of,
    load_prepared,
    save_prepared,
    sentence_of,
)
from tts.data.prepare import data_folder
from tts.data.report import Found, LeftOut, build_report, write_report
from tts.data.row_source import Cleaner, Rows, RowSource, task_for
from tts.data.shard_source import ShardIndex, ShardReader, ShardSource, read_index
from tts.data.stream import Source
from tts.errors import ConfigError, DataError
from tts.progress import progress_bar
from tts.settings import Recipe
from tts.text.frontend import Frontend

CLIPS = "clips"  # in the run's data folder


class Streamed(Protocol):
    """A corpus that is streamed."""

    def prepare(self, run: Path) -> Prepared:
        """What a run keeps of it, fetched now or before. Raises DataError."""

    def source(self, prepared: Prepared, run: Path) -> Source:
        """Where batches come from. Raises DataError where the run began with something else."""


def open_streamed(recipe: Recipe, frontend: Frontend) -> Streamed | None:
    """The corpus of a recipe that streams it; None where the recipe does not.

    Raises:
        ConfigError: if the recipe asks for what a stream cannot do.
        DataError: if the corpus is not there, or was prepared with another mel contract or text frontend.
    """
    data, acoustic = recipe.data, recipe.trainer.acoustic
    if not data.shards and not data.stream:
        return None
    if "gta" in recipe.stages:
        raise ConfigError("the stage gta needs all clips on the disk; prepare the corpus here, without streaming")
    if "acoustic" in recipe.stages and (acoustic.join or acoustic.cut):
        raise ConfigError("a stream's clips are neither joined nor cut: trainer.acoustic.join=0 trainer.acoustic.cut=0")
    if acoustic.guided_attention == "aligned":
        raise ConfigError("a stream's clips are not aligned: trainer.acoustic.guided_attention=diagonal")
    if data.shards:
        return StreamedShards(recipe, frontend)
    corpus = importlib.import_module(f"tts.corpora.{data.corpus}")
    if not hasattr(corpus, "rows"):
        raise ConfigError(
            f"data.corpus={data.corpus} cannot be streamed; data.corpus=huggingface can, and so can the shards that "
            "data.format=shards prepares of any corpus (data.shards=...)"
        )
    return StreamedRows(recipe, frontend, corpus.rows(data))


class StreamedShards:
    """What `data.format=shards` has written, here or elsewhere."""

    def __init__(self, recipe: Recipe, frontend: Frontend):
        self.recipe = recipe
        self.index: ShardIndex = read_index(recipe.data.shards)
        where, facts = f"data.shards={recipe.data.shards}", self.index.facts
        if difference := self.index.audio.difference(recipe.audio):
            raise DataError(
                f"{where} was prepared with another mel contract: {difference}; train with that, or prepare"
            )
        if facts["text_fingerprint"] != frontend.fingerprint:
            raise DataError(
                f"{where} was prepared with another text frontend: {facts['text_fingerprint']} != "
                f"{frontend.fingerprint}; take the text settings it was prepared with, or prepare again"
            )

    def prepare(self, run: Path) -> Prepared:  # noqa: D102
        facts = self.index.facts
        if there := _prepared_before(run, self.recipe, facts["text_fingerprint"], facts["fingerprint"]):
            return there
        reader, folder = ShardReader(self.index), _made(run / "data" / CLIPS)
        clips = []
        with progress_bar(len(self.index.at_hand), "fetch held-out clips", " clips") as bar:
            for line in self.index.at_hand:
                row = line["row"]
                entry = folder / f"{facts['fingerprint']}-{row}.safetensors"
                write_entry(task_for(entry, self.recipe.audio, self.recipe.data), self._as_prepared(reader, row))
                fields = {name: value for name, value in line.items() if name != "row"}
                clips.append(clip_of({**fields, "cache_file": str(entry)}))
                bar.update()
        prepared = Prepared(
            self.index.audio,
            tuple(facts["symbols"]),
            Clips.of(clips),
            torch.tensor(facts["mel_mean"]),
            torch.tensor(facts["mel_std"]),
            FramesPerSymbol(**facts["frames_per_symbol"]),
            facts["text_fingerprint"],
            Whole(tuple(facts["speakers"]), facts["hours"], facts["fingerprint"]),
        )
        save_prepared(prepared, map(line_of, prepared.clips), run)
        return prepared

    def source(self, prepared: Prepared, run: Path) -> Source:  # noqa: D102
        _check_same(prepared, self.index.facts["fingerprint"], self.recipe.data.shards, run)
        return ShardSource(self.index, self.recipe.data.window, self.recipe.seed)

    def _as_prepared(self, reader: ShardReader, row: int) -> EntryContent:
        """A clip of a shard, which was cleaned before it went there."""
        wave, audio = reader.wave(row), self.index.audio
        mel = mel_spectrogram(from_int16(wave), audio)
        sums = tuple(mel.double().sum(dim=1).tolist()), tuple(mel.double().square().sum(dim=1).tolist())
        seconds = len(wave) / audio.sample_rate
        return EntryContent(
            wave, mel, EntryFacts(0, len(wave), mel.shape[1], audio.sample_rate, seconds, audio.loudness, 0.0, *sums)
        )


class StreamedRows:
    """A corpus of rows, cleaned while they are read; statistics and held-out sentences come from the first rows."""

    def __init__(self, recipe: Recipe, frontend: Frontend, rows: Rows):
        self.recipe = recipe
        self.frontend = frontend
        self.rows = rows
        self.cleaner = Cleaner(frontend, recipe.audio, recipe.data)

    @property
    def fingerprint(self) -> str:
        """Of what the rows are called: their files, wherever these lie."""
        names = [name.rpartition("/")[2] for name in self.rows.names]
        return hashlib.sha256(json.dumps([self.recipe.data.corpus, names]).encode()).hexdigest()[:16]

    def prepare(self, run: Path) -> Prepared:  # noqa: D102
        if there := _prepared_before(run, self.recipe, self.frontend.fingerprint, self.fingerprint):
            return there
        with Collector(self.recipe.audio, data_folder(run)) as kept:
            return self._sum_up(kept, self._first_rows(run, kept), run)

    def _sum_up(self, kept: Collector, found: Found, run: Path) -> Prepared:
        """Statistics and held-out sentences, from the first rows."""
        if (n_sentences := kept.n_sentences) < TRAIN_SHARE:
            why = f", e.g. {found.left_out[0].id}: {found.left_out[0].reason}" if found.left_out else ""
            raise DataError(
                f"only {n_sentences} different sentences among the first {found.listed} rows of the stream "
                f"are usable; at least {TRAIN_SHARE} are needed{why}"
            )
        prepared = kept.prepared(self.recipe, self.frontend)
        write_report(build_report(found, kept.measured, prepared), run / "data", self.recipe.audio.sample_rate)
        prepared = replace(prepared, whole=Whole(prepared.speakers, 0.0, self.fingerprint))
        save_prepared(prepared, kept.lines(prepared), run)
        return load_prepared(run, self.recipe.audio, self.frontend.fingerprint)

    def source(self, prepared: Prepared, run: Path) -> Source:  # noqa: D102
        _check_same(prepared, self.fingerprint, "the stream", run)
        held_out = frozenset(sentence_of(clip.words) for clip in prepared.split("held_out"))
        journal = run / "data" / "stream"
        return RowSource(self.rows, self.cleaner, prepared.speakers, held_out, self.recipe.seed, journal)

    def _first_rows(self, run: Path, kept: Collector) -> Found:
        """The first rows of the files in the order of the first epoch, cleaned and kept."""
        wanted = self.recipe.data.first_rows
        folder = _made(run / "data" / CLIPS)
        found = Found(0, [])
        names: set[str] = set()
        source = RowSource(self.rows, self.cleaner, (), frozenset(), self.recipe.seed, folder)
        stored = (row for file in source.order(0) for row in self.rows.rows(file, 0))
        with progress_bar(wanted, "read the first rows", " rows") as bar:
            for number, row in enumerate(stored):
                if len(kept) == wanted or number == 2 * wanted:
                    break
                bar.update()
                found.listed = number + 1
                spoken = self.cleaner(row)
                if isinstance(spoken, LeftOut):
                    found.left_out.append(spoken)
                    continue
                entry = folder / f"{number:05}.safetensors"
                write_entry(replace(self.cleaner.task, entry=entry), spoken.cleaned)
                name = f"{row.id}#{number}" if row.id in names else row.id
                names.add(name)
                kept.add(Utterance(name, Path(), row.text, row.speaker), spoken.encoded, entry, spoken.cleaned.facts)
                found.guessed.update(spoken.encoded.guessed)
                found.skipped.update(spoken.encoded.skipped)
        return found


def _prepared_before(run: Path, recipe: Recipe, text_fingerprint: str, fingerprint: str) -> Prepared | None:
    """What the run keeps of this very corpus, if it is all there."""
    try:
        there = load_prepared(run, recipe.audio, text_fingerprint)
    except DataError:
        return None
    trained = any((run / half / "last.ckpt").is_file() for half in ("acoustic", "vocoder"))
    same = there.whole is not None and there.whole.fingerprint == fingerprint
    return there if same or trained else None  # of a run that was trained on another one, `source` says so


def _check_same(prepared: Prepared, fingerprint: str, where: str, run: Path) -> None:
    """Refuse to go on with other batches than those that a run began with."""
    began = prepared.whole.fingerprint if prepared.whole else "clips on the disk"
    if began != fingerprint:
        raise DataError(
            f"{run} began with another corpus ({began}) than {where} now has ({fingerprint}); for a new run name "
            "another folder: run=runs/NEW"
        )


def _made(folder: Path) -> Path:
    """The folder, there. Raises DataError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(write_failure(folder, error)) from None
    return folder
