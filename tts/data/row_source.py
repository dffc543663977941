"""Rows that are cleaned while they are read: a `Source` of training batches that needs no preparing and no disk.

How long an example is shows only when it is cleaned, so the batches of a window are known when it is full. A journal
says at which row each window begins: whoever goes on with batch n fills one window. It only saves time: without it the
windows before are filled again.
"""

import hashlib
import json
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from tqdm import tqdm

from tts.audio.clean import Cleaning
from tts.audio.files import decode_recording
from tts.data.ahead import ahead
from tts.data.cache import EntryContent, EntryTask, clean_clip
from tts.data.manifest import sentence_of
from tts.data.part import Part
from tts.data.prepare import wrong_length
from tts.data.report import LeftOut
from tts.data.stream import Batching, Example, Pick
from tts.errors import AudioError, DataError, TextError
from tts.settings import AudioConfig, DataConfig
from tts.text.frontend import EncodedText, Frontend

FIRST_WINDOW = 32  # examples; each window is twice as large as the one before, so that training begins at once
TOLERATED = 5  # rows of a window that may be left out, however few it has


class Row(Protocol):
    """An utterance as it is stored."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def audio(self) -> bytes: ...  # noqa: D102 - an encoded file
    @property
    def text(self) -> str: ...  # noqa: D102
    @property
    def speaker(self) -> str: ...  # noqa: D102


class Rows(Protocol):
    """The files of a corpus that can be read row by row."""

    names: Sequence[str]  # of the files

    def rows(self, file: int, skip: int) -> Iterator[Row]:
        """The rows of a file from number `skip` on."""


class Spoken(NamedTuple):
    """A row that can be trained on."""

    row: Row
    encoded: EncodedText
    cleaned: EntryContent


class Cleaner:
    """Makes of a row what preparing makes of a clip."""

    def __init__(self, frontend: Frontend, audio: AudioConfig, data: DataConfig):
        self.frontend = frontend
        self.data = data
        self.task = task_for(Path(), audio, data)

    def __call__(self, row: Row) -> Spoken | LeftOut:
        """The row, or why it is of no use."""
        try:
            encoded = self.frontend(row.text)
            cleaned = clean_clip(decode_recording(row.audio, f"the sound of {row.id}"), self.task)
        except (AudioError, TextError, ValueError, RuntimeError) as error:
            return LeftOut(row.id, str(error))
        reason = wrong_length(cleaned.facts, self.task.audio, self.data)
        return LeftOut(row.id, reason) if reason else Spoken(row, encoded, cleaned)


def task_for(entry: Path, audio: AudioConfig, data: DataConfig) -> EntryTask:
    """How an entry is made, where there is no file that it is made from."""
    return EntryTask(Path(), entry, audio, Cleaning.of(data))


@dataclass(frozen=True)
class Position:
    """Where a window begins."""

    batch: int = 0  # the number of its first batch
    window: int = 0  # its own number
    epoch: int = 0
    file: int = 0  # place in the order of the epoch
    row: int = 0  # of that file
    passed: int = 0  # rows of the epoch in the files before


class Window(NamedTuple):
    """What is read at a time."""

    begins: Position
    ends: Position  # where the next one begins, but for the number of its first batch
    examples: list[Example]
    left_out: list[LeftOut]


class RowSource:
    """Examples from rows; see `tts.data.stream.Source`.

    Args:
        rows: of the corpus.
        cleaner: of a row.
        speakers: the voice's table.
        held_out: sentences that are not trained on.
        seed: of all that is drawn.
        journal: folder for the places of windows.
    """

    def __init__(
        self,
        rows: Rows,
        cleaner: Cleaner,
        speakers: Sequence[str],
        held_out: frozenset[str],
        seed: int,
        journal: Path,
    ):
        self.rows = rows
        self.cleaner = cleaner
        self.speaker_ids = {name: number for number, name in enumerate(speakers)}
        self.held_out = held_out
        self.seed = seed
        self.window = cleaner.data.window
        self.journal = journal

    def batches(self, batching: Batching, start: int, part: Part) -> Iterator[list[Pick]]:
        """Each part has rows of its own, and makes batches of them."""
        journal = self._journal(batching, part)
        known = read_journal(journal)
        position = max((one for one in known if one.batch <= start), key=lambda one: one.batch, default=Position())
        written = max((one.batch for one in known), default=-1)
        first = position.batch
        for window in ahead(self.windows(position, part), 1):
            if first > written:
                write_journal(journal, replace(window.begins, batch=first))
            self._tell(window)
            rng = random.Random(f"window {self.seed} {window.begins.window} {part}")
            planned = batching.plan([self._n_frames(example) for example in window.examples], rng)
            for batch in planned[max(0, start - first) :]:
                yield [Pick(window.examples[place.row], place.first_frame) for place in batch]
            first += len(planned)

    def windows(self, begins: Position, part: Part) -> Iterator[Window]:
        """All windows of a part, from a position on; each ends with its epoch."""
        while True:
            size = min(self.window, FIRST_WINDOW << min(begins.window, 20))
            window = self._fill(begins, size, part)
            if window.examples:
                yield window
            elif begins.row == begins.file == 0:
                raise DataError(f"{self._who(part)} has no row that can be trained on{_example_of(window.left_out)}")
            begins = window.ends

    def _fill(self, begins: Position, size: int, part: Part) -> Window:
        examples: list[Example] = []
        left_out: list[LeftOut] = []
        files = self.order(begins.epoch, part)
        number = begins.window + 1
        row, passed = begins.row, begins.passed
        for place in range(begins.file, len(files)):
            for one in self.rows.rows(files[place], row):
                mine = len(self.rows.names) % part.of == 0 or (passed + row) % part.of == part.rank
                row += 1
                if not mine:
                    continue
                example = self._example(one)
                if isinstance(example, LeftOut):
                    left_out.append(example)
                elif example is not None:
                    examples.append(example)
                if len(examples) == size:
                    return Window(begins, Position(0, number, begins.epoch, place, row, passed), examples, left_out)
            row, passed = 0, passed + row
        return Window(begins, Position(0, number, begins.epoch + 1), examples, left_out)

    def order(self, epoch: int, part: Part) -> list[int]:
        """The files of an epoch as a part reads them: some files each, where they can be dealt out, or else all."""
        files = list(range(len(self.rows.names)))
        random.Random(f"files {self.seed} {epoch}").shuffle(files)
        return files[part.rank :: part.of] if len(files) % part.of == 0 else files

    def _example(self, row: Row) -> Example | LeftOut | None:
        """The row as an example; None where it is held out."""
        spoken = self.cleaner(row)
        if isinstance(spoken, LeftOut):
            return spoken
        if sentence_of(spoken.encoded.words) in self.held_out:
            return None
        if row.speaker not in self.speaker_ids:
            return LeftOut(row.id, f"the speaker {row.speaker!r} was not among the first rows; raise data.first_rows")
        return Example(row.id, torch.tensor(spoken.encoded.ids), self.speaker_ids[row.speaker], spoken.cleaned.wave)

    def _n_frames(self, example: Example) -> int:
        return self.cleaner.task.audio.n_frames(len(example.wave))

    def _tell(self, window: Window) -> None:
        """Say what is left out; refuse to go on where it is too much."""
        n_bad, n_rows = len(window.left_out), len(window.left_out) + len(window.examples)
        if not n_bad:
            return
        listed = f"{n_bad} of {n_rows} rows of the stream are left out{_example_of(window.left_out)}"
        allowed = self.cleaner.data.max_bad_share
        if n_bad > max(TOLERATED, allowed * n_rows):
            raise DataError(f"{listed}; more than data.max_bad_share={allowed}")
        tqdm.write(f"window {window.begins.window}: {listed}", file=sys.stderr)

    def _journal(self, batching: Batching, part: Part) -> Path:
        """Its name is made of all that decides where windows begin."""
        task, data = self.cleaner.task, self.cleaner.data
        limits = [data.min_seconds, data.max_seconds, self.window, self.seed, sorted(self.held_out)]
        said = [task.audio.fingerprint, str(task), self.cleaner.frontend.fingerprint, limits, list(self.speaker_ids)]
        key = hashlib.sha256(
            json.dumps([said, [name.rpartition("/")[2] for name in self.rows.names], batching.key]).encode()
        ).hexdigest()[:12]
        return self.journal / f"{batching.key.split()[0]}-{key}-{part.rank}-of-{part.of}.jsonl"

    def _who(self, part: Part) -> str:
        return "the stream" if part.of == 1 else f"part {part.rank + 1} of {part.of} of the stream"


def read_journal(path: Path) -> list[Position]:
    """The positions written down so far, without lines that a crash cut off."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    positions: list[Position] = []
    for line in lines:
        with suppress(ValueError, TypeError):
            positions.append(Position(**json.loads(line)))
    return positions


def write_journal(path: Path, position: Position) -> None:
    """Add a position. Where there is no writing, going on takes longer, and that is all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(position)) + "\n")
    except OSError as error:
        tqdm.write(f"cannot write {path}: {error.strerror}; to go on later will take longer", file=sys.stderr)


def _example_of(left_out: Sequence[LeftOut]) -> str:
    return f", e.g. {left_out[0].id}: {left_out[0].reason}" if left_out else ""
