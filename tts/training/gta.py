"""Mels that the acoustic model makes of the corpus under teacher forcing, for the vocoder to be fine-tuned on.

At synthesis a vocoder is given mels with the acoustic model's faults. Given the true frames before, the model makes
frames in step with the recording (ground truth alignment, Shen et al. 2018, section 3.1): the vocoder can learn to turn
such mels into the true wave.

A file for each clip, named by what it was made from: the acoustic half, the clip, and VERSION. Other files in the
folder are stale and removed. Files hold half precision; its error, 0.004 at most, is far below that of any model.

Shapes: T_text symbols, T_mel frames.
"""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from tts import ranks
from tts.alignment import ALIGNED, health
from tts.atomic import write_atomically, write_failure
from tts.audio.mel import silence_value
from tts.checkpoint import Half, Kind
from tts.data.datasets import AcousticDataset, collate_acoustic
from tts.data.manifest import Clip, Prepared, Split, name_some, write_text
from tts.decoding import device_of
from tts.errors import CheckpointError, DataError
from tts.failures import find_failures, words_attended
from tts.interfaces import AcousticModel
from tts.parallel import OneThread
from tts.progress import progress_bar
from tts.settings import AudioConfig
from tts.synthesis import check_contracts
from tts.variance import give_back, of_speaker

VERSION = 2  # of what is done to a clip; a change here makes every mel anew
FOLDER = "gta"  # in the run
SPLITS: tuple[Split, ...] = ("train", "held_out")


@dataclass(frozen=True)
class MadeClip:
    """A `VocoderClip`: the wave as recorded, the mel as the acoustic model makes it."""

    id: str
    cache_file: Path
    mel_file: Path
    n_samples: int
    n_frames: int


class LeftOut(NamedTuple):
    """A clip that nothing can be learned from."""

    clip: Clip
    reason: str


@dataclass(frozen=True)
class Mels:
    """The mels of a corpus as an acoustic model makes them."""

    made_from: dict[Kind, str]  # fingerprints of the halves
    clips: dict[Split, list[MadeClip]]
    left_out: list[LeftOut]

    def split(self, name: Split) -> list[MadeClip]:
        """Those of a split, in the order of the corpus."""
        return self.clips[name]

    @property
    def n_clips(self) -> int:
        """Clips that are left."""
        return sum(map(len, self.clips.values()))


class MadeMel(NamedTuple):
    """What teacher forcing makes of a clip."""

    mel: Tensor  # (n_mels, T_mel), as many frames as the clip has
    trouble: str  # what is wrong with its attention; empty if it is aligned


def fingerprint(path: Path) -> str:
    """Of a half as it lies on the disk: weights, recipe and facts."""
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def write_mels(
    run: Path, half: Half[AcousticModel], made_from: dict[Kind, str], prepared: Prepared, max_unaligned: float
) -> Mels:
    """Make what is missing of the mels in `RUN/gta/mels`, and write the report of what is left out beside them.

    Processes that train together make a share each, and all have the whole.

    Args:
        half: loaded, on the device that shall do it.
        made_from: fingerprints of the halves in use.
        max_unaligned: share of clips that may be left out.

    Raises:
        CheckpointError: if the model is of another corpus, or does not align too large a share of the clips.
        DataError: if a mel cannot be written.
    """
    _check(half, prepared)
    folder = run / FOLDER / "mels"
    paths = {clip.id: folder / f"{_key(made_from['acoustic'], clip)}.safetensors" for clip in prepared.clips}
    ranks.first_does(lambda: _sweep(folder, set(paths.values())))
    share = [clip for place, clip in enumerate(prepared.clips) if place % ranks.n_ranks() == ranks.rank()]
    made = _make_share(share, paths, half, prepared.audio)
    troubles = {id_: trouble for part in ranks.of_all(made) for id_, trouble in part.items()}
    left_out = [LeftOut(clip, reason) for clip in prepared.clips if (reason := troubles[clip.id])]
    clips = {split: [_made(clip, paths) for clip in prepared.split(split) if not troubles[clip.id]] for split in SPLITS}

    def report() -> None:
        write_text(run / FOLDER / "report.md", _report(half.path, prepared, left_out))
        if len(left_out) > max_unaligned * len(prepared.clips) or not all(clips.values()):
            raise CheckpointError(_not_ready(run, half, prepared, left_out))

    ranks.first_does(report)
    return Mels(made_from, clips, left_out)


def _make_share(
    clips: Sequence[Clip], paths: dict[str, Path], half: Half[AcousticModel], audio: AudioConfig
) -> dict[str, str]:
    """Make what is missing of some clips' mels. Returns what is wrong with each, by its id."""
    troubles = {clip.id: _read_trouble(paths[clip.id]) for clip in clips}
    missing = [clip for clip in clips if troubles[clip.id] is None]
    lost = half.facts.get("lost_variance", {})  # what synthesis gives back, the vocoder must know
    done, shown = len(clips) - len(missing), bool(missing) and ranks.rank() == 0
    with progress_bar(len(clips), "teacher-forced mels", " clips", done=done, shown=shown) as bar:
        for clip in missing:
            made = make_mel(half.model, clip, audio, half.speakers)
            mel = give_back(made.mel, of_speaker(lost, clip.speaker), silence_value(audio))
            _write(paths[clip.id], made._replace(mel=mel))
            troubles[clip.id] = made.trouble
            bar.update()
    return {id_: trouble or "" for id_, trouble in troubles.items()}


