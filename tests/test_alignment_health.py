"""Alignment over a training: what validation tells of it, why it fails, the remedy and its exact resume."""

import json
import shutil
from dataclasses import replace

import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.test_acoustic_contract import make_batch, make_model
from tests.toy import SMALL, steps
from tts.alignment import AlignmentHealth
from tts.checkpoint import read_facts
from tts.cli import main
from tts.config import load_recipe
from tts.data.manifest import Clip, Clips, FramesPerSymbol, Prepared
from tts.data.matching import texts_and_durations
from tts.errors import ConfigError
from tts.settings import AcousticStage, AudioConfig
from tts.training import diagnosis
from tts.training.health import Ending, Seen, SentenceHealth, alignment_in_words, forced_ending, health_table
from tts.training.schedule import plan_at, remedy_in_words

AUDIO = AudioConfig()
FRAME = AUDIO.frame_seconds
GOOD = AlignmentHealth(0.8, 0.9, 0.97, 0.95, 0.1)
BAD = AlignmentHealth(0.1, 0.4, 0.6, 0.0, 0.9)


def sentence(name, free=GOOD, forced=GOOD, stopped=True, late=0.0):
    return SentenceHealth(name, f"text | {name}", 2.0, forced, free, Ending(True, 0.0), Ending(stopped, late))


# --- what is told of the held-out sentences ---


def test_the_table_has_the_worst_sentence_first_and_both_ways_of_running():
    table = health_table(
        [
            sentence("good"),
            sentence("blurred", free=BAD),
            sentence("endless", stopped=False),
            sentence("late", late=0.3),
        ]
    )
    head, rule, *rows = table.splitlines()
    assert [row.split(":")[0].strip("| ") for row in rows] == ["endless", "blurred", "good", "late"]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in (head, *rows)]
    assert {len(row) for row in cells} == {len(rule.strip("|").split("|"))}
    blurred = dict(zip(cells[0], cells[2], strict=True))
    assert (blurred["free"], blurred["focus"], blurred["forced"], blurred["forced focus"]) == (
        "scattered",
        "0.10",
        "aligned",
        "0.80",
    )
    assert [row[cells[0].index("end")] for row in cells[1:]] == ["does not stop", "+0.00 s", "+0.00 s", "+0.30 s"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([6, 7], Ending(True, 0.0)),  # the step of two frames that holds the last one
        ([4, 5, 6, 7], Ending(True, -2 * FRAME)),
        ([8, 9], Ending(True, 2 * FRAME)),
        ([], Ending(False, 5 * FRAME)),
    ],
)
def test_where_the_stop_token_ends_a_sentence_that_is_given(said, expected):
    logit = torch.full((12,), -3.0)
    logit[said] = 3.0
    assert forced_ending(logit, 7, 2, FRAME) == pytest.approx(expected)


def test_aligned_asks_for_attention_and_for_stops():
    assert alignment_in_words([sentence("a")] * 5).aligned
    four = alignment_in_words([sentence("a")] * 4 + [sentence("b", stopped=False)])
    assert four.aligned and four.words.endswith("4 of 5 held-out sentences stop by themselves")
    three = alignment_in_words([sentence("a")] * 3 + [sentence("b", stopped=False)] * 2)
    assert not three.aligned and "3 of 5 held-out sentences stop by themselves, 4 are asked for" in three.words
    lost = alignment_in_words([sentence("a", free=BAD)])
    assert not lost.aligned
    assert (
        "focus 0.10 of 0.50, diagonality 0.40 of 0.60, monotonicity 0.60 of 0.90, coverage 0.00 of 0.80" in lost.words
    )
    assert "teacher-forced attention is aligned" in lost.words
    assert "teacher-forced" not in alignment_in_words([sentence("a", free=BAD, forced=BAD)]).words


def test_validation_keeps_a_table_and_the_curves_of_ends(trained):
    log = EventAccumulator(str(trained / "tensorboard" / "acoustic")).Reload()
    tables = log.Tensors("held_out/sentences/text_summary")
    assert [event.step for event in tables] == [4, 8]
    (table,) = tables[0].tensor_proto.string_val
    assert len(table.decode().splitlines()) == 2 + 2  # two sentences are held out
    assert {"val/length_error", "val/stopped_in_time", "val/teacher_forced/entropy"} <= set(log.Tags()["scalars"])


