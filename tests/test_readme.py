"""Every command that the README shows does what it says, or at least means something to the program."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.test_hifigan import publish_for_the_toy_voice
from tests.toy import write_corpus
from tts.cli import main
from tts.runs import plan_run, write_recipe

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = [
    shlex.split(line, comments=True)
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]


def shown(*start):
    found = [command for command in COMMANDS if command[: len(start)] == list(start)]
    assert found
    return [pytest.param(command[len(start) :], id=" ".join(command)) for command in found]


@pytest.mark.parametrize("arguments", shown("make"))
def test_make_knows_the_target(arguments):
    target = [argument for argument in arguments if re.fullmatch("[a-z]+", argument)][:1]
    subprocess.run(["make", "--dry-run", *target], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("arguments", shown("python", "train.py"))
def test_training_commands_name_a_recipe_and_known_keys(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = dict(argument.split("=", 1) for argument in arguments)
    recipe, run = options.pop("recipe"), options.pop("run", "")
    plan = plan_run(recipe, [f"{key}={value}" for key, value in options.items()], run)
    write_recipe(plan.recipe, plan.run)
    assert plan_run(str(plan.run), []).resumed


@pytest.mark.parametrize("arguments", shown("python", "synthesize.py"))
def test_speaking_commands_speak(arguments, trained, tmp_path, monkeypatch, capfdbinary):
    monkeypatch.chdir(tmp_path)
    arguments = arguments[: arguments.index("|")] if "|" in arguments else arguments
    checkpoint = next((a.split("=")[1] for a in arguments if a.startswith("checkpoint=")), "")
    if checkpoint:
        publish_for_the_toy_voice((tmp_path / checkpoint).parent, Path(checkpoint).name)
    shutil.copy(ROOT / "README.md", tmp_path)
    named = next((a.split("=")[1] for a in arguments if a.startswith("voice=")), "runs/newest")
    shutil.copytree(trained, tmp_path / named)
    if "file=README.md" in arguments:  # all of it would take minutes
        (tmp_path / "README.md").write_text(README.splitlines()[0])
    assert main(["synthesize", *arguments]) == 0
    out = next((a.split("=")[1] for a in arguments if a.startswith("out=")), "speech.wav")
    assert capfdbinary.readouterr().out.startswith(b"RIFF") if out == "-" else (tmp_path / out).is_file()


@pytest.mark.parametrize("arguments", shown("python", "-m", "tts"))
def test_judging_commands_judge(arguments, evaluated_runs, monkeypatch, capsys):
    monkeypatch.chdir(evaluated_runs)
    command, *rest = arguments
    if command == "evaluate":
        quick = ["sentences=1", "hard=false", "tries=1", "workers=1", "baselines=real", "out=out"]
        assert main(["evaluate", *rest, *quick]) == (1 if "gate" in " ".join(rest) else 0)
    elif command == "listen":
        served = []
        monkeypatch.setattr("tts.evaluation.listening_server.serve", lambda runs, **options: served.extend(runs))
        assert main(["listen", *rest]) == 0 and len(served) == 2
    elif command == "download" and rest:  # what there is to fetch is listed
        assert main(["download"]) == 0 and rest[0] in capsys.readouterr().out
    elif command == "audit":
        if not (evaluated_runs / "data").exists():
            write_corpus(evaluated_runs / "data" / "own")
        assert main(["audit", *rest, "cost=false"]) == 1, "tones are no speech"
        assert "data/own" in capsys.readouterr().out
    else:
        (evaluated_runs / "story.txt").write_text("Once there was a zorb.")
        assert main([command, *rest]) == 0


@pytest.fixture(scope="module")
def evaluated_runs(trained, tmp_path_factory):
    """A folder with runs/demo and runs/other."""
    folder = tmp_path_factory.mktemp("readme")
    for name in ("demo", "other"):
        shutil.copytree(trained, folder / "runs" / name)
    return folder


def test_no_placeholder_is_left():
    assert "RESULTS" not in README


def test_what_the_readme_links_to_is_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
    for path in re.findall(r"^    ([a-z_./]+(?:, [a-z_./]+)*)\s{2,}", README, re.MULTILINE):
        for name in path.split(", "):
            assert (ROOT / name).exists(), name
