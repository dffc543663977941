"""Where in its text a clip is at every frame, from its alignment: what guides attention more narrowly than a diagonal.

Shapes: T_text symbols, T_mel frames.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tts.data.aligning import Alignment, Phones, SpokenWord, align_all, align_task
from tts.data.manifest import Clip
from tts.settings import Recipe


def align_clips(clips: Sequence[Clip], recipe: Recipe, progress: bool = True) -> list[Clip]:
    """The clips with `symbol_ends`, where text and sound can be aligned.

    Raises:
        DataError: as `align_all` does.
    """
    phones, rate, cache = Phones(recipe.text), recipe.audio.sample_rate, Path(recipe.data.cache)
    tasks = {clip.id: align_task(clip, phones(clip), rate, cache) for clip in clips}
    found = align_all(tasks, workers=recipe.data.workers, progress=progress)
    return [replace(clip, symbol_ends=_ends_or_none(clip, found[clip.id])) for clip in clips]


def _ends_or_none(clip: Clip, alignment: Alignment | None) -> tuple[float, ...]:
    return symbol_ends(clip, alignment) if alignment else ()


def symbol_ends(clip: Clip, alignment: Alignment) -> tuple[float, ...]:
    """When each symbol but the last, the end of the text, gives way to the next: seconds, never falling.

    A pause belongs to the mark it is made at, or else to the boundary between its words; marks and boundaries without a
    pause have no duration. Letters share the time of their word evenly.
    """
    ends = np.full(len(clip.symbols) - 1, np.nan)
    spoken = list(alignment.words)
    for span in clip.words:
        if not spoken or spoken[0].word != span.word:
            continue  # nobody knew how it is said: it is somewhere between its neighbours
        word = spoken.pop(0)
        if span.start:
            ends[span.start - 1] = word.start
        ends[span.start : span.end] = _within(word, span.end - span.start)
    _fill(ends, clip)
    return tuple(np.maximum.accumulate(ends).round(3).tolist())


def _within(word: SpokenWord, n_symbols: int) -> list[float]:
    """When the symbols of a word end."""
    if len(word.phones) == n_symbols:
        return [phone.end for phone in word.phones]
    return [word.start + (word.end - word.start) * (place + 1) / n_symbols for place in range(n_symbols)]


def _fill(ends: "np.ndarray[tuple[int], np.dtype[np.float64]]", clip: Clip) -> None:
    """Give the pauses to their symbols: between two words, all of it to the first; words not aligned share theirs."""
    for left, right in zip(clip.words, clip.words[1:], strict=False):
        if not np.isnan(ends[right.start - 1]):
            ends[left.end : right.start] = ends[right.start - 1]
    ends[clip.words[-1].end :] = clip.seconds
    known = ~np.isnan(ends)
    places = np.arange(len(ends))
    ends[~known] = np.interp(places[~known], [-1, *places[known]], [0.0, *ends[known]])


def reading_path(clip: Clip, frame_seconds: float) -> Tensor:
    """(T_mel,) how many symbols have been read at the middle of each frame; NaN where the clip is not aligned."""
    if not clip.symbol_ends:
        return torch.full((clip.n_frames,), torch.nan)
    middles = (np.arange(clip.n_frames) + 0.5) * frame_seconds
    read = np.interp(middles, [0.0, *clip.symbol_ends], np.arange(len(clip.symbol_ends) + 1))
    return torch.from_numpy(read).float()
