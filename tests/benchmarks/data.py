"""How fast and how small the data path is: mels, preparing, the start of a training, and waiting for batches.

Real clips are taken where ../shared/data/ljspeech-350 is there, tones and noise else. A larger corpus is made of
copies whose files differ in a few bytes, so that each is decoded, cleaned and stored again. Speeds are given by CPU
time, which other programs on the machine change little; the time on the clock stands beside them.

Run: python tests/benchmarks/data.py [--quick] [--json] [--hours 24] [--lines 1000000] [--folder FOLDER]
--hours is of FLAC to prepare; a folder needs 0.4 GB for each, and 5 GB for a million lines.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tts.audio.files import read_recording  # noqa: E402
from tts.audio.mel import mel_spectrogram  # noqa: E402
from tts.config import load_recipe  # noqa: E402

REAL = ROOT.parent / "shared/data/ljspeech-350"
AUDIO = load_recipe("ljspeech_small").audio
CORES = 2  # that the speed of preparing is given for
STREAM_INFO = 42  # bytes of a FLAC file: its mark and the block that every one begins with
SCALES = (1, 4, 16)

# Each of these is a process of its own, so that its time and memory are all that it needs.
PREPARE = """
import resource, sys, time
from pathlib import Path
from tts.config import load_recipe
from tts.corpora import own
from tts.data.prepare import prepare
from tts.text.frontend import Frontend
root, run, cache, workers = sys.argv[1:]
recipe = load_recipe("own", [f"data.root={root}", f"data.cache={cache}", f"data.workers={workers}"])
frontend = Frontend(recipe.text)
used = lambda who: sum(resource.getrusage(who)[:2])
began, before = time.monotonic(), used(resource.RUSAGE_SELF)
prepared = prepare(recipe, Path(run), own.read(recipe.data), frontend, progress=False)
seconds = time.monotonic() - began
mine, theirs = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
print(repr(dict(
    hours=prepared.hours("train") + prepared.hours("held_out"), clips=len(prepared.clips), seconds=seconds,
    cpu=used(mine) - before + used(theirs), mb=resource.getrusage(mine)[2] / 1024,
    worker_mb=resource.getrusage(theirs)[2] / 1024,
)))
"""
EPOCH = """
import resource, sys, time
from pathlib import Path
from tts.config import load_recipe
from tts.data.loaders import acoustic_loader
from tts.data.manifest import load_prepared
from tts.text.frontend import Frontend
recipe = load_recipe("own")
prepared = load_prepared(Path(sys.argv[1]), recipe.audio, Frontend(recipe.text).fingerprint)
train = prepared.split("train")
began, left = time.process_time(), len(train)
for batch in acoustic_loader(train, recipe.audio, recipe.trainer.acoustic, 0, 0, prepared.speakers):
    left -= len(batch.ids)
    if left <= 0:
        break
print(repr(dict(cpu=time.process_time() - began, mb=resource.getrusage(resource.RUSAGE_SELF)[2] / 1024)))
"""
START = """
import time
began = time.monotonic()
import resource, sys
from pathlib import Path
from tts.config import load_recipe
from tts.data.loaders import acoustic_loader, vocoder_loader
from tts.data.manifest import load_prepared
from tts.text.frontend import Frontend
from tts.training.fit import lengths_of
recipe = load_recipe("own")
prepared = load_prepared(Path(sys.argv[1]), recipe.audio, Frontend(recipe.text).fingerprint)
train, held_out = prepared.split("train"), list(prepared.split("held_out"))
lengths_of(prepared)
acoustic = acoustic_loader(train, recipe.audio, recipe.trainer.acoustic, 0, 0, prepared.speakers)
first = [train[index].ids for index in next(iter(acoustic.batch_sampler))]
vocoder = vocoder_loader(train, recipe.audio, recipe.trainer.vocoder, 2, 8, 0)
segments = next(iter(vocoder.batch_sampler))
print(repr(dict(
    seconds=time.monotonic() - began, cpu=time.process_time(),
    mb=resource.getrusage(resource.RUSAGE_SELF)[2] / 1024,
)))
"""
WAIT = """
import sys, time
import tts.training.fit as fit
from tts.cli import main
class Timed(fit.ProgressLine):
    waited, began, steps = 0.0, 0.0, 0
    def on_train_batch_start(self, trainer, module, batch, number):
        super().on_train_batch_start(trainer, module, batch, number)
        if Timed.steps == 1:  # the first step also starts everything
            Timed.began = time.monotonic()
        if Timed.steps >= 1:
            Timed.waited += self._waits[-1]
        Timed.steps += 1
    def on_train_end(self, trainer, module):
        super().on_train_end(trainer, module)
        Timed.seconds = time.monotonic() - Timed.began
