"""HiFi-GAN's generator (Kong et al. 2020, arXiv:2010.05646, section 2.2): speaks with published weights.

Transposed convolutions raise the rate from frames to samples, halving the channels each time. After each of them the
signal passes residual blocks of several kernel sizes side by side, and their mean goes on. Modules are named as in
published state dicts; `tts.vocoder._published` reads those. Weight normalisation is folded when they are read.

Shapes: B batch, C channels, T positions at the rate of the layer, T_mel frames.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tts.batch import VocoderBatch
from tts.errors import TTSError
from tts.interfaces import Vocoder
from tts.layers import MelScaler
from tts.settings import AudioConfig, require
from tts.vocoder._rows import row_by_row

SLOPE = 0.1  # of the leaky ReLUs before every layer ...
LAST_SLOPE = 0.01  # ... but the last: published weights were trained with torch's default there
ENDS_KERNEL = 7  # of the first and of the last convolution


@dataclass
class Config:
    """The generator's sizes. The defaults are those of V1 (appendix A.1)."""

    name: str = "hifigan"
    resblock: Literal[1, 2] = 1  # the kind of residual block: 2 has half as many convolutions
    upsample_rates: list[int] = field(default_factory=lambda: [8, 8, 2, 2])  # their product is the hop length
    upsample_kernel_sizes: list[int] = field(default_factory=lambda: [16, 16, 4, 4])
    upsample_initial_channel: int = 512  # halved at every upsampling
    resblock_kernel_sizes: list[int] = field(default_factory=lambda: [3, 7, 11])
    resblock_dilation_sizes: list[list[int]] = field(default_factory=lambda: [[1, 3, 5], [1, 3, 5], [1, 3, 5]])

    def __post_init__(self) -> None:
        rates, kernels = self.upsample_rates, self.upsample_kernel_sizes
        sizes = [
            *rates,
            *kernels,
            *self.resblock_kernel_sizes,
            *(d for row in self.resblock_dilation_sizes for d in row),
        ]
        require(all(size >= 1 for size in sizes), "rates, kernel sizes and dilations must be at least 1")
        require(bool(rates) and len(rates) == len(kernels), "upsample_rates and upsample_kernel_sizes go in pairs")
        for rate, kernel in zip(rates, kernels, strict=True):
            fits = kernel >= rate and (kernel - rate) % 2 == 0
            require(fits, f"upsample_kernel_sizes: {kernel} must be the rate {rate} or an even number more")
        channels, halvings = self.upsample_initial_channel, 2 ** len(rates)
        require(
            channels >= halvings and channels % halvings == 0,
            f"upsample_initial_channel {channels} must be divisible by {halvings}: it is halved {len(rates)} times",
        )
        require(
            bool(self.resblock_kernel_sizes) and len(self.resblock_kernel_sizes) == len(self.resblock_dilation_sizes),
            "resblock_kernel_sizes and resblock_dilation_sizes go in pairs",
        )
        require(all(size % 2 for size in self.resblock_kernel_sizes), "resblock_kernel_sizes must be odd")
        require(all(self.resblock_dilation_sizes), "resblock_dilation_sizes must give each kernel a dilation")


def build(cfg: Config, *, audio: AudioConfig) -> "HifiGan":
    """A generator with fresh weights.

    Raises:
        ConfigError: if it does not make as many samples of a frame as the mel contract says.
    """
    made = math.prod(cfg.upsample_rates)
    require(
        made == audio.hop_length,
        f"hifigan: upsample_rates {cfg.upsample_rates} make {made} samples of a frame, and audio.hop_length is "
        f"{audio.hop_length}; set one of them to fit the other",
    )
    return HifiGan(cfg, audio=audio)


