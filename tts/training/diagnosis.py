"""Why attention may not align, as far as it can be measured: the corpus, the batches, and what is hard to predict.

Each finding says what was measured; one that lies outside of what is usual also says what to do about it.
"""

from collections.abc import Sequence
from statistics import median

import torch

from tts.data.cache import load_mel
from tts.data.datasets import AcousticDataset, collate_acoustic
from tts.data.manifest import Clip, Prepared, name_some, numbers
from tts.data.matching import Finding, texts_and_durations
from tts.data.pauses import end_silence, quiet_frames
from tts.data.report import rate_outliers
from tts.data.sampler import LengthBatches
from tts.interfaces import AcousticModel
from tts.losses import masked_l1
from tts.settings import AcousticStage, AudioConfig
from tts.speakers import ONE_SPEAKER

FEW_MINUTES, FEW_CLIPS = 20, 200  # below: too little to learn attention from
LISTENED = 500  # clips whose ends are listened to, spread over the corpus
LONG_SILENCE = 0.25  # seconds at an end of the median clip, or ...
SILENT_CLIP, SILENT_SHARE = 0.6, 0.1  # ... so many seconds at an end in this share of clips
OUTLIER_SHARE = 0.03  # of clips that stand out: good corpora have up to 0.02, with a tenth of the texts wrong 0.034
SMALL_BATCH = 12  # clips
PROBED = 96  # clips whose teacher-forced loss is looked at
HARD_FACTOR, HARD_MADS = 1.5, 5.0  # times the median loss, and median deviations from it: a clip that stands out


def diagnose(prepared: Prepared, stage: AcousticStage, losses: dict[str, float]) -> list[str]:
    """The likely causes in words, or that there is none among what was measured.

    Args:
        prepared: the corpus.
        stage: the recipe's settings.
        losses: of single clips by id, teacher-forced.
    """
    clips = prepared.split("train")
    findings = [
        silence_at_ends(clips, prepared.audio),
        rate_of_speech(clips),
        texts_and_durations(prepared.clips),
        hard_clips(losses),
        # Of a corpus that is streamed the clips are a sample, from which neither follows.
        *([] if prepared.whole else [batches(clips, stage), amount(clips)]),
    ]
    causes = [f"likely cause: {found.measured}; {found.advice}" for found in findings if found.advice]
    if causes:
        return causes
    return [f"no usual cause was found: {'; '.join(found.measured for found in findings)}"]


def silence_at_ends(clips: Sequence[Clip], audio: AudioConfig) -> Finding:
    """Attention has nothing to attend to while nobody speaks."""
    chosen = _spread(clips, LISTENED)
    ends = {
        clip.id: end_silence(quiet_frames(load_mel(clip.cache_file), audio), audio.frame_seconds) for clip in chosen
    }
    start, end = (median(side) for side in zip(*ends.values(), strict=True))
    silent = [id_ for id_, sides in ends.items() if max(sides) > SILENT_CLIP]
    measured = f"{start:.2f} s of silence before and {end:.2f} s after the speech of a clip (medians)"
    if silent:
        measured += f", more than {SILENT_CLIP} s in {len(silent)} of {len(ends)} ({name_some(silent)})"
    long = max(start, end) > LONG_SILENCE or len(silent) > SILENT_SHARE * len(ends)
    return Finding(measured, "cut more of it: lower data.trim_db, and prepare in a new run" if long else "")


def rate_of_speech(clips: Sequence[Clip]) -> Finding:
    """A clip spoken far too fast or slowly for its text is one whose text is not what is spoken."""
    outliers = rate_outliers(clips)
    measured = f"{len(outliers)} of {len(clips)} clips are spoken much faster or slower than the others"
    if outliers:
        measured += f" ({name_some([f'{one.id} {one.symbols_per_second / one.median:.1f} times' for one in outliers])})"
    many = len(outliers) > OUTLIER_SHARE * len(clips)
    return Finding(measured, "listen whether their texts are what is spoken, and mend or remove them" if many else "")


def hard_clips(losses: dict[str, float]) -> Finding:
    """Clips that stay hard to predict while the others do not: noise, another voice, another text."""
    middle = median(losses.values())
    far = max(HARD_FACTOR * middle, middle + HARD_MADS * median(abs(loss - middle) for loss in losses.values()))
    hard = sorted((id_ for id_, loss in losses.items() if loss > far), key=lambda id_: -losses[id_])
    measured = f"{len(hard)} of {len(losses)} clips looked at have a far larger teacher-forced loss than the others"
    if hard:
        measured += f" ({name_some([f'{id_} {losses[id_] / middle:.1f} times' for id_ in hard])})"
    many = len(hard) > OUTLIER_SHARE * len(losses)
    return Finding(measured, "listen to them: noise, another voice, or another text" if many else "")


def batches(clips: Sequence[Clip], stage: AcousticStage) -> Finding:
    """Few clips in a batch agree on little but the mean sound of speech."""
    sampler = LengthBatches(numbers(clips, "n_frames").tolist(), stage.batch_size, stage.batch_frames, seed=0)
    size = len(clips) / len(sampler.epoch(0))
    measured = f"a batch has {size:.0f} clips on average"
    bound = "batch_frames" if size < 0.8 * stage.batch_size else "batch_size"
    small = size < SMALL_BATCH
    return Finding(measured, f"raise trainer.acoustic.{bound}={getattr(stage, bound)}" if small else "")


def amount(clips: Sequence[Clip]) -> Finding:
    """Attention is learned from many different sentences."""
    minutes = float(numbers(clips, "seconds").sum()) / 60
    measured = f"there are {len(clips)} clips, {minutes:.0f} minutes of speech, to learn from"
    little = minutes < FEW_MINUTES or len(clips) < FEW_CLIPS
    advice = f"attention wants {FEW_MINUTES} minutes and {FEW_CLIPS} clips at least: record more"
    return Finding(measured, advice if little else "")


def clip_losses(
    model: AcousticModel,
    clips: Sequence[Clip],
    audio: AudioConfig,
    device: torch.device,
    speakers: Sequence[str] = ONE_SPEAKER,
) -> dict[str, float]:
    """Mean absolute error of the normalised mel, teacher-forced, by clip; of PROBED clips spread over the corpus."""
    chosen = sorted(_spread(clips, PROBED), key=lambda clip: clip.n_frames)
    dataset = AcousticDataset(chosen, audio, speakers)
    losses: dict[str, float] = {}
    for first in range(0, len(chosen), SMALL_BATCH):
        rows = range(first, min(first + SMALL_BATCH, len(chosen)))
        batch = collate_acoustic([dataset[row] for row in rows], audio).to(device)
        made, target = (model.scaler.normalize(mel) for mel in (model(batch).mel.float(), batch.mel))
        mask = batch.mel_mask
        for row, id_ in enumerate(batch.ids):
            one = slice(row, row + 1)
            losses[id_] = float(masked_l1(made[one], target[one], mask[one]))
    return losses


def _spread(clips: Sequence[Clip], n_clips: int) -> list[Clip]:
    """At most so many clips, evenly over the corpus."""
    return [clips[index] for index in range(0, len(clips), max(1, -(-len(clips) // n_clips)))]
