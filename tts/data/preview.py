"""What was recognised, before anything long starts: a few parsed rows to look at, and what the corpus itself lacks."""

import importlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tts.audio.files import seconds_of
from tts.batch import Utterance
from tts.data.manifest import write_text
from tts.errors import DataError
from tts.settings import DataConfig

LACKING = "lacking_clips.txt"
ROWS = 3
LONGEST = 60  # characters of a text that a row shows


def read_corpus(data: DataConfig, say: Callable[[str], None]) -> list[Utterance]:
    """What a corpus lists, after telling what was recognised. Raises DataError where it is not there."""
    corpus = importlib.import_module(f"tts.corpora.{data.corpus}")
    listed: list[Utterance] = list(corpus.read(data))
    for line in preview(listed, data.corpus, corpus.recognised(data)):
        say(line)
    return listed


def preview(listed: Sequence[Utterance], corpus: str, recognised: str) -> list[str]:
    """Lines for the user: what was recognised, and the first, the middle and the last clip as they were understood.

    Args:
        listed: the clips of the corpus.
        corpus: its name.
        recognised: what its reader has found.
    """
    usable = [utterance for utterance in listed if not utterance.lacks]
    speakers = {utterance.speaker for utterance in usable if utterance.speaker}
    of_speakers = f" of {len(speakers)} speakers" if len(speakers) > 1 else ""
    places = sorted({place * (len(usable) - 1) // (ROWS - 1) for place in range(ROWS)}) if usable else []
    rows = [_row(usable[place]) for place in places]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    aligned = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
    return [f"{corpus}: {recognised}: {len(usable)} clips{of_speakers}", *(f"  {row}".rstrip() for row in aligned)]


def set_aside(listed: Sequence[Utterance], folder: Path, say: Callable[[str], None]) -> list[Utterance]:
    """The clips that lack nothing; the others are counted, and listed in `folder`.

    Raises:
        DataError: if none is left, or the list cannot be written.
    """
    lacking = [utterance for utterance in listed if utterance.lacks]
    write_text(folder / LACKING, "".join(f"{utterance.id}\t{utterance.lacks}\n" for utterance in lacking))
    if not lacking:
        return list(listed)
    reasons = Counter((utterance.lacks, utterance.speaker) for utterance in lacking)
    some = [f"{why}{f' of {speaker}' if speaker else ''} ({n})" for (why, speaker), n in reasons.most_common(ROWS)]
    more = f" and {len(reasons) - ROWS} other reasons" if len(reasons) > ROWS else ""
    what = f"{len(lacking)} of {len(listed)} clips: {', '.join(some)}{more}; all in {folder / LACKING}"
    if len(lacking) == len(listed):
        raise DataError(f"the corpus lacks something of every clip: {what}")
    say(f"left out, as the corpus lacks something of them: {what}")
    return [utterance for utterance in listed if not utterance.lacks]


def _row(utterance: Utterance) -> tuple[str, str, str, str]:
    """Id, speaker, how long or where, and the text."""
    if utterance.start or utterance.end:
        end = f"{utterance.end:.2f} s" if utterance.end else "the end"
        where = f"{utterance.start:.2f} s to {end} of {utterance.audio_path.name}"
    else:
        seconds = seconds_of(utterance.audio_path)
        where = f"{utterance.audio_path.name} (no sound)" if seconds is None else f"{seconds:.2f} s"
    text = " ".join(utterance.text.split())
    shown = text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
    return utterance.id, utterance.speaker or "-", where, shown
