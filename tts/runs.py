"""Run folders: which recipe and folder a command line means, and what may change when a run goes on.

A run folder holds `recipe.yaml` (resolved), `data/`, `acoustic/`, `vocoder/`, `tensorboard/`, and `gta/` after that
stage.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tts.atomic import write_atomically
from tts.config import differences, load_recipe, recipe_from_yaml, to_yaml, yaml_files
from tts.errors import ConfigError
from tts.settings import STAGES, Recipe, Share

RUNS = Path("runs")
VOICE_FILE = "voice.yaml"  # that makes a folder a voice to give away
# What each half is made of; once it has been trained, these keys are what they are.
MADE_OF = {
    "acoustic": ("init_from", "seed", "audio.", "text.", "data.", "acoustic.", "trainer.acoustic.reduction"),
    "vocoder": ("init_from", "seed", "audio.", "data.", "vocoder."),
    "gta": ("seed", "audio.", "text.", "data.", "acoustic.", "vocoder."),
}
CHANGEABLE = (
    "data.root",
    "data.cache",
    "data.workers",
    "data.allow_missing",
    "data.shards",
)  # not what it is, but where


class Plan(NamedTuple):
    """What to train, where."""

    recipe: Recipe
    run: Path
    resumed: bool
    stored: Recipe  # what recipe.yaml shall say: all stages of the recipe, also where this command asks for fewer
    share: Share | None = None  # prepare this much of the corpus, and do nothing else


def plan_run(name: str, overrides: Sequence[str], run: str = "") -> Plan:
    """Resolve `recipe=NAME`, `recipe=PATH.yaml` or `recipe=RUN_FOLDER` with its overrides.

    Raises:
        ConfigError: for anything unknown, or a change that the run in the folder cannot take.
    """
    folder = Path(name)
    of_recipe = [override for override in overrides if not override.startswith("stages=")]
    if name and (folder / "recipe.yaml").is_file():
        if run:
            raise ConfigError(
                f"recipe={name} goes on in that folder; to repeat it elsewhere: recipe={name}/recipe.yaml"
            )
        wanted, whole = (read_recipe(folder, keys) for keys in (overrides, of_recipe))
        target = folder
    elif name not in yaml_files("recipes") and folder.is_dir() and name:
        raise ConfigError(f"{name} is a folder without recipe.yaml, so no run; `python train.py` lists the recipes")
    else:
        wanted, whole = (load_recipe(name, keys) for keys in (overrides, of_recipe))
        target = Path(run) if run else default_folder(folder)
    resumed = (target / "recipe.yaml").is_file()
    if resumed:
        check_resume(read_recipe(target), wanted, target)
    stages = [stage for stage in STAGES if stage in (*whole.stages, *wanted.stages)]
    return Plan(wanted, target, resumed, replace(wanted, stages=stages))


def default_folder(name: Path) -> Path:
    """`runs/NAME`; for the recipe stored in a run, the first free `RUN-2`, `RUN-3`, ..."""
    if name.name != "recipe.yaml":
        return RUNS / name.stem
    number = 2
    while Path(f"{name.parent}-{number}").exists():
        number += 1
    return Path(f"{name.parent}-{number}")


def check_resume(stored: Recipe, wanted: Recipe, folder: Path) -> None:
    """Refuse to go on as something else than what the halves trained so far are made of."""
    fixed = [key for half, keys in MADE_OF.items() if (folder / half / "last.ckpt").is_file() for key in keys]
    changed = [
        key for key in differences(stored, wanted) if key.startswith(tuple(fixed)) and not key.startswith(CHANGEABLE)
    ]
    if changed:
        raise ConfigError(
            f"{folder} holds a run with another {', '.join(changed)}; for a new run name another folder: run=runs/NEW"
        )


def read_recipe(folder: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The resolved recipe of a run folder."""
    path = folder / "recipe.yaml"
    return recipe_from_yaml(path.read_text(encoding="utf-8"), str(path), overrides)


def write_recipe(recipe: Recipe, folder: Path) -> None:
    """Store the resolved recipe with the run, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "recipe.yaml", to_yaml(recipe).encode())


def default_voice() -> Path:
    """The shipped voice, or else the run whose acoustic model was written last.

    Raises:
        ConfigError: if there is neither.
    """
    found = shipped(f"*/{VOICE_FILE}")
    return found[0].parent if found else newest_run()


def shipped(pattern: str) -> list[Path]:
    """Trained files that come with the program: as it was installed, or in a clone."""
    package = Path(__file__).parent
    return [path for place in (package, package.parent) for path in sorted((place / "checkpoints").glob(pattern))]


def newest_run() -> Path:
    """The run whose acoustic model was written last. Raises ConfigError if nothing has been trained yet."""
    files = sorted(RUNS.glob("*/acoustic/*.safetensors"), key=lambda path: path.stat().st_mtime)
    if not files:
        raise ConfigError("no voice has been trained here yet; train one first: python train.py recipe=demo")
    return files[-1].parents[1]
