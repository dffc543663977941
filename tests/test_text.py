"""Text to ids: words, sources, marks, errors, and what must hold for any text at all."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tts.errors import ConfigError, NothingToSayError, TextError
from tts.settings import TextConfig
from tts.text.frontend import Frontend
from tts.text.symbols import PHONES

SPEECH = Path(__file__).parents[1].parent / "shared" / "data"
PHONEMES = Frontend(TextConfig())
CHARACTERS = Frontend(TextConfig(units="characters"))


def said(text: str) -> str:
    encoded = PHONEMES(text)
    return PHONEMES.decode(encoded.ids)


def sources(text: str, frontend: Frontend = PHONEMES) -> list[tuple[str, str]]:
    return [(span.word, span.source) for span in frontend(text).words]


def test_symbol_table_is_frozen():
    assert PHONEMES.symbols[:10] == ("_", "~", " ", ",", ".", "?", "!", ";", ":", "-")
    assert PHONEMES.symbols[10:] == PHONES and len(PHONES) == 69 and PHONES[0] == "AA0" and PHONES[-1] == "ZH"
    assert CHARACTERS.symbols[10:] == (*"abcdefghijklmnopqrstuvwxyz", "'")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, world!", "HH AH0 L OW1 , | W ER1 L D ! ~"),
        ("no end", "N OW1 | EH1 N D ~"),
        ("It's {HH AH0 L OW1}.", "IH1 T S | HH AH0 L OW1 . ~"),
        ("a{B IY1}c", "AH0 | B IY1 | S IY1 ~"),
        ("Well... yes (no) -- so; 'why?'", "W EH1 L , | Y EH1 S , | N OW1 - | S OW1 ; | W AY1 ? ~"),
        ("Stop?! Now.", "S T AA1 P ? ! | N AW1 . ~"),
        ("Stop! (Now), [or] so", "S T AA1 P ! | N AW1 , | AO1 R , | S OW1 ~"),
        ("(Yes), no...", "Y EH1 S , | N OW1 . ~"),
        ("- hi -", "HH AY1 - ~"),
        ("7", "S EH1 V AH0 N ~"),
        ("A", "EY1 ~"),
        ("B", "B IY1 ~"),
        ("A b c.", "EY1 | B IY1 | S IY1 . ~"),
        ("A plan: a plan A.", "AH0 | P L AE1 N : | AH0 | P L AE1 N | EY1 . ~"),
        ("Vitamin A is", "V AY1 T AH0 M AH0 N | EY1 | IH1 Z ~"),
        ("I am", "AY1 | AE1 M ~"),
        ("J. Lee at 3 p.m.", "JH EY1 | L IY1 | AE1 T | TH R IY1 | P IY1 EH1 M . ~"),
        ("US men told us", "Y UW2 EH1 S | M EH1 N | T OW1 L D | AH1 S ~"),
        ("TELL US ALREADY", "T EH1 L | AH1 S | AO0 L R EH1 D IY0 ~"),
        ("rock-hard to-day", "R AA1 K | HH AA1 R D | T AH0 D EY1 ~"),
        ("'em", "AH0 M ~"),
        ("\"'Tis\" 'so'", "T IH1 Z | S OW1 ~"),
    ],
)
def test_pronunciation_and_marks(text, expected):
    assert said(text) == expected


def test_spans_hold_their_words_and_nothing_else():
    encoded = PHONEMES("Oh, {D EY1}: forty-two Zorblaxes.")
    assert [(w.word, w.source) for w in encoded.words] == [
        ("Oh", "cmudict"),
        ("{D EY1}", "inline"),
        ("forty", "cmudict"),
        ("two", "cmudict"),
        ("Zorblaxes", "g2p"),
    ]
    assert [" ".join(encoded.symbols[w.start : w.end]) for w in encoded.words[:4]] == [
        *("OW1", "D EY1", "F AO1 R T IY0", "T UW1"),
    ]
    between = [s for i, s in enumerate(encoded.symbols) if not any(w.start <= i < w.end for w in encoded.words)]
    assert between == [",", " ", ":", " ", " ", " ", ".", "~"]
    assert encoded.guessed == ("Zorblaxes",) and encoded.text == "Oh, {D EY1}: forty-two Zorblaxes."


@pytest.mark.parametrize(
    ("word", "source", "phones"),
    [
        ("WDSU", "spelled", "D AH1 B AH0 L Y UW0 D IY1 EH1 S Y UW1"),
        ("WDSUs", "spelled", "D AH1 B AH0 L Y UW0 D IY1 EH1 S Y UW1 Z"),
        ("Q.R.S.", "spelled", "K Y UW1 AA1 R EH1 S"),
        ("kbps", "spelled", "K EY1 B IY1 P IY1 EH1 S"),
        ("galaxy's", "cmudict", "G AE1 L AH0 K S IY0 Z"),
        ("waxworks's", "g2p", None),
        ("bus's", "derived", "B AH1 S IH0 Z"),
        ("zorblaxing's", "g2p", None),
        ("who'd've", "derived", "HH UW1 D AH0 V"),
        ("it'd", "cmudict", "IH1 T AH0 D"),
        ("co-operate", "cmudict", "K OW0 AA1 P ER0 EY2 T"),
    ],
)
def test_words_the_dictionary_lacks(word, source, phones):
    span = PHONEMES(word).words[0]
    assert span.source == source
    if phones:
        assert " ".join(PHONEMES(word).symbols[span.start : span.end]) == phones
    else:
        assert PHONEMES(word).symbols[span.end - 1] in ("Z", "S")


def test_a_long_unknown_word_is_not_cut():
    word = "Pneumonoultramicroscopicsilicovolcanoconiosis"
    phones = PHONEMES(word).symbols[:-1]
    assert len(phones) > 35
    assert " ".join(phones).endswith("S IY0 Z") or " ".join(phones).endswith("S IH0 S")
    compound = PHONEMES("marketplacehousekeeping")
    assert " ".join(compound.symbols[:-1]) == "M AA1 R K AH0 T P L EY2 S HH AW2 S K IY2 P IH0 NG"


def test_user_lexicon_wins_and_bends(tmp_path):
    path = tmp_path / "words.tsv"
    path.write_text("# mine\n\nHello\tHH EH1 L OW0\ncafé\tK AE0 F EY1\n", encoding="utf-8")
    frontend = Frontend(TextConfig(lexicon=str(path)))
    assert sources("hello HELLOS café world", frontend) == [
        *(("hello", "lexicon"), ("HELLOS", "lexicon"), ("cafe", "lexicon"), ("world", "cmudict")),
    ]
    assert frontend.decode(frontend("Hello's").ids) == "HH EH1 L OW0 Z ~"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hello HH AH0", ":2: no tab"),
        ("hello\tHH XX", ":2: unknown phone 'XX'"),
        ("hello\tHH AH L", ":2: vowel 'AH' needs its stress"),
        ("hello\t", ":2: no phones"),
        ("two words\tT UW1", ":2: 'two words' is not one word"),
        ("good\tG UH0 D", ":2: 'good' was given other phones before"),
    ],
)
def test_lexicon_errors_name_the_line(tmp_path, line, message):
    path = tmp_path / "words.tsv"
    path.write_text(f"good\tG UH1 D\n{line}\n", encoding="utf-8")
    with pytest.raises(TextError, match=message):
        Frontend(TextConfig(lexicon=str(path)))


def test_missing_lexicon_and_lexicon_for_characters(tmp_path):
    with pytest.raises(TextError, match=r"nowhere\.tsv is not readable"):
        Frontend(TextConfig(lexicon=str(tmp_path / "nowhere.tsv")))
    with pytest.raises(ConfigError, match=r"text\.lexicon gives phonemes"):
        Frontend(TextConfig(units="characters", lexicon="words.tsv"))


@pytest.mark.parametrize("text", ["", " \n\t", "...", "?!", "- -- -", "👍🎉", "'\"'", "()", "日本語", "\u200b"])
@pytest.mark.parametrize("frontend", [PHONEMES, CHARACTERS])
def test_nothing_to_speak_is_an_error(text, frontend):
    with pytest.raises(NothingToSayError, match=r"text is empty|nothing to speak"):
        frontend(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("say {HH QQ1}", "unknown phone 'QQ1'"),
        ("say {HH OW}", "vowel 'OW' needs its stress: OW0, OW1 or OW2"),
        ("say {}", "no phones"),
        ("say {HH AY1", "brace '{' without its partner"),
        ("say HH}", "brace '}' without its partner"),
    ],
)
def test_wrong_inline_phonemes(text, message):
    with pytest.raises(TextError, match=message):
        PHONEMES(text)


def test_inline_phonemes_need_phonemes():
    with pytest.raises(TextError, match=r"text\.units=phonemes"):
        CHARACTERS("{HH AY1}")


def test_what_cannot_be_read_is_an_error_if_the_recipe_says_so():
    strict = Frontend(TextConfig(unreadable="error"))
    with pytest.raises(TextError, match="'日本' at character 4 cannot be read; write it in words"):
        strict("See 日本.")
    assert strict("See 42 Омега.").transliterated == ("Омега",)


def test_unreadable_characters_are_reported():
    encoded = PHONEMES("Hi 👍 there, 日 👍!")
    assert encoded.skipped == ("👍", "日")
    assert PHONEMES.decode(encoded.ids) == "HH AY1 | DH EH1 R ! ~"
    assert PHONEMES("“Naïve” co\u00adoperation — isn’t it?").skipped == ()


def test_characters():
    encoded = CHARACTERS("Don't   stop: well-known U.S. rock, 2!")
    assert CHARACTERS.decode(encoded.ids) == "don't stop: well known us rock, two!~"
    assert {word.source for word in encoded.words} == {"characters"} and encoded.guessed == ()
    assert CHARACTERS.decode(CHARACTERS("'quoted'").ids) == "quoted~"


def test_stored_table_is_used_and_what_it_lacks_is_named():
    reordered = Frontend(TextConfig(), symbols=PHONEMES.symbols[::-1])
    assert reordered("Hi.").symbols == PHONEMES("Hi.").symbols
    assert reordered("Hi.").ids == [len(PHONEMES.symbols) - 1 - i for i in PHONEMES("Hi.").ids]
    poorer = Frontend(TextConfig(), symbols=[s for s in PHONEMES.symbols if s != "!"])
    with pytest.raises(TextError, match="no symbol '!'"):
        poorer("Hi!")
    with pytest.raises(TextError, match="symbol id 79"):
        PHONEMES.decode([79])


def test_fingerprint_follows_what_matters(tmp_path):
    one, two = tmp_path / "one.tsv", tmp_path / "two.tsv"
    one.write_text("zor\tZ AO1 R\n", encoding="utf-8")
    two.write_text("# same words elsewhere\nzor\tZ AO1 R\n", encoding="utf-8")
    first = Frontend(TextConfig(lexicon=str(one))).fingerprint
    assert first == Frontend(TextConfig(lexicon=str(two))).fingerprint
    two.write_text("zor\tZ AO1 R Z\n", encoding="utf-8")
    others = [
        Frontend(TextConfig(lexicon=str(two))),
        Frontend(TextConfig()),
        Frontend(TextConfig(units="characters")),
        Frontend(TextConfig(style="uk")),
        Frontend(TextConfig(), symbols=PHONEMES.symbols[:-1]),
    ]
    assert len({first, *(other.fingerprint for other in others)}) == 6
    assert len(first) == 12 and int(first, 16) >= 0


OFFLINE = """
import socket, sys
def refuse(*args, **options): raise AssertionError("network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from tts.text.frontend import Frontend
from tts.text.split import split_sentences
from tts.settings import TextConfig
frontend = Frontend(TextConfig())
heavy = {"torch", "nltk", "g2p_en", "cmudict", "num2words", "numpy", "omegaconf", "lightning"} & set(sys.modules)
assert not heavy, heavy
frontend("Hello there.")
assert not {"torch", "nltk", "g2p_en"} & set(sys.modules), "only unknown words need g2p-en"
import nltk
nltk.download = refuse
assert frontend("zorblax").guessed == ("zorblax",)
assert nltk.download is refuse and "torch" not in sys.modules
"""


def test_loads_lazily_and_never_downloads():
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", OFFLINE], cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_guessing_does_not_touch_the_network(monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("network")

    monkeypatch.setattr(socket, "socket", refuse)
    assert PHONEMES("quizzaciousness").words[0].source == "g2p"


# Digits, signs and apostrophes meet more often than in arbitrary Unicode.
_DENSE = st.text(alphabet="aAbBsS.IVX'-0123456789$£%&/:,;{}() \n\"½²—№°#@+=tndhkpm", max_size=60)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=300), _DENSE))
def test_any_text_encodes_or_says_why_not(text):
    for frontend in (PHONEMES, CHARACTERS):
        try:
            encoded = frontend(text)
        except TextError:
            continue
        assert len(encoded.ids) == len(encoded.symbols)
        assert [frontend.symbols[i] for i in encoded.ids] == list(encoded.symbols)
        assert encoded.symbols[-1] == "~" and "_" not in encoded.symbols and encoded.symbols.count("~") == 1
        assert encoded.symbols[0] != " " and encoded.symbols[-2] != " "
        edges = [edge for word in encoded.words for edge in (word.start, word.end)]
        assert edges == sorted(edges) and edges[-1] < len(encoded.symbols)
        assert all(word.start < word.end for word in encoded.words)


@pytest.mark.parametrize("corpus", ["ljspeech-350/metadata_full.csv", "kathleen/metadata.csv"])
def test_real_sentences(corpus):
    path = SPEECH / corpus
    if not path.exists():
        pytest.skip(f"{path.name} of {path.parent.name} is not here")
    lines = path.read_text(encoding="utf-8").splitlines()[::10]
    encoded = [PHONEMES(line.split("|")[column]) for line in lines for column in (1, 2)]
    words = [word for each in encoded for word in each.words]
    assert not any(each.skipped for each in encoded)
    assert sum(word.source == "cmudict" for word in words) > 0.98 * len(words)
