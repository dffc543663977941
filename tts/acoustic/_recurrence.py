"""The two LSTMs of Tacotron 2 and the one loop in which the first depends on attention (Shen et al. 2018, section 2.2).

Under teacher forcing only the attention LSTM and the attention wait for each other, frame by frame. All other products
are taken over the whole sequence, outside these loops.

Shapes: B batch, T decoder steps, T_text symbols, H width of an LSTM, D width of the encoded text.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from tts.acoustic._loops import Carry
from tts.acoustic._recorded import in_few_shapes, in_whole_blocks, recordings_of
from tts.acoustic._teacher_forcing import AtOnce, AttendedLSTMLoop, LSTMLoop, Run
from tts.interfaces import Attention, AttentionMemory, AttentionState
from tts.layers import zoneout


class LSTMState(NamedTuple):
    """An LSTM after a step."""

    hidden: Tensor  # (B, H)
    cell: Tensor  # (B, H)


class ZoneoutLSTM(nn.Module):
    """An LSTM layer with zoneout on both of its states (Krueger et al. 2016), whose input product is a call of its own.

    Args:
        in_dim: width of the input that is known beforehand, for all steps.
        fed_back_dim: width of what a step feeds back beside the hidden state (the context), or 0.
        dim: H.
        rate: share of units that keep their state at a step.
    """

    def __init__(self, in_dim: int, fed_back_dim: int, dim: int, *, rate: float):
        super().__init__()
        self.inputs = nn.Linear(in_dim, 4 * dim)  # gates in the order of torch: input, forget, candidate, output
        self.recurrent = nn.Linear(fed_back_dim + dim, 4 * dim, bias=False)
        self.dim, self.rate = dim, rate
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(dim**-0.5), dim**-0.5)  # as torch.nn.LSTM

    def start(self, like: Tensor) -> LSTMState:
        """Zeros, as many rows as `like` has. like: (B, ...)."""
        zeros = torch.zeros(len(like), self.dim, device=like.device)
        return LSTMState(zeros, zeros)

    def keep(self, n_steps: int, like: Tensor) -> Tensor | None:
        """(n_steps, 2, B, H) bool, the units that zoneout keeps in training; None otherwise. like: (B, ...)."""
        if not (self.training and self.rate):
            return None
        return torch.rand(n_steps, 2, len(like), self.dim, device=like.device) < self.rate

    def step(self, projected: Tensor, fed_back: Tensor, state: LSTMState, keep: Tensor | None) -> LSTMState:
        """One step.

        Args:
            projected: (B, 4 H) what `inputs` made of the input.
            fed_back: (B, fed_back_dim + H), the hidden state last.
            state: after the previous step.
            keep: (2, B, H) bool, this step's part of `keep()`.
        """
        # Gates and states stay float32 under autocast: the cell is a sum over the whole utterance.
        gates = (projected + self.recurrent(fed_back)).float()
        opened = torch.sigmoid(gates)
        accept, forget, _, emit = opened.chunk(4, dim=1)
        cell = forget * state.cell + accept * torch.tanh(gates[:, 2 * self.dim : 3 * self.dim])
        hidden = emit * torch.tanh(cell)
        keep_hidden, keep_cell = (None, None) if keep is None else keep.unbind()
        return LSTMState(
            zoneout(state.hidden, hidden, self.rate, keep_hidden), zoneout(state.cell, cell, self.rate, keep_cell)
        )

    def forward(self, x: Tensor) -> Tensor:
        """All steps, for an LSTM that feeds back nothing but its state. x: (T, B, in_dim) -> (T, B, H)."""
        projected, carry, run = self.inputs(x), self.carry(len(x), x[0]), self.run_of(self, x.device)
        if run is not AtOnce:
            projected, carry = in_whole_blocks(projected, carry)
        hidden: Tensor = LSTMLoop.apply(  # type: ignore[no-untyped-call]
            projected, self.recurrent.weight, carry, torch.is_grad_enabled(), run
        )
        return hidden if run is AtOnce else hidden[: len(x), : x.shape[1]]

    def run_of(self, loop: nn.Module, device: torch.device) -> Run:
        """What goes through the steps of a loop of this LSTM: recorded ones only in training, where shapes recur."""
        recordings = recordings_of(loop, device) if self.training else None
        return AtOnce if recordings is None else recordings.run

    def carry(self, n_steps: int, like: Tensor) -> Carry:
        """What zoneout keeps at each step: drawn in training, the expectation otherwise. like: (B, ...)."""
        keep = self.keep(n_steps, like)
        return self.rate if keep is None else keep.float()


class AttendedState(NamedTuple):
    """The attention LSTM and its attention after a step: what teacher forcing must carry from frame to frame."""

    lstm: LSTMState
    attention: AttentionState


class AttentionTrace(NamedTuple):
    """All steps of the attention loop."""

    hidden: Tensor  # (T, B, H)
    context: Tensor  # (T, B, D)
    weights: Tensor  # (T, B, T_text)


def attend(
    lstm: ZoneoutLSTM,
    attention: Attention,
    projected: Tensor,
    state: AttendedState,
    prepared: AttentionMemory,
    keep: Tensor | None,
) -> AttendedState:
    """One step of the attention LSTM, then of the attention that it queries. projected: (B, 4 H); keep: (2, B, H)."""
    fed_back = torch.cat([state.attention.context, state.lstm.hidden], dim=1)
    moved = lstm.step(projected, fed_back, state.lstm, keep)
    return AttendedState(moved, attention.step(moved.hidden, state.attention, prepared))


def attention_loop(
    lstm: ZoneoutLSTM, attention: Attention, projected: Tensor, prepared: AttentionMemory
) -> AttentionTrace:
    """`attend` for all steps, in one node of autograd where the attention has a tape. projected: (T, B, 4 H)."""
    run, (n_rows, n_symbols) = lstm.run_of(attention, projected.device), prepared.mask.shape
    padded = prepared if run is AtOnce else in_few_shapes(prepared)
    leaves, start = attention.leaves(padded), attention.start(padded)
    if leaves is None:
        return attend_steps(lstm, attention, projected, prepared)
    n_steps, carry = len(projected), lstm.carry(len(projected), projected[0])
    if run is not AtOnce:
        projected, carry = in_whole_blocks(projected, carry)
    fed_back, weights = AttendedLSTMLoop.apply(  # type: ignore[no-untyped-call]
        projected,
        lstm.recurrent.weight,
        padded.memory,
        (start.weights, start.cumulative),
        padded.mask,
        carry,
        torch.is_grad_enabled(),
        run,
        attention,
        *leaves,
    )
    if run is not AtOnce:
        fed_back, weights = fed_back[:n_steps, :n_rows], weights[:n_steps, :n_rows, :n_symbols]
    context, hidden = fed_back.split([padded.memory.shape[2], lstm.dim], dim=2)
    return AttentionTrace(hidden, context, weights)


def attend_steps(
    lstm: ZoneoutLSTM, attention: Attention, projected: Tensor, prepared: AttentionMemory
) -> AttentionTrace:
    """`attend` for all steps, one after the other under autograd."""
    state = AttendedState(lstm.start(projected[0]), attention.start(prepared))
    keep = lstm.keep(len(projected), projected[0])
    states = []
    for t in range(len(projected)):
        state = attend(lstm, attention, projected[t], state, prepared, None if keep is None else keep[t])
        states.append(state)
    return AttentionTrace(
        torch.stack([s.lstm.hidden for s in states]),
        torch.stack([s.attention.context for s in states]),
        torch.stack([s.attention.weights for s in states]),
    )
