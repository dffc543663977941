"""Training the acoustic model: masked mel losses, guided attention that decays, stop loss; free-running validation.

Shapes: B batch, T_text symbols, T_mel frames.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tts.alignment import AlignmentHealth, health, mean_health
from tts.batch import AcousticBatch
from tts.data.manifest import Clip, Prepared
from tts.decoding import Decoded
from tts.evaluation.quick import Listener, failure_shares, mel_cepstral_distance
from tts.interfaces import BY_ITSELF, AcousticModel, Vocoder
from tts.losses import group_mask, guided_attention_loss, masked_l1, masked_l2, stop_loss
from tts.settings import AcousticStage
from tts.synthesis import Synthesizer
from tts.training.figures import alignment_figure, mel_figure, stop_figure
from tts.training.task import Losses, Score, Task

PICTURES = 3  # validation sentences that are drawn and spoken, the same ones every time
ALIGNED_STOPS = 0.8  # share of held-out sentences that must stop by themselves to count as aligned


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
        self.acoustic = model
        self.prepared = prepared
        self.held_out = held_out
        self.clips = clips
        self.synthesizer = synthesizer
        self.listener = listener
        self.judged_by = f"words of {len(listener.texts)} sentences" if listener else ""
        self.facts |= synthesizer.lengths.facts
        self.facts["aligned_at"] = None
        self.facts["reduction"] = stage.reduction_at(0)

    def losses(self, batch: AcousticBatch) -> Losses:
        """Mel before and after the postnet, guided attention, stop token; over real frames only."""
        self.acoustic.reduction = self.stage.reduction_at(self.global_step)
        self.facts["reduction"] = self.acoustic.reduction
        output = self.acoustic(batch)
        if self.global_step % 20 == 0:
            self._observe(output.alignment[:4].detach(), batch)
        return self._losses(batch, output.mel_before, output.mel, output.stop_logit, output.alignment)

    def _losses(
        self, batch: AcousticBatch, before: Tensor, after: Tensor, stop_logit: Tensor, alignment: Tensor
    ) -> Losses:
        plan = self.stage
        scale = self.acoustic.scaler.normalize
        # What a whole group of frames says is heard at synthesis, so it counts here.
        target = scale(batch.mel)
        mask = group_mask(batch.mel_lengths, batch.mel.shape[2], self.acoustic.reduction)
        mel = torch.zeros((), device=target.device)
        for made in (scale(before.float()), scale(after.float())):
            mel = mel + plan.mel_l1_weight * masked_l1(made, target, mask)
            mel = mel + plan.mel_l2_weight * masked_l2(made, target, mask)
        guided = guided_attention_loss(alignment, batch.text_lengths, batch.mel_lengths, plan.guided_sigma)
        stop = stop_loss(stop_logit, batch.mel_lengths, plan.stop_positive_weight, self.acoustic.reduction)
        guided_weight = plan.guided_weight * 0.5 ** (self.global_step / plan.guided_halving)
        total = mel + guided_weight * guided + plan.stop_weight * stop
        return Losses(total, {"mel": mel, "guided": guided, "stop": stop})

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
        self.acoustic.reduction = self.stage.reduction_at(self.global_step)
        output = self.acoustic(batch)
        losses = self._losses(batch, output.mel_before, output.mel, output.stop_logit, output.alignment)
        self.log_scalars("val", {**losses.parts, "total": losses.total})
        forced = health(
            output.alignment.float().cpu(),
            self.held_out.text_lengths,
            self.held_out.mel_lengths,
            self.acoustic.reduction,
        )
        self._log_health("teacher_forced", mean_health(forced))
        decoded = self.synthesizer.decode(self.clips)
        free = mean_health([self._free_health(made) for made in decoded])
        self._log_health("free_running", free)
        stopped = sum(made.stop_reason in BY_ITSELF for made in decoded) / len(decoded)
        shares = failure_shares(decoded)
        pairs = zip(decoded, self.held_out.mel, self.held_out.mel_lengths.tolist(), strict=True)
        distances = [mel_cepstral_distance(made.mel, mel[:, :n_frames]) for made, mel, n_frames in pairs]
        self.log_scalars("val", {"stopped": stopped, **shares, "mcd": sum(distances) / len(distances)})
        trouble = shares["failures"]
        if self.listener is not None:
            heard = [made.mel for made in decoded[: len(self.listener.texts)]]
            misheard = self.listener.word_error_rate(heard)
            self.log_scalars("val", {"wer": misheard})
            trouble += misheard
        if self.facts["aligned_at"] is None and free.word == "aligned" and stopped >= ALIGNED_STOPS:
            self.facts["aligned_at"] = self.global_step
            self.facts["aligned_minutes"] = round(self.minutes, 2)
        self.facts["held_out"] = {"stopped": stopped, "failures": shares["failures"], "sentences": len(decoded)}
        self._draw(batch, output.alignment.float().cpu(), output.mel.float().cpu(), output.stop_logit, decoded)
        return Score(trouble, float(losses.parts["mel"]))

    def _free_health(self, made: Decoded) -> AlignmentHealth:
        n_symbols, n_frames = made.alignment.shape
        alignment = made.alignment[None]
        return health(alignment, torch.tensor([n_symbols]), torch.tensor([n_frames]), self.acoustic.reduction)[0]

    def _log_health(self, how: str, mean: AlignmentHealth) -> None:
        self.log_scalars("val", {f"{how}/{name}": value for name, value in mean._asdict().items()})

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
