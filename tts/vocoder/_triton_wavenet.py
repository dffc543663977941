"""WaveNet sample by sample on a GPU: one launch for all steps of some frames, one program a row (Triton).

A step is a chain of small products, each of which waits for the one before; launched one by one, they take longer to
start than to run. Here a program keeps what a layer hands on in registers, reads the weights from the GPU's cache, and
never leaves its loop. Sums are in float32, without tensor cores.

Widths are padded to powers of two, with zeros that stay zero. Rings and the last signals lie in memory, where threads
of a program see what others wrote after a barrier.

Shapes: B rows, N bands, F frames, T steps, L layers, R residual channels, G gate channels, S skip channels, K kernel
size; P parameters of a band, in parts of M each: mu-law has logits; logistics have logits, means, log scales; a
Gaussian has a mean and a log scale.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F

from tts.native import Storage
from tts.vocoder._distributions import Distribution, Gaussian, Logistics, MuLaw
from tts.vocoder._stack import RESIDUAL_SCALE
from tts.vocoder._steps import StepWeights, step_weights

if TYPE_CHECKING:
    from tts.vocoder.wavenet import WaveNet

TILE = 2**14  # numbers of a matrix that a program reads at once, 64 a thread; what is larger it reads in pieces
LARGEST = 2**15  # numbers of a layer's largest matrix, which must be read at once
WARPS = 8


@triton.jit(do_not_specialize=["position", "n_steps", "n_rows", "n_slots"])  # type: ignore[untyped-decorator]
def run(  # type: ignore[no-untyped-def]
    input_weights,
    input_bias,
    layer_weights,
    skip_bias,
    head_weights,
    head_bias,
    output_weights,
    output_bias,
    dilations,
    starts,
    condition,
    noise,
    heard,
    rings,
    between,
    parameters,
    position,
    n_steps,
    n_rows,
    n_slots,
    LAYERS: tl.constexpr,
    TAPS: tl.constexpr,
    BANDS: tl.constexpr,
    FRAME_STEPS: tl.constexpr,
    SCALE: tl.constexpr,
    WINDOW: tl.constexpr,
    R: tl.constexpr,
    G: tl.constexpr,
    S: tl.constexpr,
    M: tl.constexpr,
    HEAD_ROWS: tl.constexpr,
    OUTPUT_ROWS: tl.constexpr,
    GATES: tl.constexpr,
    PARTS: tl.constexpr,
    IN_PART: tl.constexpr,
    NOISE: tl.constexpr,
    LOWEST: tl.constexpr,
    HIGHEST: tl.constexpr,
    TEACH: tl.constexpr,
) -> None:
    """All steps of some frames, of the row that is the program's number.

    Args:
        input_weights: (WINDOW, R), then as `Network` has them, up to `starts`.
        condition: (F, L, B, 2 GATES) not padded; the second half of the gates is halved.
        noise: (T, B, N, NOISE) not read when TEACH.
        heard: (B, K + T, N) the last K signals and, behind them, those drawn; or when TEACH those which are given.
        rings: (B, n_slots, R).
        between: (B, 2, S) room for what the head reads and what the output reads.
        parameters: (B, T, N, PARTS, IN_PART) is filled when TEACH.
        position: steps done before, or less by a common multiple of the lengths of all rings.
    """
    row = tl.program_id(0).to(tl.int64)
    r, g, s, m, w = tl.arange(0, R), tl.arange(0, G), tl.arange(0, S), tl.arange(0, M), tl.arange(0, WINDOW)
    into_gates = r[:, None] * G + g[None, :]
    out_to_residual = g[:, None] * R + r[None, :]
    out_to_skip = g[:, None] * S + s[None, :]
    some_skip, some_head = tl.arange(0, HEAD_ROWS), tl.arange(0, OUTPUT_ROWS)
    into_head = some_skip[:, None] * S + s[None, :]
    into_output = some_head[:, None] * M + m[None, :]
    heard += row * (TAPS + n_steps) * BANDS
    rings += row * n_slots * R
    between += row * 2 * S
    first_weights = tl.load(input_weights + w[:, None] * R + r[None, :]).to(tl.float32)
    first_bias, summed_bias = tl.load(input_bias + r), tl.load(skip_bias + s)

    for t in range(n_steps):
        window = tl.load(heard + t * BANDS + w, mask=w < TAPS * BANDS, other=0.0)
        hidden = first_bias + tl.sum(window[:, None] * first_weights, axis=0)
        skip = tl.zeros((G, S), tl.float32)
        gates = condition + ((t // FRAME_STEPS) * LAYERS * n_rows + row) * (2 * GATES)
        for layer in range(LAYERS):
            weights = layer_weights + layer * ((2 * TAPS * R + R + S) * G)
            dilation = tl.load(dilations + layer)
            length = dilation * (TAPS - 1)
            oldest = (position + t) % length
            ring = rings + tl.load(starts + layer) * R
            tanh = tl.load(gates + g, mask=g < GATES, other=0.0)
            sigmoid = tl.load(gates + GATES + g, mask=g < GATES, other=0.0)
            gates += n_rows * (2 * GATES)
            to_tanh, to_sigmoid = tl.zeros((R, G), tl.float32), tl.zeros((R, G), tl.float32)
            for tap in tl.static_range(TAPS):
                if tap < TAPS - 1:
                    past = tl.load(ring + (oldest + tap * dilation) % length * R + r)
                else:
                    past = hidden
                to_tanh += past[:, None] * tl.load(weights + into_gates).to(tl.float32)
                to_sigmoid += past[:, None] * tl.load(weights + R * G + into_gates).to(tl.float32)
                weights += 2 * R * G
            to_residual = tl.load(weights + out_to_residual).to(tl.float32)
            to_skip = tl.load(weights + R * G + out_to_skip).to(tl.float32)
            tl.debug_barrier()  # all threads have read the oldest slot, which the present now takes
            tl.store(ring + oldest * R + r, hidden)
            tanh, sigmoid = tanh + tl.sum(to_tanh, axis=0), sigmoid + tl.sum(to_sigmoid, axis=0)
            units = (2 * tl.sigmoid(2 * tanh) - 1) * (2 * tl.sigmoid(2 * sigmoid))  # tanh(a) (1 + tanh(b))
            hidden = SCALE * hidden + tl.sum(units[:, None] * to_residual, axis=0)
            skip += units[:, None] * to_skip

        tl.store(between + s, tl.maximum(summed_bias + tl.sum(skip, axis=0), 0.0))
        tl.debug_barrier()
        head = tl.load(head_bias + s)
        for i in range(0, S, HEAD_ROWS):
            tile = tl.load(head_weights + i * S + into_head).to(tl.float32)
            head += tl.sum(tl.load(between + i + some_skip)[:, None] * tile, axis=0)
        tl.store(between + S + s, tl.maximum(head, 0.0))
        tl.debug_barrier()

        for band in range(BANDS):
            chosen, mean, log_scale = 0, 0.0, 0.0
            drawn = noise + ((t * n_rows + row) * BANDS + band) * NOISE
            for part in tl.static_range(PARTS):
                at = band * PARTS + part
                made = tl.load(output_bias + at * M + m)
                for i in range(0, S, OUTPUT_ROWS):
                    tile = tl.load(output_weights + (at * S + i) * M + into_output).to(tl.float32)
                    made += tl.sum(tl.load(between + S + i + some_head)[:, None] * tile, axis=0)
                if TEACH:
                    to = parameters + (((row * n_steps + t) * BANDS + band) * PARTS + part) * IN_PART
                    tl.store(to + m, made, mask=m < IN_PART)
                elif PARTS != 2 and part == 0:
                    # The first class at which the sum of the softmax exceeds the noise.
                    logits = tl.where(m < IN_PART, made, float("-inf"))
                    powers = tl.exp(logits - tl.max(logits, axis=0))
                    below = tl.load(drawn) * tl.sum(powers, axis=0)
                    chosen = tl.sum((tl.cumsum(powers, axis=0) <= below).to(tl.int32), axis=0)
                    chosen = tl.minimum(chosen, IN_PART - 1)
                elif part == PARTS - 2:
                    mean = tl.sum(tl.where(m == chosen, made, 0.0), axis=0)
                else:
                    log_scale = tl.sum(tl.where(m == chosen, made, 0.0), axis=0)
            if not TEACH:
                if PARTS == 1:
                    signal = chosen * (2 / (IN_PART - 1)) - 1.0
                else:
                    scale = tl.exp(tl.minimum(tl.maximum(log_scale, LOWEST), HIGHEST))
                    signal = mean + scale * tl.load(drawn + NOISE - 1)
                    signal = tl.minimum(tl.maximum(signal, -1.0), 1.0)
                tl.store(heard + (TAPS + t) * BANDS + band, signal)
        tl.debug_barrier()  # the next step reads what this one wrote


class Network(NamedTuple):
    """The weights, each matrix as (in, out), padded; matrices in the dtype of their storage, biases in float32."""

    input: Tensor  # (WINDOW, R) the window's oldest step first
    input_bias: Tensor  # (R,)
    layers: Tensor  # for each: K times, oldest first, (R, G) tanh and (R, G) sigmoid; (G, R) residual; (G, S) skip
    skip_bias: Tensor  # (S,)
    head: Tensor  # (S, S)
    head_bias: Tensor  # (S,)
    output: Tensor  # (N, parts, S, M)
    output_bias: Tensor  # (N, parts, M)
    dilations: Tensor  # (L,) int32
    starts: Tensor  # (L,) int32 first slots of the layers' rings


class Sizes(NamedTuple):
    """What the kernel is compiled for; in the order of its arguments."""

    layers: int
    taps: int
    bands: int
    frame_steps: int
    scale: float
    window: int  # padded, as are the next four
    residual: int
    gates: int
    skip: int
    part: int
    head_rows: int  # that are read at once
    output_rows: int
    real_gates: int
    parts: int
    in_part: int
    noise: int
    lowest: float  # log scale
    highest: float


class Packed(NamedTuple):
    """All that an engine takes of a model."""

    network: Network
    sizes: Sizes
    turn: int  # steps after which all rings are where they were


def pack(model: "WaveNet", storage: Storage) -> Packed | None:
    """The weights of now; None where a layer is too wide for a program."""
    weights, distribution = step_weights(model), model.distribution
    n_parts = _parts(distribution)
    in_part = distribution.n_parameters // n_parts
    residual, gates = _up(model.input.out_channels), _up(weights.past.shape[2] // 2)
    skip, part = _up(model.skip.out_channels), _up(in_part)
    if max(residual, skip) * gates > LARGEST:
        return None
    lowest, highest = getattr(distribution, "log_scale_range", (0.0, 0.0))
    sizes = Sizes(
        layers=len(weights.present),
        taps=model.kernel_size,
        bands=model.n_bands,
        frame_steps=model.frame_steps,
        scale=RESIDUAL_SCALE,
        window=_up(model.kernel_size * model.n_bands),
        residual=residual,
        gates=gates,
        skip=skip,
        part=part,
        head_rows=min(skip, TILE // skip),
        output_rows=min(skip, TILE // part),
        real_gates=weights.past.shape[2] // 2,
        parts=n_parts,
        in_part=in_part,
        noise=distribution.n_noise,
        lowest=lowest,
        highest=highest,
    )
    lengths = [dilation * (model.kernel_size - 1) for dilation in model.dilations]
    return Packed(_network(model, weights, sizes, storage), sizes, math.lcm(*lengths))


def _network(model: "WaveNet", weights: StepWeights, sizes: Sizes, storage: Storage) -> Network:
    dtype = torch.float32 if storage == "float32" else torch.float16
    by_part = (sizes.bands, sizes.parts, sizes.in_part)
    output = weights.output.view(-1, *by_part).permute(1, 2, 0, 3)  # (N, parts, S, M)
    dilations = torch.tensor(model.dilations, dtype=torch.int32)
    lengths = dilations * (model.kernel_size - 1)
    return Network(
        input=_padded(weights.input, sizes.window, sizes.residual).to(dtype),
        input_bias=_padded(weights.input_bias, sizes.residual),
        layers=torch.cat([part.flatten() for part in _layers(weights, sizes)]).to(dtype),
        skip_bias=_padded(weights.skip_bias, sizes.skip),
        head=_padded(weights.head, sizes.skip, sizes.skip).to(dtype),
        head_bias=_padded(weights.head_bias, sizes.skip),
        output=_padded(output, sizes.skip, sizes.part).to(dtype),
        output_bias=_padded(weights.output_bias.view(by_part), sizes.part),
        dilations=dilations.to(weights.output.device),
        starts=(lengths.cumsum(0, dtype=torch.int32) - lengths).to(weights.output.device),
    )


def _layers(weights: StepWeights, sizes: Sizes) -> list[Tensor]:
    """The matrices of all layers in the order of `Network.layers`."""
    made = []
    for layer, skip in enumerate(weights.skip.chunk(sizes.layers)):
        taps = (*weights.past[layer].chunk(sizes.taps - 1), weights.present[layer])
        made += [_padded(half, sizes.residual, sizes.gates) for tap in taps for half in tap.chunk(2, dim=1)]
        none = skip.new_zeros(0, 0)  # nothing reads the residual stream behind the last layer
        residual = weights.residual[layer] if layer < len(weights.residual) else none
        made += [_padded(residual, sizes.gates, sizes.residual), _padded(skip, sizes.gates, sizes.skip)]
    return made


def _padded(tensor: Tensor, *widths: int) -> Tensor:
    """Zeros behind the last dimensions, up to these widths; contiguous."""
    missing = [n for width, old in zip(widths[::-1], tensor.shape[::-1], strict=False) for n in (0, width - old)]
    return F.pad(tensor, missing).contiguous()


def _up(width: int) -> int:
    """What the compiler takes as a width."""
    return max(16, 1 << (width - 1).bit_length())


def _parts(distribution: Distribution) -> int:
    if isinstance(distribution, MuLaw):
        return 1
    assert isinstance(distribution, Logistics | Gaussian), f"{distribution} has no draw in Triton"
    return 3 if isinstance(distribution, Logistics) else 2


class TritonEngine:
    """See `Engine`; for any number of rows."""

    def __init__(self, packed: Packed, n_rows: int):
        """Compiles the kernel, unless it has been."""
        self.packed, self.position = packed, 0
        sizes, n_slots = packed.sizes, (packed.sizes.taps - 1) * int(packed.network.dilations.sum())
        zeros = packed.network.skip_bias.new_zeros
        self.window = zeros(n_rows, sizes.taps, sizes.bands)  # the last signals
        self.rings = zeros(n_rows, n_slots, sizes.residual)
        self.between = zeros(n_rows, 2, sizes.skip)
        self._run(zeros(1), zeros(1), self.window, None)

    def run(self, conditions: Sequence[Tensor], noise: Tensor) -> Tensor:
        """See `Engine`."""
        heard = F.pad(self.window, (0, 0, 0, len(noise)))
        self._run(torch.stack(list(conditions)), noise.to(heard.device).contiguous(), heard, None)
        return heard[:, self.packed.sizes.taps :].transpose(1, 2)

    def teach(self, conditions: Sequence[Tensor], signal: Tensor) -> Tensor:
        """Teacher forcing: the parameters (B, P, T) of each step, given the signals (B, N, T) before it."""
        sizes, heard = self.packed.sizes, torch.cat([self.window, signal.transpose(1, 2)], dim=1).contiguous()
        parameters = heard.new_zeros(len(signal), signal.shape[2], sizes.bands * sizes.parts * sizes.in_part)
        self._run(torch.stack(list(conditions)), heard, heard, parameters)
        return parameters.transpose(1, 2)

    def _run(self, condition: Tensor, noise: Tensor, heard: Tensor, parameters: Tensor | None) -> None:
        """Into `heard`, or into `parameters` if there are any."""
        packed, n_steps = self.packed, heard.shape[1] - self.packed.sizes.taps
        with torch.cuda.device_of(heard):  # type: ignore[no-untyped-call]
            run[(len(heard),)](
                *packed.network,
                condition,
                noise,
                heard,
                self.rings,
                self.between,
                heard if parameters is None else parameters,
                self.position,
                n_steps,
                len(heard),
                self.rings.shape[1],
                *packed.sizes,
                parameters is not None,
                num_warps=WARPS,
                enable_fp_fusion=True,
            )
        self.position = (self.position + n_steps) % packed.turn
        self.window = heard[:, n_steps:].clone()
