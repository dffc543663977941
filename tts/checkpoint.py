"""What a voice on disk holds, and loading it with a clear refusal.

A run folder holds `acoustic/best.safetensors`, `acoustic/last.safetensors`, the same for the vocoder, and in `gta/` for
the vocoder fine-tuned on what the acoustic model makes. Each is complete in itself: averaged weights, the resolved
recipe, the tables of symbols and speakers, and facts (steps, alignment, lengths seen in training). Loading executes
nothing. Training states (`last.ckpt`) lie beside them and are only for resuming.

A voice to give away (`tts.voice` writes it) holds `acoustic.safetensors` and `vocoder.safetensors`, `voice.yaml`, and
`checksums.txt`, by which every file is checked before it is used.
"""

import hashlib
import importlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from tts.atomic import write_atomically, write_failure
from tts.config import read_yaml, recipe_from_yaml, to_yaml
from tts.errors import CheckpointError, ConfigError
from tts.interfaces import AcousticModel, Vocoder
from tts.runs import VOICE_FILE
from tts.settings import Recipe
from tts.speakers import ONE_SPEAKER

FORMAT = "tts-half-1"
VOICE_FORMAT = "tts-voice-1"
CHECKSUMS = "checksums.txt"  # as sha256sum writes and checks them
Kind = Literal["acoustic", "vocoder"]
Model = TypeVar("Model", bound=nn.Module)


class Stored(NamedTuple):
    """One half of a voice as it lies on the disk."""

    path: Path
    recipe: Recipe
    symbols: tuple[str, ...]  # index = id; empty for a vocoder
    speakers: tuple[str, ...]  # index = id
    facts: Mapping[str, Any]
    weights: dict[str, Tensor]


@dataclass(frozen=True)
class Half(Generic[Model]):
    """One half of a voice, as loaded."""

    path: Path
    recipe: Recipe
    symbols: tuple[str, ...]  # index = id; empty for a vocoder
    speakers: tuple[str, ...]  # index = id; one without a name where the corpus named none
    facts: Mapping[str, Any]
    model: Model


def build_acoustic(recipe: Recipe, n_symbols: int, n_speakers: int = 1) -> AcousticModel:
    """The recipe's acoustic model with fresh weights."""
    model: AcousticModel = importlib.import_module(f"tts.acoustic.{recipe.acoustic.name}").build(
        recipe.acoustic,
        n_symbols=n_symbols,
        n_mels=recipe.audio.n_mels,
        max_reduction=max(recipe.trainer.acoustic.reduction.values()),
        silence=math.log(recipe.audio.log_floor),
        n_speakers=n_speakers,
    )
    return model


def build_vocoder(recipe: Recipe) -> Vocoder:
    """The recipe's vocoder with fresh weights."""
    model: Vocoder = importlib.import_module(f"tts.vocoder.{recipe.vocoder.name}").build(
        recipe.vocoder, audio=recipe.audio
    )
    return model


def save_half(
    path: Path,
    kind: Kind,
    weights: Mapping[str, Tensor],
    recipe: Recipe,
    *,
    symbols: tuple[str, ...] = (),
    speakers: tuple[str, ...] = ONE_SPEAKER,
    facts: Mapping[str, Any],
) -> None:
    """Write one half, whole or not at all."""
    metadata = {
        "format": FORMAT,
        "kind": kind,
        "recipe": to_yaml(recipe),
        "symbols": json.dumps(symbols),
        "speakers": json.dumps(speakers),
        "facts": json.dumps(facts),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}
    try:
        write_atomically(path, save(tensors, metadata))
    except OSError as error:
        raise CheckpointError(write_failure(path, error)) from None


def find_half(voice: Path, kind: Kind) -> Path | None:
    """The file of a half that speaks for a voice folder or a run folder: the vocoder fine-tuned, where that is better.

    Raises:
        CheckpointError: if it is a voice folder whose files are not as they were written.
    """
    tuned = voice / "gta" / "best.safetensors"
    return tuned if kind == "vocoder" and tuned.is_file() else find_trained(voice, kind)


def find_trained(voice: Path, kind: Kind) -> Path | None:
    """The file of a half as its own stage trained it: in a run the best one, or else the last one; raises as above."""
    if is_voice(voice):
        check_voice(voice)
        places = [voice / f"{kind}.safetensors"]
    else:
        places = [voice / kind / f"{name}.safetensors" for name in ("best", "last")]
    return next((path for path in places if path.is_file()), None)


def is_voice(folder: Path) -> bool:
    """Whether a folder is a voice to give away, and not a run."""
    return (folder / VOICE_FILE).is_file()


