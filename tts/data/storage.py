"""Files in a folder or at an HTTP address: read in part or whole, with patience for a server that stumbles.

A web server that answers range requests is asked for what is needed and no more. Of one that does not, files are taken
whole and a few are kept, in unnamed files that vanish with the process.
"""

import http.client
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Protocol

from tts.errors import DataError

WAITS = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds before each new attempt
TIMEOUT = 30.0  # seconds without a byte
BLOCK = 1 << 20  # bytes read at a time of a file that is taken whole
PASSING = (408, 425, 429, 500, 502, 503, 504)  # answers that may be others a little later


class Storage(Protocol):
    """Where files are."""

    def read(self, name: str, start: int, n_bytes: int) -> bytes:
        """A part of a file. Raises DataError where it cannot be read or is shorter."""

    def whole(self, name: str) -> bytes:
        """All of a file. Raises DataError where it cannot be read."""

    def where(self, name: str) -> str:
        """What messages call a file."""

    def forget(self, name: str) -> None:
        """What was kept of a file is damaged: the next time it is read anew."""

    def close(self) -> None:
        """Let go of all that was kept."""


def open_storage(address: str, kept: int = 4) -> Storage:
    """A folder, or what lies below `http://...`.

    Args:
        address: of the folder.
        kept: files at most that are kept of a server that knows no ranges.
    """
    return Web(address.rstrip("/"), kept) if address.startswith(("http://", "https://")) else Folder(Path(address))


class Folder:
    """Files on a disk."""

    def __init__(self, folder: Path):
        self.folder = folder

    def where(self, name: str) -> str:  # noqa: D102
        return str(self.folder / name)

    def whole(self, name: str) -> bytes:  # noqa: D102
        return self._guarded(name, lambda file: file.read())

    def read(self, name: str, start: int, n_bytes: int) -> bytes:  # noqa: D102
        def part(file: IO[bytes]) -> bytes:
            file.seek(start)
            return file.read(n_bytes)

        content = self._guarded(name, part)
        if len(content) < n_bytes:
            raise DataError(f"{self.where(name)} is cut off before byte {start + n_bytes}; copy it again")
        return content

    def forget(self, name: str) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is kept."""

    def _guarded(self, name: str, act: Callable[[IO[bytes]], bytes]) -> bytes:
        try:
            with (self.folder / name).open("rb") as file:
                return act(file)
        except OSError as error:
            raise DataError(f"cannot read {self.where(name)}: {error.strerror}; check the path") from None


class Web:
    """Files on a web server; threads may share one."""

    def __init__(self, address: str, kept: int):
        self.address = address
        self.kept = kept
        self._ranges = True  # until the server answers with a whole file
        self._files: OrderedDict[str, IO[bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def where(self, name: str) -> str:  # noqa: D102
        return f"{self.address}/{name}"

    def whole(self, name: str) -> bytes:  # noqa: D102
        def act() -> bytes:
            with self._get(name) as answer:
                return answer.read()

        return self._patiently(name, act)

    def read(self, name: str, start: int, n_bytes: int) -> bytes:  # noqa: D102
        return self._patiently(name, lambda: self._part(name, start, n_bytes))

    def forget(self, name: str) -> None:  # noqa: D102
        with self._lock:
            if file := self._files.pop(name, None):
                file.close()

    def close(self) -> None:  # noqa: D102
        with self._lock:
            while self._files:
                self._files.popitem()[1].close()

    def _part(self, name: str, start: int, n_bytes: int) -> bytes:
        if self._ranges:
            with self._get(name, f"bytes={start}-{start + n_bytes - 1}") as answer:
                if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
                    content: bytes = answer.read()
                    if len(content) != n_bytes:
                        raise http.client.IncompleteRead(content, n_bytes - len(content))
                    return content
            self._ranges = False
        with self._lock:
            file = self._files.get(name) or self._take(name)
            self._files.move_to_end(name)
            file.seek(start)
            content = file.read(n_bytes)
        if len(content) < n_bytes:
            raise DataError(f"{self.where(name)} ends before byte {start + n_bytes}; copy the file there again")
        return content

    def _take(self, name: str) -> IO[bytes]:
        """Fetch a file whole, and let go of the one that was not read for the longest time."""
        with ExitStack() as undo:
            file: IO[bytes] = undo.enter_context(tempfile.TemporaryFile())
            with self._get(name) as answer:
                promised = answer.length
                while block := answer.read(BLOCK):
                    file.write(block)
            if promised is not None and file.tell() != promised:
                raise http.client.IncompleteRead(b"", promised - file.tell())
            undo.pop_all()  # it stays open
        self._files[name] = file
        while len(self._files) > self.kept:
            self._files.popitem(last=False)[1].close()
        return file

    def _get(self, name: str, part: str = "") -> http.client.HTTPResponse:
        request = urllib.request.Request(self.where(name), headers={"Range": part} if part else {})
        answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT)
        return answer

    def _patiently(self, name: str, act: Callable[[], bytes]) -> bytes:
        """Try again after failures that may pass; what they were is said at the end."""
        for wait in (*WAITS, None):
            try:
                return act()
            except urllib.error.HTTPError as error:
                reason, passing = f"HTTP {error.code} {error.reason}", error.code in PASSING
                error.close()
            except http.client.IncompleteRead as error:
                reason, passing = f"cut off, {error.expected} bytes are missing", True
            except (OSError, http.client.HTTPException) as error:
                reason, passing = str(getattr(error, "reason", None) or error or type(error).__name__), True
            if wait is None or not passing:
                break
            time.sleep(wait)
        tries = f", after {len(WAITS) + 1} attempts in {sum(WAITS):.0f} s" if passing else ""
        way_out = "look after the server, then start again" if passing else "check the address"
        raise DataError(f"cannot read {self.where(name)}: {reason}{tries}; {way_out}")
