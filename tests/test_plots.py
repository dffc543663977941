"""Curves of runs: read as they were logged, drawn as they are, whatever was logged."""

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from tts.errors import ConfigError, DataError
from tts.evaluation.plots import failures, figure_of, health, losses, plot_run, plot_runs, read_curves, smoothed

PNG = b"\x89PNG"


def log(run, half: str, scalars: dict[str, list[float]], first: int = 0) -> None:
    with SummaryWriter(str(run / "tensorboard" / half)) as writer:
        for tag, values in scalars.items():
            for step, value in enumerate(values, first):
                writer.add_scalar(tag, value, 10 * step)


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "one$two_x^$"  # no formula, whatever matplotlib takes it for
    decay = [5 * 0.97**i for i in range(200)]
    log(folder, "acoustic", {"train/mel": decay, "train/total": decay, "train/gradient_norm": decay, "epoch": [0, 1]})
    log(folder, "acoustic", {"val/mel": decay[::20], "val/stopped": [0, 1, 1], "val/failures": [1, 0.5, 0.1]})
    log(folder, "acoustic", {"val/failures/skip": [1, 0.4, 0.1], "val/wer": [1.4, 0.5, 0.2]})
    led = {f"val/teacher_forced/{what}": [0.2, 0.9] for what in ("focus", "coverage", "entropy")}
    log(folder, "acoustic", led | {"val/free_running/focus": [0.1, 0.8]})
    log(folder, "vocoder", {"train/bits": [8, 6, 5], "train/total": [8, 6, 5], "val/copy_mel_distance": [0.9, 0.7]})
    log(folder, "vocoder", {"val/griffin_lim_mel_distance": [0.1, 0.1]})
    log(folder, "gta", {"val/copy_mel_distance": [0.6, 0.5]})
    return folder


def titles(panels) -> list[str]:
    return [panel.title for panel in panels]


def test_curves_are_read_as_they_were_logged(run):
    curves = read_curves(run)
    np.testing.assert_array_equal(curves["acoustic/val/failures"].steps, [0, 10, 20])
    np.testing.assert_allclose(curves["acoustic/val/failures"].values, [1, 0.5, 0.1])
    assert "acoustic/epoch" not in curves


def test_what_is_logged_is_drawn_once_and_what_is_not_is_left_out(run):
    runs = {"x": read_curves(run)}
    assert titles(losses(runs)) == ["acoustic: mel", "acoustic: total", "vocoder: bits"]
    assert titles(health(runs)) == ["focus", "coverage", "entropy"]
    measured = failures(runs)
    copies = ["vocoder: copy_mel_distance", "gta: copy_mel_distance"]
    assert titles(measured) == ["failures", "failures: skip", "stopped", "wer", *copies]
    assert [line.label for line in measured[4].lines] == ["x", "x Griffin-Lim"]
    drawn = [len(panel.lines) for panel in (*losses(runs), *health(runs))]
    assert drawn == [2, 1, 1, 2, 1, 1]  # mel has a validation; focus was measured in both modes


def test_pictures_are_written_and_shown_in_tensorboard(run, tmp_path):
    written = plot_run(run)
    assert written == [run / "plots" / f"{name}.png" for name in ("losses", "health", "failures")]
    assert all(path.read_bytes().startswith(PNG) for path in written)
    assert not list((run / "plots").glob(".*"))
    events = list((run / "tensorboard" / "plots").iterdir())
    assert len(events) == 1
    images = EventAccumulator(str(events[0]))
    images.Reload()
    assert images.Tags()["images"] == ["plots/losses", "plots/health", "plots/failures"]
    assert images.Images("plots/losses")[0].step == 1990
    assert plot_run(run, tmp_path / "elsewhere")[0] == tmp_path / "elsewhere" / "losses.png"
    assert len(list((run / "tensorboard" / "plots").iterdir())) == 1  # the second call replaced the first


def test_runs_are_drawn_over_each_other(run, tmp_path):
    other = tmp_path / "three"
    log(other, "acoustic", {"train/mel": [3, 2, 1], "val/per": [0.3, 0.2]})
    runs = {"one": read_curves(run), "three": read_curves(other)}
    mel = losses(runs)[0]
    assert [line.label for line in mel.lines] == ["one training", "three training", "one validation"]
    assert mel.lines[0].colour == mel.lines[2].colour != mel.lines[1].colour
    (per,) = [panel for panel in failures(runs) if panel.title == "per"]
    assert [line.label for line in per.lines] == ["three"]
    written = plot_runs([run, other])
    assert written[0] == run / "plots" / "with-three" / "losses.png"
    assert [path.name for path in plot_run(other)] == ["losses.png", "failures.png"]  # no health was logged


def test_a_run_that_went_on_has_each_step_once(run, tmp_path):
    folder = tmp_path / "resumed"
    log(folder, "acoustic", {"train/mel": [5, 4, 3, 2]})
    log(folder, "acoustic", {"train/mel": [2.5, 1.5]}, first=2)
    curve = read_curves(folder)["acoustic/train/mel"]
    assert list(curve.steps) == [0, 10, 20, 30]
    np.testing.assert_allclose(curve.values, [5, 4, 2.5, 1.5])


def test_smoothing_keeps_what_is_constant_and_short_curves():
    np.testing.assert_allclose(smoothed(np.full(100, 3.0)), 3.0)
    short = np.array([5.0, 1.0, 4.0])
    assert smoothed(short) is short
    values = np.arange(100.0)  # k = 2: a straight line stays one but for its ends
    np.testing.assert_allclose(smoothed(values)[2:-2], values[2:-2])
    np.testing.assert_allclose(smoothed(values)[[0, 1, -1]], [1.0, 1.5, 98.0])
    values[50] = np.nan
    np.testing.assert_allclose(smoothed(values)[[47, 50, 53]], [47, 50, 53])
    noise = np.random.default_rng(0).normal(size=1000)
    assert smoothed(noise).std() == pytest.approx(1 / np.sqrt(31), rel=0.3)


def test_values_that_are_no_numbers_change_nothing_about_the_axes(tmp_path):
    log(tmp_path, "acoustic", {"train/mel": [float("nan"), 1.0, 0.1], "val/stopped": [float("nan")]})
    assert [path.name for path in plot_run(tmp_path)] == ["losses.png", "failures.png"]
    (panel,) = losses({"x": read_curves(tmp_path)})
    assert figure_of([panel]).axes[0].get_yscale() == "log"


def test_a_run_without_curves_names_the_way_out(tmp_path):
    with pytest.raises(DataError, match=r"has no curves yet .*python train.py recipe="):
        plot_run(tmp_path / "nothing")
    folder = tmp_path / "empty" / "tensorboard" / "acoustic"
    folder.mkdir(parents=True)
    (folder / "events.out.tfevents.1.x.1.0").write_bytes(b"")
    with pytest.raises(DataError, match="has no curves yet"):
        plot_run(tmp_path / "empty")
    with pytest.raises(ConfigError, match="each once"):
        plot_runs([tmp_path, tmp_path])
    assert not (tmp_path / "empty" / "plots").exists()
