"""When each word was spoken: from the attention of a decode, and as the text of a file: JSON, SRT or TextGrid.

Shapes: T_text symbols, T_mel frames.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from tts.alignment import symbol_times
from tts.errors import ConfigError
from tts.failures import WordSpan


class WordTime(NamedTuple):
    """A word and when it was spoken; one that was passed over starts and ends at once."""

    word: str
    start: float  # seconds
    end: float


def word_times(
    alignment: Tensor, words: Sequence[WordSpan], frame_seconds: float, step_frames: int = 1
) -> list[WordTime]:
    """The words in order, none before the one before it has ended, in seconds from the first frame.

    The best monotonic path through the attention says when. A word lasts until the next one begins where nothing but
    a boundary lies between, since attention leaves the last phone before its sound has ended; marks belong to none.

    Args:
        alignment: (T_text, T_mel), without padding.
        words: spans of the T_text symbols, in order.
        frame_seconds: duration of a frame.
        step_frames: frames that a decoder step made.
    """
    times = symbol_times(alignment, frame_seconds, step_frames)
    found = []
    for span, following in zip_longest(words, words[1:]):
        joined = following is not None and following.start - span.end <= 1
        found.append(WordTime(span.word, times[span.start][0], times[following.start if joined else span.end][0]))
    return found


def as_json(words: Sequence[WordTime], seconds: float) -> str:
    """A list of objects with `word`, `start` and `end`, those passed over among them."""
    listed = [{"word": word, "start": round(start, 3), "end": round(end, 3)} for word, start, end in words]
    return json.dumps(listed, indent=1, ensure_ascii=False) + "\n"


def as_srt(words: Sequence[WordTime], seconds: float) -> str:
    """SubRip subtitles, a word each; words that were passed over cannot be shown and are left out."""
    cues = [
        f"{number}\n{_clock(start)} --> {_clock(end)}\n{word}\n"
        for number, (word, start, end) in enumerate(_spoken(words), 1)
    ]
    return "\n".join(cues)


def as_textgrid(words: Sequence[WordTime], seconds: float) -> str:
    """A Praat TextGrid with one tier, `words`; gaps are empty intervals, words that were passed over are left out."""
    total = round(seconds * 1000)
    intervals: list[tuple[int, int, str]] = []
    for word, start, end in _spoken(words):
        before = intervals[-1][1] if intervals else 0
        if start > before:
            intervals.append((before, start, ""))
        intervals.append((start, end, word))
    last = intervals[-1][1] if intervals else 0
    if last < total:
        intervals.append((last, total, ""))
    whole = f"xmin = 0\n{{}}xmax = {total / 1000:.3f}\n"
    lines = ['File type = "ooTextFile"\nObject class = "TextGrid"\n\n', whole.format("")]
    lines += ["tiers? <exists>\nsize = 1\nitem []:\n    item [1]:\n"]
    lines += ['        class = "IntervalTier"\n        name = "words"\n        ', whole.format(" " * 8)]
    lines += [f"        intervals: size = {len(intervals)}\n"]
    for number, (start, end, word) in enumerate(intervals, 1):
        quoted = word.replace('"', '""')
        lines += [
            f"        intervals [{number}]:\n",
            f"            xmin = {start / 1000:.3f}\n            xmax = {end / 1000:.3f}\n",
            f'            text = "{quoted}"\n',
        ]
    return "".join(lines)


FORMATS: dict[str, Callable[[Sequence[WordTime], float], str]] = {
    ".json": as_json,
    ".srt": as_srt,
    ".TextGrid": as_textgrid,
}


def writer_for(path: Path) -> Callable[[Sequence[WordTime], float], str]:
    """The format that a file's suffix names, in capitals or not: (words, seconds of the whole speech) -> its text.

    Raises:
        ConfigError: for any other suffix.
    """
    known = {suffix.lower(): write for suffix, write in FORMATS.items()}
    if path.suffix.lower() not in known:
        raise ConfigError(f"word times cannot be written to {path}: the name must end in {', '.join(FORMATS)}")
    return known[path.suffix.lower()]


def _spoken(words: Sequence[WordTime]) -> Iterator[tuple[str, int, int]]:
    """Word, start and end in milliseconds, of the words that last."""
    for word, start, end in words:
        begin, close = round(start * 1000), round(end * 1000)
        if close > begin:
            yield word, begin, close


def _clock(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02},{rest:03}"
