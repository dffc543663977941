"""Training: the chain end to end, exact resume, bad steps, averaged weights, Ctrl-C."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.toy import SMALL, steps
from tts.cli import main
from tts.errors import TTSError
from tts.settings import StageConfig
from tts.training import fit
from tts.training.ema import EMA
from tts.training.task import Losses, Score, Task

ROOT = Path(__file__).parents[1]


def weights(run, half):
    return load_file(run / half / "last.safetensors")


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


def assert_same_state(a, b):
    """The same to the last bit, however deep."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same_state(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for one, two in zip(a, b, strict=True):
            assert_same_state(one, two)
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    else:
        assert a == b


def test_all_stages_leave_what_they_should(trained):
    for half in ("acoustic", "vocoder"):
        for name in ("best.safetensors", "last.safetensors", "last.ckpt"):
            assert (trained / half / name).is_file()
    assert "- clips kept: 12 of 12 listed" in (trained / "data" / "report.md").read_text()


def test_tensorboard_shows_pictures_curves_and_audio(trained):
    log = EventAccumulator(str(trained / "tensorboard" / "acoustic"), size_guidance={"images": 0}).Reload()
    images = log.Tags()["images"]
    for kind in ("teacher_forced", "free_running"):
        assert sum(tag.startswith("alignment/") and tag.endswith(kind) for tag in images) == 2
    assert any(tag.startswith("mel/") for tag in images)
    assert any(tag.startswith("stop/") for tag in images)
    assert any(tag.startswith("audio/") for tag in log.Tags()["audio"])
    assert {"train/mel", "train/stop", "val/failures", "val/free_running/focus"} <= set(log.Tags()["scalars"])
    assert [event.step for event in log.Scalars("val/total")] == [4, 8]


def test_killed_and_resumed_equals_straight_through(trained, tmp_path):
    """Four steps, the process gone, and the other four: every weight is the same to the bit."""
    cache = trained.parent / "cache"
    arguments = ["train", "recipe=own", f"data.root={trained.parent / 'corpus'}", f"data.cache={cache}", *SMALL]
    run = tmp_path / "run"
    assert main([*arguments, f"run={run}", *steps(4, every=4)]) == 0
    assert main(["train", f"recipe={run}", *steps(8, every=4)]) == 0
    for half in ("acoustic", "vocoder"):
        assert_same(weights(run, half), weights(trained, half))
    log = EventAccumulator(str(run / "tensorboard" / "acoustic")).Reload()
    assert sorted({event.step for event in log.Scalars("val/total")}) == [4, 8]


def test_killed_in_the_middle_equals_straight_through(trained, tmp_path, monkeypatch):
    """What lay on the disk at step 4 of a run that went on to 8, taken up again."""
    from tts.training.callbacks import Keeper

    run, killed = tmp_path / "run", tmp_path / "killed"
    save = Keeper.save

    def save_and_copy(self, trainer, task):
        save(self, trainer, task)
        if trainer.global_step == 4 and task.kind == "acoustic":
            shutil.copytree(run, killed)

    arguments = [f"data.root={trained.parent / 'corpus'}", f"data.cache={trained.parent / 'cache'}", *SMALL]
    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "save", save_and_copy)
        stages = "stages=[prepare,acoustic]"
        assert main(["train", "recipe=own", f"run={run}", *arguments, *steps(8, every=4), stages]) == 0
    assert (killed / "acoustic" / "best.safetensors").is_file()
    assert main(["train", f"recipe={killed}", "stages=[acoustic]"]) == 0
    for name in ("last", "best"):
        assert_same(*(load_file(folder / "acoustic" / f"{name}.safetensors") for folder in (run, killed)))
    log = EventAccumulator(str(killed / "tensorboard" / "acoustic")).Reload()
    assert sorted({event.step for event in log.Scalars("val/total")}) == [4, 8]


