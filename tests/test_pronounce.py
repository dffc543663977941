"""How words are said and where that comes from: lexicons, homographs, known words with endings, compounds, guesses."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tts.errors import TextError
from tts.settings import TextConfig
from tts.text import homographs, tagger
from tts.text.derive import compounds, join_compound, plural_bases, stems
from tts.text.frontend import Frontend
from tts.text.guess import guess
from tts.text.homographs import Context, load_homographs
from tts.text.lexicon import keep_lexicon, load_cmudict, read_lexicon, with_kept_lexicon
from tts.text.pronounce import SURENESS, Pronouncer
from tts.text.symbols import PHONES

ROOT = Path(__file__).parents[1]
FRONTEND = Frontend(TextConfig())


class Written(NamedTuple):
    """A word, and the marks behind it."""

    text: str
    marks: list[str]


def written(sentence: str) -> list[Written]:
    words: list[Written] = []
    for found in re.findall(r"[A-Za-z'-]+|[,.?!;:]", sentence):
        if found[0].isalpha():
            words.append(Written(found, []))
        else:
            words[-1].marks.append(found)
    return words


def said(text: str, pronouncer: Pronouncer, word: str) -> tuple[str, str]:
    """Phones and source of the first occurrence of a word in a sentence."""
    words = written(text)
    place = next(place for place, token in enumerate(words) if token.text.lower() == word)
    (spoken,) = pronouncer.say(words[place].text, context=Context(words, place))
    return " ".join(spoken.phones), spoken.source


def marked(name: str) -> list[tuple[str, int, str]]:
    """Sentence, place of the word in question among its words, and the word's phones."""
    rows = []
    for line in (ROOT / "tests" / name).read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            sentence, phones = line.split("\t")
            before, _, _ = sentence.partition("*")
            rows.append((sentence.replace("*", ""), len(written(before)), phones))
    return rows


def share_right(name: str) -> float:
    """Of the sentences of a file, how many have the right phones for the word in question."""
    pronouncer, rows = Pronouncer({}), marked(name)
    right = 0
    for sentence, place, phones in rows:
        words = written(sentence)
        (spoken,) = pronouncer.say(words[place].text, context=Context(words, place))
        assert spoken.source == "homograph", spoken
        right += " ".join(spoken.phones) == phones
    return right / len(rows)


@pytest.fixture
def no_tagger(monkeypatch):
    monkeypatch.setattr(homographs, "tag_words", lambda words: None)


@pytest.mark.usefixtures("no_tagger")
def test_rules_tell_homographs_apart():
    # Written before the rules were; the second file was never looked at while they were made.
    assert len(marked("homographs.tsv")) + len(marked("homographs_aside.tsv")) >= 200
    assert share_right("homographs.tsv") > 0.97
    assert share_right("homographs_aside.tsv") > 0.95


@pytest.mark.usefixtures("no_tagger")
@pytest.mark.parametrize(
    ("text", "word", "phones"),
    [
        ("I read it yesterday.", "read", "R EH1 D"),
        ("I will read it.", "read", "R IY1 D"),
        ("He records every record.", "records", "R IH0 K AO1 R D Z"),
        ("The records were lost.", "records", "R EH1 K ER0 D Z"),
        ("He asked about the record's age.", "record's", "R EH1 K ER0 D Z"),
        ("I used to sing.", "used", "Y UW1 S T"),
        ("It is used to sing along.", "used", "Y UW1 Z D"),
        ("A Polish officer came.", "polish", "P OW1 L IH0 SH"),
        ("It upsets him because this rejects him.", "rejects", "R IH0 JH EH1 K T S"),
        ("The houses burned.", "houses", "HH AW1 S IH0 Z"),
    ],
)
def test_forms_of_homographs(text, word, phones):
    assert said(text, Pronouncer({}), word) == (phones, "homograph")


def test_parts_of_compounds_see_each_other():
    spans = [(w.word, w.source) for w in FRONTEND("She is well-read, and a lead-free paint.").words]
    assert ("read", "homograph") in spans
    assert "W EH1 L | R EH1 D" in FRONTEND.decode(FRONTEND("She is well-read.").ids)
    assert "L EH1 D | F R IY1" in FRONTEND.decode(FRONTEND("It is lead-free.").ids)


def test_every_homograph_can_be_said_in_ways_that_differ():
    table = load_homographs()
    assert len(table) > 100
    for word, readings in table.items():
        assert len({reading.phones for reading in readings}) == len(readings) > 1, word
        assert all(phone in PHONES for reading in readings for phone in reading.phones), word


