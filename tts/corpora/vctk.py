"""VCTK 0.92 (Yamagishi, Veaux and MacDonald 2019): 110 speakers of English, 44 hours, 48 kHz, CC BY 4.0.

As its archive unpacks: `wav48_silence_trimmed/p225/p225_001_mic1.flac` and `_mic2.flac`, `txt/p225/p225_001.txt`. The
speaker s5 is named like the others otherwise. What it lacks is known: p315 has no texts, p280 and p315 have no second
microphone, p362 has texts that were not recorded. Those clips are listed and left out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tts.batch import Utterance
from tts.corpora._published import choose, find_root, folders_in, read_text
from tts.settings import DataConfig

AUDIO, TEXTS = "wav48_silence_trimmed", "txt"
RECORDING = re.compile(r"(.+)_mic([12])\.(?:flac|wav)")
NO_SECOND_MICROPHONE = ("p280", "p315")
NOT_ALL_RECORDED = ("p362",)
WAY_OUT = "download and unpack it with `python -m tts download vctk` (11.7 GB, CC BY 4.0)"


@dataclass
class Config(DataConfig):
    """Where the archive was unpacked, and what is taken of it."""

    corpus: str = "vctk"
    mic: Literal[1, 2] = 1  # microphone: 1 omni-directional, 2 condenser with less of the low frequencies
    speakers: list[str] = field(default_factory=list)  # p225, ..., s5; none: all


def recognised(cfg: Config) -> str:
    """What is read, for the user."""
    return f"VCTK 0.92, microphone {cfg.mic}, in {cfg.root}"


def read(cfg: Config) -> Iterator[Utterance]:
    """An utterance for every text and every recording; those that the corpus lacks one of say so."""
    root = find_root(cfg.root, _is_root, "VCTK 0.92", f"{AUDIO}/ and {TEXTS}/", _way_out(cfg.root))
    there = sorted({folder.name for part in (AUDIO, TEXTS) for folder in folders_in(root / part)})
    for speaker in choose(there, cfg.speakers, "data.speakers"):
        yield from _speaker(root, speaker, cfg.mic)


def _speaker(root: Path, speaker: str, mic: int) -> Iterator[Utterance]:
    texts = {path.stem: path for path in (root / TEXTS / speaker).glob("[!.]*.txt")}
    recordings: dict[tuple[str, int], Path] = {}
    for path in (root / AUDIO / speaker).glob("*"):
        if match := RECORDING.fullmatch(path.name):
            recordings[match[1], int(match[2])] = path
    for id_ in sorted({*texts, *(id_ for id_, _ in recordings)}):
        expected = root / AUDIO / speaker / f"{id_}_mic{mic}.flac"
        audio_path = recordings.get((id_, mic), expected)
        never = (mic == 2 and speaker in NO_SECOND_MICROPHONE) or speaker in NOT_ALL_RECORDED
        lacking = ["no text"] if id_ not in texts else []
        if (id_, mic) not in recordings and (never or lacking):
            lacking.append(f"no recording of microphone {mic}")
        text = read_text(texts[id_]) if id_ in texts else ""
        yield Utterance(id_, audio_path, text, speaker, lacks=" and ".join(lacking))


def _is_root(folder: Path) -> bool:
    return (folder / AUDIO).is_dir() and (folder / TEXTS).is_dir()


def _way_out(root: str) -> str:
    if root and (Path(root) / "wav48").is_dir():
        return f"wav48/ is of an older version of VCTK; {WAY_OUT}"
    return f"{WAY_OUT}, then run `python train.py recipe=vctk data.root=data/VCTK-Corpus-0.92`"
