"""Archives of corpora unpacked safely: nothing lands outside, and a folder is there only when it is complete."""

import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from tts.atomic import write_failure
from tts.errors import DataError
from tts.progress import progress_bar

DAMAGED = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error)


def unpack(archive: Path, to: Path, inside: str, holds: str, shown: bool = True) -> None:
    """Unpack a tar or zip file into a folder, in which what it brings for others (readmes, tables) may be already.

    Args:
        archive: the file.
        to: the folder.
        inside: folder in it that the content belongs into; empty: the content brings its own.
        holds: folder that is there when everything else is.
        shown: whether progress is.

    Raises:
        DataError: if the archive is damaged, wants to write elsewhere, lacks the folder, or there is no room for it.
    """
    partial = to / f".unpack-{archive.name}"
    shutil.rmtree(partial, ignore_errors=True)  # a process that was killed left it
    try:
        partial.mkdir()
        extract = _extract_zip if archive.suffix == ".zip" else _extract_tar
        extract(archive, partial / inside, shown)
        if not (partial / holds).is_dir():
            raise DataError(f"{archive} holds no {holds}; it is another file: delete it and download again")
        _settle(partial, to, to / holds)
        (to / holds).parent.mkdir(parents=True, exist_ok=True)
        (partial / holds).rename(to / holds)
    except DAMAGED as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{archive} cannot be unpacked ({reason}); delete it and download again") from None
    except OSError as error:
        raise DataError(write_failure(Path(error.filename or to), error)) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _extract_tar(archive: Path, to: Path, shown: bool) -> None:
    if not hasattr(tarfile, "data_filter"):
        raise DataError("this Python unpacks archives without checking them; update it, or unpack the file with tar")
    size = archive.stat().st_size
    with (
        archive.open("rb") as file,
        tarfile.open(fileobj=file) as tar,
        progress_bar(size, f"unpack {archive.name}", "B", shown=shown, scaled=True) as bar,
    ):
        while member := tar.next():
            tar.extract(member, to, filter="data")
            # It remembers them all, and corpora have hundreds of thousands.
            tar.members.clear()  # type: ignore[attr-defined]
            bar.update(file.tell() - bar.n)


def _extract_zip(archive: Path, to: Path, shown: bool) -> None:
    with zipfile.ZipFile(archive) as bundle:
        members = bundle.infolist()
        for member in members:
            name = PurePosixPath(member.filename.replace("\\", "/"))
            if name.is_absolute() or ".." in name.parts:
                raise zipfile.BadZipFile(f"{member.filename!r} would be written outside the destination")
        total = sum(member.file_size for member in members)
        with progress_bar(total, f"unpack {archive.name}", "B", shown=shown, scaled=True) as bar:
            for member in members:
                bundle.extract(member, to)
                bar.update(member.file_size)


def _settle(source: Path, target: Path, last: Path) -> None:
    """Move everything but `last` to where it belongs; files that are there already are those of another archive."""
    for path in sorted(source.iterdir()):
        there = target / path.name
        if there == last:
            continue
        if path.is_dir() and (there.is_dir() or there in last.parents):
            there.mkdir(exist_ok=True)
            _settle(path, there, last)
        else:
            path.replace(there)