@pytest.mark.parametrize("half", ["acoustic", "vocoder"])
def test_sigkill_at_any_step_loses_nothing_but_the_steps_since(trained, tmp_path, half):
    """Also while clips are joined and cut and the plan changes: then every weight is that of an uninterrupted run."""
    run, straight = tmp_path / "run", tmp_path / "straight"
    arguments = [f"data.root={trained.parent / 'corpus'}", f"data.cache={trained.parent / 'cache'}", *SMALL]
    arguments += ["trainer.acoustic.join=0.5", "trainer.acoustic.cut=0.5", f"stages=[prepare,{half}]"]
    command = [sys.executable, "train.py", "recipe=own", f"run={run}", *arguments, *steps(10**6, every=2)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    training = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment
    )
    deadline = time.monotonic() + 120
    while not (run / half / "last.ckpt").exists():
        assert training.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.4)
    training.send_signal(signal.SIGKILL)
    training.wait()
    saved = torch.load(run / half / "last.ckpt", weights_only=True)["global_step"]
    assert saved >= 2
    assert main(["train", f"recipe={run}", f"stages=[{half}]", *steps(saved + 8, every=4)]) == 0
    assert main(["train", "recipe=own", f"run={straight}", *arguments, *steps(saved + 8, every=100)]) == 0
    one, two = (torch.load(folder / half / "last.ckpt", weights_only=True) for folder in (run, straight))
    assert one["global_step"] == saved + 8
    assert_same(one["state_dict"], two["state_dict"])
    assert_same_state(one["optimizer_states"], two["optimizer_states"])
    assert one["optimizer_states"][0]["state"]
    # Averaged weights, random numbers, and where the sampler stands; what a validation found is another matter.
    found = ("minutes", "facts", "best")
    assert_same_state(*({key: value for key, value in of["task"].items() if key not in found} for of in (one, two)))
    assert one["task"]["batches_seen"] == saved + 8


