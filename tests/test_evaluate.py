"""`tts evaluate` from end to end, on the toy voice: what it writes, says and refuses."""

import json
import shutil
import sys

import pytest
import soundfile

from tts.cli import main
from tts.evaluation.closeness import load_world
from tts.evaluation.hard import HARD
from tts.evaluation.systems import command
from tts.runs import read_recipe
from tts.text.frontend import Frontend

FAST = ["hard=false", "baselines=real,griffin_lim,vocoder_copy", "tries=1", "workers=1"]


@pytest.fixture(scope="session")
def evaluated(trained, tmp_path_factory):
    """A report on the toy voice against itself."""
    out = tmp_path_factory.mktemp("evaluation")
    gate = "gate=failures<=100,rtf<1e9"
    two = "workers=2"  # processes, as on a real machine; the other tests judge in this one
    assert main(["evaluate", f"voice={trained}", f"against={trained}", f"out={out}", gate, *FAST, two]) == 0
    return out


def test_the_report_names_its_figures(evaluated):
    report = json.loads((evaluated / "report.json").read_text())
    for name in ("failures_before_retry", "failures", "duration_ratio", "rtf"):
        assert report[name]["value"] is not None and {"low", "high", "n"} <= report[name].keys()
    assert set(report["baselines"]) == {"real", "griffin_lim", "vocoder_copy", "against"}
    pytest.importorskip("pyworld")
    assert report["baselines"]["real"]["mcd_db"]["value"] == pytest.approx(0, abs=1e-6)
    assert report["baselines"]["griffin_lim"]["mcd_db"]["value"] > 0.1
    assert report["baselines"]["griffin_lim"]["mcd_db"]["value"] < report["mcd_db"]["value"]
    pytest.importorskip("pocketsphinx")
    assert {"wer", "cer", "wer_real"} <= report.keys()


def test_every_sentence_can_be_heard_and_seen(evaluated):
    report = json.loads((evaluated / "report.json").read_text())
    assert len(report["sentences"]) == 2
    pooled = {name: report[name]["value"] for name in report["sentences"][0]["spoken"]["voice"]["values"]}
    for name, value in pooled.items():  # the pooled figure lies between those of the two sentences
        ends = [sentence["spoken"]["voice"]["values"].get(name, value) for sentence in report["sentences"]]
        assert min(ends) - 1e-9 <= value <= max(ends) + 1e-9, name
    for sentence in report["sentences"]:
        assert set(sentence["spoken"]) == {"voice", "real", "griffin_lim", "vocoder_copy", "against"}
        assert (evaluated / sentence["picture"]).read_bytes().startswith(b"\x89PNG")
        for spoken in sentence["spoken"].values():
            assert soundfile.info(evaluated / spoken["audio"]).samplerate == 16000
    page = (evaluated / "report.html").read_text()
    assert report["sentences"][0]["text"] in page


def test_copies_alone_are_kept_to_their_mels(trained, tmp_path, monkeypatch):
    """The mel of a recording is right in every detail, the voice's own are not."""
    from tts.synthesis import Synthesizer

    asked, vocode = [], Synthesizer.vocode

    def told(self, mels, **options):
        asked.append(options.get("measured", False))
        return vocode(self, mels, **options)

    monkeypatch.setattr(Synthesizer, "vocode", told)
    assert main(["evaluate", f"voice={trained}", f"out={tmp_path}", *FAST]) == 0
    assert asked[:2] == [False, True]  # the voice speaks, then it copies
    assert not any(asked[2:])


def test_a_voice_against_itself_cannot_be_told(evaluated):
    found = json.loads((evaluated / "report.json").read_text())["against"]
    assert found["verdict"] == "cannot tell"
    assert all(difference["value"] == 0 for difference in found["differences"].values())


def test_the_gate_holds(evaluated):
    report = json.loads((evaluated / "report.json").read_text())
    assert [result["holds"] for result in report["gate"]] == [True, True]
    assert report["summary"][0] == "The gate holds."


