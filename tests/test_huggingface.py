"""Data sets of the library `datasets`, from Parquet files and folders on this machine."""

import io
import json
import sys

import numpy as np
import pytest
import soundfile

from tests.toy import SMALL, WORDS
from tts.cli import main
from tts.corpora import huggingface
from tts.corpora._columns import ColumnsConfig, find_columns
from tts.errors import DataError


@pytest.fixture
def library(tmp_path, monkeypatch):
    """The library, with its own cache aside."""
    datasets = pytest.importorskip("datasets", reason="datasets is not installed (pip install tts[huggingface])")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "library")
    datasets.disable_progress_bars()
    huggingface._load.cache_clear()
    return datasets


def encoded(number, kind="FLAC"):
    content = io.BytesIO()
    wave = 0.3 * np.sin(2 * np.pi * (200 + 30 * number) * np.arange(8000) / 16000)
    soundfile.write(content, wave, 16000, format=kind)
    return content.getvalue()


def write_parquet(path, n_rows=12, **columns):
    import pyarrow
    from pyarrow import parquet

    table = {
        "audio": [{"bytes": encoded(number), "path": f"clip{number}.flac"} for number in range(n_rows)],
        "text": [f"{WORDS[number]} {WORDS[number - 1]}." for number in range(n_rows)],
        "speaker_id": [number % 2 + 7 for number in range(n_rows)],
        **columns,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table({name: column for name, column in table.items() if column is not None}), path)
    return path


def listed(tmp_path, **settings):
    return list(huggingface.read(huggingface.Config(cache=str(tmp_path / "cache"), **settings)))


# columns


def test_columns_are_recognised_or_named():
    cfg = ColumnsConfig()
    assert find_columns(["audio", "sentence"], cfg) == ("audio", "sentence", "", "")
    assert find_columns(["id", "audio", "text", "normalized_text", "speaker_id"], cfg) == (
        *("audio", "normalized_text", "speaker_id", "id"),
    )
    for name in ("text", "transcription", "sentence", "normalized_text"):
        assert find_columns(["audio", "other", name], cfg).text == name
    named = ColumnsConfig(audio_column="sound", text_column="caption", speaker_column="voice")
    assert find_columns(["sound", "caption", "voice", "text", "audio"], named) == ("sound", "caption", "voice", "")


@pytest.mark.parametrize(
    ("there", "settings", "message"),
    [
        (
            ["audio", "caption"],
            {},
            r"recognised as the text \(normalized_text.* among audio, caption; name it: data.text_",
        ),
        (["sound", "text"], {}, r"recognised as the audio \(audio\) among sound, text; name it: data.audio_column=COL"),
        (["audio", "text"], {"text_column": "txt"}, r"data\.text_column: there is no 'txt'; did you mean text\?"),
        (
            ["audio", "text"],
            {"speaker_column": "voice"},
            r"data\.speaker_column: there is no 'voice' \(there is: audio",
        ),
    ],
)
def test_columns_that_are_not_there(there, settings, message):
    with pytest.raises(DataError, match=message):
        find_columns(there, ColumnsConfig(**settings))


# reading


@pytest.mark.parametrize("place", ["file", "folder", "saved", "saved splits"])
def test_rows_become_utterances(library, tmp_path, place):
    file = write_parquet(tmp_path / "data" / "train-0.parquet", 4, id=["a", "b", "c", "d"])
    root = {"file": file, "folder": file.parent}.get(place, tmp_path / "saved")
    if root == tmp_path / "saved":
        split = "train" if place == "saved" else None  # None: all splits, by name
        library.load_dataset("parquet", data_files=str(file), split=split).save_to_disk(str(root))
    found = listed(tmp_path, root=str(root))
    assert [(u.id, u.text, u.speaker) for u in found] == [
        *[("a", "one twelve.", "7"), ("b", "two one.", "8"), ("c", "three two.", "7"), ("d", "four three.", "8")],
    ]
    assert [u.audio_path.read_bytes() for u in found] == [encoded(number) for number in range(4)]
    assert all(u.audio_path.suffix == ".flac" and not u.lacks for u in found)
    times = [u.audio_path.stat().st_mtime_ns for u in found]
    assert [u.audio_path.stat().st_mtime_ns for u in listed(tmp_path, root=str(root))] == times  # written once


def test_files_are_read_where_they_are(library, tmp_path):
    path = tmp_path / "there.wav"
    path.write_bytes(encoded(0, "WAV"))
    file = write_parquet(tmp_path / "a.parquet", 2, audio=[str(path), str(tmp_path / "gone.wav")], speaker_id=None)
    there, gone = listed(tmp_path, root=str(file))
    assert there.audio_path == path and (there.id, there.speaker, there.lacks) == ("0000000", "", "")
    assert gone.lacks == "no sound"


def test_rows_without_text_or_sound_are_listed(library, tmp_path):
    audio = [{"bytes": encoded(0), "path": None}, None, None]
    file = write_parquet(tmp_path / "a.parquet", 3, audio=audio, text=[None, "one", " "])
    assert [u.lacks for u in listed(tmp_path, root=str(file))] == ["no text", "no sound", "no text and no sound"]


def test_a_damaged_file_in_the_cache_is_written_again(library, tmp_path):
    file = write_parquet(tmp_path / "a.parquet", 1)
    (first,) = listed(tmp_path, root=str(file))
    first.audio_path.write_bytes(b"")
    (again,) = listed(tmp_path, root=str(file))
    assert again.audio_path.read_bytes() == encoded(0)


def test_what_cannot_be_loaded_is_one_line(library, tmp_path):
    for settings in ({}, {"root": "a", "dataset": "b/c"}):
        with pytest.raises(DataError, match=r"which data set\? data\.dataset=OWNER/NAME"):
            listed(tmp_path, **settings)
    with pytest.raises(DataError, match=r"data\.root=.*nowhere is not there"):
        listed(tmp_path, root=str(tmp_path / "nowhere"))
    (tmp_path / "a.parquet").write_bytes(b"no table")
    file = write_parquet(tmp_path / "data" / "train-0.parquet", 2)
    for settings, reason in (
        ({"root": str(tmp_path / "a.parquet")}, r"a\.parquet cannot be loaded"),
        ({"root": str(file.parent), "split": "tran"}, 'Unknown split "tran"'),
    ):
        with pytest.raises(DataError, match=reason) as caught:
            listed(tmp_path, **settings)
        assert "\n" not in str(caught.value)


def test_without_the_library_it_says_what_to_install(tmp_path, monkeypatch):
    huggingface._load.cache_clear()
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"not installed: pip install 'tts\[huggingface\]'"):
        listed(tmp_path, root=str(tmp_path))


def test_the_recipe_prepares_a_parquet_file(library, tmp_path, capsys):
    file = write_parquet(tmp_path / "a.parquet")
    where = [f"data.root={file}", f"data.cache={tmp_path / 'cache'}", f"run={tmp_path / 'run'}", "stages=[prepare]"]
    assert main(["train", "recipe=huggingface", *where, *SMALL]) == 0
    columns = "audio from 'audio', text from 'text', speaker from 'speaker_id'"
    assert f"huggingface: {file}, split train, {columns}: 12 clips of 2 speakers" in capsys.readouterr().out
    assert json.loads((tmp_path / "run/data/statistics.json").read_text())["speakers"] == ["7", "8"]