def test_who_wins(tmp_path):
    voice, user = tmp_path / "voice.tsv", tmp_path / "user.tsv"
    voice.write_text("lead\tL OW1 D\n", encoding="utf-8")
    user.write_text("lead\tL IH1 D\nhello\tHH EH1\nzorblax\tZ AO1 R\n", encoding="utf-8")
    both = Pronouncer(read_lexicon(str(voice)), read_lexicon(str(user)))
    mine = Pronouncer({}, read_lexicon(str(user)))
    assert said("It is made of lead.", both, "lead") == ("L OW1 D", "lexicon")
    assert said("It is made of lead.", mine, "lead") == ("L IH1 D", "user")
    assert said("It is made of lead.", Pronouncer({}), "lead") == ("L EH1 D", "homograph")
    assert said("He leads them.", mine, "leads") == ("L IH1 D Z", "user")
    assert said("Hello there.", mine, "hello") == ("HH EH1", "user")
    assert said("Hello there.", Pronouncer({}), "hello")[1] == "cmudict"
    assert said("The zorblax's end.", mine, "zorblax's") == ("Z AO1 R Z", "user")
    assert said("The zorblax ended.", Pronouncer({}), "zorblax")[1] == "g2p"


@pytest.mark.usefixtures("no_tagger")
def test_a_lexicon_may_tell_parts_of_speech_apart(tmp_path):
    path = tmp_path / "words.tsv"
    path.write_text("zorb\tZ AO1 R B\tverb\nzorb\tZ OW1 R B\tnoun\nflim\tF L IH1 M\nflim\tF L AY1 M\tverb\n", "utf-8")
    pronouncer = Pronouncer(read_lexicon(str(path)))
    assert said("I will zorb it.", pronouncer, "zorb") == ("Z AO1 R B", "lexicon")
    assert said("The zorb is here.", pronouncer, "zorb") == ("Z OW1 R B", "lexicon")
    assert said("You can flim it.", pronouncer, "flim") == ("F L AY1 M", "lexicon")
    assert said("The flim is here.", pronouncer, "flim") == ("F L IH1 M", "lexicon")
    path.write_text("zorb\tZ AO1 R B\tverbs\n", "utf-8")
    with pytest.raises(TextError, match=r"words\.tsv:1: unknown part of speech 'verbs'; one of noun, verb"):
        read_lexicon(str(path))


def test_a_voice_keeps_its_lexicon(tmp_path):
    path, run = tmp_path / "words.tsv", tmp_path / "run"
    run.mkdir()
    path.write_text("zorb\tZ AO1 R B\n", "utf-8")
    cfg = TextConfig(lexicon=str(path))
    assert with_kept_lexicon(cfg, run) == cfg
    keep_lexicon(cfg, run)
    path.unlink()
    frontend = Frontend(with_kept_lexicon(cfg, run))
    assert frontend.decode(frontend("zorb").ids) == "Z AO1 R B ~"
    assert with_kept_lexicon(TextConfig(), run) == TextConfig()


@pytest.mark.parametrize(
    ("word", "phones", "source"),
    [
        ("defalcated", None, "g2p"),
        ("misdirecting", "M IH0 S D IH0 R EH1 K T IH0 NG", "derived"),
        ("choreographies", "K AO2 R IY0 AA1 G R AH0 F IY0 Z", "derived"),
        ("moodiness", "M UW1 D IY0 N AH0 S", "derived"),
        ("spiderlike", "S P AY1 D ER0 L AY2 K", "derived"),
        ("bedstead", "B EH1 D S T EH2 D", "compound"),
        ("bedsteads", "B EH1 D S T EH2 D Z", "compound"),
        ("roominghouse", "R UW1 M IH0 NG HH AW2 S", "compound"),
        ("gatesman", "G EY1 T S M AH0 N", "compound"),
    ],
)
def test_words_made_of_known_words(word, phones, source):
    (spoken,) = Pronouncer({}).say(word)
    assert spoken.source == source
    if phones:
        assert " ".join(spoken.phones) == phones


def loose(phones: str) -> list[str]:
    """Without stress, and with one symbol for the two weak vowels that dictionaries mix."""
    return [phone.rstrip("012") for phone in phones.replace("IH0", "AH0").split()]


