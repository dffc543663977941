"""The stage gta: mels in step with the recordings, and a vocoder fine-tuned on them that speaks."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tts.audio.mel import silence_value
from tts.checkpoint import find_half, find_trained, load_acoustic, read_facts
from tts.cli import main
from tts.data import datasets
from tts.data.cache import load_mel, load_wave
from tts.data.manifest import Clips, load_prepared
from tts.runs import read_recipe
from tts.settings import VocoderStage
from tts.synthesis import Synthesizer
from tts.text.frontend import Frontend
from tts.training import gta, vocoder
from tts.training.warm_start import find_starts
from tts.variance import give_back, of_speaker

UNALIGNED = "clip03"
SMALL = ["batch_size=2", "segment_frames=6", "spoken=2", "spoken_seconds=0.3", "learning_rate=0.01", "warmup_steps=1"]


def arguments(run, count=4, every=None, **keys) -> list[str]:
    """Fine-tune for `count` steps."""
    every = every or count
    steps = [f"max_steps={count}", f"validate_every={every}", f"checkpoint_every={every}"]
    changed = [f"{key}={value}" for key, value in keys.items()]
    return ["train", f"recipe={run}", "stages=[gta]", *(f"trainer.gta.{key}" for key in [*SMALL, *steps, *changed])]


def one_is_unaligned(alignment, mel, clip, reduction, audio) -> str:
    """A toy's attention never is aligned; here all but one clip pass."""
    return "skipped: four" if clip.id == UNALIGNED else ""


@pytest.fixture
def lenient(monkeypatch):
    monkeypatch.setattr(gta, "trouble_of", one_is_unaligned)


@pytest.fixture(scope="module")
def tuned(trained, tmp_path_factory):
    """A toy run after its fourth stage, straight through 4 steps; the fixture's copies may be changed."""
    run = tmp_path_factory.mktemp("gta") / "run"
    shutil.copytree(trained, run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gta, "trouble_of", one_is_unaligned)
        assert main(arguments(run, 4, every=2)) == 0
    return run


@pytest.fixture
def run(trained, tmp_path):
    """The three usual stages, in a folder of the test's own."""
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def again(tuned, tmp_path):
    """All four stages, in a folder of the test's own."""
    return shutil.copytree(tuned, tmp_path / "run")


def prepared_of(run):
    recipe = read_recipe(run)
    return load_prepared(run, recipe.audio, Frontend(recipe.text).fingerprint)


def state_of(run) -> dict:
    return torch.load(run / "gta" / "last.ckpt", weights_only=True)


def mel_files(run) -> dict[str, int]:
    """Name -> when it was written."""
    return {file.name: file.stat().st_mtime_ns for file in (run / "gta" / "mels").iterdir()}


def write_mels(run, max_unaligned=0.5) -> gta.Mels:
    half = load_acoustic(find_trained(run, "acoustic"))
    made_from = {"acoustic": gta.fingerprint(half.path), "vocoder": ""}
    return gta.write_mels(run, half, made_from, prepared_of(run), max_unaligned)


def change(path: Path) -> None:
    """Other weights in a half."""
    from tts.checkpoint import read_half, save_half

    half = read_half(path, "acoustic" if path.parent.name == "acoustic" else "vocoder")
    weights = {name: tensor * 1.01 if tensor.is_floating_point() else tensor for name, tensor in half.weights.items()}
    kind = "acoustic" if path.parent.name == "acoustic" else "vocoder"
    save_half(path, kind, weights, half.recipe, symbols=half.symbols, speakers=half.speakers, facts=half.facts)


class Gathered(Exception):
    """Carries what a process has to tell the others."""


def test_processes_that_train_together_make_a_share_of_the_mels_each(run, lenient, monkeypatch):
    """Here one after the other: all mels are made once, and what comes out is what one process has."""
    alone = write_mels(run)
    kept = {file.name: file.read_bytes() for file in (run / "gta" / "mels").iterdir()}
    shutil.rmtree(run / "gta")

    def tell(value):
        raise Gathered(value)

    monkeypatch.setattr(gta.ranks, "n_ranks", lambda: 2)
    monkeypatch.setattr(gta.ranks, "first_does", lambda work: work())
    with monkeypatch.context() as patch:
        patch.setattr(gta.ranks, "rank", lambda: 1)
        patch.setattr(gta.ranks, "of_all", tell)
        with pytest.raises(Gathered) as told:
            write_mels(run)
    before = mel_files(run)
    assert len(before) == len(kept) // 2
    monkeypatch.setattr(gta.ranks, "of_all", lambda value: [value, told.value.args[0]])
    assert write_mels(run) == alone
    assert {file.name: file.read_bytes() for file in (run / "gta" / "mels").iterdir()} == kept
    assert before.items() <= mel_files(run).items(), "what another one has made is left alone"


