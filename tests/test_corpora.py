"""Corpora in LJSpeech's format, and folders of one's own: what is read, what is missing, what is refused."""

import re
from pathlib import Path

import pytest

from tts.corpora import ljspeech, own
from tts.errors import DataError

REAL = Path(__file__).parents[1].parent / "shared/data/ljspeech-350"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def lj(root):
    return list(ljspeech.read(ljspeech.Config(root=str(root))))


def mine(root, **settings):
    return list(own.read(own.Config(root=str(root), **settings)))


# LJSpeech


def test_ljspeech_takes_the_normalized_text_and_lists_missing_clips(tmp_path):
    write(tmp_path / "metadata.csv", 'LJ1|In 1455 "he"|In fourteen "he"\nLJ2|Plain, only.|\nLJ3|Two fields.\n\n')
    found = lj(tmp_path)
    assert [(u.id, u.text) for u in found] == [
        ("LJ1", 'In fourteen "he"'),
        ("LJ2", "Plain, only."),
        ("LJ3", "Two fields."),
    ]
    assert found[0].audio_path == tmp_path / "wavs" / "LJ1.wav" and not found[0].audio_path.exists()
    assert found[0].speaker == "" and found[0].phone_times == ()


def test_ljspeech_missing_says_where_to_get_it(tmp_path):
    for root in ("", str(tmp_path), str(tmp_path / "nowhere")):
        with pytest.raises(DataError) as caught:
            lj(root)
        message = str(caught.value)
        assert "https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2" in message
        assert "tar -xjf LJSpeech-1.1.tar.bz2" in message
        assert "python train.py recipe=ljspeech data.root=" in message
        assert "\n" not in message and (root or "not set") in message


def test_ljspeech_one_folder_too_high_or_too_deep(tmp_path):
    root = tmp_path / "LJSpeech-1.1"
    write(root / "metadata.csv", "a|b\n")
    (root / "wavs").mkdir()
    for wrong in (tmp_path, root / "wavs"):
        with pytest.raises(DataError, match=re.escape(f"did you mean data.root={root} ?")):
            lj(wrong)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("a|b|c\nno bar here\n", "metadata.csv:2: 1 fields in 'no bar here'"),
        ("a|b|c|d\n", "metadata.csv:1: 4 fields"),
        ("a|b\n|text\n", "metadata.csv:2: no id"),
        ("a|b\n\nc| |\n", "metadata.csv:3: no text in 'c| |'"),
        ("a|one\nb|two\na|three\n", "metadata.csv:3: id 'a' again, first in line 1"),
        ("a|b\nb|caf\xe9\n".encode("latin-1"), "metadata.csv:2: not UTF-8"),
    ],
)
@pytest.mark.parametrize("read", [lj, mine])
def test_bad_metadata(tmp_path, read, text, message):
    write(tmp_path / "metadata.csv", text)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


def test_windows_line_ends_byte_order_mark_and_odd_separators(tmp_path):
    write(tmp_path / "metadata.csv", "\ufeffa|one\r\nb|two\u2028still two\r\n")
    assert [(u.id, u.text) for u in lj(tmp_path)] == [("a", "one"), ("b", "two\u2028still two")]


def test_metadata_that_cannot_be_read(tmp_path):
    (tmp_path / "metadata.csv").mkdir()
    with pytest.raises(DataError, match=r"no metadata\.csv"):
        lj(tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason="no real LJSpeech at ../shared/data/ljspeech-350")
def test_real_ljspeech_metadata():
    found = mine(REAL)
    assert len(found) == 350 and all(u.audio_path.is_file() for u in found)
    everything = mine(REAL, metadata="metadata_full.csv")
    assert len(everything) == 13100 and sum(u.audio_path.is_file() for u in everything) == 350


# own recordings


def test_own_finds_clips_in_any_format_and_place(tmp_path):
    files = ["wavs/a.wav", "wavs/b.FLAC", "c.ogg", "wavs/chapter1/d.mp3", "wavs/e.opus", "wavs/E.wav", "f.Wav"]
    for name in files:
        write(tmp_path / name, "")
    write(tmp_path / "metadata.csv", "a|A\nb|B\nc|C|see\nchapter1/d|D\ne.opus|E\nE|E\nf.wav|F\ngone|G\ngone.mp3|G\n")
    found = {u.id: u for u in mine(tmp_path)}
    places = {name: u.audio_path.relative_to(tmp_path).as_posix() for name, u in found.items()}
    assert places == {
        **{"a": "wavs/a.wav", "b": "wavs/b.FLAC", "c": "c.ogg", "chapter1/d": "wavs/chapter1/d.mp3"},
        **{"e.opus": "wavs/e.opus", "E": "wavs/E.wav", "f.wav": "f.Wav"},
        **{"gone": "wavs/gone.wav", "gone.mp3": "wavs/gone.mp3"},
    }
    assert found["c"].text == "see" and found["b"].text == "B"


def test_own_prefers_wavs_to_the_root(tmp_path):
    write(tmp_path / "a.wav", "")
    write(tmp_path / "wavs/a.flac", "")
    write(tmp_path / "metadata.csv", "a|A\n")
    assert mine(tmp_path)[0].audio_path == tmp_path / "wavs/a.flac"


def test_own_metadata_of_another_name(tmp_path):
    write(tmp_path / "lines.txt", "a|A\n")
    assert [u.id for u in mine(tmp_path, metadata="lines.txt")] == ["a"]


def test_own_missing_explains_the_layout(tmp_path):
    for root in ("", str(tmp_path)):
        with pytest.raises(
            DataError, match=r"`id\|text` on each line.*wavs/id.wav.*recipe=own data.root=FOLDER"
        ) as caught:
            mine(root)
        assert "\n" not in str(caught.value)


def test_own_folders_with_metadata_are_speakers(tmp_path):
    for name in ("bob", "alice"):
        write(tmp_path / name / "metadata.csv", f"1|I am {name}.\n2|Gone.\n")
        write(tmp_path / name / "wavs" / "1.wav", "")
    write(tmp_path / "notes" / "readme.txt", "")
    found = mine(tmp_path)
    assert [(u.id, u.speaker, u.text) for u in found[::2]] == [
        ("alice/1", "alice", "I am alice."),
        ("bob/1", "bob", "I am bob."),
    ]
    assert [u.audio_path.relative_to(tmp_path).as_posix() for u in found] == [
        *("alice/wavs/1.wav", "alice/wavs/2.wav", "bob/wavs/1.wav", "bob/wavs/2.wav")
    ]
    assert [(u.id, u.speaker) for u in mine(tmp_path / "bob")] == [("1", ""), ("2", "")]


def test_own_metadata_of_one_speaker_and_of_several_is_refused(tmp_path):
    write(tmp_path / "metadata.csv", "1|One.\n")
    write(tmp_path / "bob" / "metadata.csv", "1|One.\n")
    with pytest.raises(DataError, match=r"metadata\.csv for one speaker, and also bob/metadata\.csv"):
        mine(tmp_path)
