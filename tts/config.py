"""Recipes: YAML and `key=value` become the dataclasses of `tts.settings`. The only file that knows OmegaConf.

A recipe names its parts (`parts: {audio: 22khz, acoustic: tacotron2}`, one YAML each under `configs/`) and says what
differs. Later layers win: dataclass defaults, parts, the recipe, the command line. Every key remembers the file it
came from, so that an error can name it; all errors of a recipe are reported at once.
"""

import dataclasses
import difflib
import importlib
import pkgutil
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from tts.errors import ConfigError
from tts.settings import Recipe

PART_SECTIONS = ("audio", "text", "acoustic", "vocoder", "trainer")  # those with a folder in configs/
COMMAND_LINE = "command line"
OLD_STEPS = {"plain_punctuation", "expand_abbreviations", "expand_currency", "expand_numbers"}  # of `text.steps`
T = TypeVar("T")


class Origin(NamedTuple):
    """Where a key was set. A higher layer wins over a lower one."""

    layer: int
    file: str


@dataclass
class Layers:
    """Plain nested mappings merged in order, and for each key's path where it was set last."""

    tree: dict[str, Any]
    origins: dict[str, Origin]
    replaced: dict[str, list[Any]]  # by path: values that a higher layer replaced
    depth: int = 0

    def add(self, mapping: Mapping[str, Any], file: str) -> None:
        """Merge one more mapping over what is there."""
        self.depth += 1
        self._merge(self.tree, mapping, "", Origin(self.depth, file))

    def _merge(self, into: dict[str, Any], mapping: Mapping[str, Any], path: str, origin: Origin) -> None:
        for key, value in mapping.items():
            here = f"{path}.{key}" if path else str(key)
            self.origins[here] = origin
            if key in into and into[key] != value:
                self.replaced.setdefault(here, []).append(into[key])
            # A plan like {0: 4, 2000: 2} is one value: it is replaced, not merged.
            if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
                inner = into.get(key)
                into[key] = inner if isinstance(inner, dict) else {}
                self._merge(into[key], value, here, origin)
            else:
                into[key] = value

    def origin(self, path: str) -> Origin:
        """Where `path`, or the nearest key above it, was set."""
        while path and path not in self.origins:
            path = path.rpartition(".")[0]
        return self.origins.get(path, Origin(0, "defaults"))


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Load a recipe and everything it names.

    Args:
        name: a file in `recipes/` without its suffix, or the path of a YAML file.
        overrides: `key=value`; `section=part` takes another part, e.g. `text=characters`.

    Raises:
        ConfigError: naming every unknown key with the nearest known one, every bad value, and the files.
    """
    path = find_recipe(name)
    return _assemble(read_yaml(path), str(path), overrides)


def recipe_from_yaml(text: str, source: str, overrides: Sequence[str] = ()) -> Recipe:
    """A stored recipe from what `to_yaml` gave, with the same overrides and checks as any."""
    try:
        mapping = to_plain(OmegaConf.create(text))
    except (OmegaConfBaseException, YAMLError) as error:
        raise ConfigError(f"{source}: {first_line(error)}") from None
    return _assemble(mapping, source, overrides)


def _assemble(recipe: dict[str, Any], source: str, overrides: Sequence[str]) -> Recipe:
    """Parts, then the recipe, then the command line. A part from the command line replaces its whole section."""
    malformed = [override for override in overrides if not override.partition("=")[0] or "=" not in override]
    if malformed:
        raise ConfigError(f"not of the form key=value: {', '.join(map(repr, malformed))}")
    swaps = dict(override.split("=", 1) for override in overrides if override.partition("=")[0] in PART_SECTIONS)
    recipe = _migrated(recipe)
    parts = recipe.pop("parts", None) or {}
    if not isinstance(parts, dict):
        raise ConfigError(f"{source}: parts must name a part for a section, e.g. {{audio: 22khz}}, not {parts!r}")
    layers = Layers({}, {}, {})
    for section, part in {**parts, **swaps}.items():
        if section not in PART_SECTIONS:
            raise ConfigError(f"{source}: unknown part {section!r}{nearest(section, PART_SECTIONS)}")
        part_path = find_part(section, str(part))
        layers.add({section: read_yaml(part_path)}, str(part_path))
    layers.add({section: keys for section, keys in recipe.items() if section not in swaps}, source)
    layers.add(parse_overrides([o for o in overrides if o.partition("=")[0] not in PART_SECTIONS]), COMMAND_LINE)
    return build(Recipe, layers)


def _migrated(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe without the keys of older versions that recipes stored then still have.

    `text.steps` named the steps of a frontend that did in four passes what the reader does in one.
    """
    text = recipe.get("text")
    if not isinstance(text, dict) or not set(text.get("steps") or ["none"]) <= OLD_STEPS:
        return recipe
    return {**recipe, "text": {key: value for key, value in text.items() if key != "steps"}}


