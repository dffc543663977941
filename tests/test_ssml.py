"""SSML: what is understood, what is refused and where, and what is heard of it."""

import json
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tts.audio.rate import Stretch, change_rate, change_rates, change_volume
from tts.cli import main
from tts.errors import TextError
from tts.settings import TextConfig
from tts.synthesis import Synthesizer
from tts.text.frontend import Frontend
from tts.text.ipa import arpabet_of_ipa
from tts.text.script import SENTENCE_SECONDS, Script, plan_ssml
from tts.text.ssml import Break, Manner, Mark, is_ssml, parse_ssml
from tts.text.symbols import PHONES

FRONTEND = Frontend(TextConfig())


def plan(ssml: str, longest: int = 1000) -> Script:
    return plan_ssml(parse_ssml(ssml, ("ann", "bob")), "ann", FRONTEND, longest)


def phones(ssml: str) -> list[str]:
    return [FRONTEND.decode(utterance.text.ids) for utterance in plan(f"<speak>{ssml}</speak>").utterances]


def test_what_is_ssml():
    assert is_ssml("<speak>hi</speak>") and is_ssml('\n<?xml version="1.0"?>\n<!-- a --><speak version="1.1">')
    assert not any(map(is_ssml, ("", "speak", "a <speak>", "<speaker>", "<s>hi</s>", "<!-- <speak>")))
    assert not is_ssml("<!-- a -->" * 10_000)  # at once
    assert is_ssml("<!-- a -->" * 10_000 + "<speak/>")


def test_pieces_in_order():
    made = parse_ssml('<speak>Hi <break time="300ms"/><mark name="a"/><emphasis>you</emphasis></speak>')
    assert made[0].text == "Hi " and made[0].manner == Manner()
    assert made[1:3] == [Break(0.3), Mark("a")]
    assert made[3].text == "you" and made[3].manner.rate < 1 and made[3].manner.gain > 1


@pytest.mark.parametrize(
    ("ssml", "expected"),
    [
        ('<sub alias="World Wide Web">WWW</sub>', "W ER1 L D | W AY1 D | W EH1 B . ~"),
        ('<phoneme alphabet="x-arpabet" ph="T AH0 M EY1 T OW2">tomato</phoneme>', "T AH0 M EY1 T OW2 . ~"),
        ('<phoneme alphabet="ipa" ph="təˈmɑːtoʊ">tomato</phoneme>!', "T AH0 M AA1 T OW0 ! ~"),
        ('<say-as interpret-as="characters">AI 5</say-as>', "EY1 | AY1 | F AY1 V . ~"),
        ('<say-as interpret-as="ordinal">3</say-as>', "TH ER1 D . ~"),
        ('<say-as interpret-as="cardinal">1984</say-as>', None),
        ('<say-as interpret-as="digits">12-3</say-as>', "W AH1 N | T UW1 , | TH R IY1 . ~"),
        ("I &amp; <emphasis>you</emphasis>!", "AY1 | AH0 N D | Y UW1 ! ~"),
        ("<![CDATA[Hi]]><!-- not you -->", "HH AY1 . ~"),
    ],
)
def test_what_is_said(ssml, expected):
    said = phones(ssml)
    assert len(said) == 1 and (expected is None or said[0] == expected)


def test_a_year_that_is_a_number():
    assert phones('<say-as interpret-as="cardinal">1984</say-as>') == phones("one thousand nine hundred eighty-four")


def test_neighbours_are_heard_across_tags():
    assert "R IY1 D" in phones("I want to <emphasis>read</emphasis> it.")[0]
    assert "R EH1 D" in phones("I have <emphasis>read</emphasis> it.")[0]


def said(ssml: str) -> list[str]:
    """The words of one utterance, a bar before each run."""
    (utterance,) = plan(f"<speak>{ssml}</speak>").utterances
    begins = {run.start for run in utterance.runs}
    assert begins <= {word.start for word in utterance.text.words}
    assert utterance.text.ids == [FRONTEND.symbols.index(symbol) for symbol in utterance.text.symbols]
    return [("|" if word.start in begins else "") + word.word for word in utterance.text.words]


def test_what_only_means_something_together_is_read_in_parts():
    assert said("Henry <emphasis>VIII</emphasis> came.") == ["|Henry", "|the", "eighth", "|came"]
    assert said("$5 <emphasis>million</emphasis> went.") == ["|five", "dollars", "|million", "|went"]


def test_breaks_sentences_and_paragraphs():
    script = plan(
        '<speak><break time="1s"/>One <break time="0.4s"/>two. Three.<p>Four</p><p><s>Five</s><s>six</s></p>'
        '<break strength="none"/>Seven<break time="2s"/></speak>'
    )
    assert [(u.text.text, u.pause) for u in script.utterances] == [
        ("One", 1.0),
        ("two.", 0.4),
        ("Three.", SENTENCE_SECONDS),
        ("Four", 0.5),
        ("Five", 0.5),
        ("six", SENTENCE_SECONDS),
        ("Seven", 0.5),
    ]
    assert script.pause == 2.0
    ends = [u.text.symbols[-2] for u in script.utterances]
    assert ends == [",", ".", ".", ".", ".", ".", ","]


