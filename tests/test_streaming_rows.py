"""Data sets of the Hugging Face library while they are read: Parquet and tar files, from a disk and a web server."""

import io
import json
from itertools import islice
from pathlib import Path

import pytest
import soundfile

from tests.serving import serving
from tests.streaming import PARTS, sentence, some
from tests.test_data import AUDIO, Letters, voice
from tts.audio.files import write_wave
from tts.batch import Utterance
from tts.corpora import huggingface
from tts.corpora._columns import Columns
from tts.corpora._rows import expand, find_files, recognise
from tts.data.prepare import prepare
from tts.data.row_source import Cleaner, RowSource
from tts.data.shards import write_shards
from tts.errors import DataError
from tts.settings import DataConfig, Recipe

TABLE = {"audio": {"bytes": "binary", "path": "string"}, "text": "string", "speaker_id": "int64"}
SPEAKERS = {"_type": "ClassLabel", "names": ["ann"]}
FEATURES = {"audio": {"_type": "Audio"}, "text": {"dtype": "string", "_type": "Value"}, "speaker_id": SPEAKERS}


def test_columns_are_recognised_by_name_or_as_the_user_says():
    config = huggingface.Config
    assert recognise(TABLE, config()) == Columns("audio", "text", "speaker_id", "")
    tar = {"flac": TABLE["audio"], "json": {"text": "string", "speaker": "string"}, "__key__": "string"}
    assert recognise(tar, config()) == Columns("flac", "json.text", "json.speaker", "__key__")
    assert recognise({**TABLE, "words": "string"}, config(text_column="words")).text == "words"
    with pytest.raises(DataError, match=r"data.text_column: there is no 'texts'; did you mean text\?"):
        recognise(TABLE, config(text_column="texts"))
    with pytest.raises(DataError, match=r"no column is recognised as the text .*data.text_column=COLUMN"):
        recognise({"audio": TABLE["audio"]}, config())


def test_files_are_found(tmp_path):
    assert expand("http://h/{08..10}.tar") == ["http://h/08.tar", "http://h/09.tar", "http://h/10.tar"]
    with pytest.raises(DataError, match=r"is no folder, .*; of the hub: data.dataset=org/name"):
        find_files("org/name")
    with pytest.raises(DataError, match=r"is a folder without .parquet or .tar files"):
        find_files(str(tmp_path))
    with pytest.raises(DataError, match=r"is no folder, and names no .parquet or .tar file"):
        find_files("http://host/folder")
    with pytest.raises(DataError, match="which data set"):
        huggingface.rows(huggingface.Config())


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    """Three files of ten rows."""
    pytest.importorskip("datasets")
    arrow, table = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    folder = tmp_path_factory.mktemp("parquet")
    for file in range(3):
        rows = []
        for number in range(10 * file, 10 * file + 10):
            encoded = io.BytesIO()
            soundfile.write(encoded, voice(0.5 + 0.02 * number, number).numpy(), 8000, format="FLAC")
            sound = {"bytes": encoded.getvalue(), "path": f"clip{number:02}.flac"}
            rows.append({"audio": sound, "text": sentence(number), "speaker_id": 0})
        told = {"huggingface": json.dumps({"info": {"features": FEATURES}})}  # as the library writes its own files
        table.write_table(
            arrow.Table.from_pylist(rows).replace_schema_metadata(told),
            folder / f"part-{file}.parquet",
            row_group_size=4,
        )
    return folder


@pytest.fixture
def impatient(monkeypatch):
    datasets = pytest.importorskip("datasets")
    for kind in ("READ", "OPEN"):
        monkeypatch.setattr(datasets.config, f"STREAMING_{kind}_RETRY_INTERVAL", 0.01)
        monkeypatch.setattr(datasets.config, f"STREAMING_{kind}_MAX_RETRIES", 3)


def source(root, journal):
    rows = huggingface.rows(huggingface.Config(root=str(root), stream=True))
    return RowSource(rows, Cleaner(Letters(), AUDIO, DataConfig(window=8)), ["ann"], frozenset(), 0, journal)


