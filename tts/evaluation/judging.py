"""Every judge that is installed listens to every take, on all cores."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tts.errors import TTSError
from tts.evaluation import closeness, likeness, recognition, whisper
from tts.evaluation.closeness import Closeness
from tts.evaluation.likeness import Likeness
from tts.evaluation.measures import Finding, Judge, Measure, Take, Text
from tts.evaluation.naturalness import Naturalness
from tts.evaluation.phone_recognizer import PER, PhoneErrors, PhoneRecognizer
from tts.evaluation.recognition import Intelligibility, build_language_model
from tts.evaluation.whisper import Whisper
from tts.parallel import WorkerDiedError, n_cores, unordered
from tts.progress import progress_bar

# The general language model is slow; it is asked of the voices, and of the recordings that they are held against.
OPEN_FOR = ("voice", "against", "real")
RATED = 10  # sentences; MOS predictors are slow too, and differ less from sentence to sentence than errors do
NO_PHONES = "no phone recogniser; train one on the recordings: python -m tts phones RUN"


@dataclass(frozen=True)
class Panel:
    """Which judges listen; every process builds its own."""

    language_model: str = ""  # folder; empty: no word recogniser
    phones: str = ""  # a phone recogniser; empty: none
    mos: Mapping[str, str] = field(default_factory=dict)  # predictor -> path of its weights
    whisper: str = ""  # folder of a model; empty: Whisper does not listen
    likeness: str = ""  # folder of a speaker encoder; empty: none
    rated: frozenset[str] | None = None  # ids of the sentences that MOS predictors rate; None: all

    def judges(self) -> list[Judge]:
        """The judges, ready to listen."""
        judges: list[Judge] = [Closeness()]
        if self.language_model:
            judges.append(Intelligibility(Path(self.language_model), OPEN_FOR))
        if self.phones:
            judges.append(PhoneErrors(Path(self.phones)))
        if self.whisper:
            judges.append(Whisper(Path(self.whisper)))
        if self.likeness:
            judges.append(Likeness(Path(self.likeness)))
        return [*judges, Naturalness(self.weights, self.rated)]

    @property
    def weights(self) -> dict[str, Path]:
        """Of the MOS predictors."""
        return {name: Path(path) for name, path in self.mos.items()}


def measures_of(panel: Panel) -> list[Measure]:
    """What the judges measure, in the order of the tables."""
    heard = [] if recognition.missing() else [*recognition.CLOSED, *recognition.OPEN]
    phones = [PER] if panel.phones else []
    heard += [*whisper.MEASURES] if panel.whisper else []
    phones += [likeness.LIKENESS] if panel.likeness else []
    return [*heard, *phones, *Closeness.measures, *Naturalness(panel.weights).measures]


def every_measure() -> list[str]:
    """The names of all that can be measured where everything is installed, MOS predictors aside."""
    return [
        m.name
        for m in (
            *recognition.CLOSED,
            *recognition.OPEN,
            *whisper.MEASURES,
            PER,
            likeness.LIKENESS,
            *Closeness.measures,
        )
    ]


def missing(panel: Panel) -> dict[str, str]:
    """What will not be measured, and why.

    Raises:
        TTSError: if weights that the panel names cannot be used; told here, before minutes are spent.
    """
    if panel.phones:
        PhoneRecognizer.load(Path(panel.phones))
    if panel.whisper:
        whisper.check(panel.whisper)
    if panel.likeness:
        likeness.check(panel.likeness)
    reasons = {**closeness.missing(), **Naturalness(panel.weights).missing()}
    if reason := recognition.missing():
        reasons["wer"] = reason
    if not panel.phones:
        reasons["per"] = NO_PHONES
    return reasons


def listen(
    takes: Mapping[str, Sequence[Take]], texts: Sequence[Text], panel: Panel, n_workers: int = 0
) -> dict[tuple[str, str], Finding]:
    """Judge takes, sentence by sentence, so that what is known of a recording is worked out once.

    Args:
        takes: by the text's id.
        texts: everything that the closed language model knows.

    Returns:
        What was found, by (text id, system).
    """
    found: dict[tuple[str, str], Finding] = {}
    with tempfile.TemporaryDirectory() as folder:
        if not recognition.missing():
            build_language_model(texts, Path(folder))
            panel = replace(panel, language_model=folder)
        panel = replace(panel, rated=frozenset(list(takes)[:RATED]))
        longest_first = sorted(takes.values(), key=lambda of_text: -sum(len(take.wave) for take in of_text))
        with progress_bar(len(takes), "judging", " sentences") as bar:
            for findings in _judged(longest_first, panel, n_workers or n_cores()):
                found.update(findings)
                bar.update()
    return found


def _judged(jobs: Sequence[Sequence[Take]], panel: Panel, n_workers: int) -> Iterator[dict[tuple[str, str], Finding]]:
    if n_workers == 1 or len(jobs) == 1:
        _start(panel)
        yield from map(_judge, jobs)
        return
    try:
        for _, findings in unordered(
            _judge, ((None, job) for job in jobs), min(n_workers, len(jobs)), _start, (panel,)
        ):
            yield findings
    except WorkerDiedError:
        raise TTSError(
            "a process that judged was killed, perhaps for lack of memory; run again with workers=1"
        ) from None


_judges: list[Any] = []  # of this process


def _start(panel: Panel) -> None:
    _judges[:] = panel.judges()


def _judge(takes: Sequence[Take]) -> dict[tuple[str, str], Finding]:
    """All judges on every take of a sentence."""
    found = {}
    for take in takes:
        findings = [judge(take) for judge in _judges]
        parts = {name: part for finding in findings for name, part in finding.parts.items()}
        notes = {name: note for finding in findings for name, note in finding.notes.items()}
        found[take.text.id, take.system] = Finding(parts, notes)
    return found
