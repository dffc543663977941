"""Carry out a training of a recipe: the models, the data and the watchers, put into Lightning's trainer."""

import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader
from tqdm import tqdm

from tts import ranks
from tts.batch import AcousticBatch, VocoderBatch
from tts.checkpoint import Stored, build_acoustic, build_vocoder, find_half, load_vocoder, read_speakers
from tts.config import differences
from tts.data.datasets import AcousticDataset, VocoderClip, collate_acoustic
from tts.data.late import LateBatch
from tts.data.loaders import acoustic_loader, vocoder_loader
from tts.data.manifest import Prepared, numbers
from tts.data.part import WHOLE, Part
from tts.data.stream import AcousticBatching, Source, VocoderBatching, stream_loader
from tts.decoding import Lengths
from tts.errors import CheckpointError, ConfigError
from tts.evaluation.quick import Listener, why_deaf
from tts.interfaces import Vocoder
from tts.layers import MaskedBatchNorm1d
from tts.settings import AudioConfig, Recipe, StageConfig, VocoderStage
from tts.speakers import list_speakers
from tts.synthesis import Synthesizer
from tts.text.frontend import Frontend
from tts.training.acoustic import AcousticTask
from tts.training.callbacks import Keeper, ProgressLine
from tts.training.gta import Mels
from tts.training.launch import environments, strategy_of_training
from tts.training.task import OneBatch, Score, Task
from tts.training.vocoder import VocoderTask, read_passages
from tts.training.warm_start import take_over
from tts.vocoder import griffin_lim

HELD_OUT_BATCHES = 4  # of segments, fixed, on which a vocoder is validated


class Outcome(NamedTuple):
    """How a training ended."""

    step: int
    interrupted: bool
    bad_steps: int


def fit_acoustic(
    recipe: Recipe,
    run: Path,
    prepared: Prepared,
    frontend: Frontend,
    start: Stored | None,
    say: Callable[[str], None],
    source: Source | None = None,
) -> Outcome:
    """Train the acoustic model, or go on where a training state lies in the run folder.

    Args:
        start: a half whose weights a new training begins with.
        say: told what of it was taken over.
        source: of the training batches, where the corpus is streamed.
    """
    stage = recipe.trainer.acoustic
    torch.manual_seed(recipe.seed)
    model = build_acoustic(recipe, len(frontend.symbols), len(prepared.speakers))
    model.scaler.fit(prepared.mel_mean, prepared.mel_std)
    _check_speakers(run, prepared.speakers)
    if start:
        say(take_over(model, start, frontend.symbols, prepared.speakers))
    clips = prepared.split("held_out")
    dataset = AcousticDataset(clips, recipe.audio, prepared.speakers)
    held_out = collate_acoustic([dataset[i] for i in range(len(clips))], recipe.audio)
    found = find_half(run, "vocoder")
    vocoder: Vocoder = (
        load_vocoder(found).model if found else griffin_lim.build(griffin_lim.Config(), audio=recipe.audio)
    )
    synthesizer = Synthesizer(
        model, vocoder, frontend, recipe.audio, lengths=lengths_of(prepared), speakers=prepared.speakers
    )
    listener = _listener(recipe, prepared) if ranks.rank() == 0 else None  # which alone validates
    task = AcousticTask(model, stage, prepared, synthesizer, held_out, clips, listener)

    late = recipe.trainer.mels == "device"

    def batches(start: int) -> object:
        part = _part()
        if source:
            batching = AcousticBatching(recipe.audio, stage, late)
            return stream_loader(source, batching, stage.loader_workers, start, part)
        clips = prepared.split("train")
        return acoustic_loader(clips, recipe.audio, stage, recipe.seed, start, prepared.speakers, part, late)

    return _fit(recipe, run, task, batches, prepared, frontend.symbols)


def lengths_of(prepared: Prepared) -> Lengths:
    """What the training clips allow a decode."""
    pace, clips = prepared.frames_per_symbol, prepared.split("train")
    return Lengths(pace.max, pace.min, int(numbers(clips, "n_symbols").max()))


def _check_speakers(run: Path, speakers: tuple[str, ...]) -> None:
    """Refuse to go on with other speakers than those whose vectors were trained."""
    state, half = (run / "acoustic" / name for name in ("last.ckpt", "last.safetensors"))
    if state.is_file() and half.is_file() and (trained := read_speakers(half)) != speakers:
        raise CheckpointError(
            f"{run} was trained with the speakers {list_speakers(trained)}, and the corpus now has "
            f"{list_speakers(speakers)}; for a new run: run=runs/NEW init_from={run}"
        )


