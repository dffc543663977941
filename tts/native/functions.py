"""exp, sigmoid and tanh of eight or sixteen lanes, for compiled functions; the largest error is about 1e-7."""

from math import factorial, log
from typing import Any

import numpy as np

from tts.native.compiled import inner
from tts.native.vectors import (
    add,
    divide,
    like,
    maximum,
    minimum,
    multiply,
    multiply_add,
    nearest,
    power_of_two,
    subtract,
)

_LOWEST, _HIGHEST = np.float32(-87.0), np.float32(88.0)  # exp of these is still a normal float32
_LOG2E = np.float32(1 / log(2))
# ln 2 in two parts: the first has few bits, so that its product with an integer is exact.
_LN2_COARSE = np.float32(round(log(2) * 2**9) / 2**9)
_LN2_REST = np.float32(log(2) - float(_LN2_COARSE))
_ONE, _TWO, _MINUS = np.float32(1), np.float32(2), np.float32(-1)
# exp(r) = 1 + r + r^2/2 + .. r^6/720 for |r| <= ln(2)/2: the term left out is below 1.3e-7.
_T2, _T3, _T4, _T5, _T6 = (np.float32(1 / factorial(n)) for n in range(2, 7))


@inner
def exp(x: Any) -> Any:
    """exp(x), for x within about [-87, 88]; beyond, the value at the end."""
    x = maximum(minimum(x, like(x, _HIGHEST)), like(x, _LOWEST))
    n = nearest(multiply(x, like(x, _LOG2E)))
    r = subtract(subtract(x, multiply(n, like(x, _LN2_COARSE))), multiply(n, like(x, _LN2_REST)))
    y = multiply_add(r, like(x, _T6), like(x, _T5))
    y = multiply_add(y, r, like(x, _T4))
    y = multiply_add(y, r, like(x, _T3))
    y = multiply_add(y, r, like(x, _T2))
    y = multiply_add(y, r, like(x, _ONE))
    y = multiply_add(y, r, like(x, _ONE))
    return multiply(y, power_of_two(n))


@inner
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return divide(like(x, _ONE), add(exp(multiply(x, like(x, _MINUS))), like(x, _ONE)))


@inner
def tanh(x: Any) -> Any:
    """1 - 2 / (exp(2 x) + 1)."""
    return subtract(like(x, _ONE), divide(like(x, _TWO), add(exp(multiply(x, like(x, _TWO))), like(x, _ONE))))
