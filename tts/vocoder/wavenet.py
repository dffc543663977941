"""WaveNet (van den Oord et al. 2016, arXiv:1609.03499) conditioned on mels (Shen et al. 2018, section 2.3).

The conditioning network and its projection run at frame rate; each frame's vector is broadcast over the samples of
the frame, so nothing of it is ever stored at sample rate.

Shapes: B batch, T_wave samples, T_mel frames, L layers, R residual channels, G gate channels, S skip channels,
K kernel size, P parameters of the distribution of a sample.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tts.audio.mel import silence_value
from tts.batch import VocoderBatch
from tts.interfaces import Vocoder
from tts.layers import MelScaler, length_mask
from tts.parallel import OneThread
from tts.settings import AudioConfig, require
from tts.vocoder._distributions import Distribution, Logistics, MuLaw
from tts.vocoder._linear_prediction import LinearPrediction

RESIDUAL_SCALE = math.sqrt(0.5)  # keeps the variance of a sum of two like terms
UNIT_GAIN = 2.9  # makes up for the deviation of tanh(a) sigmoid(b), 0.34 where a and b are standard normal
CHUNK = 500  # samples between two draws of noise and two reports of progress


@dataclass
class Config:
    """Sizes; the defaults are Tacotron 2's (section 2.3), with channel counts customary at that depth."""

    name: str = "wavenet"
    n_layers: int = 30
    n_cycles: int = 3  # dilations start again at 1 this many times
    kernel_size: int = 2
    residual_channels: int = 128
    gate_channels: int = 128  # of the tanh half, and of the sigmoid half
    skip_channels: int = 256
    condition_channels: int = 128
    condition_kernels: list[int] = field(default_factory=lambda: [3, 3])  # mel frames; their half widths are context
    output: Literal["mu_law", "logistics"] = "logistics"
    bits: int = 8  # mu_law: 2 ** bits classes
    n_mixtures: int = 10  # logistics
    lpc_order: int = 0  # samples; above 0, it models what linear prediction from the mel leaves over, not the wave

    def __post_init__(self) -> None:
        require(self.n_cycles >= 1 and self.n_layers >= 1, "n_layers and n_cycles must be at least 1")
        require(
            self.n_layers % self.n_cycles == 0,
            f"n_layers {self.n_layers} must be a multiple of n_cycles {self.n_cycles}",
        )
        deepest = self.n_layers // self.n_cycles
        require(deepest <= 16, f"{deepest} layers a cycle make dilations up to 2 ** {deepest - 1}; raise n_cycles")
        require(self.kernel_size >= 2, f"kernel_size is {self.kernel_size}, but a layer must see the past: at least 2")
        channels = (self.residual_channels, self.gate_channels, self.skip_channels, self.condition_channels)
        require(min(channels) >= 1, "residual, gate, skip and condition channels must be at least 1")
        odd = bool(self.condition_kernels) and all(k >= 1 and k % 2 == 1 for k in self.condition_kernels)
        require(odd, f"condition_kernels are odd and at least one, e.g. [3, 3]; not {self.condition_kernels}")
        require(self.output in ("mu_law", "logistics"), f"output is mu_law or logistics, not {self.output}")
        require(8 <= self.bits <= 10, f"bits lies between 8 and 10, not {self.bits}")
        require(self.n_mixtures >= 1, "n_mixtures must be at least 1")
        require(0 <= self.lpc_order <= 64, f"lpc_order lies between 0 (off) and 64, not {self.lpc_order}")


def build(cfg: Config, *, audio: AudioConfig) -> "WaveNet":
    """A WaveNet with random weights."""
    return WaveNet(cfg, audio=audio)


class StepWeights(NamedTuple):
    """The weights as a step multiplies with them: transposed, taps apart, constants folded in.

    A gate is tanh(a) sigmoid(b) = tanh(a) (1 + tanh(b / 2)) / 2: one tanh over both halves, where `past`, `present`
    and the conditioning hold b / 2 and the factor 1 / 2 lies in `residual` and `skip`.
    """

    input: tuple[Tensor, ...]  # K times (K, R): the input taps in the order of the window at position % K
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
    read: tuple[Tensor, ...]  # by position, repeating: (L (K - 1),) slots of the rings that hold the past taps
    write: tuple[Tensor, ...]  # likewise: (L,) slots of the oldest taps, which the present then takes


class StepBuffers(NamedTuple):
    """Where a step keeps its intermediate results; whole tensors and, after each, its views by layer."""

    hidden: Tensor  # (L, B, R) input of every layer at this sample
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

    position: int  # samples heard
    window: Tensor  # (B, K) the last K signals, the one of position p at p % K
    rings: Tensor  # (slots, B, R)
    buffers: StepBuffers
    weights: StepWeights


