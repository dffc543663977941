"""Training the acoustic model: masked mel losses, guided attention that decays, stop loss; free-running validation.

Shapes: B batch, T_text symbols, T_mel frames.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tts import ranks
from tts.alignment import health, mean_health
from tts.audio.mel import silence_value
from tts.batch import AcousticBatch
from tts.data.manifest import Clip, Prepared
from tts.decoding import Decoded
from tts.errors import DataError
from tts.evaluation.quick import Listener, failure_shares, mel_cepstral_distance
from tts.interfaces import BY_ITSELF, AcousticModel, AcousticOutput, Vocoder
from tts.losses import group_mask, guided_attention_loss, masked_l1, masked_l2, stop_loss, stop_weight
from tts.settings import AcousticStage
from tts.synthesis import Synthesizer
from tts.training.diagnosis import clip_losses, diagnose
from tts.training.figures import alignment_figure, mel_figure, stop_figure
from tts.training.health import Ending, SentenceHealth, alignment_in_words, forced_ending, health_table
from tts.training.schedule import Plan, plan_at, remedy_in_words
from tts.training.task import Losses, Score, Task
from tts.variance import lost_variance

PICTURES = 3  # validation sentences that are drawn and spoken, the same ones every time


class AcousticTask(Task):
    """Trains an acoustic model and judges it by what it does when it runs freely."""

    kind = "acoustic"
    stage: AcousticStage

    def __init__(
        self,
        model: AcousticModel,
        stage: AcousticStage,
        prepared: Prepared,
        synthesizer: Synthesizer,
        held_out: AcousticBatch,
        clips: Sequence[Clip],
        listener: Listener | None = None,
    ):
        """held_out: the validation clips as one batch, in the order of `clips`; listener: to the first of them."""
        super().__init__(model, stage)
        if stage.guided_attention == "aligned" and not any(clip.symbol_ends for clip in prepared.clips):
            raise DataError(
                "trainer.acoustic.guided_attention=aligned, but no clip was aligned when the corpus was prepared; run "
                "the stage prepare again, or take guided_attention=diagonal"
            )
        self.acoustic = model
        self.prepared = prepared
        self.held_out = held_out
        self.clips = clips
        self.synthesizer = synthesizer
        self.listener = listener
        self.judged_by = f"words of {len(listener.texts)} sentences" if listener else ""
        self.facts |= synthesizer.lengths.facts
        self.facts["aligned_at"] = None
        self.facts["remedy_at"] = None
        self.facts["remedy_failed_at"] = None
        self.plan = self._follow_plan()

    def losses(self, batch: AcousticBatch) -> Losses:
        """Mel before and after the postnet, guided attention, stop token; over real frames only."""
        self.plan = self._follow_plan()
        if ranks.n_ranks() > 1:  # the frames behind an utterance that count depend on the longest of the whole batch
            longest = ranks.largest(torch.tensor(batch.mel.shape[2], device=batch.mel.device))
            batch = batch.padded(int(longest), silence_value(self.prepared.audio))
        output = self.acoustic(batch)
        if self.global_step % 20 == 0:
            self._observe(output.alignment[:4].detach(), batch)
        return self._losses(batch, output)

    def _follow_plan(self) -> Plan:
        """What holds at this step, for the model and for who loads it."""
        plan = plan_at(self.stage, self.global_step, self.facts.get("remedy_at"))
        self.acoustic.reduction = self.facts["reduction"] = plan.reduction
        self.acoustic.frames_heard = self.facts["frames_heard"] = plan.frames_heard
        return plan

    def _losses(self, batch: AcousticBatch, output: AcousticOutput) -> Losses:
        return acoustic_losses(self.acoustic, self.stage, batch, output, self.plan.guided_weight)

    def _observe(self, alignment: Tensor, batch: AcousticBatch) -> None:
        """The word on the progress line: how the attention of this batch looks."""
        rows = len(alignment)
        seen = health(
            alignment.float().cpu(),
            batch.text_lengths[:rows].cpu(),
            batch.mel_lengths[:rows].cpu(),
            self.acoustic.reduction,
        )
        self.health_word = mean_health(seen).word

    def examine(self) -> Score:
        """Teacher-forced losses and health, then free running on every held-out sentence."""
        batch = self.held_out.to(self.device)
        self.plan = self._follow_plan()
        output = self.acoustic(batch)
        losses = self._losses(batch, output)
        self.log_scalars("val", {**losses.parts, "total": losses.total})
        decoded = self.synthesizer.decode(self.clips)
        sentences = self._sentences(output.alignment, output.stop_logit, decoded)
        self._log_health(sentences)
        stopped = sum(one.free_ending.stopped for one in sentences) / len(sentences)
        shares = failure_shares(decoded)
        made = [one.mel for one in decoded]
        real = [mel[:, :n] for mel, n in zip(self.held_out.mel, self.held_out.mel_lengths.tolist(), strict=True)]
        distances = [mel_cepstral_distance(*pair) for pair in zip(made, real, strict=True)]
        self.facts["lost_variance"] = lost_variance(made, real, [clip.speaker for clip in self.clips])
        self.log_scalars("val", {"stopped": stopped, **shares, "mcd": sum(distances) / len(distances)})
        trouble = shares["failures"]
        if self.listener is not None:
            misheard = self.listener.word_error_rate(made[: len(self.listener.texts)])
            self.log_scalars("val", {"wer": misheard})
            trouble += misheard
        self._watch_alignment(sentences)
        self.facts["held_out"] = {"stopped": stopped, "failures": shares["failures"], "sentences": len(decoded)}
        self._draw(batch, output.alignment.float().cpu(), output.mel.float().cpu(), output.stop_logit, decoded)
        return Score(trouble, float(losses.parts["mel"]))

    def _sentences(self, alignment: Tensor, stop_logit: Tensor, decoded: Sequence[Decoded]) -> list[SentenceHealth]:
        """How each held-out sentence fares. alignment, stop_logit: teacher-forced."""
        batch, r, seconds = self.held_out, self.acoustic.reduction, self.prepared.audio.frame_seconds
        forced = health(alignment.float().cpu(), batch.text_lengths, batch.mel_lengths, r)
        sentences = []
        for row, (clip, made) in enumerate(zip(self.clips, decoded, strict=True)):
            n_symbols, n_frames = made.alignment.shape
            free = health(made.alignment[None], torch.tensor([n_symbols]), torch.tensor([n_frames]), r)[0]
            ending = Ending(made.stop_reason in BY_ITSELF, (n_frames - clip.n_frames) * seconds)
            led = forced_ending(stop_logit[row].float().cpu(), clip.n_frames, r, seconds)
            sentences.append(SentenceHealth(clip.id, clip.text, clip.seconds, forced[row], free, led, ending))
        return sentences

    def _log_health(self, sentences: Sequence[SentenceHealth]) -> None:
        """Means as curves, sentences as a table."""
        n = len(sentences)
        for how, healths in (
            ("teacher_forced", [s.forced for s in sentences]),
            ("free_running", [s.free for s in sentences]),
        ):
            self.log_scalars("val", {f"{how}/{name}": value for name, value in mean_health(healths)._asdict().items()})
        self.log_scalars(
            "val",
            {
                "length_error": sum(one.length_error for one in sentences) / n,
                "stopped_in_time": sum(one.forced_ending.in_time for one in sentences) / n,
            },
        )
        self.writer.add_text("held_out/sentences", health_table(sentences), self.global_step)

    def _watch_alignment(self, sentences: Sequence[SentenceHealth]) -> None:
        """Tell when attention is aligned; past the budget tell why it may not be, and begin the remedy, once."""
        facts, stage, step = self.facts, self.stage, self.global_step
        if facts["aligned_at"] is not None:
            return
        remedy_at = facts.get("remedy_at")
        seen = alignment_in_words(sentences)
        if seen.aligned:
            facts["aligned_at"], facts["aligned_minutes"] = step, round(self.minutes, 2)
            caveat = f"the causes named at step {remedy_at} are still there: strong guidance alone makes a diagonal"
            self.tell(
                [
                    f"aligned at step {step}, after {self.minutes:.1f} minutes: {seen.words}",
                    *([caveat] if remedy_at is not None else []),
                ]
            )
            return
        due = stage.align_by + (remedy_at or 0)
        if stage.align_by == 0 or step < due or facts.get("remedy_failed_at") is not None:
            return
        if remedy_at is None:
            self._begin_remedy(seen.words)
        else:
            facts["remedy_failed_at"] = step
            self.tell(
                [
                    f"not aligned by step {step}, the remedy of step {remedy_at} has not helped: {seen.words}",
                    "training goes on as planned, and nothing more is tried; see the causes named then",
                ]
            )

    def _begin_remedy(self, seen: str) -> None:
        """Say why attention may not align, from what can be measured, and what is done about it from now on."""
        prepared, step = self.prepared, self.global_step
        losses = clip_losses(self.acoustic, prepared.split("train"), prepared.audio, self.device, prepared.speakers)
        self.facts["remedy_at"] = step
        causes = diagnose(prepared, self.stage, losses)
        self.tell([f"not aligned by step {step}: {seen}", *causes, remedy_in_words(self.stage, step)])

    def _draw(
        self, batch: AcousticBatch, alignment: Tensor, mel: Tensor, stop_logit: Tensor, decoded: list[Decoded]
    ) -> None:
        step = self.global_step
        for row, (clip, made) in enumerate(zip(self.clips[:PICTURES], decoded, strict=False)):
            n_symbols, n_frames = len(clip.ids), clip.n_frames
            forced = alignment[row, :n_symbols, :n_frames]
            self.writer.add_figure(
                f"alignment/{clip.id}/teacher_forced", alignment_figure(forced, clip.symbols, clip.text), step
            )
            self.writer.add_figure(
                f"alignment/{clip.id}/free_running", alignment_figure(made.alignment, clip.symbols, clip.text), step
            )
            mels = {
                "target": batch.mel[row, :, :n_frames].cpu(),
                "teacher forced": mel[row, :, :n_frames],
                "free running": made.mel,
            }
            self.writer.add_figure(f"mel/{clip.id}", mel_figure(mels), step)
            stops = {
                "teacher forced": torch.sigmoid(stop_logit[row, :n_frames].float()).cpu(),
                "free running": made.stop_probability,
            }
            self.writer.add_figure(f"stop/{clip.id}", stop_figure(stops), step)
        self._speak(decoded[:PICTURES])

    def _speak(self, decoded: list[Decoded]) -> None:
        """Audio of the drawn sentences; at most a second each where the vocoder is a slow one."""
        vocoder: Vocoder = self.synthesizer.vocoder
        frames = round(1 / self.prepared.audio.frame_seconds) if vocoder.trainable else None
        mels = [made.mel[:, :frames] for made in decoded]
        waves = self.synthesizer.vocode(mels, seeds=list(range(len(mels))))
        rate = self.prepared.audio.sample_rate
        for clip, wave in zip(self.clips, waves, strict=False):
            self.writer.add_audio(f"audio/{clip.id}", wave[None], self.global_step, sample_rate=rate)


def acoustic_losses(
    model: AcousticModel, stage: AcousticStage, batch: AcousticBatch, output: AcousticOutput, guided_weight: float
) -> Losses:
    """What a step minimises. output: of the model in training, at its present reduction factor."""
    scale = model.scaler.normalize
    # What a whole group of frames says is heard at synthesis, so it counts here.
    target = scale(batch.mel)
    mask = group_mask(batch.mel_lengths, batch.mel.shape[2], model.reduction)
    mel = torch.zeros((), device=target.device)
    for made in (scale(output.mel_before.float()), scale(output.mel.float())):
        mel = mel + stage.mel_l1_weight * masked_l1(made, target, mask)
        mel = mel + stage.mel_l2_weight * masked_l2(made, target, mask)
    path = batch.reading_path if stage.guided_attention == "aligned" else None
    guided = guided_attention_loss(
        output.alignment, batch.text_lengths, batch.mel_lengths, stage.guided_sigma, path, stage.guided_symbols
    )
    stop = stop_loss(output.stop_logit, batch.mel_lengths, stage.stop_positive_weight, model.reduction)
    frames = stop_weight(batch.mel_lengths, batch.mel.shape[2], model.reduction)
    counts = torch.stack([mask.sum(), batch.mel_lengths.sum(), frames.sum()])
    return Losses({"mel": mel, "guided": guided, "stop": stop}, counts, (1.0, guided_weight, stage.stop_weight))
