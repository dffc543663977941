"""Blind listening: nothing tells which clip is whose, every answer is kept, and the numbers are right."""

import http.client
import io
import json
import math
import re
import shutil
import subprocess
import threading
from contextlib import contextmanager

import pytest
import soundfile
import torch

from tts.audio.files import write_wave
from tts.audio.loudness import loudness
from tts.errors import ConfigError, DataError
from tts.evaluation.listening import (
    answer_of,
    binomial_test,
    plan_listening,
    plan_session,
    read_results,
    summarize,
)
from tts.evaluation.listening_server import LONGEST_REQUEST, Listening, Server, serve

RATE = 16000
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
N = 6  # sentences that all spoke


def report(folder, systems, level: float, n: int = N) -> None:
    """A run's report: `n` sentences by every system, and a hard one by the voice alone."""
    sentences = []
    for index in range(n + 1):
        spoken = {}
        for place, system in enumerate(systems if index < n else ["voice"]):
            path = folder / "evaluation" / "audio" / system / f"{index}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            t = torch.arange(RATE // 2) / RATE
            write_wave(path, level * torch.sin(2 * math.pi * (200 + 50 * place + index) * t), RATE)
            spoken[system] = {"audio": str(path.relative_to(folder / "evaluation")), "values": {}, "notes": {}}
        kind = "held out" if index < n else "digits"
        sentences.append({"id": f"s{index}", "text": f"Sentence <{index}> & more", "kind": kind, "spoken": spoken})
    (folder / "evaluation" / "report.json").write_text(json.dumps({"sentences": sentences}))


@pytest.fixture
def runs(tmp_path):
    report(tmp_path / "one", ["voice", "real", "griffin_lim"], 0.05)
    report(tmp_path / "two", ["voice"], 0.5)
    return [tmp_path / "one", tmp_path / "two"]


