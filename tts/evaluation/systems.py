"""Who speaks in an evaluation: the voice, and the baselines that give its numbers a meaning.

Shapes: T_wave samples.
"""

import tempfile
from collections.abc import Mapping, Sequence
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
from tts.speaking_command import check_command, command_words, speak_by_command

WORDS_PER_MINUTE, PITCH = 165, 50  # of espeak-ng


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
    mels = {item.text.id: item.mel for item in items if item.mel is not None}
    waves = _by_griffin_lim(mels, recipe, "Griffin-Lim copies")
    return Spoken("griffin_lim", "Griffin-Lim copy synthesis", waves, copied=True)


def same_mels(mels: Mapping[str, Tensor], recipe: Recipe) -> Spoken:
    """What Griffin-Lim makes of the voice's own mels: what its vocoder adds, or takes away."""
    waves = _by_griffin_lim(mels, recipe, "the same mels")
    return Spoken("same_mels", "Griffin-Lim on the voice's mels", waves)


def _by_griffin_lim(mels: Mapping[str, Tensor], recipe: Recipe, what: str) -> dict[str, Tensor]:
    with progress_bar(len(mels), what, " sentences") as bar:
        waves = {}
        for name, mel in mels.items():
            waves[name] = griffin_lim(mel[None].float().cpu(), recipe.audio)[0]
            bar.update()
        return waves


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


def command(line: str, items: Sequence[Item], recipe: Recipe, absent: dict[str, str]) -> Spoken:
    """Another system, started once a sentence; one at which it fails is left out, and `absent` says why.

    line: see `tts.speaking_command`.
    """
    check_command(line)
    waves: dict[str, Tensor] = {}
    with tempfile.TemporaryDirectory() as folder, progress_bar(len(items), "the command", " sentences") as bar:
        for item in items:
            out = Path(folder) / "out.wav"
            out.unlink(missing_ok=True)
            try:
                speak_by_command(line, item.text.text, out)
                waves[item.text.id] = _cleaned(read_wave(out, recipe.audio.sample_rate), recipe)
            except AudioError as error:
                absent[f"command, {item.text.id}"] = f"it left no audio for {item.text.text!r}: {error}"
            except ConfigError as error:
                absent[f"command, {item.text.id}"] = str(error)
            bar.update()
    return Spoken("command", command_words(line)[0], waves)


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
