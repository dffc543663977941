"""The audit of a corpus: every trouble that was put into one is found and named, in JSON and on the page."""

import json
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from tests.toy import SMALL, write_corpus
from tts.cli import main
from tts.data.aligning import Alignment, PhoneTime, SpokenWord
from tts.data.manifest import load_prepared
from tts.data.report import read_report
from tts.errors import DataError
from tts.evaluation import audit as auditing
from tts.evaluation.audit import build_audit, listen
from tts.evaluation.audit_figures import BINS, bar_list, histogram
from tts.evaluation.audit_page import write_page
from tts.runs import plan_run
from tts.text.frontend import Frontend
from tts.training import cost as costing
from tts.training.cost import Cost, measure_cost

RATE = 16000


def wave_of(corpus, name):
    return soundfile.read(corpus / "wavs" / f"{name}.wav")[0]


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """A toy corpus full of trouble, and its audit: exit code, what was said, folder, and the words of the recipe."""
    folder = tmp_path_factory.mktemp("audit")
    corpus = write_corpus(folder / "corpus")
    loud = 40 * wave_of(corpus, "clip01")
    soundfile.write(corpus / "wavs/clip01.wav", loud.clip(-1, 1), RATE)
    noise = np.random.default_rng(1).standard_normal(len(wave_of(corpus, "clip02")))
    soundfile.write(corpus / "wavs/clip02.wav", 0.5 * wave_of(corpus, "clip02") + 0.1 * noise, RATE)
    half = wave_of(corpus, "clip04")
    paused = np.concatenate([half, 0.001 * noise[:RATE].repeat(2)[: int(1.5 * RATE)], half])
    soundfile.write(corpus / "wavs/clip04.wav", paused, RATE)
    soundfile.write(corpus / "wavs/clip05.wav", wave_of(corpus, "clip06"), RATE)
    with (corpus / "metadata.csv").open("a") as metadata:
        metadata.write("clip90|zorblatted one two three.\nclip91|gone.\n")
    soundfile.write(corpus / "wavs/clip90.wav", wave_of(corpus, "clip00"), RATE)
    words = [f"data.root={corpus}", f"data.cache={folder / 'cache'}", *SMALL]
    code = main(["audit", "recipe=own", f"out={folder / 'out'}", "aligned=0", *words])
    return code, folder, words


def findings(folder):
    return {finding["name"]: finding for finding in json.loads((folder / "out/audit.json").read_text())["findings"]}


def test_every_trouble_is_found_and_named(audited):
    code, folder, _ = audited
    found = findings(folder)
    assert code == 1
    assert found["clipping"]["ids"] == ["clip01"] and found["clipping"]["verdict"] == "open"
    assert "clip02" in found["noise"]["ids"]
    assert found["pauses"]["ids"] == ["clip04"] and "1 clips pause for more than 1 s" in found["pauses"]["words"]
    assert {"clip05", "clip06"} <= set(found["same sound"]["ids"]) and found["same sound"]["verdict"] == "bad"
    assert found["left out"]["ids"] == ["clip91"]
    assert "zorblatted" in found["unknown words"]["words"]
    assert "ZH" in found["symbols"]["words"].partition("fewer")[0]
    assert "less than 5 minutes of the speaker without a name" in found["speakers"]["words"]
    assert next(iter(found.values()))["verdict"] == "bad"  # what is to be mended comes first


def test_cost_is_measured_on_the_longest_batch(audited):
    _, folder, words = audited
    measured = json.loads((folder / "out/audit.json").read_text())["cost"]
    assert 0.001 < measured["memory_gib"] < 2 and measured["memory_there_gib"] > measured["memory_gib"]
    assert list(measured["hours_per_epoch"]) == ["3", "4"] and all(
        0 < h < 0.1 for h in measured["hours_per_epoch"].values()
    )
    recipe = plan_run("own", words).recipe
    prepared = load_prepared(folder / "out", recipe.audio, Frontend(recipe.text).fingerprint)
    clips = prepared.split("train")
    longest = max(clip.n_frames for clip in clips)
    assert longest <= measured["batch_frames"] <= 4 * longest and measured["batch_clips"] <= 4
    assert measured["steps_per_epoch"] >= len(clips) / 4
    assert "GiB" in findings(folder)["cost"]["words"] and "an epoch of" in findings(folder)["cost"]["words"]


def test_a_batch_that_kills_its_process_is_a_finding(audited, monkeypatch):
    _, folder, words = audited
    recipe = plan_run("own", words).recipe

    def killed(*arguments):
        raise costing.WorkerDiedError
        yield

    monkeypatch.setattr(costing, "unordered", killed)
    measured = measure_cost(recipe, folder / "out")
    assert measured.memory_gib is None and measured.batch_frames > 0
    finding = auditing._memory(measured)
    assert finding.verdict == "bad" and "does not fit" in finding.words and "batch_frames" in finding.words