def build(cls: type[T], layers: Layers) -> T:
    """Make the dataclass `cls` from merged layers, reporting everything that is wrong at once."""
    try:
        tree = OmegaConf.to_container(OmegaConf.create(layers.tree), resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"interpolation failed: {first_line(error)}") from None
    problems: list[str] = []
    made = _Builder(layers, problems).dataclass(cls, tree, "")
    if problems:
        raise ConfigError("; ".join(problems))
    return typing.cast(T, made)


class _Builder:
    """Walks a tree of plain values beside the dataclasses' type hints."""

    def __init__(self, layers: Layers, problems: list[str]):
        self.layers = layers
        self.problems = problems

    def complain(self, path: str, message: str) -> None:
        self.problems.append(f"{self.layers.origin(path).file}: {message}")

    def dataclass(self, cls: type[Any], tree: Any, path: str) -> Any:
        if not isinstance(tree, dict):
            self.complain(path, f"{path} must be a group of keys, not {tree!r}")
            return None
        hints = get_type_hints(cls)
        known = {f.name: f for f in dataclasses.fields(cls)}
        values: dict[str, Any] = {}
        before = len(self.problems)
        for key, value in tree.items():
            here = f"{path}.{key}" if path else str(key)
            if key not in known:
                self.complain(here, f"unknown key {here}{nearest(key, known, path)}")
            elif "folder" not in known[key].metadata:
                values[key] = self.value(hints[key], value, here)
        for name, known_field in known.items():
            if "folder" in known_field.metadata:
                here = f"{path}.{name}" if path else name
                values[name] = self.component(known_field.metadata, tree.get(name) or {}, here)
        if len(self.problems) > before:
            return None
        try:
            return cls(**values)
        except ConfigError as error:
            self.complain(path, f"{path}: {error}" if path else str(error))
            return None

    def component(self, metadata: Mapping[str, Any], tree: Any, path: str) -> Any:
        """The Config of the file that `tree[key]` names."""
        folder, key = metadata["folder"], metadata["key"]
        if not isinstance(tree, dict):
            self.complain(path, f"{path} must be a group of keys with {key}, not {tree!r}")
            return None
        name = str(tree.get(key) or metadata["default"])
        choices = component_names(folder)
        if name not in choices:
            listed = ", ".join(choices)
            said = f"no {name!r} in {folder.replace('.', '/')}" if name else f"{path}.{key} is missing"
            self.complain(f"{path}.{key}", f"{path}.{key}: {said}{nearest(name, choices)} (there is: {listed})")
            return None
        config = importlib.import_module(f"{folder}.{name}").Config
        left = self.left_behind(config, folder, f"{path}.{key}", metadata["default"])
        return self.dataclass(config, {k: v for k, v in tree.items() if k not in left}, path)

    def left_behind(self, config: type[Any], folder: str, name_path: str, default: str) -> set[str]:
        """Keys of the component that a higher layer replaced: `acoustic.attention.name=...` leaves them behind."""
        replaced = {str(name) for name in (default, *self.layers.replaced.get(name_path, []))}
        configs = [importlib.import_module(f"{folder}.{n}").Config for n in replaced & set(component_names(folder))]
        old = {field.name for other in configs for field in dataclasses.fields(other)}
        now = self.layers.origin(name_path).layer
        section = name_path.rpartition(".")[0]
        gone = old - {field.name for field in dataclasses.fields(config)}
        return {key for key in gone if self.layers.origin(f"{section}.{key}").layer < now}

    def value(self, hint: Any, value: Any, path: str) -> Any:
        """`value` as the type `hint`, or a complaint."""
        if is_dataclass(hint):
            return self.dataclass(typing.cast(type[Any], hint), value, path)
        origin = get_origin(hint)
        if origin is Literal:
            if value in get_args(hint):
                return value
            choices = [str(choice) for choice in get_args(hint)]
            return self.bad(path, value, f"one of {', '.join(choices)}{nearest(str(value), choices)}")
        if origin is list:
            if not isinstance(value, list):
                return self.bad(path, value, "a list, e.g. [a,b]")
            return [self.value(get_args(hint)[0], item, f"{path}[{i}]") for i, item in enumerate(value)]
        if origin is dict:
            if not isinstance(value, dict):
                return self.bad(path, value, "a mapping, e.g. {0: 4, 2000: 2}")
            of_key, of_value = get_args(hint)
            return {self.value(of_key, k, path): self.value(of_value, v, f"{path}[{k}]") for k, v in value.items()}
        return self.scalar(hint, value, path)

    def scalar(self, hint: type, value: Any, path: str) -> Any:
        named = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
        is_bool = isinstance(value, bool)
        if hint is float and isinstance(value, int | float) and not is_bool:
            return float(value)
        if hint is str and isinstance(value, int | float) and not is_bool:
            return str(value)  # root=2024 is a fine folder name
        if isinstance(value, hint) and (hint is bool or not is_bool):
            return value
        return self.bad(path, value, named[hint])

    def bad(self, path: str, value: Any, expected: str) -> None:
        self.complain(path, f"{path}={value!r} should be {expected}")


