"""Long recordings cut at pauses: each piece has the text that is said in it, and what does not match is told."""

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.test_data import AUDIO, Letters, corpus, recipe, report, run, voice  # noqa: F401 - fixtures
from tts.audio.files import read_recording, write_wave
from tts.data import splitting
from tts.data.cutting import cut
from tts.data.hearing import Heard, HeardWord, Pause
from tts.data.prepare import prepare_share
from tts.data.splitting import SplitTask, read_split
from tts.data.transcript import read_transcript
from tts.errors import DataError
from tts.settings import Share, TextConfig
from tts.text.frontend import Frontend

LJSPEECH = Path(__file__).parents[1].parent / "shared/data/ljspeech-350"
FRONTEND = Frontend(TextConfig())
SENTENCES = ("Two dogs ran home.", "A cat sat there, and slept.", "No one saw it.")


WHOLE = " ".join(SENTENCES)


def transcript(text=WHOLE):
    return read_transcript(text, FRONTEND)


def said(*sentences, word=0.4, comma=0.2, stop=0.5):
    """Sentences as they are heard when every word is understood, with pauses at their marks."""
    words, pauses, now = [], [Pause(0.0, 0.0)], 0.0
    for sentence in sentences:
        for written in sentence.split():
            words.append(HeardWord(written.lower().strip(",."), now, now + word))
            now += word
            if pause := {",": comma, ".": stop}.get(written[-1], 0.0):
                pauses.append(Pause(now, now + pause))
                now += pause
    return Heard(tuple(words), (*pauses, Pause(now, now)))


def texts(heard, made=None, least=0.3, most=4.0):
    made = made or transcript()
    return [made.part(piece.first, piece.last) for piece in cut(made, heard, least, most)]


# --- the text ---


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("I said, “Go (now)!” Then left.", ["I", "said,", "“Go", "(now)!”", "Then", "left."]),
        ("A word—another - a third.", ["A", "word—", "another -", "a", "third."]),
        ("It cost $3.50 in 1962.", ["It", "cost", "$3.50", "in", "1962."]),
    ],
)
def test_marks_stay_with_their_words_and_what_is_one_token_stays_whole(text, parts):
    made = transcript(text)
    places = [index for index, border in enumerate(made.borders) if border]
    assert [made.part(a, b) for a, b in pairwise(places)] == parts
    assert made.part(0, len(made.words)) == text


def test_cuts_come_after_sentences_clauses_and_words():
    ranks = [border.rank for border in transcript().borders]
    assert ranks == [0, 2, 2, 2, 0, 2, 2, 2, 1, 2, 0, 2, 2, 2, 0]


# --- where it is cut ---


def test_sentences_become_pieces_cut_within_their_pauses():
    heard = said(*SENTENCES)
    assert texts(heard) == list(SENTENCES)
    pieces = cut(transcript(), heard, 0.3, 4.0)
    for left, right in pairwise(pieces):
        assert any(pause.start < left.end <= right.start < pause.end for pause in heard.pauses)


def test_a_sentence_that_is_too_long_is_cut_at_a_clause():
    assert texts(said(*SENTENCES), most=2.2) == [SENTENCES[0], "A cat sat there,", "and slept.", SENTENCES[2]]


def test_without_a_pause_what_is_too_long_is_lost():
    assert texts(said(*SENTENCES, comma=0.0), most=2.2) == [SENTENCES[0], SENTENCES[2]]


def test_a_sentence_that_is_not_said_is_in_no_piece():
    assert texts(said(SENTENCES[0], SENTENCES[2]), most=9.0) == [SENTENCES[0], SENTENCES[2]]


def test_what_is_said_without_a_text_is_in_no_piece():
    heard = said(SENTENCES[0], "Ran it two slept one sat.", *SENTENCES[1:])
    assert texts(heard) == list(SENTENCES)
    assert texts(heard, most=20.0)[0] == SENTENCES[0]
    # Nor where the recogniser was silent while somebody spoke.
    mute = Heard(tuple(word for word in heard.words if not 2.1 < word.start < 4.4), heard.pauses)
    assert texts(mute, most=20.0)[0] == SENTENCES[0]


