"""Rows that are cleaned while they are read: a `Source` of training batches that needs no preparing and no disk.

Batches are planned by how long the rows say they are, silence at their ends included: so every process plans the same
batches, and decodes and cleans its share of them alone. A row that then turns out to be of no use is replaced by
another of its window, the same one everywhere.

The batches of a window are known when it is full. A journal says at which row each window begins: whoever goes on with
batch n fills one window. It only saves time: without it the windows before are read again.
"""

import hashlib
import json
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from tqdm import tqdm

from tts.audio.clean import Cleaning
from tts.audio.files import decode_recording, seconds_in
from tts.data.ahead import ahead
from tts.data.cache import EntryContent, EntryTask, clean_clip
from tts.data.manifest import sentence_of
from tts.data.part import Part
from tts.data.prepare import wrong_length
from tts.data.report import LeftOut
from tts.data.sampler import check_enough
from tts.data.stream import Batching, Example, Pick, Place, Wanted
from tts.errors import AudioError, DataError, TextError
from tts.settings import AudioConfig, DataConfig
from tts.text.frontend import EncodedText, Frontend

AHEAD = 4  # batches cleaned before they are asked for
FIRST_WINDOW = 32  # examples; each window is twice as large as the one before, so that training begins at once
TOLERATED = 5  # rows of a window that may be left out, however few it has
FAULTS = (AudioError, TextError, ValueError, RuntimeError)  # of a row


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


class Planned(NamedTuple):
    """A row that can be trained on as far as is known before it is decoded."""

    row: Row
    encoded: EncodedText
    n_frames: int  # before silence is trimmed, of what is too long only as many as may be


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
        planned = self.plan(row)
        if isinstance(planned, LeftOut):
            return planned
        cleaned = self.clean(row)
        return cleaned if isinstance(cleaned, LeftOut) else Spoken(row, planned.encoded, cleaned)

    def plan(self, row: Row) -> Planned | LeftOut:
        """The row without decoding it, or why it is of no use, as far as that is known then."""
        audio, shortest, longest = self.task.audio, self.data.min_seconds, self.data.max_seconds
        try:
            encoded = self.frontend(row.text)
            seconds = seconds_in(row.audio, f"the sound of {row.id}")
        except FAULTS as error:
            return LeftOut(row.id, str(error))
        if seconds < shortest:
            return LeftOut(row.id, f"{seconds:.2f} s, below data.min_seconds={shortest}")
        return Planned(row, encoded, max(1, audio.n_frames(round(min(seconds, longest) * audio.sample_rate))))

    def clean(self, row: Row) -> EntryContent | LeftOut:
        """The sound of a row, or why it is of no use."""
        try:
            cleaned = clean_clip(decode_recording(row.audio, f"the sound of {row.id}"), self.task)
        except FAULTS as error:
            return LeftOut(row.id, str(error))
        reason = wrong_length(cleaned.facts, self.task.audio, self.data)
        return LeftOut(row.id, reason) if reason else cleaned


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


class Window(NamedTuple):
    """What is read at a time."""

    begins: Position
    ends: Position  # where the next one begins, but for the number of its first batch
    rows: list[Planned]
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

    def batches(self, batching: Batching, wanted: Wanted) -> Iterator[list[Pick]]:
        """Of the rows, only those of the shares are decoded."""
        return ahead(self._read(batching, wanted), AHEAD)

    def _read(self, batching: Batching, wanted: Wanted) -> Iterator[list[Pick]]:
        part, due = wanted.part, wanted.start
        journal = self._journal(batching, part.of)
        known = read_journal(journal)
        position = max((one for one in known if one.batch <= due), key=lambda one: one.batch, default=Position())
        written = max((one.batch for one in known), default=-1)
        first = position.batch
        for window in ahead(self.windows(position, part.of), 1):
            if wanted.leads and first > written:
                write_journal(journal, replace(window.begins, batch=first))
            check_left_out(window.begins.window, window.left_out, len(window.rows), self.cleaner.data, wanted.leads)
            n_frames = [row.n_frames for row in window.rows]
            planned = batching.plan(n_frames, random.Random(f"window {self.seed} {window.begins.window}"), part.of)
            examples = Examples(window, self.cleaner, self.speaker_ids, batching)
            while due < first + len(planned):
                batch = planned[due - first]
                yield [examples.pick(batch[at]) for at in part.share([n_frames[place.row] for place in batch])]
                due += wanted.every
            first += len(planned)

    def windows(self, begins: Position, least: int = 1) -> Iterator[Window]:
        """All windows from a position on. least: rows of one."""
        while True:
            size = max(least, min(self.window, FIRST_WINDOW << min(begins.window, 20)))
            window = self._fill(begins, size, least)
            if window.rows:
                yield window
            begins = window.ends

    def _fill(self, begins: Position, size: int, least: int) -> Window:
        """A window ends with its epoch, unless it would have too few rows."""
        found: list[Planned] = []
        left_out: list[LeftOut] = []
        number, epoch, first_file, row = begins.window + 1, begins.epoch, begins.file, begins.row
        while True:
            files = self.order(epoch)
            for place in range(first_file, len(files)):
                for one in self.rows.rows(files[place], row):
                    row += 1
                    planned = self._plan(one)
                    if isinstance(planned, LeftOut):
                        left_out.append(planned)
                    elif planned is not None:
                        found.append(planned)
                    if len(found) == size:
                        return Window(begins, Position(0, number, epoch, place, row), found, left_out)
                row = 0
            if (begins.epoch, begins.file, begins.row) == (epoch, 0, 0):
                _check_epoch(found, left_out, least)
            epoch, first_file, size = epoch + 1, 0, least
            if not found or len(found) >= least:
                return Window(begins, Position(0, number, epoch), found, left_out)

    def order(self, epoch: int) -> list[int]:
        """The files of an epoch in their order."""
        files = list(range(len(self.rows.names)))
        random.Random(f"files {self.seed} {epoch}").shuffle(files)
        return files

    def _plan(self, row: Row) -> Planned | LeftOut | None:
        """The row as it is planned; None where it is held out."""
        planned = self.cleaner.plan(row)
        if isinstance(planned, LeftOut):
            return planned
        if sentence_of(planned.encoded.words) in self.held_out:
            return None
        if row.speaker not in self.speaker_ids:
            return LeftOut(row.id, f"the speaker {row.speaker!r} was not among the first rows; raise data.first_rows")
        return planned

    def _journal(self, batching: Batching, n_processes: int) -> Path:
        """Its name is made of all that decides where windows begin."""
        task, data = self.cleaner.task, self.cleaner.data
        limits = [data.min_seconds, data.max_seconds, self.window, self.seed, sorted(self.held_out)]
        said = [task.audio.fingerprint, str(task), self.cleaner.frontend.fingerprint, limits, list(self.speaker_ids)]
        key = hashlib.sha256(
            json.dumps([said, [name.rpartition("/")[2] for name in self.rows.names], batching.key]).encode()
        ).hexdigest()[:12]
        return self.journal / f"{batching.key.split()[0]}-{key}-of-{n_processes}.jsonl"


