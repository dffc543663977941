"""When a row of a decode ends, why, and where its attention may go: on scripts of steps."""

import numpy as np
import pytest
import torch

from tts.acoustic import _watch
from tts.interfaces import AttentionWindow

N = 6  # symbols
LOUD, QUIET = 0.5, -2.0


def limits(text_lengths=(N,), **changed):
    options = {"max_frames": [40] * len(text_lengths), "min_frames": None, "rest_frames": 0, "windows": None}
    return _watch.make_limits(torch.tensor(text_lengths), stop_threshold=0.5, **{**options, **changed})


def run(rules, path, *, stops=(), level=LOUD, r=1):
    """Steps that attend the symbols of `path`, then rest on the last of them; until the only row has ended."""
    n_symbols = int(rules.text_lengths.max())
    watch = _watch.start(rules, n_symbols)
    for step in range(100):
        symbol = path[min(step, len(path) - 1)]
        weights = np.eye(n_symbols, dtype=np.float32)[[symbol]]
        made = _watch.Step(weights, np.float32([0.9 if step in stops else 0.1]), np.full((1, r), level, np.float32))
        watch = _watch.advance(watch, rules, made, (step + 1) * r)
        if not watch.speaking:
            break
    return int(watch.lengths[0]), watch.stop_reasons[0]


READ = [0, 0, 1, 1, 2, 3, 4, 5]


def test_the_stop_token_and_the_limit():
    assert run(limits(), READ, stops=[9]) == (10, "stop")
    assert run(limits(), READ) == (40, "limit")
    assert run(limits(max_frames=[9]), READ, stops=[4], r=2) == (9, "stop")
    assert run(limits(max_frames=[9]), READ, stops=[9], r=2) == (9, "limit")


def test_rest_on_the_end_of_a_text_that_was_read_ends_it():
    assert run(limits(rest_frames=5), READ) == (len(READ) + 4, "attended")
    assert run(limits(rest_frames=6), READ, r=2) == (2 * (len(READ) + 2), "attended")
    assert run(limits(rest_frames=5), READ, stops=[8]) == (9, "stop")
    assert run(limits(rest_frames=5), [*READ, 4, *[5] * 4], stops=()) == (len(READ) + 6, "attended")


def test_rest_after_symbols_were_left_out_does_not():
    assert run(limits(rest_frames=5), [0, 1, 4, 5])[1] == "attended"  # two may be passed over
    assert run(limits(rest_frames=5), [0, 1, 5])[1] == "limit"
    assert run(limits(rest_frames=5), [5])[1] == "limit"
    assert run(limits(rest_frames=5), [0, 1, 2, 3, 4])[1] == "limit"  # never came to the end


def test_no_row_ends_before_it_has_made_enough_sound():
    assert run(limits(min_frames=[12]), READ, stops=range(100)) == (12, "stop")
    assert run(limits(min_frames=[12]), READ, stops=range(100), r=3) == (12, "stop")
    assert run(limits(min_frames=[20], rest_frames=5), READ) == (20, "attended")
    assert run(limits(min_frames=[1]), READ, stops=range(100), level=QUIET) == (40, "limit")
    assert run(limits(min_frames=[30], max_frames=[10]), READ) == (10, "limit")


def test_each_row_ends_by_itself():
    rules = limits((6, 3, 6), max_frames=[40, 40, 5], rest_frames=4)
    watch = _watch.start(rules, N)
    for step, symbols in enumerate(([0, 0, 0], [1, 1, 1], [2, 2, 2], [3, 2, 3], [4, 2, 4], [5, 2, 5], [5, 0, 0])):
        weights = np.eye(N, dtype=np.float32)[symbols]
        stop = np.float32([step == 6, 0, step == 6])
        watch = _watch.advance(watch, rules, _watch.Step(weights, stop, np.full((3, 1), LOUD, np.float32)), step + 1)
    assert not watch.speaking
    assert watch.lengths.tolist() == [7, 6, 5] and watch.stop_reasons == ("stop", "attended", "limit")


def follow(paths, text_lengths, windows):
    """The spans after steps that attend the symbols of `paths`, one path per row."""
    rules = limits(text_lengths, windows=windows)
    watch, spans = _watch.start(rules, N), []
    for step, symbols in enumerate(zip(*paths, strict=True)):
        weights = np.eye(N, dtype=np.float32)[list(symbols)]
        quiet = _watch.Step(weights, np.zeros(len(paths), np.float32), np.full((len(paths), 1), QUIET, np.float32))
        span = _watch.allowed(watch, rules)
        spans.append([] if span is None else list(zip(span.low.tolist(), span.high.tolist(), strict=True)))
        watch = _watch.advance(watch, rules, quiet, step + 1)
    return spans


def test_the_window_follows_attention_and_never_goes_back():
    spans = follow([[0, 2, 1, 1, 4, 5]], [6], [AttentionWindow(back=1, ahead=2)])
    assert [row for (row,) in spans] == [(0, 3), (0, 3), (1, 5), (1, 5), (1, 5), (3, 6)]


def test_rows_without_a_window_are_free():
    assert follow([[0, 5]], [6], None) == follow([[0, 5]], [6], [None]) == [[], []]
    mixed = follow([[0, 5, 0], [0, 1, 2]], [6, 3], [None, AttentionWindow(0, 1)])
    assert mixed == [[(0, 6), (0, 2)], [(0, 6), (0, 2)], [(0, 6), (1, 3)]]


def test_a_span_as_a_mask():
    span = _watch.Span(torch.tensor([0, 2]), torch.tensor([3, 4]))
    assert span.mask(4).tolist() == [[True, True, True, False], [False, False, True, True]]


@pytest.mark.parametrize(("stop_at", "ends"), [(5, 20), (6, 7), (7, 8)])
def test_a_stop_while_much_of_the_text_is_unread_is_none(stop_at, ends):
    """At step 6 attention comes to the sixth symbol from the end."""
    rules = limits([12], max_frames=[20])
    assert run(rules, list(range(12)), stops=[stop_at]) == (ends, "limit" if ends == 20 else "stop")
