"""Curves of runs as pictures: losses, alignment health, failures and other measures over training.

They are read from what training wrote for TensorBoard; whatever is logged as `train/...` or `val/...` is drawn.
"""

import io
import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from tts.atomic import write_atomically
from tts.errors import ConfigError, DataError

HALVES = ("acoustic", "vocoder", "gta")  # and the vocoder fine-tuned
HEALTH = ("focus", "diagonality", "monotonicity", "coverage", "entropy")
MODES = {"free_running": "-", "teacher_forced": "--"}  # how each is drawn
NOT_LOSSES = ("gradient_norm",)  # of what is logged as train/
SMOOTHING = 0.03  # share of the curve over which a noisy one is averaged
LOGARITHMIC = 5.0  # ratio of the largest to the smallest value from which a logarithmic axis shows more
REFERENCE = "griffin_lim_"  # what is logged beside copy_...
COLUMNS = 3
COLOURS = ("#1f5fa8", "#b0601a", "#2f7d4f", "#7b4fa3", "#a83c5e", "#3c7c86", "#6f6f2a", "#666f78")


class Curve(NamedTuple):
    """One scalar over training."""

    steps: NDArray[np.int64]  # (n,)
    values: NDArray[np.float64]  # (n,)


class Line(NamedTuple):
    """A curve as it is drawn."""

    curve: Curve
    label: str
    colour: str
    style: str = "-"


class Panel(NamedTuple):
    """A set of axes."""

    title: str
    lines: list[Line]
    share: bool = False  # from 0 to 1


Run = dict[str, Curve]  # "acoustic/val/mel" -> curve


def plot_run(run: Path, out: Path | None = None) -> list[Path]:
    """`plot_runs` for one."""
    return plot_runs([run], out)


def plot_runs(runs: Sequence[Path], out: Path | None = None) -> list[Path]:
    """Draw runs over each other: losses.png, health.png and failures.png, and the same for TensorBoard.

    Args:
        out: folder of the pictures; default RUN/plots of the first run, and within it `with-OTHERS` for several.

    Returns:
        What was written: a picture for which nothing has been logged is left out.

    Raises:
        ConfigError: if no run is named, or one twice.
        DataError: if a run has no curves.
        OSError: if the pictures cannot be written.
    """
    if not runs or len({run.resolve() for run in runs}) < len(runs):
        raise ConfigError("name the runs to plot, each once: python -m tts plot runs/x runs/y")
    curves = dict(zip(_labels(runs), map(read_curves, runs), strict=True))
    together = "with-" + "-".join(run.resolve().name for run in runs[1:])
    folder = out or (runs[0] / "plots" if len(runs) == 1 else runs[0] / "plots" / together)
    drawn = {"losses": losses(curves), "health": health(curves), "failures": failures(curves)}
    figures = {name: figure_of(panels) for name, panels in drawn.items() if panels}
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in figures.items():
        encoded = io.BytesIO()
        figure.savefig(encoded, dpi=120, format="png")
        write_atomically(folder / f"{name}.png", encoded.getvalue())
        figure.set_layout_engine("none")  # it is laid out; to do so again for TensorBoard takes half of the time
        written.append(folder / f"{name}.png")
    prefix = "" if len(runs) == 1 else f"{together}/"
    last = max(int(curve.steps[-1]) for run in curves.values() for curve in run.values())
    _show_in_tensorboard(runs[0] / "tensorboard" / "plots", {prefix + name: one for name, one in figures.items()}, last)
    return written


def read_curves(run: Path) -> Run:
    """Every scalar that was logged as train/ or val/, of both halves.

    Raises:
        DataError: if there is none.
    """
    # Imported here: it takes a second.
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

    found: Run = {}
    for half in HALVES:
        folder = run / "tensorboard" / half
        if not any(folder.glob("events.out.tfevents.*")):
            continue
        events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
        events.Reload()
        for tag in events.Tags()["scalars"]:
            if tag.startswith(("train/", "val/")) and events.Scalars(tag):
                found[f"{half}/{tag}"] = _as_it_went_on(events.Scalars(tag))
    if not found:
        raise DataError(
            f"{run} has no curves yet ({run / 'tensorboard'}); train it: python train.py recipe={run}, or name another"
        )
    return found


def _as_it_went_on(scalars: Sequence[Any]) -> Curve:
    """The curve without what was trained after the state from which a run went on."""
    kept: list[Any] = []
    for scalar in sorted(scalars, key=lambda scalar: scalar.wall_time):
        while kept and kept[-1].step >= scalar.step:
            kept.pop()
        kept.append(scalar)
    return Curve(np.array([one.step for one in kept], np.int64), np.array([one.value for one in kept], np.float64))


def losses(runs: Mapping[str, Run]) -> list[Panel]:
    """A panel for each loss of each half: training smoothed over its raw values, validation beside it."""
    panels = []
    for half, name in _logged(runs, "train/"):
        if name in NOT_LOSSES or (name == "total" and f"{half}/train/bits" in _tags(runs)):
            continue  # a vocoder's total is its bits
        lines = _over(runs, f"{half}/train/{name}", "training", "-") + _over(
            runs, f"{half}/val/{name}", "validation", "--"
        )
        panels.append(Panel(f"{half}: {name}", lines))
    return panels


