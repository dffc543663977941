"""Streaming shards, from a folder and from a web server: the same batches at every time, whole or shared."""

import io
import json
import shutil
import tarfile
import threading
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
import soundfile
import torch

from tests.serving import serving
from tests.streaming import (
    ACOUSTIC,
    PARTS,
    ROOMY,
    VOCODER,
    Files,
    assert_shares_are_the_batches,
    row_source,
    sentence,
    some,
)
from tests.test_data import AUDIO, Letters, voice
from tts.audio.files import from_int16, write_wave
from tts.batch import Utterance
from tts.data import storage
from tts.data import stream as streams
from tts.data.ahead import ahead
from tts.data.cache import load_mel, load_wave
from tts.data.manifest import load_prepared
from tts.data.part import Part
from tts.data.prepare import prepare
from tts.data.shard_source import ShardReader, ShardSource, read_index
from tts.data.shards import write_shards
from tts.data.stream import AcousticBatching, StreamDataset, Wanted, stream_loader
from tts.data.streamed import StreamedShards, open_streamed
from tts.errors import ConfigError, DataError
from tts.settings import AcousticStage, DataConfig, Recipe

N_CLIPS = 40


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Forty prepared clips of growing length in about six shards."""
    folder = tmp_path_factory.mktemp("streaming")
    utterances = []
    for i in range(N_CLIPS):
        path = folder / "corpus" / f"clip{i:02}.wav"
        path.parent.mkdir(exist_ok=True)
        write_wave(path, voice(0.4 + 0.02 * i, i), 8000)
        utterances.append(Utterance(path.stem, path, sentence(i), "ab"[i % 2]))
    recipe = Recipe(audio=AUDIO, data=DataConfig(cache=str(folder / "cache"), held_out=3, workers=1))
    prepared = prepare(recipe, folder / "run", utterances, Letters(), progress=False)
    n_shards = write_shards(prepared, folder / "shards", 60_000, progress=False)
    assert n_shards >= 5
    return folder, prepared


@pytest.fixture(scope="module")
def files():
    """Sixty rows in three files."""
    return Files(20, 13, 27)


@pytest.fixture
def shards(made, tmp_path):
    """A copy of the shards to be damaged."""
    return Path(shutil.copytree(made[0] / "shards", tmp_path / "shards"))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(storage, "WAITS", (0.01, 0.02))


def shard_source(address, window=12, seed=0):
    return ShardSource(read_index(str(address)), window, seed)


# --- shards ---


def test_a_shard_is_a_tar_file_of_the_cleaned_clips(made):
    folder, prepared = made
    clips = {clip.id: clip for clip in prepared.clips}
    seen = []
    for path in sorted((folder / "shards").glob("*.tar")):
        with tarfile.open(path) as tar:
            files = {member.name: tar.extractfile(member).read() for member in tar}
        for name in files:
            id_, _, kind = name.rpartition(".")
            if kind == "flac":
                seen.append(id_)
                wave, rate = soundfile.read(io.BytesIO(files[name]), dtype="int16")
                assert rate == 8000
                assert torch.equal(from_int16(torch.from_numpy(wave)), load_wave(clips[id_].cache_file))
            else:
                assert json.loads(files[name])["text"] == clips[id_].text
    assert sorted(seen) == sorted(clips)
    assert seen != sorted(seen), "neighbours are spread"


def test_an_epoch_has_every_training_clip_once_as_prepared(made):
    folder, prepared = made
    train = {clip.id: clip for clip in prepared.split("train")}
    source = shard_source(folder / "shards")
    orders = []
    for epoch in range(2):
        rows = [int(row) for window in source.windows(epoch) for row in window]
        names = [source.index.name(row) for row in rows]
        assert sorted(names) == sorted(train)
        orders.append(names)
    assert orders[0] != orders[1]
    for batch in islice(stream_loader(source, ACOUSTIC, 0), 6):
        assert len(batch.ids) <= 3
        for row, id_ in enumerate(batch.ids):
            clip = train[id_]
            assert torch.equal(batch.mel[row, :, : clip.n_frames], load_mel(clip.cache_file))
            assert batch.text_ids[row, : len(clip.ids)].tolist() == list(clip.ids)
            assert prepared.speakers[batch.speaker_ids[row]] == clip.speaker


def test_a_window_is_sorted_by_length(made):
    source = shard_source(made[0] / "shards", window=1000)
    lengths = [
        [pick.example.wave.numel() for pick in batch] for batch in islice(source.batches(ACOUSTIC, Wanted()), 12)
    ]
    assert sum(map(sum, lengths)) / sum(len(one) * max(one) for one in lengths) > 0.9
    assert [max(one) for one in lengths] != sorted(max(one) for one in lengths)


def test_segments_of_shards_are_those_of_the_clips(made):
    folder, prepared = made
    clips = {clip.id: clip for clip in prepared.clips}
    source = shard_source(folder / "shards")
    picks = next(iter(source.batches(VOCODER, Wanted(5))))
    batch = VOCODER.make(picks)
    hop = AUDIO.hop_length
    assert batch.wave.shape == (4, 16 * hop) and batch.mel.shape == (4, 10, 20) and batch.loss_from == 6 * hop
    for row, (example, first) in enumerate(picks):
        clip = clips[example.id]
        inside = load_wave(clip.cache_file)[first * hop : (first + 10) * hop]
        assert torch.equal(batch.wave[row, 6 * hop :][: len(inside)], inside)
        mel = load_mel(clip.cache_file)[:, first : first + 12]
        assert torch.equal(batch.mel[row, :, 8:][:, : mel.shape[1]], mel)


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("batching", [ACOUSTIC, VOCODER])
def test_a_web_server_gives_the_same_batches_as_a_folder(made, ranges, batching):
    folder = made[0] / "shards"
    with serving(folder, ranges) as server:
        over_http = some(shard_source(server.address + "/"), 8, batching)
        asked = Counter(server.requests)
    assert over_http == some(shard_source(folder), 8, batching)
    whole = [name for name in asked if name.startswith("GET shard") and name.endswith("200")]
    assert bool(whole) is not ranges


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("batching", [ACOUSTIC, VOCODER])
def test_shards_go_on_with_the_very_next_batch(made, batching, part):
    source = shard_source(made[0] / "shards")
    straight = some(source, 62, batching, part=part)
    assert len(set(straight)) > 50 // part.of  # a corpus so small has a batch again now and then
    for n in range(0, 60, 7):
        assert some(source, 2, batching, start=n, part=part) == straight[n : n + 2]
    planned = list(islice(source.planned(batching, 0, part.of), 60))
    assert [next(source.planned(batching, n, part.of)) for n in range(60)] == planned
    assert straight != some(shard_source(made[0] / "shards", seed=1), 62, batching, part=part)


@pytest.mark.parametrize("batching", [ROOMY, VOCODER])
def test_shares_of_shards_are_the_batches_of_one_process(made, batching):
    assert_shares_are_the_batches(shard_source(made[0] / "shards", window=20), batching)


def test_a_process_reads_its_share_of_the_clips_alone(made):
    read = []

    def counted(reader, row):
        read.append(row)
        return wave(reader, row)

    wave = ShardReader.wave
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ShardReader, "wave", counted)
        source = shard_source(made[0] / "shards")
        shares = [len(picks) for picks in islice(source._read(ROOMY, Wanted(part=PARTS[2])), 9)]
    assert len(read) == sum(shares) <= 2 * 9


def test_every_process_has_a_clip_of_every_streamed_batch(made, tmp_path):
    """Also of the rest of an epoch, which then is one window with what is before it or behind it."""
    lone = AcousticBatching(AUDIO, AcousticStage(batch_size=1, batch_frames=700))
    n_rows = sum(map(len, shard_source(made[0] / "shards").index.train_rows))
    three = [Part(rank, 3) for rank in range(3)]
    for source in (
        shard_source(made[0] / "shards", window=n_rows - 1),
        row_source(Files(6, 4), tmp_path, window=9),
    ):
        shares = [source.batches(lone, Wanted(part=part)) for part in three]
        for each in islice(zip(*shares, strict=True), 2 * n_rows // 3):
            assert all(each)
    with pytest.raises(ConfigError, match=r"\d+ clips to train on for 99 processes"):
        some(shard_source(made[0] / "shards"), 1, part=Part(0, 99))
    with pytest.raises(ConfigError, match=r"10 rows of the stream to train on for 11 processes"):
        some(row_source(Files(6, 4), tmp_path), 1, part=Part(0, 11))
    with pytest.raises(ConfigError, match=r"4 segments of a batch \(batch_size\) for 5 processes"):
        some(shard_source(made[0] / "shards"), 1, VOCODER, part=Part(0, 5))


@pytest.mark.parametrize("start", [0, 5])
def test_loading_processes_make_batches_in_turn(made, files, tmp_path, monkeypatch, start):
    for source in (shard_source(made[0] / "shards"), row_source(files, tmp_path)):
        alone = [batch.ids for batch in islice(StreamDataset(source, ACOUSTIC, start, PARTS[2]), 6)]
        for worker in range(2):
            info = SimpleNamespace(id=worker, num_workers=2)
            monkeypatch.setattr(streams, "get_worker_info", lambda info=info: info)
            made_here = [batch.ids for batch in islice(StreamDataset(source, ACOUSTIC, start, PARTS[2]), 3)]
            assert made_here == alone[worker::2]
        monkeypatch.undo()
    assert not list(tmp_path.iterdir()), "the first process alone writes where windows begin"


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine of one core
def test_processes_that_load_change_no_batch(made):
    source = shard_source(made[0] / "shards")
    alone = [batch.ids for batch in islice(stream_loader(source, ACOUSTIC, 0, 5), 5)]
    loader = iter(stream_loader(source, ACOUSTIC, 2, 5))
    assert [batch.ids for batch in islice(loader, 5)] == alone
    loader._shutdown_workers()


def test_shards_are_written_once(made):
    folder, prepared = made
    before = {path: path.stat().st_mtime_ns for path in (folder / "shards").iterdir()}
    write_shards(prepared, folder / "shards", 60_000, progress=False)
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "shards").iterdir()}


# --- faults of the network and of what is served ---


def test_a_server_that_stumbles_is_asked_again(shards):
    expected = some(shard_source(shards), 6)
    with serving(shards) as server:
        server.faults = {"index.json": [500, 503], **{path.name: [500, 500] for path in shards.glob("*.tar")}}
        assert some(shard_source(server.address), 6) == expected
        server.faults = {path.name: ["cut", "flip"] for path in shards.glob("*.tar")}
        assert some(shard_source(server.address), 6) == expected
    with serving(shards, ranges=False) as server:
        server.faults = {path.name: ["cut", "cut", "flip"] for path in shards.glob("*.tar")}
        assert some(shard_source(server.address), 6) == expected


def test_a_server_that_stays_down_is_an_error_that_says_so(shards):
    with serving(shards) as server:
        source = shard_source(server.address)
        server.always = {path.name: 500 for path in shards.glob("*.tar")}
        said = rf"cannot read {server.address}/shard-0000\d.tar: HTTP 500 Internal Server Error, after 3 attempts"
        with pytest.raises(DataError, match=said):
            some(source, 1)
        with pytest.raises(DataError, match=r"elsewhere/index.json: HTTP 404 Not Found; check the address"):
            read_index(f"{server.address}/elsewhere")
        server.always = {path.name: "cut" for path in shards.glob("*.tar")}
        with pytest.raises(DataError, match=r"shard-0000\d.tar: cut off, \d+ bytes are missing, after 3 attempts"):
            some(source, 1)
        address = server.address
    with pytest.raises(DataError, match=r"refused, after 3 attempts"):
        read_index(address)
    with pytest.raises(DataError, match=r"cannot read .*nowhere/index.json: No such file"):
        read_index("nowhere")


def test_a_damaged_shard_is_named(shards):
    for path in shards.glob("*.tar"):
        content = bytearray(path.read_bytes())
        for place in range(1000, len(content), 1000):
            content[place] ^= 255
        path.write_bytes(content)
    said = r"shard-0000\d.tar is damaged: the clip clip\d\d has another checksum .*; copy shard-0000\d.tar there again"
    with pytest.raises(DataError, match=said):
        some(shard_source(shards), 30)
    with serving(shards) as server, pytest.raises(DataError, match=said):
        some(shard_source(server.address), 30)
    for path in shards.glob("*.tar"):
        path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"shard-0000\d.tar is cut off before byte \d+; copy it again"):
        some(shard_source(shards), 30)
    said = r"shard-0000\d.tar: cut off, \d+ bytes are missing, after 3 attempts"
    with serving(shards) as server, pytest.raises(DataError, match=said):
        some(shard_source(server.address), 30)
    said = r"shard-0000\d.tar ends before byte \d+; copy the file there again"
    with serving(shards, ranges=False) as server, pytest.raises(DataError, match=said):
        some(shard_source(server.address), 30)
    (shards / "clips.safetensors").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"index.json or a file beside it is damaged"):
        read_index(str(shards))


# --- what a run keeps of shards ---


def streaming(made, address, **data):
    config = DataConfig(shards=str(address), window=12, **data)
    return Recipe(audio=AUDIO, stages=["prepare", "acoustic", "vocoder"], data=config)


def test_a_run_keeps_held_out_clips_and_statistics_of_shards(made, tmp_path):
    folder, prepared = made
    with serving(folder / "shards") as server:
        streamed = open_streamed(streaming(made, server.address), Letters())
        kept = streamed.prepare(tmp_path)
        n_requests = len(server.requests)
        again = open_streamed(streaming(made, server.address), Letters()).prepare(tmp_path)
        assert len(server.requests) == n_requests + 3, "only the index is read again"
    assert list(again.clips) == list(kept.clips) == list(load_prepared(tmp_path, AUDIO, "letters").clips)
    assert {c.id for c in kept.split("held_out")} == {c.id for c in prepared.split("held_out")}
    by_id = {clip.id: clip for clip in prepared.clips}
    for clip in kept.clips:
        assert replace(clip, cache_file=by_id[clip.id].cache_file) == by_id[clip.id]
        assert torch.equal(load_mel(clip.cache_file), load_mel(by_id[clip.id].cache_file))
    torch.testing.assert_close(kept.mel_mean, prepared.mel_mean)
    assert kept.speakers == prepared.speakers and kept.frames_per_symbol == prepared.frames_per_symbol
    assert kept.whole.hours == pytest.approx(prepared.hours("train"))


def test_shards_of_another_make_are_refused(made, tmp_path, monkeypatch):
    folder, prepared = made
    recipe = streaming(made, folder / "shards")
    with pytest.raises(DataError, match=r"data.shards=.* another mel contract: loudness -23.0 != -20.0"):
        open_streamed(replace(recipe, audio=replace(AUDIO, loudness=-20.0)), Letters())
    monkeypatch.setattr(Letters, "fingerprint", "others")
    with pytest.raises(DataError, match="another text frontend: letters != others"):
        open_streamed(recipe, Letters())
    monkeypatch.undo()
    StreamedShards(recipe, Letters()).prepare(tmp_path)
    (tmp_path / "acoustic").mkdir()
    (tmp_path / "acoustic/last.ckpt").touch()
    write_shards(prepared, tmp_path / "other", 40_000, progress=False)
    other = open_streamed(streaming(made, tmp_path / "other"), Letters())
    with pytest.raises(DataError, match=r"began with another corpus .*run=runs/NEW"):
        other.source(other.prepare(tmp_path), tmp_path)


def test_what_a_stream_cannot_do_is_refused(made):
    recipe = streaming(made, made[0] / "shards")
    with pytest.raises(ConfigError, match="the stage gta needs all clips on the disk"):
        open_streamed(replace(recipe, stages=["gta"]), Letters())
    joined = replace(recipe.trainer, acoustic=AcousticStage(join=0.5))
    with pytest.raises(ConfigError, match="neither joined nor cut"):
        open_streamed(replace(recipe, trainer=joined), Letters())
    own = replace(recipe, data=DataConfig(corpus="own", stream=True))
    with pytest.raises(ConfigError, match=r"data.corpus=own cannot be streamed; data.corpus=huggingface can"):
        open_streamed(own, Letters())
    with pytest.raises(ConfigError, match="take one of them"):
        DataConfig(shards="x", stream=True)
    assert open_streamed(replace(recipe, data=DataConfig()), Letters()) is None


def test_what_is_made_ahead_keeps_its_order_and_its_errors():
    def items():
        yield from range(5)
        raise DataError("broken")

    running = ahead(items(), 2)
    assert list(islice(running, 5)) == list(range(5))
    with pytest.raises(DataError, match="broken"):
        next(running)
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield 1
        finally:
            closed.set()

    running = ahead(endless(), 2)
    next(running)
    running.close()
    assert closed.wait(5)