# --- the plan ---

STAGE = AcousticStage(
    reduction={0: 5, 100: 3, 200: 2},
    frames_heard={0: 1, 150: 0.5, 230: 0},
    guided_weight=8,
    guided_halving=50,
    remedy_steps=40,
    remedy_guidance=3,
)


def test_the_plan_without_a_remedy_is_the_recipes():
    assert [plan_at(STAGE, step).reduction for step in (0, 99, 100, 200, 999)] == [5, 5, 3, 2, 2]
    assert [plan_at(STAGE, step).guided_weight for step in (0, 50, 200)] == [8, 4, 0.5]
    assert [plan_at(STAGE, step).frames_heard for step in (0, 149, 150, 230)] == [1, 1, 0.5, 0]


def test_the_remedy_goes_back_to_the_largest_reduction_and_strong_guidance_for_a_while():
    plans = {step: plan_at(STAGE, step, remedy_at=200) for step in (0, 150, 199, 200, 239, 240, 250)}
    assert [plan.reduction for plan in plans.values()] == [5, 3, 3, 5, 5, 2, 2]
    assert [plan.frames_heard for plan in plans.values()] == [1, 0.5, 0.5, 1, 1, 0, 0]
    assert [plans[step].guided_weight for step in (0, 150, 200, 250)] == pytest.approx([8, 1, 24, 12])
    said = remedy_in_words(STAGE, 200)
    assert "until step 240 5 frames a decoder step instead of 2" in said and "weighs 24 instead of 0.5" in said
    assert "5 frames a decoder step, the most there are" in remedy_in_words(STAGE, 0)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("trainer.acoustic.align_by=-1", "0 never asks"),
        ("trainer.acoustic.remedy_steps=0", "remedy_steps must be positive"),
        ("trainer.acoustic.remedy_guidance=0", "remedy_guidance must be positive"),
        ("trainer.acoustic.join=1.5", "shares between 0 and 1"),
        ("trainer.acoustic.join_seconds=0", "join_seconds must be positive"),
        ("trainer.acoustic.cut=-0.1", "shares between 0 and 1"),
        ("acoustic.frame_dropout=1", "frame_dropout 1.0 must lie in"),
    ],
)
def test_impossible_values_are_refused(override, expected):
    with pytest.raises(ConfigError, match=expected):
        load_recipe("demo", [override])


# --- the event and the remedy in a training ---


def train(trained, run, count, *more):
    cache = [f"data.root={trained.parent / 'corpus'}", f"data.cache={trained.parent / 'cache'}"]
    stages = "stages=[prepare,acoustic]"
    return main(["train", "recipe=own", f"run={run}", *cache, *SMALL, *steps(count, every=2), stages, *more])


REMEDY = ["align_by=2", "remedy_steps=3", "remedy_guidance=5", "guided_halving=1", "reduction={0: 4, 1: 3}"]
WITH_REMEDY = [f"trainer.acoustic.{key}" for key in REMEDY]


def test_without_alignment_training_says_why_helps_once_and_says_if_in_vain(trained, tmp_path, capsys):
    run = tmp_path / "run"
    assert train(trained, run, 6, *WITH_REMEDY) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("acoustic: ")]
    assert lines[0].startswith("acoustic: not aligned by step 2: focus 0.")
    assert (
        "acoustic: likely cause: there are 10 clips, 0 minutes of speech, to learn from; attention wants" in lines[-4]
    )
    assert "remedy, once: until step 5 4 frames a decoder step instead of 3; guided attention weighs 25" in lines[-3]
    assert lines[-2].startswith("acoustic: not aligned by step 4, the remedy of step 2 has not helped: focus")
    assert lines[-1].startswith("acoustic: training goes on as planned")
    assert len(set(lines)) == len(lines), "each is said once"
    facts = read_facts(run / "acoustic" / "last.safetensors")
    assert (facts["aligned_at"], facts["remedy_at"], facts["remedy_failed_at"]) == (None, 2, 4)
    log = EventAccumulator(str(run / "tensorboard" / "acoustic")).Reload()
    assert [event.step for event in log.Tensors("news/text_summary")] == [2, 4]


