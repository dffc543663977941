"""One decoder step of Tacotron 2 for one row, compiled; see `tts/native`.

All that a step computes lies in one vector x of the row, every part padded to whole blocks:

    previous frame | each layer of the prenet | attention LSTM's hidden | context | decoder LSTM's hidden

Every product reads one stretch of it: a prenet layer the part before its own; the attention LSTM the last prenet layer,
its own hidden state and the context, both of the step before; the decoder LSTM the last three parts, or the last two
where it does not hear the frames; the output layer the last two. Nothing is moved.

Shapes: B batch, T_text symbols, H width of an LSTM, D width of the encoded text.
"""

from itertools import accumulate
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tts.acoustic._recurrence import ZoneoutLSTM
from tts.acoustic._stepping import Stepped
from tts.acoustic._watch import Span
from tts.acoustic.attention._native import array, attention_step, vector
from tts.interfaces import AttentionMemory
from tts.native.compact import Compact
from tts.native.compiled import compiled, ensure, inner
from tts.native.functions import sigmoid, tanh
from tts.native.matrices import Floats, Packed, padded
from tts.native.products import empty, fill, pack, product
from tts.native.vectors import N, load, multiply, multiply_add, splat, store, subtract

if TYPE_CHECKING:
    from tts.acoustic.tacotron2 import Tacotron2

# Weights of both LSTMs up to which all stay float32: they fit a core's own cache, and one byte each would save nothing.
FLOATS_UP_TO = 250_000

_ZERO = np.float32(0)


class LSTM(NamedTuple):
    """Packed: the gates one after the other, each padded to whole blocks."""

    weights: Packed | Compact
    bias: Floats  # (4 * padded H,)
    zoneout: float


class Decoder(NamedTuple):
    """Packed."""

    prenet: tuple[Packed | Compact, ...]
    prenet_bias: Floats  # zeros, for the widest layer
    widths: tuple[int, ...]  # of the previous frame and of each layer of the prenet, without padding
    starts: tuple[int, ...]  # in x, of each part
    attention: LSTM
    decoder: LSTM
    heard_at: int  # in x, where what the decoder LSTM reads begins
    output: Packed | Compact  # r * n_mels outputs, frame after frame, then the stop logit
    output_bias: Floats


class Row(NamedTuple):
    """The state of one row; the steps write into it."""

    x: Floats  # see above
    attention_cell: Floats  # (padded H,)
    decoder_cell: Floats  # (padded H,)


class Part(NamedTuple):
    """Columns of a matrix (n_out, n_in) that see one part of x."""

    matrix: Tensor
    first: int
    width: int


def pack_lstm(lstm: ZoneoutLSTM, parts: list[Part], *, small: bool) -> LSTM:
    """Its weights, for an input made of parts that follow each other in x."""
    room, ends = padded(lstm.dim), list(accumulate(padded(part.width) for part in parts))
    packed = empty(4 * room, ends[-1], small=small)
    for gate in range(4):
        rows = (gate * lstm.dim, lstm.dim)
        for part, end in zip(parts, ends, strict=True):
            columns, in_at = (part.first, part.width), end - padded(part.width)
            fill(packed, array(part.matrix), rows, columns, gate * room, in_at)
    bias = np.concatenate([vector(gate) for gate in lstm.inputs.bias.chunk(4)])
    return LSTM(packed, bias, lstm.rate)


def pack_output(model: "Tacotron2", memory_dim: int, *, small: bool) -> Packed | Compact:
    """The output layers, of the current reduction, as one."""
    n_frames, hidden = model.reduction * model.n_mels, model.decoder_lstm.dim
    matrix = array(torch.cat([model.frames.weight[:n_frames], model.stop.weight]))
    packed = empty(n_frames + 1, padded(memory_dim) + padded(hidden), small=small)
    fill(packed, matrix, (0, n_frames + 1), (hidden, memory_dim), 0, 0)
    fill(packed, matrix, (0, n_frames + 1), (0, hidden), 0, padded(memory_dim))
    return packed


def pack_decoder(model: "Tacotron2", memory_dim: int, *, small: bool) -> Decoder:
    """All weights of the decoder but the attention's. Cheap enough for every utterance: 20 ms at the paper's sizes."""
    query, hidden, known = model.attention_lstm, model.decoder_lstm, model.prenet.dims[-1]
    widths = [model.n_mels, *model.prenet.dims]
    starts = tuple(accumulate(map(padded, [*widths, query.dim, memory_dim, hidden.dim]), initial=0))
    query_parts = [
        Part(query.inputs.weight, 0, known),
        Part(query.recurrent.weight, memory_dim, query.dim),
        Part(query.recurrent.weight, 0, memory_dim),
    ]
    unheard = int(not model.hears_frames)  # of the parts: the attention LSTM
    hidden_parts = [
        Part(hidden.inputs.weight, 0, query.dim),
        Part(hidden.inputs.weight, query.dim, memory_dim),
        Part(hidden.recurrent.weight, 0, hidden.dim),
    ][unheard:]
    n_frames = model.reduction * model.n_mels
    return Decoder(
        tuple(pack(array(weight), small=small) for weight in model.prenet.parameters()),
        np.zeros(max(map(padded, widths)), np.float32),
        tuple(widths),
        starts,
        pack_lstm(query, query_parts, small=small),
        pack_lstm(hidden, hidden_parts, small=small),
        starts[len(widths) + unheard],
        pack_output(model, memory_dim, small=small),
        vector(torch.cat([model.frames.bias[:n_frames], model.stop.bias])),
    )


