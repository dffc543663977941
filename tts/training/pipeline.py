"""A recipe's stages, one after the other: prepare, acoustic, vocoder."""

import importlib
from collections.abc import Callable
from pathlib import Path

from tts.checkpoint import Kind, build_vocoder
from tts.data.manifest import load_prepared
from tts.data.matching import texts_and_durations
from tts.data.prepare import prepare
from tts.runs import Plan, write_recipe
from tts.settings import Recipe
from tts.text.frontend import Frontend
from tts.training.fit import Outcome, fit_acoustic, fit_vocoder, is_finished
from tts.training.warm_start import find_starts

Say = Callable[[str], None]


def carry_out(plan: Plan, say: Say) -> bool:
    """Run every stage that the recipe names. Returns False where Ctrl-C ended it.

    Raises:
        TTSError: for anything the user can mend; nothing has been written when the corpus is not there.
    """
    try:
        return _stages(plan, say)
    except KeyboardInterrupt:
        say(f"interrupted; go on with: python train.py recipe={plan.run}")
        return False


def _stages(plan: Plan, say: Say) -> bool:
    recipe, run, stages = plan.recipe, plan.run, plan.recipe.stages
    frontend = Frontend(recipe.text)
    # Asked before the hours that come first: a vocoder that does not fit the mel contract is refused here.
    has_vocoder_to_train = "vocoder" in stages and build_vocoder(recipe).trainable
    starts = find_starts(recipe, run, frontend.symbols, say)
    if "prepare" in stages:
        corpus = importlib.import_module(f"tts.corpora.{recipe.data.corpus}")
        utterances = list(corpus.read(recipe.data))
        write_recipe(plan.stored, run)
        prepared = prepare(recipe, run, utterances, frontend)
        say(f"prepared {len(prepared.clips)} clips, {prepared.hours('train'):.2f} h to train on: {run}/data/report.md")
        fit = texts_and_durations(prepared.clips)
        if fit.advice:
            say(f"warning: {fit.measured}; {fit.advice}")
    else:
        prepared = load_prepared(run, recipe.audio, frontend.fingerprint)
        write_recipe(plan.stored, run)
    if "acoustic" in stages and not _train(
        recipe, run, "acoustic", say, lambda: fit_acoustic(recipe, run, prepared, frontend, starts.acoustic, say)
    ):
        return False
    if "vocoder" in stages and not has_vocoder_to_train:
        say(f"vocoder: {recipe.vocoder.name} has nothing to train")
    return not has_vocoder_to_train or _train(
        recipe, run, "vocoder", say, lambda: fit_vocoder(recipe, run, prepared, starts.vocoder, say)
    )


def _train(recipe: Recipe, run: Path, kind: Kind, say: Say, fit: Callable[[], Outcome]) -> bool:
    stage = recipe.trainer.acoustic if kind == "acoustic" else recipe.trainer.vocoder
    if is_finished(run, kind, stage):
        longer = f"trainer.{kind}.max_steps={2 * stage.max_steps}"
        longer += f" trainer.{kind}.max_minutes={2 * stage.max_minutes:g}" if stage.max_minutes else ""
        say(f"{kind}: already trained to the end; train on with {longer}")
        return True
    outcome = fit()
    if outcome.interrupted:
        say(f"{kind}: saved at step {outcome.step}; go on with: python train.py recipe={run}")
        return False
    skipped = f", {outcome.bad_steps} non-finite steps skipped" if outcome.bad_steps else ""
    say(f"{kind}: trained to step {outcome.step}{skipped}")
    return True
