"""Forced alignment: its boundaries on real speech, what is kept of it, wrong texts, and the path it guides along."""

import difflib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.toy import steps
from tts.batch import PhoneTime
from tts.cli import main
from tts.corpora import own
from tts.data import aligning
from tts.data.aligning import Alignment, Phones, SpokenWord, align_all, align_task
from tts.data.cache import read_facts
from tts.data.guides import reading_path, symbol_ends
from tts.data.manifest import Clip, load_prepared, sentence_of
from tts.data.mismatch import match, swapped
from tts.data.prepare import prepare
from tts.errors import DataError
from tts.losses import guided_attention_loss
from tts.settings import AcousticStage, DataConfig, Recipe, TextConfig, TrainerConfig
from tts.text.frontend import Frontend, WordSpan

LJSPEECH = Path(__file__).parents[1].parent / "shared/data/ljspeech-350"
SHORT = ("LJ001-0002", "LJ001-0013", "LJ001-0078", "LJ001-0174", "LJ002-0012", "LJ002-0198")
real = pytest.mark.skipif(not LJSPEECH.is_dir(), reason=f"needs real speech: {LJSPEECH}")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """Six short clips of real speech, prepared."""
    pytest.importorskip("pocketsphinx")
    folder = tmp_path_factory.mktemp("spoken")
    (folder / "corpus/wavs").mkdir(parents=True)
    lines = [line for line in (LJSPEECH / "metadata.csv").read_text("utf-8").splitlines() if line[:10] in SHORT]
    (folder / "corpus/metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name in SHORT:
        (source,) = (LJSPEECH / "wavs").glob(f"{name}.*")
        (folder / "corpus/wavs" / source.name).write_bytes(source.read_bytes())
    data = own.Config(corpus="own", root=str(folder / "corpus"), cache=str(folder / "cache"), held_out=1, workers=1)
    trainer = TrainerConfig(acoustic=AcousticStage(guided_attention="aligned"))
    recipe = Recipe(data=data, trainer=trainer)
    prepared = prepare(recipe, folder / "run", list(own.read(data)), Frontend(recipe.text), progress=False)
    return recipe, prepared, folder


def tasks_of(spoken, text=None):
    recipe, prepared, folder = spoken
    phones = Phones(text or recipe.text)
    return {c.id: align_task(c, phones(c), recipe.audio.sample_rate, folder / "cache") for c in prepared.clips}


def reference_words(id_):
    tier = (LJSPEECH / "TextGrid" / f"{id_}.TextGrid").read_text().split('name = "words"')[1].split("item [")[0]
    found = re.findall(r'xmin = ([\d.]+)\s+xmax = ([\d.]+)\s+text = "(.*?)"', tier)
    return [(word, float(start), float(end)) for start, end, word in found if word]


def letters(word):
    return re.sub("[^a-z]", "", word.lower())


@real
def test_word_boundaries_are_those_of_the_reference(spoken):
    _, prepared, _ = spoken
    found, errors, n_words = align_all(tasks_of(spoken), workers=1, progress=False), [], 0
    for clip in prepared.clips:
        trimmed = read_facts(clip.cache_file).start_sample / prepared.audio.sample_rate
        expected, mine = reference_words(clip.id), found[clip.id].words
        n_words += len(expected)
        spelled = [[letters(word[0]) for word in side] for side in (expected, mine)]
        for i, j, size in difflib.SequenceMatcher(None, *spelled, autojunk=False).get_matching_blocks():
            for (_, start, end), word in zip(expected[i : i + size], mine[j : j + size], strict=True):
                errors += [abs(word.start + trimmed - start), abs(word.end + trimmed - end)]
    assert len(errors) > 1.8 * n_words
    # Over all 350 clips: 12 ms and 68 ms.
    assert np.median(errors) < 0.02 and np.quantile(errors, 0.95) < 0.1


@real
def test_phones_are_the_symbols_and_fill_their_words(spoken):
    _, prepared, _ = spoken
    for clip in prepared.clips:
        found = align_all(tasks_of(spoken), workers=1, progress=False)[clip.id]
        said = [symbol.rstrip("012") for span in clip.words for symbol in clip.symbols[span.start : span.end]]
        assert [phone.phone for word in found.words for phone in word.phones] == said
        for word in found.words:
            assert (word.phones[0].start, word.phones[-1].end) == (word.start, word.end)
        assert found.words[-1].end <= clip.seconds


@real
def test_what_was_aligned_once_is_read(spoken, monkeypatch):
    tasks = tasks_of(spoken)
    first = align_all(tasks, workers=1, progress=False)
    monkeypatch.setattr(aligning, "_aligner", None)  # whoever aligns anew fails
    assert align_all(tasks, workers=1, progress=False) == first
    id_, task = next(iter(tasks.items()))
    other = replace_words(task)
    assert other.kept != task.kept
    with pytest.raises(TypeError):
        align_all({id_: other}, workers=1, progress=False)
    task.kept.write_text(task.kept.read_text()[:-20])  # cut off: as good as none
    with pytest.raises(TypeError):
        align_all({id_: task}, workers=1, progress=False)
    monkeypatch.undo()
    assert align_all({id_: task}, workers=1, progress=False)[id_] == first[id_]


def replace_words(task):
    clip = Clip("x", "", "", (), (), (), "", "train", task.entry, 0, 0, 0.0, ())
    return align_task(clip, (("hello", ("HH", "AH", "L", "OW")),), task.sample_rate, task.kept.parents[1])


@real
def test_a_text_of_another_clip_is_found(spoken):
    recipe, prepared, folder = spoken
    own_texts = tasks_of(spoken)
    phones = Phones(recipe.text)
    swaps = swapped(prepared.clips)
    assert len(swaps) >= 4 and all(sentence_of(a.words) != sentence_of(b.words) for a, b in swaps)
    cache, rate = folder / "cache", recipe.audio.sample_rate
    wrong = {a.id: align_task(a, phones(b), rate, cache) for a, b in swaps}
    aligned = align_all({**own_texts}, workers=1, progress=False)
    badly = align_all(wrong, workers=1, progress=False)
    assert match(aligned, list(badly.values())).suspects == []
    one = swaps[0][0].id
    found = match({**aligned, one: badly[one]}, list(badly.values())[1:])
    assert [suspect.id for suspect in found.suspects] == [one] and found.limit < found.right


@real
def test_letters_share_the_time_of_their_words(spoken):
    _, prepared, _ = spoken
    clip = prepared.clips[0]
    letters_of = Frontend(TextConfig(units="characters"))(clip.text)
    written = replace(clip, symbols=letters_of.symbols, ids=tuple(letters_of.ids), words=letters_of.words)
    said = Phones(TextConfig(units="characters"))(written)
    assert [phones for _, phones in said] == [phones for _, phones in Phones(TextConfig())(clip)]


@real
def test_prepared_clips_know_where_they_are_in_their_text(spoken):
    recipe, prepared, folder = spoken
    again = load_prepared(folder / "run", recipe.audio, Frontend(recipe.text).fingerprint)
    assert all(len(clip.symbol_ends) == len(clip.symbols) - 1 for clip in prepared.clips)
    assert [clip.symbol_ends for clip in again.clips] == [clip.symbol_ends for clip in prepared.clips]


def test_without_the_library_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "pocketsphinx", None)
    trainer = TrainerConfig(acoustic=AcousticStage(guided_attention="aligned"))
    recipe = Recipe(data=DataConfig(cache=str(tmp_path)), trainer=trainer)
    with pytest.raises(DataError, match=r'pip install -e "\.\[evaluate\]"'):
        prepare(recipe, tmp_path, [], Frontend(recipe.text))
    assert not list(tmp_path.iterdir())