def test_endings_are_those_of_the_dictionary():
    known = load_cmudict()
    met = total = 0
    for word, phones in known.items():
        stem = next((stem for stem in stems(word) if stem.word in known), None)
        if stem:
            total += 1
            met += loose(" ".join(stem.change(tuple(known[stem.word].split())))) == loose(phones)
    assert total > 9000 and met / total > 0.92


def test_compounds_meet_the_dictionary_better_than_guesses_do():
    known = load_cmudict()
    made = guessed = 0
    words = [word for word in sorted(known) if word.isalpha() and len(word) >= 7][::40]
    for word in words:
        parts = next((parts for parts in compounds(word) if parts.first in known and parts.last in known), None)
        plain = [*plural_bases(word), *(stem.word for stem in stems(word))]
        if parts and known.keys().isdisjoint(plain):  # those come first
            joined = join_compound(parts, tuple(known[parts.first].split()), tuple(known[parts.last].split()))
            made += loose(" ".join(joined)) == loose(known[word])
            guessed += loose(" ".join(network(word))) == loose(known[word])
    assert made > guessed > 50


def network(word: str) -> list[str]:
    from tts.text.guess import _run_network

    return _run_network(word)


@pytest.mark.parametrize(
    ("word", "phones"),  # what the package g2p-en 2.1.0 itself says
    [
        ("zorblax", "Z AO1 R B AH0 L K S"),
        ("hosty", "HH OW1 S T IY0"),
        ("calcraft", "K AE1 L K R AE2 F T"),
        ("quizzacious", "K W IH0 Z EY1 SH AH0 S"),
        ("courvoisier", "K AO2 R V OY1 S ER0 IY0"),
        ("strychnia", "S T R IH1 N SH IY0 AH0"),
    ],
)
def test_guesses_are_those_of_g2p_en(word, phones):
    assert " ".join(guess(word)) == phones


@pytest.mark.parametrize(
    "text",
    ["book" * 2500, "a" * 10_000, "x" + "'s" * 5000, "read-" * 2000 + "it", "read " * 10_000, "zorb" * 2500 + "'ve"],
)
def test_what_is_no_word_takes_no_long_time(text):
    began = time.process_time()
    assert FRONTEND(text).words
    assert time.process_time() - began < 2.0


def test_every_source_says_how_sure_it_is():
    assert SURENESS["g2p"] == "guessed" and SURENESS["cmudict"] == "known" and SURENESS["inline"] == "given"


def run(code: str, tmp_path: Path, nltk_data: str) -> str:
    """The output of a fresh Python, of a user who has no data of NLTK but what is in a folder."""
    environment = {**os.environ, "HOME": str(tmp_path), "NLTK_DATA": nltk_data}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


READ = """
import sys
from tts.settings import TextConfig
from tts.text.frontend import Frontend
frontend = Frontend(TextConfig())
print(frontend.decode(frontend("The object grew.").ids), "nltk" in sys.modules)
"""


def test_without_the_taggers_data_nltk_is_not_even_imported(tmp_path):
    assert run(READ, tmp_path, "") == "DH AH0 | AA1 B JH EH0 K T | G R UW1 . ~ False"


def test_with_the_taggers_data_the_tagger_is_used(tmp_path):
    folder = tmp_path / "data" / "taggers" / tagger.DATA
    folder.mkdir(parents=True)
    # A tagger that takes every word for a verb, and the rules for a noun: the tags weigh in.
    (folder / f"{tagger.DATA}.weights.json").write_text('{"bias": {"VB": 1.0, "NN": 0.0}}')
    (folder / f"{tagger.DATA}.tagdict.json").write_text("{}")
    (folder / f"{tagger.DATA}.classes.json").write_text('["VB", "NN"]')
    heard = "from tts.text.tagger import tag_words; print(tag_words(('The', 'object', '.')))"
    assert run(heard, tmp_path, str(tmp_path / "data")) == "('VB', 'VB', 'VB')"
    assert run(READ, tmp_path, str(tmp_path / "data")).endswith("True")


def test_tags_weigh_where_rules_are_not_sure(monkeypatch):
    monkeypatch.setattr(homographs, "tag_words", lambda words: tuple("VBD" if w == "wound" else "DT" for w in words))
    with_tags = said("Cables wound.", Pronouncer({}), "wound")
    monkeypatch.setattr(homographs, "tag_words", lambda words: tuple("NN" for _ in words))
    assert with_tags != said("Cables wound.", Pronouncer({}), "wound")
