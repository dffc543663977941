"""Training the vocoder: likelihood of real samples given their mel; copy synthesis to listen to.

Shapes: B batch, T_wave samples.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tts.audio.mel import mel_spectrogram
from tts.batch import VocoderBatch
from tts.interfaces import Vocoder
from tts.settings import AudioConfig, VocoderStage
from tts.training.figures import mel_figure
from tts.training.task import Losses, Score, Task

PREVIEW_SECONDS = 1.0  # of each held-out clip that copy synthesis speaks while training
PREVIEWS = 2


class VocoderTask(Task):
    """Trains a vocoder on aligned segments."""

    kind = "vocoder"

    def __init__(
        self,
        model: Vocoder,
        stage: VocoderStage,
        audio: AudioConfig,
        held_out: Sequence[VocoderBatch],
        mels: dict[str, Tensor],
    ):
        """held_out: validation segments, fixed. mels: id -> (n_mels, T_mel) of held-out clips to be spoken."""
        super().__init__(model, stage)
        self.vocoder = model
        self.audio = audio
        self.held_out = held_out
        frames = round(PREVIEW_SECONDS / audio.frame_seconds)
        self.mels = {name: mel[:, :frames] for name, mel in list(mels.items())[:PREVIEWS]}

    def losses(self, batch: VocoderBatch) -> Losses:
        """Bits per sample."""
        bits = self.vocoder.loss(batch)
        return Losses(bits, {"bits": bits})

    def examine(self) -> Score:
        """Bits on held-out segments; then copy synthesis, as audio, as pictures, and by its distance in mel."""
        bits = [float(self.vocoder.loss(batch.to(self.device))) for batch in self.held_out]
        mean = sum(bits) / len(bits)
        self.log_scalars("val", {"bits": mean, "total": mean})
        self._preview()
        return Score(0.0, mean)

    def _preview(self) -> None:
        names = list(self.mels)
        lengths = torch.tensor([self.mels[name].shape[1] for name in names])
        padded = torch.stack(
            [torch.nn.functional.pad(self.mels[n], (0, int(lengths.max()) - self.mels[n].shape[1])) for n in names]
        )
        waves = self.vocoder.generate(padded.to(self.device), lengths.to(self.device), seeds=list(range(len(names))))
        distances: list[float] = []
        for row, name in enumerate(names):
            wave = waves[row, : int(lengths[row]) * self.audio.hop_length].float().cpu()
            made = mel_spectrogram(wave, self.audio)
            distances.append(float((made - self.mels[name]).abs().mean()))
            self.writer.add_audio(f"audio/{name}", wave[None], self.global_step, sample_rate=self.audio.sample_rate)
            figure = mel_figure({"target": self.mels[name], "copy synthesis": made})
            self.writer.add_figure(f"mel/{name}", figure, self.global_step)
        self.log_scalars("val", {"copy_mel_distance": sum(distances) / len(distances)})