def test_a_word_that_was_mistaken_may_be_within_a_piece_but_not_at_its_edge():
    heard = said(*SENTENCES)
    words = [word._replace(name="cat") if word.name == "ran" else word for word in heard.words]
    assert texts(Heard(tuple(words), heard.pauses)) == list(SENTENCES)
    words = [word._replace(name="cat") if word.name == "home" else word for word in heard.words]
    assert texts(Heard(tuple(words), heard.pauses), most=3.2) == list(SENTENCES[1:])


def test_within_a_sentence_a_word_that_was_not_understood_bars_the_cut_beside_it():
    heard = said(*SENTENCES)
    words = [word._replace(name="cat") if word.name == "and" else word for word in heard.words]
    assert texts(Heard(tuple(words), heard.pauses), most=2.2) == [SENTENCES[0], SENTENCES[2]]


def test_a_word_that_was_only_expected_before_a_pause_ends_no_piece():
    # "a" was heard in the breath before the pause, and swallowed where it is said.
    found = texts(said("Two dogs ran home a.", "cat sat there, and slept.", SENTENCES[2]))
    assert found == ["Two dogs ran home. A cat sat there,", "and slept. No one saw it."]
    assert texts(said("Two dogs ran home a.", "cat sat there, and slept.", SENTENCES[2]), most=3.2) == [
        "and slept.",
        SENTENCES[2],
    ]


def test_another_text_has_no_piece():
    assert texts(said("Ran cat it two saw one.")) == []


# --- preparing ---


@pytest.fixture
def talk(tmp_path, corpus, recipe, monkeypatch):  # noqa: F811
    """Ten short clips and a long recording of three sentences, of which the recogniser hears what is in a list."""
    heard = [said(*SENTENCES)]
    monkeypatch.setattr(splitting, "require_aligner", lambda: None)
    monkeypatch.setattr(splitting, "hear", lambda extent, transcript: heard[-1])
    path = tmp_path / "corpus/talk.wav"
    write_wave(path, voice(heard[0].pauses[-1].end), 8000)
    long = replace(corpus[0], id="talk", audio_path=path, text=" ".join(SENTENCES), speaker="ann")
    data = replace(recipe.data, split_long=True, max_seconds=4.0)
    return replace(recipe, data=data), [*(replace(u, speaker="bob") for u in corpus), long], heard


def test_a_long_recording_becomes_clips_of_its_speaker(talk, tmp_path):
    settings, utterances, _ = talk
    clips = [clip for clip in run(settings, tmp_path, utterances).clips if clip.speaker == "ann"]
    assert [(clip.id, clip.text) for clip in clips] == [(f"talk_00{i + 1}", SENTENCES[i]) for i in range(3)]
    assert sum(clip.seconds for clip in clips) == pytest.approx(7.1, abs=0.6)
    found = report(tmp_path)
    assert found["clips_listed"] == found["clips_kept"] == 13
    assert found["split"]["recordings"] == 1 and found["split"]["pieces"] == 3
    assert "long recordings split: 1, into 3 pieces; 0 of 7 s" in (tmp_path / "run/data/report.md").read_text()


def test_what_is_lost_is_listed_and_counts_as_bad(talk, tmp_path):
    settings, utterances, heard = talk
    heard.append(said(SENTENCES[0], SENTENCES[2]))
    with pytest.raises(DataError, match=r"1 of 13 clips are unusable"):
        run(settings, tmp_path, utterances)
    run(replace(settings, data=replace(settings.data, max_bad_share=0.2)), tmp_path, utterances)
    (lost,) = report(tmp_path)["left_out"]
    assert lost["id"] == "talk" and "'a cat sat there and slept'" in lost["reason"] and "1.9 s to" in lost["reason"]