@inner
def lstm_step(lstm: Any, x: Any, x_at: int, cell: Any, hidden_at: int) -> None:
    """x[hidden_at:] and the cell move on; zoneout takes its expectation."""
    room = len(cell)
    gates = np.empty(4 * room, np.float32)
    product(lstm.weights, lstm.bias, x, x_at, gates, 0)
    kept = splat(np.float32(lstm.zoneout))
    for j in range(0, room, N):
        accept, forget = sigmoid(load(gates, j)), sigmoid(load(gates, room + j))
        candidate, emit = tanh(load(gates, 2 * room + j)), sigmoid(load(gates, 3 * room + j))
        old_cell, old_hidden = load(cell, j), load(x, hidden_at + j)
        new_cell = multiply_add(forget, old_cell, multiply(accept, candidate))
        new_hidden = multiply(emit, tanh(new_cell))
        store(cell, j, multiply_add(kept, subtract(old_cell, new_cell), new_cell))
        store(x, hidden_at + j, multiply_add(kept, subtract(old_hidden, new_hidden), new_hidden))


@inner
def to_query(decoder: Any, row: Any, previous: Any, kept: Any) -> None:
    """Prenet and attention LSTM. previous: (n_mels,); kept: (units of the prenet,) its dropout's factors."""
    x, n_layers, drawn = row.x, len(decoder.prenet), 0
    for j in range(len(previous)):
        x[j] = previous[j]
    for i in range(n_layers):
        at = decoder.starts[i + 1]
        product(decoder.prenet[i], decoder.prenet_bias, x, decoder.starts[i], x, at)
        for j in range(decoder.widths[i + 1]):
            x[at + j] = max(x[at + j], _ZERO) * kept[drawn + j]
        drawn += decoder.widths[i + 1]
    known, hidden_at = decoder.starts[n_layers], decoder.starts[n_layers + 1]
    lstm_step(decoder.attention, x, known, row.attention_cell, hidden_at)


@compiled
def step(
    decoder: Any, attention: Any, row: Any, look: Any, previous: Any, kept: Any, low: int, high: int, made: Any
) -> None:
    """One decoder step of one row.

    Args:
        decoder, attention: packed weights.
        row, look: the state, of the decoder and of its attention.
        previous: (n_mels,).
        kept: (units of the prenet,) its dropout's factors.
        low, high: the first symbol that may be attended, and the one after the last.
        made: (padded r * n_mels + 1,) what the output layers make.
    """
    to_query(decoder, row, previous, kept)
    query = len(decoder.prenet) + 1
    query_at, context_at, hidden_at = decoder.starts[query], decoder.starts[query + 1], decoder.starts[query + 2]
    attention_step(attention, look, row.x, query_at, context_at, low, high)
    lstm_step(decoder.decoder, row.x, decoder.heard_at, row.decoder_cell, hidden_at)
    product(decoder.output, decoder.output_bias, row.x, context_at, made, 0)


class NativeStepper:
    """See `Stepper`. Rows are stepped one by one, so that none depends on the others.

    The weights are packed here, at every utterance, so what is spoken never comes from weights of before.
    """

    def __init__(self, model: "Tacotron2", prepared: AttentionMemory, attention: ModuleType):
        """attention: the module that holds the compiled step of the model's attention; see `attention/_native.py`."""
        self.frame_shape, self.n_text = (model.reduction, model.n_mels), prepared.mask.shape[1]
        lstms = (model.attention_lstm, model.decoder_lstm)
        small = sum(weight.numel() for lstm in lstms for weight in lstm.parameters()) > FLOATS_UP_TO
        self.decoder = pack_decoder(model, prepared.memory.shape[2], small=small)
        self.attention = attention.pack_attention(model.attention, small=small)
        state, n_rows = model.attention.start(prepared), len(prepared.memory)
        self.looks = [attention.start(self.attention, prepared, state, b) for b in range(n_rows)]
        sizes = [self.decoder.starts[-1], *(padded(lstm.dim) for lstm in lstms)]
        self.rows = [Row(*(np.zeros(size, np.float32) for size in sizes)) for _ in range(n_rows)]
        # Now, so that a failure is one of making the stepper.
        frame, kept = np.zeros(model.n_mels, np.float32), np.zeros(sum(model.prenet.dims), np.float32)
        ensure(step, self.decoder, self.attention, self.rows[0], self.looks[0], frame, kept, 0, 0, frame)

    def step(self, previous: Tensor, kept: Tensor, speaking: Tensor, span: Span | None = None) -> Stepped:
        """See `Stepper`."""
        frames, factors = np.ascontiguousarray(previous.numpy()), kept.numpy()
        made = np.zeros((len(self.rows), len(self.decoder.output_bias)), np.float32)
        weights = np.zeros((len(self.rows), self.n_text), np.float32)
        for b, speaks in enumerate(speaking.tolist()):
            if speaks:
                look = self.looks[b]
                n_text = len(look.energies)
                low, high = (0, n_text) if span is None else (max(int(span.low[b]), 0), min(int(span.high[b]), n_text))
                assert low < high, f"row {b} may attend to no symbol"
                step(self.decoder, self.attention, self.rows[b], look, frames[b], factors[b], low, high, made[b])
                weights[b, :n_text] = look.weights[look.margin : look.margin + n_text]
        n_frames = self.frame_shape[0] * self.frame_shape[1]
        mel = torch.from_numpy(made[:, :n_frames]).view(-1, *self.frame_shape).transpose(1, 2)
        return Stepped(mel, torch.from_numpy(made[:, n_frames]), torch.from_numpy(weights))