def test_a_run_killed_within_the_remedy_equals_one_that_was_not(trained, tmp_path, monkeypatch):
    from tts.training.callbacks import Keeper

    run, killed = tmp_path / "run", tmp_path / "killed"
    save = Keeper.save

    def save_and_copy(self, trainer, task):
        save(self, trainer, task)
        if trainer.global_step == 4:  # the remedy lasts from step 2 to 5
            shutil.copytree(run, killed)

    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "save", save_and_copy)
        assert train(trained, run, 6, *WITH_REMEDY) == 0
    assert main(["train", f"recipe={killed}", "stages=[acoustic]"]) == 0
    straight, resumed = (load_file(folder / "acoustic" / "last.safetensors") for folder in (run, killed))
    assert straight.keys() == resumed.keys()
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)
    facts = read_facts(killed / "acoustic" / "last.safetensors")
    assert (facts["remedy_at"], facts["remedy_failed_at"]) == (2, 4)


def test_alignment_is_told_once_in_a_line_of_its_own_and_needs_no_remedy(trained, tmp_path, capsys, monkeypatch):
    from tts.training import acoustic

    def all_good(alignment, text_lengths, mel_lengths, step_frames=1):
        return [GOOD] * len(alignment)

    monkeypatch.setattr(acoustic, "health", all_good)
    monkeypatch.setattr(acoustic.Ending, "__new__", lambda cls, stopped, late: tuple.__new__(cls, (True, late)))
    run = tmp_path / "run"
    assert train(trained, run, 4, *WITH_REMEDY) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("acoustic: ")]
    assert len(lines) == 1
    assert lines[0].startswith("acoustic: aligned at step 2, after 0.")
    assert "focus 0.80, diagonality 0.90, monotonicity 0.97, coverage 0.95; 2 of 2 held-out sentences stop" in lines[0]
    facts = read_facts(run / "acoustic" / "last.safetensors")
    assert (facts["aligned_at"], facts["remedy_at"]) == (2, None)
    assert facts["aligned_minutes"] >= 0


def test_alignment_after_the_remedy_recalls_the_causes(trained, tmp_path, capsys, monkeypatch):
    from tts.training import acoustic

    seen = iter([Seen(False, "blurred"), Seen(True, "sharp")])
    monkeypatch.setattr(acoustic, "alignment_in_words", lambda sentences: next(seen))
    run = tmp_path / "run"
    assert train(trained, run, 4, *WITH_REMEDY) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("acoustic: ")]
    assert lines[-2].startswith("acoustic: aligned at step 4, after 0.") and lines[-2].endswith("minutes: sharp")
    assert "the causes named at step 2 are still there" in lines[-1]
    facts = read_facts(run / "acoustic" / "last.safetensors")
    assert (facts["aligned_at"], facts["remedy_at"], facts["remedy_failed_at"]) == (4, 2, None)


# --- the likely causes ---


def clip(folder, number, n_symbols=40, pace=7.0, silence=(0.05, 0.05)):
    """Speech of `pace` frames a symbol with silence at both ends."""
    rng = torch.Generator().manual_seed(number)
    ends = [-9 + 0.2 * torch.randn(80, round(seconds / FRAME), generator=rng) for seconds in silence]
    spoken = 0.3 * torch.randn(80, round(pace * n_symbols), generator=rng)
    mel = torch.cat([ends[0], spoken, ends[1]], dim=1)
    path = folder / f"{number}.safetensors"
    save_file({"mel": mel.contiguous(), "wave": torch.zeros(8, dtype=torch.int16)}, path)
    ids = (3,) * n_symbols
    seconds = mel.shape[1] * FRAME
    return Clip(f"c{number}", "t", "t", ("a",) * n_symbols, ids, (), "", "train", path, 0, mel.shape[1], seconds, ())


