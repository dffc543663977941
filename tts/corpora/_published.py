"""What the readers of published corpora share: finding the folder, choosing by name, reading one text a file."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tts.corpora._metadata import read_lines
from tts.errors import DataError, nearest


def find_root(root: str, is_root: Callable[[Path], bool], corpus: str, looked_for: str, way_out: str) -> Path:
    """The folder `data.root`.

    Args:
        root: as the recipe has it.
        is_root: whether a folder is the corpus'.
        corpus: its name, for messages.
        looked_for: what a folder of the corpus holds.
        way_out: how to get the corpus.

    Raises:
        DataError: if it is another folder; where the corpus lies above it or in it, the message says so.
    """
    folder = Path(root)
    if root and is_root(folder):
        return folder
    where = f"no {looked_for} in data.root={root}" if root else "data.root is not set"
    inside = sorted(path for path in folder.glob("*") if path.is_dir()) if root else []
    for other in (*inside, *(list(folder.parents)[:2] if root else [])):
        if is_root(other):
            raise DataError(f"{corpus}: {where}; did you mean data.root={other} ?")
    raise DataError(f"{corpus}: {where}; {way_out}")


def choose(there: Sequence[str], wanted: Sequence[str], key: str) -> list[str]:
    """The names that are wanted, in the order of `there`; all of them where none is named.

    Raises:
        DataError: if one is not there; `key` is what named it.
    """
    for name in wanted:
        if name not in there:
            listed = ", ".join(there[:20]) + (f" and {len(there) - 20} more" if len(there) > 20 else "")
            raise DataError(f"{key}: there is no {name!r}{nearest(name, there)} (there is: {listed})")
    return [name for name in there if not wanted or name in wanted]


def by_number(path: Path) -> tuple[int, str]:
    """Sorts folders that are named by numbers as numbers."""
    return (int(path.name) if path.name.isdecimal() else 0, path.name)


def folders_in(folder: Path) -> list[Path]:
    """The folders of a folder, sorted; without those that systems hide."""
    return sorted((path for path in folder.iterdir() if path.is_dir() and path.name[0] != "."), key=by_number)


def read_text(path: Path) -> str:
    """The text of one clip on one line. Raises DataError where it cannot be read."""
    return " ".join(" ".join(read_lines(path)).split())
