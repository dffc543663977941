"""Downloading from servers that fail in every way, and unpacking of what must not be trusted."""

import hashlib
import http.server
import io
import re
import shutil
import tarfile
import threading
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.layouts import write_libritts, write_vctk
from tests.toy import SMALL, write_corpus
from tts import cli_download
from tts.cli import main
from tts.data import archives, download
from tts.data.archives import COLLECTIONS, Archive
from tts.data.download import PAUSES, fetch
from tts.data.unpack import unpack
from tts.errors import DataError

CONTENT = bytes(range(256)) * 40_000  # ten blocks
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


class Asked(NamedTuple):
    path: str
    start: int  # byte asked for


class Server(http.server.ThreadingHTTPServer):
    """Serves `files`; `faults` is a list of what to do with each request that comes, in order."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.faults, self.asked, self.ranges = {}, [], [], True

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        pass  # clients that hang up


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        given = self.headers.get("Range")
        start = int(given.removeprefix("bytes=").rstrip("-")) if given else 0
        server.asked.append(Asked(self.path, start))
        fault = server.faults.pop(0) if server.faults else None
        content = server.files.get(self.path)
        if isinstance(fault, int) or content is None:
            return self.send_error(fault if isinstance(fault, int) else 404)
        start = start if server.ranges else 0
        if start > len(content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        rest = content[start:]
        self.wfile.write(rest[: len(rest) // 3] if fault == "cut" else rest)
        return None


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.files["/a.bin"] = CONTENT
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def pauses(monkeypatch):
    """How long was waited; nobody waits here."""
    waited = []
    monkeypatch.setattr(download.time, "sleep", waited.append)
    return waited


def get(server, path, **settings):
    fetch(f"{server.url}/a.bin", path, **{"size": len(CONTENT), "digest": DIGEST, "shown": False, **settings})
    return path.read_bytes()


@pytest.mark.parametrize("size", [len(CONTENT), 0])
def test_a_file_arrives_whole(server, tmp_path, pauses, size):
    assert get(server, tmp_path / "new" / "a.bin", size=size) == CONTENT
    assert len(server.asked) == 1 and pauses == [] and [p.name for p in (tmp_path / "new").iterdir()] == ["a.bin"]


def test_a_server_that_fails_twice_is_asked_again_after_a_while(server, tmp_path, pauses):
    server.faults = [500, 503]
    assert get(server, tmp_path / "a.bin") == CONTENT
    assert len(server.asked) == 3 and pauses == list(PAUSES[:2])


def test_a_server_that_fails_for_ever_is_given_up(server, tmp_path, pauses):
    server.faults = [500] * 99
    with pytest.raises(DataError, match=r"a\.bin: the server answers 500 .*6 times without progress; 0 bytes are kept"):
        get(server, tmp_path / "a.bin")
    assert len(server.asked) == 6 and pauses == list(PAUSES) and not (tmp_path / "a.bin").exists()


@pytest.mark.parametrize("size", [len(CONTENT), 0])
def test_a_connection_that_is_cut_goes_on_where_it_ended(server, tmp_path, pauses, size):
    server.faults = ["cut", "cut"]
    assert get(server, tmp_path / "a.bin", size=size) == CONTENT
    third = len(CONTENT) // 3
    assert [asked.start for asked in server.asked] == [0, third, third + (len(CONTENT) - third) // 3]


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(server, tmp_path, pauses):
    server.faults = ["cut"] + [500] * 6
    with pytest.raises(
        DataError, match=rf"{len(CONTENT) // 3} bytes are kept in .*a\.bin\.part: the same command goes"
    ):
        get(server, tmp_path / "a.bin")
    server.asked.clear()
    assert get(server, tmp_path / "a.bin") == CONTENT
    assert [asked.start for asked in server.asked] == [len(CONTENT) // 3]


def test_a_server_without_ranges_begins_anew(server, tmp_path, pauses):
    server.ranges, server.faults = False, ["cut"]
    assert get(server, tmp_path / "a.bin") == CONTENT
    assert len(server.asked) == 2


def test_a_server_without_ranges_that_always_cuts_is_given_up(server, tmp_path, pauses):
    server.ranges, server.faults = False, ["cut"] * 99
    with pytest.raises(DataError, match=r"the connection ended at \d+ of 10240000 bytes, 6 times without progress"):
        get(server, tmp_path / "a.bin")


def test_no_server_at_all(server, tmp_path, pauses):
    url = server.url
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match=r"the connection fails .*refused"):
        fetch(f"{url}/a.bin", tmp_path / "a.bin", size=0, digest=DIGEST, shown=False)


def test_a_wrong_checksum_is_told_and_nothing_is_kept(server, tmp_path, pauses):
    server.files["/a.bin"] = b"x" + CONTENT[1:]
    with pytest.raises(DataError, match=r"a\.bin: its sha256 is \w{64}, and \w{64} was expected.*it was deleted"):
        get(server, tmp_path / "a.bin")
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_another_file_is_found_out(server, tmp_path, pauses):
    (tmp_path / "a.bin.part").write_bytes(b"other" * 1000)
    with pytest.raises(DataError, match="its sha256 is"):
        get(server, tmp_path / "a.bin")
    (tmp_path / "a.bin.part").write_bytes(CONTENT + b"more")  # longer than the file: the server has no such range
    assert get(server, tmp_path / "a.bin", size=0) == CONTENT


def test_another_size_is_refused_before_it_is_received(server, tmp_path, pauses):
    with pytest.raises(DataError, match="the server has 10240000 bytes, and 7 were expected"):
        get(server, tmp_path / "a.bin", size=7)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_is_not_asked_for_again(server, tmp_path, pauses):
    with pytest.raises(DataError, match=r"b\.bin: the server answers 404 .*mirror=ADDRESS"):
        fetch(f"{server.url}/b.bin", tmp_path / "b.bin", size=0, digest=DIGEST, shown=False)
    assert len(server.asked) == 1


def test_a_full_disk_is_a_clear_error(server, tmp_path, pauses, monkeypatch):
    def full(file, block, part):
        raise DataError(download.write_failure(part, OSError(28, "No space left on device")))

    monkeypatch.setattr(download, "_write", full)
    with pytest.raises(DataError, match=r"cannot write .*a\.bin\.part: .*disk"):
        get(server, tmp_path / "a.bin")
    assert len(server.asked) == 1


# unpacking


def tar_of(path, *members):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_tar_members_that_would_land_outside_are_refused(tmp_path):
    for name in ("../evil.txt", "a/../../evil.txt"):
        path = tar_of(tmp_path / "a.tar.gz", ("a/b.txt", b"good"), (name, b"evil"))
        (tmp_path / "to").mkdir(exist_ok=True)
        with pytest.raises(DataError, match=r"a\.tar\.gz cannot be unpacked .*outside"):
            unpack(path, tmp_path / "to", "", "a", shown=False)
        assert list((tmp_path / "to").iterdir()) == [] and not (tmp_path / "evil.txt").exists()


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "..\\evil.txt"])
def test_zip_members_that_would_land_outside_are_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as bundle:
        bundle.writestr("a/b.txt", "good")
        bundle.writestr(name, "evil")
    (tmp_path / "to").mkdir()
    with pytest.raises(DataError, match=r"a\.zip cannot be unpacked .*outside"):
        unpack(tmp_path / "a.zip", tmp_path / "to", "", "a", shown=False)
    assert list((tmp_path / "to").iterdir()) == []


def test_damaged_archives_leave_nothing_behind(tmp_path):
    path = tar_of(tmp_path / "a.tar.gz", ("a/b.txt", CONTENT[:100_000]))
    (tmp_path / "to").mkdir()
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"no archive", b""):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.tar\.gz cannot be unpacked .*delete it and download again"):
            unpack(path, tmp_path / "to", "", "a", shown=False)
        assert list((tmp_path / "to").iterdir()) == []
    path.write_bytes(whole)
    with pytest.raises(DataError, match=r"holds no c; it is another file"):
        unpack(path, tmp_path / "to", "", "c", shown=False)


def test_parts_of_a_corpus_come_together(tmp_path):
    to = tmp_path / "to"
    for part in ("one", "two"):
        to.mkdir(exist_ok=True)
        (to / ".unpack-a.tar.gz" / "killed").mkdir(parents=True)  # by a process that was killed
        members = ((f"C/{part}/x.txt", part.encode()), ("C/table.txt", b"same"))
        unpack(tar_of(tmp_path / "a.tar.gz", *members), to, "", f"C/{part}", shown=False)
    found = sorted(path.relative_to(to).as_posix() for path in to.rglob("*") if path.is_file())
    assert found == ["C/one/x.txt", "C/table.txt", "C/two/x.txt"]


# the command


def offer(server, monkeypatch, name, part, root, inside):
    """Let the server have a corpus of the layout in `root` as the archive of a part."""
    collection = COLLECTIONS[name]
    known = collection.archives[part]
    place = f"/{known.url.rpartition('/')[2]}"
    base = root if inside else root.parent
    kind = {"2": "bztar", "z": "gztar", "p": "zip"}[known.url[-1]]
    file = shutil.make_archive(str(root.parents[1] / name), kind, base, None if inside else root.name)
    server.files[place] = Path(file).read_bytes()
    digest = f"md5:{hashlib.md5(server.files[place]).hexdigest()}"
    changed = known._replace(size=len(server.files[place]), digest=digest)
    monkeypatch.setitem(COLLECTIONS, name, collection._replace(archives={**collection.archives, part: changed}))


@pytest.mark.parametrize("name", ["ljspeech", "vctk", "libritts"])
def test_a_corpus_is_downloaded_and_prepared(name, server, tmp_path, monkeypatch, capsys):
    collection = COLLECTIONS[name]
    part = "dev-clean" if name == "libritts" else name
    root = tmp_path / "made" / "corpus" / collection.root
    writers = {"ljspeech": write_corpus, "vctk": write_vctk, "libritts": write_libritts}
    writers[name](root, *(["tones"] if name != "ljspeech" else []))
    offer(server, monkeypatch, name, part, root, inside=name == "vctk")
    to = tmp_path / "data"
    command = ["download", name, *(["dev-clean"] if name == "libritts" else []), f"to={to}", f"mirror={server.url}"]
    server.faults = [500, "cut"]
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    assert main(command) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-2] == f"{to / collection.archives[part].holds}: there"
    assert out[-1].startswith(f"train: python train.py recipe={name} data.root={to / collection.root}")
    assert [path.name for path in to.iterdir()] == [collection.root]
    asked = len(server.asked)
    assert main(command) == 0 and len(server.asked) == asked
    assert f"{to / collection.archives[part].holds}: is there already" in capsys.readouterr().out
    shown = [argument for argument in out[-1].split() if argument.startswith("data.")]
    shown += ["data.speakers=[p225,s5]"] if name == "vctk" else []
    where = [f"data.cache={tmp_path / 'cache'}", f"run={tmp_path / 'run'}", "stages=[prepare]"]
    assert main(["train", f"recipe={name}", *shown, *where, *SMALL]) == 0


def test_the_archive_is_kept_if_wanted_and_is_not_received_again(server, tmp_path, monkeypatch, capsys):
    write_corpus(tmp_path / "made" / "corpus" / "LJSpeech-1.1")
    offer(server, monkeypatch, "ljspeech", "ljspeech", tmp_path / "made" / "corpus" / "LJSpeech-1.1", inside=False)
    command = ["download", "ljspeech", f"to={tmp_path / 'data'}", f"mirror={server.url}/", "keep=true"]
    assert main(command) == 0
    shutil.rmtree(tmp_path / "data" / "LJSpeech-1.1")
    assert main(command) == 0 and len(server.asked) == 1
    assert (tmp_path / "data" / "LJSpeech-1.1" / "metadata.csv").is_file()
    assert (tmp_path / "data" / "ljspeech-LJSpeech-1.1.tar.bz2").is_file()


def test_a_disk_that_is_too_small_is_told_before(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli_download.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 8, 5 * 10**9))
    assert main(["download", "ljspeech", f"to={tmp_path}", f"mirror={server.url}"]) == 2
    assert "has 5.0 GB free, and about 6.9 GB are needed" in capsys.readouterr().err and server.asked == []
    with (tmp_path / "ljspeech-LJSpeech-1.1.tar.bz2.part").open("wb") as part:
        part.truncate(2 * 10**9)  # a hole, which takes no room
    monkeypatch.setattr(download, "fetch", lambda *args, **settings: (_ for _ in ()).throw(DataError("it began")))
    assert main(["download", "ljspeech", f"to={tmp_path}", f"mirror={server.url}"]) == 2
    assert "it began" in capsys.readouterr().err


def test_help_lists_sizes_and_licences(capsys):
    assert main(["download", "--help"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"ljspeech +2\.7 GB +public domain", out) and re.search(r"vctk +11\.7 GB +CC BY 4\.0", out)
    assert re.search(r"train-clean-100 +7\.7 GB", out) and re.search(r"train-clean-360 +~28\.0 GB", out)
    assert main(["download"]) == 0 and capsys.readouterr().out == out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ljspech"], "there is no corpus 'ljspech' to download; did you mean ljspeech?"),
        (
            ["libritts"],
            "which parts of libritts? e.g. `python -m tts download libritts dev-clean`; there is: dev-clean (1.3",
        ),
        (["libritts", "dev-clen"], "libritts has no part 'dev-clen'; did you mean dev-clean?"),
        (["ljspeech", "miror=x"], "unknown option 'miror=x'; did you mean mirror?"),
        (["to=data"], "which corpus?"),
        (["ljspeech", "keep=maybe"], "keep=maybe: true or false"),
    ],
)
def test_wrong_arguments_say_what_is_right(arguments, message, capsys):
    assert main(["download", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_table_is_sound():
    for collection in COLLECTIONS.values():
        for archive in collection.archives.values():
            algorithm, _, digest = archive.digest.partition(":")
            assert len(digest) == 2 * hashlib.new(algorithm).digest_size and archive.url.startswith("https://")
            assert archive.holds.partition("/")[0] == collection.root
    assert isinstance(archives.COLLECTIONS["vctk"].archives["vctk"], Archive)
