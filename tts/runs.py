"""Run folders: which recipe and folder a command line means, and what may change when a run goes on.

A run folder holds `recipe.yaml` (resolved), `data/`, `acoustic/`, `vocoder/`, `tensorboard/`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tts.atomic import write_atomically
from tts.config import differences, from_yaml, load_recipe, to_yaml
from tts.errors import ConfigError
from tts.settings import Recipe

RUNS = Path("runs")
# What a resumed run may change: how long and where it trains, not what it is.
CHANGEABLE = ("about", "trainer.", "stages", "data.root", "data.cache", "data.workers", "data.allow_missing")
FIXED = ("trainer.acoustic.reduction",)


class Plan(NamedTuple):
    """What to train, where."""

    recipe: Recipe
    run: Path
    resumed: bool


def plan_run(name: str, overrides: Sequence[str], run: str = "") -> Plan:
    """Resolve `recipe=NAME`, `recipe=PATH.yaml` or `recipe=RUN_FOLDER` with its overrides.

    Raises:
        ConfigError: for anything unknown, or a change that the run in the folder cannot take.
    """
    folder = Path(name)
    if (folder / "recipe.yaml").is_file():
        if run:
            raise ConfigError(
                f"recipe={name} goes on in that folder; to repeat it elsewhere: recipe={name}/recipe.yaml"
            )
        stored = read_recipe(folder)
        wanted = from_yaml(Recipe, to_yaml(stored), str(folder / "recipe.yaml"), overrides)
        return Plan(check_resume(stored, wanted, folder), folder, True)
    if folder.is_dir():
        raise ConfigError(f"{name} is a folder without recipe.yaml, so no run; `python train.py` lists the recipes")
    recipe = load_recipe(name, overrides)
    target = Path(run) if run else default_folder(Path(name))
    if (target / "recipe.yaml").is_file():
        return Plan(check_resume(read_recipe(target), recipe, target), target, True)
    return Plan(recipe, target, False)


def default_folder(name: Path) -> Path:
    """`runs/NAME`; for the recipe stored in a run, the first free `RUN-2`, `RUN-3`, ..."""
    if name.name != "recipe.yaml":
        return RUNS / name.stem
    number = 2
    while Path(f"{name.parent}-{number}").exists():
        number += 1
    return Path(f"{name.parent}-{number}")


def check_resume(stored: Recipe, wanted: Recipe, folder: Path) -> Recipe:
    """The recipe to go on with, or an error that names what may not change."""
    changed = [key for key in differences(stored, wanted) if not key.startswith(CHANGEABLE) or key.startswith(FIXED)]
    if changed:
        raise ConfigError(
            f"{folder} holds a run with another {', '.join(changed)}; for a new run name another folder: run=runs/NEW"
        )
    return wanted


def read_recipe(folder: Path) -> Recipe:
    """The resolved recipe of a run folder."""
    path = folder / "recipe.yaml"
    return from_yaml(Recipe, path.read_text(encoding="utf-8"), str(path))


def write_recipe(recipe: Recipe, folder: Path) -> None:
    """Store the resolved recipe with the run, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "recipe.yaml", to_yaml(recipe).encode())


def newest_voice() -> Path:
    """The run whose acoustic model was written last, or else the shipped voice.

    Raises:
        ConfigError: if nothing has been trained yet.
    """
    package = Path(__file__).parent.parent
    for places in (RUNS.glob("*/acoustic/*.safetensors"), (package / "checkpoints").glob("*/acoustic/*.safetensors")):
        files = sorted(places, key=lambda path: path.stat().st_mtime)
        if files:
            return files[-1].parents[1]
    raise ConfigError("no voice has been trained here yet; train one first: python train.py recipe=demo")