def test_the_stage_leaves_mels_a_report_and_a_vocoder_that_speaks(tuned, tmp_path, capsys):
    best = tuned / "gta" / "best.safetensors"
    facts = read_facts(best)
    assert facts["validation"]["loss"] < facts["bits_before"]
    assert find_half(tuned, "vocoder") == best
    assert find_trained(tuned, "vocoder") == tuned / "vocoder" / "best.safetensors"
    untuned = Synthesizer.load(tuned, vocoder="untuned").vocoder.state_dict()
    kept = load_file(find_trained(tuned, "vocoder"))
    assert all(torch.equal(untuned[name], kept[name]) for name in kept)
    spoken_by = Synthesizer.load(tuned).vocoder.state_dict()
    fine, plain = load_file(best), load_file(tuned / "vocoder" / "best.safetensors")
    assert all(torch.equal(spoken_by[name], tensor) for name, tensor in fine.items())
    assert any(not torch.equal(fine[name], tensor) for name, tensor in plain.items())
    far = max(float((fine[name] - tensor).abs().max()) for name, tensor in plain.items())
    assert far < 0.1  # four steps of 0.01 from the trained vocoder, not from random weights
    assert main(["synthesize", "One two.", f"voice={tuned}", f"out={tmp_path / 'x.wav'}"]) == 0
    assert read_recipe(tuned).stages == ["prepare", "acoustic", "vocoder", "gta"]
    report = (tuned / "gta" / "report.md").read_text()
    assert "- clips: 11 of 12\n" in report
    assert re.search(rf"\| {UNALIGNED} \| train \| .* \| skipped: four \|", report)
    assert find_half(tuned, "acoustic") == tuned / "acoustic" / "best.safetensors"
    log = EventAccumulator(str(tuned / "tensorboard" / "gta")).Reload()
    assert {"val/copy_mel_distance", "val/griffin_lim_mel_distance", "val/bits"} <= set(log.Tags()["scalars"])
    assert [event.step for event in log.Scalars("val/griffin_lim_mel_distance")] == [2, 4]
    references = [tag for tag in log.Tags()["audio"] if tag.endswith("/griffin_lim")]
    assert [len(log.Audio(tag)) for tag in references] == [1, 1]  # made once, and heard beside two copies of each
    assert len(log.Audio(references[0].removesuffix("/griffin_lim"))) == 2


def test_what_is_said(run, lenient, capsys):
    assert main(arguments(run, 2)) == 0
    said = capsys.readouterr()
    left_out = f"1 left out because attention is not aligned: {run}/gta/report.md"
    assert f"gta: teacher-forced mels of 11 clips, {left_out}" in said.out
    bits = r"gta: \d\.\d{3} bits per sample on .* held-out clips, and \d\.\d{3} now; .*best.safetensors speaks"
    assert re.search(bits, said.out)
    assert re.search(r"gta: copy synthesis of 2 clips: mel distance \d\.\d\d \(Griffin-Lim \d\.\d\d\)", said.err)
    assert main(arguments(run, 2)) == 0
    assert "gta: already trained to the end" in capsys.readouterr().out


def test_mels_are_in_step_with_the_recordings(run, lenient):
    mels, prepared = write_mels(run), prepared_of(run)
    clips = {clip.id: clip for clip in prepared.clips}
    made = [*mels.split("train"), *mels.split("held_out")]
    assert {clip.id for clip in made} == clips.keys() - {UNALIGNED}
    assert {clip.id for clip in mels.split("held_out")} == {clip.id for clip in prepared.split("held_out")}
    assert [one.clip.id for one in mels.left_out] == [UNALIGNED]
    for clip in made:
        mel, recorded = load_mel(clip.mel_file), load_mel(clip.cache_file)
        assert mel.shape == recorded.shape == (20, clips[clip.id].n_frames)
        assert not torch.equal(mel, recorded)
    half, first = load_acoustic(find_trained(run, "acoustic")), made[0]
    raw = gta.make_mel(half.model, clips[first.id], prepared.audio, half.speakers).mel
    spoken = give_back(raw, of_speaker(half.facts["lost_variance"], ""), silence_value(prepared.audio))
    assert torch.equal(load_mel(first.mel_file), spoken.half().float()) and not torch.equal(raw, spoken)


def test_a_mel_depends_on_its_clip_alone(run):
    half, prepared = load_acoustic(find_trained(run, "acoustic")), prepared_of(run)
    clips = prepared.clips[:2]
    torch.manual_seed(7)
    before = torch.get_rng_state()
    made = [gta.make_mel(half.model, clip, prepared.audio, half.speakers).mel for clip in clips]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(8)
    again = [gta.make_mel(half.model, clip, prepared.audio, half.speakers).mel for clip in reversed(clips)]
    assert all(torch.equal(*pair) for pair in zip(made, reversed(again), strict=True))


