"""Speaking with a toy voice: long and odd texts, speaking rate, word times, what is told about a decode."""

import io
import json
import re

import pytest
import soundfile
import torch

from tts.cli import main
from tts.decoding import Lengths
from tts.errors import ConfigError
from tts.synthesis import MIN_LONGEST, Sentence, Synthesizer
from tts.vocoder import _generation
from tts.word_times import WordTime

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


@pytest.fixture
def hasty(monkeypatch):
    """A decode is tried once and cut off early: a toy voice never succeeds anyway."""
    monkeypatch.setattr("tts.synthesis.TRIES", 1)
    monkeypatch.setattr("tts.decoding.SLOWEST", 0.1)


@pytest.fixture
def synthesizer(trained, hasty):
    """The toy voice, with Griffin-Lim."""
    return Synthesizer.load(trained, vocoder="griffin_lim")


def test_a_paragraph_without_marks_is_spoken_in_parts_and_whole(synthesizer):
    text = " ".join((WORDS * 34)[:400])
    speech = synthesizer.speak(text)
    assert [word.word for word in speech.words] == text.split()
    assert len(speech.sentences) > 4
    assert all(len(encoded.ids) <= MIN_LONGEST for encoded in speech.encoded)
    edges = [edge for word in speech.words for edge in word[1:]]
    assert edges == sorted(edges) and edges[0] >= 0 and edges[-1] <= speech.seconds


def test_every_text_ends_in_a_mark(synthesizer):
    """What has none ends like a sentence, a part that others follow like a clause; words and text stay as given."""
    speech = synthesizer.speak("One two")
    assert speech.sentences[0].text == "One two" and speech.encoded[0].symbols[-2:] == (".", "~")
    assert speech.encoded[0].ids == synthesizer.frontend("One two.").ids
    for text in ("One two!", "One two,"):
        assert synthesizer.speak(text).encoded[0].ids == synthesizer.frontend(text).ids
    parts = synthesizer.speak(" ".join((WORDS * 4)[:40])).encoded
    assert [part.symbols[-2] for part in parts] == [","] * (len(parts) - 1) + ["."]


def test_a_part_is_as_long_as_the_longest_text_of_the_training(synthesizer):
    text = " ".join((WORDS * 34)[:100])
    synthesizer.lengths = synthesizer.lengths._replace(max_symbols=2 * MIN_LONGEST)
    lengths = [len(encoded.ids) for encoded in synthesizer.speak(text).encoded]
    assert MIN_LONGEST < max(lengths) <= 2 * MIN_LONGEST


@pytest.mark.parametrize("text", ["No.", "A", "Ha ha ha ha ha ha", "1234567890123456"])
def test_odd_texts_are_spoken_and_told_about(synthesizer, text):
    speech = synthesizer.speak(text)
    (sentence,) = speech.sentences
    assert len(sentence.words) >= 1 and sentence.frames > 0
    assert sentence.stop_reason in ("stop", "attended", "limit")
    assert torch.equal(synthesizer.speak(text).wave, speech.wave)


def test_a_stream_is_what_is_spoken(trained, hasty):
    """With the voice's own vocoder, over two sentences and the pause between them."""
    synthesizer = Synthesizer.load(trained)
    text = "One two. Three."
    pieces = list(synthesizer.stream(text, seed=2, rate=1.1))
    assert len(pieces) > 3
    assert torch.equal(torch.cat(pieces), synthesizer.speak(text, seed=2, rate=1.1).wave)


def test_a_stream_needs_only_the_sentence_it_speaks(synthesizer, monkeypatch):
    decoded, decode = [], synthesizer.decode
    monkeypatch.setattr(synthesizer, "decode", lambda texts, **rest: decoded.append(texts) or decode(texts, **rest))
    next(iter(synthesizer.stream("One two. Three. Four.")))
    assert len(decoded) == 1


def test_a_wav_on_standard_output_begins_before_its_length_is_known(trained, hasty, capfdbinary):
    assert main(["synthesize", "One two. Three.", f"voice={trained}", "vocoder=griffin_lim", "out=-"]) == 0
    said = capfdbinary.readouterr().out
    spoken = Synthesizer.load(trained, vocoder="griffin_lim").speak("One two. Three.").wave
    samples, rate = soundfile.read(io.BytesIO(said), dtype="float32")
    assert rate == 16000
    torch.testing.assert_close(torch.from_numpy(samples), spoken, atol=1e-4, rtol=0)


def test_folds_reach_the_vocoder(trained, hasty, monkeypatch, tmp_path):
    seen = []
    cut = _generation.cut
    monkeypatch.setattr(
        _generation, "cut", lambda mel, row, folds, **rest: seen.append(folds) or cut(mel, row, folds, **rest)
    )
    out = tmp_path / "said.wav"
    assert main(["synthesize", "One.", f"voice={trained}", f"out={out}", "folds=3"]) == 0
    assert main(["synthesize", "One.", f"voice={trained}", f"out={out}"]) == 0
    assert seen == [3, 1]


