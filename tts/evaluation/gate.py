"""Conditions that a voice must meet: `cer<0.1,failures<2,griffin_lim.pesq>2`."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tts.errors import ConfigError, nearest
from tts.evaluation.report import VOICE, GateResult, System

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_CONDITION = re.compile(r"(?:(\w+)\.)?(\w+)\s*(<=|>=|<|>)\s*(-?\d+(?:\.\d+)?(?:e-?\d+)?)")


class Condition(NamedTuple):
    """One of them."""

    text: str
    system: str
    measure: str
    sign: str
    bound: float


def read_gate(text: str, measures: Sequence[str]) -> list[Condition]:
    """The conditions, in order.

    Args:
        measures: those that there are.

    Raises:
        ConfigError: for one that cannot be read, or names no measure.
    """
    conditions = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _CONDITION.fullmatch(part)
        if match is None:
            raise ConfigError(f'gate: cannot read {part!r}; write for example gate="cer<0.1,failures<2"')
        system, measure, sign, bound = match.groups()
        if measure not in measures and not measure.startswith("mos_"):
            raise ConfigError(f"gate: there is no measure {measure}{nearest(measure, measures)}")
        conditions.append(Condition(part, system or VOICE, measure, sign, float(bound)))
    return conditions


def check_gate(
    conditions: Sequence[Condition], systems: Sequence[System], constants: Mapping[str, float]
) -> list[GateResult]:
    """Hold estimates, and the constants of the voice's cost, against the conditions. What was not measured fails."""
    results = []
    for condition in conditions:
        system = next((system for system in systems if system.name == condition.system), None)
        found = system.estimates.get(condition.measure) if system else None
        value = found.value if found else constants.get(condition.measure) if condition.system == VOICE else None
        holds = value is not None and COMPARE[condition.sign](value, condition.bound)
        results.append(GateResult(condition.text, value, holds))
    return results