def test_mels_of_another_acoustic_half_are_made_again(again, lenient, capsys):
    before, old = mel_files(again), load_file(find_half(again, "vocoder"))
    change(again / "acoustic" / "best.safetensors")
    assert main(arguments(again, 2)) == 0
    assert "gta: the acoustic half has changed since it was begun, so it begins anew" in capsys.readouterr().out
    after = mel_files(again)
    assert len(after) == len(before) == 12
    assert not after.keys() & before.keys()
    assert state_of(again)["global_step"] == 2
    new = load_file(find_half(again, "vocoder"))
    assert any(not torch.equal(new[name], tensor) for name, tensor in old.items())


def test_another_vocoder_begins_anew_on_the_same_mels(again, lenient, capsys):
    before = mel_files(again)
    change(again / "vocoder" / "best.safetensors")
    assert main(arguments(again, 2)) == 0
    assert "gta: the vocoder half has changed since it was begun, so it begins anew" in capsys.readouterr().out
    assert mel_files(again) == before
    assert state_of(again)["global_step"] == 2


def test_training_a_half_on_tells_that_the_fine_tuned_vocoder_is_outdated(again, capsys):
    assert main(["train", f"recipe={again}", "stages=[vocoder]"]) == 0
    assert "fine-tune again" not in capsys.readouterr().out
    change(again / "vocoder" / "best.safetensors")
    assert main(["train", f"recipe={again}", "stages=[vocoder]"]) == 0
    told = f"fine-tuned before the vocoder half changed; fine-tune again: python train.py recipe={again} stages=[gta]"
    assert told in capsys.readouterr().out


def test_interrupted_mels_are_gone_on_with(run, lenient, monkeypatch, capsys):
    make, made = gta.make_mel, []

    def make_some(model, clip, audio, speakers):
        if len(made) == 5:
            raise KeyboardInterrupt
        made.append(clip.id)
        return make(model, clip, audio, speakers)

    with monkeypatch.context() as patch:
        patch.setattr(gta, "make_mel", make_some)
        assert main(arguments(run, 2)) == 130
        assert f"interrupted; go on with: python train.py recipe={run} stages=[gta]" in capsys.readouterr().out
        first = mel_files(run)
        assert len(first) == 5
        (run / "gta" / "mels" / next(iter(first))).write_bytes(b"damaged")
        made.clear()
    monkeypatch.setattr(gta, "make_mel", lambda *args: made.append(args[1].id) or make(*args))
    assert main(arguments(run, 2)) == 0
    assert len(made) == len(set(made)) == 8  # seven that were missing, and the damaged one
    assert len(mel_files(run)) == 12


def test_only_the_mels_of_aligned_clips_are_learned_from(again, monkeypatch):
    read: set[Path] = set()

    def load(path, *part):
        read.add(path)
        return load_mel(path, *part)

    monkeypatch.setattr(datasets, "load_mel", load)
    assert main(arguments(again, 24)) == 0
    unaligned = next(clip for clip in prepared_of(again).clips if clip.id == UNALIGNED)
    half = gta.fingerprint(again / "acoustic" / "best.safetensors")
    mels = {again / "gta" / "mels" / name for name in mel_files(again)}
    assert read == mels - {again / "gta" / "mels" / f"{gta._key(half, unaligned)}.safetensors"}


def test_another_run_starts_from_the_vocoder_as_its_own_stage_trained_it(tuned, tmp_path):
    recipe = replace(read_recipe(tuned), init_from=str(tuned), stages=["vocoder"])
    starts = find_starts(recipe, tmp_path / "new", (), lambda line: None)
    assert starts.vocoder.path == tuned / "vocoder" / "best.safetensors"


def test_resumed_equals_straight_through(run, tuned, lenient):
    assert main(arguments(run, 2, every=2)) == 0
    assert main(arguments(run, 4, every=2)) == 0
    for name in ("last", "best"):
        pair = [load_file(folder / "gta" / f"{name}.safetensors") for folder in (run, tuned)]
        assert all(torch.equal(pair[0][key], pair[1][key]) for key in pair[1])
    assert read_facts(run / "gta" / "best.safetensors")["bits_before"] == pytest.approx(
        read_facts(tuned / "gta" / "best.safetensors")["bits_before"]
    )


def test_a_vocoder_that_got_worse_does_not_speak(run, lenient, capsys):
    assert main(arguments(run, 2, learning_rate=3.0, gradient_clip=1000)) == 0
    plain = run / "vocoder" / "best.safetensors"
    assert find_half(run, "vocoder") == plain
    assert f"and no better now; {plain} goes on speaking" in capsys.readouterr().out


