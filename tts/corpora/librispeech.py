"""LibriSpeech (Panayotov et al. 2015): 982 hours, 2,484 readers, 16 kHz, CC BY 4.0.

As its archives unpack: `train-clean-100/84/121123/84-121123-0000.flac`, and the texts of a chapter in its
`84-121123.trans.txt`: `84-121123-0000 GO DO YOU HEAR` on each line. They are in capitals without marks. Here they
become lower case, as words in capitals would be spelt; there are no marks to bring back.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tts.batch import Utterance
from tts.corpora._libri import Chapter, LibriConfig, chapters, chosen_subsets, libri_root
from tts.corpora._metadata import read_lines


@dataclass
class Config(LibriConfig):
    """Where the archives were unpacked, and what is taken of them."""

    corpus: str = "librispeech"


def recognised(cfg: Config) -> str:
    """What is read, for the user."""
    root = libri_root(cfg, "LibriSpeech")
    return f"LibriSpeech, {', '.join(chosen_subsets(cfg, root))}, in {cfg.root}; its texts have no marks"


def read(cfg: Config) -> Iterator[Utterance]:
    """An utterance for every text and every recording; a recording without a text says so."""
    root = libri_root(cfg, "LibriSpeech")
    for chapter in chapters(cfg, root):
        yield from _chapter(chapter)


def _chapter(chapter: Chapter) -> Iterator[Utterance]:
    path = chapter.folder / f"{chapter.reader}-{chapter.folder.name}.trans.txt"
    lines = [line.partition(" ") for line in read_lines(path)] if path.is_file() else []
    texts = {id_: " ".join(text.split()).lower() for id_, _, text in lines if id_}
    recorded = {audio.stem for audio in chapter.folder.glob("*.flac")}
    for id_ in sorted({*texts, *recorded}):
        text = texts.get(id_, "")
        yield Utterance(id_, chapter.folder / f"{id_}.flac", text, chapter.reader, lacks="" if text else "no text")