def _listener(recipe: Recipe, prepared: Prepared) -> Listener | None:
    """Who listens in validation, if the recipe asks for it and the recogniser is there."""
    n_heard = recipe.trainer.acoustic.heard
    if not n_heard:
        return None
    if reason := why_deaf():
        tqdm.write(f"validation listens to nobody, checkpoints are chosen by failures alone: {reason}", file=sys.stderr)
        return None
    return Listener(recipe, prepared.split("held_out")[:n_heard], prepared.clips)


def fit_vocoder(
    recipe: Recipe,
    run: Path,
    prepared: Prepared,
    start: Stored | None,
    say: Callable[[str], None],
    source: Source | None = None,
) -> Outcome:
    """Train the vocoder, or go on where a training state lies in the run folder; arguments as in `fit_acoustic`."""
    stage = recipe.trainer.vocoder
    torch.manual_seed(recipe.seed)
    model = build_vocoder(recipe)
    model.scaler.fit(prepared.mel_mean, prepared.mel_std)
    if start:
        say(take_over(model, start))
    part = _part()
    task = _vocoder_task(recipe, model, stage, prepared.split("held_out"), "vocoder")
    context = _left_context(recipe, model)
    late = recipe.trainer.mels == "device"

    def batches(start: int) -> object:
        if source:
            batching = VocoderBatching(recipe.audio, stage, model.mel_context, context, late)
            return stream_loader(source, batching, stage.loader_workers, start, part)
        return _segments(recipe, model, stage, prepared.split("train"), part, late)(start)

    return _fit(recipe, run, task, batches, prepared, ())


def fit_gta(recipe: Recipe, run: Path, prepared: Prepared, vocoder: Path, mels: Mels) -> Outcome:
    """Fine-tune the trained vocoder on teacher-forced mels, or go on with that.

    What comes out is exported as the best only where it is better than the vocoder was before.

    Raises:
        CheckpointError: if the vocoder is another one than the recipe's.
    """
    stage = recipe.trainer.gta
    torch.manual_seed(recipe.seed)
    half = load_vocoder(vocoder)
    if changed := differences(recipe.vocoder, half.recipe.vocoder):
        keys = " ".join(f"vocoder.{key}={getattr(half.recipe.vocoder, key)}" for key in changed)
        raise CheckpointError(f"{vocoder} is another vocoder than the recipe of {run} asks for; take its own: {keys}")
    model = half.model.train()
    part = _part()
    task = _vocoder_task(recipe, model, stage, mels.split("held_out"), "gta")
    task.to(device_of_training(recipe.trainer.accelerator))
    before = task.held_out_bits()
    task.best = Score(0.0, before)  # a training state that lies there brings its own
    task.facts |= {"made_from": mels.made_from, "bits_before": before}
    return _fit(recipe, run, task, _segments(recipe, model, stage, mels.split("train"), part), prepared, ())


def _vocoder_task(
    recipe: Recipe, model: Vocoder, stage: VocoderStage, held_out: Sequence[VocoderClip], name: str
) -> VocoderTask:
    segments = list(islice(_segments(recipe, model, stage, held_out)(0), HELD_OUT_BATCHES))
    return VocoderTask(model, stage, recipe.audio, segments, read_passages(held_out, stage, recipe.audio), name)


def _segments(
    recipe: Recipe,
    model: Vocoder,
    stage: VocoderStage,
    clips: Sequence[VocoderClip],
    part: Part = WHOLE,
    late: bool = False,
) -> Callable[[int], "DataLoader[Any]"]:
    """From batch n on: batches of segments with as much left context as the model can see."""
    context = _left_context(recipe, model)
    return partial(
        vocoder_loader, clips, recipe.audio, stage, model.mel_context, context, recipe.seed, part=part, late=late
    )


def _part() -> Part:
    """Which of the processes that train together this one is."""
    return Part(ranks.rank(), ranks.n_ranks())


