"""WaveNet sample by sample for one row, compiled; see `tts/native`.

All layers run on one vector, the stream: the residual channels, and behind them the sum of the skip connections. The
product that ends a layer adds to both at once. Each layer's past lies in a ring of its own that is read in place.

Parts of a vector are padded to whole vectors, of sixteen for the gates and eight for others, and what a product writes
to whole panels of 32, with zeros that stay zero.

Shapes: N bands, F frames, L layers, R residual channels, G gate channels, S skip channels, K kernel size, P parameters
of all bands of a step.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tts.native import Storage
from tts.native.compiled import compiled, ensure, inner
from tts.native.functions import exp
from tts.native.matrices import Floats
from tts.native.panels import Weights, add_product, lanes_up, panels_up, stored, to_panels, wide_up
from tts.native.vectors import (
    WIDE,
    add,
    divide,
    largest,
    load,
    load_wide,
    maximum,
    multiply,
    splat,
    splat_wide,
    store,
    subtract,
    total,
)
from tts.native.vectors import N as LANES
from tts.vocoder._distributions import Distribution, Gaussian, Logistics, MuLaw
from tts.vocoder._stack import RESIDUAL_SCALE
from tts.vocoder._steps import StepWeights, step_weights

if TYPE_CHECKING:
    from tts.vocoder.wavenet import WaveNet

_ZERO, _ONE, _TWO, _MINUS_TWO = np.float32(0), np.float32(1), np.float32(2), np.float32(-2)
_NEVER = np.float32(-1e30)  # the logit of a class that there is not


class Sizes(NamedTuple):
    """Padded widths, and counts."""

    bands: int
    window: int  # what the input convolution reads, K * N
    input: int  # what it writes: the residual channels, and zeros
    residual: int
    gates: int  # of one half
    both_gates: int  # of both halves, one behind the other
    skip: int
    stream: int  # residual and skip channels
    output: int
    taps: int  # K
    parameters: int  # P, not padded
    steps: int  # a frame


class Network(NamedTuple):
    """The weights, as `to_panels` orders each matrix, one behind the other."""

    weights: Weights
    input_bias: Floats  # (residual,)
    skip_bias: Floats  # (skip,)
    head_bias: Floats  # (skip,)
    output_bias: Floats  # (output,)
    dilations: NDArray[np.int64]  # (L,)
    residual_scale: float


class Draw(NamedTuple):
    """How a band's sample follows from its parameters and its noise."""

    kind: int
    parameters: int  # of a band
    noise: int  # numbers of a band
    lowest: float  # log scale
    highest: float


class Memory(NamedTuple):
    """What has been heard; a run goes on from it and writes into it."""

    window: Floats  # (window,) the last K steps of all bands, oldest first
    rings: Floats  # (sum of (K - 1) * dilation * R,) of every layer's inputs
    places: NDArray[np.int64]  # (L,) the oldest slot of each layer's ring


MU_LAW, LOGISTICS, GAUSSIAN = range(3)


@inner
def gate(gates: Any, sizes: Any, units: Any) -> None:
    """tanh(a) (1 + tanh(b)) = 2 (1 - A) / ((1 + A) (1 + B)) with A = exp(-2 a), B = exp(-2 b)."""
    one, two, minus_two = splat_wide(_ONE), splat_wide(_TWO), splat_wide(_MINUS_TWO)
    for j in range(0, sizes.gates, WIDE):
        a = exp(multiply(load_wide(gates, j), minus_two))
        b = exp(multiply(load_wide(gates, sizes.gates + j), minus_two))
        below = multiply(add(one, a), add(one, b))
        store(units, j, divide(multiply(two, subtract(one, a)), below))


