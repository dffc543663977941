"""Compiled loops: products of packed matrices are products, functions are functions, old machine code is never run."""

import subprocess
import sys
import warnings

import numpy as np
import pytest

from tts import native
from tts.native import compact, compiled, matrices, panels, vectors
from tts.native.functions import exp, sigmoid, tanh
from tts.native.products import fill, product
from tts.native.vectors import load, store


@compiled.compiled
def multiplied(packed, bias, x, y):
    product(packed, bias, x, 0, y, 0)


@compiled.compiled
def all_functions(x, out):
    for i in range(0, len(x), 8):
        store(out[0], i, exp(load(x, i)))
        store(out[1], i, sigmoid(load(x, i)))
        store(out[2], i, tanh(load(x, i)))


def apply(packed, matrix, x):
    n_out = len(matrix)
    bias = matrices.pad(np.linspace(-1, 1, n_out, dtype=np.float32))
    y = np.full(len(bias), np.nan, np.float32)
    multiplied(packed, bias, np.pad(x, (0, packed.n_in - len(x))), y)
    assert (y[n_out:] == 0).all(), "what pads is zero, so the next product may read it"
    return y[:n_out] - bias[:n_out]


@pytest.mark.parametrize(("n_out", "n_in"), [(3, 2), (64, 64), (65, 63), (130, 7), (9, 200)])
def test_a_product_of_a_packed_matrix_is_the_product(n_out, n_in):
    rng = np.random.default_rng(0)
    matrix, x = rng.standard_normal((n_out, n_in), np.float32), rng.standard_normal(n_in, np.float32)
    np.testing.assert_allclose(apply(matrices.pack(matrix), matrix, x), matrix @ x, atol=1e-4)
    small = compact.empty(n_out, matrices.padded(n_in))
    fill(small, matrix, (0, n_out), (0, n_in), 0, 0)
    # Half a unit of rounding each, the unit being a 127th of the largest of the group.
    bound = np.abs(matrix).max() / 127 / 2 * np.abs(x).sum() + 1e-5
    error = np.abs(apply(small, matrix, x) - matrix @ x).max()
    assert 0 < error < bound


@pytest.mark.parametrize("kind", [matrices, compact])
def test_parts_go_where_they_are_told(kind):
    """Two matrices side by side and below each other, of widths that are no whole blocks."""
    rng = np.random.default_rng(0)
    matrix = rng.integers(-127, 128, (70, 80)).astype(np.float32)
    matrix[:, ::2] = 127  # so that a unit is one, and rounding exact
    packed = kind.empty(128, 192)
    fill(packed, matrix, (6, 3), (10, 66), 64, 64)
    x = rng.standard_normal(192, np.float32)
    y = np.zeros(128, np.float32)
    multiplied(packed, np.zeros(128, np.float32), x, y)
    np.testing.assert_allclose(y[64:67], matrix[6:9, 10:76] @ x[64:130], rtol=1e-4, atol=1e-3)
    assert (y[:64] == 0).all() and (y[67:] == 0).all()


@compiled.compiled
def added(weights, at, n_in, n_out, x, y):
    panels.add_product(weights, at, n_in, n_out, x, 0, y, 0)


@pytest.mark.parametrize(("n_out", "n_in"), [(32, 8), (64, 16), (96, 24), (160, 64)])
@pytest.mark.parametrize(("storage", "least", "most"), [("float32", 0, 1e-5), ("half", 1e-5, 2**-11)])
def test_panels_are_added_from_where_they_lie(n_out, n_in, storage, least, most):
    """Wide panels and the narrow last one, behind another matrix; half precision rounds to eleven bits."""
    rng = np.random.default_rng(0)
    matrix, x = rng.standard_normal((n_out, n_in), np.float32), rng.standard_normal(n_in, np.float32)
    y = rng.standard_normal(n_out, np.float32)
    expected = y + matrix @ x
    flat = np.concatenate([np.full(32 * 8, np.nan, np.float32), panels.to_panels(matrix)])
    weights = panels.stored(flat, storage)
    assert weights.ctypes.data % 64 == 0
    added(weights, 32 * 8, n_in, n_out, x, y)
    error = np.abs(y - expected).max() / (np.abs(matrix) @ np.abs(x)).max()
    assert least <= error < most