@pytest.mark.parametrize("part", PARTS)
def test_parquet_goes_on_with_the_very_next_batch_here_and_over_http(parquet, tmp_path, part):
    straight = some(source(parquet, tmp_path / "here"), 53, part=part)
    assert len(set(straight)) > 30 // part.of
    for n in (1, 9, 50):
        assert some(source(parquet, tmp_path / "here"), 2, start=n, part=part) == straight[n : n + 2]
    with serving(parquet) as server:
        pattern = f"{server.address}/part-{{0..2}}.parquet"
        assert some(source(pattern, tmp_path / "there"), 5, part=part) == straight[:5]
        assert some(source(pattern, tmp_path / "there"), 3, start=50, part=part) == straight[50:53]


def test_rows_are_those_of_the_files(parquet):
    files = huggingface.rows(huggingface.Config(root=str(parquet), stream=True))
    assert [Path(name).name for name in files.names] == ["part-0.parquet", "part-1.parquet", "part-2.parquet"]
    rows = list(files.rows(1, 7))
    assert [(row.id, row.text, row.speaker) for row in rows] == [(f"clip{n}", sentence(n), "ann") for n in (17, 18, 19)]
    samples, rate = soundfile.read(io.BytesIO(rows[0].audio), dtype="float32")
    assert rate == 8000 and len(samples) == round(0.84 * 8000)


def test_a_server_that_stumbles_is_asked_again_and_one_that_stays_down_is_named(parquet, tmp_path, impatient):
    expected = some(source(parquet, tmp_path / "here"), 5)
    with serving(parquet) as server:
        pattern = f"{server.address}/part-{{0..2}}.parquet"
        stumbling = source(pattern, tmp_path / "there")
        server.faults = {path.name: [500, 500] for path in parquet.iterdir()}
        assert some(stumbling, 5) == expected
        server.always = {path.name: 500 for path in parquet.iterdir()}
        said = rf"part-\d.parquet: cannot read data.root=.*500.*Internal Server Error.*url=.*{server.server_port}"
        with pytest.raises(DataError, match=said):
            some(stumbling, 30, start=30)


def test_parquet_wants_a_server_that_answers_range_requests(parquet):
    with (
        serving(parquet, ranges=False) as server,
        pytest.raises(DataError, match=r"serve it by nginx.* or take tar files"),
    ):
        huggingface.rows(huggingface.Config(root=f"{server.address}/part-0.parquet", stream=True))


def test_a_damaged_file_is_named(parquet, tmp_path):
    for path in parquet.iterdir():
        content = bytearray(path.read_bytes())
        if path.name != "part-0.parquet":
            content[200 : len(content) // 2] = bytes(len(content) // 2 - 200)
        (tmp_path / path.name).write_bytes(content)
    with pytest.raises(
        DataError, match=r"part-[12].parquet: cannot read data.root=.* check .* that the files are whole"
    ):
        some(source(tmp_path, tmp_path / "journal"), 30)
    (tmp_path / "part-0.parquet").write_bytes(b"")
    with pytest.raises(DataError, match=r"cannot read data.root="):
        huggingface.rows(huggingface.Config(root=str(tmp_path), stream=True))


def test_shards_are_read_as_tar_files_of_webdataset(tmp_path):
    """Those that `data.format=shards` writes are a data set for others too."""
    pytest.importorskip("datasets")
    prepared = _prepared(tmp_path)
    write_shards(prepared, tmp_path / "shards", 10**9, progress=False)
    files = huggingface.rows(huggingface.Config(root=str(tmp_path / "shards"), stream=True))
    rows = [row for file in range(files.n_files) for row in islice(files.rows(file, 0), 99)]
    assert sorted((row.id, row.text, row.speaker) for row in rows) == [
        (c.id, c.text, c.speaker) for c in prepared.clips
    ]
    assert all(row.audio.startswith(b"fLaC") for row in rows)


def _prepared(folder):
    utterances = []
    for i in range(8):
        path = folder / "corpus" / f"clip{i}.wav"
        path.parent.mkdir(exist_ok=True)
        write_wave(path, voice(0.5, i), 8000)
        utterances.append(Utterance(path.stem, path, sentence(i), "ann"))
    recipe = Recipe(audio=AUDIO, data=DataConfig(cache=str(folder / "cache"), held_out=1, workers=1))
    return prepare(recipe, folder / "run", utterances, Letters(), progress=False)
