"""Vocoders that make a row at once: the rows of a batch one after the other, so that no padding is heard."""

from collections.abc import Callable, Sequence

from torch import Tensor


def row_by_row(
    speak: Callable[[Tensor, int], Tensor],
    mel: Tensor,
    mel_lengths: Tensor,
    seeds: Sequence[int],
    *,
    hop_length: int,
    progress: Callable[[int], None] | None,
) -> Tensor:
    """See `Vocoder.generate`.

    Args:
        speak: of a mel (1, n_mels, T_mel) and a seed -> (1, T_mel * hop).
        mel, mel_lengths, seeds, progress: those of `generate`.
        hop_length: samples of a frame.
    """
    wave = mel.new_zeros(mel.shape[0], mel.shape[2] * hop_length)
    for row, (n_frames, seed) in enumerate(zip(mel_lengths.tolist(), seeds, strict=True)):
        wave[row, : n_frames * hop_length] = speak(mel[row : row + 1, :, :n_frames], seed)[0]
        if progress is not None:
            progress((row + 1) * wave.shape[1] // mel.shape[0])
    return wave
