"""A large file over HTTP: what has arrived stays, whatever ends the connection, and only the whole file gets its name.

It is received into `NAME.part`; the next try, of this process or a later one, asks the server for the rest (a Range),
and begins anew where the server knows no ranges.
"""

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO

from tts.atomic import write_failure
from tts.errors import DataError
from tts.progress import progress_bar

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)  # seconds before each further try without anything new; then it is given up
TIMEOUT = 60.0  # seconds without a byte
BLOCK = 2**20
BUSY = (408, 429)  # answers of a server that may do better later, as all from 500 on


class _InterruptedError(Exception):
    """A try ended before its time; another may do better."""


def fetch(url: str, path: Path, *, size: int, digest: str, shown: bool = True) -> None:
    """Download a file, going on where an earlier try ended.

    Args:
        url: of the file.
        path: where it shall be.
        size: bytes that it has; 0: what the server says.
        digest: `sha256:` or `md5:` and the checksum in hexadecimal.
        shown: whether progress is.

    Raises:
        DataError: if the server does not give the file after some tries, gives another one, or it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    best = _size(part)
    failures = 0
    while True:
        try:
            _receive(url, part, size, shown)
            break
        except _InterruptedError as error:
            arrived = _size(part)
            failures = failures + 1 if arrived <= best else 0
            if failures > len(PAUSES):
                raise DataError(
                    f"{url}: {error}, {failures} times without progress; {arrived} bytes are kept in {part}: the same "
                    "command goes on there later, mirror=ADDRESS takes another server"
                ) from None
            best = max(best, arrived)
            time.sleep(PAUSES[max(0, failures - 1)])
    _check(part, digest, shown)
    part.replace(path)


def _receive(url: str, part: Path, size: int, shown: bool) -> None:
    """One try to get what is missing. Raises _InterruptedError where another one makes sense."""
    have = _size(part)
    if size and have == size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            have = have if have and _goes_on(response, have) else 0
            total = have + int(response.headers.get("Content-Length") or 0)
            if size and total not in (have, size):
                raise DataError(f"{url}: the server has {total} bytes, and {size} were expected; it is another file")
            total = size or (total if total > have else 0)
            with (
                _open(part, have) as file,
                progress_bar(total, part.stem, "B", done=have, shown=shown, scaled=True) as bar,
            ):
                while block := response.read(BLOCK):
                    _write(file, block, part)
                    bar.update(len(block))
    except urllib.error.HTTPError as error:
        _refused(url, part, error)
    except (http.client.HTTPException, OSError) as error:  # those of the file are told apart before they get here
        raise _InterruptedError(f"the connection fails ({getattr(error, 'reason', None) or error!r})") from None
    arrived = _size(part)
    if total and arrived != total:
        if arrived > total:
            part.unlink()
        raise _InterruptedError(f"the connection ended at {arrived} of {total} bytes")


def _goes_on(response: http.client.HTTPResponse, have: int) -> bool:
    """Whether an answer is the rest of the file, rather than all of it."""
    return response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")


def _refused(url: str, part: Path, error: urllib.error.HTTPError) -> None:
    """Raise what an answer other than success means."""
    answer = f"the server answers {error.code} {error.reason}"
    if error.code == 416:  # it has no more than what is there, so what is there is not of this file
        part.unlink(missing_ok=True)
        raise _InterruptedError(answer) from None
    if error.code >= 500 or error.code in BUSY:
        raise _InterruptedError(answer) from None
    raise DataError(f"{url}: {answer}; has the file moved? mirror=ADDRESS takes another server") from None


def _open(part: Path, have: int) -> BinaryIO:
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        return part.open("ab" if have else "wb")
    except OSError as error:
        raise DataError(write_failure(part, error)) from None


def _write(file: BinaryIO, block: bytes, part: Path) -> None:
    """Apart from reading, whose errors are tried again."""
    try:
        file.write(block)
        file.flush()
    except OSError as error:
        raise DataError(write_failure(part, error)) from None


def _check(part: Path, digest: str, shown: bool) -> None:
    """Compare the checksum; a file with another is deleted, as nothing can be saved of it."""
    algorithm, _, expected = digest.partition(":")
    hasher = hashlib.new(algorithm)
    with (
        part.open("rb") as file,
        progress_bar(_size(part), f"check {part.stem}", "B", shown=shown, scaled=True) as bar,
    ):
        while block := file.read(BLOCK):
            hasher.update(block)
            bar.update(len(block))
    if hasher.hexdigest() != expected:
        part.unlink()
        raise DataError(
            f"{part.stem}: its {algorithm} is {hasher.hexdigest()}, and {expected} was expected, so it is damaged or "
            "another file; it was deleted. Download it again, or from another server: mirror=ADDRESS"
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
