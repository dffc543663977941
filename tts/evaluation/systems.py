"""Who speaks in an evaluation: the voice, and the baselines that give its numbers a meaning.

Shapes: T_wave samples.
"""

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from tts.audio.files import Recording, read_wave, resample
from tts.audio.griffin_lim import griffin_lim
from tts.audio.loudness import normalize_loudness
from tts.audio.silence import trim_silence
from tts.errors import AudioError, ConfigError
from tts.evaluation.sentences import Item
from tts.progress import progress_bar
from tts.settings import Recipe

WORDS_PER_MINUTE, PITCH = 165, 50  # of espeak-ng
COMMAND_SECONDS = 120  # for one sentence


class Spoken(NamedTuple):
    """What one system made of the sentences."""

    name: str  # its key in report.json
    title: str
    waves: dict[str, Tensor]  # (T_wave,) by the text's id, at the voice's rate
    copied: bool = False  # from the recordings' own mels


def real(items: Sequence[Item]) -> Spoken:
    """The recordings themselves."""
    waves = {item.text.id: item.wave for item in items if item.wave is not None}
    return Spoken("real", "real recordings", waves, copied=True)


def griffin_lim_copy(items: Sequence[Item], recipe: Recipe) -> Spoken:
    """What Griffin-Lim makes of the recordings' mels: all that a mel tells, with an invented phase."""
    waves: dict[str, Tensor] = {}
    with progress_bar(len(items), "Griffin-Lim copies", " sentences") as bar:
        for item in items:
            if item.mel is not None:
                waves[item.text.id] = griffin_lim(item.mel[None], recipe.audio)[0]
            bar.update()
    return Spoken("griffin_lim", "Griffin-Lim copy synthesis", waves, copied=True)


def espeak_ng(items: Sequence[Item], recipe: Recipe) -> Spoken:
    """espeak-ng reading the same sentences.

    Raises:
        DataError: if it is not installed.
    """
    from tts.corpora._espeak_ng import open_espeak

    waves: dict[str, Tensor] = {}
    with open_espeak("en-us") as espeak:
        for item in items:
            said = espeak.speak(item.text.text, words_per_minute=WORDS_PER_MINUTE, pitch=PITCH)
            recording = Recording(torch.from_numpy(said.wave).float() / 32768, espeak.sample_rate)
            waves[item.text.id] = _cleaned(resample(recording, recipe.audio.sample_rate), recipe)
    return Spoken("espeak_ng", "espeak-ng", waves)


def check_command(line: str) -> None:
    """Refuse a command line that names no place for the WAV, or nothing to run. Raises ConfigError."""
    words = _words(line)
    if "{out}" not in line:
        raise ConfigError(f'command="{line}": {{out}} must stand where the path of the WAV belongs')
    if shutil.which(words[0]) is None:
        raise ConfigError(f"command={words[0]}: there is no such program; check the path")


def _words(line: str) -> list[str]:
    """The words of a command line; on Windows a backslash is part of a path."""
    try:
        words = shlex.split(line, posix=os.name != "nt")
    except ValueError as error:
        raise ConfigError(f"command={line}: {error}; close the quote") from None
    return [word.strip('"') for word in words] if os.name == "nt" else words


def command(line: str, items: Sequence[Item], recipe: Recipe, absent: dict[str, str]) -> Spoken:
    """Another system, started once a sentence: `{text}` and `{out}` in the line stand for the text and the WAV.

    Without `{text}` the text comes on standard input. A sentence at which it fails is left out; `absent` says why.
    """
    check_command(line)
    waves: dict[str, Tensor] = {}
    with tempfile.TemporaryDirectory() as folder, progress_bar(len(items), "the command", " sentences") as bar:
        for item in items:
            out = Path(folder) / "out.wav"
            out.unlink(missing_ok=True)
            # Cut into words before the text goes in, which may hold quotes.
            words = [word.replace("{out}", str(out)) for word in _words(line)]
            words = [word.replace("{text}", item.text.text) for word in words]
            try:
                waves[item.text.id] = _cleaned(_run(words, item.text.text, "{text}" in line, out, recipe), recipe)
            except ConfigError as error:
                absent[f"command, {item.text.id}"] = str(error)
            bar.update()
    return Spoken("command", _words(line)[0], waves)


def _run(words: list[str], text: str, in_words: bool, out: Path, recipe: Recipe) -> Tensor:
    try:
        done = subprocess.run(
            words,
            input="" if in_words else text,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=COMMAND_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"command={words[0]} cannot be run: {error}") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise ConfigError(f"command={words[0]} ended with {done.returncode} at {text!r}: {said[-1] if said else ''}")
    try:
        return read_wave(out, recipe.audio.sample_rate)
    except AudioError as error:
        raise ConfigError(f"command={words[0]} left no audio for {text!r}: {error}") from None


def _cleaned(wave: Tensor, recipe: Recipe) -> Tensor:
    """Trimmed and levelled as recordings are, so that neither silence nor loudness counts."""
    try:
        trimmed = trim_silence(wave, recipe.audio.sample_rate, recipe.data.trim_db, recipe.data.keep_silence)
    except AudioError:
        return wave  # silence: its recogniser will hear nothing
    return normalize_loudness(trimmed.wave, recipe.audio.sample_rate, recipe.audio.loudness)


def audible(spoken: Spoken, absent: dict[str, str]) -> Spoken:
    """Without what is no sound: empty waves, and such as hold NaN; `absent` names them."""
    waves = {name: wave for name, wave in spoken.waves.items() if len(wave) and bool(wave.isfinite().all())}
    for name in spoken.waves.keys() - waves.keys():
        absent[f"{spoken.name}, {name}"] = "it made no sound, or samples that are not numbers"
    return spoken._replace(waves=waves)