# --- judging ---


def scored(score):
    return Alignment((), score)


def test_suspects_are_below_a_share_of_the_way_to_wrong_texts():
    texts = {f"{i}": scored(-10.0 - 0.1 * i) for i in range(20)}
    wrong = [scored(-50.0), scored(-52.0), None]
    found = match({**texts, "bad": scored(-40.0), "odd": None}, wrong)
    assert [s.id for s in found.suspects] == ["odd", "bad"] and -30 < found.limit < -20
    # A worse room moves both, and the limit with them.
    noisy = match({id_: scored(a.score - 20) for id_, a in texts.items()}, [scored(-60.0)])
    assert noisy.suspects == [] and noisy.limit < found.limit - 10


def test_where_nothing_can_be_told_that_is_said():
    texts = {f"{i}": scored(-50.0) for i in range(20)}
    same = match(texts, [scored(-52.0)])
    assert same.suspects == [] and same.limit is None and "no better" in same.unclear
    failed = match({**dict.fromkeys("abc"), "d": scored(-10.0)}, [])
    assert failed.suspects == [] and "more than half" in failed.unclear


def test_where_no_wrong_text_could_be_aligned_the_usual_gap_stands_in():
    found = match({**{f"{i}": scored(-10.0) for i in range(9)}, "bad": scored(-45.0)}, [None, None])
    assert found.wrong is None and [s.id for s in found.suspects] == ["bad"]


# --- the path that guides attention ---


def toy_clip():
    """Of one second: HH AY from 0.1 s, a comma with a pause from 0.3 s, Y UW from 0.5 s, a full stop from 0.7 s."""
    symbols = ("HH", "AY1", ",", " ", "Y", "UW1", ".", "~")
    words = (WordSpan("hi", 0, 2, "cmudict"), WordSpan("you", 4, 6, "cmudict"))
    return Clip("c", "", "", symbols, tuple(range(8)), words, "", "train", Path("x"), 0, 100, 1.0, ())