class Examples:
    """The rows of a window, cleaned when they are due.

    Args:
        window: see above.
        cleaner: of a row.
        speaker_ids: the voice's table.
        batching: says whether to remember what was cleaned.
    """

    def __init__(self, window: Window, cleaner: Cleaner, speaker_ids: Mapping[str, int], batching: Batching):
        self.window = window
        self.cleaner = cleaner
        self.speaker_ids = speaker_ids
        self.batching = batching
        self.kept: dict[int, Example] = {}
        self.left_out: dict[int, LeftOut] = {}
        self.n_good = 0

    def pick(self, place: Place) -> Pick:
        """What stands at a place. Raises DataError where too much is of no use."""
        for row in self._in_turn(place.row):
            example = self._example(row)
            if not isinstance(example, LeftOut):
                n_frames = self.cleaner.task.audio.n_frames(len(example.wave))
                planned = self.window.rows[place.row].n_frames
                return Pick(example, self.batching.begin(place.first_frame, planned, n_frames))
        raise DataError(f"no row of a window can be trained on{_example_of(list(self.left_out.values()))}")

    def _in_turn(self, row: int) -> Iterator[int]:
        """The row, then those that may replace it."""
        yield row
        rows = self.window.rows
        others = [other for other in range(len(rows)) if other != row]
        random.Random(f"instead of {self.window.begins.window} {row}").shuffle(others)
        # What is longer makes a batch larger than was planned, so it comes last.
        yield from sorted(others, key=lambda other: rows[other].n_frames > rows[row].n_frames)

    def _example(self, number: int) -> Example | LeftOut:
        """A row, cleaned now or before."""
        if known := self.kept.get(number) or self.left_out.get(number):
            return known
        planned = self.window.rows[number]
        row, cleaned = planned.row, self.cleaner.clean(planned.row)
        if isinstance(cleaned, LeftOut):
            newest_first = [cleaned, *self.left_out.values()]
            self.left_out[number] = cleaned
            check_left_out(self.window.begins.window, newest_first, self.n_good, self.cleaner.data, tells=True)
            return cleaned
        self.n_good += 1
        example = Example(row.id, torch.tensor(planned.encoded.ids), self.speaker_ids[row.speaker], cleaned.wave)
        if self.batching.revisits:
            self.kept[number] = example
        return example


def check_left_out(window: int, left_out: Sequence[LeftOut], n_good: int, data: DataConfig, tells: bool) -> None:
    """Say what is left out of a window; refuse to go on where it is too much. Raises DataError."""
    n_bad, n_rows = len(left_out), len(left_out) + n_good
    if not n_bad:
        return
    listed = f"{n_bad} of {n_rows} rows of the stream are left out{_example_of(left_out)}"
    if n_bad > max(TOLERATED, data.max_bad_share * n_rows):
        raise DataError(f"{listed}; more than data.max_bad_share={data.max_bad_share}")
    if tells:
        tqdm.write(f"window {window}: {listed}", file=sys.stderr)


def _check_epoch(found: Sequence[Planned], left_out: Sequence[LeftOut], least: int) -> None:
    """Refuse a whole epoch that has too little."""
    if not found:
        raise DataError(f"the stream has no row that can be trained on{_example_of(left_out)}")
    check_enough(len(found), Part(of=least), "rows of the stream to train on")


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
