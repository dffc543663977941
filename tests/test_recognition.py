"""The language model adds up, every sentence becomes words and phones, and real speech is understood."""

import math
import random
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tts.audio.files import read_recording
from tts.audio.sphinx import samples_for_sphinx
from tts.errors import NothingToSayError
from tts.evaluation import recognition
from tts.evaluation.language_model import plain_words, text_of
from tts.evaluation.measures import Finding, Take, Text, estimate
from tts.evaluation.recognition import Intelligibility, build_language_model
from tts.settings import TextConfig
from tts.text.frontend import Frontend
from tts.text.trigrams import (
    START,
    STOP,
    Model,
    probability,
    pronunciations,
    trigrams,
    write_arpa,
    write_dictionary,
)

KATHLEEN = Path(__file__).parents[1].parent / "shared/data/kathleen"
FRONTEND = Frontend(TextConfig())
SENTENCES = [
    "The cat sat on the mat.",
    "A dog ran after the cat.",
    "The dog did not catch the cat on the mat.",
    "No one saw the dog.",
    "No one saw it again.",
]
RATE = 16000


def text(written: str) -> Text:
    return text_of("an id", written, "held out", FRONTEND)


def log_probability(model: Model, words: tuple[str, ...]) -> float:
    marked = (START, *words, STOP)
    return sum(math.log(probability(model, marked[:i], marked[i])) for i in range(1, len(marked)))


@pytest.fixture(scope="module")
def model() -> Model:
    return trigrams(text(sentence).words for sentence in SENTENCES)


@pytest.mark.parametrize(
    "history",
    [(), (START,), (START, "the"), ("the", "cat"), ("mat", "dog"), ("the", "mat"), ("again",), (START, "again")],
    ids=" ".join,
)
def test_probabilities_sum_to_one_after_histories_seen_and_unseen(model, history):
    words = [ngram[0] for ngram in model if len(ngram) == 1 and ngram != (START,)]
    assert STOP in words and len(words) == 18
    assert sum(probability(model, history, word) for word in words) == pytest.approx(1.0, abs=1e-12)


def test_a_trigram_is_as_likely_as_witten_and_bell_say(model):
    # 32 words and 5 ends, 18 different; after 7 times "the": 3 cat, 2 mat, 2 dog.
    cat = (3 + 18 / 18) / (37 + 18)
    after_the = (3 + 3 * cat) / (7 + 3)
    # After "the" at the start of a sentence: a cat and a dog.
    assert probability(model, (START, "the"), "cat") == pytest.approx((1 + 2 * after_the) / (2 + 2))


def test_a_sentence_is_likelier_than_its_words_in_disorder(model):
    shuffle = random.Random(0).shuffle
    for sentence in SENTENCES:
        words = [*text(sentence).words]
        shuffle(words)
        assert log_probability(model, text(sentence).words) > log_probability(model, tuple(words)) + 3


def test_arpa_holds_the_model(model, tmp_path):
    write_arpa(model, tmp_path / "model.arpa")
    written, counts, n = {}, {}, 0
    for line in (tmp_path / "model.arpa").read_text().splitlines():
        if line.startswith("ngram "):
            order, count = line.removeprefix("ngram ").split("=")
            counts[int(order)] = int(count)
        elif line.endswith("-grams:"):
            n = int(line[1])
        elif "\t" in line:
            logarithm, words, *backoff = line.split("\t")
            assert len(words.split()) == n and len(backoff) == (n < 3)
            written[tuple(words.split())] = 10 ** float(logarithm), 10 ** float(backoff[0]) if backoff else 1.0
    assert counts == {n: sum(len(ngram) == n for ngram in model) for n in (1, 2, 3)}
    assert written.keys() == model.keys()
    assert all(entry == pytest.approx(written[ngram], rel=1e-4) for ngram, entry in model.items())


