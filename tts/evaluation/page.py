"""The report as one page, `report.html`: to look at and to listen to. It asks no network for anything.

Clips are embedded as MP3 of 64 kbit/s, which every browser plays: 10.7 kB a second of speech.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from string import Template

from tts.atomic import write_atomically
from tts.audio.files import Recording, read_recording
from tts.evaluation.measures import Measure
from tts.evaluation.page_figures import (
    NOTHING,
    bars,
    data_uri,
    decimals,
    difference_whisker,
    escape,
    in_unit,
    marked,
    mp3,
    number,
    picture_uri,
    unit_name,
    waveform,
    whiskers,
    with_unit,
)
from tts.evaluation.report import Comparison, FailureRow, GateResult, Report, SentenceResult, SpokenSentence, System

HELD_OUT = "held out"
BESIDE = 3  # values beside a clip; the others are folded
DIRECTIONS = {"lower": "↓ lower is better", "higher": "↑ higher is better", "one": "→ 1 is best", "": ""}
CHIPS = {"better": "good", "worse": "bad", "cannot tell": "open"}
COST = {"rtf": "real-time factor"}
START = '<svg class="start" viewBox="0 0 16 16" aria-hidden="true"><path d="M4.5 2v12l9-6z"/></svg>'
PAUSE = '<svg class="pause" viewBox="0 0 16 16" aria-hidden="true"><path d="M3.5 2h3v12h-3zM9.5 2h3v12h-3z"/></svg>'


def write_page(report: Report, folder: Path) -> None:
    """Write FOLDER/report.html, whole or not at all; audio and pictures are read from FOLDER.

    Raises:
        AudioError: if a clip that the report names is missing.
        OSError: if a picture is missing, or the page cannot be written.
    """
    page = fill_template(f"{report.voice}: evaluation", _body(report, folder))
    write_atomically(folder / "report.html", page.encode())


def fill_template(title: str, body: str) -> str:
    """A page with our style and player. title: plain text; body: HTML."""
    here = Path(__file__)
    parts = {
        name: here.with_name(f"page.{kind}").read_text("utf-8") for name, kind in (("style", "css"), ("script", "js"))
    }
    template = Template(here.with_name("page.html").read_text("utf-8"))
    return template.substitute(parts, title=escape(title), body=body)


def _body(report: Report, folder: Path) -> str:
    sections = [
        ("figures", "Figures", _figures(report)),
        ("comparison", "Comparison", _comparison(report.comparison, report.measures)),
        ("failures", "Failures", _failures(report.failures)),
        ("missing", "Not measured", _missing(report.missing)),
        ("sentences", "Sentences", _sentences(report, folder)),
        ("cost", "Cost", _cost(report.cost)),
        ("origin", "How it was made", _origin(report)),
    ]
    there = [(key, title, content) for key, title, content in sections if content]
    links = "".join(f'<a href="#{key}">{title}</a>' for key, title, _ in there)
    head = f'{_head(report)}<nav class="contents" aria-label="contents">{links}</nav>'
    body = "\n".join(f'<section id="{key}">{content}</section>' for key, _, content in there)
    return f"<header>{head}</header>\n<main>\n{body}\n</main>"


def _head(report: Report) -> str:
    """Name, verdicts and the summary in words."""
    chips = [_gate_chip(result) for result in report.gate]
    if report.comparison:
        found = report.comparison
        words = f"{found.verdict} than {found.against}"
        if found.verdict == "cannot tell":
            words = f"cannot tell it from {found.against}"
        chips.insert(0, _chip(words, CHIPS[found.verdict]))
    verdicts = f'<ul class="chips">{"".join(f"<li>{chip}</li>" for chip in chips)}</ul>' if chips else ""
    first, *rest = report.summary or ["Nothing was measured."]
    lines = "".join(f"<li>{escape(line)}</li>" for line in rest)
    return (
        f'<p class="eyebrow">Evaluation of a voice · {escape(report.created)}</p>'
        f'<h1>{escape(report.voice)}</h1>{verdicts}<p class="lead">{escape(first)}</p>'
        + (f'<ul class="summary">{lines}</ul>' if lines else "")
    )


def _gate_chip(result: GateResult) -> str:
    found = "not measured" if result.value is None else f"{result.value:.4g}"
    return _chip(f"{'✓' if result.holds else '✗'} {result.condition}: {found}", "good" if result.holds else "bad")


def _chip(text: str, kind: str = "") -> str:
    return f'<span class="chip {kind}">{escape(text)}</span>'


def _figures(report: Report) -> str:
    """Measures down, systems across."""
    shown = [m for m in report.measures if any(m.name in system.estimates for system in report.systems)]
    if not shown:
        return ""
    names = "".join(
        f'<th scope="col" class="number key" style="--c:var(--c{i % 8})">{escape(system.title)}</th>'
        for i, system in enumerate(report.systems)
    )
    rows = "".join(_measure_row(measure, report.systems) for measure in shown)
    meanings = "".join(f"<dt>{escape(m.title)}</dt><dd>{escape(m.meaning)}</dd>" for m in shown)
    return (
        "<h2>Figures <small>with 95 % intervals over sentences</small></h2>"
        f'<div class="wide"><table><thead><tr><th scope="col">measure</th><th scope="col"></th>{names}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
        f'<details class="meanings"><summary>what the measures mean</summary><dl>{meanings}</dl></details>'
    )


def _measure_row(measure: Measure, systems: Sequence[System]) -> str:
    found = [system.estimates.get(measure.name) for system in systems]
    places = decimals([in_unit(estimate.value, measure.unit) for estimate in found if estimate])
    cells = []
    for estimate in found:
        if estimate is None:
            cells.append(f'<td class="number none">{NOTHING}</td>')
            continue
        span = _span(estimate.low, estimate.high, measure.unit, places)
        value = number(estimate.value, measure.unit, places)
        cells.append(f'<td class="number" title="over {estimate.n} sentences"><b>{value}</b>{span}</td>')
    best = 1.0 if measure.better == "one" else None
    drawing = whiskers(found, [system.title for system in systems], measure.unit, best)
    return f"<tr>{_measure_head(measure)}<td>{drawing}</td>{''.join(cells)}</tr>"


def _measure_head(measure: Measure) -> str:
    small = " ".join(part for part in (unit_name(measure.unit), DIRECTIONS[measure.better]) if part)
    title = f'<span title="{escape(measure.meaning)}">{escape(measure.title)}</span>'
    return f'<th scope="row">{title}<small>{escape(small)}</small></th>'


def _span(low: float | None, high: float | None, unit: str, places: int) -> str:
    if low is None or high is None:
        return "<small>too few to tell</small>"
    return f"<small>{number(low, unit, places)} … {number(high, unit, places)}</small>"


def _comparison(found: Comparison | None, measures: Sequence[Measure]) -> str:
    """Paired differences, where there is another voice."""
    if found is None:
        return ""
    rows = []
    for measure in measures:
        difference = found.differences.get(measure.name)
        if difference is None:
            continue
        places = decimals([in_unit(value, measure.unit) for value in difference[:3]])
        value = number(difference.value, measure.unit, places)
        sign = "+" if difference.value > 0 else ""
        rows.append(
            f"<tr>{_measure_head(measure)}<td>{difference_whisker(difference, measure.unit)}</td>"
            f'<td class="number" title="over {difference.n} sentences"><b>{sign}{value}</b>'
            f"{_span(difference.low, difference.high, measure.unit, places)}</td>"
            f"<td>{_chip(difference.verdict, CHIPS[difference.verdict])}</td></tr>"
        )
    return (
        f"<h2>Against {escape(found.against)} <small>this voice minus the other, on the same sentences</small></h2>"
        f"<p>{_chip(found.verdict, CHIPS[found.verdict])} {escape(found.reason)}</p>"
        '<div class="wide"><table><thead><tr><th scope="col">measure</th><th scope="col"></th>'
        '<th scope="col" class="number">difference</th><th scope="col">this voice is</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _failures(rows: Sequence[FailureRow]) -> str:
    """By group of sentences: what went wrong, and what a second try mended."""
    if not rows:
        return ""
    kinds = list(dict.fromkeys(kind for row in rows for kind in row.counts))
    heads = "".join(f'<th scope="col" class="number">{escape(kind)}</th>' for kind in kinds)
    body = []
    for row in rows:
        counts = (row.counts.get(kind, 0) for kind in kinds)
        cells = "".join(f'<td class="number{"" if count else " none"}">{count}</td>' for count in counts)
        body.append(
            f'<tr><th scope="row">{escape(row.group)}</th><td class="number">{row.n}</td>'
            f'<td class="number">{row.before_retry}</td><td class="number"><b>{row.after_retry}</b></td>'
            f'<td class="bars">{bars(row.before_retry, row.after_retry, row.n)}</td>{cells}</tr>'
        )
    return (
        "<h2>Failures <small>sentences that were not spoken as they should</small></h2>"
        '<div class="wide"><table><thead><tr><th scope="col">sentences</th><th scope="col" class="number">n</th>'
        '<th scope="col" class="number">failed at first</th><th scope="col" class="number">after retries</th>'
        f'<th scope="col"></th>{heads}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'
    )


def _missing(missing: dict[str, str]) -> str:
    if not missing:
        return ""
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{escape(reason)}</dd>" for name, reason in missing.items())
    return f"<h2>Not measured</h2><dl>{lines}</dl>"


def _cost(cost: dict[str, float]) -> str:
    if not cost:
        return ""
    lines = (
        f"<dt>{escape(COST.get(name, name.replace('_', ' ')))}</dt><dd>{value:,.6g}</dd>"
        if math.isfinite(value)
        else ""
        for name, value in cost.items()
    )
    return f"<h2>Cost</h2><dl>{''.join(lines)}</dl>"


def _origin(report: Report) -> str:
    facts = "".join(
        f"<dt>{escape(name)}</dt><dd><code>{escape(fact)}</code></dd>" for name, fact in report.facts.items()
    )
    command = f"<pre>{escape(report.command)}</pre>"
    return f"<h2>How it was made</h2>{command}" + (f'<dl style="margin-top:1rem">{facts}</dl>' if facts else "")


def _sentences(report: Report, folder: Path) -> str:
    """Every sentence, worst first, with its clips."""
    if not report.sentences:
        return ""
    failed = sum(bool(sentence.failures) for sentence in report.sentences)
    hard = sum(sentence.kind != HELD_OUT for sentence in report.sentences)
    filters = (("all", "all", len(report.sentences)), ("failed", "failed", failed), ("hard", "hard", hard))
    buttons = "".join(
        f'<button type="button" data-filter="{key}" aria-pressed="{str(key == "all").lower()}">{title} {count}</button>'
        for key, title, count in filters
    )
    articles = "\n".join(_sentence(i, one, report, folder) for i, one in enumerate(report.sentences, 1))
    return (
        "<h2>Sentences <small>worst first</small></h2>"
        f'<div class="tools" role="group" aria-label="which sentences">{buttons}'
        '<input id="search" type="search" placeholder="find words" aria-label="find words">'
        f'<span class="count quiet" role="status">{len(report.sentences)} of {len(report.sentences)} shown</span>'
        '<span class="quiet"><kbd>space</kbd> play · <kbd>1</kbd>–<kbd>9</kbd> another system, same place · '
        f"<kbd>j</kbd> <kbd>k</kbd> next, previous</span></div>\n{articles}"
    )


def _sentence(index: int, sentence: SentenceResult, report: Report, folder: Path) -> str:
    systems = [(i, system) for i, system in enumerate(report.systems) if system.name in sentence.spoken]
    clips = {system.name: read_recording(folder / sentence.spoken[system.name].audio) for _, system in systems}
    longest = max((_seconds(clip) for clip in clips.values()), default=1.0)
    tracks = "".join(
        _track(i, system, sentence.spoken[system.name], clips[system.name], longest, sentence.text, report.measures)
        for i, system in systems
    )
    failures = "".join(_chip(failure, "bad") for failure in sentence.failures)
    flags = f'data-failed="{_yes(bool(sentence.failures))}" data-hard="{_yes(sentence.kind != HELD_OUT)}"'
    return (
        f'<article class="sentence" id="sentence-{index}" data-all="yes" {flags} data-seconds="{longest:.3f}">'
        f"<header><span>{index}</span><span>{escape(sentence.kind)}</span><code>{escape(sentence.id)}</code>{failures}"
        f'</header><h3>{escape(sentence.text)}</h3><div class="tracks">{tracks}</div>'
        f"{_more(sentence, [system for _, system in systems], report.measures, folder)}</article>"
    )


def _track(
    index: int,
    system: System,
    spoken: SpokenSentence,
    clip: Recording,
    longest: float,
    text: str,
    measures: Sequence[Measure],
) -> str:
    """A clip: button, name, wave, and what was measured and heard."""
    title, seconds = escape(system.title), _seconds(clip)
    beside = [m for m in measures if m.name in spoken.values][:BESIDE]
    figures = (f"{m.title} {with_unit(spoken.values[m.name], m.unit)}" for m in beside)
    values = "".join(f'<span class="values">{escape(figure)}</span>' for figure in figures)
    heard = f"heard: {marked(text, spoken.notes['heard'])}" if "heard" in spoken.notes else ""
    others = (f"{escape(key)}: {escape(note)}" for key, note in spoken.notes.items() if key != "heard")
    said = "<br>".join(part for part in (heard, *others, values) if part)
    return (
        f'<div class="track" style="--c:var(--c{index % 8})" data-key="{index + 1}" data-title="{title}">'
        f'<button type="button" class="play" aria-label="play: {title}" hidden>{START}{PAUSE}</button>'
        f'<div class="name">{title}<small><kbd>{index + 1}</kbd> {seconds:.2f} s</small></div>'
        f'<div class="wave">{waveform(clip.wave, seconds, longest)}'
        f'<audio controls preload="none" aria-label="{title}" src="{data_uri(mp3(clip), "audio/mpeg")}"></audio></div>'
        + (f'<div class="said">{said}</div>' if said else "")
        + "</div>"
    )


def _more(sentence: SentenceResult, systems: Sequence[System], measures: Sequence[Measure], folder: Path) -> str:
    """Folded: phones, every value, the picture; open where the sentence failed."""
    shown = [m for m in measures if any(m.name in sentence.spoken[system.name].values for system in systems)]
    parts = [f'<p class="phones">{escape(sentence.phones)}</p>'] if sentence.phones else []
    if shown:
        heads = "".join(f'<th scope="col" class="number">{escape(system.title)}</th>' for system in systems)
        rows = "".join(
            f"<tr>{_measure_head(m)}"
            + "".join(_value_cell(sentence.spoken[system.name].values.get(m.name), m.unit) for system in systems)
            + "</tr>"
            for m in shown
        )
        head = f'<thead><tr><th scope="col"></th>{heads}</tr></thead>'
        parts.append(f'<div class="wide"><table>{head}<tbody>{rows}</tbody></table></div>')
    picture = ""
    if sentence.picture:
        source = picture_uri(folder / sentence.picture)
        picture = f'<img alt="alignment and mels of this sentence" src="{source}">'
    phones = f"<details><summary>phones and all values</summary><div>{''.join(parts)}</div></details>" if parts else ""
    opened = " open" if sentence.failures else ""
    return phones + (f"<details{opened}><summary>alignment and mels</summary>{picture}</details>" if picture else "")


def _value_cell(value: float | None, unit: str) -> str:
    return f'<td class="number">{number(value, unit)}</td>'


def _seconds(clip: Recording) -> float:
    return len(clip.wave) / clip.sample_rate


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"
