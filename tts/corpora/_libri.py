"""What LibriTTS and LibriSpeech share: `SUBSET/READER/CHAPTER/`, and a table of readers."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from tts.corpora._metadata import read_lines
from tts.corpora._published import choose, find_root, folders_in
from tts.errors import DataError, nearest
from tts.settings import DataConfig, require

SUBSETS = (
    *("train-clean-100", "train-clean-360", "train-other-500"),
    *("dev-clean", "dev-other", "test-clean", "test-other"),
)
TABLES = ("speakers.tsv", "SPEAKERS.txt", "SPEAKERS.TXT")


class Chapter(NamedTuple):
    """What one reader read of one book."""

    folder: Path
    reader: str


@dataclass
class LibriConfig(DataConfig):
    """Where the archives were unpacked, and what is taken of them."""

    subsets: list[str] = field(default_factory=list)  # train-clean-100, ...; none: all that are there
    speakers: list[str] = field(default_factory=list)  # numbers of readers; none: all
    gender: Literal["", "F", "M"] = ""  # of the readers, from the corpus' table; empty: both

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.subsets:
            message = f"subsets: there is no {name!r}{nearest(name, SUBSETS)} (there is: {', '.join(SUBSETS)})"
            require(name in SUBSETS, message)


def libri_root(cfg: LibriConfig, corpus: str) -> Path:
    """The folder with the subsets. Raises DataError where there is none."""
    folder = {"libritts": "LibriTTS", "librispeech": "LibriSpeech"}[cfg.corpus]
    way_out = (
        f"download and unpack one with `python -m tts download {cfg.corpus} dev-clean` (`--help` lists all with their "
        f"sizes), then run `python train.py recipe={cfg.corpus} data.root=data/{folder} data.subsets=[dev-clean]`"
    )
    return find_root(cfg.root, _is_root, corpus, "subset such as train-clean-100/", way_out)


def chosen_subsets(cfg: LibriConfig, root: Path) -> list[str]:
    """The subsets that are there and wanted. Raises DataError where one is not there."""
    there = [name for name in SUBSETS if (root / name).is_dir()]
    if absent := [name for name in cfg.subsets if name not in there]:
        raise DataError(
            f"data.subsets: no {absent[0]}/ in {root}; get it with `python -m tts download {cfg.corpus} {absent[0]}`, "
            f"or take what is there: data.subsets=[{','.join(there)}]"
        )
    return [name for name in there if not cfg.subsets or name in cfg.subsets]


def chapters(cfg: LibriConfig, root: Path) -> Iterator[Chapter]:
    """Every chapter of the readers and subsets that are wanted."""
    readers = [reader for subset in chosen_subsets(cfg, root) for reader in folders_in(root / subset)]
    wanted = set(choose([reader.name for reader in readers], cfg.speakers, "data.speakers"))
    if cfg.gender:
        genders = _genders(root)
        wanted = {name for name in wanted if genders.get(name) == cfg.gender}
    for reader in readers:
        if reader.name in wanted:
            yield from (Chapter(folder, reader.name) for folder in folders_in(reader))


def _genders(root: Path) -> dict[str, str]:
    """F or M of each reader: `id<tab>gender<tab>...` with a header, or `id | gender | ...` with comments after `;`."""
    for name in TABLES:
        if (root / name).is_file():
            rows = [line.replace("|", "\t").split("\t") for line in read_lines(root / name) if line[:1] != ";"]
            return {row[0].strip(): row[1].strip().upper() for row in rows if len(row) > 1}
    raise DataError(f"data.gender needs the table of readers, {TABLES[0]} or {TABLES[1]} in {root}; copy it there")


def _is_root(folder: Path) -> bool:
    return any((folder / name).is_dir() for name in SUBSETS)