def test_no_silence_is_left_at_the_ends_of_paragraphs():
    script = plan("<speak><p>One.</p><p>Two.</p></speak>")
    assert [u.pause for u in script.utterances] == [0.0, 0.5] and script.pause == 0.0


def test_manners_hold_for_their_words():
    (utterance,) = plan(
        '<speak>One <prosody rate="80%" volume="-6dB">two '
        '<emphasis level="strong">three</emphasis></prosody>, four.</speak>'
    ).utterances
    starts = {word.start: word.word for word in utterance.text.words}
    assert [starts[run.start] for run in utterance.runs] == ["One", "two", "three", "four"]
    rates = [run.manner.rate for run in utterance.runs]
    assert rates == pytest.approx([1.0, 0.8, 0.8 * 0.85, 1.0])
    assert [run.manner.gain for run in utterance.runs] == pytest.approx([1.0, 0.501, 0.794, 1.0], abs=1e-3)


def test_long_sentences_are_split_and_marks_stay_with_their_words():
    words = " ".join(["one two three,"] * 20)
    script = plan(f'<speak>{words} <mark name="here"/>four. <mark name="end"/></speak>', longest=100)
    assert len(script.utterances) > 3 and script.marks == ("end",)
    (mark,) = script.utterances[-1].marks
    assert mark.name == "here"
    assert [w.word for w in script.utterances[-1].text.words if w.start == mark.symbol] == ["four"]


def test_voices_speak_one_after_the_other():
    script = plan('<speak>Hi. <voice name="bob">Hello, I am Bob</voice> and gone.</speak>')
    assert [u.text.speaker for u in script.utterances] == ["ann", "bob", "ann"]


@pytest.mark.parametrize(
    ("ssml", "message"),
    [
        ("<speak>\n <audio src='x'/></speak>", r"line 2, column 2: <audio> is not known.*known are speak, p, s"),
        ("<speak><emphasi>x</emphasi></speak>", r"line 1, column 8: <emphasi>.*did you mean emphasis"),
        (
            "<speak><prosody pitch='high'>x</prosody></speak>",
            "attribute pitch='high' cannot be honoured; known are rate",
        ),
        ("<speak><break time='5'/></speak>", r"<break>: time='5': a number with its unit"),
        ("<speak><break time='90s'/></speak>", "20s is the longest"),
        ("<speak><break strength='huge'/></speak>", "strength='huge': one of none, x-weak"),
        ("<speak><break>x</break></speak>", "<break> may not hold text"),
        ("<speak><sub>x</sub></speak>", "<sub> needs the attribute alias"),
        ("<speak><sub alias='x'/></speak>", "<sub> holds no text"),
        ("<speak><sub alias='x'>a<s>b</s></sub></speak>", "<s> within <sub>"),
        ("<speak><say-as interpret-as='date'>1/2</say-as></speak>", "interpret-as='date': one of characters"),
        ("<speak><say-as interpret-as='cardinal'>x</say-as></speak>", "'x' is not a whole number"),
        ("<speak><phoneme alphabet='ipa' ph='yˈø'>x</phoneme></speak>", "the symbol 'y' is none of English"),
        ("<speak><phoneme alphabet='x-sampa' ph='a'>x</phoneme></speak>", "alphabet='x-sampa': ipa or x-arpabet"),
        ("<speak><phoneme alphabet='x-arpabet' ph='HH'/></speak>", "holds no text"),
        ("<speak><prosody rate='400%'>x</prosody></speak>", "a rate of 4 in all: from 0.5 to 2"),
        ("<speak><prosody rate='quick'>x</prosody></speak>", "rate='quick': one of x-slow"),
        ("<speak><prosody volume='7'>x</prosody></speak>", "volume='7': decibels"),
        ("<speak><emphasis level='big'>x</emphasis></speak>", "level='big': one of strong"),
        ("<speak><voice name='eve'>x</voice></speak>", "column 8: <voice>: speaker=eve: this voice has ann, bob"),
        ("<speak xml:lang='de'>x</speak>", "only English"),
        ("<s>x</s>", "<s>: one <speak> holds everything else"),
        ("<speak>x<speak>y</speak></speak>", "<speak>: one <speak> holds"),
        ("<speak>x", "line 1, column 9: not well formed"),
        ("plain", "not well formed"),
        ("<!DOCTYPE speak [<!ENTITY a 'b'>]><speak>&a;</speak>", "leave DOCTYPE out"),
        ("<speak>&a;</speak>", r"not well formed \(undefined entity\)"),
        ("<speak><?php x?></speak>", "processing instructions are not taken"),
        ("<speak>" + "<s>" * 40, "elements deep"),
        ("<speak>" + "x" * 200_001, "the most is 200000"),
        ("<speak>\ud800</speak>", "surrogate"),
        ("<speak> <p/> </speak>", "nothing to speak in this SSML"),
        ("<speak>...</speak>", "nothing to speak"),
        ("<speak>{HH OW}</speak>", "needs its stress"),
    ],
)
def test_refused(ssml, message):
    with pytest.raises(TextError, match=message):
        plan(ssml)


