"""Mels of many sentences to waves, on all cores.

Shapes: T_mel frames, T_wave samples.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from tts.errors import TTSError
from tts.parallel import WorkerDiedError, n_cores, unordered
from tts.progress import progress_bar
from tts.synthesis import VOCODER_BATCH, Synthesizer

CHUNK = VOCODER_BATCH // 2  # mels of similar length that a process takes at once: enough pieces for all cores


class Job(NamedTuple):
    """A mel to be spoken."""

    name: str
    mel: Tensor  # (n_mels, T_mel)
    seed: int


def vocode_all(
    jobs: Sequence[Job],
    voice: Path,
    device: str,
    workers: int,
    what: str,
    *,
    vocoder: str = "",
    measured: bool = False,
) -> dict[str, Tensor]:
    """(T_wave,) waves by the jobs' names, as `Synthesizer.vocode` makes them.

    Args:
        jobs: what to speak.
        voice: the run folder.
        device: cpu or cuda.
        workers: processes; 0 for one a core.
        what: is told on the progress bar.
        vocoder: see `Synthesizer.load`.
        measured: see `Vocoder.generate`.
    """
    longest_first = sorted(jobs, key=lambda job: -job.mel.shape[1])
    chunks = [longest_first[first : first + CHUNK] for first in range(0, len(jobs), CHUNK)]
    n_workers = min(workers or n_cores(), len(chunks)) if device == "cpu" else 1
    waves: dict[str, Tensor] = {}
    loaded = voice, device, vocoder, measured
    if not jobs:
        return waves
    with progress_bar(len(jobs), what, " sentences") as bar:
        if n_workers <= 1:
            _load(*loaded)
            for chunk in chunks:
                waves.update(_vocode(chunk))
                bar.update(len(chunk))
            return waves
        try:
            for chunk, made in unordered(_vocode, ((chunk, chunk) for chunk in chunks), n_workers, _load, loaded):
                waves.update(made)
                bar.update(len(chunk))
        except WorkerDiedError:
            raise TTSError("a process that vocoded was killed, perhaps for lack of memory; try workers=1") from None
    return waves


_vocode_mels: list[Callable[..., list[Tensor]]] = []  # of this process


def _load(voice: Path, device: str, vocoder: str, measured: bool) -> None:
    synthesizer = Synthesizer.load(voice, vocoder=vocoder, device=device)
    _vocode_mels[:] = [partial(synthesizer.vocode, measured=measured)]


def _vocode(chunk: Sequence[Job]) -> dict[str, Tensor]:
    made = _vocode_mels[0]([job.mel for job in chunk], seeds=[job.seed for job in chunk])
    return {job.name: wave for job, wave in zip(chunk, made, strict=True)}
