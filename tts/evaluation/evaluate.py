"""One command that says how good a voice is: it speaks, judges listen, a report is written.

Shapes: T_wave samples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from tts.atomic import check_writable
from tts.audio.files import Recording, resample, write_wave
from tts.checkpoint import find_half, read_half_recipe
from tts.decoding import TRIES, Decoded, text_seed
from tts.errors import CheckpointError, DataError, TextError
from tts.evaluation import cost, systems, tally
from tts.evaluation.against import compare, deaf_to
from tts.evaluation.drawing import Drawing, draw_all
from tts.evaluation.gate import check_gate, read_gate
from tts.evaluation.judging import Panel, every_measure, listen, measures_of, missing
from tts.evaluation.measures import Estimate, Finding, Measure, Part, Take, estimate
from tts.evaluation.page import write_page
from tts.evaluation.report import VOICE, Comparison, Report, SentenceResult, SpokenSentence, System, write_json
from tts.evaluation.sentences import Item, assign_speakers, hard_items, known_texts, recordings
from tts.evaluation.summary import facts_of, summarize
from tts.evaluation.systems import Spoken
from tts.evaluation.vocoding import Job, vocode_all
from tts.progress import progress_bar
from tts.settings import Recipe
from tts.speaking_command import check_command
from tts.synthesis import Synthesizer
from tts.text.frontend import Frontend

RIVAL = "against"
LONGEST_HEARD = 6.0  # seconds of a hard sentence that failed; babble can be long
# What is slow to speak or to recognise is asked for fewer sentences: enough to give the voice's own figures a meaning.
N_COPIES, N_ESPEAK, N_SAME_MELS = 30, 20, 20
BASELINES = ("real", "vocoder_copy", "griffin_lim", "same_mels", "espeak_ng")

Parts = dict[str, dict[str, Part]]  # by measure, then by the sentence's id


@dataclass(frozen=True)
class Options:
    """What to evaluate, and how."""

    voice: Path
    out: Path
    command: str = ""  # the command line, for the report
    data: str = ""  # folder with metadata.csv; empty: the run's held-out recordings
    speaker: str = ""  # of sentences whose own speaker the voice does not know; empty: its first
    against: Path | None = None
    sentences: int = 50
    hard: bool = True
    baselines: tuple[str, ...] = BASELINES
    other: str = ""  # another system's command line
    gate: str = ""
    panel: Panel = field(default_factory=Panel)
    tries: int = TRIES
    seed: int = 0
    workers: int = 0  # processes that judge; 0: one per core
    device: str = "cpu"


class Performance(NamedTuple):
    """A voice on a set of sentences."""

    decoded: list[Decoded]  # of every item
    waves: dict[str, Tensor]  # by text id: of all that was recorded, and the beginning of what failed
    copies: dict[str, Tensor]  # by text id: copy synthesis of the recordings
    parts: Parts


def evaluate(options: Options) -> Report:
    """Evaluate a voice; writes report.json, report.html, WAVs and pictures to `options.out`.

    Raises:
        TTSError: if there is no voice, nothing to compare it with, or a gate that cannot be read.
    """
    # What is mistyped, missing or forbidden is told before minutes are spent.
    measures = [*tally.MEASURES, *measures_of(options.panel), *cost.MEASURES]
    conditions = read_gate(options.gate, [*(m.name for m in measures), *every_measure(), *cost.CONSTANTS])
    absent = missing(options.panel)
    if options.other:
        check_command(options.other)
    options.out.mkdir(parents=True, exist_ok=True)
    check_writable(options.out / "report.json")
    synthesizer = Synthesizer.load(options.voice, device=options.device)
    files = {kind: path for kind in ("acoustic", "vocoder") if (path := find_half(options.voice, kind))}
    recipe = read_half_recipe(files["acoustic"])
    found = recordings(options.voice, recipe, synthesizer.frontend, options.data, options.sentences)
    items = found.items + (hard_items(recipe, synthesizer.frontend, absent) if options.hard else [])
    items = assign_speakers(items, synthesizer.speakers, options.speaker)
    copies = "vocoder_copy" in options.baselines and synthesizer.vocoder.trainable
    ours = perform(synthesizer, options.voice, items, options, "the voice", copies=copies)
    spent = cost.measure_cost(synthesizer, options.voice, files, found.items, options.seed, options.tries)
    theirs = _rival(options, items, recipe) if options.against else None
    spoken = [Spoken(VOICE, "the voice", ours.waves), *_baselines(options, found.items, ours, recipe, absent)]
    spoken += [Spoken(RIVAL, str(options.against), theirs.waves)] if theirs else []
    spoken = [systems.audible(system, absent) for system in spoken]
    takes = _takes(items, spoken, recipe.audio.sample_rate)
    findings = listen(takes, known_texts(found, items, recipe), options.panel, options.workers)
    parts = {system.name: _parts_of(system, findings) for system in spoken}
    parts[VOICE] |= ours.parts | spent.parts
    if theirs:
        parts[RIVAL] |= theirs.parts
    columns = [System(s.name, s.title, _estimates(measures, parts[s.name])) for s in spoken]
    comparison = _comparison(options, measures, columns, parts) if theirs else None
    voices = [options.voice, *([options.against] if options.against else [])]
    rows = tally.failure_rows(items, ours.decoded)
    heard = _heard(items, spoken, findings, measures, options.out, recipe.audio.sample_rate)
    gate = check_gate(conditions, columns, spent.constants)
    report = Report(
        voice=str(options.voice),
        command=options.command,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        summary=summarize(columns, rows, comparison, gate),
        facts=facts_of(voices, files, recipe.audio, found, items, options.seed, options.tries),
        measures=measures,
        systems=columns,
        failures=rows,
        sentences=_sentences(items, ours.decoded, heard, synthesizer.frontend, options),
        cost=spent.constants,
        missing=absent,
        comparison=comparison,
        gate=gate,
    )
    write_json(report, options.out / "report.json")
    write_page(report, options.out)
    return report


def _estimates(measures: Sequence[Measure], parts: Parts) -> dict[str, Estimate]:
    return {m.name: estimate(m, list(of_measure.values())) for m in measures if (of_measure := parts.get(m.name))}


def _comparison(
    options: Options, measures: Sequence[Measure], columns: Sequence[System], parts: Mapping[str, Parts]
) -> Comparison:
    recorded = next((column.estimates for column in columns if column.name == "real"), {})
    return compare(parts[VOICE], parts[RIVAL], measures, str(options.against), deaf_to(recorded))


def perform(
    synthesizer: Synthesizer, voice: Path, items: Sequence[Item], options: Options, what: str, *, copies: bool
) -> Performance:
    """Decode everything; speak what was recorded, and what failed, so that it can be heard.

    Args:
        copies: also speak the recordings' own mels.
    """
    with progress_bar(100, f"{what} decodes", "%") as bar:
        encoded = [item.encoded for item in items]
        decoded = synthesizer.decode(
            encoded,
            seed=options.seed,
            tries=options.tries,
            progress=lambda _, share: bar.update(int(100 * share) - bar.n),
        )
    longest = round(LONGEST_HEARD / synthesizer.audio.frame_seconds)
    jobs, of_recordings = [], []
    for number, (item, made) in enumerate(zip(items, decoded, strict=True)):
        seed = text_seed(options.seed, item.encoded.ids)
        if item.wave is not None:
            jobs.append(Job(item.text.id, made.mel, seed))
        elif made.failures:
            jobs.append(Job(item.text.id, made.mel[:, :longest], seed))
        if copies and item.mel is not None and number < N_COPIES:
            of_recordings.append(Job(item.text.id, item.mel, seed))
    # Copies in batches of their own: a product of another number of rows rounds differently, and a voice held against
    # itself, which makes no copies the second time, must be the same to the bit.
    waves = vocode_all(jobs, voice, options.device, options.workers, f"{what} speaks")
    # True mels are what the vocoder learned first; one that was tuned knows those of the acoustic model.
    copied = vocode_all(
        of_recordings,
        voice,
        options.device,
        options.workers,
        f"{what} copies recordings",
        vocoder="untuned",
        measured=True,
    )
    names = [item.text.id for item in items]
    parts = {name: dict(zip(names, counted, strict=True)) for name, counted in tally.failure_parts(decoded).items()}
    return Performance(decoded, waves, copied, parts)


def _rival(options: Options, items: Sequence[Item], recipe: Recipe) -> Performance:
    """The other voice on the same sentences, at this voice's rate."""
    assert options.against is not None
    synthesizer = Synthesizer.load(options.against, device=options.device)
    try:
        own = [item._replace(encoded=synthesizer.frontend(item.text.text)) for item in items]
        known = options.speaker in synthesizer.speakers
        own = assign_speakers(own, synthesizer.speakers, options.speaker if known else "")
    except TextError as error:
        raise CheckpointError(f"against={options.against} cannot read these sentences: {error}") from None
    theirs = perform(synthesizer, options.against, own, options, "the other voice", copies=False)
    rate = synthesizer.audio.sample_rate
    waves = {name: resample(Recording(wave, rate), recipe.audio.sample_rate) for name, wave in theirs.waves.items()}
    return theirs._replace(waves=waves)


