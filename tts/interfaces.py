"""What a new attention, acoustic model or vocoder must provide. Read this first.

A component is one file in `tts/acoustic/attention/`, `tts/acoustic/` or `tts/vocoder/`. It holds a dataclass `Config`
(with a field `name`, the file's own name) and the function `build`, which makes the module: choices come from the
config, sizes from the caller. The contract tests run over every file in those folders.

Shapes: B batch, T_text symbols, T_mel frames, T_wave samples, D width of the encoded text.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar, Literal, NamedTuple

import torch
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


class EnergyGradient(NamedTuple):
    """What one step of the backward pass hands to what came before it."""

    query: Tensor  # (B, query_dim)
    weights: Tensor  # (B, T_text) of the previous step's weights
    cumulative: Tensor | None  # (B, T_text) of the sum of weights before the step; None where it plays no part


class EnergyReverse(ABC):
    """The backward pass through a tape, last step first."""

    sums: tuple[Tensor, ...]  # gradients of the tape's leaves, zeros at first; steps and `finish` add to them in place

    @abstractmethod
    def step(self, t: int, d_energies: Tensor) -> EnergyGradient:
        """d_energies: (B, T_text), zero where padded."""

    @abstractmethod
    def finish(self, queries: Tensor) -> None:
        """After all of the tape's steps: products over all of them. queries: (n_steps, B, query_dim) of the steps."""


class EnergyTape(ABC):
    """The energies of some teacher-forced steps, one after the other, with a gradient of their own.

    Autograd would store a dozen small tensors per step and take a small product per weight and step in the backward
    pass. A tape stores what its formula needs, and takes most of those products over all steps at once.

    Its tensors, and those of its `reverse`, stay where they are, and what is done with them depends on no number that
    is computed from them (no `item()`, no indexing by a mask): on a GPU all of it is recorded once and replayed with
    other values in them.
    """

    leaves: tuple[Tensor, ...]  # what has a gradient, besides queries and weights
    kept: tuple[Tensor, ...]  # (n_steps, ...) each: all that steps store and the backward pass reads

    @abstractmethod
    def step(self, t: int, query: Tensor, weights: Tensor, cumulative: Tensor) -> Tensor:
        """(B, T_text) energies; query: (B, query_dim), the others (B, T_text), of before the step.

        A step beyond n_steps is stored in the place of the last.
        """

    @abstractmethod
    def reverse(self) -> EnergyReverse:
        """The way back; the tape is only read."""


class Attention(nn.Module, ABC):
    """Attention over the encoded text. `build(cfg, *, query_dim, memory_dim)` makes one.

    With `leaves` and a `tape` it trains about twice as fast; that gives the same as `step`, and a contract test proves
    it.
    """

    # In evaluation the energies that were learned are multiplied by this: an inverse temperature (Chorowski et al.
    # 2015, section 2.3). The model that owns the attention sets it.
    sharpness: float = 1.0

    @abstractmethod
    def prepare(self, memory: Tensor, mask: Tensor) -> AttentionMemory:
        """memory: (B, T_text, D), zero where padded; mask: (B, T_text) bool."""

    @abstractmethod
    def start(self, prepared: AttentionMemory) -> AttentionState:
        """The state before the first step."""

    @abstractmethod
    def step(self, query: Tensor, state: AttentionState, prepared: AttentionMemory) -> AttentionState:
        """One step. query: (B, query_dim). Energies and softmax are computed in float32."""

    def leaves(self, prepared: AttentionMemory) -> tuple[Tensor, ...] | None:
        """What a tape makes the energies of, float32, computed once per pass. None: `step` is all there is."""
        return None

    def tape(self, leaves: tuple[Tensor, ...], n_steps: int, shape: torch.Size) -> EnergyTape:
        """For so many steps of teacher forcing. leaves: of `leaves`, or others like them; shape: (B, T_text)."""
        raise NotImplementedError(f"{type(self).__name__} has leaves, and so it needs a tape")


class AcousticOutput(NamedTuple):
    """What teacher forcing yields, at frame rate whatever the reduction factor."""

    mel_before: Tensor  # (B, n_mels, T_mel) contract units, before the postnet
    mel: Tensor  # (B, n_mels, T_mel) contract units
    stop_logit: Tensor  # (B, T_mel)
    alignment: Tensor  # (B, T_text, T_mel)


StopReason = Literal["stop", "attended", "limit"]
# stop: the stop token fired; attended: attention read the whole text and rested on its end; limit: the row was cut off.
STOP_REASONS: tuple[StopReason, ...] = ("stop", "attended", "limit")
BY_ITSELF: frozenset[StopReason] = frozenset({"stop", "attended"})


class AttentionWindow(NamedTuple):
    """How far from the symbol attended last a step may attend (after Ping et al. 2017, arXiv:1710.07654)."""

    back: int = 1  # symbols
    ahead: int = 2  # 1 would get stuck before symbols that are passed over, 3 lets more words be skipped


class AcousticGeneration(NamedTuple):
    """What free running yields, at frame rate, padded at the end (mel with the log floor, the rest with zero)."""

    mel: Tensor  # (B, n_mels, T_mel) contract units
    mel_lengths: Tensor  # (B,) int64
    stop_probability: Tensor  # (B, T_mel)
    alignment: Tensor  # (B, T_text, T_mel)
    stop_reasons: tuple[StopReason, ...]  # one per row


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
    # Share of utterances whose sound may come from the frames before and not from the text alone; the trainer sets it.
    frames_heard: float
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
        min_frames: Sequence[int] | None = None,
        rest_frames: int = 0,
        windows: Sequence[AttentionWindow | None] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> AcousticGeneration:
        """Free running; each row stops by itself, once it was read, and depends on its own text, seed and limits only.

        Args:
            text_ids: (B, T_text) int64. text_lengths: (B,).
            seeds: one per row; fixes the row's dropout.
            max_frames: one per row; a row that reaches it is cut.
            speaker_ids: (B,) int64, places in the table of speakers; None: the first speaker.
            min_frames: one per row; a row with fewer frames of sound does not end by itself. The silence before a
                text looks much like that after it, and stop tokens have fired there.
            rest_frames: a row whose symbols were all attended ends when attention has rested on the last of them for
                so many frames; 0: the stop token alone ends it.
            windows: one per row; where attention may go. None: wherever it wants.
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
        folds: int = 1,
        measured: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> Tensor:
        """mel: (B, n_mels, T_mel) contract units -> wave (B, T_mel * hop), zero after mel_lengths * hop.

        Each row depends on its own mel, its seed and the folds only.

        Args:
            mel, mel_lengths: see above.
            seeds: one per row.
            folds: at most so many parts of a row may be made side by side, cut at its pauses, if that is faster.
            measured: whether the mels are of recordings, right in every detail, and not a model's, which are right in
                their broad shape. A vocoder that draws may keep its wave nearer to such a mel.
            progress: called with the samples generated so far per row.
        """

    def stream(self, mels: Iterable[Tensor], *, seed: int, measured: bool = False) -> Iterator[Tensor]:
        """The wave of one row in pieces (samples,), as early as may be; together they are what `generate` gives.

        Args:
            mels: (n_mels, any) each, contract units, one after the other, as they come.
            seed: of the row.
            measured: see `generate`.
        """
        mel = torch.cat(list(mels), dim=1)[None]
        yield self.generate(mel, torch.tensor([mel.shape[2]], device=mel.device), seeds=[seed], measured=measured)[0]
