"""A recipe's stages, one after the other: prepare, acoustic, vocoder, gta."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from tts import ranks
from tts.checkpoint import Kind, build_vocoder, find_trained, load_acoustic, read_facts
from tts.data.manifest import Prepared, load_prepared
from tts.data.matching import texts_and_durations
from tts.data.prepare import prepare, prepare_share
from tts.data.preview import read_corpus, set_aside
from tts.data.shards import write_shards
from tts.data.streamed import Streamed, open_streamed
from tts.errors import CheckpointError, ConfigError, TTSError
from tts.runs import Plan, write_recipe
from tts.settings import Recipe, Share
from tts.text.frontend import Frontend
from tts.text.lexicon import keep_lexicon
from tts.training.fit import (
    Outcome,
    device_of_training,
    fit_acoustic,
    fit_gta,
    fit_vocoder,
    is_finished,
    quiet_lightning,
    read_training_state,
)
from tts.training.gta import FOLDER, Mels, fingerprint, write_mels
from tts.training.launch import launch
from tts.training.warm_start import find_starts

StageName = Literal["acoustic", "vocoder", "gta"]
KINDS: tuple[Kind, ...] = ("acoustic", "vocoder")
Say = Callable[[str], None]


def carry_out(plan: Plan, say: Say) -> bool:
    """Run every stage that the recipe names. Returns False where Ctrl-C ended it.

    Raises:
        TTSError: for anything the user can mend; nothing has been written when the corpus is not there.
    """
    quiet_lightning()
    launch(plan.recipe.trainer)
    plan = ranks.of_first(plan)  # a free folder's name may be another one a moment later
    try:
        return _stages(plan, say if ranks.rank() == 0 else _mute)
    except KeyboardInterrupt:
        say(f"interrupted; go on with: {_command(plan)}")
        return False
    except RuntimeError as error:
        if ranks.n_ranks() == 1 or not any(name in str(error).lower() for name in ("gloo", "nccl", "connection")):
            raise
        raise TTSError(
            f"process {ranks.rank()} of {ranks.n_ranks()} has lost another one, which died or cannot be reached; see "
            f"what it said, then go on with: {_command(plan)}"
        ) from None


def _mute(line: str) -> None:
    """What a process says that is not the first."""


def _command(plan: Plan) -> str:
    """How to go on: with the same stages, where the recipe has others too."""
    some = f" stages=[{','.join(plan.recipe.stages)}]" if plan.recipe.stages != plan.stored.stages else ""
    return f"python train.py recipe={plan.run}{some}"


def _stages(plan: Plan, say: Say) -> bool:
    recipe, run, stages = plan.recipe, plan.run, plan.recipe.stages
    frontend = Frontend(recipe.text)
    if plan.share:
        if ranks.n_ranks() > 1:
            raise ConfigError("shard= prepares in processes of its own (data.workers); leave trainer.devices out")
        _prepare_share(plan, plan.share, frontend, say)
        return True
    # Asked before the hours that come first: a vocoder that does not fit the mel contract is refused here.
    trainable = not {"vocoder", "gta"} & set(stages) or build_vocoder(recipe).trainable
    starts = find_starts(recipe, run, frontend.symbols, say)
    streamed = open_streamed(recipe, frontend)
    prepared = ranks.first_does(lambda: _prepared(plan, frontend, streamed, say))
    source = streamed.source(prepared, run) if streamed else None
    if "acoustic" in stages and not _train(
        plan, "acoustic", say, lambda: fit_acoustic(recipe, run, prepared, frontend, starts.acoustic, say, source)
    ):
        return False
    if not trainable:
        say(f"vocoder: {recipe.vocoder.name} has nothing to train")
        return True
    if "vocoder" in stages and not _train(
        plan, "vocoder", say, lambda: fit_vocoder(recipe, run, prepared, starts.vocoder, say, source)
    ):
        return False
    if "gta" in stages:
        return _tune(plan, prepared, say)
    _tell_if_outdated(run, say)
    return True


def _prepared(plan: Plan, frontend: Frontend, streamed: Streamed | None, say: Say) -> Prepared:
    """The corpus, prepared now or before; of one that is streamed, what the run keeps."""
    recipe, run = plan.recipe, plan.run
    if "prepare" not in recipe.stages:
        prepared = load_prepared(run, recipe.audio, frontend.fingerprint)
        write_recipe(plan.stored, run)
        keep_lexicon(recipe.text, run)
        return prepared
    if streamed:
        write_recipe(plan.stored, run)
        prepared = streamed.prepare(run)
        keep_lexicon(recipe.text, run)
        say(f"streaming {recipe.data.shards or recipe.data.corpus}; {len(prepared.clips)} clips of it are at hand")
        return prepared
    utterances = read_corpus(recipe.data, say)
    write_recipe(plan.stored, run)
    prepared = prepare(recipe, run, set_aside(utterances, run / "data", say), frontend)
    keep_lexicon(recipe.text, run)
    say(f"prepared {len(prepared.clips)} clips, {prepared.hours('train'):.2f} h to train on: {run}/data/report.md")
    fit = texts_and_durations(prepared.clips)
    if fit.advice:
        say(f"warning: {fit.measured}; {fit.advice}")
    if recipe.data.format == "shards":
        folder = run / "data" / "shards"
        n_shards = write_shards(prepared, folder, recipe.data.shard_mb * 10**6)
        say(f"wrote {n_shards} shards; serve or copy {folder}, and train with data.shards=http://HOST/PATH or a folder")
    return prepared


def _prepare_share(plan: Plan, share: Share, frontend: Frontend, say: Say) -> None:
    """Fill the cache with what one of several machines is to make."""
    recipe, run = plan.recipe, plan.run
    utterances = read_corpus(recipe.data, say)
    write_recipe(plan.stored, run)
    done = prepare_share(recipe, run, set_aside(utterances, run / "data", say), frontend, share)
    for clip in done.left_out:
        say(f"of no use: {clip.id}: {clip.reason}")
    say(
        f"share {share.number} of {share.of}: {done.n_clips - len(done.left_out)} of its {done.n_clips} clips are in "
        f"{recipe.data.cache}; when all machines are done: {_command(plan)}"
    )


def _train(plan: Plan, name: StageName, say: Say, fit: Callable[[], Outcome], anew: bool = False) -> bool:
    """Carry out a training unless it is finished. Returns False where Ctrl-C ended it."""
    run, stage = plan.run, getattr(plan.recipe.trainer, name)
    if not anew and is_finished(run, name, stage):
        longer = f"trainer.{name}.max_steps={2 * stage.max_steps}"
        longer += f" trainer.{name}.max_minutes={2 * stage.max_minutes:g}" if stage.max_minutes else ""
        say(f"{name}: already trained to the end; train on with {longer}")
        return True
    outcome = fit()
    if outcome.interrupted:
        say(f"{name}: saved at step {outcome.step}; go on with: {_command(plan)}")
        return False
    skipped = f", {outcome.bad_steps} non-finite steps skipped" if outcome.bad_steps else ""
    say(f"{name}: trained to step {outcome.step}{skipped}")
    return True


def _tune(plan: Plan, prepared: Prepared, say: Say) -> bool:
    """Fine-tune the vocoder on teacher-forced mels; anew where one of the halves has changed since it was begun."""
    recipe, run = plan.recipe, plan.run
    halves: dict[Kind, Path] = {kind: _needed(run, kind) for kind in KINDS}
    made_from = {kind: fingerprint(path) for kind, path in halves.items()}
    state = read_training_state(run / FOLDER / "last.ckpt")
    changed = _changed(state["task"]["facts"], made_from) if state else []
    if changed:
        say(f"gta: the {' and the '.join(changed)} half has changed since it was begun, so it begins anew")

    def fit() -> Outcome:
        mels = _mels(recipe, run, halves["acoustic"], made_from, prepared, say)
        if changed or state is None:  # not before there are mels: until then the voice speaks as it did
            ranks.first_does(lambda: _forget(run / FOLDER))
        return fit_gta(recipe, run, prepared, halves["vocoder"], mels)

    if not _train(plan, "gta", say, fit, anew=bool(changed)):
        return False
    best, last = (run / FOLDER / f"{name}.safetensors" for name in ("best", "last"))
    before = f"{read_facts(last)['bits_before']:.3f} bits per sample on teacher-forced mels of held-out clips"
    if best.is_file():
        say(f"gta: {before}, and {read_facts(best)['validation']['loss']:.3f} now; {best} speaks")
    else:
        say(f"gta: {before}, and no better now; {halves['vocoder']} goes on speaking")
    return True


def _forget(folder: Path) -> None:
    """Remove what was trained in a folder."""
    for name in ("last.ckpt", "last.safetensors", "best.safetensors"):
        (folder / name).unlink(missing_ok=True)


def _mels(recipe: Recipe, run: Path, acoustic: Path, made_from: dict[Kind, str], prepared: Prepared, say: Say) -> Mels:
    """Teacher-forced mels of the corpus; the model is let go of before the vocoder is trained."""
    half = load_acoustic(acoustic)
    half.model.to(device_of_training(recipe.trainer.accelerator))
    mels = write_mels(run, half, made_from, prepared, recipe.trainer.gta.max_unaligned)
    listed = f", {len(mels.left_out)} left out because attention is not aligned: {run}/{FOLDER}/report.md"
    say(f"gta: teacher-forced mels of {mels.n_clips} clips{listed if mels.left_out else ''}")
    return mels


def _needed(run: Path, kind: Kind) -> Path:
    """A half that the stage gta is made from. Raises CheckpointError where there is none."""
    path = find_trained(run, kind)
    if path is None:
        raise CheckpointError(
            f"the stage gta needs both halves, and {run / kind} holds none; "
            f"train it first: python train.py recipe={run} stages=[{kind}]"
        )
    return path


def _changed(facts: Mapping[str, Any], made_from: Mapping[Kind, str]) -> list[str]:
    """The halves that are not those that fine-tuning began with."""
    return [kind for kind in KINDS if facts["made_from"][kind] != made_from[kind]]


def _tell_if_outdated(run: Path, say: Say) -> None:
    """Where a fine-tuned vocoder speaks, and the halves have been trained on since."""
    best = run / FOLDER / "best.safetensors"
    found = {kind: path for kind in KINDS if (path := find_trained(run, kind))}
    if not best.is_file() or len(found) < len(KINDS):
        return
    if changed := _changed(read_facts(best), {kind: fingerprint(path) for kind, path in found.items()}):
        say(
            f"{best} speaks, and was fine-tuned before the {' and the '.join(changed)} half changed; "
            f"fine-tune again: python train.py recipe={run} stages=[gta]"
        )
