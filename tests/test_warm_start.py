"""Warm start: what fits of another voice is taken by name, the rest is new, and all of it is told."""

import re
import shutil

import pytest
import torch
from safetensors.torch import load_file

from tests.toy import SMALL, steps, write_corpus
from tts.batch import AcousticBatch
from tts.checkpoint import Stored, build_acoustic
from tts.cli import main
from tts.config import load_recipe
from tts.errors import CheckpointError, ConfigError
from tts.runs import check_resume, read_recipe
from tts.text.symbols import TABLES
from tts.training.warm_start import find_starts, take_over

PHONEMES = TABLES["phonemes"]


def make(*overrides, symbols=PHONEMES, speakers=("",), seed=0):
    """A voice with random weights, as it is stored."""
    recipe = load_recipe("own", [*SMALL, *overrides])
    torch.manual_seed(seed)
    model = build_acoustic(recipe, len(symbols), len(speakers)).eval()
    model.scaler.fit(torch.full((20,), -5.0 + seed), torch.full((20,), 2.0))
    return model, Stored(
        "old.safetensors", recipe, symbols, speakers, {"reduction": 3, "frames_heard": 1.0}, model.state_dict()
    )


def hear(model, speaker=0, ids=(3, 11, 14, 1)):
    """Teacher-forced mels of a fixed batch."""
    mel = torch.linspace(-8, -2, 9).expand(1, 20, 9).clone()
    text = torch.tensor([ids])
    batch = AcousticBatch(["a"], text, torch.tensor([len(ids)]), mel, torch.tensor([9]), torch.tensor([speaker]))
    torch.manual_seed(1)  # the prenet's dropout is on
    return model(batch).mel


def row(report, module):
    """(copied, in part, new) parameters of a module."""
    (line,) = (line for line in report.splitlines() if line.split()[:1] == [module])
    return tuple(int(number.replace(",", "")) for number in line.split()[1:])


def test_from_itself_everything_is_copied_and_sounds_the_same():
    (old, stored), (new, _) = make(), make(seed=1)
    assert not torch.equal(hear(new), hear(old))
    report = take_over(new, stored, PHONEMES)
    assert torch.equal(hear(new), hear(old))
    n_parameters = sum(parameter.numel() for parameter in new.parameters())
    assert row(report, "all") == (n_parameters, 0, 0)
    assert "in part:" not in report and "new symbols" not in report and "left behind" not in report


def test_a_voice_in_half_precision_is_a_start_too():
    (old, stored), (new, _) = make(), make(seed=1)
    halved = {name: t.half() if t.is_floating_point() else t for name, t in stored.weights.items()}
    take_over(new, stored._replace(weights=halved), PHONEMES)
    assert all(p.dtype == torch.float32 for p in new.parameters())
    torch.testing.assert_close(hear(new), hear(old), atol=0.05, rtol=0)


def test_symbols_are_mapped_by_name():
    symbols = TABLES["characters"]
    (old, stored), (new, _) = make(), make(symbols=symbols, seed=1)
    before = new.encoder.embedding.weight.detach().clone()
    report = take_over(new, stored, symbols)
    shared = [symbol for symbol in symbols if symbol in PHONEMES]
    assert 5 < len(shared) < len(symbols)
    for place, symbol in enumerate(symbols):
        kept = old.encoder.embedding.weight[PHONEMES.index(symbol)] if symbol in shared else before[place]
        assert torch.equal(new.encoder.embedding.weight[place], kept), symbol
    assert f"in part: encoder.embedding.weight ({len(shared)} of {len(symbols)} rows)" in report
    assert "new symbols: 'a', 'b'," in report and "'~'" not in report
    assert row(report, "encoder")[1:] == (16 * len(shared), 16 * (len(symbols) - len(shared)))
    turned = (*PHONEMES[1:], PHONEMES[0])  # as many, in another order
    other, _ = make(symbols=turned, seed=1)
    take_over(other, stored, turned)
    assert torch.equal(hear(other, ids=(2, 10, 13, 0)), hear(old))


