"""A voice to give away: it speaks as its run does, and one that is not whole is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.toy import SMALL, steps
from tts import checkpoint, runs
from tts.checkpoint import check_voice, find_half, load_acoustic, load_vocoder, read_half
from tts.cli import main
from tts.config import load_recipe, read_yaml
from tts.errors import CheckpointError, ConfigError
from tts.evaluation.model_card import TO_WRITE, model_card
from tts.evaluation.page_figures import with_unit
from tts.runs import default_voice
from tts.settings import Card
from tts.voice import Halves, read_halves

FILES = {"MODEL_CARD.md", "acoustic.safetensors", "checksums.txt", "vocoder.safetensors", "voice.yaml"}


@pytest.fixture(scope="module")
def voice(trained, tmp_path_factory):
    """The toy run as a voice, every bit kept."""
    folder = tmp_path_factory.mktemp("voices") / "toy"
    assert main(["export", str(trained), str(folder), "precision=fp32"]) == 0
    return folder


@pytest.fixture
def copied(voice, tmp_path):
    """A copy that may be spoilt."""
    return Path(shutil.copytree(voice, tmp_path / "copied"))


def test_an_exported_voice_has_the_weights_and_tables_of_its_run(trained, voice):
    assert {path.name for path in voice.iterdir()} == FILES
    for load, kind in ((load_acoustic, "acoustic"), (load_vocoder, "vocoder")):
        mine, theirs = load(find_half(voice, kind)), load(find_half(trained, kind))
        assert (mine.recipe, mine.symbols, mine.speakers, mine.facts) == (
            theirs.recipe,
            theirs.symbols,
            theirs.speakers,
            theirs.facts,
        )
        weights = theirs.model.state_dict()
        assert all(torch.equal(value, weights[name]) for name, value in mine.model.state_dict().items())
    written = read_yaml(voice / "voice.yaml")
    assert written["symbols"] == list(load_acoustic(find_half(voice, "acoustic")).symbols)
    assert written["acoustic"]["step"] == 8 and "torch" in written["versions"]


def test_half_precision_keeps_vectors_whole(trained, voice, tmp_path):
    assert main(["export", str(trained), str(tmp_path / "half")]) == 0
    whole, half = (load_file(folder / "acoustic.safetensors") for folder in (voice, tmp_path / "half"))
    for name, value in half.items():
        assert value.dtype == (torch.float16 if value.dim() > 1 else whole[name].dtype)
        torch.testing.assert_close(value.float(), whole[name].float(), rtol=1e-3, atol=1e-6)
    assert (tmp_path / "half" / "acoustic.safetensors").stat().st_size < (voice / "acoustic.safetensors").stat().st_size
    load_acoustic(tmp_path / "half" / "acoustic.safetensors")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda folder: (folder / "acoustic.safetensors").write_bytes(b"x" * 99),
            "acoustic.safetensors is not the file",
        ),
        (lambda folder: (folder / "vocoder.safetensors").unlink(), "vocoder.safetensors is missing"),
        (lambda folder: (folder / "checksums.txt").unlink(), "checksums.txt cannot be read"),
        (lambda folder: (folder / "checksums.txt").write_text("nonsense\n"), "checksums.txt is damaged"),
        (lambda folder: (folder / "checksums.txt").write_text("0  vocoder.safetensors\n"), "does not list acoustic"),
        (lambda folder: (folder / "voice.yaml").write_text("format: tts-voice-9"), "a voice of format tts-voice-9"),
        (lambda folder: (folder / "voice.yaml").write_text("a: ["), "voice.yaml cannot be read"),
        (lambda folder: (folder / "more.safetensors").write_bytes(b""), "more.safetensors does not belong"),
    ],
)
def test_a_voice_that_is_not_whole_is_refused(copied, spoil, message, capsys):
    check_voice(copied)
    spoil(copied)
    assert main(["synthesize", "One two.", f"voice={copied}", f"out={copied / 'x.wav'}"]) == 2
    assert message in capsys.readouterr().err
    assert main(["info", str(copied)]) == 2


def test_weights_that_do_not_fit_their_recipe_are_refused_even_with_new_checksums(copied):
    path = copied / "acoustic.safetensors"
    half = read_half(path, "acoustic")
    for spoilt in ({**half.weights, "extra": torch.zeros(1)}, {**half.weights, "stop.bias": torch.zeros(7)}):
        tables = {"symbols": half.symbols, "speakers": half.speakers}
        checkpoint.save_half(path, "acoustic", spoilt, half.recipe, facts=half.facts, **tables)
        with pytest.raises(CheckpointError, match="do not fit its own recipe"):
            load_acoustic(path)


def test_the_card_may_be_edited(copied):
    (copied / "MODEL_CARD.md").write_text("# Mine")
    check_voice(copied)


def test_an_older_voice_is_replaced_and_nothing_else_is_touched(trained, copied, tmp_path, capsys):
    (copied / "lexicon.tsv").write_text("old\tAH1\n")
    assert main(["export", str(trained), str(copied)]) == 0
    assert not (copied / "lexicon.tsv").exists(), "what the new one lacks is gone"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("months of work")
    assert main(["export", str(trained), str(tmp_path / "full")]) == 2
    assert "holds thesis.txt, which is no part of a voice" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.txt"]


def test_the_lexicon_of_a_run_goes_along(trained, tmp_path):
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    (run / "lexicon.tsv").write_text("one\tT UW1\n")
    assert main(["export", str(run), str(tmp_path / "voice")]) == 0
    assert (tmp_path / "voice" / "lexicon.tsv").read_text() == "one\tT UW1\n"
    (tmp_path / "voice" / "lexicon.tsv").write_text("one\tW AH1 N\n")
    with pytest.raises(CheckpointError, match=r"lexicon\.tsv is not the file"):
        check_voice(tmp_path / "voice")


def test_the_vocoder_of_another_run(trained, voice, tmp_path, capsys):
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    shutil.rmtree(run / "vocoder")
    assert main(["export", str(run), str(tmp_path / "alone")]) == 0
    assert main(["info", str(tmp_path / "alone")]) == 0
    assert "vocoder   none: Griffin-Lim speaks" in capsys.readouterr().out
    assert main(["export", str(run), str(tmp_path / "both"), f"vocoder={voice}", "precision=fp32"]) == 0
    ours, theirs = (load_file(folder / "vocoder.safetensors") for folder in (tmp_path / "both", voice))
    assert ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert main(["export", str(trained), str(tmp_path / "x"), f"vocoder={run}"]) == 2
    assert "holds no trained vocoder" in capsys.readouterr().err


def test_a_training_starts_from_a_voice(trained, voice, tmp_path, capsys):
    corpus = trained.parent / "corpus"
    arguments = ["train", "recipe=own", f"data.root={corpus}", f"data.cache={trained.parent / 'cache'}", *SMALL]
    arguments += [*steps(2), f"run={tmp_path / 'run'}", f"init_from={voice}", "stages=[prepare,acoustic]"]
    assert main([*arguments, "trainer.acoustic.learning_rate=1e-12", "trainer.acoustic.frames_heard={0: 0}"]) == 0
    ours, theirs = (
        read_half(find_half(folder, "acoustic"), "acoustic").weights for folder in (tmp_path / "run", voice)
    )
    torch.testing.assert_close(ours["frames.weight"], theirs["frames.weight"])


def test_the_shipped_voice_speaks_where_none_is_named(voice, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs, "__file__", str(tmp_path / "package" / "tts" / "runs.py"))
    with pytest.raises(ConfigError, match="no voice has been trained here yet"):
        default_voice()
    run = tmp_path / "runs" / "mine" / "acoustic"
    run.mkdir(parents=True)
    shutil.copy(voice / "acoustic.safetensors", run / "best.safetensors")
    assert default_voice() == Path("runs/mine")
    for place in (tmp_path / "package", tmp_path / "package" / "tts"):  # in a clone, and as installed
        shutil.copytree(voice, place / "checkpoints" / "toy")
        assert default_voice() == place / "checkpoints" / "toy"


def test_the_card_says_what_is_known_and_what_is_not(voice, tmp_path):
    halves = read_halves(voice)
    said = model_card(halves, "toy", tmp_path / "none.json", notes="## Training\n\nby hand")
    assert f"- Licence of the data: {TO_WRITE}" in said and "step 8" in said and "## Training\n\nby hand" in said
    recipe = replace(halves.acoustic.recipe, card=Card(licence="CC0 1.0"))
    known = Halves(halves.acoustic._replace(recipe=recipe), None)
    report = tmp_path / "report.json"
    estimate = {"value": 0.0721, "low": 0.03, "high": 0.12, "n": 50}
    content = {"command": "python -m tts evaluate", "summary": ["It speaks."], "wer": estimate}
    content["measures"] = {"wer": {"title": "word errors", "unit": "share"}}
    content["baselines"] = {"real": {"wer": {**estimate, "value": 0.013, "low": None, "high": None}}}
    report.write_text(json.dumps(content))
    said = model_card(known, "toy", report)
    assert "- Licence of the data: CC0 1.0" in said and "none: Griffin-Lim speaks" in said and "- It speaks." in said
    assert "|  | this voice | recordings |" in said
    row = next(line for line in said.splitlines() if line.startswith("| word errors"))
    assert row == f"| word errors | {with_unit(0.0721, 'share')} ({with_unit(0.03, 'share')} to 12.0 %) | 1.30 % |"


def test_info_of_a_run_and_of_a_voice(trained, voice, capsys):
    for folder, what in ((trained, "a run"), (voice, "a voice, every file as it was exported")):
        assert main(["info", str(folder)]) == 0
        said = capsys.readouterr().out
        assert f"{folder}: {what}\n" in said and "licence   not stated" in said and "step 8" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "nowhere", "x"], "nowhere is no folder"),
        (["export", "runs/x"], "export wants a run and a folder"),
        (["export", "runs/x", "y", "precison=fp16"], "did you mean precision?"),
        (["export", "runs/x", "y", "precision=int8"], "fp16 or fp32"),
        (["export", "runs/x", "y", "report=nowhere.json"], "there is no such file"),
        (["info", "nowhere"], "nowhere is no folder"),
        (["info", "a", "b"], "info wants one folder"),
    ],
)
def test_what_is_wrong_is_said(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_the_shipped_recipe_fills_its_card():
    assert all(vars(load_recipe("kathleen_small").card).values())