@pytest.fixture
def clips(tmp_path):
    """A healthy corpus, if a small one: texts of 20 to 79 symbols."""
    return [clip(tmp_path, number, n_symbols=20 + (37 * number) % 60) for number in range(40)]


def test_silence_at_the_ends_is_measured_and_named(tmp_path, clips):
    found = diagnosis.silence_at_ends(clips, AUDIO)
    assert not found.advice and "0.05 s of silence before and 0.05 s after" in found.measured
    long = [clip(tmp_path, 100 + number, silence=(0.05, 0.5)) for number in range(10)]
    found = diagnosis.silence_at_ends(long, AUDIO)
    assert "0.50 s after" in found.measured and "data.trim_db" in found.advice
    some = clips[:20] + [clip(tmp_path, 200 + number, silence=(0.9, 0.05)) for number in range(4)]
    found = diagnosis.silence_at_ends(some, AUDIO)
    assert "more than 0.6 s in 4 of 24 (c200, c201, c202, c203)" in found.measured and found.advice


def test_rate_outliers_are_counted_and_named(tmp_path, clips):
    assert not diagnosis.rate_of_speech(clips).advice
    found = diagnosis.rate_of_speech([*clips, *(clip(tmp_path, 300 + n, pace=21.0) for n in range(3))])
    assert "3 of 43 clips" in found.measured and "c300 0.3 times" in found.measured and found.advice


def with_text_of(clips, other):
    return [replace(one, ids=clips[other(index) % len(clips)].ids) for index, one in enumerate(clips)]


def test_texts_of_other_clips_are_noticed_and_so_is_a_slip_of_lines(clips):
    assert not texts_and_durations(clips).advice
    found = texts_and_durations(with_text_of(clips, lambda index: index + 1))
    assert "1 line further up: correct the metadata" in found.advice
    found = texts_and_durations(with_text_of(clips, lambda index: index - 2))
    assert "2 lines further down: correct the metadata" in found.advice
    found = texts_and_durations(with_text_of(clips, lambda index: 17 * index + 5))
    assert "hardly belong together" in found.advice


def test_texts_of_one_length_say_nothing_of_a_mismatch(tmp_path):
    found = texts_and_durations([clip(tmp_path, number, pace=6 + number % 3) for number in range(12)])
    assert "too much of one length" in found.measured and not found.advice


def test_texts_that_are_almost_all_of_one_length_can_be_compared(clips):
    lengths = [40] * 13 + [200]
    odd = [replace(one, ids=(3,) * n_symbols) for one, n_symbols in zip(clips, lengths, strict=False)]
    assert "hardly belong together" in texts_and_durations(odd).advice


@pytest.mark.parametrize("slipped", [False, True])
def test_preparing_warns_of_texts_that_slipped_by_a_line(tmp_path, capsys, slipped):
    corpus = tmp_path / "corpus"
    (corpus / "wavs").mkdir(parents=True)
    texts = [" ".join(["seven"] * (1 + (7 * number) % 5)) + f" {'ab'[number % 2]}" for number in range(25)]
    for number, text in enumerate(texts):
        tone = 0.3 * torch.sin(0.1 * torch.arange(800 * len(text))).numpy()
        soundfile.write(corpus / "wavs" / f"{number:02}.wav", tone, 16000)
    lines = [f"{number:02}|{texts[(number + slipped) % 25]}\n" for number in range(25)]
    (corpus / "metadata.csv").write_text("".join(lines))
    run = tmp_path / "run"
    paths = [f"data.root={corpus}", f"data.cache={tmp_path / 'cache'}", f"run={run}"]
    assert main(["train", "recipe=own", *paths, *SMALL, "stages=[prepare]"]) == 0
    warning = "by 1.00 with the texts 1 line further up: correct the metadata"
    assert (warning in capsys.readouterr().out) == slipped
    assert (warning in (run / "data" / "report.md").read_text()) == slipped
    assert (json.loads((run / "data" / "report.json").read_text())["texts_and_durations"]["advice"] != "") == slipped


