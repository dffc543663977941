"""A corpus that another synthesiser speaks: which texts, what is left out, going on after a stop."""

import sys

import pytest

from tts.cli import main
from tts.corpora._dictation import SHORT, dictate, plain_sentences
from tts.corpora._metadata import Entry, read_metadata
from tts.corpora.own import Config, read
from tts.errors import DataError
from tts.evaluation.hard import HARD

TEXTS = """\
a1|In being comparatively modern.
a2|It cost 5 pounds at the time.
a3|Mr. Smith went home to his wife.
a4|The FBI was not told about it.
a5|Too short.
a6|He said, "Go away", and went away.
a7|It's well-known; is it not?
"""


@pytest.fixture
def speaker(tmp_path):
    """A command that speaks, and writes down what it was asked for."""
    script = tmp_path / "speaker.py"
    script.write_text(
        "import sys, numpy, soundfile\n"
        f"open({str(tmp_path / 'asked')!r}, 'a').write(sys.argv[1] + chr(10))\n"
        "if 'fail' in sys.argv[1]: sys.exit('no voice')\n"
        "if 'noise' in sys.argv[1]: open(sys.argv[2], 'w').write('no audio')\n"
        "elif 'silent' not in sys.argv[1]: soundfile.write(sys.argv[2], 0.1 * numpy.ones(8000), 8000)\n"
    )
    return f"{sys.executable} {script} {{text}} {{out}}"


def test_only_what_reads_in_one_way_is_spoken(tmp_path, speaker, capsys):
    texts, out = tmp_path / "metadata.csv", tmp_path / "corpus" / "robot"
    texts.write_text(TEXTS)
    arguments = ["dictate", f"texts={texts}", f"out={out}", f"command={speaker}"]
    assert main(arguments) == 0
    assert f"{out}: 2 sentences" in capsys.readouterr().out
    found = {utterance.id: utterance for utterance in read(Config(root=str(out.parent)))}
    assert {id_: u.text for id_, u in found.items()} == {
        "robot/a1": "In being comparatively modern.",
        "robot/a7": "It's well-known; is it not?",
    }
    assert all(u.audio_path.is_file() and u.speaker == "robot" for u in found.values())
    assert main(arguments) == 0
    assert len((tmp_path / "asked").read_text().splitlines()) == 2, "what is spoken already stays"
    assert main([*arguments, "texts=short", "n=2", f"out={tmp_path / 'y'}"]) == 0
    assert len((tmp_path / "y" / "metadata.csv").read_text().splitlines()) == 2
    assert main([*arguments, "longest=30", "n=1", f"out={tmp_path / 'x'}"]) == 0
    assert len((tmp_path / "x" / "metadata.csv").read_text().splitlines()) == 1


def test_the_draw_depends_on_the_seed_alone():
    entries = [Entry(str(n), "A plain sentence of some words.") for n in range(50)]
    first = plain_sentences(entries, 20, 85, 10, seed=0)
    assert first == plain_sentences(entries, 20, 85, 10, seed=0) != plain_sentences(entries, 20, 85, 10, seed=1)
    with pytest.raises(DataError, match="no text has 40 to 85 characters"):
        plain_sentences(entries, 40, 85, 10, seed=0)


def test_a_folder_takes_several_lists_of_texts(tmp_path, speaker):
    dictate([Entry("a", "One."), Entry("b", "Two.")], speaker, tmp_path / "robot")
    dictate([Entry("b", "Two again."), Entry("c", "Three.")], speaker, tmp_path / "robot")
    listed = (tmp_path / "robot" / "metadata.csv").read_text().splitlines()
    assert sorted(listed) == ["a|One.", "b|Two again.", "c|Three."]
    assert (tmp_path / "asked").read_text().splitlines() == ["One.", "Two.", "Two again.", "Three."]


def test_the_short_texts_are_all_spoken_and_none_is_a_hard_sentence():
    entries = list(read_metadata(SHORT))
    assert len(plain_sentences(entries, 1, 1000, len(entries), 0)) == len(entries) > 800
    hard = {text.casefold() for texts in HARD.values() for text in texts}
    assert not hard & {entry.text.casefold() for entry in entries}


def test_what_fails_is_named_and_too_much_of_it_is_an_error(tmp_path, speaker):
    good = [Entry(f"g{n}", "good") for n in range(30)]
    left_out = dictate([*good, Entry("b", "fail")], speaker, tmp_path / "one")
    assert len(dictate([*good, Entry("n", "noise")], speaker, tmp_path / "one")) == 1, (
        "what is no audio counts as failed"
    )
    assert len(left_out) == 1 and left_out[0].startswith("b: ") and "no voice" in left_out[0]
    assert "b|" not in (tmp_path / "one" / "metadata.csv").read_text()
    assert not list((tmp_path / "one" / "wavs").glob(".*")), "nothing half done is left"
    with pytest.raises(DataError, match=r"2 of 2 sentences failed, e\.g\. s1: the command wrote nothing"):
        dictate([Entry(f"s{n}", "silent") for n in range(3)], speaker, tmp_path / "two")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["texts=x"], "dictate needs out="),
        (["texts=x", "out=y", "command=nosuchprogram {out}"], "there is no such program"),
        (["texts=x", "out=y", "command=cat"], "{out} must stand"),
        (["texts=x", "out=y", "comand=cat"], "did you mean command?"),
        (["texts=nowhere.csv", "out=y", "command=cat {out}"], "nowhere.csv"),
    ],
)
def test_what_is_wrong_is_said(arguments, message, capsys):
    assert main(["dictate", *arguments]) == 2
    assert message in capsys.readouterr().err
