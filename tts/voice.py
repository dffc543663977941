"""A voice to give away: a folder that speaks without the run that it came from.

    acoustic.safetensors   averaged weights, with the recipe, the tables and the facts of that half in its header
    vocoder.safetensors    the same; absent where the run has none, and Griffin-Lim speaks
    voice.yaml             for people and other programs: the format, the recipe, symbols, speakers, versions, facts
    lexicon.tsv            where the voice has one of its own
    MODEL_CARD.md          what it is, learned from whom, how good; may be edited
    checksums.txt          of all others, as `sha256sum -c` checks them

Nothing in it is executed when it is loaded (`tts.checkpoint`).
"""

from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from tts.atomic import write_atomically, write_failure
from tts.checkpoint import (
    CHECKSUMS,
    VOICE_FORMAT,
    Kind,
    Stored,
    file_hash,
    find_half,
    read_half,
    save_half,
)
from tts.config import facts_to_yaml, to_yaml
from tts.errors import CheckpointError, ConfigError
from tts.runs import VOICE_FILE, read_recipe
from tts.settings import Recipe
from tts.text.lexicon import KEPT as LEXICON
from tts.text.reader import VERSION as READER_VERSION
from tts.text.symbols import VERSION as SYMBOLS_VERSION

MODEL_CARD = "MODEL_CARD.md"
MOST_BYTES = 30_000_000  # a voice to give away is small; a larger one is told about
Precision = Literal["fp16", "fp32"]


class Halves(NamedTuple):
    """What a voice is made of."""

    acoustic: Stored
    vocoder: Stored | None


def read_halves(run: Path, vocoder: Path | None = None) -> Halves:
    """The halves that speak for a run, or the vocoder of another one.

    Raises:
        CheckpointError: if one is missing or damaged, or the two disagree on what a mel is.
    """
    path = find_half(run, "acoustic")
    if path is None:
        raise CheckpointError(f"{run} holds no trained acoustic model; train it: python train.py recipe={run}")
    other = find_half(vocoder or run, "vocoder")
    if vocoder is not None and other is None:
        raise CheckpointError(f"{vocoder} holds no trained vocoder; train it: python train.py recipe={vocoder}")
    acoustic = read_half(path, "acoustic")
    if (run / "recipe.yaml").is_file():  # what it learned from may have been written down after it was trained
        acoustic = acoustic._replace(recipe=replace(acoustic.recipe, card=read_recipe(run).card))
    halves = Halves(acoustic, read_half(other, "vocoder") if other else None)
    if halves.vocoder and (difference := halves.acoustic.recipe.audio.difference(halves.vocoder.recipe.audio)):
        raise CheckpointError(f"{path} and {other} do not agree on what a mel is: {difference}")
    return halves


def write_voice(halves: Halves, lexicon: Path | None, card: str, folder: Path, precision: Precision) -> None:
    """Write a voice folder; the checksums come last, so that one that is not whole is refused.

    Args:
        lexicon: the voice's own.
        card: what MODEL_CARD.md says.
        precision: of the matrices; vectors (biases, norms, the mel's mean) stay as they are.

    Raises:
        ConfigError: if the folder holds something else than an older voice.
        CheckpointError: if it cannot be written.
    """
    _make_room(folder)
    names = [VOICE_FILE]
    kinds: dict[Kind, Stored | None] = {"acoustic": halves.acoustic, "vocoder": halves.vocoder}
    for kind, half in kinds.items():
        if half is not None:
            names.append(f"{kind}.safetensors")
            weights = {name: _stored(value, precision) for name, value in half.weights.items()}
            tables = {"symbols": half.symbols, "speakers": half.speakers}
            save_half(folder / names[-1], kind, weights, half.recipe, facts=half.facts, **tables)
    content = {VOICE_FILE: facts_to_yaml(_facts(halves, precision)).encode(), MODEL_CARD: card.encode()}
    if lexicon is not None:
        names.append(LEXICON)
        content[LEXICON] = lexicon.read_bytes()
    try:
        for name, text in content.items():
            write_atomically(folder / name, text)
        sums = "".join(f"{file_hash(folder / name)}  {name}\n" for name in sorted(names))
        write_atomically(folder / CHECKSUMS, sums.encode())
    except OSError as error:
        raise CheckpointError(write_failure(folder, error)) from None


def _make_room(folder: Path) -> None:
    """An empty folder, or one that an older voice may leave."""
    known = {VOICE_FILE, CHECKSUMS, MODEL_CARD, LEXICON, "acoustic.safetensors", "vocoder.safetensors"}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = {path.name for path in folder.iterdir()}
        if foreign := sorted(found - known):
            raise ConfigError(f"{folder} holds {foreign[0]}, which is no part of a voice; name a new folder")
        for name in [CHECKSUMS, *sorted(found - {CHECKSUMS})]:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise CheckpointError(write_failure(folder, error)) from None


def _stored(value: Tensor, precision: Precision) -> Tensor:
    whole = precision == "fp32" or value.dim() < 2 or value.dtype != torch.float32
    half = value if whole else value.half()
    if not bool(torch.isfinite(half).all()):
        raise CheckpointError("a weight is too large for fp16; export it with precision=fp32")
    return half


def _facts(halves: Halves, precision: Precision) -> dict[str, Any]:
    """The content of voice.yaml."""
    acoustic, vocoder = halves
    return {
        "format": VOICE_FORMAT,
        "precision": precision,
        "versions": {
            "tts": package_version("tts"),
            "torch": str(torch.__version__),
            "symbols": SYMBOLS_VERSION,
            "reader": READER_VERSION,
        },
        "mel_contract": acoustic.recipe.audio.fingerprint,
        "speakers": list(acoustic.speakers),
        "symbols": list(acoustic.symbols),
        "acoustic": _plain(acoustic.facts),
        "vocoder": _plain(vocoder.facts) if vocoder else {},
        "recipe": to_yaml(recipe_of(halves)),
    }


def recipe_of(halves: Halves) -> Recipe:
    """The recipe of the acoustic half, with what the vocoder's own says of the vocoder."""
    recipe = halves.acoustic.recipe
    if halves.vocoder is None:
        return recipe
    theirs = halves.vocoder.recipe
    return replace(recipe, vocoder=theirs.vocoder, trainer=replace(recipe.trainer, vocoder=theirs.trainer.vocoder))


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}


def package_version(name: str) -> str:
    """The version of a package, or that it is missing."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