def test_half_precision_is_read_alike_without_an_instruction_for_it(monkeypatch):
    """Every float16 there is but infinities; processors of before 2012 take the way by integers."""
    bits = np.arange(2**16, dtype=np.uint16).reshape(-1, 16)
    bits = bits[np.isfinite(bits.view(np.float16)).all(axis=1)].ravel()
    monkeypatch.setattr(vectors, "WIDENS", False)

    @compiled.inner
    def widened(bits, out):
        for i in range(0, len(bits), 16):
            store(out, i, vectors.widen(bits, i))

    out = np.zeros(len(bits), np.float32)
    widened(bits, out)
    np.testing.assert_array_equal(out, bits.view(np.float16).astype(np.float32))


def test_functions_are_exact_to_seven_digits():
    x = np.concatenate([np.linspace(-200, 200, 4000), np.linspace(-1, 1, 3996), [0, -0.0, 1e-9, -1e9]]).astype(
        np.float32
    )
    out = np.zeros((3, len(x)), np.float32)
    all_functions(x, out)
    wide = x.astype(np.float64)
    usual = np.abs(wide) < 85
    np.testing.assert_allclose(out[0][usual], np.exp(wide[usual]), rtol=1e-6)
    np.testing.assert_allclose(out[1], 1 / (1 + np.exp(-np.clip(wide, -500, 500))), atol=3e-7)
    np.testing.assert_allclose(out[2], np.tanh(wide), atol=3e-7)
    assert out[2][x == 0].tolist() == [0] * int((x == 0).sum()), "padded units of an LSTM stay zero"


def test_stored_machine_code_belongs_to_all_its_sources(tmp_path):
    """numba looks at the caller's file only: the name it stores under must change with every other one."""
    for folder in ("native", "acoustic"):
        (tmp_path / folder).mkdir()
    for name in ("native/vectors.py", "acoustic/_native.py", "acoustic/tacotron2.py"):
        (tmp_path / name).write_text("one")
    before = compiled.digest(tmp_path)
    (tmp_path / "acoustic/tacotron2.py").write_text("two")
    assert compiled.digest(tmp_path) == before
    for name in ("native/vectors.py", "acoustic/_native.py"):
        (tmp_path / name).write_text("two")
        assert compiled.digest(tmp_path) != before
        before = compiled.digest(tmp_path)
    assert compiled.digest(compiled.Path(compiled.__file__).parents[1]) in matrices.fill.py_func.__qualname__


STARTS = """
import sys
import numpy as np
from numba import njit
from tts.native import compiled

assert compiled.inner(lambda x: x + 1)(1) == 2
print("scipy.linalg" in sys.modules)
print(njit(lambda a, b: a @ b)(np.eye(2), np.full((2, 2), 3.0)).sum())
"""


def test_compiled_loops_start_without_scipy_and_products_of_others_find_it():
    pytest.importorskip("scipy")
    made = subprocess.run([sys.executable, "-c", STARTS], capture_output=True, text=True, check=False)
    assert made.stdout.split() == ["False", "12.0"], made.stderr


def test_one_warning_names_why_there_are_no_compiled_loops(monkeypatch):
    monkeypatch.setattr(native, "_reasons", [])

    def broken():
        raise ImportError("no llvmlite for this machine\nand more")

    with pytest.warns(RuntimeWarning, match="ImportError: no llvmlite for this machine; "):
        assert native.attempt(broken) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert native.attempt(lambda: "compiled") is None, "one failure decides for the whole process"


def test_a_second_process_finds_the_machine_code():
    """The first use in this process has stored it."""
    matrices.fill(matrices.empty(4, 4), np.ones((4, 4), np.float32), (0, 4), (0, 4), 0, 0)
    code = (
        "import numpy as np; from tts.native import matrices as m;"
        "m.fill(m.empty(4, 4), np.ones((4, 4), np.float32), (0, 4), (0, 4), 0, 0);"
        "print(sum(m.fill.stats.cache_hits.values()), sum(m.fill.stats.cache_misses.values()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "0"]