@torch.no_grad()
@OneThread()
def make_mel(model: AcousticModel, clip: Clip, audio: AudioConfig, speakers: Sequence[str]) -> MadeMel:
    """Teacher forcing of one clip, alone, so that nothing depends on the company; the seed of the dropout is its own.

    Args:
        model: in evaluation: zoneout takes its expectation, and only the prenet's dropout is on, as at synthesis.
        clip: of a speaker in the table.
        audio: the mel contract.
        speakers: the model's table.
    """
    assert not model.training, "synthesis wants eval(): no dropout but the prenet's"
    device = device_of(model)
    batch = collate_acoustic([AcousticDataset([clip], audio, speakers)[0]], audio).to(device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int.from_bytes(hashlib.sha256(clip.id.encode()).digest()[:7], "big"))
        output = model(batch)
    mel, alignment = output.mel[0].float().cpu(), output.alignment[0].float().cpu()
    assert mel.shape == (audio.n_mels, clip.n_frames), "teacher forcing makes a frame for each that it is given"
    return MadeMel(mel, trouble_of(alignment, mel, clip, model.reduction, audio))


def trouble_of(alignment: Tensor, mel: Tensor, clip: Clip, reduction: int, audio: AudioConfig) -> str:
    """What is wrong with a teacher-forced attention, in words; empty if it is aligned.

    Its figures must be those of an aligned one, and no word may be skipped, repeated, or spoken for while attention is
    astray: the mel of such a clip says something else than its wave.
    """
    (seen,) = health(
        alignment[None], torch.tensor([len(alignment)]), torch.tensor([alignment.shape[1]]), step_frames=reduction
    )
    lacks = [f"{name} {value:.2f} of {ALIGNED[name]:.2f}" for name, value in seen.lacks(ALIGNED).items()]
    if lacks:
        return f"attention is {seen.word}: {', '.join(lacks)}"
    words = words_attended(alignment, clip.words)
    # Under teacher forcing the recording ends the clip.
    found = find_failures(alignment, mel, words, stop_reason="stop", frame_seconds=audio.frame_seconds)
    return "; ".join(failure.detail for failure in found)


def _check(half: Half[AcousticModel], prepared: Prepared) -> None:
    """Refuse a model that was trained on another corpus than what is prepared."""
    check_contracts(half.recipe.audio, half.path, prepared.audio, half.path.parents[1] / "data")
    unknown = sorted(set(prepared.speakers) - set(half.speakers))
    if half.symbols != prepared.symbols or unknown:
        what = f"the speakers {name_some(unknown)}" if unknown else "other symbols"
        raise CheckpointError(f"{half.path}: what is prepared has {what}; train the acoustic half on it first")


def _key(acoustic: str, clip: Clip) -> str:
    """The name of a mel: of all that it was made from. A cache file's own name stands for its content."""
    made_from = json.dumps([VERSION, acoustic, clip.id, clip.ids, clip.speaker, clip.cache_file.name])
    return hashlib.sha256(made_from.encode()).hexdigest()[:32]


def _sweep(folder: Path, wanted: set[Path]) -> None:
    """Make the folder, and remove what is stale in it or was left there by a process that was killed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(write_failure(folder, error)) from None
    for file in folder.iterdir():
        if file not in wanted:
            with suppress(FileNotFoundError):
                file.unlink()


def _write(path: Path, made: MadeMel) -> None:
    try:
        write_atomically(path, save({"mel": made.mel.half().contiguous()}, {"trouble": made.trouble}))
    except OSError as error:
        raise DataError(write_failure(path, error)) from None


def _read_trouble(path: Path) -> str | None:
    """Why a clip is left out, empty if it is not; None where its file is missing or damaged."""
    try:
        with safe_open(str(path), framework="pt") as file:
            return str(file.metadata()["trouble"])
    except (SafetensorError, OSError, KeyError, TypeError):
        return None


def _made(clip: Clip, paths: dict[str, Path]) -> MadeClip:
    return MadeClip(clip.id, clip.cache_file, paths[clip.id], clip.n_samples, clip.n_frames)


def _report(acoustic: Path, prepared: Prepared, left_out: Sequence[LeftOut]) -> str:
    """Markdown: how many clips there are, and every one that is left out."""
    lines = [
        "# Teacher-forced mels",
        "",
        f"- made by: {acoustic}",
        f"- clips: {len(prepared.clips) - len(left_out)} of {len(prepared.clips)}",
        f"- left out because attention is not aligned: {len(left_out)}",
        "",
        *(["| clip | split | text | why |", "| --- | --- | --- | --- |"] if left_out else []),
        *(
            f"| {one.clip.id} | {one.clip.split} | {one.clip.text.replace('|', ' ')} | {one.reason} |"
            for one in left_out
        ),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _not_ready(run: Path, half: Half[AcousticModel], prepared: Prepared, left_out: Sequence[LeftOut]) -> str:
    step, lost = half.facts.get("step", 0), {one.clip.id for one in left_out}
    which = ", with all that are held out" if lost.issuperset(clip.id for clip in prepared.split("held_out")) else ""
    return (
        f"attention is not aligned in {len(left_out)} of {len(prepared.clips)} clips{which}, e.g. "
        f"{left_out[0].clip.id} ({left_out[0].reason}); all of them: {run / FOLDER / 'report.md'}. "
        "The acoustic half is not trained enough; "
        f"train it on: python train.py recipe={run} stages=[acoustic] trainer.acoustic.max_steps={max(1000, 2 * step)}"
    )
