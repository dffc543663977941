"""Griffin-Lim (Griffin and Lim 1984) as a vocoder: nothing to train, so an acoustic model can be heard at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tts.audio.griffin_lim import griffin_lim
from tts.batch import VocoderBatch
from tts.errors import TTSError
from tts.interfaces import Vocoder
from tts.layers import MelScaler
from tts.settings import AudioConfig, require
from tts.vocoder._rows import row_by_row


@dataclass
class Config:
    """How long it searches for a phase."""

    name: str = "griffin_lim"
    iterations: int = 60

    def __post_init__(self) -> None:
        require(self.iterations >= 1, f"iterations must be at least 1, not {self.iterations}")


def build(cfg: Config, *, audio: AudioConfig) -> "GriffinLim":
    """A vocoder without parameters."""
    return GriffinLim(cfg, audio=audio)


class GriffinLim(Vocoder):
    """Finds a phase that agrees with the mel; the metallic sound is its own."""

    trainable: ClassVar[bool] = False

    def __init__(self, cfg: Config, *, audio: AudioConfig):
        super().__init__()
        self.audio = audio
        self.iterations = cfg.iterations
        self.mel_context = 0
        self.receptive_field = 0
        self.scaler = MelScaler(audio.n_mels)  # of the interface; Griffin-Lim reads contract units

    def loss(self, batch: VocoderBatch) -> Tensor:
        """There is none.

        Raises:
            TTSError: always.
        """
        raise TTSError("vocoder griffin_lim is not trained; leave vocoder out of stages, or set vocoder=wavenet")

    @torch.inference_mode()
    def generate(
        self,
        mel: Tensor,
        mel_lengths: Tensor,
        *,
        seeds: Sequence[int],
        folds: int = 1,
        measured: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> Tensor:
        """Row by row, each whole, from its own mel and its seed's random phase. See `Vocoder.generate`."""
        return row_by_row(
            lambda row, seed: griffin_lim(row, self.audio, self.iterations, seed),
            mel,
            mel_lengths,
            seeds,
            hop_length=self.audio.hop_length,
            progress=progress,
        )