def test_rate_changes_the_speech_and_its_times_and_not_the_decode(synthesizer):
    plain, fast = synthesizer.speak("One two. Three."), synthesizer.speak("One two. Three.", rate=1.6)
    hop = synthesizer.audio.hop_length
    for was, now, one, other in zip(plain.sentences, fast.sentences, plain.decoded, fast.decoded, strict=True):
        assert torch.equal(one.mel, other.mel) and was.frames == now.frames == one.mel.shape[1]
        seconds = round(was.frames / 1.6) * hop / synthesizer.audio.sample_rate
        assert now.seconds == pytest.approx(seconds, abs=1e-4) and was.seconds > 1.5 * now.seconds
    ratio = fast.sentences[0].seconds / plain.sentences[0].seconds
    for was, now in zip(plain.sentences[0].words, fast.sentences[0].words, strict=True):
        assert now.start == pytest.approx(ratio * was.start, abs=1.5e-3)
        assert now.end == pytest.approx(ratio * was.end, abs=1.5e-3)
    with pytest.raises(ConfigError, match=r"rate=3: a number from 0\.5 to 2\.0"):
        synthesizer.speak("One.", rate=3)


def test_the_voice_tells_what_its_training_has_seen(trained):
    lengths = Synthesizer.load(trained, vocoder="griffin_lim").lengths
    statistics = json.loads((trained / "data" / "statistics.json").read_text())["frames_per_symbol"]
    clips = [json.loads(line) for line in (trained / "data" / "manifest.jsonl").read_text().splitlines()]
    longest = max(len(clip["ids"]) for clip in clips if clip["split"] == "train")
    assert lengths == Lengths(statistics["max"], statistics["min"], longest)


@pytest.mark.parametrize("suffix", ["srt", "json", "TextGrid"])
def test_word_times_are_written_on_request(trained, hasty, tmp_path, capsys, suffix):
    times, report = tmp_path / f"words.{suffix}", tmp_path / "report.json"
    arguments = [f"voice={trained}", f"out={tmp_path / 'x.wav'}", f"times={times}", f"report={report}"]
    assert main(["synthesize", "One two. Three!", *arguments, "rate=0.8", "vocoder=griffin_lim"]) == 0
    said = json.loads(report.read_text())
    assert said["rate"] == 0.8
    words = [word for sentence in said["sentences"] for word in sentence["words"]]
    assert [word["word"] for word in words] == ["One", "two", "Three"]
    lasting = [word for word in words if word["end"] > word["start"]]
    written = times.read_text()
    if suffix == "json":
        assert json.loads(written) == words
    elif suffix == "srt":
        assert len(re.findall("-->", written)) == len(lasting)
    else:
        assert f"xmax = {said['seconds']:.3f}\n" in written
        assert len([label for label in re.findall('text = "(.*)"', written) if label]) == len(lasting)
    assert len(re.findall(r"^   (?:stopped|cut off).*\d words? ", capsys.readouterr().out, re.MULTILINE)) == 2


def sentence(**changed):
    told = {"text": "", "phones": "", "seconds": 1.0, "frames": 80, "stop_reason": "stop", "tries": 1}
    told |= {"constrained": False, "failures": [], "missed": [], "repeated": [], "in_order": True}
    return Sentence(**{**told, "words": [WordTime("a", 0, 0.5), WordTime("b", 0.5, 1)], **changed})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "stopped by itself, 2 words in order"),
        ({"words": [WordTime("a", 0, 1)]}, "stopped by itself, 1 word in order"),
        ({"stop_reason": "attended"}, "stopped after the last word, 2 words in order"),
        ({"tries": 2}, "stopped by itself, 2 words in order; 2 tries"),
        ({"tries": 3, "constrained": True}, "stopped by itself, 2 words in order; 3 tries, under constraint"),
        ({"stop_reason": "limit", "missed": ["b"], "tries": 4}, "cut off, 1 of 2 words in order; 4 tries"),
        ({"repeated": ["a"]}, "stopped by itself, 2 words not in order"),
        ({"in_order": False}, "stopped by itself, 2 words not in order"),
    ],
)
def test_a_line_about_a_sentence(changed, said):
    assert sentence(**changed).summary == said


def test_a_pause_is_as_long_as_what_ends_before_it(synthesizer):
    from tts.text.script import PAUSE_SECONDS

    for text, after in (("One. Two.", "sentence"), ("One.\n\nTwo.", "paragraph"), ("- One\n- Two", "line")):
        speech = synthesizer.speak(text)
        spoken = sum(sentence.seconds for sentence in speech.sentences)
        assert speech.seconds - spoken == pytest.approx(PAUSE_SECONDS[after], abs=1e-3)
        streamed = sum(len(wave) for wave in synthesizer.stream(text))
        assert streamed == len(speech.wave)
