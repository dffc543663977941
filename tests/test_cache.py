"""The cache under several processes, kills and cleaning up; columns; preparing in shares."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.test_data import AUDIO, Letters, corpus, recipe, run  # noqa: F401 - fixtures
from tts.atomic import STALE_SECONDS
from tts.cli import main
from tts.data import prepare as preparing
from tts.data.cache import ClipCache, read_facts
from tts.data.columns import checksum, load_columns
from tts.data.manifest import Clip, load_prepared, numbers
from tts.data.prepare import prepare, prepare_share
from tts.errors import DataError
from tts.settings import Share

ROOT = Path(__file__).parents[1]
# Prepares the corpus of the fixture over and over: its folder, its cache, the run, clips a second, and how often.
PREPARING = """
import sys, time
from pathlib import Path
from dataclasses import replace
from tests.test_data import AUDIO, SENTENCES, Letters
from tts.batch import Utterance
from tts.data import prepare as preparing
from tts.settings import DataConfig, Recipe

corpus, cache, run, seconds, times = sys.argv[1:]
make = preparing.make_entry
preparing.make_entry = lambda task: time.sleep(float(seconds)) or make(task)
utterances = [Utterance(f"clip{i}", Path(corpus) / f"clip{i}.wav", text) for i, text in enumerate(SENTENCES)]
recipe = Recipe(audio=AUDIO, data=DataConfig(cache=cache, held_out=2, workers=1))
for _ in range(int(times)):
    preparing.prepare(recipe, Path(run), utterances, Letters(), progress=False)
    print("prepared", flush=True)
