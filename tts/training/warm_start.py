"""Start a training from the weights of another voice (`init_from=`): minutes of speech can then make a voice.

Symbols, speakers and the frames of a decoder step are mapped by name; every other tensor is taken where its shape
agrees, and the rest begins at random. The old voice's mel scaler is taken too, in place of the new corpus' statistics:
the weights know mels as it normalised them, so the first outputs are right, and the mel contract, which the two must
share, has brought both to one loudness. The optimizer, the step and the averaged weights begin anew.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tts.checkpoint import Kind, Stored, build_acoustic, build_vocoder, find_half, find_trained, read_half, read_kind
from tts.config import differences
from tts.data.manifest import name_some
from tts.errors import CheckpointError, ConfigError, nearest
from tts.interfaces import AcousticModel, Rows
from tts.runs import RUNS
from tts.settings import Recipe
from tts.speakers import ONE_SPEAKER, list_speakers

Say = Callable[[str], None]
Pairs = list[tuple[int, int]]  # places of a row here and there


class Starts(NamedTuple):
    """What each half begins with; None: at random, or where it stood."""

    acoustic: Stored | None = None
    vocoder: Stored | None = None


class Taken(NamedTuple):
    """A tensor of the new model, and how many of its rows and entries come from the old one."""

    name: str
    value: Tensor
    rows: int = 0
    entries: int = 0

    @property
    def in_part(self) -> bool:
        """Whether some rows are new and some are not."""
        return 0 < self.entries < self.value.numel()


class Tables(NamedTuple):
    """What the rows of the new model stand for."""

    symbols: tuple[str, ...] = ()
    speakers: tuple[str, ...] = ONE_SPEAKER


def find_starts(recipe: Recipe, run: Path, symbols: tuple[str, ...], say: Say) -> Starts:
    """The halves of `init_from` for those stages that have not begun; what cannot serve is refused at once.

    Raises:
        ConfigError: if `init_from` names nothing.
        CheckpointError: if nothing of it is trained, it is of another mel contract, or nothing of it fits.
    """
    if not recipe.init_from:
        return Starts()
    kinds: list[Kind] = [kind for kind in _trainable(recipe) if not (run / kind / "last.ckpt").is_file()]
    if not kinds:
        return Starts()
    found = _find(Path(recipe.init_from))
    if not any(kind in found for kind in kinds):
        raise CheckpointError(f"init_from={recipe.init_from} holds no trained half for {', '.join(kinds)}")
    starts: dict[Kind, Stored] = {}
    for kind in kinds:
        if kind not in found:
            say(f"{kind}: init_from={recipe.init_from} has none, so it begins at random")
            continue
        half = starts[kind] = read_half(found[kind], kind)
        _check_contract(recipe, half)
        model = build_acoustic(recipe, len(symbols)) if kind == "acoustic" else build_vocoder(recipe)
        _check_fit(_take_all(model, half, Tables(symbols)), recipe, half, kind)
        if kind == "acoustic":
            _compare_pace(recipe, half, say)
    return Starts(**starts)


def take_over(
    model: nn.Module, old: Stored, symbols: tuple[str, ...] = (), speakers: tuple[str, ...] = ONE_SPEAKER
) -> str:
    """Put what fits of an old half into a new model; returns what was taken, as a table.

    Speakers that the old voice did not know start from the mean of those it did.

    Raises:
        CheckpointError: if the old voice tells speakers apart and the new model has no place for them.
    """
    tables = Tables(symbols, speakers)
    lost = [name for name, what in _rows_of(model).items() if what == "speakers" and name not in model.state_dict()]
    if any(name in old.weights for name in lost):
        raise CheckpointError(
            f"init_from: {old.path} tells the speakers {list_speakers(old.speakers)} apart, and this corpus has one; "
            "keep a vector for it: acoustic.speaker_vectors=always"
        )
    taken = _take_all(model, old, tables)
    model.load_state_dict({item.name: item.value for item in taken})
    return "\n".join(_report(model, old, taken, tables))


def _trainable(recipe: Recipe) -> list[Kind]:
    kinds: list[Kind] = ["acoustic"] if "acoustic" in recipe.stages else []
    return [*kinds, "vocoder"] if "vocoder" in recipe.stages and build_vocoder(recipe).trainable else kinds


def _find(source: Path) -> dict[Kind, Path]:
    """The files of the halves in a run folder, or the one file."""
    if source.is_file():
        kind: Kind = "acoustic" if read_kind(source) == "acoustic" else "vocoder"
        return {kind: source}
    if not source.is_dir():
        runs = [str(folder) for folder in RUNS.glob("*")]
        raise ConfigError(f"init_from={source}: there is no such run folder or checkpoint{nearest(str(source), runs)}")
    kinds: tuple[Kind, ...] = ("acoustic", "vocoder")
    return {kind: path for kind in kinds if (path := find_trained(source, kind) or find_half(source, kind))}


def _check_contract(recipe: Recipe, old: Stored) -> None:
    theirs = old.recipe.audio
    if difference := recipe.audio.difference(theirs):
        keys = " ".join(f"audio.{key}={getattr(theirs, key)}" for key in _differing(recipe, old, "audio"))
        raise CheckpointError(
            f"init_from: {old.path} was trained on another mel than this recipe's: {difference}; take its own: {keys}"
        )


def _check_fit(taken: Sequence[Taken], recipe: Recipe, old: Stored, kind: Kind) -> None:
    """Refuse a half of which nothing fits; what is no matrix (a bias, the scaler) is nothing by itself."""
    if not any(item.entries for item in taken if item.value.dim() > 1):
        keys = [f"{kind}.{key}" for key in _differing(recipe, old, kind)]
        raise CheckpointError(
            f"init_from: nothing of {old.path} fits this recipe's {kind} half; they differ in {name_some(keys, 8)}. "
            "Take those of the voice, or init_from=FILE for the other half alone"
        )


def _differing(recipe: Recipe, old: Stored, section: str) -> list[str]:
    return differences(getattr(recipe, section), getattr(old.recipe, section))


def _compare_pace(recipe: Recipe, old: Stored, say: Say) -> None:
    before, now = int(old.facts["reduction"]), recipe.trainer.acoustic.reduction_at(0)
    if before != now:
        say(
            f"acoustic: {old.path} speaks {before} frames a decoder step and this run begins with {now}; "
            f"to go on as it was: trainer.acoustic.reduction='{{0: {before}}}'"
        )
    heard, hears = float(old.facts["frames_heard"]), recipe.trainer.acoustic.frames_heard_at(0)
    if heard != hears:
        say(
            f"acoustic: in {old.path} {heard:.0%} of the utterances hear the frames before, in this run {hears:.0%} at "
            f"first; to go on as it was: trainer.acoustic.frames_heard='{{0: {heard:g}}}'"
        )


def _rows_of(model: nn.Module) -> dict[str, Rows]:
    return model.rows if isinstance(model, AcousticModel) else {}


def _take_all(model: nn.Module, old: Stored, tables: Tables) -> list[Taken]:
    rows = _rows_of(model)
    return [_take(name, value, old, rows.get(name), tables) for name, value in model.state_dict().items()]


def _take(name: str, value: Tensor, old: Stored, what: Rows | None, tables: Tables) -> Taken:
    """One tensor of the new model, with what the old one has of it."""
    theirs = old.weights.get(name)
    if theirs is None and what == "speakers":
        return Taken(name, torch.zeros_like(value))  # as if the old voice's speaker spoke: that one has no vector
    if theirs is None or theirs.shape[1:] != value.shape[1:] or (what is None and theirs.shape != value.shape):
        return Taken(name, value)
    theirs = theirs.to(value.dtype)  # a voice may have been stored in half precision
    if what is None:
        return Taken(name, theirs.clone(), len(value) if value.dim() else 1, value.numel())
    made = theirs.mean(dim=0).expand_as(value).clone() if what == "speakers" else value.clone()
    pairs = _pairs(what, len(value), len(theirs), old, tables)
    made[[mine for mine, _ in pairs]] = theirs[[their for _, their in pairs]]
    return Taken(name, made, len(pairs), len(pairs) * value[0].numel())


def _pairs(what: Rows, n_mine: int, n_theirs: int, old: Stored, tables: Tables) -> Pairs:
    if what == "frames":  # the first frames of a step are the same ones, whatever the largest reduction factor
        return [(row, row) for row in range(min(n_mine, n_theirs))]
    mine, theirs = (tables.symbols, old.symbols) if what == "symbols" else (tables.speakers, old.speakers)
    there = {name: place for place, name in enumerate(theirs)}
    return [(place, there[name]) for place, name in enumerate(mine) if name in there]


def _report(model: nn.Module, old: Stored, taken: Sequence[Taken], tables: Tables) -> list[str]:
    """Parameters by module, then what is new by name."""
    learned = {name for name, _ in model.named_parameters()}
    counts: dict[str, list[int]] = {}
    for item in taken:
        if item.name in learned:
            count = counts.setdefault(item.name.partition(".")[0], [0, 0, 0])
            count[1 if item.in_part else 0] += item.entries
            count[2] += item.value.numel() - item.entries
    total = [sum(column) for column in zip(*counts.values(), strict=True)]
    width = max(map(len, counts))
    lines = [f"start: {old.path}, in parameters", f"  {'':{width}} {'copied':>12} {'in part':>12} {'new':>12}"]
    for module, numbers in [*counts.items(), ("all", total)]:
        lines.append(f"  {module:{width}} " + " ".join(f"{number:12,}" for number in numbers))
    parts = [f"{item.name} ({item.rows} of {len(item.value)} rows)" for item in taken if item.in_part]
    new_speakers = [name for name in tables.speakers if name not in old.speakers]
    own = {item.name for item in taken}
    named = {
        "in part": parts,
        "new symbols": [repr(symbol) for symbol in tables.symbols if symbol not in old.symbols],
        "new speakers": new_speakers if "speakers" in counts else [],
        "left behind": [name for name in old.weights if name not in own],
    }
    return lines + [f"  {what}: {name_some(names, 40)}" for what, names in named.items() if names]
