"""What watches a training: the line that tells how it goes, and the keeper of its checkpoints."""

import signal
import sys
import time
from collections import deque
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl
import torch
from tqdm import tqdm

from tts import ranks
from tts.checkpoint import save_half, save_training_state
from tts.progress import progress_bar
from tts.settings import Recipe, StageConfig
from tts.training.task import Task

WINDOW = 50  # steps over which speed and waiting are averaged
QUIET_SECONDS = 15.0  # between lines where the output is no terminal


class Keeper(pl.Callback):
    """Saves last and best, on plan, at the end and on Ctrl-C; stops when the time is up."""

    def __init__(
        self, folder: Path, recipe: Recipe, symbols: tuple[str, ...], speakers: tuple[str, ...], stage: StageConfig
    ):
        self.folder = folder
        self.recipe = recipe
        self.symbols = symbols
        self.speakers = speakers
        self.stage = stage
        self.interrupted = False  # as all processes agree
        self._asked_at: float | None = None  # when this process heard Ctrl-C
        self.saved_step = -1
        self._began = self._saved_at = 0.0
        self._minutes_before = 0.0
        self._old_handler: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Task)
        self._began = time.monotonic()
        self._minutes_before = pl_module.minutes
        self.saved_step = trainer.global_step
        self._saved_at = self._began
        for left_over in (
            self.folder.glob(".*.tmp") if ranks.rank() == 0 else ()
        ):  # of a run that was killed while it wrote
            left_over.unlink(missing_ok=True)
        self._old_handler = signal.signal(signal.SIGINT, self._on_interrupt)

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        """The first Ctrl-C lets the step finish and saves; a second one stops at once."""
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
            if ranks.rank() == 0:
                tqdm.write("saving after this step; Ctrl-C again stops at once", file=sys.stderr)
        elif now - self._asked_at > 1:  # earlier, it is a launcher that passes the first one on
            signal.default_int_handler(number, frame)

    def _agree(self, task: Task) -> list[bool]:
        """Whether any process heard Ctrl-C; and by the first one's clock, whether time is up, and to save."""
        leads = ranks.rank() == 0
        out_of_time = leads and 0 < self.stage.max_minutes <= task.minutes
        overdue = leads and time.monotonic() - self._saved_at >= 60 * self.stage.checkpoint_minutes
        mine = torch.tensor([self._asked_at is not None, out_of_time, overdue], dtype=torch.int32, device=task.device)
        return [bool(flag) for flag in ranks.largest(mine).tolist()]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, Task)
        pl_module.minutes = self._minutes_before + (time.monotonic() - self._began) / 60
        self.interrupted, out_of_time, overdue = self._agree(pl_module)
        if self.interrupted or out_of_time:
            trainer.should_stop = True
        pl_module.in_a_hurry = self.interrupted
        step = trainer.global_step
        # Where a validation follows, the checkpoint waits for it: a killed run would not make up for it.
        validates = (trainer.fit_loop.total_batch_idx + 1) % self.stage.validate_every == 0
        due = (step % self.stage.checkpoint_every == 0 or overdue) and not validates
        if (due or self.interrupted) and step != self.saved_step:
            self.save(trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Task)
        if pl_module.in_a_hurry:
            return
        if pl_module.score == pl_module.best and ranks.rank() == 0:
            self._export(pl_module, "best")
        if trainer.global_step % self.stage.checkpoint_every == 0 and trainer.global_step != self.saved_step:
            self.save(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Task)
        self.interrupted, _, _ = self._agree(pl_module)
        if not self.interrupted or trainer.global_step != self.saved_step:
            self.save(trainer, pl_module)
        ranks.of_first(None)  # what was saved is there for all
        signal.signal(signal.SIGINT, self._old_handler)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if self._old_handler is not None:
            signal.signal(signal.SIGINT, self._old_handler)

    def save(self, trainer: pl.Trainer, task: Task) -> None:
        """Write the training state and the newest voice half; the state is gathered from all processes."""
        state = trainer._checkpoint_connector.dump_checkpoint(False)
        self.saved_step = trainer.global_step
        self._saved_at = time.monotonic()
        if ranks.rank():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._export(task, "last")  # first: a run whose state says that it is finished must be able to speak
        save_training_state(self.folder / "last.ckpt", state)

    def _export(self, task: Task, name: str) -> None:
        save_half(
            self.folder / f"{name}.safetensors",
            task.kind,
            task.ema.average,
            self.recipe,
            symbols=self.symbols,
            speakers=self.speakers,
            facts=task.export_facts(),
        )


class ProgressLine(pl.Callback):
    """Step, steps a second, share of time spent waiting for data, losses, alignment health in a word."""

    def __init__(self, total: int, title: str):
        self.total = total
        self.title = title
        self.bar: tqdm[Any] | None = None
        self._ends: deque[float] = deque(maxlen=WINDOW + 1)
        self._waits: deque[float] = deque(maxlen=WINDOW)
        self._quiet_since = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if sys.stderr.isatty():
            self.bar = progress_bar(self.total, self.title, " steps", done=trainer.global_step)
        self._ends.append(time.monotonic())

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._waits.append(time.monotonic() - self._ends[-1])

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.monotonic()
        self._ends.append(now)
        assert isinstance(pl_module, Task)
        if self.bar is not None:
            self.bar.update(trainer.global_step - self.bar.n)
            self.bar.set_postfix_str(self.text(trainer, pl_module), refresh=False)
        elif now - self._quiet_since >= QUIET_SECONDS:
            self._quiet_since = now
            self.say(f"{self.title} step {trainer.global_step}/{self.total}: {self.text(trainer, pl_module)}")

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._ends.append(time.monotonic())

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """One line that stays; the time it took counts neither as speed nor as waiting."""
        self._ends.clear()
        self._waits.clear()
        self._ends.append(time.monotonic())
        assert isinstance(pl_module, Task)
        if pl_module.in_a_hurry:
            return
        metrics = trainer.callback_metrics
        shown = ["bits", "mel", "stop", "stopped", "failures", "wer", "mcd", "free_running/focus"]
        parts = [
            f"{name.split('/')[-1]} {float(metrics[f'val/{name}']):.3f}" for name in shown if f"val/{name}" in metrics
        ]
        self.say(f"{self.title} validation at step {trainer.global_step}: {', '.join(parts)}")
        for line in pl_module.news:
            self.say(f"{self.title}: {line}")
        pl_module.news.clear()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if self.bar is not None:
            self.bar.close()

    def text(self, trainer: pl.Trainer, task: Task) -> str:
        """The line without its title."""
        elapsed = self._ends[-1] - self._ends[0]
        steps = len(self._ends) - 1
        rate = steps / elapsed if elapsed > 0 else 0.0
        waiting = sum(self._waits) / elapsed if elapsed > 0 else 0.0
        losses = [
            f"{name.removeprefix('train/')} {float(value):.3f}"
            for name, value in trainer.progress_bar_metrics.items()
            if name.startswith("train/") and not name.endswith("gradient_norm")
        ]
        parts = [f"{rate:.2f} steps/s", f"data wait {min(1.0, waiting):.0%}", *losses]
        parts += [task.health_word] if task.health_word else []
        parts += [f"{task.bad_steps} bad steps"] if task.bad_steps else []
        return ", ".join(parts)

    def say(self, line: str) -> None:
        """A line of its own, above the bar where there is one."""
        tqdm.write(line, file=sys.stderr)
        sys.stderr.flush()
