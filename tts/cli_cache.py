"""`tts cache`: what is in the cache of prepared clips, whether it is whole, and making room in it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tts.arguments import say, take, true_or_false
from tts.errors import ConfigError, nearest

if TYPE_CHECKING:
    from tts.data.upkeep import Entry

CACHE_HELP = """\
Look after the cache of prepared clips, which all runs share.

  python -m tts cache ls                  what is there by settings, its size, and which runs use it
  python -m tts cache verify              read every byte and name the entries that are damaged
  python -m tts cache verify remove=true  also remove them; the next prepare makes them anew
  python -m tts cache gc --dry-run        name the entries that no run uses
  python -m tts cache gc                  remove them

  cache=FOLDER        another cache than ./cache, as data.cache names it
  FOLDER ...          run folders, or folders of runs, to look at beside ./runs

Runs that were prepared elsewhere are known to the cache, and their clips are kept as long as the run folder is there.
Nothing is removed while clips are being prepared. verify ends with status 1 where it found damage."""

COMMANDS = ("ls", "verify", "gc")
SHOWN = 20  # entries that are named; the others are counted


def cache(arguments: Sequence[str]) -> int:
    """`tts cache`."""
    if not arguments or any(argument in ("-h", "--help") for argument in arguments):
        print(CACHE_HELP)
        return 0
    command, *others = arguments
    if command not in COMMANDS:
        raise ConfigError(f"cache {command}: one of {', '.join(COMMANDS)}{nearest(command, COMMANDS)}")
    own = {"ls": (), "verify": ("remove",), "gc": ("dry_run",)}[command]
    others = ["dry_run=true" if argument == "--dry-run" else argument for argument in others]
    options, places = take(others, ("cache", *own))
    for place in places:
        if place.startswith("-") or "=" in place:
            raise ConfigError(f"unknown option {place!r}{nearest(place, ('cache=', *own))}; --help lists them")
    folder = Path(options.get("cache", "cache"))
    runs = [*map(Path, places), *([Path("runs")] if Path("runs").is_dir() else [])]
    if command == "ls":
        return _list(folder, runs)
    if command == "verify":
        return _verify(folder, true_or_false(options.get("remove", "false"), "remove"))
    return _collect(folder, runs, true_or_false(options.get("dry_run", "false"), "dry_run"))


def _list(folder: Path, places: Sequence[Path]) -> int:
    from tts.data.upkeep import contents

    found = contents(folder, places)
    n_entries, n_bytes = (sum(getattr(g, name) for g in found.groups) for name in ("n_entries", "n_bytes"))
    say(f"{folder}: {n_entries} entries, {_size(n_bytes)}")
    for group in found.groups:
        say(f"\n{group.n_entries} entries, {_size(group.n_bytes)}: {group.settings}")
        for run, n_used in group.runs.most_common():
            say(f"  {n_used:8} used by {run}")
    if found.unused:
        say(f"\n{len(found.unused)} entries, {_size_of(found.unused)}, are used by no run; `tts cache gc` removes them")
    return 0


def _verify(folder: Path, remove_them: bool) -> int:
    from contextlib import nullcontext

    from tts.data.upkeep import alone, damaged, entries_of, remove
    from tts.progress import progress_bar

    entries = sorted(entries_of(folder))
    with alone(folder) if remove_them else nullcontext(), progress_bar(len(entries), "verify", " entries") as bar:
        bad: list[Entry] = []
        for entry in entries:
            bad += damaged([entry])
            bar.update()
        if remove_them:
            remove(bad)
    for entry in bad:
        say(f"damaged: {entry.path}")
    way_out = " and removed; prepare makes them anew" if remove_them else "; to remove them: verify remove=true"
    say(f"{folder}: {len(bad)} of {len(entries)} entries are damaged{way_out if bad else ''}")
    return 1 if bad and not remove_them else 0


def _collect(folder: Path, places: Sequence[Path], dry_run: bool) -> int:
    from tts.data.upkeep import collect_garbage, unused_entries

    unused = unused_entries(folder, places) if dry_run else collect_garbage(folder, places)
    for entry in unused[:SHOWN] if dry_run else ():
        say(str(entry.path))
    if dry_run and len(unused) > SHOWN:
        say(f"and {len(unused) - SHOWN} more")
    say(f"{folder}: {len(unused)} entries, {_size_of(unused)}, {'would be' if dry_run else 'were'} removed")
    return 0


def _size_of(entries: "Sequence[Entry]") -> str:
    return _size(sum(entry.n_bytes for entry in entries))


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.2f} MB"