@inner
def run_layer(
    network: Any, sizes: Any, memory: Any, layer: int, at: int, ring: int, stream: Any, gates: Any, units: Any
) -> Any:
    """One layer, with the conditioning in `gates`; `at` is where its weights begin, and those of the next are returned.

    ring: first slot of the layer's ring.
    """
    residual, dilation, oldest = sizes.residual, network.dilations[layer], memory.places[layer]
    length = dilation * (sizes.taps - 1)
    slot = oldest
    for _ in range(sizes.taps - 1):
        add_product(network.weights, at, residual, sizes.both_gates, memory.rings, (ring + slot) * residual, gates, 0)
        at += residual * sizes.both_gates
        slot += dilation
        slot = slot - length if slot >= length else slot
    add_product(network.weights, at, residual, sizes.both_gates, stream, 0, gates, 0)
    at += residual * sizes.both_gates
    scale, to = splat(np.float32(network.residual_scale)), (ring + oldest) * residual
    for j in range(0, residual, LANES):
        store(memory.rings, to + j, load(stream, j))
        store(stream, j, multiply(load(stream, j), scale))
    memory.places[layer] = oldest + 1 if oldest + 1 < length else 0
    gate(gates, sizes, units)
    add_product(network.weights, at, sizes.gates, sizes.stream, units, 0, stream, 0)
    return at + sizes.gates * sizes.stream


@inner
def rectify(source: Any, at: int, n: int, target: Any) -> None:
    """The positive part of source[at : at + n]."""
    for j in range(0, n, LANES):
        store(target, j, maximum(load(source, at + j), splat(_ZERO)))


@inner
def copy(source: Any, at: int, n: int, target: Any, to: int) -> None:
    """target[to : to + n] = source[at : at + n], whole vectors."""
    for j in range(0, n, LANES):
        store(target, to + j, load(source, at + j))


