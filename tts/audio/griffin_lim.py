"""Mel to waveform without training: fast Griffin-Lim (Perraudin et al. 2013; Griffin and Lim 1984).

Shapes: B batch, T_mel frames, n_freqs = n_fft // 2 + 1.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from tts.audio.backend import load_torchaudio
from tts.audio.mel import hann_window, mel_filters
from tts.parallel import OneThread
from tts.settings import AudioConfig

MOMENTUM = 0.99
# Multiplicative updates that undo the mel filters. Measured on speech, with 60 iterations: the mel of the result is
# off by 0.111 with a pseudo-inverse instead, by 0.098 after 10 updates, by 0.096 after 30, by 0.094 after 100.
UPDATES = 30


@torch.no_grad()
@OneThread()
def griffin_lim(mel: Tensor, audio: AudioConfig, iterations: int = 60, seed: int = 0) -> Tensor:
    """A waveform whose mel is close to the given one, in step with it.

    Args:
        mel: (B, n_mels, T_mel) log mel as `mel_spectrogram` makes it.
        seed: of the phases to begin with; each row depends on its own mel and the seed only.

    Returns:
        (B, T_mel * hop) float32 in [-1, 1].
    """
    return torch.stack([_one_row(row, audio, iterations, seed) for row in mel.float()])


def magnitude_from_mel(mel: Tensor, audio: AudioConfig) -> Tensor:
    """(n_mels, T_mel) log mel -> (n_freqs, T_mel) magnitude ** power, never negative.

    Non-negative least squares by multiplicative updates (Lee and Seung 2000): a pseudo-inverse goes below zero, and
    what is cut off there is energy lost.
    """
    filters, linear = mel_filters(audio).to(mel.device), mel.exp()
    target = filters @ linear  # (n_freqs, T_mel)
    magnitude = target
    for _ in range(UPDATES):
        magnitude = magnitude * target / (filters @ (filters.T @ magnitude)).clamp_min(1e-12)
    return magnitude


def _one_row(mel: Tensor, audio: AudioConfig, iterations: int, seed: int) -> Tensor:
    """(n_mels, T_mel) -> (T_mel * hop,)."""
    # torchaudio's frame t is centred on t * hop, ours on t * hop + hop / 2. Its result therefore begins hop / 2 late;
    # frames repeated at both ends give it the samples before and after, and something to reflect in a short clip.
    extra = audio.n_fft // (2 * audio.hop_length) + 1
    magnitude = F.pad(magnitude_from_mel(mel, audio)[None], (extra, extra), mode="replicate")[0]
    on_gpu = mel.device.type == "cuda"
    with torch.random.fork_rng([mel.device] if on_gpu else []):
        # torchaudio draws from the global generator of the device.
        (torch.cuda.manual_seed if on_gpu else torch.default_generator.manual_seed)(seed)
        wave: Tensor = load_torchaudio().functional.griffinlim(
            magnitude,
            hann_window(audio, mel.device),
            audio.n_fft,
            audio.hop_length,
            audio.win_length,
            audio.power,
            iterations,
            MOMENTUM,
            length=None,
            rand_init=True,
        )
    start = extra * audio.hop_length - audio.hop_length // 2
    return wave[start : start + mel.shape[1] * audio.hop_length].clamp(-1, 1)
