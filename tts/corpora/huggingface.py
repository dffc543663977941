"""A speech data set for the library `datasets` (an extra): of the Hugging Face hub, or a folder or Parquet file here.

The columns are recognised (see `_columns.py`) or named. What holds sound only as bytes is written to
`CACHE/huggingface` once, each recording under the hash of its bytes; sound is decoded by soundfile like all other.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tts.atomic import write_atomically, write_failure
from tts.batch import Utterance
from tts.corpora._columns import ColumnsConfig, find_columns
from tts.corpora._published import choose
from tts.corpora._rows import RowFiles
from tts.errors import DataError
from tts.progress import progress_bar

INSTALL_HINT = "pip install 'tts[huggingface]'"
FOLDER = "huggingface"
SAVED = ("dataset_dict.json", "state.json")  # one of them is in a folder that `save_to_disk` wrote


@dataclass
class Config(ColumnsConfig):
    """Which data set; `root` is one on this machine, in place of `dataset`."""

    corpus: str = "huggingface"
    dataset: str = ""  # name on the hub, OWNER/NAME
    configuration: str = ""  # of a data set that has several
    split: str = "train"


def recognised(cfg: Config) -> str:
    """What is read, for the user."""
    columns = find_columns(_rows(cfg).column_names, cfg)
    found = ", ".join(f"{what} from {name!r}" for what, name in columns._asdict().items() if name)
    return f"{cfg.dataset or cfg.root}, split {cfg.split}, {found}"


def read(cfg: Config) -> Iterator[Utterance]:
    """An utterance for every row; one without sound or text says so.

    Raises:
        DataError: if the library is not installed, the data set cannot be had, a column is missing, or the cache
            cannot be written.
    """
    whole = _rows(cfg)
    columns = find_columns(whole.column_names, cfg)
    from datasets import Audio

    listed = whole.select_columns(columns.all).cast_column(columns.audio, Audio(decode=False))
    with progress_bar(len(listed), "unpack", " clips") as bar:
        for number, row in enumerate(listed):
            id_ = str(row[columns.id]) if columns.id else f"{number:07d}"
            text, audio_path = str(row[columns.text] or "").strip(), _sound(row[columns.audio], cfg)
            speaker = row[columns.speaker] if columns.speaker else None
            lacking = [f"no {what}" for what, there in (("text", text), ("sound", audio_path)) if not there]
            yield Utterance(
                id_,
                audio_path or Path(cfg.root),
                text,
                "" if speaker is None else str(speaker),
                lacks=" and ".join(lacking),
            )
            bar.update()


def rows(cfg: Config) -> RowFiles:
    """The data set, to be streamed. Raises DataError where it cannot be found."""
    return RowFiles(cfg.dataset, cfg.root, cfg.configuration, cfg.split, cfg)


def _sound(audio: dict[str, Any] | None, cfg: Config) -> Path | None:
    """The file of a recording: its own, or one in the cache that holds its bytes; None where there is neither."""
    audio = audio or {}
    content, name = audio.get("bytes"), Path(audio.get("path") or "")
    if content is None:
        return name if name.is_file() else None
    digest = hashlib.blake2b(content, digest_size=20).hexdigest()
    path = Path(cfg.cache).resolve() / FOLDER / digest[:2] / f"{digest}{name.suffix.lower()}"
    try:
        if not path.exists() or path.stat().st_size != len(content):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
    except OSError as error:
        raise DataError(write_failure(path, error)) from None
    return path


def _rows(cfg: Config) -> Any:
    """The data set, as the library has it."""
    if bool(cfg.dataset) == bool(cfg.root):
        raise DataError(
            "which data set? data.dataset=OWNER/NAME of the Hugging Face hub, or data.root=FOLDER or FILE.parquet on "
            "this machine, and not both"
        )
    return _load(cfg.dataset, cfg.root, cfg.configuration, cfg.split)


@lru_cache(maxsize=1)  # what was recognised is said first, then it is read
def _load(dataset: str, root: str, configuration: str, split: str) -> Any:
    try:
        import datasets
    except ImportError:
        raise DataError(
            f"this corpus is read by the library `datasets`, which is not installed: {INSTALL_HINT}"
        ) from None
    local = Path(root)
    if root and not local.exists():
        raise DataError(f"data.root={root} is not there; name a folder or a Parquet file of a data set")
    try:
        if root and any((local / name).is_file() for name in SAVED):
            saved = datasets.load_from_disk(root)
            return saved[choose(list(saved), [split], "data.split")[0]] if isinstance(saved, dict) else saved
        if root and local.is_file():
            return datasets.load_dataset("parquet", data_files=root, split=split)
        return datasets.load_dataset(dataset or root, configuration or None, split=split)
    except (datasets.exceptions.DatasetsError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"the data set {dataset or root} cannot be loaded: {reason}") from None
