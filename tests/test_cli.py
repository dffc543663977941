"""What users type wrong: one line that says what to do, exit code 2, no traceback, nothing half-written."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tts.cli import main

ROOT = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fails(capsys, arguments, *said):
    """Run a command that must fail politely."""
    assert main(arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("error: ")
    assert not any("Traceback" in line for line in lines)
    for part in said:
        assert re.search(part, lines[-1]), lines[-1]


def own_corpus(folder, clips, metadata=None):
    """A corpus in LJSpeech's format with one WAV per (id, text)."""
    (folder / "wavs").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, _ in clips:
        wave = 0.2 * np.sin(np.arange(22050) * 0.05) + 0.05 * rng.standard_normal(22050)
        soundfile.write(folder / "wavs" / f"{name}.wav", wave, 22050)
    text = "".join(f"{name}|{text}|{text}\n" for name, text in clips) if metadata is None else metadata
    (folder / "metadata.csv").write_text(text)
    return folder


CLIPS = [(f"clip{i}", f"This is sentence number {i}.") for i in range(10)]


def test_help_and_listing_teach(capsys):
    names = ("train", "synthesize", "demo", "evaluate", "listen", "plot", "phones")
    for arguments in ([], ["--help"], ["train"], *([name, "--help"] for name in names)):
        assert main(arguments) == 0
        assert len(capsys.readouterr().out.splitlines()) > 2


def test_unknown_command(capsys):
    fails(capsys, ["trian"], "unknown command 'trian'; did you mean train")


def test_unknown_recipe_and_key(capsys, folder):
    fails(capsys, ["train", "recipe=dmo"], "unknown recipe 'dmo'; did you mean demo")
    fails(capsys, ["train", "recipe=demo", "audio.n_mel=3"], "unknown key audio.n_mel; did you mean audio.n_mels")
    fails(capsys, ["train", "epochs=3"], "which recipe")
    assert list(folder.iterdir()) == []


def test_missing_data_folder(capsys, folder):
    said = ("data/LJSpeech-1.1", r"https://\S*LJSpeech-1.1.tar.bz2", "data.root=")
    fails(capsys, ["train", "recipe=ljspeech"], *said)
    fails(capsys, ["train", "recipe=own", "data.root=nowhere"], "nowhere", "metadata.csv")
    assert list(folder.iterdir()) == []


def test_empty_metadata(capsys, folder):
    corpus = own_corpus(folder / "corpus", [], metadata="")
    fails(capsys, ["train", "recipe=own", f"data.root={corpus}"], "metadata.csv", "empty|no clip|no line")
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("content", [b"", b"RIFF\x00\x00\x00\x00WAVEfmt broken", b"not audio at all" * 99])
def test_corrupt_wavs_are_reported_and_too_many_of_them_end_it(capsys, folder, content):
    corpus = own_corpus(folder / "corpus", CLIPS)
    for name, _ in CLIPS[:5]:
        (corpus / "wavs" / f"{name}.wav").write_bytes(content)
    arguments = ["train", "recipe=own", f"data.root={corpus}", "stages=[prepare]", "data.workers=1"]
    fails(capsys, arguments, r"5 of 10", "report", r"data\.max_bad_share")


def test_a_few_bad_clips_are_left_out_and_named(capsys, folder):
    corpus = own_corpus(folder / "corpus", CLIPS)
    (corpus / "wavs" / "clip3.wav").write_bytes(b"")
    arguments = ["train", "recipe=own", f"data.root={corpus}", "stages=[prepare]", "data.workers=1"]
    assert main([*arguments, "data.max_bad_share=0.2"]) == 0
    assert "9 clips" in capsys.readouterr().out
    assert "clip3" in (folder / "runs/own/data/report.md").read_text()


def test_a_run_keeps_the_lexicon_it_was_trained_with(folder):
    corpus, words = own_corpus(folder / "corpus", CLIPS), folder / "words.tsv"
    words.write_text("zorb\tZ AO1 R B\n", encoding="utf-8")
    arguments = ["train", "recipe=own", f"data.root={corpus}", "stages=[prepare]", "data.workers=1"]
    assert main([*arguments, f"text.lexicon={words}"]) == 0
    assert (folder / "runs/own/lexicon.tsv").read_bytes() == words.read_bytes()


def test_missing_clips_need_permission(capsys, folder):
    corpus = own_corpus(folder / "corpus", CLIPS)
    for name, _ in CLIPS[:5]:
        (corpus / "wavs" / f"{name}.wav").unlink()
    arguments = ["train", "recipe=own", f"data.root={corpus}", "stages=[prepare]", "data.workers=1"]
    fails(capsys, arguments, "5 of 10", r"data\.allow_missing=true")
    assert main([*arguments, "data.allow_missing=true"]) == 0
    assert "5 clips" in capsys.readouterr().out


def test_synthesize_options(capsys, folder):
    fails(capsys, ["synthesize", "hello", "vioce=runs/x"], "unknown option 'vioce=runs/x'; did you mean voice")
    fails(capsys, ["synthesize", "hello", "out=hello.mp3"], r"\.wav or \.flac")
    fails(capsys, ["synthesize", "hello", "out=no/where.wav"], "does not exist")
    fails(capsys, ["synthesize", "hello", "seed=-1"], "whole number")
    fails(capsys, ["synthesize", "hello", "plot=maybe"], "true or false")
    fails(capsys, ["synthesize", "hello", "rate=fast"], "rate=fast: a number")
    fails(capsys, ["synthesize", "hello", "rate=3"], r"rate=3: a number from 0\.5 to 2\.0")
    fails(capsys, ["synthesize", "hello", "times=words.txt"], r"words\.txt: .*\.json, \.srt, \.TextGrid")
    fails(capsys, ["synthesize", "hello", "times=no/words.srt"], "does not exist")
    fails(capsys, ["synthesize", "hello", "folds=0"], "folds=0: at least 1")
    fails(capsys, ["synthesize", "hello", "out=-", "times=words.srt"], "times= needs the whole speech", "out=-")
    fails(capsys, ["synthesize", "hello", "voice=runs/none"], "runs/none is no folder")
    fails(capsys, ["synthesize", "file=none.txt"], "none.txt")
    assert list(folder.iterdir()) == []


def test_a_voice_without_a_checkpoint(capsys, folder):
    (folder / "voice").mkdir()
    fails(capsys, ["synthesize", "hello", "voice=voice"], "no trained acoustic model", "train.py")
    (folder / "voice" / "acoustic").mkdir()
    (folder / "voice" / "acoustic" / "best.safetensors").write_bytes(b"something else")
    fails(capsys, ["synthesize", "hello", "voice=voice"], "damaged or no safetensors")
    assert not (folder / "speech.wav").exists()


def test_a_device_that_is_not_there(capsys, folder):
    (folder / "voice").mkdir()
    fails(capsys, ["synthesize", "hello", "voice=voice", "device=gpu"], "device=gpu: .*device=cpu always works")
