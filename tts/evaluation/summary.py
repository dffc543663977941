"""An evaluation in words, and the facts that make it repeatable."""

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from tts.checkpoint import file_hash, read_facts
from tts.evaluation.against import deaf_to
from tts.evaluation.measures import Estimate
from tts.evaluation.report import VOICE, Comparison, FailureRow, GateResult, System
from tts.evaluation.sentences import Item, Recordings, fingerprint, trained_on
from tts.settings import AudioConfig
from tts.voice import package_version

LIBRARIES = ("torch", "pocketsphinx", "jiwer", "pyworld", "pesq", "pystoi", "distillmos")


def summarize(
    systems: Sequence[System], failures: Sequence[FailureRow], comparison: Comparison | None, gate: Sequence[GateResult]
) -> list[str]:
    """Sentences for the reader, what matters most first."""
    by_name = {system.name: system.estimates for system in systems}
    voice, recordings = by_name[VOICE], by_name.get("real", {})
    lines = [_failures(failures[0])]
    if "wer" in voice:
        heard = f"A recogniser mishears {voice['wer'].value:.1%} of its words{_interval(voice['wer'])}"
        lines.append(heard + _beside(voice["wer"], recordings.get("wer")) + "; its language model knows the sentences.")
    if "per" in voice:
        lines.append(f"Phones misheard: {voice['per'].value:.1%}" + _beside(voice["per"], recordings.get("per")) + ".")
    if deaf := deaf_to(recordings):
        lines.append(
            f"The recogniser hardly understands the recordings themselves: {', '.join(deaf)} say little of this voice "
            "and decide no comparison."
        )
    if "mcd_db" in voice:
        closeness = f"Distance to the recordings: {voice['mcd_db'].value:.2f} dB of mel cepstrum"
        copies = [(name, by_name[name]["mcd_db"].value) for name in _COPIES if "mcd_db" in by_name.get(name, {})]
        lines.append(closeness + "".join(f", {_COPIES[name]} {value:.2f} dB" for name, value in copies) + ".")
    if "duration_ratio" in voice:
        ratio = voice["duration_ratio"].value
        pace = (
            "as long as"
            if abs(ratio - 1) < 0.02
            else f"{abs(ratio - 1):.0%} {'longer' if ratio > 1 else 'shorter'} than"
        )
        lines.append(f"It takes {pace} the recordings' speaker.")
    if "rtf" in voice:
        faster = "faster" if voice["rtf"].value < 1 else "slower"
        lines.append(f"It computes {voice['rtf'].value:.2f} seconds for a second of speech, {faster} than real time.")
    if comparison:
        lines.insert(0, f"Against {comparison.against}: {comparison.verdict} ({comparison.reason}).")
    broken = [result.condition for result in gate if not result.holds]
    if gate:
        lines.insert(0, f"The gate does not hold: {', '.join(broken)}." if broken else "The gate holds.")
    return lines


_COPIES = {"griffin_lim": "Griffin-Lim copies", "vocoder_copy": "the vocoder's copies"}


def _failures(row: FailureRow) -> str:
    kinds = ", ".join(f"{kind} {count}" for kind, count in row.counts.items() if count)
    how = f" ({kinds})" if kinds else ""
    return f"{row.after_retry} of {row.n} sentences failed{how}; at the first try {row.before_retry}."


def _interval(estimate: Estimate) -> str:
    return "" if estimate.low is None else f" (95 %: {estimate.low:.1%} to {estimate.high:.1%})"


def _beside(ours: Estimate, real: Estimate | None) -> str:
    if real is None:
        return ""
    ratio = f", {ours.value / real.value:.1f} times as many" if real.value else ""
    return f", of the recordings' {real.value:.1%}{ratio}"


def facts_of(
    voices: Sequence[Path],
    files: Mapping[str, Path],
    audio: AudioConfig,
    found: Recordings,
    items: Sequence[Item],
    seed: int,
    tries: int,
) -> dict[str, str]:
    """What was evaluated, with fingerprints."""
    facts = {}
    for kind, path in files.items():
        said = read_facts(path)
        trained = f"step {said.get('step')}, {said.get('minutes')} minutes of training"
        facts[kind] = f"{path}, {trained}, sha256 {file_hash(path)[:16]}"
    facts["mel contract"] = audio.fingerprint
    facts["recordings"] = f"{len(found.items)} sentences of {found.source}"
    for voice in voices:
        if known := trained_on(voice, items):
            facts[f"caution, {voice}"] = f"it was trained on {known} of these sentences, which flatters it"
    facts["sentences"] = f"{len(items)}, fingerprint {fingerprint(items)}"
    facts["seed"] = f"{seed}, at most {tries} tries a sentence"
    facts["versions"] = ", ".join(f"{name} {package_version(name)}" for name in LIBRARIES)
    facts["machine"] = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    return facts
