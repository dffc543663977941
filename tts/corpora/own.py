"""Your own recordings, any rate, mono or stereo, WAV, FLAC, Ogg, Opus or MP3, in one of three formats.

1. LJSpeech's: `metadata.csv` has `id|text` or `id|text|normalized text` on each line; the clip `id` lies in `wavs/` or
   beside the metadata. An id may name a subfolder (`chapter1/004`) and may carry its suffix (`004.flac`).
2. A manifest of JSON lines with audio, text, and if wanted speaker, start and end: see `_jsonl.py`.
3. `x.wav` and `x.txt` side by side, in the folder or in `wavs/`.

Several speakers have a folder each, named like them, with a `metadata.csv` or with recordings and texts of its own
(`alice/metadata.csv`, or `bob/1.wav` and `bob/1.txt`); the root then has none. Their ids begin with the speaker:
`alice/004`. A manifest names its speakers itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from tts.batch import Utterance
from tts.corpora._jsonl import is_manifest, read_manifest
from tts.corpora._metadata import read_metadata
from tts.corpora._published import folders_in, read_text
from tts.errors import DataError
from tts.settings import DataConfig

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")
FOLDERS = ("wavs", "")
METADATA = "metadata.csv"
EVERYWHERE = "**/*"


@dataclass
class Config(DataConfig):
    """Where the recordings are."""

    corpus: str = "own"
    metadata: str = METADATA  # file in the root, or in the folder of each speaker; *.jsonl is a manifest of JSON lines


class Layout(NamedTuple):
    """What was recognised in a folder."""

    kind: Literal["metadata", "manifest", "pairs"]
    name: str  # of the file; empty for pairs
    folders: tuple[Path, ...]  # of the speakers; none where the root itself is one speaker's or names them


def recognised(cfg: Config) -> str:
    """What is read, for the user."""
    layout = recognise(cfg)
    how = {
        "metadata": f"LJSpeech's format, {layout.name}",
        "manifest": f"JSON lines, {layout.name}",
        "pairs": "recordings with a .txt beside each",
    }[layout.kind]
    each = f" in the folders of {len(layout.folders)} speakers" if layout.folders else ""
    return f"{how}{each}, in {cfg.root}"


def read(cfg: Config) -> Iterator[Utterance]:
    """An utterance for every text, also where the clip is missing; a recording without a text says so.

    Raises:
        DataError: if no format is recognised, in the root and in folders of speakers, or one in both.
    """
    root, layout = Path(cfg.root), recognise(cfg)
    for folder in layout.folders or (root,):
        for utterance in _in_folder(folder, layout):
            if layout.folders:
                utterance = replace(utterance, id=f"{folder.name}/{utterance.id}", speaker=folder.name)
            yield utterance


def recognise(cfg: Config) -> Layout:
    """Which format the folder has. Raises DataError as `read` does."""
    root = Path(cfg.root)
    if not cfg.root or not root.is_dir():
        raise DataError(_nothing(cfg, "is no folder" if cfg.root else ""))
    if cfg.metadata != METADATA and cfg.metadata.endswith(".jsonl"):
        if not (root / cfg.metadata).is_file():
            raise DataError(_nothing(cfg, f"holds no {cfg.metadata}"))
        return Layout("manifest", cfg.metadata, ())
    if found := _of_one_kind(root, "metadata", cfg.metadata):
        return found
    if cfg.metadata != METADATA:
        raise DataError(_nothing(cfg, f"holds no {cfg.metadata}, nor do the folders in it"))
    manifests = [path.name for path in sorted(root.glob("*.jsonl")) if is_manifest(path)]
    if len(manifests) > 1:
        raise DataError(
            f"own recordings: data.root={root} has several manifests: {', '.join(manifests)}; "
            f"choose one: data.metadata={manifests[0]}"
        )
    if manifests:
        return Layout("manifest", manifests[0], ())
    if found := _of_one_kind(root, "pairs", ""):
        return found
    raise DataError(_nothing(cfg, "holds nothing of that, nor do the folders in it"))


def _of_one_kind(root: Path, kind: Literal["metadata", "pairs"], name: str) -> Layout | None:
    """The layout where the root, or folders in it, have this kind; None where neither has."""

    folders = [folder for folder in folders_in(root) if folder.name not in FOLDERS]
    if kind == "metadata":
        alone = (root / name).is_file()
        folders = [folder for folder in folders if (folder / name).is_file()]
    else:
        alone = any(_has_pairs(root / folder, "*") for folder in FOLDERS)
        folders = [folder for folder in folders if _has_pairs(folder, EVERYWHERE)]
    if alone and folders:
        what = name or "recordings with texts"
        raise DataError(
            f"own recordings: data.root={root} has {what} for one speaker, and also "
            f"{folders[0].name}/{name} for the speaker {folders[0].name!r}; move one of them away"
        )
    return Layout(kind, name, tuple(folders)) if alone or folders else None


def _nothing(cfg: Config, found: str) -> str:
    """What to tell a user whose folder is none of the formats."""
    where = f"data.root={cfg.root} {found}" if found else "data.root is not set"
    return (
        f"own recordings: {where}; looked for: (1) {cfg.metadata} (`id|text` on each line, UTF-8) with wavs/id.wav (or "
        '.flac .ogg .opus .mp3), (2) a *.jsonl of {"audio": "a.wav", "text": "..."} lines, also with speaker, start, '
        "end, (3) x.wav and x.txt side by side; (1) and (3) also in one folder for each speaker. Then run "
        "`python train.py recipe=own data.root=FOLDER`"
    )


def _in_folder(folder: Path, layout: Layout) -> Iterator[Utterance]:
    if layout.kind == "manifest":
        yield from read_manifest(folder / layout.name)
    elif layout.kind == "pairs":
        yield from _read_pairs(folder)
    else:
        clips = _clips(folder)
        for entry in read_metadata(folder / layout.name):
            yield Utterance(entry.id, _find(entry.id, clips, folder), entry.text)


class Pairs(NamedTuple):
    """Recordings and texts by their paths in a folder, without suffix."""

    recorded: dict[str, Path]
    texts: dict[str, Path]


def _pairs(folder: Path, pattern: str) -> Pairs:
    """What lies in a folder, as far as the pattern goes.

    Raises:
        DataError: if two recordings differ in their suffix only.
    """
    recorded: dict[str, Path] = {}
    texts: dict[str, Path] = {}
    for path in sorted(folder.glob(pattern)):
        kind = path.suffix.lower()
        name = path.relative_to(folder).with_suffix("").as_posix()
        if path.name[0] == "." or kind not in (".txt", *SUFFIXES):
            continue
        if kind != ".txt" and name in recorded:
            raise DataError(f"{recorded[name]} and {path.name} have one name; which one is spoken? Move the other away")
        (texts if kind == ".txt" else recorded)[name] = path
    return Pairs(recorded, texts)


def _has_pairs(folder: Path, pattern: str) -> bool:
    pairs = _pairs(folder, pattern)
    return bool(pairs.recorded.keys() & pairs.texts.keys())


def _read_pairs(folder: Path) -> Iterator[Utterance]:
    pairs = _pairs(folder, EVERYWHERE)
    for id_ in sorted({*pairs.recorded, *pairs.texts}):
        text, lacks = "", f"no {id_}.txt beside the recording"
        if id_ in pairs.texts:
            text = read_text(pairs.texts[id_])
            lacks = "" if id_ in pairs.recorded else f"no recording beside {id_}.txt"
        yield Utterance(id_, pairs.recorded.get(id_, folder / f"{id_}.wav"), text, lacks=lacks)


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
