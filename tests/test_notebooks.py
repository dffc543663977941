"""Notebooks call tts and define nothing; every cell runs; what they showed is not stored."""

import ast
import json
from functools import partial
from pathlib import Path

import pytest

from tests.toy import write_corpus
from tts.cli import main

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def code_cells(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def succeed(command, arguments):
    assert command(arguments) == 0, arguments


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tts.cli.main", partial(succeed, main))
    write_corpus(tmp_path / "data" / "own")
    names = {}
    for cell in code_cells(path):
        exec(compile(cell, path.name, "exec"), names)
    assert (tmp_path / "notebook.wav").stat().st_size > 44


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_is_defined(path):
    for cell in code_cells(path):
        defined = (ast.FunctionDef, ast.ClassDef, ast.Lambda)
        assert not any(isinstance(node, defined) for node in ast.walk(ast.parse(cell)))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped(path):
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        assert cell.get("outputs", []) == [] and cell.get("execution_count") is None
