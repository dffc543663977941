"""Rows of a Hugging Face data set while they are read: Parquet or WebDataset files on a disk, a web server or the hub.

`datasets` finds the files and reads them; sound is decoded here, by soundfile.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from tts.corpora._columns import Columns, ColumnsConfig, find_columns
from tts.errors import DataError

BUILDERS = {".parquet": "parquet", ".tar": "webdataset"}  # suffix -> the name that `datasets` has for it
OTHER_NAMES = {"text": ("json.text", "txt"), "speaker": ("json.speaker", "client_id"), "id": ("__key__",)}
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class Row(NamedTuple):
    """An utterance as it is stored."""

    id: str
    audio: bytes  # an encoded file; empty where there is none
    text: str
    speaker: str


class RowFiles:
    """The files of a data set, each of which is read from its beginning.

    Args:
        dataset: a name on the hub; empty: the files are elsewhere.
        root: a folder, a file, or an address, in which `{0..7}` or `{000..127}` counts; empty: they are on the hub.
        configuration: of a data set on the hub that has several.
        split: of a data set on the hub.
        named: columns that the user names.

    Raises:
        DataError: if it cannot be found, or its columns are not recognised.
    """

    def __init__(self, dataset: str, root: str, configuration: str, split: str, named: ColumnsConfig):
        if bool(dataset) == bool(root):
            raise DataError(
                "which data set? data.dataset=OWNER/NAME of the Hugging Face hub, or data.root= a folder, a file or an "
                "address, and not both"
            )
        datasets = _load_library()
        self.called = f"data.root={root}" if root else f"data.dataset={dataset}"
        files = find_files(root) if root else []
        try:
            if files:
                builder = BUILDERS[Path(files[0]).suffix]
                table = datasets.load_dataset(builder, data_files=files, split="train", streaming=True)
            else:
                table = datasets.load_dataset(dataset, configuration or None, split=split, streaming=True)
            if table.features is None:
                table = table._resolve_features()
        except Exception as error:  # of many libraries below
            raise DataError(self._complaint(error)) from None
        self.columns = recognise(table.features, named)
        if type(table.features[self.columns.audio]).__name__ == "Audio":
            # As plain bytes: even undecoded, what is of type Audio wants a decoder that needs FFmpeg.
            undecoded = {name: datasets.Value(kind) for name, kind in (("bytes", "binary"), ("path", "string"))}
            table = table.cast_column(self.columns.audio, undecoded)
        self._table = table
        self._speakers = getattr(table.features.get(self.columns.speaker), "names", None)  # of a ClassLabel
        self.n_files: int = table.num_shards
        self.names = (
            files if len(files) == self.n_files else [f"{dataset or root}, file {n}" for n in range(self.n_files)]
        )

    def rows(self, file: int, skip: int) -> Iterator[Row]:
        """The rows of a file from number `skip` on. Raises DataError where it cannot be read."""
        table = self._table.shard(num_shards=self.n_files, index=file, contiguous=True)
        try:
            for number, row in enumerate(islice(iter(table), skip, None), skip):
                yield self._row(row, f"{file}-{number}")
        except DataError:
            raise
        except Exception as error:  # of many libraries below
            raise DataError(f"{self.names[file]}: {self._complaint(error)}") from None

    def _row(self, row: Mapping[str, Any], number: str) -> Row:
        sound, said = value_of(row, self.columns.audio), value_of(row, self.columns.text)
        name, speaker = value_of(row, self.columns.id), value_of(row, self.columns.speaker)
        content = sound if isinstance(sound, bytes) else (sound or {}).get("bytes")
        path = "" if isinstance(sound, bytes) else (sound or {}).get("path") or ""
        if content is None and path and Path(path).is_file():
            content = Path(path).read_bytes()
        if self._speakers and isinstance(speaker, int):
            speaker = self._speakers[speaker]
        return Row(
            str(name) if name is not None else Path(path).stem or number,
            content or b"",
            str(said or ""),
            "" if speaker is None else str(speaker),
        )

    def _complaint(self, error: BaseException) -> str:
        """What went wrong at the bottom, in one line."""
        while error.__cause__ is not None:
            error = error.__cause__
        said = " ".join(str(error).split()) or type(error).__name__
        way_out = "check the name or address and the connection, and that the files are whole"
        if "range requests" in said:
            way_out = (
                "Parquet is not read from its beginning: serve it by nginx, Caddy or S3, which answer range requests "
                "(python -m http.server does not), or take tar files"
            )
        return f"cannot read {self.called} ({said}); {way_out}; then start again: a training goes on where it was"


def recognise(features: Mapping[str, Any], named: ColumnsConfig) -> Columns:
    """The columns of a table, of which `a.b` is the field b of the column a. Raises DataError as `find_columns` does.

    features: what each column holds: an object of a class called Audio, a mapping of fields, or another type.
    """
    there = [*features, *(f"{name}.{field}" for name, inner in features.items() for field in _fields(inner))]
    sounds = [name for name, kind in features.items() if type(kind).__name__ == "Audio" or "bytes" in _fields(kind)]
    # A tar file's columns are called by suffixes; the names that are recognised stand for them.
    stands_for = {
        usual: found
        for usual, others in {**OTHER_NAMES, "audio": sounds}.items()
        if usual not in there and (found := next((name for name in others if name in there), ""))
    }
    columns = find_columns([*there, *stands_for], named)
    return Columns(*(stands_for.get(name, name) for name in columns))


def value_of(row: Mapping[str, Any], column: str) -> Any:
    """What a row has in a column; None where it has nothing."""
    value: Any = row
    for part in column.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _fields(kind: Any) -> Sequence[str]:
    return list(kind) if isinstance(kind, Mapping) else []


def find_files(root: str) -> list[str]:
    """The files that a root names. Raises DataError where it names none."""
    folder = Path(root)
    if folder.is_dir():
        for suffix in BUILDERS:
            if files := sorted(str(path) for path in folder.rglob(f"*{suffix}")):
                return files
        raise DataError(f"data.root={root} is a folder without {' or '.join(BUILDERS)} files")
    if Path(root).suffix not in BUILDERS:
        hint = "" if "://" in root else f"; of the hub: data.dataset={root}"
        raise DataError(f"data.root={root} is no folder, and names no {' or '.join(BUILDERS)} file{hint}")
    return expand(root)


def expand(pattern: str) -> list[str]:
    """`part-{08..10}.tar` as part-08.tar, part-09.tar, part-10.tar."""
    found = RANGE.search(pattern)
    if not found:
        return [pattern]
    first, last = found.groups()
    numbers = (str(number).zfill(len(first)) for number in range(int(first), int(last) + 1))
    return [pattern[: found.start()] + number + pattern[found.end() :] for number in numbers]


def _load_library() -> Any:
    try:
        import datasets
    except ImportError:
        raise DataError("data.corpus=huggingface needs the library datasets: pip install datasets") from None
    return datasets