def test_what_is_missing_is_said_and_a_broken_gate_is_the_exit_code(trained, tmp_path, capsys, monkeypatch):
    for package in ("pocketsphinx", "pyworld", "pesq", "pystoi", "distillmos"):
        monkeypatch.setitem(sys.modules, package, None)
    load_world.cache_clear()
    assert main(["evaluate", f"voice={trained}", f"out={tmp_path}", "gate=failures<=100,rtf<1e-9", *FAST]) == 1
    load_world.cache_clear()
    printed = capsys.readouterr().out
    assert "The gate does not hold: rtf<1e-9." in printed and "not measured: wer" in printed
    report = json.loads((tmp_path / "report.json").read_text())
    assert "mcd_db" not in report and "wer" not in report and report["failures"]["n"] == 2
    assert {"wer", "mcd_db", "pesq", "stoi"} <= report["missing"].keys()


def test_the_hard_sentences_are_decoded_too(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("tts.evaluation.sentences.HARD", {"digits": ("Call 911.", "1, 2."), "one word": ("No.",)})
    arguments = ["evaluate", f"voice={trained}", f"out={tmp_path}", "baselines=", "tries=1", "workers=1"]
    assert main(arguments) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    rows = {row["group"]: row for row in report["failures_by_group"]}
    counted = {group: row["n"] for group, row in rows.items() if not group.endswith("words")}
    groups = {"all": 5, "held-out sentences": 2, "hard sentences": 3, "hard: digits": 2, "hard: one word": 1}
    assert counted == groups
    assert sum(row["n"] for group, row in rows.items() if group.endswith("words")) == 5
    assert report["failures"]["value"] == pytest.approx(100 * rows["all"]["after_retry"] / 5)
    failed = [sentence for sentence in report["sentences"] if sentence["kind"] != "held out" and sentence["failures"]]
    assert failed and all("voice" in sentence["spoken"] for sentence in failed)


def test_fifty_hard_sentences_can_be_read(trained):
    from tts.evaluation.sentences import hard_items
    from tts.synthesis import Synthesizer

    recipe = read_recipe(trained)
    absent = {}
    items = hard_items(recipe, Synthesizer.load(trained).frontend, absent)
    assert absent == {}
    assert len(items) == len({item.text.text for item in items}) == len({item.text.id for item in items}) == 50
    lengths = [len(item.text.words) for item in items if item.text.kind == "sixty words"]
    assert min(lengths) >= 55 and max(lengths) <= 70
    frontend = Synthesizer.load(trained).frontend
    poorer = Frontend(recipe.text, symbols=[symbol for symbol in frontend.symbols if symbol != "?"])
    readable = hard_items(recipe, poorer, absent)
    assert len(readable) + len(absent) == 50 and "no symbol '?'" in next(iter(absent.values()))
    assert set(HARD) == {item.text.kind for item in items}


def test_other_recordings(trained, tmp_path, capsys):
    corpus = trained.parent / "corpus"
    folder = tmp_path / "other"
    shutil.copytree(corpus, folder)
    lines = (folder / "metadata.csv").read_text().splitlines()
    (folder / "metadata.csv").write_text("\n".join(lines[:3]))
    assert main(["evaluate", f"voice={trained}", f"data={folder}", f"out={tmp_path / 'out'}", *FAST]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["failures"]["n"] == 3
    assert "trained on" in report["facts"][f"caution, {trained}"]
    (folder / "wavs" / "clip00.wav").write_bytes(b"RIFF")
    assert main(["evaluate", f"voice={trained}", f"data={folder}", f"out={tmp_path / 'out'}", *FAST]) == 2
    assert "clip00" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["voice=nowhere"], "voice=nowhere is no folder"),
        (["gate=cer"], "cannot read 'cer'"),
        (["sentences=0"], "sentences=0: at least 1"),
        (["baselines=human"], "baselines=human: some of real"),
        (["sentense=3"], "did you mean sentences?"),
        (["data=/nowhere"], "data.root=/nowhere is no folder"),
        (["command=cat"], "{out} must stand"),
        (["command=nosuchprogram {out}"], "there is no such program"),
        (["command=cat 'x {out}"], "No closing quotation"),
        (["phones=nowhere.safetensors"], "nowhere.safetensors"),
        (["gate=cerr<0.1"], "did you mean cer?"),
        (["out=/proc/evaluation"], "/proc/evaluation"),
    ],
)
def test_wrong_arguments_are_one_line(trained, tmp_path, capsys, arguments, said):
    voice = [] if arguments[0].startswith("voice") else [f"voice={trained}"]
    assert main(["evaluate", *voice, f"out={tmp_path}", *FAST, *arguments]) == 2
    captured = capsys.readouterr()
    error = captured.err.strip().splitlines()[-1]
    assert error.startswith("error: ") and said in error


