"""Another synthesiser as a command line: `{text}` and `{out}` in it stand for a text and the path of its WAV.

Without `{text}` the text comes on standard input.
"""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from tts.errors import ConfigError

SECONDS = 120  # that a sentence may take


def check_command(line: str) -> None:
    """Refuse a command line that names no place for the WAV, or nothing to run. Raises ConfigError."""
    words = command_words(line)
    if "{out}" not in line:
        raise ConfigError(f'command="{line}": {{out}} must stand where the path of the WAV belongs')
    if shutil.which(words[0]) is None:
        raise ConfigError(f"command={words[0]}: there is no such program; check the path")


def command_words(line: str) -> list[str]:
    """The words of a command line; on Windows a backslash is part of a path. Raises ConfigError."""
    try:
        words = shlex.split(line, posix=os.name != "nt")
    except ValueError as error:
        raise ConfigError(f"command={line}: {error}; close the quote") from None
    return [word.strip('"') for word in words] if os.name == "nt" else words


def speak_by_command(line: str, text: str, out: Path) -> None:
    """Have a text spoken into a file.

    Raises:
        ConfigError: if the program cannot be run, fails, or takes too long.
    """
    # Cut into words before the text goes in, which may hold quotes.
    words = [word.replace("{out}", str(out)).replace("{text}", text) for word in command_words(line)]
    try:
        done = subprocess.run(
            words,
            input="" if "{text}" in line else text,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"command={words[0]} cannot be run: {error}") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise ConfigError(f"command={words[0]} ended with {done.returncode} at {text!r}: {said[-1] if said else ''}")
