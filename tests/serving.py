"""A static web server in a thread, which stumbles when a test says so."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Server(ThreadingHTTPServer):
    """Serves a folder.

    `faults` has for a file's name what is done at its next requests, in order: a status, "cut" (half of the body) or
    "flip" (a byte changed). `always` has such a fault for every request.
    """

    daemon_threads = True

    def __init__(self, folder: Path, ranges: bool):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.ranges = ranges
        self.faults: dict[str, list[int | str]] = {}
        self.always: dict[str, int | str] = {}
        self.requests: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def answer(self, with_body):
        name = self.path.lstrip("/")
        path = self.server.folder / name
        if not path.is_file():
            return self.send_error(404)
        waiting = self.server.faults.get(name, [])
        fault = self.server.always.get(name) or (waiting.pop(0) if waiting and with_body else None)
        if isinstance(fault, int):
            return self.send_error(fault)
        content, status = path.read_bytes(), 200
        asked = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and self.server.ranges:
            start, end = int(asked[1]), int(asked[2] or len(content) - 1)
            content, status = content[start : end + 1], 206
        self.server.requests.append(f"{self.command} {name} {status}")
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if self.server.ranges:
            self.send_header("Accept-Ranges", "bytes")
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{start + len(content) - 1}/{path.stat().st_size}")
        self.end_headers()
        if fault == "flip":
            content = content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]
        if with_body:
            with suppress(ConnectionError):
                self.wfile.write(content[: len(content) // 2] if fault == "cut" else content)
        return None

    def log_message(self, *args):
        """Quiet."""


@contextmanager
def serving(folder: Path, ranges: bool = True) -> Iterator[Server]:
    server = Server(folder, ranges)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
