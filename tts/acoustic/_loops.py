"""The arithmetic of the two loops of teacher forcing, forward and back, on tensors that stay where they are.

It is that of `ZoneoutLSTM.step` and `Attention.step`, and tests hold values and gradients against those.

Shapes: B batch, n steps, T_text symbols, H width of an LSTM, D width of the encoded text, F width of what is fed back.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from tts.interfaces import EnergyTape

Carry = Tensor | float  # share of its old value that a unit keeps: (T, 2, B, H) of hidden and cell, or one for all
Tensors = tuple[Tensor, ...]


class Reverse(ABC):
    """The way back through some steps, likewise."""

    d_outputs: Tensors  # (n, ...) each, given
    d_given: Tensor  # (n, B, 4 H), made: of what was given to each step
    sums: Tensors  # of the constants that have a gradient, in their order; every run adds to them
    carried: Tensors  # of the state before the first of these steps, made, and of that after the last, given

    def begin(self) -> None:
        """Go behind the last step of all."""
        for tensor in (*self.sums, *self.carried):
            tensor.zero_()

    @abstractmethod
    def run(self) -> None:
        """From the last of the steps to the first."""


class Steps(ABC):
    """Some steps of a loop.

    A run reads and writes these tensors alone, and depends on no number that Python holds but on sizes. So they may be
    all steps of a call, or a block of a few that is run over and over, with other inputs each time.
    """

    constants: Tensors  # read by all steps
    inputs: Tensors  # (n, ...) each: what is given to a step, until it is overwritten; what zoneout keeps, if drawn
    outputs: Tensors  # (n + 1, ...) each: of before the first step, then of each
    kept: Tensors  # (n, ...) or (n + 1, ...) each: what else the way back reads

    @abstractmethod
    def begin(self, start: Tensors) -> None:
        """Go before the first step of all. start: of the attention, (B, T_text) weights and their sum; else nothing."""

    @abstractmethod
    def forward(self) -> None:
        """All of the steps, from where the last run ended."""

    @abstractmethod
    def reverse(self, d_outputs: Tensors) -> Reverse:
        """The way back, once they have run. d_outputs: (n, ...) each."""


class Product(NamedTuple):
    """A recurrent weight in the precision of its products."""

    weight: Tensor  # (4 H, F)
    transposed: Tensor  # (F, 4 H), a copy: for a few rows this makes the product twice as fast

    @classmethod
    def of(cls, weight: Tensor, dtype: torch.dtype) -> "Product":
        """weight: (4 H, F) float32."""
        lowered = weight.to(dtype)
        return cls(lowered, lowered.t().contiguous())

    def add_forward(self, sums: Tensor, x: Tensor) -> None:
        """sums += x @ weight.T, (B, 4 H) float32."""
        if self.weight.dtype == torch.float32:
            sums.addmm_(x, self.transposed)
        else:
            sums += x.to(self.weight.dtype) @ self.transposed

    def back(self, d_gates: Tensor) -> Tensor:
        """(B, 4 H) -> (B, F) float32."""
        return (d_gates.to(self.weight.dtype) @ self.weight).float()

    def add_gradient(self, d_weight: Tensor, d_gates: Tensor, fed_back: Tensor) -> None:
        """To (4 H, F) float32, in place, what (n, B, 4 H) and (n, B, F) make of it."""
        dtype = self.weight.dtype
        by, of = d_gates.flatten(0, 1).to(dtype).t(), fed_back.flatten(0, 1).to(dtype)
        if dtype == torch.float32:
            d_weight.addmm_(by, of)
        else:
            d_weight += by @ of


class CellTape:
    """The elementwise part of a zoneout LSTM over all steps (Krueger et al. 2016)."""

    def __init__(self, gates: Tensor, carry: Carry, *, record: bool):
        """The gates' sums lie in `gates` before a step, and the gates after it.

        Args:
            gates: (n, B, 4 H) float32.
            carry: zoneout.
            record: whether a backward pass follows; if not, the rest of one step only is kept.
        """
        n_steps, n_rows, width = gates.shape
        self.gates, self.dim, self.carry = gates, width // 4, carry
        n_kept = n_steps if record else 1
        self.squashed = gates.new_empty(n_kept, n_rows, self.dim)  # tanh of the new cell
        self.cells = gates.new_zeros(n_kept + 1, n_rows, self.dim)

    @property
    def inputs(self) -> Tensors:
        """See `Steps`."""
        return (self.gates, self.carry) if isinstance(self.carry, Tensor) else (self.gates,)

    @property
    def kept(self) -> Tensors:
        """See `Steps`."""
        return self.gates, self.squashed, self.cells

    def carries(self, t: int) -> tuple[Tensor | float, Tensor | float]:
        """Of hidden and cell, (B, H) each."""
        if isinstance(self.carry, Tensor):
            return self.carry[t, 0], self.carry[t, 1]
        return self.carry, self.carry

    def step(self, t: int, hidden: Tensor, new_hidden: Tensor) -> None:
        """From the sums to the next state. hidden: (B, H) before; new_hidden: (B, H) is written."""
        dim, gates, squashed = self.dim, self.gates[t], self.squashed[t % len(self.squashed)]
        old, cell = (self.cells[at % len(self.cells)] for at in (t, t + 1))
        gates[:, : 2 * dim].sigmoid_()
        gates[:, 2 * dim : 3 * dim].tanh_()
        gates[:, 3 * dim :].sigmoid_()
        torch.mul(gates[:, dim : 2 * dim], old, out=cell)
        cell.addcmul_(gates[:, :dim], gates[:, 2 * dim : 3 * dim])
        torch.tanh(cell, out=squashed)
        torch.mul(gates[:, 3 * dim :], squashed, out=new_hidden)
        of_hidden, of_cell = self.carries(t)
        _lerp(new_hidden, hidden, of_hidden)
        _lerp(cell, old, of_cell)


def _lerp(new: Tensor, old: Tensor, share: Tensor | float) -> None:
    """Move `new` back towards `old` in place."""
    if isinstance(share, Tensor) or share:
        torch.lerp(new, old, share, out=new)


class CellReverse:
    """The way back through a tape."""

    def __init__(self, tape: CellTape):
        self.tape = tape
        self.d_gates = torch.empty_like(tape.gates)  # of the sums before the nonlinearities
        self.slope = torch.empty_like(tape.squashed)  # of the new hidden state, by the new cell

    def prepare(self) -> None:
        """Before the steps, and for all at once: the factors by which they multiply, since only the tape makes them.

        In `d_gates` lie those of the new cell by the first three sums, and of the hidden state by the fourth.
        """
        tape, aten = self.tape, torch.ops.aten
        accept, forget, candidate, emit = tape.gates.chunk(4, dim=2)
        of_accept, of_forget, of_candidate, of_emit = self.d_gates.chunk(4, dim=2)
        aten.sigmoid_backward.grad_input(candidate, accept, grad_input=of_accept)
        aten.sigmoid_backward.grad_input(tape.cells[:-1], forget, grad_input=of_forget)
        aten.tanh_backward.grad_input(accept, candidate, grad_input=of_candidate)
        aten.sigmoid_backward.grad_input(tape.squashed, emit, grad_input=of_emit)
        aten.tanh_backward.grad_input(emit, tape.squashed, grad_input=self.slope)

    def step(self, t: int, d_hidden: Tensor, d_cell: Tensor) -> tuple[Tensor, Tensor]:
        """Through step t; its `d_gates` are written.

        Args:
            d_hidden, d_cell: (B, H) of the state after the step.

        Returns:
            (B, H) each, of hidden and cell before the step, without the part of d_gates.
        """
        dim, (of_hidden, of_cell) = self.tape.dim, self.tape.carries(t)
        kept_hidden, kept_cell = d_hidden * of_hidden, d_cell * of_cell
        d_new = d_hidden - kept_hidden
        d_new_cell = (d_cell - kept_cell).addcmul_(d_new, self.slope[t])
        d_gates = self.d_gates[t].view(-1, 4, dim)
        d_gates[:, :3].mul_(d_new_cell[:, None])
        d_gates[:, 3].mul_(d_new)
        return kept_hidden, kept_cell.addcmul_(d_new_cell, self.tape.gates[t, :, dim : 2 * dim])


class LSTMSteps(Steps):
    """Of an LSTM that feeds back nothing but its state."""

    def __init__(self, product: Product, cell: CellTape):
        """cell: with what each step is given in its gates."""
        self.product, self.cell = product, cell
        self.hidden = cell.gates.new_zeros(len(cell.gates) + 1, cell.gates.shape[1], cell.dim)
        self.constants, self.inputs = tuple(product), cell.inputs
        self.outputs, self.kept = (self.hidden,), cell.kept

    def begin(self, start: Tensors) -> None:
        """See `Steps`."""
        for state in (self.hidden, self.cell.cells):
            state[-1].zero_()

    def forward(self) -> None:
        """See `Steps`."""
        hidden, cell = self.hidden, self.cell
        for state in (hidden, cell.cells):
            state[0] = state[-1]
        for t, sums in enumerate(cell.gates):
            self.product.add_forward(sums, hidden[t])
            cell.step(t, hidden[t], hidden[t + 1])

    def reverse(self, d_outputs: Tensors) -> Reverse:
        """See `Steps`. d_outputs: of the hidden states, (n, B, H)."""
        return _LSTMReverse(self, d_outputs)


class _LSTMReverse(Reverse):
    def __init__(self, steps: LSTMSteps, d_outputs: Tensors):
        self.steps, self.cell, self.d_outputs = steps, CellReverse(steps.cell), d_outputs
        self.d_given, self.sums = self.cell.d_gates, (torch.zeros_like(steps.product.weight, dtype=torch.float32),)
        self.carried = (torch.zeros_like(steps.hidden[0]), torch.zeros_like(steps.hidden[0]))

    def run(self) -> None:
        """See `Reverse`."""
        product, d_gates, (d_output,) = self.steps.product, self.d_given, self.d_outputs
        self.cell.prepare()
        d_hidden, d_cell = self.carried
        for t in reversed(range(len(d_gates))):
            d_hidden, d_cell = self.cell.step(t, d_hidden + d_output[t], d_cell)
            d_hidden += product.back(d_gates[t])
        move(self.carried, (d_hidden, d_cell))
        product.add_gradient(self.sums[0], d_gates, self.steps.hidden[:-1])


class AttendedSteps(Steps):
    """Of the attention LSTM and of the attention that it queries and that feeds its context back."""

    def __init__(self, product: Product, memory: Tensor, padding: Tensor, cell: CellTape, tape: EnergyTape):
        """Fed back are the context, then the hidden state.

        Args:
            product: F is D + H.
            memory: (B, T_text, D).
            padding: (B, T_text) bool, True = none of the text.
            cell: with what each step is given in its gates.
            tape: the attention's, of as many steps, or of one where no backward pass follows.
        """
        self.product, self.memory, self.padding, self.cell, self.tape = product, memory, padding, cell, tape
        self.context_dim, n_ends, zeros = memory.shape[2], len(cell.gates) + 1, memory.new_zeros
        self.fed_back = zeros(n_ends, len(memory), self.context_dim + cell.dim)
        self.weights, self.cumulative = zeros(n_ends, *padding.shape), zeros(padding.shape)
        self.constants, self.inputs = (*product, memory, padding, *tape.leaves), cell.inputs
        self.outputs, self.kept = (self.fed_back, self.weights), (*cell.kept, *tape.kept)

    def begin(self, start: Tensors) -> None:
        """See `Steps`."""
        for state in (self.fed_back, self.cell.cells):
            state[-1].zero_()
        move((self.weights[-1], self.cumulative), start)

    def forward(self) -> None:
        """See `Steps`."""
        fed_back, weights, cell, context_dim = self.fed_back, self.weights, self.cell, self.context_dim
        for state in (fed_back, weights, cell.cells):
            state[0] = state[-1]
        for t, sums in enumerate(cell.gates):
            self.product.add_forward(sums, fed_back[t])
            hidden = fed_back[t + 1, :, context_dim:]
            cell.step(t, fed_back[t, :, context_dim:], hidden)
            energies = self.tape.step(t, hidden, weights[t], self.cumulative).masked_fill_(self.padding, -torch.inf)
            now = torch.softmax(energies, dim=1, out=weights[t + 1])
            self.cumulative += now
            fed_back[t + 1, :, :context_dim] = torch.bmm(now[:, None], self.memory)[:, 0]

    def reverse(self, d_outputs: Tensors) -> Reverse:
        """See `Steps`. d_outputs: of what is fed back, (n, B, F), and of the weights, (n, B, T_text)."""
        return _AttendedReverse(self, d_outputs)


class _AttendedReverse(Reverse):
    def __init__(self, steps: AttendedSteps, d_outputs: Tensors):
        self.steps, self.cell, self.energies = steps, CellReverse(steps.cell), steps.tape.reverse()
        self.d_outputs, self.d_given = d_outputs, self.cell.d_gates
        self.d_weight = torch.zeros_like(steps.product.weight, dtype=torch.float32)
        self.d_memory = torch.zeros_like(steps.memory)
        self.sums = (self.d_weight, self.d_memory, *self.energies.sums)
        self.d_contexts = steps.fed_back.new_empty(*d_outputs[0].shape[:2], steps.context_dim)
        # Of what is fed back and of the cell, then of the weights: from the step that looks back at them as those
        # before, and from all that look back at them in a sum.
        before = (steps.fed_back[0], steps.cell.cells[0], steps.cumulative, steps.cumulative)
        self.carried = tuple(torch.zeros_like(state) for state in before)

    def run(self) -> None:
        """See `Reverse`."""
        steps, d_gates, context_dim = self.steps, self.d_given, self.steps.context_dim
        self.cell.prepare()
        d_fed_back, d_cell, d_before, d_cumulative = self.carried
        for t in reversed(range(len(d_gates))):
            d_fed_back = d_fed_back + self.d_outputs[0][t]
            self.d_contexts[t] = d_fed_back[:, :context_dim]
            gradient = self.energies.step(t, self._through_softmax(t, d_before, d_cumulative))
            d_before = gradient.weights
            if gradient.cumulative is not None:
                d_cumulative = d_cumulative + gradient.cumulative
            d_state = d_fed_back[:, context_dim:].add_(gradient.query)
            d_hidden, d_cell = self.cell.step(t, d_state, d_cell)
            d_fed_back = steps.product.back(d_gates[t])
            d_fed_back[:, context_dim:].add_(d_hidden)
        move(self.carried, (d_fed_back, d_cell, d_before, d_cumulative))
        steps.product.add_gradient(self.d_weight, d_gates, steps.fed_back[:-1])
        self.d_memory.baddbmm_(steps.weights[1:].permute(1, 2, 0), self.d_contexts.transpose(0, 1))
        self.energies.finish(steps.fed_back[1:, :, context_dim:])

    def _through_softmax(self, t: int, d_before: Tensor, d_cumulative: Tensor) -> Tensor:
        """(B, T_text) of the energies of step t, from its context and from who looked back at its weights."""
        d_attended = torch.bmm(self.d_contexts[t][:, None], self.steps.memory.transpose(1, 2))[:, 0]
        d_attended.add_(self.d_outputs[1][t]).add_(d_before).add_(d_cumulative)
        d_energies: Tensor = torch.ops.aten._softmax_backward_data(
            d_attended, self.steps.weights[t + 1], 1, torch.float32
        )
        return d_energies


def move(to: Tensors, made: Tensors) -> None:
    """Write what was made where it stays."""
    for place, value in zip(to, made, strict=True):
        place.copy_(value)
