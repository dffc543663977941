"""NLTK's part-of-speech tagger (averaged perceptron, Honnibal 2013), if its data is installed.

The data is downloaded on request only.
"""

import functools
import io
import os
import sys
from pathlib import Path
from typing import Any

from tts.errors import TextError

DATA = "averaged_perceptron_tagger_eng"


def data_folders() -> list[Path]:
    """Where NLTK looks for data, in its order. Asking NLTK itself would import all of it, which takes seconds."""
    given = [Path(folder).expanduser() for folder in os.environ.get("NLTK_DATA", "").split(os.pathsep) if folder]
    roots = [Path.home(), Path(sys.prefix), Path(sys.prefix) / "share", Path(sys.prefix) / "lib"]
    shared = [Path("/usr") / folder for folder in ("share", "local/share", "lib", "local/lib")]
    if sys.platform == "win32":
        shared = [Path(os.environ.get("APPDATA", r"C:\nltk_data"))]
    return given + [root / "nltk_data" for root in roots + shared]


def find_tagger() -> Path | None:
    """The tagger's data, None where it is not installed."""
    for folder in data_folders():
        for name in (DATA, f"{DATA}.zip"):
            path = folder / "taggers" / name
            if path.exists():
                return path
    return None


def fetch_tagger() -> Path:
    """Download the tagger's data to NLTK's own place, and say where it is now. Only for a user who asked for it.

    Raises:
        TextError: if it cannot be downloaded.
    """
    from nltk.downloader import Downloader

    try:
        # The message of the error says all that NLTK would print.
        Downloader().download(DATA, quiet=True, raise_on_error=True, print_error_to=io.StringIO())
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise TextError(
            f"{DATA} cannot be downloaded ({reason}); is there a network? Or unpack it into the folder taggers of "
            f"{data_folders()[0]}, from https://www.nltk.org/nltk_data"
        ) from None
    found = find_tagger()
    if found is None:
        raise TextError(f"NLTK has downloaded {DATA}, but to none of {', '.join(map(str, data_folders()))}")
    load_tagger.cache_clear()
    tag_words.cache_clear()
    return found


@functools.lru_cache(maxsize=1)
def load_tagger() -> Any:
    """NLTK's tagger, or None where its data is not installed. What is found here holds for the whole process."""
    if find_tagger() is None:
        return None
    try:
        from nltk.tag.perceptron import PerceptronTagger

        return PerceptronTagger()
    except (ImportError, LookupError):
        return None


@functools.lru_cache(maxsize=256)
def tag_words(words: tuple[str, ...]) -> tuple[str, ...] | None:
    """Tags of the Penn Treebank for the words and marks of a sentence; None where there is no tagger."""
    tagger = load_tagger()
    return None if tagger is None else tuple(tag for _, tag in tagger.tag(words))
