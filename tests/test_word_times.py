"""When words were spoken, and the files that say so."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from tts.audio.rate import change_rate
from tts.errors import ConfigError
from tts.word_times import WordTime, as_json, as_srt, as_textgrid, word_times, writer_for


class Span(NamedTuple):
    word: str
    start: int
    end: int


WORDS = [WordTime("It's", 0.0, 0.4), WordTime('"high"', 0.4, 0.81), WordTime("lost", 0.9, 0.9), WordTime("noon", 1, 2)]
SECONDS = 2.5


def test_srt():
    assert as_srt(WORDS, SECONDS) == (
        "1\n00:00:00,000 --> 00:00:00,400\nIt's\n\n"
        '2\n00:00:00,400 --> 00:00:00,810\n"high"\n\n'
        "3\n00:00:01,000 --> 00:00:02,000\nnoon\n"
    )
    assert "\n01:02:03,500 --> 01:02:04,000\n" in as_srt([WordTime("late", 3723.4999, 3723.9999)], 4000)


def test_json_names_every_word():
    listed = json.loads(as_json(WORDS, SECONDS))
    assert listed[1] == {"word": '"high"', "start": 0.4, "end": 0.81}
    assert [word["word"] for word in listed] == ["It's", '"high"', "lost", "noon"]


def test_textgrid_covers_the_whole_speech_without_gaps():
    text = as_textgrid(WORDS, SECONDS)
    assert text.startswith('File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 2.500\n')
    assert 'class = "IntervalTier"' in text and 'name = "words"' in text
    labels = [label.replace('""', '"') for label in re.findall(r'text = "(.*)"\n', text)]
    assert labels == ["It's", '"high"', "", "noon", ""]
    edges = [float(edge) for edge in re.findall(r"\n            xm(?:in|ax) = (\S+)", text)]
    assert edges == [0, 0.4, 0.4, 0.81, 0.81, 1, 1, 2, 2, 2.5]
    assert "intervals: size = 5\n" in text and "intervals [5]:" in text


def test_a_textgrid_of_nothing_is_one_empty_interval():
    assert "intervals: size = 1\n" in as_textgrid([], SECONDS)
    assert "intervals: size = 2\n" in as_textgrid([WordTime("all", 0.5, SECONDS)], SECONDS)


def test_the_suffix_decides():
    assert writer_for(Path("a.srt")) is as_srt
    assert writer_for(Path("a.TextGrid")) is writer_for(Path("a.textgrid")) is as_textgrid
    for name in ("words.txt", "words"):
        with pytest.raises(ConfigError, match=rf"{name}: the name must end in \.json, \.srt, \.TextGrid"):
            writer_for(Path(name))


def attend(path, n_symbols):
    return (torch.arange(n_symbols)[:, None] == torch.tensor(path)).float()


def test_words_last_as_long_as_their_symbols_are_attended():
    """Symbols: the word a, a boundary; the word b, a comma and a boundary; the word c; the end."""
    spans = (Span("a", 0, 2), Span("b", 3, 4), Span("c", 6, 7))
    path = [0] * 3 + [1] * 5 + [2] * 4 + [3] * 6 + [4] * 8 + [5] * 2 + [6] * 4 + [7] * 2
    assert word_times(attend(path, 8), spans, 0.5) == [("a", 0.0, 6.0), ("b", 6.0, 9.0), ("c", 14.0, 16.0)]


@pytest.mark.parametrize("step_frames", [1, 3])
def test_words_are_in_order_and_inside_whatever_attention_does(step_frames):
    rng = np.random.default_rng(0)
    for n_frames in (1, 2, 5, 30):
        path = np.repeat(rng.integers(0, 12, n_frames), step_frames)
        blurred = torch.softmax(3 * attend(path, 12) + torch.rand(12, len(path)), dim=0)
        spans = [Span(str(start), start, start + 2) for start in (0, 3, 6, 9)]
        times = word_times(blurred, spans, 0.01, step_frames)
        edges = [edge for word in times for edge in word[1:]]
        assert edges == sorted(edges) and edges[0] >= 0 and edges[-1] <= 0.01 * len(path)


@pytest.mark.parametrize("rate", [0.5, 0.9, 1.0, 1.1, 2.0])
def test_a_rate_changes_the_length_and_nothing_else(rate):
    mel = torch.tensor([[-3.0], [-7.0]]).expand(2, 101)
    changed = change_rate(mel, rate)
    assert changed.shape == (2, round(101 / rate))
    torch.testing.assert_close(changed, mel[:, :1].expand_as(changed))
    rising = change_rate(torch.linspace(0, 1, 101)[None], rate)[0]
    assert (rising.diff() >= 0).all() and abs(float(rising.mean()) - 0.5) < 1e-3
    assert change_rate(mel[:, :1], rate).shape[1] >= 1


def test_a_rate_out_of_range_is_an_error():
    for rate in (0.49, 2.01, 0, -1, float("nan")):
        with pytest.raises(ConfigError, match=r"0\.5 to 2\.0"):
            change_rate(torch.zeros(2, 5), rate)
