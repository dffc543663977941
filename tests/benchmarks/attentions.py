"""How soon each attention aligns on a corpus, and how often the young voice fails, over several seeds.

Run: python tests/benchmarks/attentions.py [ROOT] [--recipe kathleen_small] [--steps 300] [--seeds 3] [--quick] [--json]

A run that is there already, in --runs, is not trained again. Pictures of two of them:
python -m tts plot runs/attentions/location_sensitive-0 runs/attentions/dynamic_convolution-0
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tts.checkpoint import find_half, read_facts
from tts.data.manifest import load_prepared
from tts.decoding import TRIES, Decoded
from tts.evaluation.hard import HARD
from tts.evaluation.plots import read_curves
from tts.synthesis import Synthesizer

ATTENTIONS = ("location_sensitive", "dynamic_convolution")
EVERY = 25  # steps between validations: how finely the step of alignment is told


class Outcome(NamedTuple):
    """One run."""

    aligned_at: int | None  # step; None: not within the steps
    minutes: float | None  # of training until then
    focus: float  # free-running, at the end
    coverage: float
    mel: float  # loss on held-out sentences, at the end
    failing: float  # share of them that failed at the first try, at the end
    best_step: int  # of the checkpoint with the fewest failures, which speaks
    held_out: tuple[int, int]  # sentences that failed then, before and after retries
    hard: tuple[int, int]


def train(run: Path, arguments: argparse.Namespace, attention: str, seed: int) -> None:
    """Nothing happens to a run that is finished."""
    command = [sys.executable, "-m", "tts", "train", f"recipe={arguments.recipe}", f"run={run}", f"seed={seed}"]
    stage = {"heard": 0, "validate_every": EVERY, "checkpoint_every": 100, "max_steps": arguments.steps}
    command += [f"trainer.acoustic.{name}={value}" for name, value in stage.items()]
    command += [f"acoustic.attention.name={attention}", "stages=[prepare,acoustic]"]
    command += [f"data.root={arguments.root}"] if arguments.root else []
    subprocess.run(command, check=True)


def failed(decoded: list[Decoded]) -> tuple[int, int]:
    return sum(bool(made.first_failures) for made in decoded), sum(bool(made.failures) for made in decoded)


def judge(run: Path) -> Outcome:
    voice = Synthesizer.load(run, vocoder="griffin_lim")
    half = find_half(run, "acoustic")
    assert half is not None
    facts = read_facts(half.with_name("last.safetensors"))
    clips = load_prepared(run, voice.audio, voice.frontend.fingerprint).split("held_out")
    hard = [voice.frontend(text) for texts in HARD.values() for text in texts]
    curves = read_curves(run)
    at_the_end = ("free_running/focus", "free_running/coverage", "mel", "failures")
    return Outcome(
        facts["aligned_at"],
        facts.get("aligned_minutes"),
        *(float(curves[f"acoustic/val/{name}"].values[-1]) for name in at_the_end),
        read_facts(half)["step"],
        failed(voice.decode(clips, tries=TRIES)),
        failed(voice.decode(hard, tries=TRIES)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", default="", help="folder of the corpus; default the recipe's")
    parser.add_argument("--recipe", default="kathleen_small")
    parser.add_argument("--runs", type=Path, default=Path("runs/attentions"))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one seed")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    found: dict[str, Outcome] = {}
    for seed in range(1 if arguments.quick else arguments.seeds):
        for attention in ATTENTIONS:
            run = arguments.runs / f"{attention}-{seed}"
            train(run, arguments, attention, seed)
            found[run.name] = judge(run)
    n_hard = sum(len(texts) for texts in HARD.values())
    print(f"{arguments.recipe}, {arguments.steps} steps; failed: before > after retries, at the best; {n_hard} hard")
    print(f"{'attention-seed':26} aligned at  minutes  focus  coverage   mel  failing  best at  held out    hard")
    for name, one in found.items():
        at, minutes = one.aligned_at or "never", f"{one.minutes:.1f}" if one.minutes else ""
        held_out, hard = (f"{before} > {after}" for before, after in (one.held_out, one.hard))
        end = f"{one.focus:6.2f} {one.coverage:9.2f} {one.mel:5.2f} {one.failing:8.0%}"
        print(f"{name:26} {at:>10} {minutes:>8} {end} {one.best_step:8}  {held_out:9} {hard:>7}")
    if arguments.json:
        print(json.dumps({name: one._asdict() for name, one in found.items()}))


if __name__ == "__main__":
    main()
