"""Your own recordings, in a folder of LJSpeech's format: any rate, mono or stereo, WAV, FLAC, Ogg, Opus or MP3.

`metadata.csv` has `id|text` or `id|text|normalized text` on each line; the clip `id` lies in `wavs/` or beside the
metadata. An id may name a subfolder (`chapter1/004`) and may carry its suffix (`004.flac`).

Several speakers have a folder each, named like them, with a `metadata.csv` of its own (`alice/metadata.csv`,
`bob/metadata.csv`); the root then has none. Their ids begin with the speaker: `alice/004`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tts.batch import Utterance
from tts.corpora._metadata import read_metadata
from tts.errors import DataError
from tts.settings import DataConfig

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")
FOLDERS = ("wavs", "")


@dataclass
class Config(DataConfig):
    """Where the recordings are."""

    corpus: str = "own"
    metadata: str = "metadata.csv"  # file in the root, or in the folder of each speaker


def read(cfg: Config) -> Iterator[Utterance]:
    """An utterance for every line of the metadata, also where the clip is missing.

    Raises:
        DataError: if there is no metadata, in the root and in folders of speakers, or both.
    """
    root = Path(cfg.root)
    alone = bool(cfg.root) and (root / cfg.metadata).is_file()
    folders = sorted(file.parent for file in root.glob(f"*/{cfg.metadata}") if file.is_file()) if cfg.root else []
    if alone and folders:
        raise DataError(
            f"own recordings: data.root={root} has {cfg.metadata} for one speaker, and also "
            f"{folders[0].name}/{cfg.metadata} for the speaker {folders[0].name!r}; move one of them away"
        )
    if not alone and not folders:
        where = f"no {cfg.metadata} in data.root={cfg.root}" if cfg.root else "data.root is not set"
        raise DataError(
            f"own recordings: {where}; make a folder with {cfg.metadata} (`id|text` on each line, UTF-8) and "
            "wavs/id.wav (or .flac .ogg .opus .mp3), or one such folder in it for each speaker, then run "
            "`python train.py recipe=own data.root=FOLDER`"
        )
    if alone:
        yield from _one_speaker(root, cfg.metadata)
    for folder in folders:
        for utterance in _one_speaker(folder, cfg.metadata):
            yield replace(utterance, id=f"{folder.name}/{utterance.id}", speaker=folder.name)


def _one_speaker(root: Path, metadata: str) -> Iterator[Utterance]:
    clips = _clips(root)
    for entry in read_metadata(root / metadata):
        yield Utterance(entry.id, _find(entry.id, clips, root), entry.text)


def _clips(root: Path) -> dict[str, Path]:
    """Every audio file of the corpus by its path from the root; also in lower case, since suffixes come in any case."""
    found = [path for path in sorted(root.rglob("*")) if path.suffix.lower() in SUFFIXES]
    exact = {path.relative_to(root).as_posix(): path for path in found}
    return {name.lower(): path for name, path in exact.items()} | exact


def _find(name: str, clips: dict[str, Path], root: Path) -> Path:
    """The clip of an id; where there is none, the path at which it was expected."""
    paths = [f"{folder}/{name}".lstrip("/") for folder in FOLDERS]
    candidates = [path + suffix for path in paths for suffix in ("", *SUFFIXES)]
    for candidate in (*candidates, *(candidate.lower() for candidate in candidates)):
        if candidate in clips:
            return clips[candidate]
    return root / FOLDERS[0] / (name if name.lower().endswith(SUFFIXES) else name + SUFFIXES[0])
