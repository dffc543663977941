"""Recipes: every one loads, every wrong key or value complains with the nearest key and its file."""

import subprocess
import sys
from pathlib import Path

import pytest

from tts.config import (
    component_names,
    differences,
    load_recipe,
    recipe_from_yaml,
    recipe_summary,
    to_yaml,
    yaml_files,
)
from tts.errors import ConfigError
from tts.runs import plan_run, write_recipe
from tts.settings import AudioConfig

ROOT = Path(__file__).parents[1]
RECIPES = [path for _, path in sorted(yaml_files("recipes").items())]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_loads_and_its_resolved_form_repeats_it(path):
    recipe = load_recipe(path.stem)
    assert recipe_summary(path)
    assert recipe_from_yaml(to_yaml(recipe), "again") == recipe


@pytest.mark.parametrize(
    "part", sorted((ROOT / "configs").glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_every_part_loads(part):
    load_recipe("ljspeech_small", [f"{part.parent.name}={part.stem}"])


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("audoi.n_mels=1", "audio"),
        ("audio.n_mel=1", "audio.n_mels"),
        ("acoustic.atention.dim=3", "acoustic.attention"),
        ("acoustic.attention.dimm=3", "acoustic.attention.dim"),
        ("vocoder.n_layer=3", "vocoder.n_layers"),
        ("trainer.acoustic.max_step=3", "trainer.acoustic.max_steps"),
        ("data.rot=3", "data.root"),
    ],
)
def test_each_wrong_key_complains(path, key, nearest):
    with pytest.raises(ConfigError, match=rf"command line: unknown key .*did you mean {nearest}\?"):
        load_recipe(path.stem, [key])


def test_several_problems_are_reported_at_once_with_their_files(tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("parts: {audio: 16khz}\naudio: {n_mels: many, hop: 3}\ndata: {corpus: own}\n")
    with pytest.raises(ConfigError) as caught:
        load_recipe(str(recipe), ["trainer.acoustic.max_steps=3.5", "acoustic.name=tacotron3", "stages=[prepar]"])
    message = str(caught.value)
    for part in (
        f"{recipe}: audio.n_mels='many' should be a whole number",
        f"{recipe}: unknown key audio.hop; did you mean audio.hop_length?",
        "command line: trainer.acoustic.max_steps=3.5 should be a whole number",
        "command line: acoustic.name: no 'tacotron3' in tts/acoustic; did you mean tacotron2?",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("audio.hop_length=2000", "hop_length must be smaller than n_fft"),
        ("audio.mel_scale=slany", "one of slaney, htk; did you mean slaney"),
        ("trainer.acoustic.reduction={100: 2}", "needs an entry for step 0"),
        ("data.allow_missing=perhaps", "true or false"),
        ("text=charcters", "did you mean characters"),
        ("trainer.acoustic.reduction=nothing", "a mapping"),
        ("text.style=french", "one of us, uk"),
        ("nonsense", "not of the form key=value"),
        ("audio.n_mels=[", "cannot read"),
    ],
)
def test_each_bad_value_says_what_is_expected(override, expected):
    with pytest.raises(ConfigError, match=expected):
        load_recipe("demo", [override])