fit.ProgressLine = Timed
assert main(["train", *sys.argv[1:]]) == 0
print(repr(dict(waited=Timed.waited, seconds=Timed.seconds, steps=Timed.steps)))
"""


def measured(program: str, *arguments: object) -> dict[str, Any]:
    """What a program in a process of its own prints last."""
    here = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=here, cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}\n{done.stderr}")
    found: dict[str, Any] = eval(done.stdout.splitlines()[-1])
    return found


def clips(folder: Path, n_clips: int) -> list[tuple[Path, str]]:
    """FLAC files and their texts."""
    if REAL.is_dir():
        lines = (line.split("|") for line in (REAL / "metadata.csv").read_text(encoding="utf-8").splitlines())
        return [(REAL / f"wavs/{fields[0]}.flac", fields[-1]) for fields in lines][:n_clips]
    rng, found = np.random.default_rng(0), []
    for number in range(n_clips):
        time_axis = np.arange(round(rng.uniform(2, 10) * AUDIO.sample_rate)) / AUDIO.sample_rate
        tone = np.sin(2 * np.pi * rng.uniform(90, 250) * time_axis) * np.sin(9 * time_axis)
        path = folder / f"tone{number}.flac"
        soundfile.write(path, 0.3 * tone + 0.01 * rng.standard_normal(len(tone)), AUDIO.sample_rate)
        found.append((path, " ".join(rng.choice(["one", "two", "three", "four"], 2 + len(tone) // 9000))))
    return found


def copied(originals: list[tuple[Path, str]], root: Path, n_copies: int) -> Path:
    """A corpus of so many copies of each clip, no two files of which are the same."""
    (root / "wavs").mkdir(parents=True)
    lines = []
    for copy in range(n_copies):
        for path, text in originals:
            name = f"{path.stem}-{copy:04}"
            (root / f"wavs/{name}.flac").write_bytes(numbered(path.read_bytes(), copy))
            lines.append(f"{name}|{text}\n")
    (root / "metadata.csv").write_text("".join(lines), encoding="utf-8")
    return root


def numbered(flac: bytes, number: int) -> bytes:
    """A FLAC file with a number in a block of metadata that no decoder reads."""
    assert flac[:4] == b"fLaC", "an ordinary FLAC file"
    last = flac[4] & 0x80
    block = bytes([last | 2]) + (8).to_bytes(3, "big") + b"copy" + number.to_bytes(4, "big")
    return flac[:4] + bytes([flac[4] & 0x7F]) + flac[5:STREAM_INFO] + block + flac[STREAM_INFO:]


def mel_speed(originals: list[tuple[Path, str]], rounds: int) -> float:
    """Hours of decoded audio a minute of one core's time, the best of a few rounds."""
    waves = [read_recording(path).wave for path, _ in originals]
    hours = sum(map(len, waves)) / AUDIO.sample_rate / 3600
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        for wave in waves:
            mel_spectrogram(wave, AUDIO)
        best = min(best, time.process_time() - began)
    return hours / (best / 60)


def growth(originals: list[tuple[Path, str]], folder: Path) -> dict[int, dict[str, Any]]:
    """Preparing, and loading an epoch, of 1, 4 and 16 copies."""
    found = {}
    print(
        f"{'copies':>7} {'clips':>7} {'prepare: CPU s':>15} {'MB':>6} {'worker MB':>10} {'epoch: CPU s':>13} {'MB':>6}"
    )
    for scale in SCALES:
        root = copied(originals, folder / f"corpus{scale}", scale)
        prepared = measured(PREPARE, root, folder / f"run{scale}", folder / f"cache{scale}", CORES)
        epoch = measured(EPOCH, folder / f"run{scale}")
        found[scale] = {"prepare": prepared, "epoch": epoch}
        print(
            f"{scale:7} {prepared['clips']:7} {prepared['cpu']:15.1f} {prepared['mb']:6.0f} "
            f"{prepared['worker_mb']:10.0f} {epoch['cpu']:13.2f} {epoch['mb']:6.0f}",
            flush=True,
        )
    return found