def test_another_system_by_its_command(trained, tmp_path):
    from tts.evaluation.sentences import recordings
    from tts.synthesis import Synthesizer

    script = tmp_path / "speaker.py"
    script.write_text(
        "import sys, numpy, soundfile\n"
        "text = sys.argv[2] if len(sys.argv) > 2 else sys.stdin.read()\n"
        "soundfile.write(sys.argv[1], 0.1 * numpy.ones(100 * len(text)), 8000)\n"
    )
    recipe = read_recipe(trained)
    items = recordings(trained, recipe, Synthesizer.load(trained).frontend, "", 2).items
    for line in (f"{sys.executable} {script} {{out}} {{text}}", f"{sys.executable} {script} {{out}}"):
        absent = {}
        spoken = command(line, items, recipe, absent)
        for item in items:
            assert len(spoken.waves[item.text.id]) == 200 * len(item.text.text)
        assert absent == {}
    script.write_text("import sys; sys.stderr.buffer.write(b'\\xff no voice'); sys.exit(3)")
    spoken = command(f"{sys.executable} {script} {{out}}", items, recipe, absent)
    assert spoken.waves == {} and len(absent) == 2
    assert all("ended with 3" in reason and "no voice" in reason for reason in absent.values())


def test_plots_of_a_run(trained, capsys):
    assert main(["plot", str(trained)]) == 0
    written = capsys.readouterr().out.split()
    assert {path.rsplit("/", 1)[1] for path in written} == {"losses.png", "health.png", "failures.png"}
    assert main(["plot", str(trained.parent / "nowhere")]) == 2
    assert "is no folder" in capsys.readouterr().err


def test_listening_needs_reports(trained, tmp_path, capsys):
    other = tmp_path / "run"
    shutil.copytree(trained, other)
    assert main(["listen", str(other), f"out={tmp_path / 'l.json'}"]) == 2
    assert f"python -m tts evaluate voice={other}" in capsys.readouterr().err
    assert main(["listen", str(other), "pears=3"]) == 2
    assert "did you mean pairs?" in capsys.readouterr().err


def test_phones_are_trained_and_used(trained, tmp_path, capsys, monkeypatch):
    pytest.importorskip("jiwer")
    file = tmp_path / "phones.safetensors"
    monkeypatch.setattr(
        "tts.cli_evaluation.whole_number", lambda value, name: 0.05 if name == "minutes" else int(value)
    )
    assert main(["phones", str(trained), f"out={file}", "minutes=1"]) == 0
    assert "phone error rate on 2 held-out recordings" in capsys.readouterr().out
    monkeypatch.undo()
    out = tmp_path / "evaluation"
    assert main(["evaluate", f"voice={trained}", f"phones={file}", f"out={out}", *FAST, "baselines=real"]) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["per"]["value"] > 0 and report["per_real"]["value"] > 0 and "per" not in report["missing"]
    assert main(["phones", str(tmp_path)]) == 2
    assert "is no run" in capsys.readouterr().err
