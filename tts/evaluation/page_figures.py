"""Numbers, small drawings and clips as they stand in the report's page: pieces of HTML and SVG, escaped."""

import base64
import difflib
import html
import io
import math
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import soundfile
from torch import Tensor
from torch.nn.functional import adaptive_max_pool1d

from tts.audio.files import Recording, resample
from tts.evaluation.measures import Difference, Estimate
from tts.settings import TextConfig
from tts.text.reader import Reader

BIT_RATE = 64  # kbit/s: 10.7 kB a second in a data URI
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz that MPEG 1, 2 and 2.5 know
PEAKS = 180  # strokes that draw the longest clip of a sentence
MINUS = "−"
NOTHING = "–"  # for what was not measured


class Scale(NamedTuple):
    """An axis across a drawing."""

    low: float
    high: float
    width: float = 230.0
    margin: float = 8.0

    def x(self, value: float) -> float:
        """Where a value lies, in pixels."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.margin + share * (self.width - 2 * self.margin), 1)


def escape(text: str) -> str:
    """Text as HTML, within elements and attributes."""
    return html.escape(text, quote=True)


def decimals(values: Sequence[float]) -> int:
    """Decimals that leave the largest of some values three digits."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return 0 if largest >= 100 else 1 if largest >= 10 or largest == 0 else 2 if largest >= 0.1 else 4


def number(value: float | None, unit: str, places: int | None = None) -> str:
    """A value without its unit; shares are shown in percent."""
    if value is None or not math.isfinite(value):
        return NOTHING
    shown = in_unit(value, unit)
    text = f"{shown:.{decimals([shown]) if places is None else places}f}"
    return text.replace("-", MINUS) if float(text) else text.removeprefix("-")


def in_unit(value: float, unit: str) -> float:
    """The value as it is shown."""
    return 100 * value if unit == "share" else value


def unit_name(unit: str) -> str:
    """The unit as it is shown."""
    return "%" if unit == "share" else unit


def with_unit(value: float, unit: str) -> str:
    """A value among words; a unit that says a range is left out."""
    name = unit_name(unit)
    return f"{number(value, unit)} {name}" if name and " " not in name and name != "ratio" else number(value, unit)


def whiskers(estimates: Sequence[Estimate | None], titles: Sequence[str], unit: str, best: float | None = None) -> str:
    """The systems one above the other as dots with their intervals, on one axis; None leaves a gap.

    Args:
        best: a value to be marked, in the unit.
    """
    found = [value for estimate in estimates if estimate for value in estimate[:3] if value is not None]
    ends = [in_unit(value, unit) for value in found if math.isfinite(value)]
    if not ends:
        return ""
    scale = _scale(ends if best is None else [*ends, best])
    bottom = 13 * len(estimates) + 2
    rows = [] if best is None else [_upright(scale.x(best), bottom)]
    for row, (estimate, title) in enumerate(zip(estimates, titles, strict=True)):
        if estimate and math.isfinite(estimate.value):
            label = f"{title}: {with_unit(estimate.value, unit)}"
            rows.append(_whisker(scale, estimate.value, estimate.low, estimate.high, unit, row, f"--c{row % 8}", label))
    return _drawing(scale, bottom, "".join(rows))


def difference_whisker(difference: Difference, unit: str) -> str:
    """A difference with its interval, about zero."""
    ends = [in_unit(value, unit) for value in difference[:3] if math.isfinite(value)]
    if not ends:
        return ""
    far = max(map(abs, ends)) * 1.1 or 1.0
    scale = Scale(-far, far)
    colour = {"better": "--good", "worse": "--bad"}.get(difference.verdict, "--c7")
    label = with_unit(difference.value, unit)
    dot = _whisker(scale, difference.value, difference.low, difference.high, unit, 0, colour, label)
    return _drawing(scale, 15, _upright(scale.x(0), 15) + dot)


def bars(before: int, after: int, n: int) -> str:
    """How many of n sentences failed at first, and after retries."""
    widths = [100 * count / max(1, n) for count in (before, after)]
    return (
        f'<span class="bar" style="width:{widths[0]:.1f}%" title="first try: {before} of {n}"></span>'
        f'<span class="bar after" style="width:{widths[1]:.1f}%" title="after retries: {after} of {n}"></span>'
    )


