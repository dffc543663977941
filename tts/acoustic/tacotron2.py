"""Tacotron 2 (Shen et al. 2018, arXiv:1712.05884): text to mel, frame by frame, with attention and a stop token.

With a reduction factor r (Wang et al. 2017, arXiv:1703.10135, section 3.3) a decoder step yields r frames and sees the
last frame of the group before. The output layer has rows for the largest r of the schedule; a smaller one uses the
first of them, so the optimizer and averaged weights stay valid when r changes.

Where a corpus has several speakers, a learned vector of the speaker is added to every encoded symbol. Jia et al. 2018
(arXiv:1806.04558, section 2.2) append theirs there; adding it leaves all sizes as they are, so that a voice of one
speaker, which has no such vectors, can be the start of a voice of several.

Shapes: B batch, T_text symbols, T_mel frames, T decoder steps, D width of the encoded text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tts.acoustic import _watch
from tts.acoustic._modules import Dropout, Encoder, PostNet, PreNet, always_dropout
from tts.acoustic._recurrence import AttendedState, AttentionTrace, LSTMState, ZoneoutLSTM, attend, attention_loop
from tts.acoustic._stepping import PrenetDropout, Stepped, make_stepper
from tts.acoustic._watch import Step, Watch
from tts.batch import AcousticBatch
from tts.interfaces import (
    AcousticGeneration,
    AcousticModel,
    AcousticOutput,
    Attention,
    AttentionMemory,
    AttentionWindow,
    Rows,
)
from tts.layers import MelScaler, length_mask
from tts.parallel import OneThread
from tts.settings import component, require

SPEAKER_SCALE = 0.1  # standard deviation of untrained speaker vectors; encoded symbols lie between -1 and 1


@dataclass
class Config:
    """The defaults are the paper's."""

    name: str = "tacotron2"
    attention: Any = component("tts.acoustic.attention", default="location_sensitive")
    encoder_dim: int = 512  # of the embedding, of each convolution, and of both directions of the LSTM together
    encoder_convs: int = 3
    encoder_kernel_size: int = 5  # symbols
    encoder_dropout: float = 0.5
    speaker_vectors: Literal["several", "always"] = "several"  # always: one also where the corpus has one speaker
    prenet_dims: list[int] = field(default_factory=lambda: [256, 256])
    prenet_dropout: float = 0.5  # at synthesis too
    frame_dropout: float = 0.0  # share of given frames that training replaces by the mean frame on their way in
    own_frames: float = 0.0  # share of true frames that training replaces by the model's own, of a pass before
    attention_lstm_dim: int = 1024
    decoder_lstm_dim: int = 1024
    sharpness: float = 1.0  # of attention in evaluation: its learned energies are multiplied by this
    zoneout: float = 0.1  # share of units of both LSTMs that keep their state at a step
    postnet_dim: int = 512
    postnet_layers: int = 5
    postnet_kernel_size: int = 5  # frames
    postnet_dropout: float = 0.5
    stop_threshold: float = 0.5  # stop probability above which an utterance ends

    def __post_init__(self) -> None:
        if self.attention is None:
            self.attention = import_module("tts.acoustic.attention.location_sensitive").Config()
        require(self.name == "tacotron2", f"acoustic model {self.name!r} has a configuration of its own")
        require(self.encoder_dim >= 2 and self.encoder_dim % 2 == 0, f"encoder_dim {self.encoder_dim} must be even")
        for name in ("encoder_kernel_size", "postnet_kernel_size"):
            require(getattr(self, name) % 2 == 1, f"{name} {getattr(self, name)} must be odd, to be centred")
        for name in ("encoder_dropout", "prenet_dropout", "frame_dropout", "own_frames", "zoneout", "postnet_dropout"):
            require(0 <= getattr(self, name) < 1, f"{name} {getattr(self, name)} must lie in [0, 1)")
        for name in ("attention_lstm_dim", "decoder_lstm_dim", "postnet_dim", "postnet_layers"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1")
        require(
            self.sharpness > 0, f"sharpness {self.sharpness} must be positive; 1 leaves attention as it was trained"
        )
        require(self.encoder_convs >= 0, "encoder_convs must not be negative")
        require(len(self.prenet_dims) > 0 and min(self.prenet_dims) >= 1, "prenet_dims needs a width for each layer")
        require(0 < self.stop_threshold < 1, f"stop_threshold {self.stop_threshold} must lie between 0 and 1")


class DecoderState(NamedTuple):
    """The decoder after a step."""

    attended: AttendedState
    decoder: LSTMState


class Frames(NamedTuple):
    """What one decoder step yields."""

    mel: Tensor  # (B, n_mels, r) normalised, before the postnet
    stop_logit: Tensor  # (B,)


class Tacotron2(AcousticModel):
    """Encoder, attention, autoregressive decoder, postnet. The network works on normalised mels."""

    rows: ClassVar[dict[str, Rows]] = {
        "encoder.embedding.weight": "symbols",
        "speakers.weight": "speakers",
        "frames.weight": "frames",
        "frames.bias": "frames",
    }

    def __init__(
        self, cfg: Config, *, n_symbols: int, n_mels: int, max_reduction: int, silence: float, n_speakers: int = 1
    ):
        super().__init__()
        self.scaler = MelScaler(n_mels)
        self.n_mels, self.max_reduction, self.reduction = n_mels, max_reduction, max_reduction
        self.silence, self.stop_threshold = silence, cfg.stop_threshold
        self.frame_dropout, self.own_frames = cfg.frame_dropout, cfg.own_frames
        dim = cfg.encoder_dim
        self.encoder = Encoder(n_symbols, dim, cfg.encoder_convs, cfg.encoder_kernel_size, cfg.encoder_dropout)
        self.speakers = _speaker_vectors(cfg, n_speakers)
        self.prenet = PreNet(n_mels, cfg.prenet_dims, cfg.prenet_dropout)
        self.attention_lstm = ZoneoutLSTM(cfg.prenet_dims[-1], dim, cfg.attention_lstm_dim, rate=cfg.zoneout)
        attention_file = import_module(f"tts.acoustic.attention.{cfg.attention.name}")
        self.attention: Attention = attention_file.build(
            cfg.attention, query_dim=cfg.attention_lstm_dim, memory_dim=dim
        )
        self.attention.sharpness = cfg.sharpness
        self.frames_heard = 1.0
        self.decoder_lstm = ZoneoutLSTM(cfg.attention_lstm_dim + dim, 0, cfg.decoder_lstm_dim, rate=cfg.zoneout)
        self.frames = nn.Linear(cfg.decoder_lstm_dim + dim, n_mels * max_reduction)
        self.stop = nn.Linear(cfg.decoder_lstm_dim + dim, 1)
        self.postnet = PostNet(
            n_mels, cfg.postnet_dim, cfg.postnet_layers, cfg.postnet_kernel_size, cfg.postnet_dropout
        )

    def encode(self, text_ids: Tensor, text_lengths: Tensor, speaker_ids: Tensor | None = None) -> AttentionMemory:
        """text_ids: (B, T_text); text_lengths: (B,); speaker_ids: (B,), or None for the first speaker."""
        mask = length_mask(text_lengths, text_ids.shape[1])
        memory = self.encoder(text_ids, text_lengths)
        if self.speakers is not None:
            speaker = self.speakers(torch.zeros_like(text_lengths) if speaker_ids is None else speaker_ids)
            memory = memory + speaker.to(memory.dtype)[:, None] * mask[:, :, None]
        return self.attention.prepare(memory, mask)

    def start(self, prepared: AttentionMemory) -> DecoderState:
        """The state before the first step."""
        attended = AttendedState(self.attention_lstm.start(prepared.memory), self.attention.start(prepared))
        return DecoderState(attended, self.decoder_lstm.start(prepared.memory))

    def step(
        self, previous: Tensor, state: DecoderState, prepared: AttentionMemory, drop: Dropout = always_dropout
    ) -> tuple[Frames, DecoderState]:
        """One decoder step at synthesis: zoneout takes its expectation.

        Args:
            previous: (B, n_mels) normalised, the last frame so far; zeros at the start.
            state: after the previous step.
            prepared: the encoded text.
            drop: the prenet's dropout.
        """
        projected = self.attention_lstm.inputs(self.prenet(previous, drop))
        attended = attend(self.attention_lstm, self.attention, projected, state.attended, prepared, None)
        heard = self._heard(attended.lstm.hidden, attended.attention.context)
        decoder = self.decoder_lstm.step(self.decoder_lstm.inputs(heard), state.decoder.hidden, state.decoder, None)
        frames = self.project(torch.cat([decoder.hidden, attended.attention.context], dim=1))
        return frames, DecoderState(attended, decoder)

    def _heard(self, hidden: Tensor, context: Tensor) -> Tensor:
        """What the decoder LSTM hears of attention LSTM (..., B, H) and context (..., B, D)."""
        if self.training and 0 < self.frames_heard < 1:
            hears = torch.rand(hidden.shape[-2], 1, device=hidden.device) < self.frames_heard
            hidden = hidden * hears
        elif not self.hears_frames:
            hidden = torch.zeros_like(hidden)
        return torch.cat([hidden, context], dim=-1)

    @property
    def hears_frames(self) -> bool:
        """Whether, in evaluation, the decoder LSTM hears what the attention LSTM made of the frames before."""
        return self.frames_heard >= 0.5

    def project(self, decoded: Tensor) -> Frames:
        """(N, decoder_lstm_dim + D) -> the frames and stop logits of N decoder steps."""
        assert 1 <= self.reduction <= self.max_reduction, "the output layer has rows for max_reduction frames"
        rows = self.reduction * self.n_mels
        mel = F.linear(decoded, self.frames.weight[:rows], self.frames.bias[:rows])
        return Frames(mel.view(len(mel), self.reduction, self.n_mels).transpose(1, 2), self.stop(decoded)[:, 0])

    def forward(self, batch: AcousticBatch) -> AcousticOutput:
        """Teacher forcing: the same as `step` on true frames, with all that can be taken out of the loop."""
        r, n_frames = self.reduction, batch.mel.shape[2]
        prepared = self.encode(batch.text_ids, batch.text_lengths, batch.speaker_ids)
        # Step t sees the last frame of group t - 1, so the frames of the last group are never an input.
        given = self.scaler.normalize(batch.mel).permute(2, 0, 1)[r - 1 :: r][: -(-n_frames // r) - 1]
        given = torch.cat([given.new_zeros(1, *given.shape[1:]), given])  # (T, B, n_mels)
        if self.training:
            given = self._drop_frames(self._mix_in_own(given, prepared))
        trace, frames = self._decode(given, prepared)
        n_steps, n_rows = given.shape[:2]
        mel_before = frames.mel.view(n_steps, n_rows, self.n_mels, r).permute(1, 2, 0, 3).flatten(2)
        # The postnet sees whole groups, as it does at synthesis.
        mask = length_mask(-(-batch.mel_lengths // r) * r, n_steps * r)
        mel = mel_before + self.postnet(mel_before, mask)
        return AcousticOutput(
            self.scaler.denormalize(mel_before)[:, :, :n_frames],
            self.scaler.denormalize(mel)[:, :, :n_frames],
            frames.stop_logit.view(n_steps, n_rows).t().repeat_interleave(r, dim=1)[:, :n_frames],
            trace.weights.permute(1, 2, 0).repeat_interleave(r, dim=2)[:, :, :n_frames],
        )

    def _decode(self, given: Tensor, prepared: AttentionMemory) -> tuple[AttentionTrace, Frames]:
        """All steps. given: (T, B, n_mels) normalised, what each sees. Frames of step t and row b lie at t * B + b."""
        projected = self.attention_lstm.inputs(self.prenet(given, always_dropout))
        trace = attention_loop(self.attention_lstm, self.attention, projected, prepared)
        decoded = self.decoder_lstm(self._heard(trace.hidden, trace.context))
        return trace, self.project(torch.cat([decoded, trace.context], dim=2).flatten(0, 1))

    def _mix_in_own(self, given: Tensor, prepared: AttentionMemory) -> Tensor:
        """Give the model some of the frames that it makes itself, as at synthesis: (T, B, n_mels), normalised.

        Two passes instead of a slow free-running one: the first, on true frames, makes those of the second
        (Duckworth et al. 2019, arXiv:1906.04331).
        """
        if not self.own_frames:
            return given
        with torch.no_grad():
            _, frames = self._decode(given, prepared)
            last = frames.mel[:, :, -1].view(given.shape).to(given.dtype)
            own = torch.cat([torch.zeros_like(given[:1]), last[:-1]])
            chosen = torch.rand(given.shape[:2], device=given.device) < self.own_frames
            return torch.where(chosen[:, :, None], own, given)

    def _drop_frames(self, given: Tensor) -> Tensor:
        """Hide some of the frames that training gives, so that the text must be read: (T, B, n_mels), normalised."""
        if not self.frame_dropout:
            return given
        kept = torch.rand(given.shape[:2], device=given.device) >= self.frame_dropout
        return given * kept[:, :, None]

    @torch.no_grad()
    @OneThread()
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
        """Free running; see `AcousticModel.generate`."""
        assert not self.training, "synthesis wants eval(): no dropout but the prenet's"
        assert len(seeds) == len(text_ids)
        dropout = PrenetDropout(seeds, sum(self.prenet.dims), self.prenet.dropout)
        limits = _watch.make_limits(
            text_lengths,
            max_frames=max_frames,
            min_frames=min_frames,
            rest_frames=rest_frames,
            stop_threshold=self.stop_threshold,
            windows=windows,
        )
        watch = _watch.start(limits, text_ids.shape[1])
        stepper = make_stepper(self, self.encode_rows(text_ids, text_lengths, speaker_ids))
        previous = torch.zeros(len(text_ids), self.n_mels, device=text_ids.device)
        made: list[Stepped] = []
        # A row that has ended may still be computed with the others, but no row sees another, and it is cut off below.
        while watch.speaking:
            speaking = torch.from_numpy(watch.lengths == 0)
            frames = stepper.step(previous, dropout.next(), speaking, _watch.allowed(watch, limits))
            previous = frames.mel[:, :, -1]
            made.append(frames)
            n_frames = len(made) * self.reduction
            seen = (frames.weights, torch.sigmoid(frames.stop_logit), frames.mel.mean(dim=1))
            watch = _watch.advance(watch, limits, Step(*(part.float().cpu().numpy() for part in seen)), n_frames)
            if progress is not None:
                progress(n_frames)
        return self._finish(made, watch)

    def encode_rows(self, text_ids: Tensor, text_lengths: Tensor, speaker_ids: Tensor | None = None) -> AttentionMemory:
        """`encode`, row by row: in another batch a library's sums may come out differently in the last bit."""
        rows = [slice(row, row + 1) for row in range(len(text_ids))]
        encoded = [
            self.encode(text_ids[row, :n], text_lengths[row], None if speaker_ids is None else speaker_ids[row])
            for row, n in zip(rows, text_lengths.tolist(), strict=True)
        ]
        parts = []
        for of_rows in zip(*encoded, strict=True):
            part = of_rows[0].new_zeros(*text_ids.shape, *of_rows[0].shape[2:])
            for whole, own in zip(part, of_rows, strict=True):
                whole[: own.shape[1]] = own[0]
            parts.append(part)
        return AttentionMemory(*parts)

    def _finish(self, made: list[Stepped], watch: Watch) -> AcousticGeneration:
        """Cut every row at its length, then postnet; row by row, as the encoder."""
        r, n_frames = self.reduction, int(watch.lengths.max())
        before = torch.cat([frames.mel for frames in made], dim=2)
        logits = torch.stack([frames.stop_logit for frames in made], dim=1)
        weights = torch.stack([frames.weights for frames in made], dim=2)
        mel = before.new_full((*before.shape[:2], n_frames), self.silence)
        stop, alignment = logits.new_zeros(len(mel), n_frames), weights.new_zeros(*weights.shape[:2], n_frames)
        for b, n in enumerate(watch.lengths.tolist()):
            own, n_steps = before[b : b + 1, :, :n], -(-n // r)
            mask = torch.ones(1, n, dtype=torch.bool, device=mel.device)
            mel[b, :, :n] = self.scaler.denormalize(own + self.postnet(own, mask))[0]
            stop[b, :n] = torch.sigmoid(logits[b, :n_steps]).repeat_interleave(r)[:n]
            alignment[b, :, :n] = weights[b, :, :n_steps].repeat_interleave(r, dim=1)[:, :n]
        lengths = torch.from_numpy(watch.lengths).to(mel.device)
        return AcousticGeneration(mel, lengths, stop, alignment, watch.stop_reasons)


def _speaker_vectors(cfg: Config, n_speakers: int) -> nn.Embedding | None:
    """(n_speakers, encoder_dim), small at first."""
    if n_speakers == 1 and cfg.speaker_vectors == "several":
        return None
    vectors = nn.Embedding(n_speakers, cfg.encoder_dim)
    nn.init.normal_(vectors.weight, std=SPEAKER_SCALE)
    return vectors


def build(
    cfg: Config, *, n_symbols: int, n_mels: int, max_reduction: int, silence: float, n_speakers: int = 1
) -> AcousticModel:
    """The model.

    Args:
        cfg: the choices.
        n_symbols: entries of the symbol table.
        n_mels: mel bins.
        max_reduction: the largest reduction factor of the schedule.
        silence: the contract's log floor, which pads what is generated.
        n_speakers: entries of the table of speakers.
    """
    return Tacotron2(
        cfg,
        n_symbols=n_symbols,
        n_mels=n_mels,
        max_reduction=max_reduction,
        silence=silence,
        n_speakers=n_speakers,
    )
