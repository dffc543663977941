"""Tacotron 2 (Shen et al. 2018, arXiv:1712.05884): text to mel, frame by frame, with attention and a stop token.

With a reduction factor r (Wang et al. 2017, arXiv:1703.10135, section 3.3) a decoder step yields r frames and sees the
last frame of the group before. The output layer has rows for the largest r of the schedule; a smaller one uses the
first of them, so the optimizer and averaged weights stay valid when r changes.

Shapes: B batch, T_text symbols, T_mel frames, T decoder steps, D width of the encoded text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tts.acoustic._modules import Dropout, Encoder, PostNet, PreNet, always_dropout
from tts.acoustic._recurrence import AttendedState, LSTMState, ZoneoutLSTM, attend, attention_loop
from tts.acoustic._stepping import PrenetDropout, Stepped, make_stepper
from tts.batch import AcousticBatch
from tts.interfaces import AcousticGeneration, AcousticModel, AcousticOutput, Attention, AttentionMemory
from tts.layers import MelScaler, length_mask
from tts.parallel import OneThread
from tts.settings import component, require


@dataclass
class Config:
    """The defaults are the paper's."""

    name: str = "tacotron2"
    attention: Any = component("tts.acoustic.attention", default="location_sensitive")
    encoder_dim: int = 512  # of the embedding, of each convolution, and of both directions of the LSTM together
    encoder_convs: int = 3
    encoder_kernel_size: int = 5  # symbols
    encoder_dropout: float = 0.5
    prenet_dims: list[int] = field(default_factory=lambda: [256, 256])
    prenet_dropout: float = 0.5  # at synthesis too
    attention_lstm_dim: int = 1024
    decoder_lstm_dim: int = 1024
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
        for name in ("encoder_dropout", "prenet_dropout", "zoneout", "postnet_dropout"):
            require(0 <= getattr(self, name) < 1, f"{name} {getattr(self, name)} must lie in [0, 1)")
        for name in ("attention_lstm_dim", "decoder_lstm_dim", "postnet_dim", "postnet_layers"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1")
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

    def __init__(self, cfg: Config, *, n_symbols: int, n_mels: int, max_reduction: int, silence: float):
        super().__init__()
        self.scaler = MelScaler(n_mels)
        self.n_mels, self.max_reduction, self.reduction = n_mels, max_reduction, max_reduction
        self.silence, self.stop_threshold = silence, cfg.stop_threshold
        dim = cfg.encoder_dim
        self.encoder = Encoder(n_symbols, dim, cfg.encoder_convs, cfg.encoder_kernel_size, cfg.encoder_dropout)
        self.prenet = PreNet(n_mels, cfg.prenet_dims, cfg.prenet_dropout)
        self.attention_lstm = ZoneoutLSTM(cfg.prenet_dims[-1], dim, cfg.attention_lstm_dim, rate=cfg.zoneout)
        attention_file = import_module(f"tts.acoustic.attention.{cfg.attention.name}")
        self.attention: Attention = attention_file.build(
            cfg.attention, query_dim=cfg.attention_lstm_dim, memory_dim=dim
        )
        self.decoder_lstm = ZoneoutLSTM(cfg.attention_lstm_dim + dim, 0, cfg.decoder_lstm_dim, rate=cfg.zoneout)
        self.frames = nn.Linear(cfg.decoder_lstm_dim + dim, n_mels * max_reduction)
        self.stop = nn.Linear(cfg.decoder_lstm_dim + dim, 1)
        self.postnet = PostNet(
            n_mels, cfg.postnet_dim, cfg.postnet_layers, cfg.postnet_kernel_size, cfg.postnet_dropout
        )

    def encode(self, text_ids: Tensor, text_lengths: Tensor) -> AttentionMemory:
        """text_ids: (B, T_text); text_lengths: (B,)."""
        mask = length_mask(text_lengths, text_ids.shape[1])
        return self.attention.prepare(self.encoder(text_ids, text_lengths), mask)

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
        seen = torch.cat([attended.lstm.hidden, attended.attention.context], dim=1)
        decoder = self.decoder_lstm.step(self.decoder_lstm.inputs(seen), state.decoder.hidden, state.decoder, None)
        frames = self.project(torch.cat([decoder.hidden, attended.attention.context], dim=1))
        return frames, DecoderState(attended, decoder)

    def project(self, decoded: Tensor) -> Frames:
        """(N, decoder_lstm_dim + D) -> the frames and stop logits of N decoder steps."""
        assert 1 <= self.reduction <= self.max_reduction, "the output layer has rows for max_reduction frames"
        rows = self.reduction * self.n_mels
        mel = F.linear(decoded, self.frames.weight[:rows], self.frames.bias[:rows])
        return Frames(mel.view(len(mel), self.reduction, self.n_mels).transpose(1, 2), self.stop(decoded)[:, 0])

    def forward(self, batch: AcousticBatch) -> AcousticOutput:
        """Teacher forcing: the same as `step` on true frames, with all that can be taken out of the loop."""
        r, n_frames = self.reduction, batch.mel.shape[2]
        prepared = self.encode(batch.text_ids, batch.text_lengths)
        # Step t sees the last frame of group t - 1, so the frames of the last group are never an input.
        given = self.scaler.normalize(batch.mel).permute(2, 0, 1)[r - 1 :: r][: -(-n_frames // r) - 1]
        given = torch.cat([given.new_zeros(1, *given.shape[1:]), given])  # (T, B, n_mels)
        projected = self.attention_lstm.inputs(self.prenet(given, always_dropout))
        trace = attention_loop(self.attention_lstm, self.attention, projected, prepared)
        decoded = self.decoder_lstm(torch.cat([trace.hidden, trace.context], dim=2))
        frames = self.project(torch.cat([decoded, trace.context], dim=2).flatten(0, 1))
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

    @torch.no_grad()
    @OneThread()
    def generate(
        self,
        text_ids: Tensor,
        text_lengths: Tensor,
        *,
        seeds: Sequence[int],
        max_frames: Sequence[int],
        progress: Callable[[int], None] | None = None,
    ) -> AcousticGeneration:
        """Free running; see `AcousticModel.generate`."""
        assert not self.training, "synthesis wants eval(): no dropout but the prenet's"
        assert len(seeds) == len(max_frames) == len(text_ids) and min(max_frames) >= 1
        dropout = PrenetDropout(seeds, sum(self.prenet.dims), self.prenet.dropout)
        limits = torch.tensor(max_frames, device=text_ids.device)
        lengths, stopped = torch.zeros_like(limits), torch.zeros_like(limits, dtype=torch.bool)
        stepper = make_stepper(self, self.encode_rows(text_ids, text_lengths))
        previous = torch.zeros(len(text_ids), self.n_mels, device=text_ids.device)
        made: list[Stepped] = []
        # A row that has ended may still be computed with the others, but no row sees another, and it is cut off below.
        while bool((speaking := lengths == 0).any()):
            frames = stepper.step(previous, dropout.next(), speaking)
            previous = frames.mel[:, :, -1]
            made.append(frames)
            n_frames = len(made) * self.reduction
            stopped |= speaking & (torch.sigmoid(frames.stop_logit) > self.stop_threshold)
            ends = speaking & (stopped | (n_frames >= limits))
            lengths = torch.where(ends, limits.clamp_max(n_frames), lengths)
            if progress is not None:
                progress(n_frames)
        return self._finish(made, lengths, stopped)

    def encode_rows(self, text_ids: Tensor, text_lengths: Tensor) -> AttentionMemory:
        """`encode`, row by row: in another batch a library's sums may come out differently in the last bit."""
        encoded = [self.encode(ids[None, :n], n[None]) for ids, n in zip(text_ids, text_lengths, strict=True)]
        parts = []
        for rows in zip(*encoded, strict=True):
            part = rows[0].new_zeros(*text_ids.shape, *rows[0].shape[2:])
            for padded, row in zip(part, rows, strict=True):
                padded[: row.shape[1]] = row[0]
            parts.append(part)
        return AttentionMemory(*parts)

    def _finish(self, made: list[Stepped], lengths: Tensor, stopped: Tensor) -> AcousticGeneration:
        """Cut every row at its length, then postnet; row by row, as the encoder."""
        r, n_frames = self.reduction, int(lengths.max())
        before = torch.cat([frames.mel for frames in made], dim=2)
        logits = torch.stack([frames.stop_logit for frames in made], dim=1)
        weights = torch.stack([frames.weights for frames in made], dim=2)
        mel = before.new_full((*before.shape[:2], n_frames), self.silence)
        stop, alignment = logits.new_zeros(len(mel), n_frames), weights.new_zeros(*weights.shape[:2], n_frames)
        for b, n in enumerate(lengths.tolist()):
            own, n_steps = before[b : b + 1, :, :n], -(-n // r)
            mask = torch.ones(1, n, dtype=torch.bool, device=mel.device)
            mel[b, :, :n] = self.scaler.denormalize(own + self.postnet(own, mask))[0]
            stop[b, :n] = torch.sigmoid(logits[b, :n_steps]).repeat_interleave(r)[:n]
            alignment[b, :, :n] = weights[b, :, :n_steps].repeat_interleave(r, dim=1)[:, :n]
        return AcousticGeneration(mel, lengths, stop, alignment, stopped)


def build(cfg: Config, *, n_symbols: int, n_mels: int, max_reduction: int, silence: float) -> AcousticModel:
    """The model.

    Args:
        cfg: the choices.
        n_symbols: entries of the symbol table.
        n_mels: mel bins.
        max_reduction: the largest reduction factor of the schedule.
        silence: the contract's log floor, which pads what is generated.
    """
    return Tacotron2(cfg, n_symbols=n_symbols, n_mels=n_mels, max_reduction=max_reduction, silence=silence)