def test_what_was_cut_once_is_read_and_shares_find_it(talk, tmp_path, monkeypatch):
    settings, utterances, _ = talk
    done = [prepare_share(settings, tmp_path / "run", utterances, Letters(), Share(n, 2), False) for n in (1, 2)]
    assert sum(share.n_clips for share in done) == 13 and not any(share.left_out for share in done)
    monkeypatch.setattr(splitting, "hear", None)  # whoever listens anew fails
    assert len(run(settings, tmp_path, utterances).clips) == 13
    (kept,) = (tmp_path / "cache/splits").glob("*.json")
    kept.write_text(kept.read_text()[:-9])  # cut off: as good as none
    with pytest.raises(TypeError):
        run(settings, tmp_path, utterances)
    other = [*utterances[:-1], replace(utterances[-1], text="Another text.")]
    with pytest.raises(TypeError):
        run(settings, tmp_path, other)


def test_a_clip_named_like_a_piece_is_refused(talk, tmp_path):
    settings, utterances, _ = talk
    with pytest.raises(DataError, match="talk_002 is the id of a clip and of a piece"):
        run(settings, tmp_path, [*utterances, replace(utterances[0], id="talk_002")])


def test_silence_at_its_ends_makes_no_clip_long(talk, tmp_path):
    settings, utterances, _ = talk
    write_wave(utterances[-1].audio_path, torch.cat([torch.zeros(8000), voice(2.5), torch.zeros(8000)]), 8000)
    assert run(settings, tmp_path, utterances).clips[-1].id == "talk" and report(tmp_path)["split"]["recordings"] == 0


def test_without_the_library_the_error_says_what_to_install(recipe, tmp_path, corpus, monkeypatch):  # noqa: F811
    monkeypatch.setitem(__import__("sys").modules, "pocketsphinx", None)
    with pytest.raises(DataError, match=r'pip install -e "\.\[evaluate\]"'):
        run(replace(recipe, data=replace(recipe.data, split_long=True)), tmp_path, corpus)


# --- real speech ---

JOINED = ("LJ001-0002", "LJ001-0013", "LJ001-0078", "LJ001-0174", "LJ002-0012", "LJ002-0198")


def words_of(text):
    return re.findall("[a-z]+", text.lower())


@pytest.mark.skipif(not LJSPEECH.is_dir(), reason=f"needs real speech: {LJSPEECH}")
@pytest.mark.parametrize("change", ["as it is said", "a sentence is lacking", "a sentence is not said"])
def test_pieces_of_real_speech_say_their_text(tmp_path, recipe, change):  # noqa: F811
    pytest.importorskip("pocketsphinx")
    lines = (LJSPEECH / "metadata.csv").read_text("utf-8").splitlines()
    texts_of = {line[:10]: line.split("|")[2].rstrip(".,;") + "." for line in lines}
    texts_of = {id_: text[0].upper() + text[1:] for id_, text in texts_of.items()}
    parts, spans, now = [], [], 0.0
    for id_ in JOINED:
        wave, rate = read_recording(LJSPEECH / f"wavs/{id_}.flac")
        parts += [np.zeros(rate // 2), wave.numpy()]
        spans.append((now + 0.5, now + 0.5 + len(wave) / rate))
        now = spans[-1][1]
    soundfile.write(tmp_path / "talk.wav", np.concatenate(parts), rate)
    written = [texts_of[id_] for id_ in JOINED]
    if change == "a sentence is lacking":
        del written[2]
    elif change == "a sentence is not said":
        written.insert(3, "Nobody has ever said these seven words here.")
    data = replace(recipe.data, max_seconds=8.0, cache=str(tmp_path))
    extent = splitting.Extent(tmp_path / "talk.wav", 0.0, now)
    spelling = json.dumps(vars(TextConfig()))
    task = SplitTask(extent, " ".join(written), spelling, 0.3, data.max_seconds, 40.0, 0.05, tmp_path / "x/y.json")
    splitting.split_recording(task)
    split = read_split(task)
    assert len(split.parts) >= 4 and bool(split.lost) == (change == "a sentence is not said")
    for part in split.parts:
        inside = [id_ for id_, (a, b) in zip(JOINED, spans, strict=True) if a < part.end - 0.3 and b > part.start + 0.3]
        heard = words_of(" ".join(texts_of[id_] for id_ in inside))
        assert " ".join(words_of(part.text)) in " ".join(heard)
        if all(
            part.start < a and b < part.end + 0.3 for id_, (a, b) in zip(JOINED, spans, strict=True) if id_ in inside
        ):
            assert words_of(part.text) == heard