@inner
def choose(logits: Any, at: int, n: int, uniform: Any, powers: Any) -> int:
    """The first class at which the sum of softmax(logits[at : at + n]) exceeds `uniform`, in [0, 1).

    powers: room for n numbers in whole vectors, and for their sums by vectors.
    """
    sums = -(-n // LANES) * LANES
    for i in range(n):
        powers[i] = logits[at + i]
    for i in range(n, sums):
        powers[i] = _NEVER
    peaks = load(powers, 0)
    for i in range(LANES, n, LANES):
        peaks = maximum(peaks, load(powers, i))
    whole, peak = _ZERO, splat(largest(peaks))
    for i in range(0, n, LANES):
        power = exp(subtract(load(powers, i), peak))
        store(powers, i, power)
        powers[sums + i // LANES] = total(power)
        whole += powers[sums + i // LANES]
    wanted, reached, i = uniform * whole, _ZERO, 0
    while i + LANES < n and reached + powers[sums + i // LANES] <= wanted:
        reached += powers[sums + i // LANES]
        i += LANES
    while i < n - 1:
        reached += powers[i]
        if reached > wanted:
            break
        i += 1
    return i


@inner
def clamp(value: Any, low: Any, high: Any) -> Any:
    """The value or the nearest end."""
    return np.float32(min(max(value, low), high))


@inner
def sample(draw: Any, parameters: Any, at: int, noise: Any, noise_at: int, powers: Any) -> Any:
    """The signal of a band: see `Distribution.sample`."""
    n, drawn = draw.parameters, noise[noise_at]
    if draw.kind == MU_LAW:
        chosen = choose(parameters, at, n, drawn, powers)
        return np.float32(chosen) * np.float32(2 / (n - 1)) - _ONE
    mean, log_scale = at, at + 1
    if draw.kind == LOGISTICS:
        n_mixtures = n // 3
        mean = at + n_mixtures + choose(parameters, at, n_mixtures, drawn, powers)
        log_scale, drawn = mean + n_mixtures, noise[noise_at + 1]
    scale = np.exp(clamp(parameters[log_scale], np.float32(draw.lowest), np.float32(draw.highest)))
    return clamp(parameters[mean] + scale * drawn, -_ONE, _ONE)


@compiled
def run(
    network: Any,
    sizes: Any,
    draw: Any,
    memory: Any,
    condition: Any,
    noise: Any,
    forced: Any,
    parameters: Any,
    signal: Any,
) -> None:
    """All steps of some frames.

    Args:
        network, sizes, draw: what `pack` makes.
        memory: where the last run ended.
        condition: (F * L * both gates,) of each frame and layer; the second half of the gates is halved.
        noise: (F * steps * N * numbers of a band,).
        forced: (n, N) what is heard of the first n steps instead of what was drawn.
        parameters: (n, P) is filled for the first n steps.
        signal: (F * steps, N) what is drawn.
    """
    stream, gates = np.zeros(sizes.stream, np.float32), np.zeros(sizes.both_gates, np.float32)
    units, output = np.zeros(sizes.gates, np.float32), np.zeros(sizes.output, np.float32)
    head, rectified = np.zeros(sizes.skip, np.float32), np.zeros(sizes.skip, np.float32)
    powers = np.zeros(2 * sizes.output, np.float32)
    weights, window, bands, n_layers = network.weights, memory.window, sizes.bands, len(network.dilations)
    newest = (sizes.taps - 1) * bands
    for t in range(len(signal)):
        copy(network.input_bias, 0, sizes.residual, stream, 0)
        copy(network.skip_bias, 0, sizes.skip, stream, sizes.residual)
        add_product(weights, 0, sizes.window, sizes.input, window, 0, stream, 0)
        at, ring, conditioned = sizes.window * sizes.input, 0, t // sizes.steps * n_layers * sizes.both_gates
        for layer in range(n_layers):
            copy(condition, conditioned + layer * sizes.both_gates, sizes.both_gates, gates, 0)
            at = run_layer(network, sizes, memory, layer, at, ring, stream, gates, units)
            ring += network.dilations[layer] * (sizes.taps - 1)
        rectify(stream, sizes.residual, sizes.skip, rectified)
        copy(network.head_bias, 0, sizes.skip, head, 0)
        add_product(weights, at, sizes.skip, sizes.skip, rectified, 0, head, 0)
        rectify(head, 0, sizes.skip, rectified)
        copy(network.output_bias, 0, sizes.output, output, 0)
        add_product(weights, at + sizes.skip * sizes.skip, sizes.skip, sizes.output, rectified, 0, output, 0)
        if t < len(parameters):
            for i in range(sizes.parameters):
                parameters[t, i] = output[i]
        for i in range(newest):
            window[i] = window[i + bands]
        for band in range(bands):
            noise_at = (t * bands + band) * draw.noise
            signal[t, band] = sample(draw, output, band * draw.parameters, noise, noise_at, powers)
            window[newest + band] = forced[t, band] if t < len(forced) else signal[t, band]


class Packed(NamedTuple):
    """All that `run` takes of a model."""

    network: Network
    sizes: Sizes
    draw: Draw


def pack(model: "WaveNet", storage: Storage) -> Packed:
    """The weights of now."""
    layers = model.stack()
    n_gates, n_residual = layers[0].conv.out_channels // 2, model.input.out_channels
    draw, weights = _draw(model.distribution), step_weights(model)
    residual, gates = lanes_up(n_residual), wide_up(n_gates)
    skip = panels_up(model.skip.out_channels)
    sizes = Sizes(
        bands=model.n_bands,
        window=lanes_up(model.kernel_size * model.n_bands),
        input=panels_up(residual),
        residual=residual,
        gates=gates,
        both_gates=panels_up(2 * gates),
        skip=skip,
        stream=panels_up(residual + skip),
        output=panels_up(model.output.out_channels),
        taps=model.kernel_size,
        parameters=model.output.out_channels,
        steps=model.frame_steps,
    )
    network = Network(
        stored(np.concatenate([to_panels(matrix) for matrix in _matrices(weights, sizes)]), storage),
        _vector(weights.input_bias, sizes.residual),
        _vector(weights.skip_bias, sizes.skip),
        _vector(weights.head_bias, sizes.skip),
        _vector(weights.output_bias, sizes.output),
        np.array(model.dilations, np.int64),
        RESIDUAL_SCALE,
    )
    return Packed(network, sizes, draw)


def _draw(distribution: Distribution) -> Draw:
    n_parameters, n_noise = distribution.n_parameters, distribution.n_noise
    if isinstance(distribution, MuLaw):
        return Draw(MU_LAW, n_parameters, n_noise, 0.0, 0.0)
    assert isinstance(distribution, Logistics | Gaussian), f"{distribution} has no compiled draw"
    kind = LOGISTICS if isinstance(distribution, Logistics) else GAUSSIAN
    return Draw(kind, n_parameters, n_noise, *distribution.log_scale_range)


def _matrices(weights: StepWeights, sizes: Sizes) -> Iterator[Floats]:
    """(n_out, n_in) each, in the order in which a step reads them, padded."""
    yield _placed((sizes.input, sizes.window), (weights.input.t(), 0))
    for layer, (present, skip) in enumerate(
        zip(weights.present, weights.skip.chunk(len(weights.present)), strict=True)
    ):
        for tap in (*weights.past[layer].chunk(sizes.taps - 1), present):
            tanh, sigmoid = tap.t().chunk(2)
            yield _placed((sizes.both_gates, sizes.residual), (tanh, 0), (sigmoid, sizes.gates))
        residual = [(matrix.t(), 0) for matrix in weights.residual[layer : layer + 1]]  # none behind the last layer
        yield _placed((sizes.stream, sizes.gates), (skip.t(), sizes.residual), *residual)
    yield _placed((sizes.skip, sizes.skip), (weights.head.t(), 0))
    yield _placed((sizes.output, sizes.skip), (weights.output.t(), 0))


def _placed(shape: tuple[int, int], *parts: tuple[Tensor, int]) -> Floats:
    """Matrices (n_out, n_in) below each other, each from its row on, among zeros."""
    made = np.zeros(shape, np.float32)
    for part, row in parts:
        made[row : row + part.shape[0], : part.shape[1]] = part.numpy()
    return made


def _vector(bias: Tensor, width: int) -> Floats:
    return np.pad(bias.numpy(), (0, width - len(bias)))


def _padded(conditions: Sequence[Tensor], sizes: Sizes) -> Floats:
    """F times (L, 1, 2 G) as `step` takes them -> (F * L * both gates,)."""
    tanh, sigmoid = torch.stack(list(conditions))[:, :, 0].chunk(2, dim=2)
    made = tanh.new_zeros(*tanh.shape[:2], sizes.both_gates)
    made[:, :, : tanh.shape[2]] = tanh
    made[:, :, sizes.gates : sizes.gates + sigmoid.shape[2]] = sigmoid
    return made.flatten().numpy()


def _start(packed: Packed) -> Memory:
    """Silence."""
    sizes, n_slots = packed.sizes, int(packed.network.dilations.sum()) * (packed.sizes.taps - 1)
    return Memory(
        np.zeros(sizes.window, np.float32),
        np.zeros(n_slots * sizes.residual, np.float32),
        np.zeros(len(packed.network.dilations), np.int64),
    )


class NativeEngine:
    """See `Engine`; for one row."""

    def __init__(self, packed: Packed):
        self.packed, self.memory = packed, _start(packed)
        self.nothing = np.zeros((0, packed.sizes.bands), np.float32)
        flat = np.zeros(0, np.float32)
        ensure(run, *packed, self.memory, flat, flat, self.nothing, self.nothing, self.nothing)

    def run(self, conditions: Sequence[Tensor], noise: Tensor) -> Tensor:
        """See `Engine`."""
        return self._run(conditions, noise, self.nothing, self.nothing)

    def teach(self, conditions: Sequence[Tensor], signal: Tensor) -> Tensor:
        """Teacher forcing: the parameters (1, P, T) of each step, given the signals (1, N, T) before it."""
        sizes, n_steps = self.packed.sizes, signal.shape[2]
        parameters = np.zeros((n_steps, sizes.parameters), np.float32)
        noise = torch.zeros(n_steps, 1, sizes.bands, self.packed.draw.noise)
        self._run(conditions, noise, np.ascontiguousarray(signal[0].t().numpy()), parameters)
        return torch.from_numpy(parameters).t()[None]

    def _run(self, conditions: Sequence[Tensor], noise: Tensor, forced: Floats, parameters: Floats) -> Tensor:
        assert noise.shape[1] == 1, f"{noise.shape[1]} rows"
        condition = _padded(conditions, self.packed.sizes)
        signal = np.zeros((len(noise), self.packed.sizes.bands), np.float32)
        run(*self.packed, self.memory, condition, noise.flatten().numpy(), forced, parameters, signal)
        return torch.from_numpy(signal).t()[None]
