"""`tts download`: corpora whose licence allows it, from where they are published."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tts.arguments import say, take, true_or_false
from tts.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    from tts.data.archives import Archive

DOWNLOAD_HELP = """\
Download a corpus, check it and unpack it. What was begun goes on where it ended; what is there is left as it is.

  python -m tts download ljspeech
  python -m tts download libritts dev-clean train-clean-100

  to=data            the folder that gets it
  keep=true          keep the archive once it is unpacked; default false
  mirror=ADDRESS     the folder of another server that has the same file, e.g. https://openslr.elda.org/resources/60;
                     its checksum has to be the same

"""

OPTIONS = ("to", "keep", "mirror")
UNPACKED = 1.5  # bytes that an archive takes once it is unpacked, at most, for each of its own
GB = 10**9


def download(arguments: Sequence[str]) -> int:
    """`tts download`."""
    from tts.data.archives import COLLECTIONS

    if not arguments or any(argument in ("-h", "--help") for argument in arguments):
        print(DOWNLOAD_HELP + _listing())
        return 0
    options, names = take(arguments, OPTIONS)
    for name in names:
        if "=" in name or name.startswith("-"):
            near = nearest(name.lstrip("-").partition("=")[0], OPTIONS)
            raise ConfigError(f"unknown option {name!r}{near}; --help lists them")
    if not names:
        raise ConfigError("which corpus? `python -m tts download` lists them")
    name, *wanted = names
    if name not in COLLECTIONS:
        listed = ", ".join(COLLECTIONS)
        raise ConfigError(f"there is no corpus {name!r} to download{nearest(name, COLLECTIONS)} (there is: {listed})")
    to, keep = Path(options.get("to", "data")), true_or_false(options.get("keep", "false"), "keep")
    parts = _parts(name, wanted)
    for part in parts:
        _get(name, part, to, keep, options.get("mirror", ""))
    collection = COLLECTIONS[name]
    some = f" data.subsets=[{','.join(parts)}]" if len(collection.archives) > 1 else ""
    say(f"train: python train.py recipe={collection.recipe} data.root={to / collection.root}{some}")
    return 0


def _parts(name: str, wanted: Sequence[str]) -> list[str]:
    """Which archives of a corpus; parts have to be named, as all of them are too much to get by mistake."""
    from tts.data.archives import COLLECTIONS

    archives = COLLECTIONS[name].archives
    if len(archives) == 1 and not wanted:
        return list(archives)
    for part in wanted:
        if part not in archives:
            listed = ", ".join(archives)
            raise ConfigError(f"{name} has no part {part!r}{nearest(part, archives)} (there is: {listed})")
    if not wanted:
        sizes = ", ".join(f"{part} ({_size(archive)})" for part, archive in archives.items())
        raise ConfigError(f"which parts of {name}? e.g. `python -m tts download {name} dev-clean`; there is: {sizes}")
    return list(wanted)


def _get(name: str, part: str, to: Path, keep: bool, mirror: str) -> None:
    """Download, check and unpack one archive, unless its folder is there."""
    from tts.data.archives import COLLECTIONS
    from tts.data.download import fetch
    from tts.data.unpack import unpack

    archive = COLLECTIONS[name].archives[part]
    if (to / archive.holds).is_dir():
        say(f"{to / archive.holds}: is there already")
        return
    file_name = archive.url.rpartition("/")[2]
    url = f"{mirror.rstrip('/')}/{file_name}" if mirror else archive.url
    to.mkdir(parents=True, exist_ok=True)
    path = to / f"{name}-{file_name}"  # the parts of several corpora have the same names
    _check_room(to, path, archive.size)
    if not path.is_file():
        say(f"{url}: {_size(archive)}, {COLLECTIONS[name].licence}")
        fetch(url, path, size=archive.size if archive.exact else 0, digest=archive.digest)
    unpack(path, to, archive.inside, archive.holds)
    if not keep:
        path.unlink()
    say(f"{to / archive.holds}: there")


def _check_room(to: Path, path: Path, size: int) -> None:
    """Refuse before hours of download what would not fit."""
    part = path.with_name(f"{path.name}.part")
    there = max(file.stat().st_size if file.exists() else 0 for file in (path, part))
    needed = round(size * (1 + UNPACKED)) - there
    free = shutil.disk_usage(to).free
    if free < needed:
        raise DataError(
            f"{to} has {free / GB:.1f} GB free, and about {needed / GB:.1f} GB are needed for the archive and its "
            "content; free some, or choose another disk: to=FOLDER"
        )


def _size(archive: "Archive") -> str:
    return f"{'' if archive.exact else '~'}{archive.size / GB:.1f} GB"


def _listing() -> str:
    """Every corpus and part, with size and licence."""
    from tts.data.archives import COLLECTIONS

    lines = []
    for name, collection in COLLECTIONS.items():
        total = sum(archive.size for archive in collection.archives.values()) / GB
        lines.append(f"  {name:12} {total:6.1f} GB  {collection.licence:13}  {collection.what}")
        if len(collection.archives) > 1:
            lines += [f"    {part:16} {_size(archive):>8}" for part, archive in collection.archives.items()]
    return "\n".join(lines)
