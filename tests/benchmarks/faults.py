"""Which measure notices which fault: eight faults are planted in real recordings, and everything is measured.

Two tables. In the first the recording itself is damaged and compared with itself, as a vocoder's copy is; a measure
that notices nothing there notices nothing at all. In the second another take of the same sentence is damaged, which
differs from the recording as any good voice does; what is marked there would be noticed in a voice.

A star marks what is significantly worse than the same speech without the fault (95 %, sentences resampled). WORLD
takes speech apart to make it slower or higher, so those two are compared with WORLD's speech as it was.

Run: python tests/benchmarks/faults.py [--quick] [--json] [--clips N] [--phones FILE] [--mos NAME=FILE ...]
Needs the recordings in ../shared/data.
"""

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests import faults  # noqa: E402
from tts.audio.files import read_wave  # noqa: E402
from tts.config import load_recipe  # noqa: E402
from tts.evaluation import recognition  # noqa: E402
from tts.evaluation.closeness import Closeness  # noqa: E402
from tts.evaluation.language_model import text_of  # noqa: E402
from tts.evaluation.measures import Judge, Measure, Part, Take, Text, difference, estimate  # noqa: E402
from tts.evaluation.naturalness import Naturalness  # noqa: E402
from tts.evaluation.phone_recognizer import PhoneErrors  # noqa: E402
from tts.text.frontend import Frontend  # noqa: E402

DATA = ROOT.parent / "shared/data"
AUDIO = load_recipe("ljspeech").audio
LONGEST = 6.0  # seconds
ALIGNED = {"real", "noise 10 dB", "clipped", "below 4 kHz", "griffin-lim", "griffin-lim, noise"}
UNDAMAGED = {"slower 10 %": "world", "higher 2 st": "world", "griffin-lim, noise": "griffin-lim"}  # others: real

Parts = dict[str, dict[str, list[Part | None]]]  # system -> measure -> a part for each sentence


class Clip(NamedTuple):
    """A sentence, its recording, and the speech that is damaged."""

    text: Text
    reference: Tensor  # (T_wave,)
    wave: Tensor  # (T_wave,)
    words: list[faults.Word]  # of `wave`


def ljspeech(frontend: Frontend, n_clips: int) -> list[Clip]:
    """Recordings to be compared with themselves, with the times of their words."""
    folder = DATA / "ljspeech-350"
    clips = []
    for id, text in _metadata(folder):
        wave = read_wave(folder / f"wavs/{id}.flac", AUDIO.sample_rate)
        words = faults.read_words(folder / f"TextGrid/{id}.TextGrid")
        if len(wave) <= LONGEST * AUDIO.sample_rate and len(words) >= 6:
            clips.append(Clip(text_of(id, text, "held out", frontend), wave, wave, words))
    return clips[:n_clips]


def kathleen(frontend: Frontend, n_clips: int) -> list[Clip]:
    """Sentences that were read twice: the second reading is damaged and compared with the first."""
    folder = DATA / "kathleen"
    takes = defaultdict(list)
    for id, text in _metadata(folder):
        takes[text].append(id)
    clips = []
    for text, ids in takes.items():
        if len(ids) >= 2 and len(clips) < n_clips:
            first, second = (read_wave(folder / f"wavs/{id}.flac", AUDIO.sample_rate) for id in ids[:2])
            words = faults.find_pieces(second, AUDIO.sample_rate)
            clips.append(Clip(text_of(ids[0], text, "held out", frontend), first, second, words))
    return clips


def _metadata(folder: Path) -> list[list[str]]:
    lines = (folder / "metadata.csv").read_text(encoding="utf-8").splitlines()
    return [[line.split("|")[0], line.split("|")[2]] for line in lines]


