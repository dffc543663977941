"""Inline phonemes: `{HH AH0 L OW1}` in a text is spoken as written, and no normalisation step may touch it."""

import functools
import re
from collections.abc import Callable

SPAN = re.compile(r"\{[^{}]*\}")


def outside_inline(step: Callable[[str], str]) -> Callable[[str], str]:
    """The same step, seeing `{}` in place of every inline span. A step never adds, moves or removes braces."""

    @functools.wraps(step)
    def guarded(text: str) -> str:
        spans = iter(SPAN.findall(text))
        return SPAN.sub(lambda _: next(spans), step(SPAN.sub("{}", text)))

    return guarded