def test_ctrl_c_saves_and_says_how_to_go_on(trained, tmp_path, capsys, monkeypatch):
    from tts.training.callbacks import ProgressLine

    def interrupt(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(ProgressLine, "on_train_batch_end", interrupt)
    run = tmp_path / "run"
    arguments = [f"data.root={trained.parent / 'corpus'}", f"data.cache={trained.parent / 'cache'}", *SMALL]
    assert main(["train", "recipe=own", f"run={run}", *arguments, *steps(50)]) == 128 + signal.SIGINT
    assert f"python train.py recipe={run}" in capsys.readouterr().out
    assert 3 <= torch.load(run / "acoustic" / "last.ckpt", weights_only=True)["global_step"] <= 4


def test_a_finished_run_is_left_alone(trained, capsys):
    before = (trained / "acoustic" / "last.ckpt").stat().st_mtime_ns
    assert main(["train", f"recipe={trained}"]) == 0
    assert "already trained" in capsys.readouterr().out
    assert (trained / "acoustic" / "last.ckpt").stat().st_mtime_ns == before


def test_a_damaged_training_state_is_refused(trained, tmp_path, capsys):
    run = tmp_path / "run"
    arguments = [f"data.root={trained.parent / 'corpus'}", f"data.cache={trained.parent / 'cache'}", *SMALL]
    assert main(["train", "recipe=own", f"run={run}", *arguments, *steps(1), "stages=[prepare,acoustic]"]) == 0
    state = run / "acoustic" / "last.ckpt"
    state.write_bytes(state.read_bytes()[:1000])
    assert main(["train", f"recipe={run}", *steps(2)]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_speaking_with_the_result(trained, tmp_path, capsys):
    out, report = tmp_path / "hello.wav", tmp_path / "report.json"
    text = "One two. Three!"
    arguments = ["synthesize", text, f"voice={trained}", f"out={out}", f"report={report}", "plot=true"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    said = json.loads(report.read_text())
    assert said["seconds"] > 0
    assert [sentence["text"] for sentence in said["sentences"]] == ["One two.", "Three!"]
    fields = {"phones", "frames", "stop_reason", "tries", "constrained", "failures", "missed", "repeated", "in_order"}
    assert fields <= said["sentences"][0].keys()
    assert (tmp_path / "hello-1.png").is_file()
    first = out.read_bytes()
    assert main(arguments) == 0
    assert out.read_bytes() == first
    assert main([*arguments, "seed=1"]) == 0
    assert out.read_bytes() != first
    assert "real-time factor" in printed
    assert printed.count("warning:") == sum(len(sentence["failures"]) for sentence in said["sentences"])
    assert all(sentence["tries"] == 4 for sentence in said["sentences"] if sentence["failures"])


@pytest.mark.parametrize("batch", [16, 1])
def test_a_sentence_sounds_the_same_alone_and_among_others(trained, monkeypatch, batch):
    from tts import decoding, synthesis

    monkeypatch.setattr(decoding, "BATCH", batch)
    monkeypatch.setattr(synthesis, "VOCODER_BATCH", batch)
    synthesizer = synthesis.Synthesizer.load(trained)
    alone = synthesizer.speak("One two.").wave
    among = synthesizer.speak("One two. Three four five six seven.").wave
    torch.testing.assert_close(among[: len(alone)], alone, rtol=0, atol=1e-4)


def test_halves_that_disagree_on_the_mel_are_refused(trained, tmp_path, capsys):
    voice = tmp_path / "voice"
    shutil.copytree(trained / "acoustic", voice / "acoustic")
    arguments = [f"data.root={trained.parent / 'corpus'}", f"data.cache={trained.parent / 'cache'}", *SMALL]
    other = tmp_path / "other"
    changed = ["audio.f_max=7000", "stages=[prepare,vocoder]", *steps(1)]
    assert main(["train", "recipe=own", f"run={other}", *arguments, *changed]) == 0
    shutil.copytree(other / "vocoder", voice / "vocoder")
    assert main(["synthesize", "one", f"voice={voice}", f"out={tmp_path / 'x.wav'}"]) == 2
    assert "disagree on the mel: f_max 7600.0 != 7000.0" in capsys.readouterr().err
    shutil.rmtree(voice / "vocoder")
    shutil.copytree(trained / "acoustic", voice / "vocoder")
    assert main(["synthesize", "one", f"voice={voice}", f"out={tmp_path / 'x.wav'}"]) == 2
    assert "holds the half acoustic, not vocoder" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "   ", "...", "?!"])
def test_text_with_nothing_to_say(trained, tmp_path, capsys, text):
    assert main(["synthesize", text, f"voice={trained}", f"out={tmp_path / 'x.wav'}"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not (tmp_path / "x.wav").exists()


class Line(Task):
    """y = w x, to watch what the task does about its steps."""

    kind = "acoustic"

    def losses(self, batch):
        return Losses({"square": (self.model(batch) ** 2).mean()}, torch.ones(1), (1.0,))

    def examine(self):
        return Score(0, 0)


def line_task(**stage):
    task = Line(torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 1, bias=False)), StageConfig(**stage))
    optimizer = torch.optim.SGD(task.model.parameters(), lr=0.1)
    task.optimizers = lambda: optimizer
    task.manual_backward = lambda loss: loss.backward()
    task.log_scalars = lambda split, values: None
    return task


def test_non_finite_steps_are_skipped_counted_and_at_last_an_error():
    task = line_task(max_bad_steps=3)
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    for bad in (float("nan"), float("inf")):
        task.training_step(torch.full((3, 2), bad), 0)
    assert_same(task.model.state_dict(), before)  # the running statistics too
    assert (task.bad_steps, task.batches_seen) == (2, 2)
    task.training_step(torch.randn(3, 2), 0)
    assert not torch.equal(task.model[1].weight, before["1.weight"])
    assert task.bad_in_a_row == 0
    assert all(torch.isfinite(value).all() for value in task.ema.average.values())
    for _ in range(2):
        task.training_step(torch.full((3, 2), float("nan")), 0)
    with pytest.raises(TTSError, match=r"3 steps in a row .* lower rate: trainer.acoustic.learning_rate="):
        task.training_step(torch.full((3, 2), float("nan")), 0)


def test_the_learning_rate_is_a_function_of_the_step():
    task = line_task(learning_rate=1e-3, warmup_steps=10, decay_start=100, decay_halving=50, min_learning_rate=1e-4)
    assert task.learning_rate(0) == pytest.approx(1e-4)
    assert task.learning_rate(9) == task.learning_rate(100) == pytest.approx(1e-3)
    assert task.learning_rate(150) == pytest.approx(5e-4)
    assert task.learning_rate(10_000) == pytest.approx(1e-4)


def test_averaged_weights_follow_and_the_models_own_come_back():
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    ema = EMA(model, decay=0.5)
    torch.nn.init.ones_(model.weight)
    ema.update(model)
    assert ema.average["weight"].item() == pytest.approx(1 - 2 / 11)
    with ema.applied(model):
        assert model.weight.item() == pytest.approx(1 - 2 / 11)
    assert model.weight.item() == 1


def test_a_full_disk_leaves_nothing_half_written(trained, tmp_path):
    out = tmp_path / "long.wav"
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)); "
        "from tts.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "synthesize", "One two three.", f"voice={trained}", f"out={out}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert f"error: cannot write {out}" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_run_folder_that_cannot_be_made(trained, capsys):
    arguments = [f"data.root={trained.parent / 'corpus'}", f"data.cache={trained.parent / 'cache'}", *SMALL]
    assert main(["train", "recipe=own", "run=/proc/none/run", *arguments]) == 2
    assert capsys.readouterr().err.startswith("error: /proc/none")


def test_the_full_size_recipe_takes_a_few_steps_of_both_halves(trained, tmp_path):
    """Real sizes, as for LJSpeech on a GPU; only the batches are small."""
    small = ["trainer.acoustic.batch_size=2", "trainer.vocoder.batch_size=1", "trainer.vocoder.segment_frames=4"]
    workers = ["data.workers=1", "data.held_out=2"]
    workers += [f"trainer.{half}.loader_workers=0" for half in ("acoustic", "vocoder")]
    arguments = [f"data.root={trained.parent / 'corpus'}", f"data.cache={tmp_path / 'cache'}", *small, *workers]
    run = tmp_path / "run"
    assert main(["train", "recipe=ljspeech", f"run={run}", *arguments, *steps(2, every=100)]) == 0
    assert sum(tensor.numel() for tensor in weights(run, "acoustic").values()) > 25e6  # Tacotron 2 has about 28 million
    for half in ("acoustic", "vocoder"):
        assert torch.load(run / half / "last.ckpt", weights_only=True)["global_step"] == 2


