"""Log mel spectrograms as the mel contract (`AudioConfig`) says; nothing else computes a mel.

Frame t is centred on sample t * hop + hop / 2, so that n frames cover n * hop samples exactly.

Shapes: B batch, T_wave samples, n_frames = ceil(T_wave / hop).
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from tts.audio.backend import load_torchaudio
from tts.errors import ConfigError
from tts.settings import AudioConfig

SMALLEST_ENERGY = 1e-24  # of a bin, far below any floor: the square root has no gradient at 0


def mel_spectrogram(wave: Tensor, audio: AudioConfig) -> Tensor:
    """Natural logarithm of the mel spectrogram, differentiable, on the wave's device.

    Args:
        wave: (B, T_wave) or (T_wave,) float in [-1, 1]; silence completes the last frame.

    Returns:
        (B, n_mels, n_frames) or (n_mels, n_frames) float32.
    """
    if wave.dim() == 1:
        return mel_spectrogram(wave[None], audio)[0]
    assert wave.shape[1] > 0, "an empty wave has no mel"
    return mel_of_framed(what_frames_see(wave.float(), audio), audio)


def mel_of_framed(framed: Tensor, audio: AudioConfig) -> Tensor:
    """The mel of what its frames see of a wave, in full precision whatever training's is.

    Args:
        framed: (B, n_frames * hop + n_fft - hop) float, of `what_frames_see`.

    Returns:
        (B, n_mels, n_frames) float32.
    """
    with torch.autocast(framed.device.type, enabled=False), _full_precision():
        spectrogram = _spectrogram(framed, audio)  # (B, n_heard, n_frames)
        mel = mel_filters(audio)[: spectrogram.shape[1]].to(framed.device).T @ spectrogram
        return mel.clamp_min_(audio.log_floor).log_()


def silence_value(audio: AudioConfig) -> float:
    """What a log mel holds where there is no sound; also what mels are padded with."""
    return math.log(audio.log_floor)


def mel_filters(audio: AudioConfig) -> Tensor:
    """(n_fft // 2 + 1, n_mels) float32 triangular filters, cached: do not write into them.

    Raises:
        ConfigError: if a filter is narrower than the spacing of the bins, and so empty.
    """
    filters = _mel_filters(
        audio.n_fft // 2 + 1,
        audio.f_min,
        audio.f_max,
        audio.n_mels,
        audio.sample_rate,
        None if audio.mel_norm == "none" else audio.mel_norm,
        audio.mel_scale,
    )
    empty = int((filters.sum(dim=0) == 0).sum())
    if empty:
        raise ConfigError(f"{empty} of n_mels={audio.n_mels} filters are empty at n_fft={audio.n_fft}; lower n_mels")
    return filters


def hann_window(audio: AudioConfig, device: torch.device) -> Tensor:
    """(win_length,) periodic Hann window."""
    return torch.hann_window(audio.win_length, device=device)


@lru_cache(maxsize=8)
def _mel_filters(
    n_freqs: int, f_min: float, f_max: float, n_mels: int, sample_rate: int, norm: str | None, scale: str
) -> Tensor:
    """The filters by value: a config can be changed after it was seen, and so cannot be a key.

    On the CPU, whatever device is the default now: they are kept for later.
    """
    with warnings.catch_warnings(), torch.device("cpu"):
        # torchaudio warns of empty filters; mel_filters makes that an error with a way out.
        warnings.filterwarnings("ignore", message="At least one mel filterbank has all zero values")
        filters: Tensor = load_torchaudio().functional.melscale_fbanks(
            n_freqs, f_min, f_max, n_mels, sample_rate, norm=norm, mel_scale=scale
        )
    return filters


def what_frames_see(wave: Tensor, audio: AudioConfig) -> Tensor:
    """(B, T_wave) -> (B, n_frames * hop + n_fft - hop): silence to a whole frame, then reflection at both ends.

    Frame t sees n_fft samples of it, from t * hop on. Any type of numbers.
    """
    whole = audio.n_frames(wave.shape[1]) * audio.hop_length
    reach = (audio.n_fft - audio.hop_length) // 2
    # A wave too short to be reflected that far is followed by silence instead.
    longer = max(whole, reach + 1)
    padded = F.pad(wave, (reach, longer - wave.shape[1] + reach))
    padded[:, :reach] = padded[:, reach + 1 : 2 * reach + 1].flip(1)
    padded[:, -reach:] = padded[:, -2 * reach - 1 : -reach - 1].flip(1)
    return padded[:, : whole + 2 * reach]


@contextmanager
def _full_precision() -> Iterator[None]:
    """Products of matrices without TF32, which a training on a GPU may have allowed."""
    before = torch.get_float32_matmul_precision()
    if before == "highest":
        yield
        return
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _spectrogram(padded: Tensor, audio: AudioConfig) -> Tensor:
    """(B, n_heard, n_frames) magnitudes of the short-time Fourier transform, to the power of the mel contract.

    Of the n_fft // 2 + 1 bins only those up to f_max: no filter hears the others.
    """
    stft = torch.stft(
        padded,
        audio.n_fft,
        audio.hop_length,
        audio.win_length,
        hann_window(audio, padded.device),
        center=False,
        return_complex=True,
    )
    heard = stft[:, : int(audio.f_max * audio.n_fft / audio.sample_rate) + 1]
    # As abs() ** power but for rounding, and twice as fast.
    energy = heard.real.square().addcmul_(heard.imag, heard.imag)
    return energy.clamp_min_(SMALLEST_ENERGY).pow_(audio.power / 2)
