"""The house stays in order: imports point down, lightning lives in one package, starting is quick."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TTS = ROOT / "tts"

# From the ground up. A module may import from its own level and from those before it.
LEVELS = [
    {"errors", "atomic", "progress", "parallel", "native", "speaking_command", "ranks"},
    {"settings", "speakers"},
    {"config", "layers", "losses", "batch", "interfaces", "alignment", "failures", "word_times", "variance"},
    {"audio", "text"},
    {"corpora", "data", "acoustic", "vocoder", "explain"},
    {"checkpoint", "runs", "voice"},
    {"decoding"},
    {"synthesis"},
    {"training", "evaluation", "server"},
    {
        "arguments",
        "cli",
        "cli_audit",
        "cli_cache",
        "cli_dictate",
        "cli_download",
        "cli_evaluation",
        "cli_fetch",
        "cli_synthesis",
        "cli_text",
        "cli_voice",
    },
    {"__main__"},
]
LEVEL = {name: number for number, names in enumerate(LEVELS) for name in names}
FILES = sorted(path for path in TTS.rglob("*.py") if path != TTS / "__init__.py")


def part_of(path: Path) -> str:
    return path.relative_to(TTS).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TTS)))
def test_imports_point_down(path):
    mine = LEVEL[part_of(path)]
    for name in imported(path):
        if name.startswith("tts."):
            assert LEVEL[name.split(".")[1]] <= mine, f"{path.name} imports {name}"


def test_lightning_is_seen_in_training_only():
    seen = {part_of(path) for path in FILES if any(n.split(".")[0] == "lightning" for n in imported(path))}
    assert seen == {"training"}


def test_only_config_knows_omegaconf():
    assert [p.name for p in FILES if any(n.split(".")[0] == "omegaconf" for n in imported(p))] == ["config.py"]


def python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout.strip()


def test_synthesis_never_imports_lightning():
    assert python("import sys, tts.synthesis; print('lightning' in sys.modules)") == "False"


def test_nothing_heavy_is_imported_by_the_package_or_by_help():
    heavy = "{'torch', 'numba', 'torchaudio', 'lightning', 'nltk', 'matplotlib', 'omegaconf'}"
    assert python(f"import sys, tts; print({heavy} & set(sys.modules))") == "set()"
    code = f"import sys; from tts.cli import main; main(['synthesize', '--help']); print({heavy} & set(sys.modules))"
    assert python(code).splitlines()[-1] == "set()"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TTS)))
def test_a_file_is_a_sitting(path):
    assert len(path.read_text().splitlines()) <= 420