def test_a_text_with_dollars_can_be_drawn(tmp_path):
    from tts.training.figures import alignment_figure, save_figure, sentence_figure

    title = "from $5% to $6, {P EY1 D"
    save_figure(alignment_figure(torch.rand(2, 5), ["a", "~"], title), tmp_path / "a.png")
    save_figure(sentence_figure(torch.rand(2, 5), torch.rand(4, 5), ["a", "~"], title), tmp_path / "b.png")
    assert (tmp_path / "b.png").stat().st_size > 1000


def test_a_vocoder_without_training_is_said_and_skipped(trained, tmp_path, capsys):
    arguments = [f"data.root={trained.parent / 'corpus'}", f"data.cache={trained.parent / 'cache'}"]
    small = [key for key in SMALL if not key.startswith("vocoder")]
    run = tmp_path / "run"
    assert main(["train", "recipe=own", f"run={run}", *arguments, *small, *steps(1), "vocoder=griffin_lim"]) == 0
    assert "griffin_lim has nothing to train" in capsys.readouterr().out


def test_training_stops_when_its_minutes_are_up(trained, tmp_path, capsys):
    arguments = [f"data.root={trained.parent / 'corpus'}", f"data.cache={trained.parent / 'cache'}", *SMALL]
    run = tmp_path / "run"
    limit = ["trainer.acoustic.max_minutes=0.01", "stages=[prepare,acoustic]"]
    assert main(["train", "recipe=own", f"run={run}", *arguments, *steps(10**6), *limit]) == 0
    assert torch.load(run / "acoustic" / "last.ckpt", weights_only=True)["global_step"] < 1000
    capsys.readouterr()
    assert main(["train", f"recipe={run}", "stages=[acoustic]"]) == 0
    assert "trainer.acoustic.max_minutes=0.02" in capsys.readouterr().out


def test_bf16_trains_validates_and_speaks_in_full_precision(trained, tmp_path):
    arguments = [f"data.root={trained.parent / 'corpus'}", f"data.cache={trained.parent / 'cache'}", *SMALL]
    run = tmp_path / "run"
    assert main(["train", "recipe=own", f"run={run}", *arguments, *steps(2, every=1), "trainer.precision=bf16"]) == 0
    for half in ("acoustic", "vocoder"):
        assert all(t.dtype != torch.bfloat16 and torch.isfinite(t).all() for t in weights(run, half).values())


@pytest.mark.parametrize(("amx", "precision"), [(True, "bf16-mixed"), (False, "32-true"), (None, "32-true")])
def test_a_cpu_takes_bf16_where_it_has_matrix_units(amx, precision, monkeypatch):
    if amx is None:
        monkeypatch.delattr("torch.cpu._is_amx_tile_supported", raising=False)
    else:
        monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: amx, raising=False)
    assert fit._precision("auto", "cpu") == precision
    assert fit._precision("fp32", "cpu") == "32-true"


def test_checkpoints_also_come_by_the_clock(trained, tmp_path, monkeypatch):
    from tts.training.callbacks import Keeper

    saved = []
    monkeypatch.setattr(Keeper, "save", lambda self, trainer, task: saved.append(trainer.global_step))
    arguments = [f"data.root={trained.parent / 'corpus'}", f"data.cache={trained.parent / 'cache'}", *SMALL]
    clock = ["trainer.acoustic.checkpoint_minutes=1e-9", "stages=[prepare,acoustic]"]
    assert main(["train", "recipe=own", f"run={tmp_path / 'run'}", *arguments, *steps(5, every=100), *clock]) == 0
    assert saved[:4] == [1, 2, 3, 4]


def test_characters_instead_of_phonemes(trained, tmp_path, capsys):
    arguments = [f"data.root={trained.parent / 'corpus'}", f"data.cache={trained.parent / 'cache'}", *SMALL]
    run, report = tmp_path / "run", tmp_path / "report.json"
    stages = "stages=[prepare,acoustic]"
    assert main(["train", "recipe=own", f"run={run}", *arguments, *steps(1), "text=characters", stages]) == 0
    speak = ["synthesize", "One two.", f"voice={run}", f"out={tmp_path / 'x.wav'}", f"report={report}"]
    assert main(speak) == 0
    assert "speaking with Griffin-Lim, it has no trained vocoder yet" in capsys.readouterr().out
    assert json.loads(report.read_text())["sentences"][0]["phones"] == "one two.~"