def toy_alignment():
    hi = SpokenWord("hi", 0.1, 0.3, -9.0, (PhoneTime("HH", 0.1, 0.2), PhoneTime("AY", 0.2, 0.3)))
    you = SpokenWord("you", 0.5, 0.7, -9.0, (PhoneTime("Y", 0.5, 0.6), PhoneTime("UW", 0.6, 0.7)))
    return Alignment((hi, you), -9.0)


def test_pauses_belong_to_marks_and_boundaries():
    assert symbol_ends(toy_clip(), toy_alignment()) == (0.2, 0.3, 0.5, 0.5, 0.6, 0.7, 1.0)


def test_a_word_that_was_not_aligned_lies_between_its_neighbours():
    only_you = Alignment(toy_alignment().words[1:], -9.0)
    ends = symbol_ends(toy_clip(), only_you)
    assert ends[3:] == (0.5, 0.6, 0.7, 1.0) and 0 < ends[0] < ends[1] < ends[2] <= 0.5


def test_the_path_reads_each_symbol_while_it_is_spoken():
    clip = replace(toy_clip(), symbol_ends=(0.2, 0.3, 0.5, 0.5, 0.6, 0.7, 1.0))
    path = reading_path(clip, 0.01)
    assert len(path) == 100 and bool((path.diff() > 0).all())
    assert path[25].floor() == 1 and path[40].floor() == 2 and path[55].floor() == 4 and path[90].floor() == 6
    assert reading_path(toy_clip(), 0.01).isnan().all()


def test_guidance_follows_the_path_and_falls_back_to_the_diagonal():
    clip = replace(toy_clip(), symbol_ends=(0.6, 0.7, 0.75, 0.78, 0.8, 0.85, 1.0))  # far from the diagonal
    path = reading_path(clip, 0.01)[None]
    lengths = torch.tensor([8]), torch.tensor([100])
    attended = torch.zeros(1, 8, 100)
    attended[0, path[0].long().clamp_max(6), torch.arange(100)] = 1
    along = guided_attention_loss(attended, *lengths, 0.1, path, 1.0)
    diagonal = guided_attention_loss(attended, *lengths, 0.1)
    assert float(along) < 0.15 < 0.5 * float(diagonal)
    unknown = torch.full_like(path, torch.nan)
    torch.testing.assert_close(guided_attention_loss(attended, *lengths, 0.1, unknown, 1.0), diagonal)
    # A wider band forgives more, and each frame has its own path: half known, the loss lies between.
    assert guided_attention_loss(attended, *lengths, 0.1, path, 3.0) < along
    half = torch.where(torch.arange(100)[None] < 50, path, unknown)
    assert along < guided_attention_loss(attended, *lengths, 0.1, half, 1.0) < diagonal


def guided_loss(capsys):
    """What the progress line said of it at the first step."""
    return float(re.search(r"step 1/.*guided ([\d.]+)", capsys.readouterr().err)[1])


def test_training_follows_the_paths_where_there_are_some(trained, tmp_path, capsys):
    aligned = ["stages=[acoustic]", "trainer.acoustic.guided_attention=aligned", *steps(2)]
    runs = {name: tmp_path / name for name in ("diagonal", "aligned")}
    for run in runs.values():
        shutil.copytree(trained / "data", run / "data")
        shutil.copy(trained / "recipe.yaml", run)
    assert main(["train", f"recipe={runs['aligned']}", *aligned]) == 2
    assert "no clip was aligned when the corpus was prepared" in capsys.readouterr().err
    manifest = runs["aligned"] / "data/manifest.jsonl"
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    for line in lines:  # everything is said in the first tenth: far from the diagonal
        n_symbols = len(line["symbols"]) - 1
        line["symbol_ends"] = [0.1 * line["seconds"] * (i + 1) / n_symbols for i in range(n_symbols)]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["train", f"recipe={runs['aligned']}", *aligned]) == 0
    off_path = guided_loss(capsys)
    assert main(["train", f"recipe={runs['diagonal']}", "stages=[acoustic]", *steps(2)]) == 0
    assert off_path > 1.2 * guided_loss(capsys)


def test_damaged_alignments_are_as_good_as_none(tmp_path):
    task = replace_words(aligning.AlignTask(tmp_path / "e", 8000, (), tmp_path / "alignments/x.json"))
    task.kept.parent.mkdir()
    for content in ("", "{", json.dumps({"score": 1}), json.dumps({"score": 1, "words": []})):
        task.kept.write_text(content)
        assert aligning.read_alignment(task) is None
    task.kept.write_text("null")
    assert aligning.read_alignment(task) == (None,)
