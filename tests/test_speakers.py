"""Several speakers: from folders to a table, to a voice that speaks as each of them."""

import json
import shutil
from dataclasses import replace
from unittest import mock

import pytest
import torch
from safetensors.torch import load_file

from tests.toy import SMALL, steps, write_corpus
from tts.checkpoint import load_acoustic, read_half, save_half
from tts.cli import main
from tts.decoding import Decoder
from tts.errors import ConfigError
from tts.speakers import speaker_id
from tts.synthesis import Synthesizer
from tts.text.frontend import Frontend


@pytest.fixture(scope="session")
def duet(tmp_path_factory):
    """A toy run on the folders of two speakers."""
    folder = tmp_path_factory.mktemp("duet")
    for name in ("bob", "alice"):
        write_corpus(folder / "corpus" / name)
    arguments = ["train", "recipe=own", f"data.root={folder / 'corpus'}", f"data.cache={folder / 'cache'}", *SMALL]
    assert main([*arguments, f"run={folder / 'run'}", *steps(3), "stages=[prepare,acoustic]"]) == 0
    return folder / "run"


def test_a_name_has_its_place_and_an_unknown_one_lists_those_known():
    assert [speaker_id(name, ("alice", "bob")) for name in ("", "alice", "bob")] == [0, 0, 1]
    with pytest.raises(ConfigError, match=r"speaker=bop: this voice has alice, bob; did you mean bob\?"):
        speaker_id("bop", ("alice", "bob"))
    with pytest.raises(ConfigError, match=r"speaker=bob: this voice has one speaker, without a name; leave speaker="):
        speaker_id("bob", ("",))
    with pytest.raises(ConfigError, match=r"speaker=x: this voice has 0, 1, .*, 19 and 30 more"):
        speaker_id("x", [str(number) for number in range(50)])


def test_the_table_is_kept_where_the_voice_is(duet):
    assert json.loads((duet / "data" / "statistics.json").read_text())["speakers"] == ["alice", "bob"]
    half = load_acoustic(duet / "acoustic" / "last.safetensors")
    assert half.speakers == Synthesizer.load(duet).speakers == ("alice", "bob")
    assert len(half.model.state_dict()["speakers.weight"]) == 2
    assert "- clips of each speaker: alice (12), bob (12)\n" in (duet / "data" / "report.md").read_text()


def test_every_clip_is_trained_and_validated_as_its_own_speaker(duet, tmp_path, monkeypatch):
    from tts.training.acoustic import AcousticTask

    run, heard = tmp_path / "run", []
    shutil.copytree(duet, run)
    losses, decode = AcousticTask._losses, Decoder._decode

    def watch_losses(self, batch, *outputs):
        heard.extend(zip(batch.ids, batch.speaker_ids.tolist(), strict=True))
        return losses(self, batch, *outputs)

    def watch_decode(self, batch, *rest):
        generate = self.acoustic.generate

        def watch_generate(*arguments, speaker_ids, **options):
            heard.extend(zip([clip.id for clip in batch], speaker_ids.tolist(), strict=True))
            return generate(*arguments, speaker_ids=speaker_ids, **options)

        with mock.patch.object(self.acoustic, "generate", watch_generate):
            return decode(self, batch, *rest)

    monkeypatch.setattr(AcousticTask, "_losses", watch_losses)
    monkeypatch.setattr(Decoder, "_decode", watch_decode)
    assert main(["train", f"recipe={run}", *steps(6), "stages=[acoustic]"]) == 0
    held_out = 4  # two sentences of either speaker, teacher-forced and free-running
    assert len(heard) > 3 * held_out
    assert {place for _, place in heard} == {0, 1}
    assert all(place == ["alice", "bob"].index(id_.partition("/")[0]) for id_, place in heard)


def test_speaking_as_one_of_them(duet, tmp_path, capsys):
    out, report = tmp_path / "x.wav", tmp_path / "x.json"
    speak = ["synthesize", "One two.", f"voice={duet}", f"out={out}", f"report={report}"]
    spoken = {}
    for who in ("", "alice", "bob"):
        assert main([*speak, *([f"speaker={who}"] if who else [])]) == 0
        spoken[who] = out.read_bytes()
        assert json.loads(report.read_text())["speaker"] == (who or "alice")
        assert (f"{duet}: alice speaks; others: speaker=NAME, of alice, bob" in capsys.readouterr().out) == (not who)
    assert spoken[""] == spoken["alice"] != spoken["bob"]
    assert main([*speak, "speaker=bop"]) == 2
    assert "speaker=bop: this voice has alice, bob; did you mean bob?" in capsys.readouterr().err


def test_a_voice_of_one_speaker_takes_no_other_name(trained, tmp_path, capsys):
    assert main(["synthesize", "one", f"voice={trained}", f"out={tmp_path / 'x.wav'}", "speaker=bob"]) == 2
    assert "speaker=bob: this voice has one speaker, without a name" in capsys.readouterr().err
    assert not (tmp_path / "x.wav").exists()


