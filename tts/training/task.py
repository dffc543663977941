"""What training either half has in common: the step, the learning rate, averaged weights, bad steps, exact resume.

A subclass says what the loss is and what to look at in validation. Everything here is a function of the step and of
what `on_save_checkpoint` stores, so a run that was killed continues from its checkpoint as if it had not been.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from tts import ranks
from tts.checkpoint import Kind
from tts.errors import TTSError
from tts.settings import StageConfig
from tts.training.ema import EMA


class Score(NamedTuple):
    """How good a validation was; smaller is better, the first field decides."""

    trouble: float  # share of sentences that failed plus word error rate, free-running; 0 where nothing runs freely
    loss: float


class Losses(NamedTuple):
    """What a training step minimises: a weighted sum of means."""

    parts: dict[str, Tensor]
    counts: Tensor  # (parts,) of what each is the mean of
    weights: tuple[float, ...]

    @property
    def total(self) -> Tensor:
        """Their weighted sum."""
        return torch.stack([w * part for w, part in zip(self.weights, self.parts.values(), strict=True)]).sum()

    def shared(self) -> "Losses":
        """Times what this process's share of the batch weighs: averaged over processes, those of the whole batch."""
        if ranks.n_ranks() == 1:
            return self
        shares = ranks.share_of_mean(self.counts.float())
        return self._replace(parts={name: s * p for s, (name, p) in zip(shares, self.parts.items(), strict=True)})

    def gathered(self) -> "Losses":
        """The means over the whole batch, for the log, from shares."""
        means = ranks.total(torch.stack([part.detach() for part in self.parts.values()])) / ranks.n_ranks()
        return self._replace(parts=dict(zip(self.parts, means, strict=True)))


