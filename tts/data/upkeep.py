"""Looking after a cache: what is in it and who uses it, whether it is whole, and removing what nobody uses."""

import fcntl
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tts.atomic import sweep, write_failure
from tts.data.aligning import orphans
from tts.data.cache import RUNS, locked, read_facts, read_settings
from tts.data.manifest import MANIFEST, SUFFIX, read_lines
from tts.errors import ConfigError, DataError

OUTDATED = "index.json"  # what HASHES was before


class Entry(NamedTuple):
    """A file of the cache."""

    path: Path
    n_bytes: int


@dataclass
class Group:
    """Entries that were made in the same way."""

    settings: str
    n_entries: int = 0
    n_bytes: int = 0
    runs: Counter[Path] = field(default_factory=Counter)  # entries that each uses


class Contents(NamedTuple):
    """What is in a cache."""

    groups: list[Group]  # the largest first
    unused: list[Entry]  # entries that no run uses


def entries_of(cache: Path) -> Iterator[Entry]:
    """All entries, in no order. Raises DataError where there is no such folder."""
    if not cache.is_dir():
        raise DataError(f"there is no cache at {cache}; name it: cache=FOLDER")
    with os.scandir(cache) as listing:
        for file in listing:
            if file.name.endswith(SUFFIX):
                with suppress(FileNotFoundError):  # removed meanwhile
                    yield Entry(cache / file.name, file.stat().st_size)


def find_runs(cache: Path, places: Sequence[Path]) -> list[Path]:
    """Run folders that may use the cache: at or in the places given, and all that were ever prepared from it.

    Raises:
        ConfigError: if there is no run at a place.
    """
    found: dict[Path, None] = {}
    for place in places:
        folders = [place] if (place / "data" / MANIFEST).is_file() else sorted(place.glob("*"))
        runs = [folder.resolve() for folder in folders if (folder / "data" / MANIFEST).is_file()]
        if not runs and not place.is_dir():
            raise ConfigError(f"{place} is no folder; name run folders, or folders of them")
        found |= dict.fromkeys(runs)
    with suppress(FileNotFoundError):
        noted = (cache / RUNS).read_text(encoding="utf-8").splitlines()
        found |= dict.fromkeys(run for run in map(Path, noted) if (run / "data" / MANIFEST).is_file())
    return list(found)


def used_by(run: Path, cache: Path) -> frozenset[str]:
    """Names of the entries of a cache that a run uses.

    Raises:
        DataError: if its manifest cannot be read: nobody knows then what it uses.
    """
    try:
        lines = read_lines(run / "data")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{run}/data cannot be read ({error}); prepare that run again, or remove it") from None
    if lines.cache != cache.resolve():
        return frozenset()
    return frozenset(name.decode() for name in lines.columns.entry.tolist())


def contents(cache: Path, places: Sequence[Path]) -> Contents:
    """Entries by their settings, with the runs that use them."""
    users: dict[str, list[Path]] = defaultdict(list)
    for run in find_runs(cache, places):
        for name in used_by(run, cache):
            users[name].append(run)
    groups: dict[str, Group] = {}
    unused = []
    for entry in entries_of(cache):
        settings = read_settings(entry.path)
        said = ", ".join(f"{name}={value}" for name, value in settings.items()) or "settings were not noted yet"
        group = groups.setdefault(said, Group(said))
        group.n_entries += 1
        group.n_bytes += entry.n_bytes
        runs = users.get(entry.path.stem, [])
        group.runs.update(runs)
        if not runs:
            unused.append(entry)
    return Contents(sorted(groups.values(), key=lambda group: -group.n_bytes), unused)


def damaged(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Those of the entries that are not whole: every byte is read and checked."""
    for entry in entries:
        if read_facts(entry.path) is None and entry.path.exists():
            yield entry


def unused_entries(cache: Path, places: Sequence[Path]) -> list[Entry]:
    """Entries that no run uses, by name."""
    used: set[str] = set()
    for run in find_runs(cache, places):
        used |= used_by(run, cache)
    return sorted(entry for entry in entries_of(cache) if entry.path.stem not in used)


def collect_garbage(cache: Path, places: Sequence[Path]) -> list[Entry]:
    """Remove the entries that no run uses, their alignments, and what killed processes left; returns those entries.

    Raises:
        DataError: if clips are being prepared, or a run's manifest cannot be read.
    """
    with alone(cache):
        unused = unused_entries(cache, places)
        remove(unused)
        for alignment in orphans(cache):
            alignment.unlink(missing_ok=True)
        sweep(cache)
        (cache / OUTDATED).unlink(missing_ok=True)
    return unused


def remove(entries: Iterable[Entry]) -> None:
    """Remove entries; that some are gone already does not matter."""
    for entry in entries:
        entry.path.unlink(missing_ok=True)


@contextmanager
def alone(cache: Path) -> Iterator[None]:
    """Nobody prepares from the cache meanwhile; who wants to waits. Raises DataError where somebody does already."""
    if not cache.is_dir():
        raise DataError(f"there is no cache at {cache}; name it: cache=FOLDER")
    try:
        with locked(cache, fcntl.LOCK_EX | fcntl.LOCK_NB):
            yield
    except BlockingIOError:
        raise DataError(f"{cache} is in use, clips are being prepared; nothing was removed, try again later") from None
    except OSError as error:
        raise DataError(write_failure(cache, error)) from None
