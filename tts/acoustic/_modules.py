"""Encoder, prenet and postnet of Tacotron 2 (Shen et al. 2018, arXiv:1712.05884, section 2.2).

Shapes: B batch, T_text symbols, T frames, D width of the encoded text.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tts.layers import ConvNorm, length_mask

Dropout = Callable[[Tensor, float], Tensor]  # (x, rate) -> x with a share of its units zero, the others scaled up


def always_dropout(x: Tensor, rate: float) -> Tensor:
    """Dropout that is on in evaluation too, from torch's own random state."""
    return F.dropout(x, rate, training=True)


class Encoder(nn.Module):
    """Symbols -> convolutions -> bidirectional LSTM; padding reaches nothing."""

    def __init__(self, n_symbols: int, dim: int, n_convs: int, kernel_size: int, dropout: float):
        super().__init__()
        self.embedding = nn.Embedding(n_symbols, dim)
        self.convs = nn.ModuleList(ConvNorm(dim, dim, kernel_size) for _ in range(n_convs))
        self.lstm = nn.LSTM(dim, dim // 2, batch_first=True, bidirectional=True)
        self.dropout = dropout

    def forward(self, text_ids: Tensor, text_lengths: Tensor) -> Tensor:
        """text_ids: (B, T_text); text_lengths: (B,). Returns (B, T_text, D), zero where padded."""
        mask = length_mask(text_lengths, text_ids.shape[1])
        x = (self.embedding(text_ids) * mask[:, :, None]).transpose(1, 2)
        for conv in self.convs:
            x = F.dropout(F.relu(conv(x, mask)), self.dropout, self.training)
        packed = pack_padded_sequence(x.transpose(1, 2), text_lengths.cpu(), batch_first=True, enforce_sorted=False)
        memory, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=text_ids.shape[1])
        return memory


class PreNet(nn.Module):
    """Narrow layers with dropout that is always on: the decoder must look at the text, not only at the last frame."""

    def __init__(self, in_dim: int, dims: Sequence[int], dropout: float):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairwise([in_dim, *dims]))
        self.dims, self.dropout = list(dims), dropout

    def forward(self, frames: Tensor, drop: Dropout) -> Tensor:
        """frames: (..., in_dim) normalised -> (..., dims[-1]). `drop` says where the dropout's masks come from."""
        for layer in self.layers:
            frames = drop(F.relu(layer(frames)), self.dropout)
        return frames


class PostNet(nn.Module):
    """Convolutions that predict what the frame-by-frame decoder has missed."""

    def __init__(self, n_mels: int, dim: int, n_layers: int, kernel_size: int, dropout: float):
        super().__init__()
        dims = [n_mels, *[dim] * (n_layers - 1), n_mels]
        self.convs = nn.ModuleList(ConvNorm(a, b, kernel_size) for a, b in pairwise(dims))
        self.dropout = dropout

    def forward(self, mel: Tensor, mask: Tensor) -> Tensor:
        """mel: (B, n_mels, T) normalised; mask: (B, T) bool. Returns the correction, zero where padded."""
        x = mel * mask[:, None]
        for i, conv in enumerate(self.convs):
            x = conv(x, mask)
            x = torch.tanh(x) if i < len(self.convs) - 1 else x
            x = F.dropout(x, self.dropout, self.training)
        return x
