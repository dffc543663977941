"""What the commands share: reading `name=value`, refusing early, speaking to the user."""

import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tts.errors import ConfigError, nearest


def complain(message: str, code: int = 2) -> int:
    """Print one line to standard error."""
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return code


def say(line: str) -> None:
    """Tell the user, at once also where the output is a pipe."""
    print(line, flush=True)


def leads() -> bool:
    """Whether this is the first, or the only one, of the processes that a launcher started."""
    first = ("RANK", "SLURM_PROCID") if {"RANK", "SLURM_PROCID"} & set(os.environ) else ("NODE_RANK", "LOCAL_RANK")
    return all(os.environ.get(name, "0") == "0" for name in first)


def take(arguments: Sequence[str], names: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Split `name=value` for the given names from everything else."""
    options: dict[str, str] = {}
    rest: list[str] = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals and name in names:
            options[name] = value
        else:
            rest.append(argument)
    return options, rest


def whole_number(value: str, name: str) -> int:
    """A whole number from 0 on. Raises ConfigError."""
    if not re.fullmatch(r"\d{1,18}", value):
        raise ConfigError(f"{name}={value}: a whole number from 0 on is needed")
    return int(value)


def number(value: str, name: str) -> float:
    """A finite number. Raises ConfigError."""
    try:
        given = float(value)
    except ValueError:
        given = math.nan
    if not math.isfinite(given):
        raise ConfigError(f"{name}={value}: a number such as 1.1 is needed")
    return given


def true_or_false(value: str, name: str) -> bool:
    """true or false. Raises ConfigError."""
    if value not in ("true", "false"):
        raise ConfigError(f"{name}={value}: true or false")
    return value == "true"


def refuse_unknown(rest: Sequence[str], names: Sequence[str]) -> None:
    """What `take` left over, where nothing may be left. Raises ConfigError."""
    for argument in rest:
        near = nearest(argument.lstrip("-").partition("=")[0], names)
        raise ConfigError(f"unknown option {argument!r}{near}; --help lists them")


def voice_folder(folder: Path, option: str = "") -> Path:
    """The folder of a voice or a run, named by an option or by itself. Raises ConfigError where there is none."""
    if not folder.is_dir():
        named = f"{option}={folder}" if option else str(folder)
        raise ConfigError(
            f"{named} is no folder; a voice is a folder that tts export wrote, or a run such as runs/demo"
        )
    return folder


def check_device(name: str) -> None:
    """Refuse a device that torch does not know or this machine does not have."""
    import torch

    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device={name}: {str(error).splitlines()[0]}; device=cpu always works") from None


def progress_line() -> Callable[[str, float], None] | None:
    """A line that counts up while a text is spoken, on a terminal only."""
    if not sys.stderr.isatty():
        return None

    def show(what: str, share: float) -> None:
        end = "\r" if share < 1 else "\r\033[K"
        print(f"\r\033[K{what} {share:4.0%}", end=end, file=sys.stderr, flush=True)

    return show
