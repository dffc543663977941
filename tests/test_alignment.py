import math
from typing import NamedTuple

import numpy as np
import pytest
import torch

from tts.alignment import (
    AlignmentHealth,
    health,
    mean_health,
    monotonic_path,
    phone_time_errors,
    symbol_times,
)
from tts.batch import PhoneTime
from tts.errors import DataError

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


def one(alignment, step_frames=1):
    n_symbols, n_frames = alignment.shape
    return health(alignment[None], torch.tensor([n_symbols]), torch.tensor([n_frames]), step_frames)[0]


DIAGONAL = attend(stay(range(T_TEXT)))
EVEN = torch.full((T_TEXT, 72), 1 / T_TEXT)


def test_health_of_a_diagonal():
    seen = one(DIAGONAL)
    assert seen == pytest.approx((1, 1, 1, 1, 0))
    assert seen.word == "aligned"


def test_health_of_an_even_spread():
    seen = one(EVEN)
    assert seen.focus == pytest.approx(1 / T_TEXT)
    assert seen.diagonality == pytest.approx(0.36, abs=0.03)
    assert seen.coverage == 0
    assert seen.entropy == pytest.approx(1)
    assert seen.word == "scattered"


def test_health_of_a_blurred_diagonal_is_in_between():
    seen = one(attend(stay(range(T_TEXT)), blur=1.2))
    assert seen.word == "aligning"
    assert 0.2 < seen.focus < 0.5 and 0 < seen.entropy < 0.8


@pytest.mark.parametrize(
    ("path", "figure"),
    [
        (stay([0, 3, 1, 5, 2, 7, 4, 9, 6, 11, 8, 10], 2), "monotonicity"),  # back and forth
        (stay(range(6), 12), "coverage"),  # stalls halfway
        ([0, 0, 6] * 20 + [11] * 12, "monotonicity"),
        (stay(reversed(range(T_TEXT))), "diagonality"),
    ],
)
def test_sharp_but_wrong_is_not_aligned(path, figure):
    seen = one(attend(path))
    assert seen.focus == 1
    assert seen.word != "aligned"
    assert getattr(seen, figure) < 0.8


def test_a_jump_too_far_ahead_is_not_monotone():
    n = 20
    path = [0, 1, 2, 3, 8, 9, 10, 11, 12, 13]  # one move of five
    assert one(attend(path, n)).monotonicity == pytest.approx(8 / 9)
    assert one(attend([0, 4, 8, 12], n)).monotonicity == 1


def test_health_knows_lengths_and_steps():
    padded = torch.rand(2, T_TEXT + 3, 80)
    padded[0, :T_TEXT, :72] = DIAGONAL
    text_lengths, mel_lengths = torch.tensor([T_TEXT, T_TEXT + 3]), torch.tensor([72, 80])
    seen = health(padded, text_lengths, mel_lengths)
    assert len(seen) == 2 and seen[0] == one(DIAGONAL) and seen[1] != seen[0]
    # Moves of five symbols a step look like single ones when the frames between are counted.
    jumps = attend([0, 5, 10, 15], 20).repeat_interleave(4, dim=1)
    assert one(jumps).monotonicity == pytest.approx(12 / 15)
    assert one(jumps, step_frames=4).monotonicity == 0


def test_one_symbol_and_one_frame():
    assert one(torch.ones(1, 1)) == (1, 1, 1, 1, 0)


def test_mean_health():
    low, high = AlignmentHealth(0.2, 0.4, 0.6, 0.8, 1), AlignmentHealth(0.4, 0.6, 0.8, 1, 0)
    assert mean_health([low, high]) == pytest.approx((0.3, 0.5, 0.7, 0.9, 0.5))


def test_path_follows_a_monotone_alignment():
    path = stay(range(T_TEXT), 3)
    assert monotonic_path(attend(path).numpy()).tolist() == path


def best_by_hand(score, advance):
    """Every path, one by one."""
    n_symbols, n_frames = score.shape

    def extend(path):
        if len(path) == n_frames:
            return [path] if path[-1] == n_symbols - 1 else []
        onward = range(path[-1], min(path[-1] + advance, n_symbols - 1) + 1)
        return [whole for symbol in onward for whole in extend([*path, symbol])]

    return max(sum(score[symbol, frame] for frame, symbol in enumerate(path)) for path in extend([0]))


@pytest.mark.parametrize("seed", range(4))
def test_path_is_the_best_of_all(seed):
    weights = np.random.default_rng(seed).dirichlet(np.ones(5), 8).T.astype(np.float32)
    score = np.log(weights.clip(1e-4))
    path = monotonic_path(weights)
    assert path[0] == 0 and path[-1] == 4 and (np.diff(path) >= 0).all() and (np.diff(path) <= 2).all()
    assert score[path, np.arange(8)].sum() == pytest.approx(best_by_hand(score, 2), rel=1e-5)