class HifiGan(Vocoder):
    """Makes all samples of a row at once. The sizes are V1, V2, V3 or any other of the family."""

    trainable: ClassVar[bool] = False

    def __init__(self, cfg: Config, *, audio: AudioConfig):
        super().__init__()
        self.audio = audio
        self.mel_context = _context(cfg)
        self.receptive_field = 0  # it never looks at samples
        self.scaler = MelScaler(audio.n_mels)  # of the interface; published weights read contract units
        width = cfg.upsample_initial_channel
        self.conv_pre = _conv(audio.n_mels, width, ENDS_KERNEL)
        self.ups = nn.ModuleList()
        self.resblocks = nn.ModuleList()  # those of the first upsampling, then those of the second, ...
        block = ResBlock1 if cfg.resblock == 1 else ResBlock2
        for rate, kernel in zip(cfg.upsample_rates, cfg.upsample_kernel_sizes, strict=True):
            self.ups.append(nn.ConvTranspose1d(width, width // 2, kernel, rate, padding=(kernel - rate) // 2))
            width //= 2
            for size, dilations in zip(cfg.resblock_kernel_sizes, cfg.resblock_dilation_sizes, strict=True):
                self.resblocks.append(block(width, size, dilations))
        self.conv_post = _conv(width, 1, ENDS_KERNEL)

    def forward(self, mel: Tensor) -> Tensor:
        """(B, n_mels, T_mel) in contract units, no padding -> (B, T_mel * hop) in (-1, 1)."""
        x = self.conv_pre(mel)  # (B, C, T_mel)
        n_blocks = len(self.resblocks) // len(self.ups)
        for stage, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, SLOPE))  # (B, C / 2, T * rate)
            first = stage * n_blocks
            x = sum(block(x) for block in self.resblocks[first : first + n_blocks]) / n_blocks
        wave: Tensor = self.conv_post(F.leaky_relu(x, LAST_SLOPE))  # (B, 1, T_mel * hop)
        return wave.tanh()[:, 0]

    def loss(self, batch: VocoderBatch) -> Tensor:
        """There is none: adversarial training is not part of this project.

        Raises:
            TTSError: always.
        """
        raise TTSError("vocoder hifigan is not trained here; speak with published weights: vocoder=hifigan checkpoint=")

    @torch.inference_mode()
    def generate(
        self,
        mel: Tensor,
        mel_lengths: Tensor,
        *,
        seeds: Sequence[int],
        folds: int = 1,
        measured: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> Tensor:
        """Row by row, each whole, so that no padding is heard; nothing is drawn, every seed gives the same.

        See `Vocoder.generate`.
        """
        hop = self.audio.hop_length
        return row_by_row(lambda row, _: self(row), mel, mel_lengths, seeds, hop_length=hop, progress=progress)


class ResBlock1(nn.Module):
    """Pairs of convolutions, the first of each dilated, with a residual connection around the pair."""

    def __init__(self, channels: int, kernel_size: int, dilations: Sequence[int]):
        super().__init__()
        self.convs1 = nn.ModuleList(_conv(channels, channels, kernel_size, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(_conv(channels, channels, kernel_size) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            x = x + plain(F.leaky_relu(dilated(F.leaky_relu(x, SLOPE)), SLOPE))
        return x


class ResBlock2(nn.Module):
    """Dilated convolutions, each with a residual connection around it."""

    def __init__(self, channels: int, kernel_size: int, dilations: Sequence[int]):
        super().__init__()
        self.convs = nn.ModuleList(_conv(channels, channels, kernel_size, dilation) for dilation in dilations)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        for dilated in self.convs:
            x = x + dilated(F.leaky_relu(x, SLOPE))
        return x


def _conv(in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1) -> nn.Conv1d:
    """A convolution that keeps the length; the kernel size is odd."""
    reach = dilation * (kernel_size - 1) // 2
    return nn.Conv1d(in_channels, out_channels, kernel_size, dilation=dilation, padding=reach)


def _context(cfg: Config) -> int:
    """Frames on either side of a frame that its samples depend on: the reach of all layers, last layer first."""
    reach = ENDS_KERNEL // 2  # positions at the rate of the layer
    # In a block of the first kind a convolution without dilation follows each dilated one.
    plain = 1 if cfg.resblock == 1 else 0
    blocks = zip(cfg.resblock_kernel_sizes, cfg.resblock_dilation_sizes, strict=True)
    of_blocks = max(size // 2 * sum(dilation + plain for dilation in dilations) for size, dilations in blocks)
    for rate, kernel in zip(reversed(cfg.upsample_rates), reversed(cfg.upsample_kernel_sizes), strict=True):
        # The last of the `rate` positions that an input position becomes lies rate - 1 behind it.
        reach = (rate - 1 + reach + of_blocks + (kernel - rate) // 2) // rate
    return reach + ENDS_KERNEL // 2