def _baselines(
    options: Options, items: Sequence[Item], ours: Performance, recipe: Recipe, absent: dict[str, str]
) -> list[Spoken]:
    """ours: decoded begins with what was recorded."""
    spoken = []
    for name in options.baselines:
        if name == "real":
            spoken.append(systems.real(items))
        elif name == "griffin_lim":
            spoken.append(systems.griffin_lim_copy(items, recipe))
        elif name == "same_mels":
            mels = {item.text.id: made.mel for item, made in zip(items[:N_SAME_MELS], ours.decoded, strict=False)}
            spoken.append(systems.same_mels(mels, recipe))
        elif name == "vocoder_copy" and ours.copies:
            spoken.append(Spoken(name, "the vocoder's copy synthesis", ours.copies, copied=True))
        elif name == "vocoder_copy":
            absent[name] = "the voice has no trained vocoder yet: it speaks with Griffin-Lim"
        elif name == "espeak_ng":
            try:
                spoken.append(systems.espeak_ng(items[:N_ESPEAK], recipe))
            except DataError as error:
                absent[name] = str(error)
    if options.other:
        spoken.append(systems.command(options.other, items, recipe, absent))
    return spoken


def _takes(items: Sequence[Item], spoken: Sequence[Spoken], sample_rate: int) -> dict[str, list[Take]]:
    """Every recorded sentence by every system that spoke it."""
    return {
        item.text.id: [
            Take(item.text, system.name, system.waves[item.text.id], sample_rate, item.wave, system.copied)
            for system in spoken
            if item.text.id in system.waves
        ]
        for item in items
        if item.wave is not None
    }