def test_path_reaches_the_end_with_fewer_frames_than_symbols():
    path = monotonic_path(np.ones((30, 5), np.float32))
    assert path[0] == 0 and path[-1] == 29 and (np.diff(path) >= 0).all()
    assert monotonic_path(np.ones((3, 1), np.float32)).tolist() == [2]


def test_path_of_a_long_text_is_quick():
    n_symbols, n_frames = 1500, 4000
    truth = np.sort(np.random.default_rng(0).integers(0, n_symbols, n_frames))
    truth[0], truth[-1] = 0, n_symbols - 1
    truth = np.minimum.accumulate(np.maximum(truth, 0)[::-1])[::-1]
    weights = attend(truth.tolist(), n_symbols).numpy()
    agreed = (np.abs(monotonic_path(weights) - truth) <= 1).mean()
    assert agreed > 0.9


def test_symbol_times_are_those_of_a_sharp_alignment():
    times = symbol_times(attend([0] * 5 + [1] * 3 + [2] * 8, 3), FRAME)
    np.testing.assert_allclose(times, [(0, 0.05), (0.05, 0.08), (0.08, 0.16)], atol=1e-9)


def test_a_symbol_passed_over_has_no_duration():
    times = symbol_times(attend([0] * 5 + [2] * 5, 3), FRAME)
    np.testing.assert_allclose(times, [(0, 0.05), (0.05, 0.05), (0.05, 0.1)], atol=1e-9)


def test_where_weights_tell_nothing_times_follow_the_path():
    path = monotonic_path(EVEN.numpy())
    for row, (start, end) in enumerate(symbol_times(EVEN, 1.0)):
        assert start == np.flatnonzero(path >= row)[0]
        assert end == (path <= row).sum()


@pytest.mark.parametrize("step_frames", [1, 2, 4])
def test_boundaries_between_steps_are_found_from_the_weights(step_frames):
    # Weights of symbol 1 as a step integrates them: the boundary lies anywhere within a step.
    n_frames, errors = 40, []
    for boundary in np.linspace(14, 22, 33):
        edges = np.clip((np.arange(0, n_frames, step_frames)[:, None] + [0, step_frames]) - boundary, 0, None)
        second = np.diff(edges, axis=1)[:, 0] / step_frames
        weights = torch.tensor(np.stack([1 - second, second]), dtype=torch.float32).repeat_interleave(step_frames, 1)
        (_, (start, _)) = symbol_times(weights, FRAME, step_frames)
        errors.append(start / FRAME - boundary)
    assert abs(np.mean(errors)) < 0.05 * step_frames  # no bias
    assert np.abs(errors).max() <= 0.26 * step_frames  # a quarter of a step, not half a step


def test_phone_time_errors_are_of_onsets_of_phones():
    alignment = attend(stay(range(T_TEXT), 10))
    rows = [row for row, symbol in enumerate(SYMBOLS) if symbol.isalnum()]
    late = 0.02
    true = [PhoneTime(SYMBOLS[row], row * 0.1 - late, row * 0.1 + 0.05) for row in rows]
    errors = phone_time_errors(alignment, SYMBOLS, true, FRAME)
    assert len(errors) == 8
    np.testing.assert_allclose(errors, late, atol=1e-6)
    early = [PhoneTime(phone, start + 2 * late, end + late) for phone, start, end in true]
    np.testing.assert_allclose(phone_time_errors(alignment, SYMBOLS, early, FRAME), late, atol=1e-6)


def test_phones_without_duration_are_not_measured():
    alignment = attend([0] * 10 + [1] * 10, 2)
    true = [PhoneTime("AA1", 0.0, 0.1), PhoneTime("R", 0.17, 0.17)]
    assert phone_time_errors(alignment, ["AA1", "R"], true, FRAME) == [0.0]


def test_step_frames_reach_the_phone_times():
    steps = torch.tensor([[1.0, 0.75, 0.0, 0.0], [0.0, 0.25, 1.0, 1.0]]).repeat_interleave(4, dim=1)
    true = [PhoneTime("AA1", 0, 0.07), PhoneTime("T", 0.07, 0.16)]
    _, error = phone_time_errors(steps, ["AA1", "T"], true, FRAME, step_frames=4)
    _, coarse = phone_time_errors(steps, ["AA1", "T"], true, FRAME)
    assert error < 0.005 < coarse


def test_other_phones_than_spoken_are_an_error():
    with pytest.raises(DataError, match=r"times for the phones K, the text has G; .*text.units=phonemes"):
        phone_time_errors(torch.ones(1, 1), ["G"], [PhoneTime("K", 0, 1)], FRAME)


def test_entropy_of_two_equal_symbols():
    assert one(torch.full((4, 3), 0.25)[:, :3]).entropy == pytest.approx(1)
    half = torch.tensor([[0.5], [0.5], [0.0], [0.0]])
    assert one(half).entropy == pytest.approx(math.log(2) / math.log(4))
