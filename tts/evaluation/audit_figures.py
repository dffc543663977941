"""Histograms and bars of the audit's page, as SVG that follows the page's colours."""

import math
from collections.abc import Mapping, Sequence

from tts.evaluation.page_figures import MINUS, escape

BINS = 40
WIDTH, HEIGHT, BASE = 560, 130, 108  # pixels; the axis lies at BASE


def histogram(
    values: Sequence[float], unit: str, label: str, other: Sequence[float] = (), limit: float | None = None
) -> str:
    """How often values are how large; `other` values in another colour, a limit as a line.

    Args:
        unit: shown at the axis.
        label: read out in place of the drawing.
    """
    every = [*values, *other, *([] if limit is None else [limit])]
    low, high = min(every, default=0.0), max(every, default=1.0)
    if high <= low:
        low, high = low - 0.5, high + 0.5

    def counts(of: Sequence[float]) -> list[int]:
        found = [0] * BINS
        for value in of:
            found[min(BINS - 1, int((value - low) / (high - low) * BINS))] += 1
        return found

    layers = [(counts(values), "--c0"), (counts(other), "--bad")]
    tallest = max(max(found) for found, _ in layers) or 1
    strokes = "".join(_columns(found, tallest, colour, low, high, unit) for found, colour in layers)
    line = ""
    if limit is not None:
        x = round((limit - low) / (high - low) * WIDTH, 1)
        line = f'<line class="limit" x1="{x}" x2="{x}" y1="0" y2="{BASE}"><title>limit: {_figure(limit)}</title></line>'
    middle = f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(unit)}</text>'
    ends = f'<text x="0" y="{HEIGHT - 6}">{_figure(low)}</text>{middle}'
    ends += f'<text x="{WIDTH}" y="{HEIGHT - 6}" text-anchor="end">{_figure(high)}</text>'
    axis = f'<line class="axis" x1="0" x2="{WIDTH}" y1="{BASE}" y2="{BASE}"/>'
    return (
        f'<svg class="histogram" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'
        f"{strokes}{axis}{line}{ends}</svg>"
    )


def _columns(found: Sequence[int], tallest: int, colour: str, low: float, high: float, unit: str) -> str:
    """A bar for each count; the square root makes a few clips far off visible beside thousands."""
    step, columns = WIDTH / BINS, []
    for place, count in enumerate(found):
        if count:
            height = max(2.0, math.sqrt(count / tallest) * (BASE - 6))
            left, right = (_figure(low + (high - low) * edge / BINS) for edge in (place, place + 1))
            columns.append(
                f'<rect x="{place * step + 1:.1f}" y="{BASE - height:.1f}" width="{step - 2:.1f}" '
                f'height="{height:.1f}"><title>{left} to {right} {escape(unit)}: {count}</title></rect>'
            )
    return f'<g style="--c:var({colour})">{"".join(columns)}</g>'


def bar_list(values: Mapping[str, float], unit: str, least: float) -> str:
    """A bar for each name, as long as the square root of its value; those below `least` in the colour of warnings."""
    largest = max(values.values(), default=0.0) or 1.0
    rows = []
    for name, value in values.items():
        share = 100 * math.sqrt(value / largest)
        kind = " few" if value < least else ""
        figure = f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
        rows.append(
            f'<li class="{kind.strip()}" title="{escape(name)}: {figure} {escape(unit)}"><code>{escape(name)}</code>'
            f'<span class="length"><i style="width:{share:.1f}%"></i></span><b>{figure}</b></li>'
        )
    return f'<ul class="bar-list">{"".join(rows)}</ul>'


def _figure(value: float) -> str:
    text = f"{value:.0f}" if abs(value) >= 20 or value == int(value) else f"{value:.1f}"
    return text.replace("-", MINUS)