def _parts_of(system: Spoken, findings: Mapping[tuple[str, str], Finding]) -> Parts:
    parts: Parts = {}
    for name in system.waves:
        finding = findings.get((name, system.name))
        for measure, part in (finding.parts if finding else {}).items():
            parts.setdefault(measure, {})[name] = part
    return parts


def _heard(
    items: Sequence[Item],
    spoken: Sequence[Spoken],
    findings: Mapping[tuple[str, str], Finding],
    measures: Sequence[Measure],
    out: Path,
    sample_rate: int,
) -> dict[str, dict[str, SpokenSentence]]:
    """Every sentence by every system, by text id and system; the WAVs are written to `out`."""
    heard: dict[str, dict[str, SpokenSentence]] = {}
    for number, item in enumerate(items, 1):
        name = item.text.id
        heard[name] = {}
        for system in (system for system in spoken if name in system.waves):
            audio = Path("audio") / system.name / f"{number:03d}.wav"
            (out / audio).parent.mkdir(parents=True, exist_ok=True)
            write_wave(out / audio, system.waves[name].clamp(-1, 1), sample_rate)
            found = findings.get((name, system.name), Finding({}))
            values = {m.name: estimate(m, [found.parts[m.name]]).value for m in measures if m.name in found.parts}
            heard[name][system.name] = SpokenSentence(audio.as_posix(), values, dict(found.notes))
    return heard


def _sentences(
    items: Sequence[Item],
    decoded: Sequence[Decoded],
    heard: Mapping[str, dict[str, SpokenSentence]],
    frontend: Frontend,
    options: Options,
) -> list[SentenceResult]:
    """Every sentence, worst first; its picture is drawn to `options.out`."""
    results, drawings = [], []
    for number, (item, made) in enumerate(zip(items, decoded, strict=True), 1):
        text = item.text
        picture = Path("pictures") / f"{number:03d}.png"
        drawings.append(Drawing(made.alignment, made.mel, item.encoded.symbols, text.text, options.out / picture))
        failures = [failure.detail for failure in made.failures]
        phones = frontend.decode(item.encoded.ids)
        spoken = heard[text.id]
        results.append(SentenceResult(text.id, text.text, text.kind, phones, failures, spoken, picture.as_posix()))
    draw_all(drawings, options.workers)
    return sorted(results, key=_badness, reverse=True)


def _badness(sentence: SentenceResult) -> tuple[float, ...]:
    """What failed, then what was misheard, then what is far from its recording."""
    own = sentence.spoken.get(VOICE)
    values = own.values if own else {}
    return (len(sentence.failures), *(values.get(name, 0.0) for name in ("cer", "per", "mcd_db")))