def test_unknown_recipe_names_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown recipe 'lj_speech'; did you mean ljspeech\? \(there is: .*demo"):
        load_recipe("lj_speech")


def test_another_attention_leaves_the_keys_of_the_first_behind(tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("data: {corpus: own}\nacoustic: {attention: {name: location_sensitive, n_filters: 8, dim: 24}}\n")
    assert load_recipe(str(recipe)).acoustic.attention.n_filters == 8
    swapped = load_recipe(str(recipe), ["acoustic.attention.name=dynamic_convolution"])
    assert swapped.acoustic.attention.name == "dynamic_convolution"
    assert swapped.acoustic.attention.dim == 24


def test_a_part_can_be_swapped_on_the_command_line():
    assert load_recipe("demo", ["text=characters"]).text.units == "characters"
    audio = load_recipe("ljspeech", ["audio=16khz", "audio.n_mels=40"]).audio
    assert (audio.sample_rate, audio.n_mels) == (16000, 40)


def test_a_reduction_plan_replaces_the_recipes():
    assert load_recipe("demo", ["trainer.acoustic.reduction={0: 3}"]).trainer.acoustic.reduction == {0: 3}


def test_the_fingerprint_changes_with_every_field():
    contract = AudioConfig()
    changed = [
        ("sample_rate", 24000), ("n_fft", 2048), ("win_length", 512), ("hop_length", 200), ("n_mels", 81),
        ("f_min", 1.0), ("f_max", 7000.0), ("power", 2.0), ("mel_scale", "htk"), ("mel_norm", "none"),
        ("log_floor", 1e-4), ("loudness", -20.0),
    ]  # fmt: skip
    prints = {AudioConfig(**{name: value}).fingerprint for name, value in changed}
    assert len(prints | {contract.fingerprint}) == len(changed) + 1
    assert contract.difference(AudioConfig(hop_length=200)) == "hop_length 256 != 200"


def test_a_swapped_part_replaces_its_section_also_in_a_stored_recipe():
    stored = load_recipe("ljspeech", ["acoustic.encoder_dim=100", "text.units=characters"])
    again = recipe_from_yaml(to_yaml(stored), "stored", ["text=phonemes", "trainer=demo", "data.held_out=3"])
    assert again.text.units == "phonemes"
    assert again.trainer == load_recipe("demo").trainer
    assert again.acoustic.encoder_dim == 100
    assert again.data.held_out == 3


def test_a_typo_is_not_taken_for_a_key_of_a_replaced_component(tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("data: {corpus: own}\nacoustic: {attention: {name: location_sensitive, filtres: 8}}\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml: unknown key acoustic\.attention\.filtres"):
        load_recipe(str(recipe), ["acoustic.attention.name=dynamic_convolution"])


@pytest.mark.parametrize(
    "override",
    ["text", "=3", "data=own", "stages=[]", "trainer.accelerator=gppu", "trainer.acoustic.decay_halving=0",
     "trainer.acoustic.batch_size=0", "trainer.vocoder.segment_frames=0", "data.workers=-1", "audio.n_mels=0",
     "trainer.vocoder.learning_rate=-1", "trainer.vocoder.learning_rate=.nan", "vocoder.n_layers=30"],
)  # fmt: skip
def test_what_would_fail_later_fails_now(override):
    with pytest.raises(ConfigError):
        load_recipe("demo", [override])


@pytest.mark.parametrize("parts", ["", "[audio]", "{sound: 16khz}"])
def test_odd_parts(tmp_path, parts):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(f"data: {{corpus: own}}\nparts: {parts}\n")
    if parts:
        with pytest.raises(ConfigError, match=r"mine\.yaml: (parts must|unknown part 'sound')"):
            load_recipe(str(recipe))
    else:
        assert load_recipe(str(recipe)).audio == AudioConfig()


def test_the_working_folder_adds_recipes_and_parts_and_hides_none(tmp_path, monkeypatch):
    (tmp_path / "recipes").mkdir()
    (tmp_path / "configs" / "audio").mkdir(parents=True)
    (tmp_path / "configs" / "audio" / "8khz.yaml").write_text("sample_rate: 8000\nf_max: 4000\n")
    (tmp_path / "recipes" / "mine.yaml").write_text("parts: {audio: 8khz, text: phonemes}\ndata: {corpus: own}\n")
    (tmp_path / "own").mkdir()  # a folder of a recipe's name is no run
    monkeypatch.chdir(tmp_path)
    assert load_recipe("mine").audio.sample_rate == 8000
    assert plan_run("own", []).recipe.data.corpus == "own"


def trained(run, half):
    (run / half).mkdir(parents=True, exist_ok=True)
    (run / half / "last.ckpt").touch()


def test_a_run_goes_on_only_as_what_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = plan_run("demo", [])
    assert (plan.run, plan.resumed) == (Path("runs/demo"), False)
    assert not Path("runs").exists()
    write_recipe(plan.stored, plan.run)
    assert plan_run("demo", ["data.max_bad_share=0.5", "audio.n_mels=40"]).resumed  # nothing is trained yet
    trained(plan.run, "acoustic")
    again = plan_run("runs/demo", ["trainer.acoustic.max_steps=7", "vocoder.n_layers=12", "vocoder.n_cycles=2"])
    assert again.resumed
    assert again.recipe.trainer.acoustic.max_steps == 7
    trained(plan.run, "vocoder")
    for change in ("audio.n_mels=40", "vocoder.skip_channels=12", "text=characters", "data.trim_db=30"):
        key = "text.units" if change == "text=characters" else change.partition("=")[0]
        with pytest.raises(ConfigError, match=rf"runs/demo holds a run with another {key}; .*run="):
            plan_run("demo", [change])
    with pytest.raises(ConfigError, match=r"trainer\.acoustic\.reduction"):
        plan_run("runs/demo", ["trainer.acoustic.reduction={0: 5}"])
    assert plan_run("runs/demo", ["trainer.acoustic.max_minutes=90", "data.root=elsewhere"]).resumed
    repeated = plan_run("runs/demo/recipe.yaml", [])
    assert (repeated.run, repeated.resumed) == (Path("runs/demo-2"), False)
    assert differences(repeated.recipe, plan.recipe) == []


def test_the_stored_recipe_keeps_all_stages(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = plan_run("demo", ["stages=[prepare]"])
    assert plan.recipe.stages == ["prepare"]
    assert plan.stored.stages == ["prepare", "acoustic", "vocoder"]


def test_components_are_the_files_of_their_folder():
    assert {"location_sensitive", "dynamic_convolution"} <= set(component_names("tts.acoustic.attention"))
    assert {"wavenet", "griffin_lim", "hifigan"} == set(component_names("tts.vocoder"))
    assert component_names("tts.acoustic") == ["tacotron2"]


def test_recipes_are_listed_without_torch():
    code = "import sys; from tts.cli import main; main(['train']); assert 'torch' not in sys.modules"
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    for path in RECIPES:
        assert path.stem in listed


def test_steps_of_a_frontend_that_is_gone_are_dropped_from_old_recipes():
    """Recipes stored by older versions name them; the reader does all that they did."""
    old = to_yaml(load_recipe("kathleen_small")).replace(
        "text:\n", "text:\n  steps:\n  - plain_punctuation\n  - expand_numbers\n"
    )
    assert "expand_numbers" in old
    assert recipe_from_yaml(old, "a checkpoint") == load_recipe("kathleen_small")
    with pytest.raises(ConfigError, match=r"a checkpoint: unknown key text\.steps"):
        recipe_from_yaml(old.replace("expand_numbers", "something_else"), "a checkpoint")