def test_a_crowded_memory_is_worth_a_look():
    finding = auditing._memory(Cost("cpu", 4, 1000, 0.9, 1.0, 10, {2: 1.5}))
    assert finding.verdict == "open" and "1.5 h at 2 frames" in finding.words


def test_the_page_shows_and_plays_what_was_found(audited):
    _, folder, _ = audited
    page = (folder / "out/audit.html").read_text()
    assert page.count("<audio") == len(set(re.findall(r'data-title="(clip\d\d)"', page))) >= 4
    assert "data:audio/mpeg;base64," in page and not re.findall(r'(?:src|href)="(?!data:|#)', page)
    for title in ("Findings", "Clips in figures", "Symbols", "Speakers", "Guessed words"):
        assert f"<h2>{title}</h2>" in page
    assert "zorblatted" in page and page.count('class="histogram"') == 8


def test_texts_that_do_not_match_are_found_played_and_marked(audited, monkeypatch, tmp_path):
    _, folder, words = audited
    recipe = plan_run("own", words).recipe
    prepared = load_prepared(folder / "out", recipe.audio, Frontend(recipe.text).fingerprint)

    def align_all(tasks, what, workers):
        scores = {name: -50.0 if what != "align" or name == "clip03" else -10.0 for name in tasks}
        made = {
            name: Alignment((SpokenWord("one", 0.0, 0.5, score, (PhoneTime("W", 0.0, 0.5),)),), score)
            for name, score in scores.items()
        }
        return {**made, **{name: None for name in tasks if name == "clip07" and what == "align"}}

    monkeypatch.setattr(auditing, "align_all", align_all)
    heard = listen(prepared, recipe, None)
    found = build_audit(recipe, "own", prepared, read_report(folder / "out"), heard, None)
    texts = next(finding for finding in found.findings if finding.name == "texts and sound")
    assert texts.ids == ["clip07", "clip03"] and texts.verdict == "bad"
    page = write_page(found, prepared, heard, tmp_path).read_text()
    assert '<mark title="-50">one</mark>' in page and "1 clips could not be aligned" in page
    assert len(listen(prepared, recipe, 4).own) == 4
    assert all(finding.name != "cost" for finding in found.findings)


def test_without_an_aligner_the_way_out_is_named(audited, monkeypatch, capsys, tmp_path):
    _, _, words = audited
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    assert main(["audit", "recipe=own", f"out={tmp_path / 'out'}", *words]) == 2
    assert not (tmp_path / "out").exists()  # nothing was begun
    assert 'pip install -e ".[evaluate]"' in capsys.readouterr().err


def test_wrong_words_are_refused_and_help_teaches(capsys):
    assert main(["audit", "aligned=3"]) == 2 and "which recipe?" in capsys.readouterr().err
    assert main(["audit", "recipe=own", "aligned=few"]) == 2 and "aligned=few" in capsys.readouterr().err
    assert main(["audit", "--help"]) == 0 and "texts and sound" in capsys.readouterr().out


def test_a_damaged_report_says_how_to_get_another(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/report.json").write_text('{"clips_listed": 3}')
    with pytest.raises(DataError, match="run the stage prepare again"):
        read_report(tmp_path)


def test_a_histogram_counts_every_value_once():
    drawn = histogram([0.0, 0.0, 1.0, 5.0, 10.0], "s", "lengths", other=[2.0], limit=4.0)
    counted = [int(count) for count in re.findall(r"s: (\d+)</title>", drawn)]
    assert sum(counted) == 6 and max(counted) == 2 and len(counted) <= BINS
    assert 'class="limit" x1="224.0"' in drawn  # 4 of 10, of 560 pixels
    assert histogram([3.0, 3.0], "s", "equal").count("<rect") == 1 and "<rect" not in histogram([], "s", "none")


def test_bars_warn_below_the_least():
    drawn = bar_list({"AA1": 400.0, "ZH": 3.0}, "times", 20)
    assert drawn.count('class="few"') == 1 and 'class="few" title="ZH: 3 times"' in drawn
    assert 'style="width:100.0%"' in drawn


@pytest.mark.parametrize(("kind", "before"), [("cpu", []), ("cuda", ["step", "step", "wait"])])
def test_a_step_is_timed_once_a_gpu_has_recorded_its_loops(monkeypatch, kind, before):
    told, waits = [], ["wait"] if kind == "cuda" else []
    monkeypatch.setattr(costing, "_step", lambda *given: told.append("step"))
    monkeypatch.setattr(costing.torch.cuda, "synchronize", lambda: told.append("wait"))
    monkeypatch.setattr(costing, "time", SimpleNamespace(perf_counter=lambda: told.append("look") or 1.0))
    batch = SimpleNamespace(mel=SimpleNamespace(device=torch.device(kind)))
    assert costing._timed(None, None, batch, None, 1) == 0.0
    assert told == [*before, "look", "step", *waits, "look"]