@contextmanager
def served(listening):
    server = Server(listening)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(server, method: str, path: str, body: object = None, **headers: str):
    """Status, headers and content over a real socket."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
    connection.request(method, path, content, {"Content-Type": "application/json", **headers})
    answer = connection.getresponse()
    found = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), found


def post(server, path: str, **body: object):
    status, _, content = ask(server, "POST", path, body)
    return status, json.loads(content)


def choose(trial: dict) -> float:
    return 1 if trial["kind"] == "pair" else 3.5


def test_what_is_asked(runs):
    plan = plan_listening(runs, pairs=5, ratings=3, repeats=2)
    trials = plan_session(plan, "ann")
    pairs = [trial for trial in trials if trial.kind == "pair"]
    assert len(pairs) == 5 + 2 and sum(trial.repeat for trial in pairs) == 2
    assert all(set(trial.systems) == set(plan.voices) for trial in pairs)
    for place, trial in enumerate(trials):
        if trial.repeat:
            (before,) = [i for i, other in enumerate(pairs) if other.sentence == trial.sentence and not other.repeat]
            assert before < place and pairs[before].systems == trial.systems[::-1]
    rated = [trial.systems[0] for trial in trials if trial.kind == "rating"]
    assert {system: rated.count(system) for system in rated} == dict.fromkeys(
        [*plan.voices, "real recordings", "Griffin-Lim"], 3
    )


def test_order_and_sides_differ_between_listeners_but_not_between_visits(runs):
    plan = plan_listening(runs, pairs=6)
    assert plan_session(plan, "ann") == plan_session(plan, "ann") != plan_session(plan, "ben")
    names = [f"listener {i}" for i in range(40)]
    first = [trial.systems[0] for name in names for trial in plan_session(plan, name) if trial.kind == "pair"]
    assert 0.4 < first.count(plan.voices[0]) / len(first) < 0.6
    orders = {tuple(trial.sentence.id for trial in plan_session(plan, name)) for name in names}
    assert len(orders) > 30
    assert len({plan_session(plan, name)[0].sentence.id for name in names}) > 3


def test_one_voice_alone_is_rated(runs):
    plan = plan_listening(runs[:1])
    assert not plan.pairs and {trial.kind for trial in plan_session(plan, "ann")} == {"rating"}


def test_nothing_tells_whose_a_clip_is(runs, tmp_path):
    plan = plan_listening(runs, pairs=4, ratings=2, repeats=1)
    told, names = [], []
    with served(Listening(plan, tmp_path / "listening.json")) as server:
        _, headers, page = ask(server, "GET", "/")
        told += [page.decode(), str(headers)]
        _, state = post(server, "/session", listener="ann")
        for _ in range(state["total"]):
            told.append(json.dumps(state))
            assert set(state["trial"]) == {"index", "kind", "text", "clips"}
            for name in state["trial"]["clips"]:
                status, headers, _ = ask(server, "GET", f"/audio/{name}")
                assert status == 200
                told.append(str(headers))
                names.append(name)
            _, state = post(server, "/answer", listener="ann", index=state["done"], value=choose(state["trial"]))
        assert "summary" in state
    secret = [str(runs[0]), str(runs[1]), "real recordings", "griffin", "Griffin", "voice/", ".wav", 'repeat":', "seed"]
    assert not [word for word in secret for text in told if word in text]
    assert len(set(names)) == len(names), "a name that comes again tells that the clip does"


def test_clips_are_equally_loud(runs, tmp_path):
    with served(Listening(plan_listening(runs, pairs=4), tmp_path / "out.json")) as server:
        _, state = post(server, "/session", listener="ann")
        levels = []
        for name in state["trial"]["clips"]:
            wave, rate = soundfile.read(io.BytesIO(ask(server, "GET", f"/audio/{name}")[2]), dtype="float32")
            levels.append(loudness(torch.from_numpy(wave), rate))
    assert levels == pytest.approx([-23, -23], abs=0.1)


def test_answers_are_kept_at_once_and_gone_on_with(runs, tmp_path):
    out = tmp_path / "listening.json"
    plan = plan_listening(runs, pairs=3, ratings=1, repeats=1)
    with served(Listening(plan, out)) as server:
        assert not out.exists()
        _, state = post(server, "/session", listener="  ann   b ")
        assert state["listener"] == "ann b" and (state["done"], state["total"]) == (0, 3 + 1 + 4)
        _, state = post(server, "/answer", listener="ann b", index=0, value=1)
        (kept,) = json.loads(out.read_text())["listeners"]["ann b"]
        first = plan_session(plan, "ann b")[0]
        assert kept["value"] == 1 and tuple(kept["systems"]) == first.systems
        text = state["trial"]["text"]
    with served(Listening(plan, out)) as server:
        _, again = post(server, "/session", listener="ann b")
        assert (again["done"], again["trial"]["text"]) == (1, text)
        assert post(server, "/session", listener="ben")[1]["done"] == 0
        assert post(server, "/answer", listener="ann b", index=0, value=0)[0] == 409
    assert len(read_results(out, plan)["listeners"]["ann b"]) == 1
    assert not list(tmp_path.glob(".*.tmp"))


def test_results_of_other_clips_are_not_mixed_in(runs, tmp_path):
    out = tmp_path / "listening.json"
    plan = plan_listening(runs)
    Listening(plan, out).answer("ann", 0, 1)
    with pytest.raises(DataError, match="other clips"):
        Listening(plan_listening(runs, seed=1), out)
    clip = next(iter(plan.pairs)).clips[str(runs[1])]
    write_wave(clip, torch.full((RATE,), 0.1), RATE)
    with pytest.raises(DataError, match="other clips"):
        Listening(plan_listening(runs), out)
    out.write_text("{")
    with pytest.raises(DataError, match=r"no listening\.json"):
        Listening(plan, out)


def test_a_disk_that_is_full_loses_no_answer_in_silence(runs, tmp_path):
    out = tmp_path / "gone" / "listening.json"
    with served(Listening(plan_listening(runs), out)) as server:
        status, found = post(server, "/answer", listener="ann", index=0, value=1)
        assert status == 500 and "not saved" in found["error"]
        assert post(server, "/session", listener="ann")[1]["done"] == 0


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", "/audio/../../one/evaluation/report.json", None, {}, 404),
        ("GET", "/audio/%2e%2e/report.json", None, {}, 404),
        ("GET", "/etc/passwd", None, {}, 404),
        ("GET", "/listening.json", None, {}, 404),
        ("GET", "/", None, {"Host": "evil.example:80"}, 403),
        ("POST", "/session", {"listener": ""}, {}, 400),
        ("POST", "/session", {"listener": "x" * 61}, {}, 400),
        ("POST", "/session", {"listener": ["ann"]}, {}, 400),
        ("POST", "/session", [], {}, 400),
        ("POST", "/session", b"{", {}, 400),
        ("POST", "/session", {"listener": "ann"}, {"Content-Type": "text/plain"}, 415),
        ("POST", "/session", b" " * (LONGEST_REQUEST + 1), {}, 413),
        ("POST", "/elsewhere", {}, {}, 404),
        ("POST", "/answer", {"listener": "ann", "index": 0, "value": 2}, {}, 400),
        ("POST", "/answer", {"listener": "ann", "index": 0, "value": "1"}, {}, 400),
        ("POST", "/answer", {"listener": "ann", "index": 1, "value": 1}, {}, 409),
        ("PUT", "/answer", {}, {}, 501),
    ],
)
def test_everything_else_is_refused(runs, tmp_path, method, path, body, headers, status):
    out = tmp_path / "listening.json"
    with served(Listening(plan_listening(runs), out)) as server:
        assert ask(server, method, path, body, **headers)[0] == status
    assert not out.exists()


def test_only_answers_to_the_question_count(runs):
    trials = plan_session(plan_listening(runs), "ann")
    pair, rating = trials[0], trials[-1]
    assert [answer_of(pair, value) is None for value in (0, 1, 2, True, "0", None)] == [False, False] + [True] * 4
    assert [answer_of(rating, value) is None for value in (1, 3.5, 5, 0.5, 3.2, 5.5)] == [False] * 3 + [True] * 3


def test_a_missing_report_names_the_way_out(runs, tmp_path):
    with pytest.raises(DataError, match=r"python -m tts evaluate voice=.*three"):
        plan_listening([*runs, tmp_path / "three"])
    with pytest.raises(ConfigError, match="each once"):
        plan_listening([runs[0], runs[0]])
    (runs[1] / "evaluation" / "report.json").write_text('{"sentences": []}')
    with pytest.raises(DataError, match="no sentence was spoken by all"):
        plan_listening(runs)
    (runs[1] / "evaluation" / "report.json").write_text("[]")
    with pytest.raises(DataError, match="is no report"):
        plan_listening(runs)


def test_a_port_in_use_is_named(runs, tmp_path):
    with served(Listening(plan_listening(runs), tmp_path / "a.json")) as server:
        port = server.server_port
        with pytest.raises(ConfigError, match=f"port={port}: "):
            serve(runs, out=tmp_path / "b.json", say=print, port=port)


def pair(sentence: str, systems: str, value: int, repeat: bool = False) -> dict:
    return {"kind": "pair", "sentence": sentence, "systems": list(systems), "repeat": repeat, "value": value}


def rating(sentence: str, system: str, value: float) -> dict:
    return {"kind": "rating", "sentence": sentence, "systems": [system], "repeat": False, "value": value}


def test_the_summary_against_numbers_by_hand():
    ann = [pair("1", "xy", 0), pair("2", "yx", 1), pair("3", "xy", 0), pair("4", "xy", 1)]  # x, x, x, y
    ann += [pair("1", "yx", 1, repeat=True), pair("2", "xy", 1, repeat=True)]  # x again; y this time
    ann += [rating("1", "x", 4.0), rating("2", "x", 3.0), rating("1", "y", 2.5)]
    ben = [pair("1", "yx", 1), pair("2", "xy", 0), rating("1", "x", 5.0)]  # x, x
    found = summarize({"voices": ["x", "y"], "listeners": {"ann": ann, "ben": ben}})
    assert found["listeners"] == 2
    (preference,) = found["preferences"]
    assert (preference["n"], preference["wins"]) == (6, [5, 1])
    assert preference["share"] == pytest.approx(5 / 6)
    assert preference["p"] == pytest.approx(2 * (1 + 6) / 64)
    # Sentence 4 alone speaks for y. It is drawn n times of 4, n binomial with 1/4; sentences 1 and 2 weigh two.
    assert preference["low"] < 0.5 and preference["high"] == 1.0
    assert list(found["ratings"]) == ["x", "y"]
    assert found["ratings"]["x"]["value"] == pytest.approx(4.0) and found["ratings"]["x"]["ratings"] == 3
    assert (found["ratings"]["x"]["low"], found["ratings"]["x"]["high"]) == (3.0, 4.5)
    assert found["ratings"]["y"]["low"] is None
    assert found["consistency"]["ann"] == {"same": 1, "repeated": 2, "left": 2, "pairs": 6, "answers": 9}


def test_the_binomial_test():
    assert [binomial_test(k, 10) for k in (5, 0)] == [1.0, 2 / 1024]
    assert binomial_test(9, 10) == binomial_test(1, 10) == pytest.approx(22 / 1024)
    assert binomial_test(15, 20) == pytest.approx(0.04139, abs=1e-5)
    assert binomial_test(1500, 3000) == 1.0


PROBE = """
<script>
(async () => {
  const until = async (holds) => { while (!holds()) await new Promise((wake) => setTimeout(wake, 20)); };
  const press = (key) => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const seen = [];
  byId("name").value = "ann";
  byId("start").requestSubmit();
  await until(() => players.length);
  press("ArrowLeft");
  seen.push(byId("error").textContent);
  for (let done = 0; done < Number(STEPS); done++) {
    await until(() => state.trial && state.trial.index === done && players.length);
    const pair = state.trial.kind === "pair";
    if (done === 0) seen.push(byId("ask").textContent);
    for (const key of pair ? ["a", "b", "ArrowRight"] : [" ", "4", "ArrowLeft"]) press(key);
    if (done < Number(STEPS) - 1 || !HOLD) press("Enter");
  }
  if (!HOLD) await until(() => !state.trial);
  seen.push(document.querySelectorAll("#done table").length);
  document.body.dataset.seen = seen.join("|");
})();
</script>
"""


def browse(server, folder, steps: int, *more: str, hold: bool = False):
    """The page in a browser, in which a listener answers `steps` questions by keys."""
    probe = PROBE.replace("Number(STEPS)", str(steps)).replace("HOLD", str(hold).lower())
    server.page = server.page.replace(b"</body>", probe.encode() + b"</body>")
    quiet = [
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "no-first-run",
        "disable-quic",
    ]
    flags = ["headless", "no-sandbox", "disable-gpu", *quiet, f"user-data-dir={folder / 'profile'}", *more]
    flags += ["autoplay-policy=no-user-gesture-required", "enable-logging=stderr", "v=0", "virtual-time-budget=20000"]
    arguments = [CHROMIUM, *(f"--{flag}" for flag in flags), server.address]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=True)


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_listener_gets_through_by_keys_alone(runs, tmp_path):
    out = tmp_path / "listening.json"
    plan = plan_listening(runs, pairs=2, ratings=1, repeats=1)
    with served(Listening(plan, out)) as server:
        done = browse(server, tmp_path, len(plan_session(plan, "ann")), "dump-dom")
    assert "CONSOLE" not in done.stderr, done.stderr
    seen = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert seen, done.stderr
    assert seen[1] == "Hear both first.|Which one sounds better?|3"
    answers = json.loads(out.read_text())["listeners"]["ann"]
    assert [answer["value"] for answer in answers] == [1, 1, 1] + [3.5] * 4