def test_a_voice_of_one_speaker_is_the_start_of_every_speaker():
    speakers = ("alice", "bob")
    (old, stored), (new, _) = make(), make(speakers=speakers, seed=1)
    report = take_over(new, stored, PHONEMES, speakers)
    for speaker in (0, 1):
        assert torch.equal(hear(new, speaker), hear(old))
    assert row(report, "speakers") == (0, 0, 32)
    assert "new speakers: alice, bob" in report


def test_speakers_are_mapped_by_name_and_new_ones_start_from_the_mean():
    before, after = ("alice", "bob"), ("bob", "carol")
    (old, stored), (new, _) = make(speakers=before), make(speakers=after, seed=1)
    report = take_over(new, stored, PHONEMES, after)
    assert torch.equal(hear(new, 0), hear(old, 1))
    torch.testing.assert_close(new.speakers.weight[1], old.speakers.weight.mean(dim=0))
    assert "speakers.weight (1 of 2 rows)" in report and "new speakers: carol" in report


def test_from_several_speakers_to_one():
    (old, stored), (alone, _) = make(speakers=("alice", "bob")), make(seed=1)
    with pytest.raises(CheckpointError, match=r"speakers alice, bob apart.* acoustic\.speaker_vectors=always"):
        take_over(alone, stored, PHONEMES)
    new, _ = make("acoustic.speaker_vectors=always", seed=1)
    take_over(new, stored, PHONEMES)
    torch.testing.assert_close(new.speakers.weight[0], old.speakers.weight.mean(dim=0))
    take_over(new, stored, PHONEMES, ("bob",))
    assert torch.equal(hear(new), hear(old, 1))


@pytest.mark.parametrize(("largest", "common"), [(2, 40), (6, 80)])
def test_another_reduction_keeps_the_frames_that_both_have(largest, common):
    (old, stored), (new, _) = make(), make(f"trainer.acoustic.reduction={{0: {largest}}}", seed=1)
    before = new.frames.weight.detach().clone()
    report = take_over(new, stored, PHONEMES)
    assert torch.equal(new.frames.weight[:common], old.frames.weight[:common])
    assert torch.equal(new.frames.weight[common:], before[common:])
    assert row(report, "frames")[2] == (20 * largest - common) * (before.shape[1] + 1)
    new.reduction = old.reduction = 2
    assert torch.equal(hear(new), hear(old))


def test_what_has_another_width_is_new():
    (_, stored), (new, _) = make(), make("acoustic.postnet_dim=12", seed=1)
    before = {name: value.clone() for name, value in new.state_dict().items()}
    report = take_over(new, stored, PHONEMES)
    assert row(report, "postnet")[2] > 0 and row(report, "encoder")[2] == 0
    assert torch.equal(new.postnet.convs[0].conv.weight, before["postnet.convs.0.conv.weight"])


def test_what_has_no_place_in_the_new_model_is_named():
    (_, stored), (new, _) = make(), make("acoustic.postnet_layers=1", seed=1)
    assert re.search(r"left behind: .*postnet\.convs\.1\.conv\.weight", take_over(new, stored, PHONEMES))


def test_the_scaler_is_the_old_voices():
    """The weights know mels as it normalised them."""
    (old, stored), (new, _) = make(), make(seed=1)
    take_over(new, stored, PHONEMES)
    assert torch.equal(new.scaler.mean, old.scaler.mean)


@pytest.fixture
def arguments(trained):
    return [f"data.root={trained.parent / 'corpus'}", f"data.cache={trained.parent / 'cache'}", *SMALL]


STILL = [f"trainer.{half}.{key}=1e-20" for half in ("acoustic", "vocoder") for key in
         ("learning_rate", "min_learning_rate")]  # fmt: skip