def health(runs: Mapping[str, Run]) -> list[Panel]:
    """How well the attention moves along the text, led by the recording and free."""
    panels = []
    for what in HEALTH:
        lines = [
            line
            for mode, style in MODES.items()
            for line in _over(runs, f"acoustic/val/{mode}/{what}", mode.replace("_", " "), style)
        ]
        if lines:
            panels.append(Panel(what, lines, share=what != "entropy"))
    return panels


def failures(runs: Mapping[str, Run]) -> list[Panel]:
    """Everything else that validation measured: sentences that failed, by kind, and measures where there are any."""
    modes = tuple(f"{mode}/" for mode in MODES)
    as_losses = _logged(runs, "train/")
    rest = [
        (half, name)
        for half, name in _logged(runs, "val/")
        if not name.startswith((*modes, REFERENCE)) and (half, name) not in as_losses
    ]
    rest.sort(key=lambda item: (not item[1].startswith("failures"), item[1] != "stopped"))
    return [
        Panel(
            f"{half}: {name}" if half != HALVES[0] else name.replace("/", ": "),
            [
                *_over(runs, f"{half}/val/{name}", "", "-"),
                *_over(runs, f"{half}/val/{name.replace('copy_', REFERENCE, 1)}", "Griffin-Lim", "--"),
            ]
            if name.startswith("copy_")
            else _over(runs, f"{half}/val/{name}", "", "-"),
            share=name.startswith(("failures", "stopped", "wer", "cer", "per")),
        )
        for half, name in rest
    ]


def smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) averaged over up to k neighbours on either side; short curves stay as they are."""
    k = round(SMOOTHING * len(values) / 2)
    if k == 0:
        return values
    known = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    index = np.arange(len(values))
    start, end = np.maximum(index - k, 0), np.minimum(index + k + 1, len(values))
    n = counts[end] - counts[start]
    mean: NDArray[np.float64] = np.where(n > 0, (sums[end] - sums[start]) / np.maximum(n, 1), np.nan)
    return mean


def _labels(runs: Sequence[Path]) -> list[str]:
    """The names of the runs, as short as they differ."""
    names = [run.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]


def _tags(runs: Mapping[str, Run]) -> list[str]:
    return list(dict.fromkeys(tag for run in runs.values() for tag in run))


def _logged(runs: Mapping[str, Run], kind: str) -> list[tuple[str, str]]:
    """(half, name) of every scalar of a kind, in the order in which it was logged first."""
    split = (tag.partition("/") for tag in _tags(runs))
    return [(half, name.removeprefix(kind)) for half, _, name in split if name.startswith(kind)]


def _over(runs: Mapping[str, Run], tag: str, what: str, style: str) -> list[Line]:
    """A curve of every run that has it; the label says what differs: the run, the kind of curve, or both."""
    lines = []
    # The second curve of a run alone gets a colour of its own; of several, colours tell the runs apart.
    first = 1 if len(runs) == 1 and style == "--" else 0
    for (name, run), colour in zip(runs.items(), cycle(COLOURS[first:]), strict=False):
        if tag in run:
            lines.append(Line(run[tag], " ".join([name, what] if what else [name]), colour, style))
    return lines


def figure_of(panels: Sequence[Panel]) -> Figure:
    """Panels in rows, one legend for all."""
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(max(6.0, 4.6 * columns), 3.1 * rows + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _draw(axes, panel)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_axis_off()
    shown = {line.get_label(): line for axes in grid.flat for line in axes.get_lines()}
    labelled = {label: line for label, line in shown.items() if not str(label).startswith("_")}
    if labelled:
        # Names of runs may hold dollars or underscores; legends take them as they are.
        legend = figure.legend(labelled.values(), labelled, loc="outside lower center", ncols=4, frameon=False)
        for text in legend.get_texts():
            text.set_parse_math(False)
    return figure


def _draw(axes: Axes, panel: Panel) -> None:
    for line in panel.lines:
        steps, values = line.curve
        soft = smoothed(values)
        if soft is not values:
            axes.plot(steps, values, color=line.colour, alpha=0.25, linewidth=0.7)
        mark = "o" if len(values) < 40 else ""
        axes.plot(
            steps, soft, line.style, color=line.colour, linewidth=1.6, label=line.label, marker=mark, markersize=2.5
        )
    axes.set_title(panel.title, fontsize=10, loc="left", fontweight="bold", parse_math=False)
    if panel.share:
        axes.set_ylim(-0.04, 1.04 * max([1.0, *_known(panel.lines)]))
    elif _spans_decades(panel.lines):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(color="#dfe3e3", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, colors="#5a666e")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel("step", fontsize=8, color="#5a666e")


def _spans_decades(lines: Sequence[Line]) -> bool:
    values = _known(lines)
    return len(values) > 0 and min(values) > 0 and max(values) / min(values) >= LOGARITHMIC


def _known(lines: Sequence[Line]) -> list[float]:
    """Every value that is a number."""
    return [value for line in lines for value in line.curve.values.tolist() if math.isfinite(value)]


def _show_in_tensorboard(folder: Path, figures: Mapping[str, Figure], step: int) -> None:
    """The figures under TensorBoard's images; those of an earlier call are replaced."""
    from torch.utils.tensorboard import SummaryWriter

    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    with SummaryWriter(str(folder)) as writer:
        for name, figure in figures.items():
            writer.add_figure(f"plots/{name}", figure, step)
