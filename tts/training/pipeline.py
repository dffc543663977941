"""A recipe's stages, one after the other: prepare, acoustic, vocoder."""

import importlib
from collections.abc import Callable
from pathlib import Path

from tts.data.manifest import Prepared, load_prepared
from tts.data.prepare import prepare
from tts.runs import Plan, write_recipe
from tts.settings import Recipe
from tts.text.frontend import Frontend
from tts.training.fit import Outcome, fit_acoustic, fit_vocoder, is_finished

Say = Callable[[str], None]


def carry_out(plan: Plan, say: Say) -> bool:
    """Run every stage that the recipe names. Returns False where Ctrl-C ended it.

    Raises:
        TTSError: for anything the user can mend; nothing has been written when the corpus is not there.
    """
    recipe, run = plan.recipe, plan.run
    frontend = Frontend(recipe.text)
    corpus = importlib.import_module(f"tts.corpora.{recipe.data.corpus}")
    utterances = list(corpus.read(recipe.data)) if "prepare" in recipe.stages else []
    write_recipe(recipe, run)
    prepared: Prepared
    if "prepare" in recipe.stages:
        prepared = prepare(recipe, run, utterances, frontend)
        say(f"prepared {len(prepared.clips)} clips, {prepared.hours('train'):.2f} h to train on: {run}/data/report.md")
    else:
        prepared = load_prepared(run, recipe.audio, frontend.fingerprint)
    if "acoustic" in recipe.stages and not _train(
        recipe, run, "acoustic", say, lambda: fit_acoustic(recipe, run, prepared, frontend)
    ):
        return False
    return not (
        "vocoder" in recipe.stages
        and not _train(recipe, run, "vocoder", say, lambda: fit_vocoder(recipe, run, prepared))
    )


def _train(recipe: Recipe, run: Path, kind: str, say: Say, fit: Callable[[], Outcome]) -> bool:
    stage = recipe.trainer.acoustic if kind == "acoustic" else recipe.trainer.vocoder
    if is_finished(run, kind, stage):
        say(f"{kind}: already trained to the end; train on with trainer.{kind}.max_steps={2 * stage.max_steps}")
        return True
    outcome = fit()
    if outcome.interrupted:
        say(f"{kind}: saved at step {outcome.step}; go on with: python train.py recipe={run}")
        return False
    skipped = f", {outcome.bad_steps} non-finite steps skipped" if outcome.bad_steps else ""
    say(f"{kind}: trained to step {outcome.step}{skipped}")
    return True