def test_a_run_starts_from_a_run_once(trained, arguments, tmp_path, capsys):
    """Weights, averaged too, are those of the old voice; going on does not start again."""
    source, run = tmp_path / "source", tmp_path / "run"
    shutil.copytree(trained, source)
    assert main(["train", "recipe=own", f"run={run}", f"init_from={source}", *arguments, *STILL, *steps(1)]) == 0
    said = capsys.readouterr().out
    assert said.count("start: ") == 2 and f"start: {source}/vocoder/best.safetensors" in said
    assert f"{source}/acoustic/best.safetensors speaks 3 frames a decoder step and this run begins with 4" in said
    assert "0% of the utterances hear the frames before, in this run 100% at first" in said
    for half in ("acoustic", "vocoder"):
        old, new = (load_file(folder / half / name) for folder, name in
                    ((source, "best.safetensors"), (run, "last.safetensors")))  # fmt: skip
        learned = [name for name in old if "running" not in name and "num_batches" not in name]
        assert all(torch.equal(new[name], old[name]) for name in learned)
    assert read_recipe(run).init_from == str(source)
    shutil.rmtree(source)
    assert main(["train", f"recipe={run}", *steps(2)]) == 0
    assert "start: " not in capsys.readouterr().out
    assert main(["train", f"recipe={run}", f"init_from={trained}", *steps(3)]) == 2
    assert "holds a run with another init_from" in capsys.readouterr().err


def test_one_file_starts_one_half(trained, arguments, tmp_path, capsys):
    source = trained / "vocoder" / "last.safetensors"
    assert main(["train", "recipe=own", f"run={tmp_path / 'a'}", f"init_from={source}", *arguments, *steps(1)]) == 0
    said = capsys.readouterr().out
    assert f"acoustic: init_from={source} has none, so it begins at random" in said and said.count("start: ") == 1


WIDTHS = ("residual", "gate", "skip", "condition")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["audio.f_max=7000"], r"another mel than this recipe's: f_max 7000.0 != 7600.0; take its own: audio.f_max=7"),
        (
            ["stages=[prepare,vocoder]", *(f"vocoder.{part}_channels=6" for part in WIDTHS), "vocoder.n_mixtures=3"],
            r"nothing of .*vocoder/best.safetensors fits this recipe's vocoder half; they differ in vocoder.condition_",
        ),
    ],
)
def test_what_cannot_serve_is_refused_before_anything_is_prepared(
    trained, arguments, tmp_path, capsys, changes, message
):
    run = tmp_path / "run"
    assert main(["train", "recipe=own", f"run={run}", f"init_from={trained}", *arguments, *changes]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not run.exists()


def test_a_start_that_is_not_there(trained, arguments, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    train = ["train", "recipe=own", *arguments]
    assert main([*train, "init_from=runs/mime"]) == 2
    assert "init_from=runs/mime: there is no such run folder or checkpoint; did you mean runs/mine?" in (
        capsys.readouterr().err
    )
    assert main([*train, "init_from=runs/mine"]) == 2
    assert "init_from=runs/mine holds no trained half for acoustic, vocoder" in capsys.readouterr().err
    assert main([*train, f"init_from={trained / 'recipe.yaml'}"]) == 2
    assert "no safetensors file" in capsys.readouterr().err


def test_minutes_of_two_new_speakers_on_a_voice_of_one(trained, tmp_path, capsys):
    for name in ("alice", "bob"):
        write_corpus(tmp_path / "corpus" / name)
    arguments = [f"data.root={tmp_path / 'corpus'}", f"data.cache={tmp_path / 'cache'}", *SMALL, *steps(1)]
    run = tmp_path / "run"
    train = ["train", "recipe=own", f"run={run}", f"init_from={trained}", "stages=[prepare,acoustic]"]
    assert main([*train, *arguments]) == 0
    assert "new speakers: alice, bob" in capsys.readouterr().out
    assert main(["synthesize", "One.", f"voice={run}", f"out={tmp_path / 'x.wav'}", "speaker=bob"]) == 0


def test_a_half_that_has_begun_needs_no_start(trained):
    recipe = load_recipe("own", [*SMALL, "init_from=/nowhere"])
    assert find_starts(recipe, trained, PHONEMES, print) == (None, None)


@pytest.mark.parametrize("half", ["acoustic", "vocoder"])
def test_either_half_that_has_begun_keeps_its_start(tmp_path, half):
    stored, wanted = (load_recipe("own", [*SMALL, f"init_from={name}"]) for name in ("a", "b"))
    check_resume(stored, wanted, tmp_path)
    (tmp_path / half).mkdir()
    (tmp_path / half / "last.ckpt").touch()
    with pytest.raises(ConfigError, match="holds a run with another init_from"):
        check_resume(stored, wanted, tmp_path)
