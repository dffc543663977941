"""The local page of `tts listen`: serves clips under names that tell nothing, and keeps every answer at once.

It listens on 127.0.0.1 alone. Which clip is whose stays here until a listener has answered everything.
"""

import io
import json
import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import soundfile

from tts.atomic import write_atomically
from tts.audio.files import read_recording, to_int16
from tts.audio.loudness import normalize_loudness
from tts.errors import AudioError, ConfigError
from tts.evaluation.listening import Plan, answer_of, plan_listening, plan_session, read_results, summarize

HOST = "127.0.0.1"
LOUDNESS = -23.0  # LUFS, of every clip: the louder of two would win
LONGEST_REQUEST = 4096  # bytes
DRAINED = 1 << 16  # bytes of a longer one that are read, to be thrown away
LONGEST_NAME = 60
PATIENCE = 60  # seconds for a browser to send its request
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
    "media-src blob:; img-src data:"
)


class Refused(Exception):
    """A request that cannot be met."""

    def __init__(self, status: HTTPStatus, reason: str):
        super().__init__(reason)
        self.status = status


class Listening:
    """The state behind the page: answers, and which clip hides behind which name."""

    def __init__(self, plan: Plan, out: Path):
        self.plan = plan
        self.out = out
        self.results = read_results(out, plan)
        self.clips: dict[str, Path] = {}  # by the name in the address, a new one whenever a clip is shown
        self.lock = threading.Lock()

    def state(self, listener: str) -> dict[str, Any]:
        """The next question of a listener, or the results after the last one."""
        with self.lock:
            return self._state(_checked_name(listener))

    def answer(self, listener: str, index: Any, value: Any) -> dict[str, Any]:
        """Keep an answer, and give the next question. Raises Refused, OSError."""
        with self.lock:
            name = _checked_name(listener)
            given = self.results["listeners"].get(name, [])
            trials = plan_session(self.plan, name)
            if index != len(given) or len(given) >= len(trials):
                raise Refused(HTTPStatus.CONFLICT, "this was answered already, perhaps in another window; load anew")
            kept = answer_of(trials[len(given)], value)
            if kept is None:
                raise Refused(HTTPStatus.BAD_REQUEST, f"{value!r} is no answer to this question")
            listeners = {**self.results["listeners"], name: [*given, kept]}
            results = {**self.results, "listeners": listeners}
            results["summary"] = summarize(results)
            write_atomically(self.out, (json.dumps(results, indent=1, ensure_ascii=False) + "\n").encode())
            self.results = results  # only what is on the disk counts
            return self._state(name)

    def clip(self, name: str) -> bytes:
        """A WAV by its name in the address. Raises Refused."""
        with self.lock:
            path = self.clips.get(name)
        if path is None:
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such clip")
        return _equalized(path)

    def _state(self, listener: str) -> dict[str, Any]:
        trials = plan_session(self.plan, listener)
        done = len(self.results["listeners"].get(listener, []))
        state: dict[str, Any] = {"listener": listener, "done": done, "total": len(trials)}
        if done >= len(trials):
            return {**state, "summary": self.results["summary"], "file": str(self.out)}
        trial = trials[done]
        names = [secrets.token_urlsafe(12) for _ in trial.clips]
        self.clips |= dict(zip(names, trial.clips, strict=True))
        return {**state, "trial": {"index": done, "kind": trial.kind, "text": trial.sentence.text, "clips": names}}