def test_ipa():
    assert arpabet_of_ipa("həˈloʊ") == ("HH", "AH0", "L", "OW1")
    assert arpabet_of_ipa("ˈt͡ʃɝt͡ʃ") == ("CH", "ER1", "CH")
    assert arpabet_of_ipa("ˌɪntɚˈnæʃənəl") == (*("IH2", "N", "T", "ER0", "N"), *("AE1", "SH", "AH0", "N", "AH0", "L"))
    assert arpabet_of_ipa("dʒʌdʒ") == ("JH", "AH1", "JH")
    with pytest.raises(ValueError, match="no phones"):
        arpabet_of_ipa(" . ")


_NAMES = st.sampled_from(
    ["speak", "p", "s", "break", "sub", "say-as", "phoneme", "prosody", "emphasis", "mark", "voice", "x"]
)
_VALUES = st.one_of(
    st.sampled_from(["1s", "slow", "+3dB", "ipa", "həˈloʊ", "ordinal", "ann", "80%"]), st.text(max_size=5)
)
_KEYS = st.sampled_from(["time", "rate", "volume", "alias", "interpret-as", "alphabet", "ph", "level", "name", "y"])


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


@st.composite
def elements(draw, children):
    attributes = "".join(f' {k}="{escaped(v)}"' for k, v in draw(st.dictionaries(_KEYS, _VALUES, max_size=2)).items())
    name = draw(_NAMES)
    return f"<{name}{attributes}>{''.join(draw(st.lists(children, max_size=3)))}</{name}>"


_TREES = st.recursive(st.text(max_size=8).map(escaped), elements, max_leaves=8)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=200), _TREES, _TREES.map(lambda tree: f"<speak>{tree}</speak>")))
def test_any_xml_is_planned_or_says_why_not(text):
    try:
        script = plan(text)
    except TextError:
        return
    for utterance in script.utterances:
        starts = [run.start for run in utterance.runs]
        assert starts[0] == 0 and starts == sorted(starts) and starts[-1] < len(utterance.text.ids)
        assert all(mark.symbol < len(utterance.text.ids) for mark in utterance.marks)
        assert utterance.pause >= 0


