"""A wave is brought nearer to the mel that it was made of.

A vocoder that draws samples keeps to its mel on the average only. Here each bin of the wave's short-time spectrum is
multiplied by what its mel band lacks, and the phase stays the vocoder's own: a step of Griffin and Lim (1984) towards
known mel bands instead of known magnitudes, from a phase that is nearly right instead of from noise. A pass costs a
Fourier transform there and back.

The mel of a recording is right in every detail, up to single harmonics. The mel that a model predicts is an average
over what might have been said, right in its broad shape only; a wave that obeyed its details would sound as blurred.

Shapes: B rows, T_mel frames, n_freqs = n_fft // 2 + 1.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tts.audio.mel import hann_window, mel_filters, silence_value
from tts.settings import AudioConfig

LIMIT = 3.0  # nepers, 26 dB, by which a pass changes a band at most
BROAD = 0.1  # of all mel bands: those on either side with which a predicted mel is right on the average
BLOCK = 8  # frames finished at once
SMALLEST_WEIGHT = 1e-3  # of a sample: the sum of its windows' squares is 1.5 where they overlap as is customary


class Made(NamedTuple):
    """Some frames of a wave, as far as it is made."""

    wave: Tensor  # (B, T_mel * hop)
    mel: Tensor  # (B, n_mels, T_mel) contract units


class Refinement(nn.Module):
    """What passes are made of. Nothing in it is learned."""

    window: Tensor  # (n_fft,)
    weight: Tensor  # (1, n_samples) of the windows of a block and of the frames that touch it, the sum of squares
    filters: Tensor  # (n_freqs, n_mels)
    exact: Tensor  # (n_mels, n_freqs) from what bands lack to the gains of bins, both logarithms
    broad: Tensor  # the same after averaging over neighbouring bands

    def __init__(self, n_passes: int, audio: AudioConfig):
        super().__init__()
        self.audio, self.n_passes = audio, n_passes
        self.silence = silence_value(audio)
        # Frames on either side whose windows reach into a frame; and those that reach into such a window.
        self.touching = -(-(audio.n_fft - audio.hop_length) // (2 * audio.hop_length))
        self.around = 2 * self.touching
        missing = audio.n_fft - audio.win_length
        window = F.pad(hann_window(audio, torch.device("cpu")), (missing // 2, missing - missing // 2))
        filters = mel_filters(audio)
        exact = _gains_of_bins(filters)
        bands = torch.eye(audio.n_mels, device=filters.device)[None]
        beside = int(BROAD * audio.n_mels)
        mean = F.avg_pool1d(bands, 2 * beside + 1, stride=1, padding=beside, count_include_pad=False)[0]
        weight = window.square().expand(1, BLOCK + 2 * self.touching, -1)
        weight = _overlapped(weight, audio.hop_length).clamp_min(SMALLEST_WEIGHT)
        # They follow from the mel contract, so a checkpoint need not hold them.
        for name, value in (("window", window), ("weight", weight), ("filters", filters)):
            self.register_buffer(name, value.contiguous(), False)
        for name, value in (("exact", exact), ("broad", mean @ exact)):
            self.register_buffer(name, value.contiguous(), False)

    def passes(self, *, measured: bool) -> int:
        """How often a wave is gone over. A second pass over the broad shape finds nothing more."""
        return self.n_passes if measured else min(1, self.n_passes)

    def reach(self, *, measured: bool) -> int:
        """Frames on either side of a frame on which it depends."""
        return self.around * self.passes(measured=measured)

    def forward(self, wave: Tensor, mel: Tensor, real: Tensor, *, measured: bool) -> Tensor:
        """One pass over a block.

        Args:
            wave: (B, (BLOCK + 2 * around) * hop) of its frames and of `around` on either side.
            mel: (B, n_mels, BLOCK + 2 * touching) contract units, of its frames and of `touching` on either side.
            real: (B, BLOCK + 2 * touching) bool; others are left alone: nobody knows their mel.
            measured: see `Vocoder.generate`.

        Returns:
            (B, BLOCK * hop) of its frames.
        """
        hop, n_fft, power = self.audio.hop_length, self.audio.n_fft, self.audio.power
        n_frames = mel.shape[2]
        # A window sees n_fft - hop samples beside its frame, half of them on either side.
        first = self.touching * hop - (n_fft - hop) // 2
        seen = wave[:, first : first + (n_frames - 1) * hop + n_fft].unfold(1, n_fft, hop) * self.window
        spectrum = torch.fft.rfft(seen)  # (B, BLOCK + 2 * touching, n_freqs)
        heard = (spectrum.abs().pow(power) @ self.filters).clamp_min(self.audio.log_floor).log()
        lacking = ((mel.transpose(1, 2) - heard) / power).clamp(-LIMIT, LIMIT).masked_fill(~real[:, :, None], 0.0)
        gains = (lacking @ (self.exact if measured else self.broad)).exp()
        changed = _overlapped(torch.fft.irfft(spectrum * gains, n=n_fft) * self.window, hop)
        return (changed / self.weight)[:, self.around * hop - first :][:, : BLOCK * hop]


class Pass:
    """One pass over a wave that arrives bit by bit. Its blocks begin at fixed frames, so the bits do not matter."""

    def __init__(self, refinement: Refinement, lengths: Tensor | None, *, measured: bool):
        """lengths: (B,) frames, if rows end before others. measured: see `Vocoder.generate`."""
        self.refinement, self.lengths, self.measured = refinement, lengths, measured
        self.first = 0  # the frame that is finished next
        self.wave: Tensor | None = None  # (B, T_wave) from `around` frames before it
        self.mel: Tensor | None = None  # (B, n_mels, T_mel) likewise

    def over(self, pieces: Iterable[Made]) -> Iterator[Made]:
        """What becomes of them; the pieces are other ones. Silence lies around them all."""
        around, hop = self.refinement.around, self.refinement.audio.hop_length
        for piece in pieces:
            if self.wave is None or self.mel is None:
                self.wave = F.pad(piece.wave, (around * hop, 0))
                self.mel = F.pad(piece.mel, (around, 0), value=self.refinement.silence)
            else:
                self.wave = torch.cat([self.wave, piece.wave], dim=1)
                self.mel = torch.cat([self.mel, piece.mel], dim=2)
            yield from self._finished()
        if self.wave is None or self.mel is None or self.mel.shape[2] == around:
            return
        n_frames = self.mel.shape[2] - around
        if self.lengths is None:
            self.lengths = torch.full((len(self.wave),), self.first + n_frames, device=self.wave.device)
        behind = -n_frames % BLOCK + around
        self.wave = F.pad(self.wave, (0, behind * hop))
        self.mel = F.pad(self.mel, (0, behind), value=self.refinement.silence)
        for piece in self._finished():
            yield Made(piece.wave[:, : n_frames * hop], piece.mel[:, :, :n_frames])
            n_frames -= BLOCK

    def _finished(self) -> Iterator[Made]:
        """Blocks of which all is known that they depend on."""
        around, touching, hop = self.refinement.around, self.refinement.touching, self.refinement.audio.hop_length
        size = BLOCK + 2 * around
        while self.wave is not None and self.mel is not None and self.mel.shape[2] >= size:
            frames = self.first + torch.arange(-around, BLOCK + around, device=self.wave.device)
            real = (frames >= 0).expand(len(self.wave), -1)
            if self.lengths is not None:
                real = real & (frames < self.lengths[:, None])
            # Alone, a row that has ended is followed by silence.
            wave = self.wave[:, : size * hop] * real.repeat_interleave(hop, dim=1)
            near = slice(around - touching, size - around + touching)
            wave = self.refinement(wave, self.mel[:, :, near], real[:, near], measured=self.measured)
            yield Made(wave, self.mel[:, :, around : around + BLOCK])
            self.wave, self.mel, self.first = self.wave[:, BLOCK * hop :], self.mel[:, :, BLOCK:], self.first + BLOCK


def _gains_of_bins(filters: Tensor) -> Tensor:
    """(n_mels, n_freqs) from the gains of bands: a bin has the mean of those that hear it.

    Bins above all bands change as the last one does, those below the first do not.
    """
    shares = (filters / filters.sum(dim=1, keepdim=True).clamp_min(1e-12)).T.contiguous()
    heard = torch.nonzero(filters.sum(dim=1) > 0)
    shares[-1, int(heard.max()) + 1 :] = 1.0
    return shares


def _overlapped(frames: Tensor, hop: int) -> Tensor:
    """(B, T, n_fft) -> (B, (T - 1) * hop + n_fft), the sum of frames that begin a hop after each other."""
    n_rows, n_frames, n_fft = frames.shape
    length = (n_frames - 1) * hop + n_fft
    return F.fold(frames.transpose(1, 2), (1, length), (1, n_fft), stride=(1, hop)).view(n_rows, length)