class Server(ThreadingHTTPServer):
    """Serves one listening."""

    daemon_threads = True

    def __init__(self, listening: Listening, port: int = 0):
        self.listening = listening
        self.page = Path(__file__).with_name("listening.html").read_bytes()
        super().__init__((HOST, port), Handler)

    @property
    def address(self) -> str:
        """To be opened in a browser."""
        return f"http://{HOST}:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    """GET the page and clips, POST /session and /answer; nothing else is there."""

    server: Server
    timeout = PATIENCE

    def do_GET(self) -> None:
        """The page or a clip."""
        self._meet(self._get)

    def do_POST(self) -> None:
        """Begin or go on, and answer."""
        self._meet(self._post)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a line for every clip tells nobody anything."""

    def _get(self) -> None:
        if self.path == "/":
            self._send(self.server.page, "text/html; charset=utf-8")
        elif self.path.startswith("/audio/"):
            self._send(self.server.listening.clip(self.path.removeprefix("/audio/")), "audio/wav")
        else:
            raise Refused(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _post(self) -> None:
        request = self._request()
        if self.path == "/session":
            state = self.server.listening.state(request.get("listener", ""))
        elif self.path == "/answer":
            state = self.server.listening.answer(
                request.get("listener", ""), request.get("index"), request.get("value")
            )
        else:
            raise Refused(HTTPStatus.NOT_FOUND, "there is nothing here")
        self._send(json.dumps(state).encode(), "application/json")

    def _request(self) -> dict[str, Any]:
        """The JSON object that was posted. A form of a foreign page cannot send one without asking us first."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "the length is missing")
        if int(length) > LONGEST_REQUEST:
            self.rfile.read(min(int(length), DRAINED))  # a sender that is cut off never reads the answer
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {LONGEST_REQUEST} bytes")
        if self.headers.get_content_type() != "application/json":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "JSON is needed")
        try:
            request = json.loads(self.rfile.read(int(length)))
        except ValueError:
            raise Refused(HTTPStatus.BAD_REQUEST, "that is no JSON") from None
        if not isinstance(request, dict):
            raise Refused(HTTPStatus.BAD_REQUEST, "a JSON object is needed")
        return request

    def _meet(self, work: Callable[[], None]) -> None:
        """Carry out a request; what goes wrong becomes an answer."""
        try:
            # A foreign page whose name was made to mean this address (DNS rebinding) sends that name.
            if self.headers.get("Host", "") not in {
                f"{host}:{self.server.server_port}" for host in (HOST, "localhost")
            }:
                raise Refused(HTTPStatus.FORBIDDEN, "this page is for this computer only")
            work()
        except Refused as error:
            self._send(json.dumps({"error": str(error)}).encode(), "application/json", error.status)
        except (AudioError, OSError) as error:
            if not isinstance(error, ConnectionError | TimeoutError):  # those who left need no answer
                message = json.dumps({"error": f"not saved: {error}"}).encode()
                self._send(message, "application/json", HTTPStatus.INTERNAL_SERVER_ERROR)

    def _send(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(content))),
            ("Cache-Control", "no-store"),
            ("Content-Security-Policy", POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def serve(
    runs: Sequence[Path],
    *,
    out: Path,
    say: Callable[[str], None],
    port: int = 0,
    pairs: int = 20,
    ratings: int = 8,
    repeats: int = 4,
    seed: int = 0,
) -> None:
    """Serve the page until it is interrupted.

    Args:
        out: listening.json; what is in it already is gone on with.
        port: 0 for any that is free.

    Raises:
        ConfigError: if the port is taken.
        DataError: as `plan_listening` and `read_results`.
    """
    listening = Listening(plan_listening(runs, pairs=pairs, ratings=ratings, repeats=repeats, seed=seed), out)
    try:
        server = Server(listening, port)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"port={port}: {getattr(error, 'strerror', None) or error}; leave it out for a free one"
        ) from None
    with server:
        say(f"listen: {server.address}  (Ctrl-C ends; answers are kept in {out})")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say(f"answers: {out}")


def _checked_name(listener: Any) -> str:
    """The name of a listener. Raises Refused."""
    name = " ".join(listener.split()) if isinstance(listener, str) else ""
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise Refused(HTTPStatus.BAD_REQUEST, f"a name of 1 to {LONGEST_NAME} characters is needed")
    return name


@lru_cache(maxsize=64)
def _equalized(path: Path) -> bytes:
    """A clip as a 16-bit WAV of the common loudness; silence stays as it is."""
    wave, sample_rate = read_recording(path)
    with suppress(AudioError):
        wave = normalize_loudness(wave, sample_rate, LOUDNESS)
    encoded = io.BytesIO()
    soundfile.write(encoded, to_int16(wave).numpy(), sample_rate, format="WAV", subtype="PCM_16")
    return encoded.getvalue()