class StepOutput(NamedTuple):
    """What a step yields."""

    parameters: Tensor  # (B, P)
    state: WaveNetState


class WaveNetLayer(nn.Module):
    """A dilated causal convolution, its gated unit, and the way back into the residual stream."""

    def __init__(self, cfg: Config, *, dilation: int, last: bool):
        super().__init__()
        self.past = dilation * (cfg.kernel_size - 1)  # samples
        # The bias of the gates comes with the conditioning.
        self.conv = nn.Conv1d(
            cfg.residual_channels, 2 * cfg.gate_channels, cfg.kernel_size, dilation=dilation, bias=False
        )
        # Nothing reads the residual stream behind the last layer.
        self.residual = None if last else nn.Conv1d(cfg.gate_channels, cfg.residual_channels, 1, bias=False)

    def forward(self, hidden: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """hidden: (B, R, T_wave); condition: (B, 2 G, T_mel). Returns the next hidden and the units (B, G, T_wave)."""
        gates = self.conv(F.pad(hidden, (self.past, 0)))
        by_frame = gates.unflatten(2, (condition.shape[2], -1))  # (B, 2 G, T_mel, hop)
        tanh, sigmoid = (by_frame + condition[:, :, :, None]).flatten(2).chunk(2, dim=1)
        units = torch.tanh(tanh) * torch.sigmoid(sigmoid)
        if self.residual is not None:
            hidden = (hidden + self.residual(units)) * RESIDUAL_SCALE
        return hidden, units


class WaveNet(Vocoder):
    """Autoregressive vocoder over samples."""

    def __init__(self, cfg: Config, *, audio: AudioConfig):
        super().__init__()
        self.hop_length = audio.hop_length
        self.silence = silence_value(audio)
        self.kernel_size = cfg.kernel_size
        per_cycle = cfg.n_layers // cfg.n_cycles
        self.dilations = [2 ** (i % per_cycle) for i in range(cfg.n_layers)]
        self.mel_context = sum(k // 2 for k in cfg.condition_kernels)
        # One for the previous sample, then what each convolution adds to it, then what the oldest excitation hears.
        self.receptive_field = 1 + (cfg.kernel_size - 1) * (1 + sum(self.dilations)) + cfg.lpc_order
        self.distribution: Distribution = MuLaw(cfg.bits) if cfg.output == "mu_law" else Logistics(cfg.n_mixtures)

        self.prediction = LinearPrediction(cfg.lpc_order, audio=audio) if cfg.lpc_order else None
        self.scaler = MelScaler(audio.n_mels)
        widths = [audio.n_mels] + [cfg.condition_channels] * len(cfg.condition_kernels)
        self.condition_convs = nn.ModuleList(
            nn.Conv1d(a, b, k) for a, b, k in zip(widths, widths[1:], cfg.condition_kernels, strict=False)
        )
        self.condition_gates = nn.Conv1d(cfg.condition_channels, cfg.n_layers * 2 * cfg.gate_channels, 1)
        self.input = nn.Conv1d(1, cfg.residual_channels, cfg.kernel_size)
        last = cfg.n_layers - 1
        self.layers = nn.ModuleList(WaveNetLayer(cfg, dilation=d, last=i == last) for i, d in enumerate(self.dilations))
        # One product over the units of all layers is the sum of the layers' skip connections.
        self.skip = nn.Conv1d(cfg.n_layers * cfg.gate_channels, cfg.skip_channels, 1)
        self.head = nn.Conv1d(cfg.skip_channels, cfg.skip_channels, 1)
        self.output = nn.Conv1d(cfg.skip_channels, self.distribution.n_parameters, 1)
        self._initialize()

    @torch.no_grad()
    def _initialize(self) -> None:
        """Weights that keep the variance at every depth; torch's own halve the residual stream in each layer."""
        for layer in self._layers():
            nn.init.kaiming_uniform_(layer.conv.weight, nonlinearity="linear")
            if layer.residual is not None:
                nn.init.kaiming_uniform_(layer.residual.weight, nonlinearity="linear").mul_(UNIT_GAIN)
        nn.init.kaiming_uniform_(self.skip.weight, nonlinearity="linear").mul_(UNIT_GAIN)
        for conv in (*self.condition_convs, self.head):
            nn.init.kaiming_uniform_(conv.weight, nonlinearity="relu")
        nn.init.kaiming_uniform_(self.condition_gates.weight, nonlinearity="linear")
        self.input.weight.mul_(self.distribution.input_gain)
        _bias(self.output).copy_(self.distribution.initial_bias())

    def condition(self, mel: Tensor) -> Tensor:
        """Every layer's share of its gates. mel: (B, n_mels, T_mel + 2 * mel_context) -> (B, L, 2 G, T_mel)."""
        features = self.scaler.normalize(mel)
        for conv in self.condition_convs:
            features = F.relu(conv(features))
        gates: Tensor = self.condition_gates(features)
        return gates.reshape(gates.shape[0], len(self.layers), -1, gates.shape[2])

    def encode(self, wave: Tensor, mel: Tensor) -> Tensor:
        """The signal that the network reads and predicts, (B, T_wave); wave and mel as for `forward`."""
        if self.prediction is not None:
            n_frames = wave.shape[1] // self.hop_length
            wave = self.prediction.excitation(wave, mel[:, :, self.mel_context : self.mel_context + n_frames])
        return self.distribution.encode(wave)

    def forward(self, wave: Tensor, mel: Tensor) -> Tensor:
        """Teacher forcing: parameters of the distribution of wave[t] given wave[<t] and the mel.

        Args:
            wave: (B, T_wave), T_wave a multiple of the hop.
            mel: (B, n_mels, T_wave / hop + 2 * mel_context) contract units.

        Returns:
            (B, P, T_wave) float32.
        """
        return self._predict(self.encode(wave, mel), mel, first=0)

    def loss(self, batch: VocoderBatch) -> Tensor:
        """Mean negative log likelihood in bits per sample; of 16-bit samples where the output is logistics."""
        first = batch.loss_from
        signal = self.encode(batch.wave, batch.mel)
        parameters = self._predict(signal, batch.mel, first=first)
        return -self.distribution.log_likelihood(parameters, signal[:, first:]).mean() / math.log(2)

    def _predict(self, signal: Tensor, mel: Tensor, *, first: int) -> Tensor:
        """signal: (B, T_wave). Returns the parameters of the samples from `first` on, (B, P, T_wave - first)."""
        previous = F.pad(signal[:, None, :-1], (self.kernel_size, 0))
        exact = torch.autocast(signal.device.type, enabled=False)  # 8 bits of bfloat16 would be 8 bits of sound
        with exact:
            hidden = self.input(previous)
        units = []
        for layer, condition in zip(self.layers, self.condition(mel).unbind(1), strict=True):
            hidden, units_of_layer = layer(hidden, condition)
            units.append(units_of_layer[:, :, first:])
        skip = F.relu(self.skip(torch.cat(units, dim=1)))
        with exact:
            parameters: Tensor = self.output(F.relu(self.head(skip.to(self.head.weight.dtype))))
        return parameters

    def start(self, batch_size: int) -> WaveNetState:
        """The state before the first sample; the weights are those of now. Silence lies behind it."""
        weights = self._step_weights()
        n_slots = sum(layer.past for layer in self._layers())
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
            window=empty(batch_size, self.kernel_size),
            rings=empty(n_slots, batch_size, hidden.shape[2]),
            buffers=buffers,
            weights=weights,
        )

    def step_condition(self, mel: Tensor) -> tuple[Tensor, ...]:
        """`condition` as `step` takes it: T_mel times (L, B, 2 G). mel: (B, n_mels, T_mel + 2 * mel_context)."""
        tanh, sigmoid = self.condition(mel).chunk(2, dim=2)
        by_frame = torch.cat([tanh, sigmoid / 2], dim=2).permute(3, 1, 0, 2).contiguous()
        return by_frame.detach().unbind()

    @torch.no_grad()
    def step(self, previous: Tensor, state: WaveNetState, condition: Tensor) -> StepOutput:
        """One sample; the same function as `forward`, without its gradient.

        Args:
            previous: (B,) the signal before this sample; zero at the start.
            state: overwritten.
            condition: (L, B, 2 G), of this sample's frame, from `step_condition`.
        """
        weights, buffers = state.weights, state.buffers
        slot = state.position % self.kernel_size
        state.window[:, slot] = previous
        torch.addmm(weights.input_bias, state.window, weights.input[slot], out=buffers.hidden_of[0])

        # The past taps of all layers are known before any of the layers runs: one product for all of them.
        turn = state.position % len(weights.read)
        past = state.rings.index_select(0, weights.read[turn])  # (L (K - 1), B, R)
        if self.kernel_size > 2:
            past = past.view(condition.shape[0], -1, *past.shape[1:]).transpose(1, 2).flatten(2)
        torch.baddbmm(condition, past, weights.past, out=buffers.gates)  # (L, B, 2 G)

        for i, present in enumerate(weights.present):
            buffers.gates_of[i].addmm_(buffers.hidden_of[i], present).tanh_()
            tanh = buffers.tanh_of[i]
            torch.addcmul(tanh, tanh, buffers.sigmoid_of[i], out=buffers.units_of[i])
            if i < len(weights.residual):
                hidden, units = buffers.hidden_of[i], buffers.units_of[i]
                torch.addmm(hidden, units, weights.residual[i], beta=RESIDUAL_SCALE, out=buffers.hidden_of[i + 1])
        state.rings.index_copy_(0, weights.write[turn], buffers.hidden)

        skip = torch.addmm(weights.skip_bias, buffers.units, weights.skip).relu_()
        head = torch.addmm(weights.head_bias, skip, weights.head).relu_()
        parameters = torch.addmm(weights.output_bias, head, weights.output)
        return StepOutput(parameters, state._replace(position=state.position + 1))

    @torch.inference_mode()
    @OneThread()
    def generate(
        self,
        mel: Tensor,
        mel_lengths: Tensor,
        *,
        seeds: Sequence[int],
        progress: Callable[[int], None] | None = None,
    ) -> Tensor:
        """Sample by sample. See `Vocoder.generate`; `progress` is called every 500 samples."""
        n_rows, _, n_frames = mel.shape
        n_samples = n_frames * self.hop_length
        mel = torch.where(length_mask(mel_lengths, n_frames)[:, None], mel, self.silence)
        conditions = self.step_condition(F.pad(mel, (self.mel_context, self.mel_context), value=self.silence))
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        state = self.start(n_rows)
        previous = mel.new_zeros(n_rows)
        signals: list[Tensor] = []
        while len(signals) < n_samples:
            # A row's noise comes from its own generator in pieces of one size, whatever else is in the batch.
            noise = torch.stack([torch.rand(CHUNK, self.distribution.n_noise, generator=g) for g in generators], dim=1)
            for now in noise.to(mel)[: n_samples - len(signals)].unbind():  # (B, n_noise)
                parameters, state = self.step(previous, state, conditions[len(signals) // self.hop_length])
                previous = self.distribution.sample(parameters, now)
                signals.append(previous)
            if progress is not None:
                progress(len(signals))
        wave = self.distribution.decode(torch.stack(signals, dim=1))
        if self.prediction is not None:
            wave = self.prediction.synthesise(wave, mel).clamp(-1, 1)
        return torch.where(length_mask(mel_lengths * self.hop_length, n_samples), wave, 0.0)

    def _layers(self) -> list[WaveNetLayer]:
        return [layer for layer in self.layers if isinstance(layer, WaveNetLayer)]

    @torch.no_grad()
    def _step_weights(self) -> StepWeights:
        layers = self._layers()
        n_gates = layers[0].conv.out_channels
        halves = torch.ones(n_gates, 1, 1, device=self.input.weight.device)
        halves[n_gates // 2 :] = 0.5
        gates = [layer.conv.weight * halves for layer in layers]  # (2 G, R, K) each
        newest_last = self.input.weight[:, 0].t()  # (K, R)
        read, write = self._slots()
        return StepWeights(
            # The window is written in a circle: at slot s stands the newest, at slot s + 1 the oldest.
            input=tuple(newest_last.roll(slot + 1, 0).contiguous() for slot in range(self.kernel_size)),
            input_bias=_bias(self.input),
            past=torch.stack([gate[:, :, :-1].permute(2, 1, 0).flatten(0, 1) for gate in gates]).contiguous(),
            present=tuple(gate[:, :, -1].t().contiguous() for gate in gates),
            residual=tuple(_matrix(layer.residual, RESIDUAL_SCALE / 2) for layer in layers if layer.residual),
            skip=_matrix(self.skip, 0.5),
            skip_bias=_bias(self.skip),
            head=_matrix(self.head),
            head_bias=_bias(self.head),
            output=_matrix(self.output),
            output_bias=_bias(self.output),
            read=read,
            write=write,
        )

    def _slots(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Slots of the rings to read and to write at each position, until both repeat."""
        device = self.input.weight.device
        taps = torch.arange(self.kernel_size - 1, 0, -1)  # oldest first
        dilations = torch.tensor(self.dilations)
        lengths = dilations * (self.kernel_size - 1)
        starts = lengths.cumsum(0) - lengths
        positions = torch.arange(math.lcm(*lengths.tolist()))
        slots = (positions[:, None, None] - dilations[:, None] * taps) % lengths[:, None] + starts[:, None]
        slots = slots.to(device)  # (positions, L, K - 1)
        return slots.flatten(1).unbind(), slots[:, :, 0].contiguous().unbind()


def _matrix(conv: nn.Conv1d, scale: float = 1.0) -> Tensor:
    """The weight of a convolution of kernel size 1 as (in, out), to multiply rows with."""
    return (conv.weight[:, :, 0].t() * scale).contiguous()


def _bias(conv: nn.Conv1d) -> Tensor:
    assert conv.bias is not None
    return conv.bias.detach()
