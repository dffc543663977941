"""LJSpeech 1.1 (Ito and Johnson 2017): 13,100 clips of one speaker, 24 hours, public domain.

As its archive unpacks: `metadata.csv`, and the clips in `wavs/`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tts.batch import Utterance
from tts.corpora._metadata import read_metadata
from tts.errors import DataError
from tts.settings import DataConfig

ADDRESS = "https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2"
METADATA = "metadata.csv"


@dataclass
class Config(DataConfig):
    """Where the archive was unpacked."""

    corpus: str = "ljspeech"


def recognised(cfg: Config) -> str:
    """What is read, for the user."""
    return f"LJSpeech, {METADATA} in {cfg.root}"


def read(cfg: Config) -> Iterator[Utterance]:
    """An utterance for every line of the metadata, also where the clip is missing."""
    root = Path(cfg.root)
    if not cfg.root or not (root / METADATA).is_file():
        raise DataError(_missing(cfg.root))
    for entry in read_metadata(root / METADATA):
        yield Utterance(entry.id, root / "wavs" / f"{entry.id}.wav", entry.text)


def _missing(root: str) -> str:
    """What to tell a user whose folder is not LJSpeech's."""
    where = f"no {METADATA} in data.root={root}" if root else "data.root is not set"
    if root:
        for folder in (Path(root) / "LJSpeech-1.1", Path(root).parent):
            if (folder / METADATA).is_file() and (folder / "wavs").is_dir():
                return f"LJSpeech: {where}; did you mean data.root={folder} ?"
    return (
        f"LJSpeech: {where}; get it with `python -m tts download ljspeech`, or download {ADDRESS} (2.7 GB) and unpack "
        "it with `tar -xjf LJSpeech-1.1.tar.bz2`; then run `python train.py recipe=ljspeech data.root=LJSpeech-1.1` "
        "(or ljspeech_small)"
    )
