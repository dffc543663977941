from typing import NamedTuple

import numpy as np
import pytest
import torch

from tts.failures import Failure, WordsReport, find_failures, penalty, words_attended

FRAME = 0.01  # seconds


class Span(NamedTuple):
    word: str
    start: int
    end: int


SYMBOLS = ("DH", "AH0", " ", "K", "AE1", "T", " ", "S", "AE1", "T", ".", "~")
WORDS = (Span("the", 0, 2), Span("cat", 3, 6), Span("sat", 7, 10))
T_TEXT = len(SYMBOLS)


def attend(path, n_symbols=T_TEXT, blur=0.0):
    """(T_text, T_mel): attention at the given symbol of each frame, sharp or with a Gaussian of `blur` symbols."""
    position = torch.tensor(path, dtype=torch.float32)[None]
    distance = torch.arange(n_symbols)[:, None] - position
    if blur == 0:
        return (distance == 0).float()
    weights = torch.exp(-0.5 * (distance / blur) ** 2)
    return weights / weights.sum(dim=0)


def stay(symbols, frames=6):
    """A path that stays some frames at each of the symbols."""
    return [symbol for symbol in symbols for _ in range(frames)]


DIAGONAL = attend(stay(range(T_TEXT)))
EVEN = torch.full((T_TEXT, 72), 1 / T_TEXT)


def test_every_word_attended():
    report = words_attended(DIAGONAL, WORDS)
    assert report == ((), (), True)


@pytest.mark.parametrize("blur", [0.5, 1.0])
def test_blurred_attention_misses_nothing(blur):
    report = words_attended(attend(np.linspace(0, T_TEXT - 1, 70).tolist(), blur=blur), WORDS)
    assert (report.missed, report.repeated, report.in_order) == ((), (), True)


@pytest.mark.parametrize("blur", [0, 1.0])
def test_a_skipped_word_is_missed(blur):
    report = words_attended(attend(stay([0, 1, 2, 6, 7, 8, 9, 10, 11]), blur=blur), WORDS)
    assert (report.missed, report.repeated, report.in_order) == (("cat",), (), True)


def test_a_word_cut_short_is_missed():
    report = words_attended(attend(stay([0, 1, 2, 3, 6, 7, 8, 9, 10, 11])), WORDS)
    assert report.missed == ("cat",)


def test_a_word_rushed_through_is_missed():
    report = words_attended(attend([*stay([0, 1, 2]), 3, 5, *stay([6, 7, 8, 9, 10])]), WORDS)
    assert report.missed == ("cat",)


def test_a_repeated_word():
    report = words_attended(attend(stay([0, 1, 2, 3, 4, 5, 6, 7, 8, 3, 4, 5, 6, 7, 8, 9, 10, 11])), WORDS)
    assert (report.missed, report.repeated, report.in_order) == ((), ("cat", "sat"), False)


def test_a_flicker_is_no_repetition():
    path = stay(range(T_TEXT))
    path[44:47] = [4] * 3  # three frames within "sat"
    report = words_attended(attend(path), WORDS)
    assert (report.missed, report.repeated, report.in_order) == ((), (), True)


def test_a_stall_misses_what_follows():
    report = words_attended(attend(stay([0, 1, 2, 3, 4]) + [5] * 200), WORDS)
    assert (report.missed, report.repeated, report.in_order) == (("sat",), (), True)


def test_babble_at_the_end():
    report = words_attended(attend(stay([*range(T_TEXT), 4, 8, 1, 11])), WORDS)
    assert report.missed == () and "cat" in report.repeated and not report.in_order


def test_words_out_of_order():
    report = words_attended(attend(stay([0, 1, 2, 7, 8, 9, 3, 4, 5, 10, 11])), WORDS)
    assert (report.missed, report.repeated, report.in_order) == ((), (), False)


def test_scattered_attention_misses_every_word():
    report = words_attended(EVEN, WORDS)
    assert report.missed == ("the", "cat", "sat") and report.repeated == ()


def test_a_word_of_one_symbol():
    spans = (Span("a", 0, 1), Span("cat", 2, 5))
    assert words_attended(attend(stay(range(6), 4), 6), spans).missed == ()
    assert words_attended(attend(stay([1, 2, 3, 4, 5], 4), 6), spans).missed == ("a",)


def test_the_same_word_twice_in_a_text_is_no_repetition():
    spans = (Span("cat", 0, 3), Span("cat", 4, 7))
    report = words_attended(attend(stay(range(8)), 8), spans)
    assert report.repeated == () and report.in_order


def speech(n_frames, quiet=()):
    """(2, T_mel) a loud mel, as quiet as silence in the given frames."""
    mel = torch.full((2, n_frames), -4.0)
    for frame in quiet:
        mel[:, frame] = -11.5
    return mel


def kinds(alignment, *, mel=None, stop_reason="stop"):
    words = words_attended(alignment, WORDS)
    mel = speech(alignment.shape[1]) if mel is None else mel
    found = find_failures(alignment, mel, words, stop_reason=stop_reason, frame_seconds=FRAME)
    assert len({failure.kind for failure in found}) == len(found)
    return {failure.kind: failure.detail for failure in found}


def test_a_good_decode_has_no_failure():
    assert kinds(DIAGONAL) == kinds(DIAGONAL, stop_reason="attended") == {}


def test_each_failure_is_named():
    assert kinds(DIAGONAL, stop_reason="limit") == {"stop": "did not stop by itself within 0.7 s"}
    assert kinds(attend(stay([0, 1, 2, 6, 7, 8, 9, 10, 11]))) == {"skip": "skipped: cat"}
    assert kinds(attend(stay([*range(10), 4, 5, 10, 11]))) == {"repeat": "repeated: cat"}
    swapped = attend(stay([0, 1, 2, 7, 8, 9, 3, 4, 5, 10, 11]))
    assert kinds(swapped) == {"repeat": "repeated: words out of order"}


def test_a_stall_is_a_second_on_one_symbol():
    stalled = [*stay(range(5)), *[5] * 101, *stay(range(6, 12))]
    assert kinds(attend(stalled)) == {"stall": "stalled for 1.0 s"}
    assert kinds(attend([*stay(range(5)), *[5] * 99, *stay(range(6, 12))])) == {}


def test_speech_after_the_end_is_babble_and_silence_is_not():
    late = attend([*stay(range(11)), *[11] * 60])
    assert kinds(late) == {"babble": "babbled for 0.6 s"}
    assert kinds(late, mel=speech(126, quiet=range(66, 126))) == {}
    assert kinds(attend([*stay(range(11)), *[11] * 45])) == {}


def test_speech_under_scattered_attention_is_babble():
    between = torch.cat([DIAGONAL[:, :36], torch.full((T_TEXT, 55), 1 / T_TEXT), DIAGONAL[:, 36:]], dim=1)
    assert "babble" in kinds(between)
    quiet = kinds(between, mel=speech(127, quiet=range(36, 91)))
    assert "babble" not in quiet


def test_a_missed_word_weighs_more_than_any_other_failure():
    good, missed = WordsReport((), (), True), WordsReport(("cat",), (), True)
    stop, skip, repeat = Failure("stop", ""), Failure("skip", ""), Failure("repeat", "")
    assert penalty((), good) == 0
    assert penalty((stop,), good) == penalty((repeat,), WordsReport((), ("cat",), False)) == 1
    assert penalty((skip,), missed) == 2 < penalty((skip, stop), missed)
    assert penalty((repeat,), WordsReport((), (), False)) == 1
    assert penalty((repeat,), WordsReport((), ("cat", "sat"), False)) == 2
