"""Pictures for TensorBoard and files: alignments, mels, stop curves.

Shapes: T_text symbols, T_mel frames.
"""

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from tts.atomic import write_atomically


def alignment_figure(alignment: Tensor, symbols: Sequence[str], title: str) -> Figure:
    """An attention matrix (T_text, T_mel), symbols from bottom to top."""
    figure = _figure(8, 5)
    axes = figure.add_subplot()
    image = axes.imshow(alignment.numpy(), origin="lower", aspect="auto", interpolation="nearest", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, pad=0.01)
    axes.set(xlabel="mel frame", ylabel="symbol")
    axes.set_title(title, parse_math=False)  # a text may hold dollars
    axes.set_yticks(range(len(symbols)), symbols, fontsize=max(3, min(7, 260 // max(1, len(symbols)))))
    return figure


def mel_figure(mels: dict[str, Tensor]) -> Figure:
    """Mels (n_mels, T_mel) one above the other, on one colour scale."""
    figure = _figure(8, 2.4 * len(mels))
    low = min(float(mel.min()) for mel in mels.values())
    high = max(float(mel.max()) for mel in mels.values())
    for axes, (name, mel) in zip(_column(figure, len(mels)), mels.items(), strict=True):
        axes.imshow(mel.numpy(), origin="lower", aspect="auto", interpolation="nearest", vmin=low, vmax=high)
        axes.set(title=name, ylabel="mel bin")
    return figure


def stop_figure(stops: dict[str, Tensor]) -> Figure:
    """Stop probabilities (T_mel,) over frames."""
    figure = _figure(8, 3)
    axes = figure.add_subplot()
    for name, probability in stops.items():
        axes.plot(probability.numpy(), label=name)
    axes.axhline(0.5, color="grey", linewidth=0.5)
    axes.set(xlabel="mel frame", ylabel="stop probability", ylim=(-0.02, 1.02))
    axes.legend(loc="upper left")
    return figure


def sentence_figure(alignment: Tensor, mel: Tensor, symbols: Sequence[str], title: str) -> Figure:
    """What `plot=true` draws of one sentence: its mel above its alignment."""
    figure = _figure(10, 8)
    above, below = _column(figure, 2)
    above.imshow(mel.numpy(), origin="lower", aspect="auto", interpolation="nearest")
    above.set(ylabel="mel bin")
    above.set_title(title, parse_math=False)  # a text may hold dollars
    below.imshow(alignment.numpy(), origin="lower", aspect="auto", interpolation="nearest", vmin=0, vmax=1)
    below.set(xlabel="mel frame", ylabel="symbol")
    below.set_yticks(range(len(symbols)), symbols, fontsize=max(3, min(7, 260 // max(1, len(symbols)))))
    return figure


def save_figure(figure: Figure, path: Path, dpi: int = 120) -> None:
    """Write a PNG, whole or not at all. Raises OSError."""
    encoded = io.BytesIO()
    figure.savefig(encoded, dpi=dpi, format="png")
    write_atomically(path, encoded.getvalue())


def _figure(width: float, height: float) -> Figure:
    """A figure of its own: no pyplot, hence no display and nothing to close."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _column(figure: Figure, n: int) -> list[Axes]:
    return list(figure.subplots(n, 1, squeeze=False)[:, 0])
