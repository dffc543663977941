"""Splitting into sentences: where, and that nothing is lost."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tts.text.split import split_sentences, split_text


@pytest.mark.parametrize(
    "text",
    [
        "One here. | Two there! | Three? | Four.",
        "Dr. Smith met Mr. Jones. | They talked.",
        "We use e.g. Python, i.e. Guido's. | It works.",
        "The U.S. Army came. | It left the U.S. | Then it rained.",
        "J. Edgar Hoover and W. H. Auden met. | So they say.",
        "It was I. | Then we left.",
        "Pi is 3.14 or so. | It costs $2.50. | Yes.",
        'He said "Stop!" and left. | "Why?" | She knew.',
        '"I came. | I saw." | (He won.) | Then "home."',
        "Well... maybe. | Wait... | What?",
        "At 3 p.m. Tuesday we met. | At 4 p.m. | We left.",
        "See No. 5 now. | He said no. | We left on Jan. 5 at six.",
        "So. | {HH AY1. DH EH1 R} is inline. | {N AW1} starts one.",
        "Great! | 🎉 Let's go.",
        "Heading\n | Eggs\n | Milk\n\n | A paragraph follows here.",
        "This line of prose is wrapped somewhere after\nForty characters, and goes on.",
        "He lives at 5 Main St. | It is nice. | St. Paul is near Oak Dr. Park.",
        "1. First item.\n | 2. Second item.\n | - a third\n | - a fourth",
        "See p. 12. | Then Vol. 3. | 4 is next.",
        "1. First. | 2. Second. | He scored 5. | Then 6.",
        "He bought Acme Inc. shares. | He sold Acme Inc. | The end.",
    ],
)
def test_sentences(text):
    expected = [" ".join(part.split()) for part in text.split("|")]
    assert split_sentences(text.replace("|", "")) == expected


def test_what_ends_with_each_stretch():
    text = "One. Two\n\nThree three three, and four four four.\n- five\n- six"
    assert split_text(text, max_chars=25) == [
        *(("One.", "sentence"), ("Two", "paragraph"), ("Three three three,", "clause")),
        *(("and four four four.", "line"), ("- five", "line"), ("- six", "paragraph")),
    ]


def test_nothing_gives_nothing():
    assert split_sentences(" \n ") == []
    assert split_sentences("...") == ["..."]


def test_long_sentences_are_split_at_clauses_else_at_conjunctions_else_at_spaces():
    assert split_sentences("one two three, four five six; seven eight", max_chars=20) == [
        *("one two three,", "four five six;", "seven eight"),
    ]
    assert split_sentences("one two three, four five six seven", max_chars=20) == [
        *("one two three,", "four five six seven"),
    ]
    assert split_sentences("one two three four five and six", max_chars=25) == ["one two three four five", "and six"]
    assert split_sentences("one and two three four five six", max_chars=20) == ["one and two three", "four five six"]
    assert split_sentences("one two, three and four five six", max_chars=24) == ["one two,", "three and four five six"]
    assert split_sentences("aaa bbb ccc ddd eee fff", max_chars=12) == ["aaa bbb ccc", "ddd eee fff"]
    assert split_sentences("a" * 30 + " b", max_chars=10) == ["a" * 30, "b"]
    assert split_sentences("go {HH AY1 DH EH1 R} now", max_chars=8) == ["go", "{HH AY1 DH EH1 R}", "now"]


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300) | st.text(alphabet="aA.?! \n{}1\"',;-", max_size=80), st.integers(5, 80))
def test_nothing_is_lost(text, max_chars):
    pieces = split_sentences(text, max_chars)
    assert " ".join(pieces).split() == text.split()
    assert all(piece == piece.strip() != "" for piece in pieces)
    if any(character.isalnum() for character in text):
        assert all(any(character.isalnum() for character in piece) for piece in pieces)
    plain = "{" not in text and not any(len(word) > max_chars for word in text.split())
    if plain and all(any(c.isalnum() for c in word) for word in text.split()):
        assert all(len(piece) <= max_chars for piece in pieces)


@pytest.mark.parametrize("unit", ["a. ", "word ", "a, ", "! ", "1. ", "{HH AY1} ", "- a\n", "Mr. ", "\n\nA", "and "])
def test_time_is_linear(unit):
    text = (unit * 50_000)[:50_000]
    began = time.process_time()
    split_text(text)
    assert time.process_time() - began < 1.0