def lengthen(run: Path, longer: Path, n_lines: int) -> None:
    """A run whose manifest has so many lines, each with an empty entry of its own: a start reads none."""
    cache = longer / "cache"
    cache.mkdir(parents=True)
    (longer / "data").mkdir()
    patterns = []
    for line in (run / "data/manifest.jsonl").read_text(encoding="utf-8").splitlines():
        clip = json.loads(line)
        clip |= {"cache_file": f"{cache}/%032x.safetensors", "id": f"{clip['id']}-%d"}
        patterns.append(json.dumps(clip).replace('"split": "held_out"', '"split": "train"') + "\n")
    patterns[0] = patterns[0].replace('"split": "train"', '"split": "held_out"', 1)
    with (longer / "data/manifest.jsonl").open("w", encoding="utf-8") as manifest:
        for number in range(n_lines):
            pattern = patterns[number % len(patterns) if number < len(patterns) else 1 + number % (len(patterns) - 1)]
            filled = pattern.replace("-%d", f"-{number}", 1).replace("%032x", f"{number:032x}", 1)
            manifest.write(filled)
            os.close(os.open(cache / f"{number:032x}.safetensors", os.O_CREAT | os.O_WRONLY))
    (longer / "data/statistics.json").write_bytes((run / "data/statistics.json").read_bytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="small numbers of everything: a minute or two, and less sure"
    )
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--hours", type=float, default=2.0, help="of FLAC to prepare")
    parser.add_argument("--lines", type=int, default=1_000_000, help="of the manifest whose start is timed")
    parser.add_argument("--steps", type=int, default=40, help="of the training whose waiting is timed")
    parser.add_argument("--folder", type=Path, help="for what is made on the way, instead of the system's")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.hours, arguments.lines, arguments.steps = 0.02, 2000, 3
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        found = measure(arguments, Path(name))
    if arguments.json:
        print(json.dumps(found))


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Everything, one after the other, with a line for each."""
    (folder / "tones").mkdir()
    originals = clips(folder / "tones", 12 if arguments.quick else 350)
    mels = mel_speed(originals, 2 if arguments.quick else 15)
    print(f"mels of decoded audio: {mels:.1f} hours a minute a core", flush=True)
    scales = growth(originals, folder)
    once = scales[1]["prepare"]["hours"]
    root = copied(originals, folder / "corpus", max(1, round(arguments.hours / once)))
    whole = measured(PREPARE, root, folder / "run", folder / "cache", CORES)
    speed = whole["hours"] * 60 * CORES / whole["cpu"]
    print(
        f"prepare {whole['hours']:.2f} h of FLAC: {speed:.1f} hours a minute by the CPU time of {CORES} cores, "
        f"{whole['hours'] * 60 / whole['seconds']:.1f} on the clock; {whole['mb']:.0f} MB, "
        f"workers {whole['worker_mb']:.0f}",
        flush=True,
    )
    lengthen(folder / "run1", folder / "long", arguments.lines)
    measured(START, folder / "long")  # writes the columns, as preparing does
    start = measured(START, folder / "long")
    print(
        f"start with {arguments.lines} lines: {start['seconds']:.1f} s on the clock, {start['cpu']:.1f} s of CPU time, "
        f"{start['mb']:.0f} MB at most",
        flush=True,
    )
    overrides = [f"data.root={folder / 'corpus1'}", f"data.cache={folder / 'cache1'}", f"run={folder / 'trained'}"]
    overrides += [f"trainer.acoustic.max_steps={arguments.steps}", "trainer.acoustic.heard=0", "data.held_out=2"]
    waits = measured(WAIT, "recipe=own", *overrides, "stages=[prepare,acoustic]")
    percent = 100 * waits["waited"] / waits["seconds"]
    print(f"waiting for data: {percent:.2f} % of {waits['steps']} steps of the small recipe's acoustic half")
    return {
        "mel_hours_per_minute_core": mels,
        "prepare_hours_per_minute": speed,
        "prepare_hours_per_minute_clock": whole["hours"] * 60 / whole["seconds"],
        "startup_s_1m": start["seconds"] * 1e6 / arguments.lines if not arguments.quick else start["seconds"],
        "startup_mb_1m": start["mb"],
        "data_wait_percent": percent,
        "growth": scales,
    }


if __name__ == "__main__":
    main()