def test_an_acoustic_half_that_is_not_aligned_is_refused_and_what_speaks_is_kept(again, capsys):
    change(again / "acoustic" / "best.safetensors")
    speaks = find_half(again, "vocoder").read_bytes()
    assert main(arguments(again)) == 2
    said = capsys.readouterr().err
    assert re.search(
        r"attention is not aligned in 12 of 12 clips, with .*, e\.g\. clip00 \(attention is \w+: focus", said
    )
    assert f"train it on: python train.py recipe={again} stages=[acoustic] trainer.acoustic.max_steps=" in said
    assert "- left out because attention is not aligned: 12\n" in (again / "gta" / "report.md").read_text()
    assert find_half(again, "vocoder").read_bytes() == speaks


def test_the_share_that_may_be_left_out_is_a_setting(run, lenient, capsys):
    assert main(arguments(run, 2, max_unaligned=0.05)) == 2
    assert "attention is not aligned in 1 of 12 clips, e.g. clip03 (skipped: four)" in capsys.readouterr().err


@pytest.mark.parametrize("half", ["acoustic", "vocoder"])
def test_a_missing_half_is_named_with_the_command_that_trains_it(run, half, capsys):
    shutil.rmtree(run / half)
    assert main(arguments(run)) == 2
    said = f"{run / half} holds none; train it first: python train.py recipe={run} stages=[{half}]"
    assert said in capsys.readouterr().err


def test_passages_are_read_where_somebody_speaks(run, monkeypatch):
    prepared, audio = prepared_of(run), prepared_of(run).audio
    # A toy is never silent: here, the third frame is said to be the first that is spoken.
    monkeypatch.setattr(vocoder, "quiet_frames", lambda mel, audio: np.arange(mel.shape[1]) < 2)
    passages = vocoder.read_passages(prepared.clips, VocoderStage(spoken=3, spoken_seconds=0.3), audio)
    assert [passage.id for passage in passages] == ["clip00", "clip04", "clip08"]
    n_frames, hop = round(0.3 / audio.frame_seconds), audio.hop_length
    for passage, clip in zip(passages, prepared.clips[::4], strict=True):
        assert torch.equal(passage.mel, load_mel(clip.cache_file)[:, 2 : 2 + n_frames])
        assert torch.equal(passage.wave, load_wave(clip.cache_file)[2 * hop : (2 + n_frames) * hop])
    (long,) = vocoder.read_passages(prepared.clips[:1], VocoderStage(spoken=9, spoken_seconds=60), audio)
    assert len(long.wave) == prepared.clips[0].n_frames * hop


def test_a_vocoder_that_is_not_the_recipes_is_refused(run, lenient, capsys):
    (run / "vocoder" / "last.ckpt").unlink()
    assert main([*arguments(run), "vocoder.skip_channels=12"]) == 2
    assert "is another vocoder than the recipe of" in (said := capsys.readouterr().err)
    assert said.endswith("take its own: vocoder.skip_channels=8\n")


def test_without_a_held_out_clip_there_is_nothing_to_judge_by(run, monkeypatch, capsys):
    held_out = {clip.id for clip in prepared_of(run).split("held_out")}
    monkeypatch.setattr(gta, "trouble_of", lambda *args: "stalled for 2.0 s" if args[2].id in held_out else "")
    assert main(arguments(run)) == 2
    assert "attention is not aligned in 2 of 12 clips, with all that are held out, e.g. " in capsys.readouterr().err


def test_clips_of_speakers_the_model_does_not_know_are_refused(run):
    half, prepared = load_acoustic(find_trained(run, "acoustic")), prepared_of(run)
    first, *others = prepared.clips
    prepared.clips = Clips.of([replace(first, speaker="bob"), *others])
    with pytest.raises(gta.CheckpointError, match="what is prepared has the speakers bob; train the acoustic half"):
        gta.write_mels(run, half, {"acoustic": "", "vocoder": ""}, prepared, 0.5)


def test_what_counts_as_aligned(run):
    prepared = prepared_of(run)
    clip = max(prepared.clips, key=lambda clip: len(clip.ids))
    mel, n_symbols = load_mel(clip.cache_file), len(clip.ids)
    led = torch.arange(clip.n_frames) * n_symbols // clip.n_frames
    diagonal = torch.nn.functional.one_hot(led, n_symbols).T.float()
    audio = prepared.audio
    assert gta.trouble_of(diagonal, mel, clip, 1, audio) == ""
    scattered = torch.full_like(diagonal, 1 / n_symbols)
    assert gta.trouble_of(scattered, mel, clip, 1, audio).startswith("attention is scattered: focus 0.0")
    word = clip.words[1]
    skipped = diagonal.clone()
    frames = (led >= word.start) & (led < word.end)
    skipped[:, frames] = 0
    skipped[word.start - 1, frames] = 1
    assert gta.trouble_of(skipped, mel, clip, 1, audio) == f"skipped: {word.word}"
