"""The model card of a voice: what it learned from, how long, how good it is, and what its maker has yet to say."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tts.checkpoint import Stored
from tts.errors import DataError
from tts.evaluation.page_figures import with_unit
from tts.speakers import list_speakers
from tts.voice import Halves

TO_WRITE = "**to be written**"
LIMITS = """\
## Limits

English text only. It speaks as the recordings sound: one way of reading, their room, their pace. A sentence that fails
is decoded again, and named where it fails still. Do not let it say what its speaker would not: a listener may take it
for the person."""
# Systems as columns, in order; a report has some of them.
TITLES = {
    "": "this voice",
    "real": "recordings",
    "vocoder_copy": "vocoder's copies",
    "griffin_lim": "Griffin-Lim copies",
    "same_mels": "Griffin-Lim on this voice's mels",
    "espeak_ng": "espeak-ng",
}


def model_card(halves: Halves, name: str, report: Path, notes: str = "") -> str:
    """MODEL_CARD.md.

    Args:
        name: of the voice.
        report: an evaluation's report.json; left out where it is not there.
        notes: Markdown of the maker: how it was trained, what is known of its limits.

    Raises:
        DataError: if the report cannot be read.
    """
    acoustic, vocoder = halves
    card, recipe = acoustic.recipe.card, acoustic.recipe
    facts = [
        ("Data", card.data or TO_WRITE),
        ("Licence of the data", card.licence or TO_WRITE),
        ("Who speaks", card.speaker or TO_WRITE),
        ("Consent", card.consent or TO_WRITE),
        ("Speakers", list_speakers(acoustic.speakers) if any(acoustic.speakers) else "one"),
        ("Sound", f"{recipe.audio.sample_rate} Hz, mel contract {recipe.audio.fingerprint}"),
        ("Text", f"{recipe.text.units}, English ({recipe.text.style})"),
        ("Acoustic model", _half(acoustic, recipe.acoustic.name)),
        ("Vocoder", _half(vocoder, vocoder.recipe.vocoder.name) if vocoder else "none: Griffin-Lim speaks"),
    ]
    parts = [
        f"# {name}",
        'A voice: `python synthesize.py "text" voice=FOLDER`. It is plain data: loading executes nothing.',
        "\n".join(f"- {title}: {said}" for title, said in facts),
        *([notes.strip()] if notes.strip() else []),
        _evaluation(report),
        LIMITS,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _half(half: Stored, name: str) -> str:
    facts = half.facts
    millions = sum(value.numel() for value in half.weights.values()) / 1e6
    said = (
        f"{name}, {millions:.2f} million parameters, step {facts['step']}, {facts['minutes']:.0f} minutes of training"
    )
    if facts.get("aligned_at") is not None:
        said += f", attention aligned at step {facts['aligned_at']} after {facts.get('aligned_minutes', 0):.1f} minutes"
    return said + (f"; began with {half.recipe.init_from}" if half.recipe.init_from else "")


def _evaluation(path: Path) -> str:
    """The table of a report; empty where there is none."""
    if not path.is_file():
        return f"## How good it is\n\n{TO_WRITE}: `python -m tts evaluate voice=RUN`, then export again"
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        measures: Mapping[str, Any] = report["measures"]
        blocks = {"": report, **report["baselines"]}
        systems = [name for name in TITLES if name in blocks]
        rows = [
            [measure["title"], *(_cell(blocks[system].get(key), measure["unit"]) for system in systems)]
            for key, measure in measures.items()
        ]
        head = ["", *(TITLES[system] for system in systems)]
        lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
        summary = "\n".join(f"- {line}" for line in report["summary"])
        return "\n\n".join(["## How good it is", f"`{report['command']}`", summary, "\n".join(lines)])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is no report of this program ({error}); evaluate the run again") from None


def _cell(found: Mapping[str, Any] | None, unit: str) -> str:
    if not found or found["value"] is None:
        return ""
    if found.get("low") is None:
        return with_unit(found["value"], unit)
    return f"{with_unit(found['value'], unit)} ({with_unit(found['low'], unit)} to {with_unit(found['high'], unit)})"