def spoken(clip: Clip, another: Clip) -> dict[str, Tensor]:
    """The speech of a clip, as it was and with each fault."""
    wave, rate, words = clip.wave, AUDIO.sample_rate, clip.words
    copy = faults.copied(wave, AUDIO)
    return {
        "real": wave,
        "noise 10 dB": faults.noise(wave),
        "clipped": faults.clipped(wave),
        "below 4 kHz": faults.low_passed(wave, rate),
        # Every tenth word, and at least one of every sentence.
        "word cut out": faults.without(wave, rate, words[min(9, len(words) // 2) :: 10]),
        "word repeated": faults.repeated(wave, rate, words[len(words) // 2]),
        "world": faults.revoiced(wave, rate),
        "slower 10 %": faults.revoiced(wave, rate, slower=1.1),
        "higher 2 st": faults.revoiced(wave, rate, semitones=2),
        "wrong text": another.wave,
        "griffin-lim": copy,
        "griffin-lim, noise": faults.noise(copy),
    }


def judges(arguments: argparse.Namespace, texts: Sequence[Text], folder: Path) -> list[Judge]:
    """Every judge that is there, and why another is not."""
    closeness, naturalness = Closeness(), Naturalness({name: Path(path) for name, path in arguments.mos})
    found: list[Judge] = [closeness, naturalness]
    absent = closeness.missing() | naturalness.missing()
    if reason := recognition.missing():
        absent["wer"] = reason
    else:
        recognition.build_language_model(texts, folder)
        found.append(recognition.Intelligibility(folder))
    if arguments.phones:
        found.append(PhoneErrors(arguments.phones))
    else:
        absent["per"] = "no --phones FILE"
    for name, reason in absent.items():
        print(f"without {name}: {reason}")
    return found


def listen(clips: Sequence[Clip], panel: Sequence[Judge], same: bool) -> Parts:
    """Every judge on every fault of every clip; `same`: the damaged speech is the recording itself."""
    parts: Parts = defaultdict(lambda: defaultdict(list))
    for number, clip in enumerate(clips):
        for system, wave in spoken(clip, clips[number - 1]).items():
            copied = same and system in ALIGNED
            take = Take(clip.text, system, wave, AUDIO.sample_rate, clip.reference, copied)
            found = {name: part for judge in panel for name, part in judge(take).parts.items()}
            for measure in measures_of(panel):
                parts[system][measure.name].append(found.get(measure.name))
    return parts


def measures_of(panel: Sequence[Judge]) -> list[Measure]:
    return [measure for judge in panel for measure in judge.measures]


def figure(measure: Measure, parts: Parts, system: str) -> tuple[float, bool] | None:
    """A measure of a system, and whether it is worse than without the fault; None if it has none."""
    ours = parts[system][measure.name]
    theirs = parts[UNDAMAGED.get(system, "real")][measure.name]
    told = [part for part in ours if part is not None]
    if not told:
        return None
    both = [(a, b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
    worse = bool(both) and difference(measure, *map(list, zip(*both, strict=True))).verdict == "worse"
    return estimate(measure, told).value, worse


def show(title: str, parts: Parts, panel: Sequence[Judge]) -> dict[str, dict[str, dict[str, float | bool]]]:
    """Print a table; the same as values."""
    measures = [m for m in measures_of(panel) if any(figure(m, parts, system) for system in parts)]
    print(f"\n{title}")
    print(" " * 20 + "".join(f"{_short(measure.name):>9} " for measure in measures))
    table: dict[str, dict[str, dict[str, float | bool]]] = {}
    for system in parts:
        row = {measure.name: figure(measure, parts, system) for measure in measures}
        cells = (f"{found[0]:9.3f}{'*' if found[1] else ' '}" if found else " " * 10 for found in row.values())
        print(f"{system:20}" + "".join(cells))
        table[system] = {name: {"value": found[0], "worse": found[1]} for name, found in row.items() if found}
    return table


def _short(name: str) -> str:
    return name.replace("correlation", "corr").replace("duration_ratio", "duration").replace("mos_", "")[:9]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 clips of each: minutes, and less sure")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--clips", type=int, default=20, help="of each speaker")
    parser.add_argument("--phones", type=Path, help="a phone recogniser")
    parser.add_argument("--mos", nargs="*", default=[], type=lambda pair: pair.split("=", 1), metavar="NAME=FILE")
    arguments = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"there are no recordings at {DATA}")
    torch.set_num_threads(1)
    frontend = Frontend(load_recipe("ljspeech").text)
    n_clips = 5 if arguments.quick else arguments.clips
    titles = {
        "LJSpeech, against itself": (ljspeech(frontend, n_clips), True),
        "Kathleen, a second reading against the first": (kathleen(frontend, n_clips), False),
    }
    tables: Mapping[str, object] = {}
    for title, (clips, same) in titles.items():
        with tempfile.TemporaryDirectory() as folder:
            panel = judges(arguments, [clip.text for clip in clips], Path(folder))
            tables = {**tables, title: show(f"{title}: {len(clips)} clips", listen(clips, panel, same), panel)}
    if arguments.json:
        print(json.dumps(tables))


if __name__ == "__main__":
    main()