def waveform(wave: Tensor, seconds: float, longest: float) -> str:
    """(T_wave,) as strokes, as wide as its share of the longest clip beside it."""
    share = min(1.0, seconds / longest)
    n = max(1, round(PEAKS * share))
    peaks = adaptive_max_pool1d(wave.abs()[None], n)[0]  # (n,)
    heights = (peaks / float(peaks.max().clamp_min(1e-4)) * 19).round().int().tolist()
    path = "".join(f"M{2 * i + 1} {20 - height}v{2 * height + 1}" for i, height in enumerate(heights))
    return (
        f'<svg aria-hidden="true" style="width:{100 * share:.2f}%" viewBox="0 0 {2 * n} 41" preserveAspectRatio="none">'
        f'<path d="{path}"/></svg>'
    )


def mp3(recording: Recording) -> bytes:
    """A clip as MP3 of a constant bit rate, in which every browser finds any place at once."""
    rate = next((rate for rate in MP3_RATES if rate >= recording.sample_rate), MP3_RATES[-1])
    wave = resample(recording, rate)
    low, high = (32, 320) if rate >= 32000 else (8, 160) if rate >= 16000 else (8, 64)
    level = max(0.0, (high - BIT_RATE) / (high - low))  # libsndfile's scale: 0 is the highest rate, 1 the lowest
    encoded = io.BytesIO()
    soundfile.write(
        encoded,
        wave.numpy(),
        rate,
        format="MP3",
        subtype="MPEG_LAYER_III",
        bitrate_mode="CONSTANT",
        compression_level=level,
    )
    return encoded.getvalue()


def data_uri(content: bytes, kind: str) -> str:
    """A file within the page; kind such as image/png."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def picture_uri(path: Path) -> str:
    """A PNG within the page. Raises OSError."""
    return data_uri(path.read_bytes(), "image/png")


def marked(text: str, heard: str) -> str:
    """What a recogniser heard, as HTML: words that were not said are marked, those it missed struck through."""
    expected, words = spoken_words(text), spoken_words(heard)
    if not words:
        return "<del>nothing</del>"
    shown = []
    for kind, i, j, k, m in difflib.SequenceMatcher(None, expected, words, autojunk=False).get_opcodes():
        right, wrong = escape(" ".join(expected[i:j])), escape(" ".join(words[k:m]))
        if kind == "equal":
            shown.append(wrong)
        elif wrong:
            shown.append(f'<mark title="{"instead of: " + right if right else "not in the text"}">{wrong}</mark>')
        else:
            shown.append(f'<del title="not heard">{right}</del>')
    return " ".join(shown)


@lru_cache(maxsize=4096)
def spoken_words(text: str) -> tuple[str, ...]:
    """The words of a text as they are spoken, in lower case and without marks."""
    tokens = Reader(TextConfig())(text).tokens
    # Letters that are written as one word stay one: the page shows FBI, not F B I.
    said = (t.text if t.kind == "initialism" and "." not in t.text else t.spoken for t in tokens)
    return tuple(word.strip("'") for word in re.findall(r"[^\W_]+(?:'[^\W_]+)*", " ".join(said).lower()))


def _scale(ends: Sequence[float]) -> Scale:
    """From zero where the values are not far from it, to round numbers."""
    low, high = min(ends), max(ends)
    if 0 <= low <= (high - low) * 2:
        low = 0.0
    step = 10 ** math.floor(math.log10((high - low) or abs(high) or 1.0)) / 2
    low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    return Scale(low, high if high > low else low + step)


def _whisker(
    scale: Scale, value: float, low: float | None, high: float | None, unit: str, row: int, colour: str, label: str
) -> str:
    y = 13 * row + 7.5
    line = ""
    if low is not None and high is not None and math.isfinite(low) and math.isfinite(high):
        left, right = (scale.x(in_unit(end, unit)) for end in (low, high))
        line = f'<line x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>'
    dot = f'<circle cx="{scale.x(in_unit(value, unit))}" cy="{y}" r="3.6"/>'
    return f'<g style="--c:var({colour})"><title>{escape(label)}</title>{line}{dot}</g>'


def _upright(x: float, bottom: float) -> str:
    return f'<line class="zero" x1="{x}" x2="{x}" y1="0" y2="{bottom}"/>'


def _drawing(scale: Scale, bottom: float, content: str) -> str:
    places = decimals([scale.high, scale.low])
    ends = [f"{end:.{places}f}".replace("-", MINUS) for end in (scale.low, scale.high)]
    width, height = scale.width, bottom + 13
    return (
        f'<svg class="dots" viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="values with intervals">'
        f'<line class="axis" x1="{scale.margin}" x2="{width - scale.margin}" y1="{bottom}" y2="{bottom}"/>{content}'
        f'<text x="{scale.margin}" y="{height - 2}">{ends[0]}</text>'
        f'<text x="{width - scale.margin}" y="{height - 2}" text-anchor="end">{ends[1]}</text></svg>'
    )