def test_sphinx_reads_the_model_as_it_is_meant(model, tmp_path):
    sphinx = pytest.importorskip("pocketsphinx", reason="no recogniser: pip install 'tts[evaluate]'")
    write_arpa(model, tmp_path / "model.arpa")
    read = sphinx.NGramModel(sphinx.Config(lw=1.0, wip=1.0), sphinx.LogMath(1.0001), str(tmp_path / "model.arpa"))
    base = math.log(1.0001)
    for history, word in [((START, "the"), "cat"), (("mat", "dog"), "ran"), (("the", "mat"), STOP), ((), "saw")]:
        recent_first = [word, *reversed(history)]
        assert read.prob(recent_first) * base == pytest.approx(math.log(probability(model, history, word)), abs=0.01)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("Hello, World!", "hello world"),
        ("It's Mr. Hicks' 21 dogs.", "it's mister hicks twenty one dogs"),
        ("The U.S. at 5 p.m.", "the us at five pm"),
        ("A well-known co-operation, to-day.", "a well known cooperation today"),
        ("Say {HH AH0 L OW1} twice", "say hhahlow twice"),
        ("'Twas 'em", "twas em"),
    ],
)
def test_words_are_as_they_are_spoken(written, words):
    made = text(written)
    assert " ".join(made.words) == words
    assert len(made.phones) == len(made.words)


def test_phones_are_without_stress():
    assert text("Hello {W ER1 L D}.").phones == (("HH", "AH", "L", "OW"), ("W", "ER", "L", "D"))


def test_what_cannot_be_spoken_is_no_text():
    with pytest.raises(NothingToSayError):
        text("...")


def test_a_voice_of_characters_needs_a_frontend_of_phonemes():
    with pytest.raises(AssertionError):
        text_of("1", "Hello.", "held out", Frontend(TextConfig(units="characters")))


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("Hicks'", "hicks"),
        ("o'clock", "o'clock"),
        ("U.S.", "us"),
        ("to-day", "today"),
        ("co-operation", "cooperation"),
        ("twenty-one", "twenty one"),
        ("mother-in-law", "mother in law"),
        ("--", ""),
    ],
)
def test_plain_words(written, plain):
    assert " ".join(plain_words(written)) == plain


def test_a_compound_is_cut_where_one_of_its_words_ends():
    made = text("Sixty-three mother-in-law, twenty-one last-minute.")
    assert [(word, " ".join(phones)) for word, phones in zip(made.words, made.phones, strict=True)] == [
        ("sixty", "S IH K S T IY"),
        ("three", "TH R IY"),
        ("mother", "M AH DH ER"),
        ("in", "IH N"),
        ("law", "L AO"),
        ("twenty", "T W EH N T IY"),
        ("one", "W AO N"),  # as CMUdict says the compound
        ("last", "L AE S"),
        ("minute", "M IH N AH T"),
    ]


def test_a_compound_said_as_neither_of_its_words_is_one(tmp_path):
    lexicon = tmp_path / "lexicon.tsv"
    lexicon.write_text("ship-shape\tB AH1 M P\n")
    made = text_of("1", "Ship-shape", "", Frontend(TextConfig(lexicon=str(lexicon))))
    assert (made.words, made.phones) == (("shipshape",), (("B", "AH", "M", "P"),))


def test_a_dictionary_has_every_way_to_say_a_word_once(tmp_path):
    others = tmp_path / "others.dict"
    others.write_text("and AH N D\nand(2) AE N D\nend EH N D\n")
    said = [
        pair for one in ("And you {Y UW1}.", "And the") for pair in zip(text(one).words, text(one).phones, strict=True)
    ]
    ways = pronunciations(said, others)
    write_dictionary(ways, tmp_path / "closed.dict")
    assert (tmp_path / "closed.dict").read_text().splitlines() == [
        "and AH N D",
        "and(2) AE N D",
        "the DH AH",
        "you Y UW",
        "yuw Y UW",
    ]


def test_a_missing_package_is_named_with_the_way_out(monkeypatch):
    def refuse(name: str) -> None:
        if name == "jiwer":
            raise ImportError("No module named 'jiwer'")

    monkeypatch.setattr(recognition.importlib, "import_module", refuse)
    assert "jiwer" in recognition.missing() and 'pip install "tts[evaluate]"' in recognition.missing()


def test_errors_are_counted_over_words_and_characters():
    pytest.importorskip("jiwer", reason="no edit distance: pip install 'tts[evaluate]'")
    assert recognition.word_and_character_errors(("the", "cat", "sat"), ("the", "cap", "sat", "on")) == (
        (2, 3),
        (4, 11),
    )
    assert recognition.word_and_character_errors(("the", "cat"), ()) == ((2, 2), (7, 7))


