"""One step of a WaveNet for a batch of rows, in torch: the function that generation follows sample by sample.

Shapes: B batch, N bands, L layers, R residual channels, G gate channels, S skip channels, K kernel size, P parameters
of the distributions of a step.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from tts.vocoder._stack import RESIDUAL_SCALE

if TYPE_CHECKING:
    from tts.vocoder.wavenet import WaveNet


class StepWeights(NamedTuple):
    """The weights as a step multiplies with them: transposed, taps apart, constants folded in.

    A gate is tanh(a) sigmoid(b) = tanh(a) (1 + tanh(b / 2)) / 2: one tanh over both halves, where `past`, `present`
    and the conditioning hold b / 2 and the factor 1 / 2 lies in `residual` and `skip`.
    """

    input: Tensor  # (K N, R) oldest step first
    input_bias: Tensor  # (R,)
    past: Tensor  # (L, (K - 1) R, 2 G), oldest tap first
    present: tuple[Tensor, ...]  # L times (R, 2 G)
    residual: tuple[Tensor, ...]  # L - 1 times (G, R)
    skip: Tensor  # (L G, S)
    skip_bias: Tensor  # (S,)
    head: Tensor  # (S, S)
    head_bias: Tensor  # (S,)
    output: Tensor  # (S, P)
    output_bias: Tensor  # (P,)


class Slots(NamedTuple):
    """Where in the rings a step reads and writes, by position, repeating."""

    read: tuple[Tensor, ...]  # (L (K - 1),) each: slots that hold the past taps
    write: tuple[Tensor, ...]  # (L,) each: slots of the oldest taps, which the present then takes


class StepBuffers(NamedTuple):
    """Where a step keeps its intermediate results; whole tensors and, after each, its views by layer."""

    hidden: Tensor  # (L, B, R) input of every layer at this step
    hidden_of: tuple[Tensor, ...]  # (B, R) each
    gates: Tensor  # (L, B, 2 G)
    gates_of: tuple[Tensor, ...]  # (B, 2 G) each
    tanh_of: tuple[Tensor, ...]  # (B, G) each, first halves of the gates
    sigmoid_of: tuple[Tensor, ...]  # (B, G) each, second halves
    units: Tensor  # (B, L G) outputs of the gated units
    units_of: tuple[Tensor, ...]  # (B, G) each


class WaveNetState(NamedTuple):
    """What has been heard so far. A step writes into the tensors of the state it is given: use a state once.

    Each layer owns dilation * (K - 1) consecutive slots of `rings`, addressed by position: nothing is ever shifted.
    """

    position: int  # steps done
    window: Tensor  # (B, K, N) the last K signals, oldest first
    rings: Tensor  # (slots, B, R)
    slots: Slots
    buffers: StepBuffers
    weights: StepWeights


class StepOutput(NamedTuple):
    """What a step yields."""

    parameters: Tensor  # (B, P)
    state: WaveNetState


def start(model: "WaveNet", batch_size: int) -> WaveNetState:
    """The state before the first step; the weights are those of now. Silence lies behind it."""
    weights = step_weights(model)
    n_slots = (model.kernel_size - 1) * sum(model.dilations)
    n_layers, n_gates = weights.past.shape[0], weights.past.shape[2]
    empty = weights.skip.new_zeros
    hidden = empty(n_layers, batch_size, weights.input_bias.shape[0])
    gates = empty(n_layers, batch_size, n_gates)
    units = empty(batch_size, weights.skip.shape[0])
    buffers = StepBuffers(
        hidden=hidden,
        hidden_of=hidden.unbind(),
        gates=gates,
        gates_of=gates.unbind(),
        tanh_of=gates[:, :, : n_gates // 2].unbind(),
        sigmoid_of=gates[:, :, n_gates // 2 :].unbind(),
        units=units,
        units_of=units.chunk(n_layers, dim=1),
    )
    return WaveNetState(
        position=0,
        window=empty(batch_size, model.kernel_size, model.n_bands),
        rings=empty(n_slots, batch_size, hidden.shape[2]),
        slots=_slots(model.dilations, model.kernel_size, hidden.device),
        buffers=buffers,
        weights=weights,
    )


@torch.no_grad()
def step(previous: Tensor, state: WaveNetState, condition: Tensor) -> StepOutput:
    """See `WaveNet.step`."""
    weights, buffers = state.weights, state.buffers
    window = torch.cat([state.window[:, 1:], previous[:, None]], dim=1)
    torch.addmm(weights.input_bias, window.flatten(1), weights.input, out=buffers.hidden_of[0])

    # The past taps of all layers are known before any of the layers runs: one product for all of them.
    turn = state.position % len(state.slots.read)
    past = state.rings.index_select(0, state.slots.read[turn])  # (L (K - 1), B, R)
    if window.shape[1] > 2:
        past = past.view(condition.shape[0], -1, *past.shape[1:]).transpose(1, 2).flatten(2)
    torch.baddbmm(condition, past, weights.past, out=buffers.gates)  # (L, B, 2 G)

    for i, present in enumerate(weights.present):
        buffers.gates_of[i].addmm_(buffers.hidden_of[i], present).tanh_()
        tanh = buffers.tanh_of[i]
        torch.addcmul(tanh, tanh, buffers.sigmoid_of[i], out=buffers.units_of[i])
        if i < len(weights.residual):
            hidden, units = buffers.hidden_of[i], buffers.units_of[i]
            torch.addmm(hidden, units, weights.residual[i], beta=RESIDUAL_SCALE, out=buffers.hidden_of[i + 1])
    state.rings.index_copy_(0, state.slots.write[turn], buffers.hidden)

    skip = torch.addmm(weights.skip_bias, buffers.units, weights.skip).relu_()
    head = torch.addmm(weights.head_bias, skip, weights.head).relu_()
    parameters = torch.addmm(weights.output_bias, head, weights.output)
    return StepOutput(parameters, state._replace(position=state.position + 1, window=window))


@torch.no_grad()
def step_weights(model: "WaveNet") -> StepWeights:
    """The weights of now."""
    taps, residual = model.stack_weights()
    taps = torch.cat([taps[:, :, 0], taps[:, :, 1] / 2], dim=3)  # (L, K, R, 2 G)
    return StepWeights(
        input=model.input.weight.permute(2, 1, 0).flatten(0, 1).contiguous(),
        input_bias=_bias(model.input),
        past=taps[:, :-1].flatten(1, 2).contiguous(),
        present=taps[:, -1].contiguous().unbind(),
        residual=(residual * (RESIDUAL_SCALE / 2)).unbind(),
        skip=_matrix(model.skip, 0.5),
        skip_bias=_bias(model.skip),
        head=_matrix(model.head),
        head_bias=_bias(model.head),
        output=_matrix(model.output),
        output_bias=_bias(model.output),
    )


def _slots(dilations: list[int], kernel_size: int, device: torch.device) -> Slots:
    """The slots at each position, until they repeat."""
    taps = torch.arange(kernel_size - 1, 0, -1)  # oldest first
    distances = torch.tensor(dilations)
    lengths = distances * (kernel_size - 1)
    starts = lengths.cumsum(0) - lengths
    positions = torch.arange(math.lcm(*lengths.tolist()))
    slots = (positions[:, None, None] - distances[:, None] * taps) % lengths[:, None] + starts[:, None]
    slots = slots.to(device)  # (positions, L, K - 1)
    return Slots(slots.flatten(1).unbind(), slots[:, :, 0].contiguous().unbind())


def _matrix(conv: nn.Conv1d, scale: float = 1.0) -> Tensor:
    """The weight of a convolution of kernel size 1 as (in, out), to multiply rows with."""
    return (conv.weight[:, :, 0].t() * scale).contiguous()


def _bias(conv: nn.Conv1d) -> Tensor:
    assert conv.bias is not None
    return conv.bias.detach()
