"""What a recipe plans for a training step: frames of a decoder step, what the decoder hears, how strong guidance is.

A pure function of the step and of the step at which the remedy began, so a run that resumes has nothing to restore.
"""

from typing import NamedTuple

from tts.settings import AcousticStage


class Plan(NamedTuple):
    """What holds at a training step."""

    reduction: int  # frames per decoder step
    guided_weight: float  # of the guided attention loss
    frames_heard: float  # share of utterances whose decoder LSTM hears the frames


def plan_at(stage: AcousticStage, step: int, remedy_at: int | None = None) -> Plan:
    """The recipe's plan at a step.

    The remedy for attention that does not align: for `remedy_steps` the largest reduction factor of the plan, with
    which an utterance has the fewest decoder steps, and its largest share of frames heard; and guidance as strong as at
    first, times `remedy_guidance`, which fades from then on as it did before. Then the plan goes on where it would be.

    Args:
        stage: the recipe's settings.
        step: of the training.
        remedy_at: the step at which the remedy began; None: there was none.
    """
    if remedy_at is None or step < remedy_at:
        return Plan(stage.reduction_at(step), _guidance(stage, step), stage.frames_heard_at(step))
    guidance = stage.remedy_guidance * _guidance(stage, step - remedy_at)
    if step < remedy_at + stage.remedy_steps:
        return Plan(max(stage.reduction.values()), guidance, max(stage.frames_heard.values()))
    return Plan(stage.reduction_at(step), guidance, stage.frames_heard_at(step))


def remedy_in_words(stage: AcousticStage, step: int) -> str:
    """What the remedy that begins at a step changes."""
    before, after = plan_at(stage, step), plan_at(stage, step, remedy_at=step)
    frames = f"{after.reduction} frames a decoder step"
    frames += f" instead of {before.reduction}" if after.reduction != before.reduction else ", the most there are"
    guidance = f"guided attention weighs {after.guided_weight:.3g} instead of {before.guided_weight:.3g}"
    return f"remedy, once: until step {step + stage.remedy_steps} {frames}; {guidance}, and fades again from here"


def _guidance(stage: AcousticStage, steps: int) -> float:
    """Weight of the guidance so many steps after it began."""
    return float(stage.guided_weight * 0.5 ** (steps / stage.guided_halving))