def check_voice(folder: Path) -> None:
    """Refuse a voice folder of an unknown format, or whose files are not as they were written.

    Raises:
        CheckpointError: naming the file and the way out.
    """
    try:
        written = str(read_yaml(folder / VOICE_FILE).get("format"))
    except ConfigError as error:
        raise CheckpointError(f"{folder / VOICE_FILE} cannot be read ({error}); get the voice again") from None
    if written != VOICE_FORMAT:
        raise CheckpointError(
            f"{folder} is a voice of format {written}, and this program reads {VOICE_FORMAT}; install a newer program, "
            "or export the voice again from its run"
        )
    sums = read_checksums(folder)
    for name in sorted({VOICE_FILE, "acoustic.safetensors"} - sums.keys()):
        raise CheckpointError(f"{folder / CHECKSUMS} does not list {name}; get the voice again")
    for name, expected in sums.items():
        path = folder / name
        if not path.is_file():
            raise CheckpointError(f"{path} is missing; get the voice again")
        if file_hash(path) != expected:
            raise CheckpointError(
                f"{path} is not the file that was exported (its checksum differs); get the voice again, or export it "
                "from its run"
            )
    for path in folder.glob("*.safetensors"):
        if path.name not in sums:
            raise CheckpointError(f"{path} does not belong to this voice: {CHECKSUMS} does not list it; remove it")


def read_checksums(folder: Path) -> dict[str, str]:
    """File name -> SHA-256 in hex. Raises CheckpointError."""
    path = folder / CHECKSUMS
    try:
        lines = [line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); get the voice again") from None
    if not all(len(line) == 2 and "/" not in line[1] for line in lines):
        raise CheckpointError(f"{path} is damaged: a checksum and a file name belong on each line; get the voice again")
    return {name.strip(): digest for digest, name in lines}


def file_hash(path: Path) -> str:
    """SHA-256 of a file in hex."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def load_acoustic(path: Path) -> Half[AcousticModel]:
    """Load an acoustic model, ready to speak.

    Raises:
        CheckpointError: if the file is missing, damaged, foreign or of the other half.
    """
    half = read_half(path, "acoustic")
    model = build_acoustic(half.recipe, len(half.symbols), len(half.speakers))
    _fill(model, half.weights, path)
    model.reduction = int(half.facts["reduction"])
    model.frames_heard = float(half.facts["frames_heard"])
    return Half(path, half.recipe, half.symbols, half.speakers, half.facts, model.eval())


def load_vocoder(path: Path) -> Half[Vocoder]:
    """Load a vocoder, ready to speak. Raises CheckpointError as `load_acoustic` does."""
    half = read_half(path, "vocoder")
    model = build_vocoder(half.recipe)
    _fill(model, half.weights, path)
    return Half(path, half.recipe, half.symbols, half.speakers, half.facts, model.eval())


def read_facts(path: Path) -> dict[str, Any]:
    """The facts of a half without its weights."""
    facts: dict[str, Any] = json.loads(_metadata(path)["facts"])
    return facts


def read_speakers(path: Path) -> tuple[str, ...]:
    """The table of speakers of a half without its weights."""
    return _speakers(_metadata(path))


def read_kind(path: Path) -> str:
    """Which half a file holds."""
    return _metadata(path)["kind"]


def read_half_recipe(path: Path) -> Recipe:
    """The recipe that a half was trained with."""
    return recipe_from_yaml(_metadata(path)["recipe"], str(path))


def _metadata(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise CheckpointError(
            f"there is no checkpoint {path}; train it first: python train.py recipe={path.parents[1]}"
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is damaged or no safetensors file ({error}); copy it again or train on"
        ) from None
    if metadata.get("format") != FORMAT:
        said = metadata.get("format", "none")
        raise CheckpointError(f"{path} was not written by this program (format {said}, expected {FORMAT})")
    return metadata


def _speakers(metadata: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(json.loads(metadata["speakers"])) if "speakers" in metadata else ONE_SPEAKER


def read_half(path: Path, kind: Kind) -> Stored:
    """Read one half without building its model. Raises CheckpointError as `load_acoustic` does."""
    metadata = _metadata(path)
    if metadata["kind"] != kind:
        raise CheckpointError(f"{path} holds the half {metadata['kind']}, not {kind}: the folders were mixed up")
    try:
        recipe = recipe_from_yaml(metadata["recipe"], str(path))
    except ConfigError as error:
        raise CheckpointError(f"{path} is of another version of this program: {error}") from None
    with safe_open(path, framework="pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    symbols, facts = tuple(json.loads(metadata["symbols"])), json.loads(metadata["facts"])
    return Stored(path, recipe, symbols, _speakers(metadata), facts, weights)


def _fill(model: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        detail = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"the weights in {path} do not fit its own recipe: {detail}") from None


def save_training_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a training state, whole or not at all."""
    buffer = io.BytesIO()  # torch reports a full disk as an error of its own that does not say so
    torch.save(dict(state), buffer)
    try:
        write_atomically(path, buffer.getbuffer())
    except OSError as error:
        raise CheckpointError(f"{write_failure(path, error)}; then go on with the run") from None
