"""Own recordings as JSON lines and as pairs of files: recognised by themselves, or a word on what was looked for."""

import json

import numpy as np
import pytest
import soundfile

from tests.test_corpora import mine, write
from tests.toy import SMALL, WORDS, write_corpus
from tts.cli import main
from tts.corpora import own
from tts.errors import DataError


def lines(*entries):
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def said(root, **settings):
    return own.recognised(own.Config(root=str(root), **settings))


# JSON lines


def test_a_manifest_names_parts_and_speakers(tmp_path):
    write(
        tmp_path / "clips.jsonl",
        lines(
            {"audio": "talk.flac", "text": " Hello there. ", "speaker": "ann", "start": 0, "end": 1.5},
            {"audio": "talk.flac", "text": "And then?", "speaker": 7, "start": 1.5, "duration": 9},
            {"audio": "/far/b.wav", "text": "Alone.", "id": "mine", "end": None},
        )
        + "\n",
    )
    first, second, third = mine(tmp_path)
    assert (first.id, first.text, first.speaker, first.start, first.end) == (
        *("talk-00000.000", "Hello there.", "ann", 0.0, 1.5),
    )
    assert first.audio_path == second.audio_path == tmp_path / "talk.flac"
    assert (second.id, second.speaker, second.start, second.end) == ("talk-00001.500", "7", 1.5, 0.0)
    assert (third.id, third.speaker, str(third.audio_path), third.end) == ("mine", "", "/far/b.wav", 0.0)
    assert said(tmp_path) == f"JSON lines, clips.jsonl, in {tmp_path}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{oops", r"no JSON in '\{oops'"),
        ("[1]", r"'\[1\]' is no object"),
        ('{"audio_filepath": "a.wav", "text": "x"}', r"audio=None should be .* \(keys there: audio_filepath, text\)"),
        ('{"audio": "a.wav", "text": " "}', r"text=' ' should be a text that is not empty"),
        ('{"audio": "a.wav", "text": "x", "speakr": "ann"}', r"unknown key 'speakr'; did you mean speaker\?"),
        ('{"audio": "a.wav", "text": "x", "start": "1"}', r"start='1' should be a number of seconds"),
        ('{"audio": "a.wav", "text": "x", "start": -1}', r"start=-1 should be a number of seconds"),
        ('{"audio": "a.wav", "text": "x", "end": NaN}', r"end=nan should be a number"),
        ('{"audio": "a.wav", "text": "x", "end": Infinity}', r"end=inf should be a number"),
        ('{"audio": "a.wav", "text": "x", "start": 2, "end": 1}', r"end=1 does not lie after start=2"),
        ('{"audio": "a.wav", "text": "x", "speaker": []}', r"speaker=\[\] should be a text"),
    ],
)
def test_a_bad_line_of_a_manifest_is_named(tmp_path, line, message):
    write(tmp_path / "clips.jsonl", lines({"audio": "a.wav", "text": "x"}) + line + "\n")
    with pytest.raises(DataError, match=rf"clips\.jsonl:2: {message}") as caught:
        mine(tmp_path)
    assert "\n" not in str(caught.value)


def test_manifests_that_are_empty_or_not_utf8(tmp_path):
    write(tmp_path / "clips.jsonl", "\n")
    with pytest.raises(DataError, match=r"clips\.jsonl is empty; write \{\"audio\""):
        mine(tmp_path, metadata="clips.jsonl")
    write(tmp_path / "clips.jsonl", '{"audio": "a.wav", "text": "caf\xe9"}'.encode("latin-1"))
    with pytest.raises(DataError, match=r"clips\.jsonl: not UTF-8"):
        mine(tmp_path, metadata="clips.jsonl")


