"""Reading: a table of cases over all classes, places in the original, styles, and what holds for any text."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tts.errors import TextError
from tts.settings import TextConfig
from tts.text.reader import Reader
from tts.text.tokens import spoken_text

READ = Reader(TextConfig())


def cases(name: str) -> list[tuple[str, str, str]]:
    """Lines of a table beside this file: class, text, what is said."""
    lines = (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return [(kind, text, said) for kind, text, said in rows]


US = cases("reading_us.tsv")
UK = cases("reading_uk.tsv")


def words(spoken: str) -> str:
    """What is compared: no marks, hyphens as spaces, no matter whether capitals."""
    return " ".join(re.sub(r"[^a-z0-9' ]", "", spoken.lower().replace("-", " ")).split())


def said(text: str, read: Reader = READ) -> str:
    return words(spoken_text(read(text).tokens))


@pytest.mark.parametrize(("kind", "text", "expected"), US)
def test_as_an_american_reads_it(kind, text, expected):
    assert said(text) == words(expected)
    assert kind in {token.kind for token in READ(text).tokens}


@pytest.mark.parametrize(("kind", "text", "expected"), UK)
def test_as_a_briton_reads_it(kind, text, expected):
    read = Reader(TextConfig(style="uk"))
    assert said(text, read) == words(expected)
    assert kind in {token.kind for token in read(text).tokens}


def test_days_are_cardinals_if_the_recipe_says_so():
    assert said("On May 5, 1963.", Reader(TextConfig(days="cardinal"))) == "on may five nineteen sixty three"


def test_emoji_are_named_if_the_recipe_says_so():
    assert said("ok 👍🏽", Reader(TextConfig(emoji="name"))) == "ok thumbs up sign"
    assert READ("ok 👍🏽").skipped == ("👍🏽",)


def test_tokens_lie_where_they_say():
    text = "“Naïve” ﬁve — ½ cup of H₂O, 5㎞…"
    tokens = READ(text).tokens
    assert [token.text for token in tokens] == [text[token.start : token.end] for token in tokens]
    assert [token.text for token in tokens] == [
        *("“", "Naïve", "”", "ﬁve", "—", "½", "cup", "of", "H₂O", ",", "5㎞", "…"),
    ]
    assert said(text) == "naive five one half cup of h two o five kilometers"


def test_inline_phonemes_are_left_alone():
    tokens = READ("{HH AY1} “5” {Dr. $3}").tokens
    assert [(token.kind, token.said) for token in tokens if token.said] == [
        *(("inline", "{HH AY1}"), ("cardinal", "five"), ("inline", "{Dr. $3}")),
    ]


def check_nothing_is_lost(text: str) -> None:
    try:
        reading = READ(text)
    except TextError:
        assert set("{}") & set(text)
        return
    place = 0
    for token in reading.tokens:
        between = text[place : token.start]
        # What lies between tokens is white space, or has no form of its own: accents, joiners.
        assert not any(character.isalnum() and character.isascii() for character in between)
        assert place - 1 <= token.start < token.end <= len(text) and token.text == text[token.start : token.end]
        assert not re.search(r"[0-9]", token.said) or token.kind == "inline"
        assert token.said.isascii() or token.kind == "inline"
        place = token.end
    assert not any(character.isascii() and character.isalnum() for character in text[place:])


# Digits, signs and apostrophes meet more often than in arbitrary Unicode.
DENSE = st.text(alphabet="aAbBsS.IVX'-0123456789$£%&/:,;() \n\"½²—№°#@+=tndhkpm", max_size=60)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=300), DENSE))
def test_nothing_is_lost_of_any_text(text):
    check_nothing_is_lost(text)


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "1",
            "1.",
            "1,",
            "1-",
            "1/",
            "1:",
            "a.",
            "a-",
            "A",
            "ab.",
            "a@",
            "$",
            "$1",
            "'",
            '"',
            "I",
            "(",
            "1 ",
            "½",
            "—",
        ),
        *(
            "-",
            "#a",
            "@a",
            "1a",
            "A1",
            "www.",
            "http://",
            "１",
            "é",
            "日",
            "👍",
            "и",
            "...",
            "Dr. ",
            "1,000",
            "1x",
            "_",
            "*",
        ),
        *(
            "May 1 ",
            "1 1/1 ",
            "1-1 ",
            "+1 ",
            "1.1.",
            "a_",
            "aB",
            "x^2",
            "10^",
            "2+",
            "(1",
            "1'",
            "́",
            "'s",
            "Mr",
            "U.S. ",
        ),
    ],
)
def test_time_is_linear(unit):
    text = (unit * 20_000)[:20_000]
    began = time.process_time()
    READ(text)
    # 0.1 to 0.3 s on a core that has nothing else to do; what grows with the square takes minutes.
    assert time.process_time() - began < 3