def test_speakers_of_one_batch_sound_as_they_do_alone(duet):
    synthesizer = Synthesizer.load(duet)
    frontend = synthesizer.frontend

    def text(words, speaker):
        return replace(frontend(words), speaker=speaker)

    texts = [text("One.", "bob"), text("Two three four.", "alice"), text("One.", "alice")]
    among = synthesizer.decode(texts)
    for one, made in zip(texts, among, strict=True):
        torch.testing.assert_close(made.mel, synthesizer.decode([one])[0].mel, atol=1e-4, rtol=1e-4)
    assert among[0].mel.shape != among[2].mel.shape or not torch.allclose(among[0].mel, among[2].mel, atol=1e-3)


def test_a_voice_stored_before_there_were_speakers_still_speaks(trained, tmp_path):
    old = read_half(trained / "acoustic" / "last.safetensors", "acoustic")
    path = tmp_path / "old.safetensors"
    save_half(path, "acoustic", old.weights, old.recipe, symbols=old.symbols, facts=old.facts)
    content = path.read_bytes()
    entry = b'"speakers":"[\\"\\"]"'
    assert content.count(entry) == 1
    path.write_bytes(content.replace(entry, b'"unknown_":"[\\"\\"]"'))
    half = load_acoustic(path)
    assert half.speakers == ("",)
    assert half.model.state_dict().keys() == load_file(path).keys()


def test_evaluation_lets_each_recording_be_spoken_by_its_own_speaker(duet, tmp_path, monkeypatch, capsys):
    from tts.evaluation.evaluate import Synthesizer as Used

    asked = []
    decode = Used.decode

    def watch(self, texts, **settings):
        asked.append([(text.text, text.speaker) for text in texts])
        return decode(self, texts, **settings)

    monkeypatch.setattr(Used, "decode", watch)
    monkeypatch.setattr("tts.evaluation.sentences.HARD", {"one word": ("No.",)})
    arguments = ["evaluate", f"voice={duet}", f"out={tmp_path}", "baselines=", "tries=1", "workers=1"]
    assert main([*arguments, "speaker=bob"]) == 0
    (*recorded, hard) = asked[0]
    lines = [json.loads(line) for line in (duet / "data" / "manifest.jsonl").read_text().splitlines()]
    assert recorded and all(
        any((line["text"], line["speaker"]) == spoken for line in lines if line["split"] == "held_out")
        for spoken in recorded
    )
    assert hard == ("No.", "bob")
    assert main([*arguments, "speaker=bop"]) == 2
    assert "did you mean bob?" in capsys.readouterr().err


def test_recordings_of_a_stranger_are_spoken_by_the_first_or_the_one_asked_for():
    from tts.evaluation.sentences import Item, assign_speakers
    from tts.settings import TextConfig

    encoded, wave = Frontend(TextConfig())("One."), torch.zeros(3)
    items = [Item(None, encoded, wave, speaker=name) for name in ("bob", "carol", "")]
    names = [item.encoded.speaker for item in assign_speakers(items, ("alice", "bob"))]
    assert names == ["bob", "alice", "alice"]
    names = [item.encoded.speaker for item in assign_speakers(items, ("alice", "bob"), "bob")]
    assert names == ["bob", "bob", "bob"]


def test_a_run_does_not_go_on_with_other_speakers(duet, tmp_path, capsys):
    run, corpus = tmp_path / "run", tmp_path / "corpus"
    shutil.copytree(duet, run)
    for name in ("alice", "carol"):
        write_corpus(corpus / name)
    assert main(["train", f"recipe={run}", f"data.root={corpus}", *steps(6), "stages=[prepare,acoustic]"]) == 2
    error = capsys.readouterr().err
    assert "was trained with the speakers alice, bob, and the corpus now has alice, carol" in error
    assert f"init_from={run}" in error


def test_a_speaker_whose_clips_are_all_held_out_is_an_error(tmp_path, capsys):
    write_corpus(tmp_path / "corpus" / "alice")
    rare = tmp_path / "corpus" / "bob"
    shutil.copytree(tmp_path / "corpus" / "alice", rare)
    arguments = [f"data.root={tmp_path / 'corpus'}", f"data.cache={tmp_path / 'cache'}", *SMALL, "stages=[prepare]"]
    assert main(["train", "recipe=own", f"run={tmp_path / 'run'}", *arguments]) == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "data" / "manifest.jsonl").read_text().splitlines()]
    held_out = next(line for line in lines if line["split"] == "held_out" and line["speaker"] == "bob")
    (rare / "metadata.csv").write_text(f"{held_out['id'].partition('/')[2]}|{held_out['text']}\n")
    assert main(["train", "recipe=own", f"run={tmp_path / 'again'}", *arguments]) == 2
    assert "every usable clip of bob is held out" in capsys.readouterr().err
