"""Data sets of the Hugging Face hub, and files of its formats: Parquet or WebDataset, here or on any web server.

`data.root` is a name (`org/name`), a folder, a file, or an address in which `{000..127}` counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tts.batch import Utterance
from tts.corpora._rows import RowFiles
from tts.errors import DataError
from tts.settings import DataConfig


@dataclass
class Config(DataConfig):
    """Which data set, and which of its columns; what is not said is recognised."""

    corpus: str = "huggingface"
    subset: str = ""  # of a data set that has several
    split: str = "train"
    audio_column: str = ""
    text_column: str = ""
    speaker_column: str = ""


def read(cfg: Config) -> Iterator[Utterance]:
    """Not without streaming: sound lies inside of the files. Raises DataError."""
    raise DataError(f"data.corpus=huggingface data.root={cfg.root} is read as a stream: add data.stream=true")


def rows(cfg: Config) -> RowFiles:
    """The data set, to be streamed. Raises DataError where it cannot be found."""
    wanted = {name: getattr(cfg, name) for name in ("audio_column", "text_column", "speaker_column")}
    return RowFiles(cfg.root, cfg.subset, cfg.split, wanted)
