"""A corpus that another synthesiser speaks, in LJSpeech's format: more words than a small voice has recordings of."""

import random
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from tts.atomic import write_atomically, write_failure
from tts.audio.files import read_recording
from tts.corpora._metadata import Entry, read_metadata
from tts.errors import ConfigError, DataError, TTSError
from tts.progress import progress_bar
from tts.speaking_command import speak_by_command

# Words alone, letters and numbers by their names, words that repeat, sentences of some seconds: what a corpus of
# sentences lacks and people type. Of our own making, from words of LJSpeech's texts.
SHORT = Path(__file__).with_name("short_texts.csv")
MAX_FAILED_SHARE = 0.05  # above this share of sentences that are not spoken, something is wrong
# Letters and marks that every synthesiser reads alike: no digits, no abbreviations, nothing in capitals.
PLAIN = re.compile(r"[A-Za-z ,.'?!;:-]+")
DOUBTFUL = re.compile(r"\b[A-Z]{2,}\b|\b[A-Za-z]{1,4}\.(?=.)")


def plain_sentences(entries: Iterable[Entry], shortest: int, longest: int, n: int, seed: int) -> list[Entry]:
    """At most n entries, drawn by seed, whose texts have `shortest` to `longest` characters and can be read in one way.

    Raises:
        DataError: if there is none.
    """
    fitting = [e for e in entries if shortest <= len(e.text) <= longest and _is_plain(e.text) and "/" not in e.id]
    if not fitting:
        raise DataError(
            f"no text has {shortest} to {longest} characters, only letters and marks, and no abbreviations; "
            "set shortest= and longest="
        )
    random.Random(seed).shuffle(fitting)
    return fitting[:n]


def _is_plain(text: str) -> bool:
    return bool(PLAIN.fullmatch(text)) and not DOUBTFUL.search(text)


def dictate(entries: Sequence[Entry], line: str, folder: Path) -> list[str]:
    """Have every text spoken into `folder/wavs`, then write `folder/metadata.csv`.

    What is there already stays, other texts that were spoken there before too; an id that has another text now is
    spoken again.

    Args:
        line: a command, see `tts.speaking_command`.

    Returns:
        Why sentences were left out, one line each.

    Raises:
        DataError: if nothing can be written, or more than MAX_FAILED_SHARE are left out.
    """
    wavs, failed = folder / "wavs", []
    listed = folder / "metadata.csv"
    spoken = {entry.id: entry.text for entry in read_metadata(listed)} if listed.exists() else {}
    try:
        wavs.mkdir(parents=True, exist_ok=True)
        with progress_bar(len(entries), "speaking", " sentences") as bar:
            for number, entry in enumerate(entries, 1):
                if spoken.pop(entry.id, entry.text) != entry.text:
                    (wavs / f"{entry.id}.wav").unlink(missing_ok=True)
                try:
                    _speak(line, entry, wavs)
                    spoken[entry.id] = entry.text
                except TTSError as error:
                    failed.append(f"{entry.id}: {error}")
                if len(failed) > max(1.0, MAX_FAILED_SHARE * len(entries)):
                    raise DataError(f"{len(failed)} of {number} sentences failed, e.g. {failed[-1]}")
                bar.update()
        write_atomically(listed, "".join(f"{name}|{text}\n" for name, text in spoken.items()).encode())
    except OSError as error:
        raise DataError(write_failure(folder, error)) from None
    return failed


def _speak(line: str, entry: Entry, wavs: Path) -> None:
    """One sentence, which appears whole or not at all."""
    wav = wavs / f"{entry.id}.wav"
    if wav.exists():
        return
    partial = wavs / f".{entry.id}.partial.wav"
    try:
        speak_by_command(line, entry.text, partial)
        if not partial.exists():
            raise ConfigError(f"the command wrote nothing to {partial}")
        read_recording(partial)  # what is no audio must not be found only when the corpus is prepared
        partial.replace(wav)
    finally:
        partial.unlink(missing_ok=True)