def test_clips_with_a_far_larger_loss_are_named():
    losses = {f"c{number}": 0.5 + 0.01 * (number % 5) for number in range(30)}
    assert not diagnosis.hard_clips(losses).advice
    found = diagnosis.hard_clips({**losses, "wrong": 1.6})
    assert "1 of 31" in found.measured and "(wrong 3.1 times)" in found.measured and found.advice


def test_small_batches_name_the_key_that_bounds_them(clips):
    assert not diagnosis.batches(clips, AcousticStage(batch_size=20)).advice
    assert "trainer.acoustic.batch_size=4" in diagnosis.batches(clips, AcousticStage(batch_size=4)).advice
    few = diagnosis.batches(clips, AcousticStage(batch_size=20, batch_frames=2000))
    assert "trainer.acoustic.batch_frames=2000" in few.advice


def test_too_little_speech_is_said(clips):
    assert "40 clips, 3 minutes" in diagnosis.amount(clips).measured and diagnosis.amount(clips).advice
    assert not diagnosis.amount([replace(one, seconds=8.0) for one in clips * 6]).advice
    assert diagnosis.amount([replace(one, seconds=4.0) for one in clips * 6]).advice
    assert diagnosis.amount([replace(one, seconds=60.0) for one in clips]).advice


def prepared_of(clips):
    return Prepared(AUDIO, ("_",), Clips.of(clips), torch.zeros(80), torch.ones(80), FramesPerSymbol(1, 1, 1, 1), "")


def test_a_healthy_corpus_gets_figures_instead_of_causes(clips):
    healthy = prepared_of([replace(one, seconds=60.0) for one in clips * 6])
    losses = {one.id: 0.5 for one in clips}
    (said,) = diagnosis.diagnose(healthy, AcousticStage(), losses)
    assert said.startswith("no usual cause was found: 0.05 s of silence")
    causes = diagnosis.diagnose(prepared_of(clips), AcousticStage(batch_size=2), losses)
    assert [cause.split(":")[0] for cause in causes] == ["likely cause"] * 2


def test_the_loss_of_a_clip_does_not_depend_on_its_neighbours(tmp_path):
    model = make_model("tacotron2", "location_sensitive", reduction=2).eval()

    def small(number):
        one = clip(tmp_path, number, n_symbols=5)
        mel = load_file(one.cache_file)["mel"][: model.n_mels, :30] + 4 * number
        save_file({"mel": mel.contiguous()}, one.cache_file)
        return replace(one, n_frames=30)

    clips = [small(number) for number in range(3)]
    with torch.no_grad():
        together = diagnosis.clip_losses(model, clips, AUDIO, torch.device("cpu"))
        alone = [diagnosis.clip_losses(model, [one], AUDIO, torch.device("cpu"))[one.id] for one in clips]
    assert alone[0] + 1 < alone[1] < alone[2] - 1
    # The prenet drops at random: about the same is the same.
    assert list(together.values()) == pytest.approx(alone, rel=0.2)


# --- frame dropout ---


def test_frame_dropout_hides_true_frames_in_training_alone():
    def mel_of(model, batch):
        torch.manual_seed(0)
        return model(batch).mel_before

    model = make_model("tacotron2", "location_sensitive", reduction=2)
    batch = make_batch([4, 9], [13, 8])
    other = replace(batch, mel=batch.mel + 1)
    assert not torch.equal(mel_of(model, batch), mel_of(model, other))
    model.frame_dropout = 1.0
    assert torch.equal(mel_of(model, batch), mel_of(model, other))
    model.eval()
    assert not torch.equal(mel_of(model, batch), mel_of(model, other))


def test_frame_dropout_replaces_whole_frames_by_the_mean_and_costs_no_random_number_when_off():
    model = make_model("tacotron2", "location_sensitive", reduction=2)
    given = torch.randn(50, 8, model.n_mels)
    state = torch.get_rng_state()
    assert model._drop_frames(given) is given and torch.equal(torch.get_rng_state(), state)
    model.frame_dropout = 0.25
    dropped = (model._drop_frames(given) == 0).float().mean(dim=2)
    assert set(dropped.unique().tolist()) == {0.0, 1.0}
    assert 0.15 < dropped.mean() < 0.35
