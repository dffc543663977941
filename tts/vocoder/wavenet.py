"""WaveNet (van den Oord et al. 2016, arXiv:1609.03499) conditioned on mels (Shen et al. 2018, section 2.3).

The conditioning network and its projection run at frame rate; each frame's vector is broadcast over the samples of
the frame, so nothing of it is ever stored at sample rate.

The network may run over the bands of the wave, all at once, each at a fraction of the rate (as in Yu et al. 2020,
DurIAN, arXiv:1909.01700, section 3.3, for WaveRNN): a step then makes one sample of each band.

Shapes: B batch, N bands, T_wave samples, T = T_wave / N steps, T_mel frames, L layers, R residual channels, G gate
channels, S skip channels, K kernel size, P parameters of the distributions of a step, those of the first band first.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tts.audio.mel import silence_value
from tts.batch import VocoderBatch
from tts.interfaces import Vocoder
from tts.layers import MelScaler
from tts.native import Storage
from tts.parallel import OneThread
from tts.settings import AudioConfig, require
from tts.vocoder import _generation, _steps
from tts.vocoder._bands import FilterBank
from tts.vocoder._blur import blurred
from tts.vocoder._distributions import Distribution, Gaussian, Logistics, MuLaw
from tts.vocoder._linear_prediction import LinearPrediction, Prediction, PreEmphasis
from tts.vocoder._refinement import Refinement
from tts.vocoder._stack import StackWeights, run_stack
from tts.vocoder._steps import StepOutput, WaveNetState

UNIT_GAIN = 2.9  # makes up for the deviation of tanh(a) sigmoid(b), 0.34 where a and b are standard normal


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
    n_bands: int = 1  # of the wave, modelled at once, each at so many times less than its rate
    output: Literal["mu_law", "logistics", "gaussian"] = "logistics"
    bits: int = 8  # mu_law: 2 ** bits classes
    n_mixtures: int = 10  # logistics
    # logistics, gaussian: of draws at synthesis, below 1 there is less noise; of each band, the lowest first, or of all
    temperature: list[float] = field(default_factory=lambda: [1.0])
    blur: float = 0.0  # in training, share of segments whose mel is averaged over a few bands, as predicted ones are
    input_noise: float = 0.0  # in training, deviation of noise on what the network hears, the signal being in [-1, 1]
    pre_emphasis: float = 0.0  # share of the sample before that is subtracted from each, undone at synthesis
    lpc_order: int = 0  # samples; above 0, it models what linear prediction from the mel leaves over, not the wave
    # How often the finished wave is brought nearer to a recording's mel; to a predicted one once, in its broad shape.
    # 0: never. See `tts.vocoder._refinement`.
    refinement: int = 24

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
        require(self.n_bands in (1, 2, 4, 8), f"n_bands is 1, 2, 4 or 8, not {self.n_bands}")
        outputs = ("mu_law", "logistics", "gaussian")
        require(self.output in outputs, f"output is {', '.join(outputs)}; not {self.output}")
        require(8 <= self.bits <= 10, f"bits lies between 8 and 10, not {self.bits}")
        require(self.n_mixtures >= 1, "n_mixtures must be at least 1")
        require(
            len(self.temperature) in (1, self.n_bands) and all(0 < t <= 1 for t in self.temperature),
            f"temperature is one number above 0 and up to 1, or one for each of {self.n_bands} bands, "
            f"not {self.temperature}",
        )
        require(
            self.output != "mu_law" or set(self.temperature) == {1},
            "temperature is for logistics and gaussian; mu_law has none",
        )
        require(0 <= self.blur <= 1, f"blur is a share, between 0 and 1, not {self.blur}")
        require(self.input_noise >= 0, f"input_noise must not be negative, like {self.input_noise}")
        require(0 <= self.lpc_order <= 64, f"lpc_order lies between 0 (off) and 64, not {self.lpc_order}")
        require(0 <= self.refinement <= 100, f"refinement lies between 0 (off) and 100, not {self.refinement}")
        require(0 <= self.pre_emphasis < 1, f"pre_emphasis lies between 0 (off) and 1, not {self.pre_emphasis}")
        require(
            not (self.lpc_order and self.pre_emphasis),
            "lpc_order and pre_emphasis exclude each other: the prediction flattens the spectrum by itself",
        )


def build(cfg: Config, *, audio: AudioConfig) -> "WaveNet":
    """A WaveNet with random weights."""
    return WaveNet(cfg, audio=audio)


class WaveNetLayer(nn.Module):
    """The weights of a dilated causal convolution, its gated unit, and the way back into the residual stream."""

    def __init__(self, cfg: Config, *, dilation: int, last: bool):
        super().__init__()
        # The bias of the gates comes with the conditioning.
        self.conv = nn.Conv1d(
            cfg.residual_channels, 2 * cfg.gate_channels, cfg.kernel_size, dilation=dilation, bias=False
        )
        # Nothing reads the residual stream behind the last layer.
        self.residual = None if last else nn.Conv1d(cfg.gate_channels, cfg.residual_channels, 1, bias=False)


class WaveNet(Vocoder):
    """Autoregressive vocoder over samples."""

    def __init__(self, cfg: Config, *, audio: AudioConfig):
        super().__init__()
        require(
            audio.hop_length % cfg.n_bands == 0,
            f"hop_length {audio.hop_length} must be a multiple of {cfg.n_bands} bands",
        )
        self.n_bands = cfg.n_bands
        self.frame_steps = audio.hop_length // cfg.n_bands
        self.hop_length = audio.hop_length
        self.input_noise = cfg.input_noise
        self.blur = cfg.blur
        self.temperature = cfg.temperature * (cfg.n_bands if len(cfg.temperature) == 1 else 1)
        self.silence = silence_value(audio)
        self.kernel_size = cfg.kernel_size
        per_cycle = cfg.n_layers // cfg.n_cycles
        self.dilations = [2 ** (i % per_cycle) for i in range(cfg.n_layers)]
        self.mel_context = sum(k // 2 for k in cfg.condition_kernels)
        self.prediction = _prediction(cfg, audio)
        self.bank = FilterBank(cfg.n_bands)
        self.refinement = Refinement(cfg.refinement, audio)
        # One for the previous step, then what each convolution adds to it; then what the oldest signal is made of.
        steps = 1 + (cfg.kernel_size - 1) * (1 + sum(self.dilations))
        oldest = self.prediction.order if self.prediction else 0
        self.receptive_field = steps * cfg.n_bands + self.bank.reach + oldest
        self.distribution = _distribution(cfg)
        self.scaler = MelScaler(audio.n_mels)
        widths = [audio.n_mels] + [cfg.condition_channels] * len(cfg.condition_kernels)
        self.condition_convs = nn.ModuleList(
            nn.Conv1d(a, b, k) for a, b, k in zip(widths, widths[1:], cfg.condition_kernels, strict=False)
        )
        self.condition_gates = nn.Conv1d(cfg.condition_channels, cfg.n_layers * 2 * cfg.gate_channels, 1)
        self.input = nn.Conv1d(cfg.n_bands, cfg.residual_channels, cfg.kernel_size)
        last = cfg.n_layers - 1
        self.layers = nn.ModuleList(WaveNetLayer(cfg, dilation=d, last=i == last) for i, d in enumerate(self.dilations))
        # One product over the units of all layers is the sum of the layers' skip connections.
        self.skip = nn.Conv1d(cfg.n_layers * cfg.gate_channels, cfg.skip_channels, 1)
        self.head = nn.Conv1d(cfg.skip_channels, cfg.skip_channels, 1)
        self.output = nn.Conv1d(cfg.skip_channels, cfg.n_bands * self.distribution.n_parameters, 1)
        self._initialize()

    @torch.no_grad()
    def _initialize(self) -> None:
        """Weights that keep the variance at every depth; torch's own halve the residual stream in each layer."""
        for layer in self.stack():
            nn.init.kaiming_uniform_(layer.conv.weight, nonlinearity="linear")
            if layer.residual is not None:
                nn.init.kaiming_uniform_(layer.residual.weight, nonlinearity="linear").mul_(UNIT_GAIN)
        nn.init.kaiming_uniform_(self.skip.weight, nonlinearity="linear").mul_(UNIT_GAIN)
        for conv in (*self.condition_convs, self.head):
            nn.init.kaiming_uniform_(conv.weight, nonlinearity="relu")
        nn.init.kaiming_uniform_(self.condition_gates.weight, nonlinearity="linear")
        self.input.weight.mul_(self.distribution.input_gain)
        assert self.output.bias is not None
        self.output.bias.copy_(self.distribution.initial_bias().repeat(self.n_bands))

    def condition(self, mel: Tensor) -> Tensor:
        """Every layer's share of its gates. mel: (B, n_mels, T_mel + 2 * mel_context) -> (B, L, 2 G, T_mel)."""
        features = self.scaler.normalize(mel)
        for conv in self.condition_convs:
            features = F.relu(conv(features))
        gates: Tensor = self.condition_gates(features)
        return gates.reshape(gates.shape[0], len(self.layers), -1, gates.shape[2])

    def encode(self, wave: Tensor, mel: Tensor) -> Tensor:
        """The signal that the network reads and predicts, (B, N, T); wave and mel as for `forward`."""
        if self.prediction is not None:
            n_frames = wave.shape[1] // self.hop_length
            wave = self.prediction.excitation(wave, mel[:, :, self.mel_context : self.mel_context + n_frames])
        return self.distribution.encode(self.bank.analyse(wave))

    def forward(self, wave: Tensor, mel: Tensor) -> Tensor:
        """Teacher forcing: parameters of the distributions of each step given the signals before it, and the mel.

        Args:
            wave: (B, T_wave), T_wave a multiple of the hop.
            mel: (B, n_mels, T_wave / hop + 2 * mel_context) contract units.

        Returns:
            (B, P, T) float32.
        """
        return self._predict(self.encode(wave, mel), mel, first=0)

    def log_likelihood(self, parameters: Tensor, signal: Tensor) -> Tensor:
        """Natural log probability, or the density times a 16-bit step. (B, P, T), (B, N, T) -> (B, N, T)."""
        by_band = parameters.view(len(signal), self.n_bands, -1, signal.shape[2])  # (B, N, P / N, T)
        return self.distribution.log_likelihood(by_band.transpose(1, 2), signal)

    def loss(self, batch: VocoderBatch) -> Tensor:
        """Mean negative log likelihood in bits per sample; of 16-bit samples unless the output is mu_law."""
        # Bands are made of what lies on both sides, and behind the end of a segment there is nothing.
        first, last = batch.loss_from // self.n_bands, (batch.wave.shape[1] - self.bank.reach) // self.n_bands
        mel = blurred(batch.mel, self.blur) if self.training and self.blur else batch.mel
        signal = self.encode(batch.wave, mel)
        heard = signal
        if self.training and self.input_noise:
            heard = signal + self.input_noise * torch.randn_like(signal)
        parameters = self._predict(heard, mel, first=first)[:, :, : last - first]
        return -self.log_likelihood(parameters, signal[:, :, first:last]).mean() / math.log(2)

    def _predict(self, signal: Tensor, mel: Tensor, *, first: int) -> Tensor:
        """signal: (B, N, T). Returns the parameters of the steps from `first` on, (B, P, T - first)."""
        previous = F.pad(signal[:, :, :-1], (self.kernel_size, 0))
        exact = torch.autocast(signal.device.type, enabled=False)  # 8 bits of bfloat16 would be 8 bits of sound
        by_half = self.condition(mel).unflatten(2, (2, -1))  # type: ignore[no-untyped-call]
        condition = by_half.permute(1, 2, 0, 4, 3).contiguous()  # (L, 2, B, T_mel, G)
        with exact:
            hidden = self.input(previous).transpose(1, 2).to(condition.dtype).contiguous()  # (B, T, R)
            weights = StackWeights(*(weight.to(condition.dtype) for weight in self.stack_weights()))
            units = run_stack(hidden, condition, weights, dilations=self.dilations)
        skip = F.relu(F.linear(units, self.skip.weight[:, :, 0], self.skip.bias)[:, first:])
        with exact:
            head = F.relu(F.linear(skip.to(signal.dtype), self.head.weight[:, :, 0], self.head.bias))
            parameters = F.linear(head, self.output.weight[:, :, 0], self.output.bias)
        return parameters.transpose(1, 2)

    def stack_weights(self) -> StackWeights:
        """The weights of all layers."""
        layers = self.stack()
        residual = [layer.residual.weight[:, :, 0].t() for layer in layers if layer.residual is not None]
        width = layers[0].conv
        none = width.weight.new_zeros(0, width.out_channels // 2, width.in_channels)
        halves = torch.stack([layer.conv.weight for layer in layers]).view(len(layers), 2, -1, *width.weight.shape[1:])
        taps = halves.permute(0, 4, 1, 3, 2).contiguous()
        return StackWeights(taps, torch.stack(residual) if residual else none)

    def start(self, batch_size: int) -> WaveNetState:
        """The state before the first step; the weights are those of now. Silence lies behind it."""
        return _steps.start(self, batch_size)

    def step_condition(self, mel: Tensor) -> tuple[Tensor, ...]:
        """`condition` as `step` takes it: T_mel times (L, B, 2 G). mel: (B, n_mels, T_mel + 2 * mel_context)."""
        tanh, sigmoid = self.condition(mel).chunk(2, dim=2)
        by_frame = torch.cat([tanh, sigmoid / 2], dim=2).permute(3, 1, 0, 2).contiguous()
        return by_frame.detach().unbind()

    def step(self, previous: Tensor, state: WaveNetState, condition: Tensor) -> StepOutput:
        """One step; the same function as `forward`, without its gradient.

        Args:
            previous: (B, N) the signals before this step; zero at the start.
            state: overwritten.
            condition: (L, B, 2 G), of this step's frame, from `step_condition`.
        """
        return _steps.step(previous, state, condition)

    @torch.inference_mode()
    @OneThread()
    def generate(
        self,
        mel: Tensor,
        mel_lengths: Tensor,
        *,
        seeds: Sequence[int],
        folds: int = 1,
        measured: bool = False,
        storage: Storage | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Tensor:
        """See `Vocoder.generate`; `progress` is called after every few frames.

        On a CPU the steps are compiled, and rows and folds are made side by side where there are cores. On a GPU all
        rows and folds are made at once.

        Args:
            storage: of the weights of compiled steps; None takes what is faster on a CPU, float32 on a GPU.
        """
        return _generation.generate(
            self, mel, mel_lengths, seeds=seeds, folds=folds, measured=measured, storage=storage, progress=progress
        )

    @torch.inference_mode()
    def stream(
        self, mels: Iterable[Tensor], *, seed: int, measured: bool = False, storage: Storage | None = None
    ) -> Iterator[Tensor]:
        """See `Vocoder.stream`; `storage` as for `generate`."""
        made = _generation.stream(self, mels, seed=seed, measured=measured, storage=storage)
        while True:
            with OneThread():
                wave = next(made, None)
            if wave is None:
                return
            yield wave

    def noise(self, generators: Sequence[torch.Generator]) -> Tensor:
        """The random numbers of the next frame, (steps, B, N, n_noise).

        A row draws them from its own generator, frame by frame, whatever else is in the batch or was asked for at once.
        """
        drawn = [self.distribution.noise(self.frame_steps * self.n_bands, generator) for generator in generators]
        noise = torch.stack([one.view(self.frame_steps, self.n_bands, -1) for one in drawn], dim=1)
        noise[:, :, :, -1] *= torch.tensor(self.temperature)
        return noise

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """Draw the signals (B, N) of a step. parameters: (B, P); noise: (B, N, n_noise)."""
        by_band = parameters.reshape(-1, self.distribution.n_parameters)
        return self.distribution.sample(by_band, noise.flatten(0, 1)).view(-1, self.n_bands)

    def stack(self) -> list[WaveNetLayer]:
        """The layers, from the input up."""
        return [layer for layer in self.layers if isinstance(layer, WaveNetLayer)]


def _prediction(cfg: Config, audio: AudioConfig) -> Prediction | None:
    """What of the wave need not be modelled."""
    if cfg.lpc_order:
        return LinearPrediction(cfg.lpc_order, audio=audio)
    return PreEmphasis(cfg.pre_emphasis, audio=audio) if cfg.pre_emphasis else None


def _distribution(cfg: Config) -> Distribution:
    """Of one sample of a band."""
    if cfg.output == "mu_law":
        return MuLaw(cfg.bits)
    if cfg.output == "gaussian":
        return Gaussian()
    return Logistics(cfg.n_mixtures)