def _left_context(recipe: Recipe, model: Vocoder) -> int:
    """Frames before a segment that the model can see."""
    return -(-model.receptive_field // recipe.audio.hop_length)


class _Data(pl.LightningDataModule):
    """Asks for the training batches when the task knows, after a resume, how many it has seen."""

    def __init__(self, task: Task, batches: Callable[[int], object], audio: AudioConfig):
        super().__init__()
        self.task = task
        self.audio = audio
        self.batches = batches

    def train_dataloader(self) -> object:
        return self.batches(self.task.batches_seen)

    def val_dataloader(self) -> object:
        return OneBatch()

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch.to(device) if isinstance(batch, AcousticBatch | VocoderBatch | LateBatch) else batch

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch.complete(self.audio) if isinstance(batch, LateBatch) else batch


def _fit(
    recipe: Recipe,
    run: Path,
    task: Task,
    batches: Callable[[int], object],
    prepared: Prepared,
    symbols: tuple[str, ...],
) -> Outcome:
    """batches: those of training from number n on."""
    stage, folder = task.stage, run / task.name
    state = folder / "last.ckpt"
    keeper = Keeper(folder, recipe, symbols, prepared.speakers, stage)
    quiet_lightning()
    for module in task.model.modules():
        if isinstance(module, MaskedBatchNorm1d):
            module.over_ranks = ranks.n_ranks() > 1
    trainer = pl.Trainer(
        accelerator=recipe.trainer.accelerator,
        devices=recipe.trainer.devices,
        num_nodes=recipe.trainer.num_nodes,
        strategy=strategy_of_training(),
        use_distributed_sampler=False,  # the loaders know their part
        plugins=environments(),
        precision=_precision(recipe.trainer.precision, recipe.trainer.accelerator),
        max_steps=stage.max_steps,
        max_epochs=-1,
        val_check_interval=stage.validate_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=5,
        logger=TensorBoardLogger(run / "tensorboard", name="", version=task.name),
        callbacks=[keeper, *([ProgressLine(stage.max_steps, task.name)] if ranks.rank() == 0 else [])],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=run,
    )
    resume = None if read_training_state(state) is None else state
    try:
        trainer.fit(task, datamodule=_Data(task, batches, recipe.audio), ckpt_path=resume, weights_only=True)
    except SystemExit:  # Lightning's answer to a second Ctrl-C
        return Outcome(keeper.saved_step, True, task.bad_steps)
    return Outcome(trainer.global_step, keeper.interrupted, task.bad_steps)


def is_finished(run: Path, name: str, stage: StageConfig) -> bool:
    """Has this stage been trained to the end of what the recipe asks for?"""
    saved = read_training_state(run / name / "last.ckpt")
    if saved is None:
        return False
    out_of_time = 0 < stage.max_minutes <= saved["task"]["minutes"]
    return bool(saved["global_step"] >= stage.max_steps or out_of_time)


def read_training_state(state: Path) -> dict[str, Any] | None:
    """The training state, if there is one; refuse one that cannot be read rather than start over in silence."""
    if not state.is_file():
        return None
    try:
        saved: dict[str, Any] = torch.load(state, weights_only=True, map_location="cpu", mmap=True)
        saved["task"]
    except Exception as error:
        detail = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise CheckpointError(
            f"{state} cannot be read ({detail}); delete the folder {state.parent} to train this half from the start"
        ) from None
    return saved


def _precision(wanted: str, accelerator: str) -> Literal["bf16-mixed", "32-true"]:
    """Lightning's word for it.

    auto: bf16 where the processor multiplies matrices in it (a GPU from Ampere on, a CPU with AMX), else TF32 on a GPU
    and fp32 on a CPU, where bf16 without such units is slower.
    """
    gpu = device_of_training(accelerator).type == "cuda"
    if accelerator == "gpu" and not gpu:
        raise ConfigError("trainer.accelerator=gpu, but torch sees no CUDA device; take trainer.accelerator=cpu")
    if wanted == "auto":
        has_bf16 = torch.cuda.is_bf16_supported() if gpu else _has_amx()
        wanted = "bf16" if has_bf16 else "tf32" if gpu else "fp32"
    if gpu:
        torch.set_float32_matmul_precision("highest" if wanted == "fp32" else "high")
        torch.backends.cudnn.allow_tf32 = wanted != "fp32"
    return "bf16-mixed" if wanted == "bf16" else "32-true"


def device_of_training(accelerator: str) -> torch.device:
    """Where a training of this machine takes place, for what is computed beside it."""
    return torch.device("cuda" if torch.cuda.is_available() and accelerator != "cpu" else "cpu")


def _has_amx() -> bool:
    """Whether the CPU has matrix units (Intel's AMX); torch says so in a place that has no public name yet."""
    ask = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return ask is not None and bool(ask())


def quiet_lightning() -> None:
    """Silence what Lightning says about choices that we made on purpose."""
    for name in (
        "lightning.pytorch.utilities.rank_zero",
        "lightning.fabric.utilities.distributed",
        "lightning.pytorch.accelerators.cuda",
        "lightning.pytorch",
    ):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        r".*isinstance\(treespec, LeafSpec\).*",  # Lightning calls what torch has renamed
        r".*does not have many workers.*",  # clips come from memory: more processes are slower here
        r".*resuming from a checkpoint that ended before the epoch.*",  # our sampler continues by itself
        r".*Checkpoint directory .* exists and is not empty.*",
        r".*It is recommended to use `self.log.*sync_dist=True.*",  # one process validates
        r".*`broadcast_buffers` is deprecated.*",  # what replaces it is not in older versions of torch
        r".*You are trying to `self.log\(\)` but.*",
    ):
        warnings.filterwarnings("ignore", message=message)