def test_one_of_several_manifests_has_to_be_chosen(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.jsonl", lines({"audio": f"{name}.wav", "text": "x"}))
    write(tmp_path / "phones.jsonl", lines({"id": "a", "phones": []}))
    with pytest.raises(DataError, match=r"several manifests: a\.jsonl, b\.jsonl; choose one: data\.metadata=a\.jsonl"):
        mine(tmp_path)
    assert [u.id for u in mine(tmp_path, metadata="b.jsonl")] == ["b"]
    (tmp_path / "b.jsonl").unlink()
    assert [u.id for u in mine(tmp_path)] == ["a"]


# pairs


@pytest.mark.parametrize("folder", ["", "wavs/"])
def test_pairs_and_what_has_no_partner(tmp_path, folder):
    for name, content in (("b.WAV", ""), ("b.txt", "\ufeffTwo\r\nlines. \n"), ("a.flac", ""), ("a.txt", "One.")):
        write(tmp_path / f"{folder}{name}", content)
    write(tmp_path / f"{folder}c.mp3", "")
    write(tmp_path / f"{folder}._a.txt", "hidden")
    write(tmp_path / "README.txt", "about")
    found = {u.id.removeprefix("wavs/"): u for u in mine(tmp_path)}
    assert {id_: (u.text, bool(u.lacks)) for id_, u in found.items()} == {
        **{"a": ("One.", False), "b": ("Two lines.", False), "c": ("", True), "README": ("about", True)},
    }
    assert found["b"].audio_path == tmp_path / f"{folder}b.WAV" and found["b"].speaker == ""
    assert found["c"].lacks == f"no {folder}c.txt beside the recording"
    assert found["README"].lacks == "no recording beside README.txt"
    assert said(tmp_path) == f"recordings with a .txt beside each, in {tmp_path}"


def test_pairs_in_folders_are_of_their_speakers(tmp_path):
    for name in ("bob/1", "bob/chapter2/1", "alice/1"):
        write(tmp_path / f"{name}.wav", "")
        write(tmp_path / f"{name}.txt", name)
    write(tmp_path / "notes" / "todo.txt", "")
    found = mine(tmp_path)
    assert [(u.id, u.speaker) for u in found] == [
        *[("alice/1", "alice"), ("bob/1", "bob"), ("bob/chapter2/1", "bob")],
    ]
    assert all(u.audio_path == tmp_path / f"{u.text}.wav" and u.id == u.text for u in found)
    assert "in the folders of 2 speakers" in said(tmp_path)
    write(tmp_path / "1.wav", "")
    write(tmp_path / "1.txt", "one")
    with pytest.raises(DataError, match=r"has recordings with texts for one speaker, and also alice/ for the speaker"):
        mine(tmp_path)


def test_two_recordings_of_one_name_are_refused(tmp_path):
    for name in ("a.wav", "a.flac", "a.txt"):
        write(tmp_path / name, "")
    with pytest.raises(DataError, match=r"a\.flac and a\.wav have one name; which one is spoken\?"):
        mine(tmp_path)


# recognising


def test_metadata_goes_before_other_files(tmp_path):
    write(tmp_path / "metadata.csv", "a|A\n")
    write(tmp_path / "phones.jsonl", lines({"id": "a", "phones": []}))
    write(tmp_path / "a.wav", "")
    write(tmp_path / "a.txt", "other")
    assert [u.text for u in mine(tmp_path)] == ["A"]
    assert said(tmp_path) == f"LJSpeech's format, metadata.csv, in {tmp_path}"


@pytest.mark.parametrize("metadata", ["metadata.csv", "lines.txt", "clips.jsonl"])
def test_nothing_recognised_lists_what_was_looked_for(tmp_path, metadata):
    write(tmp_path / "a.wav", "")
    with pytest.raises(DataError) as caught:
        mine(tmp_path, metadata=metadata)
    message = str(caught.value)
    parts = (
        str(tmp_path),
        f"(1) {metadata} (`id|text`",
        "(2) a *.jsonl",
        "(3) x.wav and x.txt",
        "recipe=own data.root",
    )
    assert all(part in message for part in parts) and "\n" not in message


# all the way


def test_three_rows_are_shown_before_anything_long_starts(tmp_path, capsys):
    """A corpus of one long file: what was recognised is said first, then its parts are prepared."""
    write_corpus(tmp_path / "apart")
    waves = [soundfile.read(path)[0] for path in sorted((tmp_path / "apart/wavs").iterdir())]
    root, entries, start = tmp_path / "corpus", [], 0
    root.mkdir()
    soundfile.write(root / "long.flac", np.concatenate(waves), 16000)
    for number, wave in enumerate(waves):
        end = start + len(wave)
        text = f"{WORDS[number]}, {WORDS[number - 1]}. " + "and so on and on " * 5 * (number == 11)
        entries.append({"audio": "long.flac", "text": text, "start": start / 16000, "end": end / 16000})
        start = end
    write(root / "all.jsonl", lines(*entries))
    arguments = [f"data.root={root}", f"data.cache={tmp_path / 'cache'}", f"run={tmp_path / 'run'}", "stages=[prepare]"]
    assert main(["train", "recipe=own", *SMALL, *arguments]) == 0
    out = capsys.readouterr().out.splitlines()
    place = out.index(f"own: JSON lines, all.jsonl, in {root}: 12 clips")
    rows = [line.split("  ") for line in out[place + 1 : place + 4]]
    assert [row[1] for row in rows] == [f"long-{entries[place]['start']:09.3f}" for place in (0, 5, 11)]
    assert rows[0][3].startswith("0.00 s to 0.50 s of long.flac")
    assert (
        rows[0][-1] == "one, twelve." and rows[2][-1] == "twelve, eleven. and so on and on and so on and on and so ..."
    )
    assert out[place + 4].startswith("prepared 12 clips")


def test_what_a_corpus_lacks_is_counted_and_listed(tmp_path, capsys):
    write_corpus(tmp_path / "apart")
    root = tmp_path / "corpus"
    root.mkdir()
    for line in (tmp_path / "apart" / "metadata.csv").read_text().splitlines():
        id_, text = line.split("|")
        (tmp_path / "apart" / "wavs" / f"{id_}.wav").rename(root / f"{id_}.wav")
        write(root / f"{id_}.txt", text)
    (root / "clip03.txt").unlink()
    arguments = [f"data.root={root}", f"data.cache={tmp_path / 'cache'}", f"run={tmp_path / 'run'}", "stages=[prepare]"]
    assert main(["train", "recipe=own", *SMALL, *arguments]) == 0
    out = capsys.readouterr().out
    listed = tmp_path / "run/data/lacking_clips.txt"
    assert f"1 of 12 clips: no clip03.txt beside the recording (1); all in {listed}" in out
    assert listed.read_text() == "clip03\tno clip03.txt beside the recording\n"
    assert "0.5" in out and "prepared 11 clips" in out
    for path in root.glob("*.txt"):
        path.rename(path.with_suffix(".text"))
    write(root / "metadata.csv", "gone|One.\n")
    assert main(["train", "recipe=own", *SMALL, *arguments[:2], f"run={tmp_path / 'b'}", "stages=[prepare]"]) == 2
    assert "gone.wav (no sound)" in capsys.readouterr().out