@pytest.mark.parametrize(
    "part",
    ["<s>One two.</s>", "<mark name='a'/>", "<emphasis>a</emphasis> ", "<s>x &amp; y</s>", "<break time='1s'/>", "a"],
)
def test_time_is_linear(part):
    def seconds(count: int) -> float:
        took = []
        for _ in range(3):  # the least: whatever else the machine does only adds
            began = time.process_time()
            plan("<speak>" + part * count + " end</speak>")
            took.append(time.process_time() - began)
        return min(took)

    count = 100_000 // len(part)
    assert seconds(count) < 8 * seconds(count // 4) + 0.1  # sixteen times as long if it were quadratic


def test_a_mel_in_several_rates():
    mel = torch.randn(3, 40)
    paced = change_rates(mel, [Stretch(0, 1.0), Stretch(10, 0.5), Stretch(30, 2.0)])
    assert paced.mel.shape == (3, 10 + 40 + 5) and paced.after == (0, 10, 50, 55)
    torch.testing.assert_close(paced.mel[:, :10], mel[:, :10])
    torch.testing.assert_close(paced.mel[:, 10:50], change_rate(mel[:, 10:30], 0.5))
    assert [paced.moved(frame) for frame in (5, 20, 30, 40)] == [5, 30, 50, 55]


def test_volumes_change_without_a_click():
    wave = torch.ones(100)
    loud = change_volume(wave, [0, 50], [1.0, 0.25], ramp=10)
    assert loud[:40].eq(1).all() and loud[60:].eq(0.25).all()
    assert loud.diff().abs().max() < 0.1
    assert change_volume(wave, [0], [1.0], ramp=10) is wave


@pytest.fixture
def synthesizer(trained, monkeypatch):
    """The toy voice with Griffin-Lim, a decode tried once."""
    monkeypatch.setattr("tts.synthesis.TRIES", 1)
    monkeypatch.setattr("tts.decoding.SLOWEST", 0.1)
    return Synthesizer.load(trained, vocoder="griffin_lim")


def test_ssml_of_plain_text_is_that_text(synthesizer):
    plain = synthesizer.speak("One two. Three.")
    assert torch.equal(synthesizer.speak("<speak>One two. Three.</speak>").wave, plain.wave)
    assert plain.marks == []
    literal = synthesizer.speak("<speak>One.</speak>", ssml=False)
    assert [word.word for word in literal.words] != ["One"]


def test_breaks_rates_volumes_and_marks_are_heard(synthesizer):
    rate = synthesizer.audio.sample_rate
    plain = synthesizer.speak("One two three.")
    slow = synthesizer.speak('<speak><prosody rate="0.5">One two three.</prosody></speak>')
    assert slow.seconds == pytest.approx(2 * plain.seconds, rel=0.02)
    later = synthesizer.speak('<speak><break time="1s"/>One two three.<break time="2s"/><mark name="end"/></speak>')
    assert later.seconds == pytest.approx(3 + plain.seconds, abs=0.001)
    assert not later.wave[:rate].any() and not later.wave[-2 * rate :].any()
    assert later.words[0].start == pytest.approx(1 + plain.words[0].start, abs=0.002)
    assert later.marks[0].name == "end" and later.marks[0].seconds == pytest.approx(later.seconds, abs=0.001)
    silent = synthesizer.speak('<speak><prosody volume="silent">One two three.</prosody></speak>')
    assert not silent.wave.any() and len(silent.wave) == len(plain.wave)


def test_a_mark_is_passed_when_its_word_begins_and_part_of_a_sentence_is_slower(synthesizer):
    plain = synthesizer.speak("One two three.")
    marked = synthesizer.speak('<speak>One <mark name="b"/>two three.</speak>')
    assert torch.equal(marked.wave, plain.wave)
    assert marked.marks[0].seconds == pytest.approx(marked.words[1].start, abs=0.002)
    partly = synthesizer.speak('<speak>One <prosody rate="0.5">two</prosody> three.</speak>')
    lasts = [[word.end - word.start for word in speech.words] for speech in (plain, partly)]
    frame = synthesizer.audio.frame_seconds
    assert lasts[1][0] == pytest.approx(lasts[0][0], abs=2 * frame)
    assert lasts[1][1] == pytest.approx(2 * lasts[0][1], abs=2 * frame)


def test_a_stream_is_the_same_speech(synthesizer):
    text = '<speak>One <emphasis>two</emphasis>. <break time="300ms"/>Three.<break time="100ms"/></speak>'
    whole = synthesizer.speak(text).wave
    torch.testing.assert_close(torch.cat(list(synthesizer.stream(text))), whole, atol=1e-4, rtol=0)


def test_the_command_takes_ssml_and_reports_marks(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tts.synthesis.TRIES", 1)
    monkeypatch.setattr("tts.decoding.SLOWEST", 0.1)
    out, report = tmp_path / "a.wav", tmp_path / "a.json"
    common = [f"voice={trained}", f"out={out}", "vocoder=griffin_lim", f"report={report}"]
    assert main(["synthesize", '<speak>One <mark name="m"/>two.</speak>', *common]) == 0
    marks = json.loads(report.read_text())["marks"]
    assert [mark["name"] for mark in marks] == ["m"] and marks[0]["seconds"] > 0
    capsys.readouterr()
    assert main(["synthesize", "<speak><audio/></speak>", *common]) == 2
    assert "SSML, line 1, column 8: <audio> is not known" in capsys.readouterr().err
    assert main(["synthesize", "Hello there.", "ssml=true", *common]) == 2
    assert "not well formed" in capsys.readouterr().err


def test_the_command_takes_a_lexicon(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tts.synthesis.TRIES", 1)
    monkeypatch.setattr("tts.decoding.SLOWEST", 0.1)
    lexicon, report = tmp_path / "words.tsv", tmp_path / "a.json"
    lexicon.write_text("zorblax\tZ AO1 R\n", encoding="utf-8")
    common = [f"voice={trained}", f"out={tmp_path / 'a.wav'}", "vocoder=griffin_lim", f"report={report}"]
    assert main(["synthesize", "A zorblax.", f"lexicon={lexicon}", *common]) == 0
    (sentence,) = json.loads(report.read_text())["sentences"]
    assert sentence["phones"].endswith("| Z AO1 R . ~") and sentence["guessed"] == []
    assert main(["synthesize", "A zorblax.", f"lexicon={tmp_path / 'no.tsv'}", *common]) == 2
    assert "no.tsv is not readable" in capsys.readouterr().err


def test_phones_of_ipa_are_phones():
    from tts.text.ipa import _CONSONANTS, _VOWELS

    made = [phone for phones in _CONSONANTS.values() for phone in phones.split()] + [f"{v}1" for v in _VOWELS.values()]
    assert set(made) <= set(PHONES)
