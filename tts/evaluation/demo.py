"""What `make demo` tells at its end: measured on held-out sentences whose phoneme times are known exactly.

Alignment error is measured under teacher forcing, where the attention and the recording share one time axis; stopping
and the order of words are measured in free running.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from tts.alignment import phone_time_errors
from tts.audio.files import write_wave
from tts.checkpoint import find_half, load_acoustic, read_facts
from tts.data.datasets import AcousticDataset, collate_acoustic
from tts.data.manifest import Clip, Prepared, load_prepared
from tts.decoding import text_seed
from tts.errors import CheckpointError, DataError
from tts.interfaces import BY_ITSELF
from tts.progress import Progress
from tts.runs import read_recipe
from tts.synthesis import Synthesizer
from tts.text.frontend import Frontend
from tts.training.figures import alignment_figure, save_figure

SENTENCES = 20  # held-out sentences decoded
SPOKEN = 5  # of these, spoken by the vocoder


def measure_demo(run: Path, progress: Progress | None = None) -> Iterator[str]:
    """Measure a run and let it speak; yields the lines to print. WAV files and a picture go to RUN/speech."""
    recipe = read_recipe(run)
    prepared = load_prepared(run, recipe.audio, Frontend(recipe.text).fingerprint)
    clips = prepared.split("held_out")[:SENTENCES]
    path = find_half(run, "acoustic")
    if path is None:
        raise CheckpointError(f"{run} holds no trained acoustic model; train one: python train.py recipe={run}")
    synthesizer = Synthesizer.load(run)
    facts, last = read_facts(path), read_facts(path.with_name("last.safetensors"))
    speech = run / "speech"
    speech.mkdir(exist_ok=True)
    aligned = last["aligned_at"] if facts["aligned_at"] is None else facts["aligned_at"]
    minutes = last.get("aligned_minutes")
    yield (
        f"aligned at step {aligned}, after {minutes} minutes of training"
        if aligned is not None
        else f"did not align within {last['step']} steps"
    )
    errors = alignment_errors(path, prepared, clips, speech / "alignment.png")
    mean = 1000 * sum(errors) / len(errors)
    yield (
        f"attention against true phoneme times: mean absolute error {mean:.1f} ms, "
        f"over {len(errors)} phonemes of {len(clips)} held-out sentences"
    )
    decoded = synthesizer.decode(clips, progress=progress)
    stopped = sum(made.stop_reason in BY_ITSELF for made in decoded)
    astray = {"skip", "repeat"}
    whole = sum(not astray & {failure.kind for failure in made.failures} for made in decoded)
    yield f"stopped by themselves: {stopped} of {len(clips)} held-out sentences"
    yield f"every word attended, in order: {whole} of {len(clips)}"
    chosen = list(zip(clips, decoded, strict=True))[:SPOKEN]
    mels = [made.mel for _, made in chosen]
    waves = synthesizer.vocode(mels, seeds=[text_seed(0, clip.ids) for clip, _ in chosen], progress=progress)
    name = type(synthesizer.vocoder).__name__
    for number, ((clip, _), wave) in enumerate(zip(chosen, waves, strict=True), 1):
        out = speech / f"{number}.wav"
        write_wave(out, wave, recipe.audio.sample_rate)
        yield f"{out}: {name} says {clip.text!r}"
    yield f"alignment picture: {speech / 'alignment.png'}; curves: tensorboard --logdir {run.parent}"


@torch.inference_mode()
def alignment_errors(acoustic: Path, prepared: Prepared, clips: Sequence[Clip], picture: Path) -> list[float]:
    """Seconds between each phone's onset as attended and as spoken, teacher-forced; draws the first alignment.

    Raises:
        DataError: if the corpus does not know its phoneme times.
    """
    if not any(clip.phone_times for clip in clips):
        raise DataError("this corpus has no phoneme times to measure alignments against")
    model = load_acoustic(acoustic).model
    dataset = AcousticDataset(clips, prepared.audio, prepared.speakers)
    batch = collate_acoustic([dataset[i] for i in range(len(clips))], prepared.audio)
    torch.manual_seed(0)  # the prenet's dropout is on
    output = model(batch)
    errors: list[float] = []
    for row, clip in enumerate(clips):
        alignment = output.alignment[row, : len(clip.ids), : clip.n_frames].float()
        errors += phone_time_errors(
            alignment, clip.symbols, clip.phone_times, prepared.audio.frame_seconds, step_frames=model.reduction
        )
        if row == 0:
            save_figure(alignment_figure(alignment, clip.symbols, clip.text), picture)
    return errors