"""


def start(tmp_path, name, seconds=0.0, times=1):
    arguments = [tmp_path / "corpus", tmp_path / "cache", tmp_path / name, seconds, times]
    here = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", PREPARING, *map(str, arguments)], env=here, stdout=subprocess.PIPE)


def entries(tmp_path):
    return {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("*.safetensors")}


def cache_command(tmp_path, *arguments):
    return main(["cache", *arguments, f"cache={tmp_path / 'cache'}"])


# --- several processes, and their death ---


def test_a_killed_prepare_goes_on_where_it_was(recipe, tmp_path, corpus):  # noqa: F811
    process = start(tmp_path, "run", seconds=0.1)
    try:
        while len(entries(tmp_path)) < 3:
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    before = entries(tmp_path)
    assert 3 <= len(before) < 10 and not (tmp_path / "run/data/manifest.jsonl").exists()
    prepared = run(recipe, tmp_path, corpus)
    after = entries(tmp_path)
    assert len(prepared.clips) == len(after) == 10 and before.items() <= after.items()
    # What the killed process left is swept out once it is old.
    for left in (tmp_path / "run/data").glob(".*.tmp"):
        os.utime(left, (time.time() - 2 * STALE_SECONDS,) * 2)
    run(recipe, tmp_path, corpus)
    assert not list((tmp_path / "run/data").glob(".*"))


def test_two_processes_prepare_at_once_while_the_cache_is_looked_after(recipe, tmp_path, corpus, capsys):  # noqa: F811
    (tmp_path / "cache").mkdir()
    both = [start(tmp_path, name, seconds=0.02, times=3) for name in ("one", "two")]
    refused = 0
    while any(process.poll() is None for process in both):
        assert cache_command(tmp_path, "verify") == 0, "no half-written entry is ever seen"
        refused += cache_command(tmp_path, "gc") != 0
    assert [process.communicate()[0].count(b"prepared") for process in both] == [3, 3]
    assert refused > 0 and "is in use, clips are being prepared; nothing was removed" in capsys.readouterr().err
    one, two = (load_prepared(tmp_path / name, AUDIO, "letters") for name in ("one", "two"))
    assert list(one.clips) == list(two.clips) and len(entries(tmp_path)) == 10
    manifests = [(tmp_path / name / "data/manifest.jsonl").read_bytes() for name in ("one", "two")]
    assert manifests[0] == manifests[1]
    assert not list((tmp_path / "cache").glob(".*.tmp"))


def test_a_full_disk_is_said_and_breaks_nothing(recipe, tmp_path, corpus, monkeypatch):  # noqa: F811
    write, written = Path.write_bytes, []

    def filling(path, content):
        if len(written) == 4:
            write(path, bytes(content)[:100])
            raise OSError(28, "No space left on device")
        written.append(path)
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", filling)
    with pytest.raises(DataError, match=r"cannot write .*: the disk is full; make room"):
        run(recipe, tmp_path, corpus)
    left = entries(tmp_path)
    assert 0 < len(left) < 10 and all(read_facts(tmp_path / "cache" / name) for name in left)
    monkeypatch.undo()
    assert len(run(recipe, tmp_path, corpus).clips) == 10 and left.items() <= entries(tmp_path).items()


# --- looking after it ---


def test_garbage_is_what_no_run_uses(recipe, tmp_path, corpus, capsys, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    prepare(recipe, tmp_path / "elsewhere/run", corpus, Letters(), progress=False)  # known to the cache alone
    used = set(entries(tmp_path))
    other = replace(recipe, data=replace(recipe.data, trim_db=30.0))
    prepare(other, tmp_path / "runs/other", corpus[:6], Letters(), progress=False)
    (tmp_path / "cache/index.json").write_text("{}")
    assert cache_command(tmp_path, "gc", "--dry-run") == 0 and len(entries(tmp_path)) == 16
    assert ": 0 entries, 0.00 MB, would be removed" in capsys.readouterr().out
    (tmp_path / "runs/other/data/manifest.jsonl").unlink()
    assert cache_command(tmp_path, "ls") == 0
    said = capsys.readouterr().out
    assert "16 entries" in said and "10 used by" in said and "trim_db=30.0" in said and "6 entries, " in said
    assert cache_command(tmp_path, "gc", "--dry-run") == 0 and len(entries(tmp_path)) == 16
    named = [Path(line).name for line in capsys.readouterr().out.splitlines() if line.endswith(".safetensors")]
    assert len(named) == 6 and not set(named) & used
    (tmp_path / "cache/alignments").mkdir()
    kept, gone = (tmp_path / "cache/alignments" / f"{Path(name).stem}-0a.json" for name in (min(used), named[0]))
    kept.write_text("[]"), gone.write_text("[]")
    assert cache_command(tmp_path, "gc") == 0 and set(entries(tmp_path)) == used
    assert not (tmp_path / "cache/index.json").exists()
    assert kept.exists() and not gone.exists()
    load_prepared(tmp_path / "elsewhere/run", AUDIO, "letters")
    # A manifest that cannot be read may name any entry.
    (tmp_path / "elsewhere/run/data/manifest.jsonl").write_text("{")
    assert cache_command(tmp_path, "gc") == 2 and set(entries(tmp_path)) == used
    assert "prepare that run again, or remove it" in capsys.readouterr().err


def test_every_byte_of_an_entry_counts(recipe, tmp_path, corpus, capsys):  # noqa: F811
    clip = run(recipe, tmp_path, corpus).clips[0]
    good = clip.cache_file.read_bytes()
    tensors = int.from_bytes(good[:8], "little") + 8
    for place in [*range(tensors, len(good), 997), len(good) - 1]:
        bad = bytearray(good)
        bad[place] ^= 1
        clip.cache_file.write_bytes(bad)
        assert read_facts(clip.cache_file) is None, place
    assert cache_command(tmp_path, "verify") == 1
    assert f"damaged: {clip.cache_file}" in capsys.readouterr().out and clip.cache_file.exists()
    assert cache_command(tmp_path, "verify", "remove=true") == 0 and not clip.cache_file.exists()
    run(recipe, tmp_path, corpus)
    assert clip.cache_file.read_bytes() == good and cache_command(tmp_path, "verify") == 0


def test_commands_that_are_not_understood_are_explained(tmp_path, capsys):
    assert main(["cache", "list"]) == 2 and "one of ls, verify, gc" in capsys.readouterr().err
    assert main(["cache", "gc", "dryrun=true"]) == 2 and "did you mean dry_run?" in capsys.readouterr().err
    assert cache_command(tmp_path, "gc") == 2 and "there is no cache at" in capsys.readouterr().err


# --- shares ---


def test_machines_prepare_their_shares_and_one_run_merges_them(recipe, tmp_path, corpus, monkeypatch):  # noqa: F811
    corpus[4].audio_path.write_bytes(b"broken")
    lenient = replace(recipe, data=replace(recipe.data, max_bad_share=0.2))
    alone = replace(lenient, data=replace(lenient.data, cache=str(tmp_path / "alone")))
    prepare(alone, tmp_path / "single", corpus, Letters(), progress=False)
    done = [
        prepare_share(lenient, tmp_path / f"run{k}", corpus, Letters(), Share.parse(f"{k}/3"), progress=False)
        for k in (1, 2, 3)
    ]
    assert [(share.n_clips, [clip.id for clip in share.left_out]) for share in done] == [
        (4, []),
        (3, ["clip4"]),
        (3, []),
    ]
    assert not (tmp_path / "run1/data/manifest.jsonl").exists()
    made = []
    make = preparing.make_entry
    monkeypatch.setattr(preparing, "make_entry", lambda task: made.append(task.audio_path) or make(task))
    prepare(lenient, tmp_path / "merged", corpus, Letters(), progress=False)
    assert made == [corpus[4].audio_path]
    single, merged = (tmp_path / name / "data" for name in ("single", "merged"))
    expected = (single / "manifest.jsonl").read_bytes().replace(b"/alone/", b"/cache/")
    assert (merged / "manifest.jsonl").read_bytes() == expected
    assert (merged / "statistics.json").read_bytes() == (single / "statistics.json").read_bytes()
    assert (merged / "report.json").read_bytes() == (single / "report.json").read_bytes()


def test_a_share_is_asked_for_on_the_command_line(tmp_path, corpus, capsys):  # noqa: F811
    folder = tmp_path / "corpus"
    (folder / "metadata.csv").write_text("".join(f"{u.id}|{u.text.replace('ddd', 'day')}\n" for u in corpus))
    common = ["train", "recipe=own", f"data.root={folder}", f"data.cache={tmp_path / 'cache'}", "data.workers=1"]
    assert main([*common, f"run={tmp_path / 'run'}", "shard=2/5"]) == 0
    assert "share 2 of 5: 2 of its 2 clips are in" in capsys.readouterr().out and len(entries(tmp_path)) == 2
    assert main([*common, f"run={tmp_path / 'run'}", "shard=6/5"]) == 2
    assert "shard=6/5: the number of this machine and how many there are" in capsys.readouterr().err


# --- columns ---


def test_what_all_clips_are_asked_is_answered_without_reading_them(recipe, tmp_path, corpus, monkeypatch):  # noqa: F811
    corpus[3] = replace(corpus[3], speaker="ann")
    prepared = run(recipe, tmp_path, corpus)
    clips, train = list(prepared.clips), list(prepared.split("train"))
    assert all(isinstance(clip, Clip) for clip in clips) and {clip.split for clip in train} == {"train"}
    assert sorted(clip.id for clip in [*train, *prepared.split("held_out")]) == sorted(clip.id for clip in clips)
    monkeypatch.setattr("tts.data.columns.LineFile.__getitem__", None)
    for name in ("n_samples", "n_frames", "n_symbols", "seconds"):
        assert numbers(prepared.clips, name).tolist() == [getattr(clip, name) for clip in clips]
        assert numbers(prepared.split("train"), name).tolist() == [getattr(clip, name) for clip in train]
    assert prepared.speakers == ("", "ann")
    assert prepared.hours("train") == pytest.approx(sum(clip.seconds for clip in train) / 3600)
    monkeypatch.undo()
    assert [clip.id for clip in prepared.clips[2:9:3]] == ["clip2", "clip5", "clip8"] and prepared.clips[-1] == clips[
        -1
    ]
    with pytest.raises(IndexError):
        prepared.clips[10]


def test_columns_that_do_not_fit_their_manifest_are_made_again(recipe, tmp_path, corpus):  # noqa: F811
    expected = list(run(recipe, tmp_path, corpus).clips)
    folder = tmp_path / "run/data"
    manifest, columns = folder / "manifest.jsonl", folder / "manifest.npz"
    whole = columns.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for damaged in (None, b"", whole[:-200], bytes(flipped)):
        columns.unlink()
        if damaged is not None:
            columns.write_bytes(damaged)
        assert list(load_prepared(tmp_path / "run", AUDIO, "letters").clips) == expected
        known = load_columns(columns, checksum(manifest))
        assert known is not None and known.columns.n_frames.tolist() == [clip.n_frames for clip in expected]
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join([*lines[5:], *lines[:5]]))  # as many bytes, in another order
    assert [clip.id for clip in load_prepared(tmp_path / "run", AUDIO, "letters").clips][:2] == ["clip5", "clip6"]


def test_clips_travel_to_other_processes_unless_their_file_has_changed(recipe, tmp_path, corpus):  # noqa: F811
    train = run(recipe, tmp_path, corpus).split("train")
    packed = pickle.dumps(train)
    assert list(pickle.loads(packed)) == list(train)
    before = list(train)
    run(recipe, tmp_path, corpus[:7])
    assert list(train) == before, "who has the old file open goes on with it"
    with pytest.raises(DataError, match="has changed while it was in use"):
        pickle.loads(packed)


def test_entries_from_before_a_setting_are_those_of_its_off_value(recipe, monkeypatch):  # noqa: F811
    monkeypatch.setattr("tts.audio.clean.missing", lambda: "")
    settings = json.loads(ClipCache(AUDIO, recipe.data).settings)
    assert settings == [1, AUDIO.fingerprint, 40.0, 0.05]
    changed = {"max_pause": 0.3, "high_pass": 60.0, "true_peak": -1.0, "reduce_noise": "auto"}
    keys = {ClipCache(AUDIO, replace(recipe.data, **{name: value})).settings for name, value in changed.items()}
    assert len(keys) == 4 and ClipCache(AUDIO, recipe.data).settings not in keys
