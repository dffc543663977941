"""LibriTTS (Zen et al. 2019) and LibriTTS-R (Koizumi et al. 2023): 585 hours, 2,456 readers, 24 kHz, CC BY 4.0.

As their archives unpack: `train-clean-100/84/121123/84_121123_000007_000001.wav`, beside it `.normalized.txt` and
`.original.txt`. A few clips have no such files; their text is then looked up in the chapter's
`84_121123.trans.tsv` (id, original, normalized), and a clip that is in neither is listed and left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tts.batch import Utterance
from tts.corpora._libri import Chapter, LibriConfig, chapters, chosen_subsets, libri_root
from tts.corpora._metadata import read_lines
from tts.corpora._published import read_text


@dataclass
class Config(LibriConfig):
    """Where the archives were unpacked, and what is taken of them."""

    corpus: str = "libritts"
    text: Literal["normalized", "original"] = "normalized"  # numbers and abbreviations in words, or as in the book


def recognised(cfg: Config) -> str:
    """What is read, for the user."""
    root = libri_root(cfg, "LibriTTS")
    return f"LibriTTS, {cfg.text} texts of {', '.join(chosen_subsets(cfg, root))}, in {cfg.root}"


def read(cfg: Config) -> Iterator[Utterance]:
    """An utterance for every text and every recording; a recording without a text says so."""
    root = libri_root(cfg, "LibriTTS")
    for chapter in chapters(cfg, root):
        yield from _chapter(chapter, cfg.text)


def _chapter(chapter: Chapter, kind: str) -> Iterator[Utterance]:
    suffix = f".{kind}.txt"
    files = [path for path in chapter.folder.iterdir() if path.name[0] != "."]
    texts = {path.name.removesuffix(suffix): path for path in files if path.name.endswith(suffix)}
    recorded = {path.stem for path in files if path.suffix == ".wav"}
    table = _table(chapter.folder, kind) if recorded - texts.keys() else {}
    for id_ in sorted({*texts, *recorded}):
        text = read_text(texts[id_]) if id_ in texts else table.get(id_, "")
        lacks = "" if text else "no text"
        yield Utterance(id_, chapter.folder / f"{id_}.wav", text, chapter.reader, lacks=lacks)


def _table(folder: Path, kind: str) -> dict[str, str]:
    """The texts of a chapter by id, from its table; none where it has no table."""
    path = folder / f"{folder.parent.name}_{folder.name}.trans.tsv"
    rows = [line.split("\t") for line in read_lines(path)] if path.is_file() else []
    column = 2 if kind == "normalized" else 1
    return {row[0]: " ".join(row[column].split()) for row in rows if len(row) > column}
