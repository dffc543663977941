"""Data sets of the Hugging Face hub, and files of its formats: Parquet or WebDataset, here or on any web server."""

from collections.abc import Iterator
from dataclasses import dataclass

from tts.batch import Utterance
from tts.corpora._columns import ColumnsConfig
from tts.corpora._rows import RowFiles
from tts.errors import DataError


@dataclass
class Config(ColumnsConfig):
    """Which data set; `root` is one elsewhere than on the hub, in place of `dataset`."""

    corpus: str = "huggingface"
    dataset: str = ""  # name on the hub, OWNER/NAME
    configuration: str = ""  # of a data set that has several
    split: str = "train"


def read(cfg: Config) -> Iterator[Utterance]:
    """Not without streaming: sound lies inside of the files. Raises DataError."""
    raise DataError(f"data.corpus=huggingface {cfg.dataset or cfg.root} is read as a stream: add data.stream=true")


def rows(cfg: Config) -> RowFiles:
    """The data set, to be streamed. Raises DataError where it cannot be found."""
    return RowFiles(cfg.dataset, cfg.root, cfg.configuration, cfg.split, cfg)
