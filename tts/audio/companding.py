"""Mu-law companding (ITU-T G.711; van den Oord et al. 2016, arXiv:1609.03499, section 2.2)."""

from torch import Tensor

from tts.audio.backend import load_torchaudio


def encode(wave: Tensor, bits: int) -> Tensor:
    """Floats -> int64 codes in [0, 2 ** bits); what exceeds [-1, 1] is clipped."""
    codes: Tensor = load_torchaudio().functional.mu_law_encoding(wave.float().clamp(-1, 1), 2**bits)
    return codes


def decode(codes: Tensor, bits: int) -> Tensor:
    """Codes in [0, 2 ** bits) -> float32 in [-1, 1], such that `encode` gives the same codes again."""
    wave: Tensor = load_torchaudio().functional.mu_law_decoding(codes, 2**bits)
    return wave
