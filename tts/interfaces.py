"""What a new attention, acoustic model or vocoder must provide. Read this first.

A component is one file in `tts/acoustic/attention/`, `tts/acoustic/` or `tts/vocoder/`. It holds a dataclass `Config`
(with a field `name`, the file's own name) and the function `build`, which makes the module: choices come from the
config, sizes from the caller. The contract tests run over every file in those folders.

Shapes: B batch, T_text symbols, T_mel frames, T_wave samples, D width of the encoded text.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, NamedTuple

from torch import Tensor, nn

from tts.batch import AcousticBatch, VocoderBatch
from tts.layers import MelScaler


class AttentionMemory(NamedTuple):
    """The encoded text as an attention wants it: computed once per utterance, read at every step."""

    memory: Tensor  # (B, T_text, D)
    keys: Tensor  # (B, T_text, dim) projection of the memory; the memory itself where an attention needs none
    mask: Tensor  # (B, T_text) bool, True = real


class AttentionState(NamedTuple):
    """Where an attention stands after a step."""

    weights: Tensor  # (B, T_text) float32, sums to 1 over real symbols
    cumulative: Tensor  # (B, T_text) float32, sum of all weights so far
    context: Tensor  # (B, D)


class Attention(nn.Module, ABC):
    """Attention over the encoded text. `build(cfg, *, query_dim, memory_dim)` makes one."""

    @abstractmethod
    def prepare(self, memory: Tensor, mask: Tensor) -> AttentionMemory:
        """memory: (B, T_text, D), zero where padded; mask: (B, T_text) bool."""

    @abstractmethod
    def start(self, prepared: AttentionMemory) -> AttentionState:
        """The state before the first step."""

    @abstractmethod
    def step(self, query: Tensor, state: AttentionState, prepared: AttentionMemory) -> AttentionState:
        """One step. query: (B, query_dim). Energies and softmax are computed in float32."""


class AcousticOutput(NamedTuple):
    """What teacher forcing yields, at frame rate whatever the reduction factor."""

    mel_before: Tensor  # (B, n_mels, T_mel) contract units, before the postnet
    mel: Tensor  # (B, n_mels, T_mel) contract units
    stop_logit: Tensor  # (B, T_mel)
    alignment: Tensor  # (B, T_text, T_mel)


class AcousticGeneration(NamedTuple):
    """What free running yields, at frame rate, padded at the end (mel with the log floor, the rest with zero)."""

    mel: Tensor  # (B, n_mels, T_mel) contract units
    mel_lengths: Tensor  # (B,) int64
    stop_probability: Tensor  # (B, T_mel)
    alignment: Tensor  # (B, T_text, T_mel)
    stopped: Tensor  # (B,) bool, True = the stop token fired; False = cut at the limit


Rows = Literal["symbols", "speakers", "frames"]


class AcousticModel(nn.Module, ABC):
    """Text to mel. `build(cfg, *, n_symbols, n_mels, max_reduction, silence, n_speakers)` makes one.

    `silence` is the value of a mel bin without sound, in contract units. A voice of one speaker needs no parameters for
    it.

    A model also has a `step(previous, state) -> (frame, state)` of its own types, which both `forward` and `generate`
    follow; where `forward` takes a faster path, a test proves it equal to the steps.
    """

    scaler: MelScaler
    reduction: int  # frames per decoder step now, at most max_reduction; the trainer sets it
    # Tensors whose rows stand for the symbols of the table, its speakers, or the frames of a decoder step (n_mels rows
    # each): another voice has others, and a warm start maps them by name.
    rows: ClassVar[dict[str, Rows]]

    @abstractmethod
    def forward(self, batch: AcousticBatch) -> AcousticOutput:
        """Teacher forcing."""

    @abstractmethod
    def generate(
        self,
        text_ids: Tensor,
        text_lengths: Tensor,
        *,
        seeds: Sequence[int],
        max_frames: Sequence[int],
        speaker_ids: Tensor | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> AcousticGeneration:
        """Free running; each row stops by itself and depends on its own text and seed only.

        Args:
            text_ids: (B, T_text) int64. text_lengths: (B,).
            seeds: one per row; fixes the row's dropout.
            max_frames: one per row; a row that reaches it is cut.
            speaker_ids: (B,) int64, places in the table of speakers; None: the first speaker.
            progress: called with the number of frames decoded so far.
        """


class Vocoder(nn.Module, ABC):
    """Mel to waveform. `build(cfg, *, audio)` makes one."""

    trainable: ClassVar[bool] = True
    scaler: MelScaler
    mel_context: int  # frames of mel seen on either side of a frame
    receptive_field: int  # samples of the past that a prediction can see

    @abstractmethod
    def loss(self, batch: VocoderBatch) -> Tensor:
        """Mean negative log likelihood in bits per sample, scalar."""

    @abstractmethod
    def generate(
        self,
        mel: Tensor,
        mel_lengths: Tensor,
        *,
        seeds: Sequence[int],
        progress: Callable[[int], None] | None = None,
    ) -> Tensor:
        """mel: (B, n_mels, T_mel) contract units -> wave (B, T_mel * hop), zero after mel_lengths * hop.

        Each row depends on its own mel and seed only. `progress` is called with the samples generated so far per row.
        """