class Task(pl.LightningModule):
    """Trains one half of the voice."""

    kind: Kind

    def __init__(self, model: nn.Module, stage: StageConfig):
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.stage = stage
        self.name: str = self.kind  # of the stage: its key under `trainer`, and its folder in the run
        self.ema = EMA(model, stage.ema_decay)
        self.batches_seen = 0  # the sampler continues here; unlike global_step it counts skipped steps
        self.bad_steps = 0  # non-finite so far
        self.bad_in_a_row = 0
        self.minutes = 0.0  # spent training, all restarts together
        self.facts: dict[str, Any] = {}
        self.judged_by = ""  # what scores are made of; those of another make cannot be compared
        self.score: Score | None = None  # of the newest validation
        self.best: Score | None = None
        self.news: list[str] = []  # told and not yet printed
        self.health_word = ""  # alignment health for the progress line
        self.in_a_hurry = False  # Ctrl-C: no validation before the end

    @abstractmethod
    def losses(self, batch: Any) -> Losses:
        """The losses of one batch."""

    @abstractmethod
    def examine(self) -> Score:
        """Validate with averaged weights: log metrics and pictures, return the score."""

    def export_facts(self) -> dict[str, Any]:
        """What the exported half says about itself."""
        score = self.score._asdict() if self.score else None
        return {**self.facts, "step": self.global_step, "minutes": round(self.minutes, 2), "validation": score}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam with the paper's epsilon (Shen et al. 2018, section 3.1)."""
        return torch.optim.Adam(
            self.model.parameters(), lr=self.stage.learning_rate, eps=1e-6, weight_decay=self.stage.weight_decay
        )

    def learning_rate(self, step: int) -> float:
        """Warm up linearly, hold, then halve every `decay_halving` steps."""
        stage = self.stage
        rate = stage.learning_rate * min(1.0, (step + 1) / max(1, stage.warmup_steps))
        halvings: float = max(0, step - stage.decay_start) / stage.decay_halving
        decayed = rate * math.pow(0.5, halvings)
        return min(rate, max(decayed, stage.min_learning_rate))

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """One optimizer step, or none where the loss or its gradient is not finite."""
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        for group in optimizer.param_groups:
            # From the recipe, not from the optimizer's saved state: a resumed run may have changed them.
            group.update(lr=self.learning_rate(self.global_step), weight_decay=self.stage.weight_decay)
        statistics = [buffer.clone() for buffer in self.model.buffers()]
        losses = self.losses(batch).shared()
        optimizer.zero_grad()
        self.manual_backward(losses.total)
        losses = losses.gathered()  # with the gradient, which is averaged, all processes decide alike
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), self.stage.gradient_clip))
        self.batches_seen += 1
        if math.isfinite(norm) and math.isfinite(float(losses.total.detach())):
            optimizer.step()
            self.ema.update(self.model)
            self.bad_in_a_row = 0
        else:
            # The forward pass may have put NaN into the running statistics of a normalisation.
            for buffer, before in zip(self.model.buffers(), statistics, strict=True):
                buffer.copy_(before)
            self._count_bad_step()
        self.log_scalars("train", {**losses.parts, "total": losses.total, "gradient_norm": norm})

    def _count_bad_step(self) -> None:
        self.bad_steps += 1
        self.bad_in_a_row += 1
        if self.bad_in_a_row >= self.stage.max_bad_steps:
            raise TTSError(
                f"{self.bad_in_a_row} steps in a row had a loss or gradient that is not finite, the last at step "
                f"{self.global_step}; resume with a lower rate: trainer.{self.name}.learning_rate="
                f"{self.stage.learning_rate / 3:.1g}"
            )

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Lightning validates over one empty batch; the work is in `examine`."""
        if self.in_a_hurry:
            return
        if ranks.rank() == 0:
            self._examine()
        self.score, self.best, self.facts = ranks.of_first((self.score, self.best, self.facts))

    def _examine(self) -> None:
        # Its dropout is the same every time, and training's random numbers do not notice it. Precision is that of
        # synthesis, which Lightning's would lower.
        devices = [self.device] if self.device.type == "cuda" else []
        full_precision = torch.autocast(self.device.type, enabled=False)
        with self.ema.applied(self.model), torch.random.fork_rng(devices=devices), full_precision:
            torch.manual_seed(0)
            self.score = self.examine()
        if math.isfinite(self.score.loss) and (self.best is None or self.score < self.best):
            self.best = self.score

    def log_scalars(self, split: str, values: dict[str, Any]) -> None:
        """Log as `split/what`; the progress line reads the same values."""
        validating = split == "val"
        for name, value in values.items():
            self.log(f"{split}/{name}", value, prog_bar=not validating, logger=not validating, batch_size=1)
            if validating:  # Lightning would log it one step early
                self.writer.add_scalar(f"val/{name}", float(value), self.global_step)

    def tell(self, lines: list[str]) -> None:
        """Say something once, a line each: the progress line prints it, TensorBoard keeps it."""
        self.news += lines
        self.writer.add_text("news", "\n\n".join(lines), self.global_step)

    @property
    def writer(self) -> SummaryWriter:
        """TensorBoard's writer, for pictures and audio."""
        assert isinstance(self.logger, TensorBoardLogger)
        writer: SummaryWriter = self.logger.experiment
        return writer

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Everything that decides how training goes on, as plain values and tensors."""
        checkpoint["task"] = {
            "ema": self.ema.state(),
            "batches_seen": self.batches_seen,
            "bad_steps": self.bad_steps,
            "minutes": self.minutes,
            "facts": self.facts,
            "best": list(self.best) if self.best else None,
            "judged_by": self.judged_by,
            "rngs_of_others": ranks.of_all(torch.get_rng_state())[1:],
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The counterpart of `on_save_checkpoint`; the random state is set when the first batch starts."""
        task = checkpoint["task"]
        self.ema.load(**task["ema"])
        self.batches_seen = task["batches_seen"]
        self.bad_steps = task["bad_steps"]
        self.minutes = task["minutes"]
        self.facts = task["facts"]
        comparable = task.get("judged_by", "") == self.judged_by
        self.best = Score(*task["best"]) if task["best"] and comparable else None
        self._resumed_rng: dict[str, Any] | None = task

    def on_train_start(self) -> None:
        """Continue the random numbers where the killed run stood, whatever set-up has drawn since."""
        self.ema.to(self.device)
        resumed = getattr(self, "_resumed_rng", None)
        if resumed:
            rngs = [resumed["rng"], *resumed.get("rngs_of_others", [])]
            if len(rngs) == ranks.n_ranks():
                torch.set_rng_state(rngs[ranks.rank()].cpu())
            else:  # another number of processes
                torch.manual_seed(self.batches_seen * ranks.n_ranks() + ranks.rank())
            if resumed["cuda_rng"] is not None and ranks.rank() == 0 and self.device.type == "cuda":
                torch.cuda.set_rng_state(resumed["cuda_rng"].cpu(), self.device)
            elif ranks.rank() and self.device.type == "cuda":  # its own masks, though not those of an uninterrupted run
                torch.cuda.manual_seed(self.batches_seen * ranks.n_ranks() + ranks.rank())
        elif ranks.rank():  # no two processes draw the same dropout
            torch.manual_seed(torch.initial_seed() + ranks.rank())
        self._resumed_rng = None


class OneBatch:
    """A validation loader with a single empty batch: what is examined is the task's business."""

    def __iter__(self) -> Iterator[int]:
        return iter([0])

    def __len__(self) -> int:
        return 1