def nearest(word: str, choices: Iterable[str], path: str = "") -> str:
    """`; did you mean X?` for the choice most like `word`, or nothing."""
    listed = list(choices)
    close = difflib.get_close_matches(str(word), listed, n=1, cutoff=0.5)
    close = close or [choice for choice in listed if word and choice.startswith(str(word))]
    prefix = f"{path}." if path else ""
    return f"; did you mean {prefix}{close[0]}?" if close else ""


def component_names(folder: str) -> list[str]:
    """The files of a component folder that are choices: those without a leading underscore."""
    package = importlib.import_module(folder)
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_") and not m.ispkg)


def parse_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """`a.b=c` arguments as one nested mapping, the values read as YAML."""
    layers = Layers({}, {}, {})
    for override in overrides:
        try:
            layers.add(to_plain(OmegaConf.from_dotlist([override])), COMMAND_LINE)
        except (OmegaConfBaseException, YAMLError) as error:
            raise ConfigError(f"cannot read {override!r}: {first_line(error)}") from None
    return layers.tree


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping."""
    try:
        return to_plain(OmegaConf.load(path))
    except (OmegaConfBaseException, YAMLError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {first_line(error)}") from None


def to_plain(node: Any) -> dict[str, Any]:
    """An OmegaConf node as plain containers; interpolations stay as they are."""
    plain = OmegaConf.to_container(node)
    if not isinstance(plain, dict):
        raise ConfigError("a recipe must be a mapping of keys to values")
    return typing.cast(dict[str, Any], plain)


def first_line(error: Exception) -> str:
    """The first line of an error's message."""
    return (str(error) or type(error).__name__).splitlines()[0]


def yaml_files(folder: str) -> dict[str, Path]:
    """Name -> file in `folder` (`recipes`, `configs/audio`, ...): the shipped ones, and those of the working folder."""
    package = Path(__file__).parent
    places = [package / folder, package.parent / folder, Path.cwd() / folder]
    return {file.stem: file for place in places for file in sorted(place.glob("*.yaml"))}


def find_recipe(name: str) -> Path:
    """The file of a recipe's name or path."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if path.is_file():
            return shown(path)
        raise ConfigError(f"there is no recipe file {name}")
    names = yaml_files("recipes")
    if name in names:
        return shown(names[name])
    raise ConfigError(f"unknown recipe {name!r}{nearest(name, names)} (there is: {', '.join(sorted(names))})")


def find_part(section: str, name: str) -> Path:
    """The file `configs/SECTION/NAME.yaml`."""
    names = yaml_files(f"configs/{section}")
    if name in names:
        return shown(names[name])
    listed = ", ".join(sorted(names)) or "none"
    raise ConfigError(f"{section}={name}: no such file in configs/{section}{nearest(name, names)} (there is: {listed})")


def shown(path: Path) -> Path:
    """The path as messages name it: short where it lies in the working folder."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def recipe_summary(path: Path) -> str:
    """The `about` line of a recipe, without building it."""
    return str(read_yaml(path).get("about", ""))


def to_yaml(recipe: Recipe) -> str:
    """A recipe as YAML that `recipe_from_yaml` reads back."""
    return OmegaConf.to_yaml(OmegaConf.create(dataclasses.asdict(recipe)))


def facts_to_yaml(facts: Mapping[str, Any]) -> str:
    """Plain values as YAML that `read_yaml` reads back."""
    return OmegaConf.to_yaml(OmegaConf.create(dict(facts)))


def differences(mine: Any, theirs: Any) -> list[str]:
    """The keys, dotted, in which two configurations differ."""

    def flat(value: Any, path: str) -> dict[str, Any]:
        if isinstance(value, dict):
            inner = (flat(v, f"{path}.{k}" if path else str(k)) for k, v in value.items())
            return {key: v for part in inner for key, v in part.items()}
        return {path: value}

    a, b = flat(dataclasses.asdict(mine), ""), flat(dataclasses.asdict(theirs), "")
    return sorted(key for key in a.keys() | b.keys() if a.get(key) != b.get(key))