@pytest.fixture(scope="module")
def judge(tmp_path_factory) -> Intelligibility:
    """Expects the sentences above and a stretch of Kathleen's."""
    if reason := recognition.missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("recognition")
    build_language_model([text(sentence) for sentence in [*SENTENCES, *(clip[1] for clip in kathleen())]], folder)
    return Intelligibility(folder, open_for=())


def kathleen() -> list[tuple[str, str]]:
    """Every tenth of Kathleen's clips: id and text. Nothing where she is not there."""
    if not KATHLEEN.is_dir():
        return []
    lines = (KATHLEEN / "metadata.csv").read_text(encoding="utf-8").splitlines()[::10]
    return [(line.split("|")[0], line.split("|")[2]) for line in lines]


@pytest.fixture(scope="module")
def takes() -> list[Take]:
    """8 recordings."""
    if not KATHLEEN.is_dir():
        pytest.skip("no real speech at ../shared/data/kathleen")
    recordings = [(written, read_recording(KATHLEEN / "wavs" / f"{id}.flac")) for id, written in kathleen()[::20]]
    return [Take(text(written), "real", recording.wave, recording.sample_rate) for written, recording in recordings]


def changed(take: Take, wave: Tensor) -> Take:
    return Take(take.text, "changed", wave, take.sample_rate)


def wer(findings: list[Finding], name: str = "wer") -> float:
    return estimate(recognition.CLOSED[0], [finding.parts[name] for finding in findings]).value


@pytest.mark.parametrize("n_samples", [0, 1, 100, 5 * RATE])
def test_silence_of_any_length_is_no_words(judge, n_samples, capfd):
    finding = judge(Take(text(SENTENCES[0]), "silent", torch.zeros(n_samples), RATE))
    assert finding.notes["heard"] == ""
    assert finding.parts["wer"] == (6, 6)
    assert capfd.readouterr() == ("", "")


def test_real_speech_is_understood_and_what_is_lost_is_missed(judge, takes):
    assert len(takes) == 8
    whole = wer([judge(take) for take in takes])
    cut = wer([judge(changed(take, take.wave[: int(0.7 * len(take.wave))])) for take in takes])
    generator = torch.Generator().manual_seed(0)
    noisy = [take.wave + take.wave.std() * torch.randn(len(take.wave), generator=generator) for take in takes[:3]]
    assert whole < 0.10
    assert cut > 0.2
    assert wer([judge(changed(take, wave)) for take, wave in zip(takes[:3], noisy, strict=True)]) > 0.5


def test_a_wave_is_brought_to_one_level_and_lies_in_silence():
    samples = torch.frombuffer(bytearray(samples_for_sphinx(0.001 * torch.ones(8000), 8000)), dtype=torch.int16)
    assert len(samples) == 1600 + RATE + 1600  # as many seconds, at the rate of the acoustic model
    assert not samples[:1600].any() and not samples[-1600:].any()
    assert samples[1600:-1600].float().div(32768).square().mean().sqrt() == pytest.approx(0.1, rel=0.01)


def test_loudness_changes_nothing(judge, takes):
    quiet = changed(takes[1], 0.002 * takes[1].wave)
    assert judge(quiet).notes == judge(takes[1]).notes


def test_a_take_is_heard_alike_after_any_other(judge, takes):
    """The same words with the same score: nothing of a take is left in the recogniser."""
    generator = torch.Generator().manual_seed(0)
    others = [takes[3].wave, 0.5 * torch.randn(40000, generator=generator), torch.zeros(0)]

    def heard() -> tuple[str, int]:
        notes = judge(takes[2]).notes
        return notes["heard"], judge._closed.hyp().best_score

    alone = heard()
    for wave in others:
        judge(changed(takes[3], wave))
        assert heard() == alone


def test_the_open_model_listens_too_and_says_nothing_else(takes, tmp_path, capfd):
    if reason := recognition.missing():
        pytest.skip(reason)
    build_language_model([take.text for take in takes], tmp_path)
    judge = Intelligibility(tmp_path)
    finding = judge(takes[0])
    assert set(finding.parts) == {measure.name for measure in judge.measures} == {"wer", "cer", "wer_open", "cer_open"}
    assert set(finding.notes) == {"heard", "heard (open model)"}
    assert finding.parts["wer_open"].amount <= 0.6 * len(takes[0].text.words)
    assert finding.parts["cer_open"].weight == len(" ".join(takes[0].text.words))
    assert capfd.readouterr() == ("", "")
