"""The audit as one page, `audit.html`: to look at and to listen to. It asks no network for anything."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tts.atomic import write_atomically
from tts.audio.files import Recording
from tts.data.aligning import Alignment
from tts.data.cache import load_wave
from tts.data.manifest import Clip, Prepared
from tts.data.mismatch import Matching
from tts.evaluation.audit import FEW_MINUTES, NOISY_DB, PAUSE_SECONDS, RARE, Audit, Finding, Heard
from tts.evaluation.audit_figures import bar_list, histogram
from tts.evaluation.page import PAUSE, START, fill_template
from tts.evaluation.page_figures import data_uri, escape, mp3, waveform

PLAYED_SUSPECTS = 12  # clips of a finding that can be heard: where texts do not match, and elsewhere
PLAYED = 3
LISTED = 60  # ids of a finding that are named; audit.json has all
VERDICTS = {"bad": "mend this", "open": "have a look", "good": "good"}
PLAYABLE = ("texts and sound", "rate of speech", "clipping", "pauses", "noise", "same sound")


def write_page(audit: Audit, prepared: Prepared, heard: Heard, folder: Path) -> Path:
    """Write FOLDER/audit.html, whole or not at all; returns its path.

    Raises:
        DataError: if a clip is gone from the cache.
        OSError: if the page cannot be written.
    """
    sections = [
        ("findings", "Findings", _findings(audit)),
        ("texts", "Texts and sound", _matching(audit)),
        ("clips", "Clips to hear", _clips(audit, prepared, heard)),
        ("durations", "Clips in figures", _plots(audit)),
        ("symbols", "Symbols", _symbols(audit)),
        ("speakers", "Speakers", _speakers(audit)),
        ("words", "Guessed words", _words(audit)),
    ]
    there = [(key, title, content) for key, title, content in sections if content]
    links = "".join(f'<a href="#{key}">{title}</a>' for key, title, _ in there)
    head = f'{_head(audit)}<nav class="contents" aria-label="contents">{links}</nav>'
    body = "\n".join(f'<section id="{key}"><h2>{title}</h2>{content}</section>' for key, title, content in there)
    page = fill_template(f"{audit.recipe}: audit", f"<header>{head}</header>\n<main>\n{body}\n</main>")
    write_atomically(folder / "audit.html", page.encode())
    return folder / "audit.html"


def _head(audit: Audit) -> str:
    counts = {kind: sum(finding.verdict == kind for finding in audit.findings) for kind in VERDICTS}
    chips = "".join(
        f'<li><span class="chip {kind}">{escape(words)}: {counts[kind]}</span></li>' for kind, words in VERDICTS.items()
    )
    lead = f"{audit.n_clips} clips, {audit.hours:.2f} hours of speech."
    if worst := [finding.words for finding in audit.findings if finding.verdict == "bad"]:
        lead += f" Before training: {worst[0]}."
    return (
        f'<p class="eyebrow">Audit of a corpus · {escape(audit.corpus)}</p><h1>{escape(audit.recipe)}</h1>'
        f'<ul class="chips">{chips}</ul><p class="lead">{escape(lead)}</p>'
    )


def _findings(audit: Audit) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(finding.name)}</th><td><span class="chip {finding.verdict}">'
        f"{VERDICTS[finding.verdict]}</span></td><td>{escape(finding.words)}{_ids(finding)}</td></tr>"
        for finding in audit.findings
    )
    return f'<div class="wide"><table><tbody>{rows}</tbody></table></div>'


def _ids(finding: Finding) -> str:
    if not finding.ids:
        return ""
    more = f" and {len(finding.ids) - LISTED} more, see audit.json" if len(finding.ids) > LISTED else ""
    listed = " ".join(f"<code>{escape(id_)}</code>" for id_ in finding.ids[:LISTED])
    return f"<details><summary>{len(finding.ids)} clips</summary><div>{listed}{more}</div></details>"


def _matching(audit: Audit) -> str:
    """How well texts fit, over all clips."""
    found = audit.matching
    if found is None:
        return ""
    scores = [clip.score for clip in audit.clips.values() if clip.score is not None]
    limit = found.limit
    good = [score for score in scores if limit is None or score >= limit]
    bad = [score for score in scores if limit is not None and score < limit]
    drawing = histogram(good, "log likelihood of a frame", "how well each text fits its sound", bad, limit)
    return f"<p>{escape(_in_words(found))}</p>{drawing}"


def _in_words(found: Matching) -> str:
    if found.unclear or found.right is None:
        return f"{found.unclear}."
    wrong = "could not be aligned at all" if found.wrong is None else f"{found.wrong:.1f}"
    failed = sum(suspect.score is None for suspect in found.suspects)
    return (
        "Every text was laid along its sound by forced alignment. The median clip scores "
        f"{found.right:.1f} with its own text; with the text of another clip: {wrong}. Below {found.limit:.1f} a text "
        f"is taken for a wrong one. {failed} clips could not be aligned with their text, which says the same."
    )


def _clips(audit: Audit, prepared: Prepared, heard: Heard) -> str:
    """The worst clips of each finding, with their sound."""
    by_id = {clip.id: clip for clip in prepared.clips}
    parts, played = [], set()
    for finding in audit.findings:
        if finding.name not in PLAYABLE:
            continue
        at_most = PLAYED_SUSPECTS if finding.name == "texts and sound" else PLAYED
        for id_ in finding.ids[:at_most]:
            if id_ in by_id and id_ not in played:
                played.add(id_)
                parts.append(_clip(by_id[id_], finding, audit, heard.own.get(id_), prepared.audio.sample_rate))
    return "\n".join(parts)


def _clip(clip: Clip, finding: Finding, audit: Audit, aligned: Alignment | None, sample_rate: int) -> str:
    recording, facts = Recording(load_wave(clip.cache_file), sample_rate), audit.clips[clip.id]
    limit = audit.matching.limit if audit.matching else None
    figures = {
        "fit": "none" if facts.score is None else f"{facts.score:.1f}",
        "symbols a second": f"{facts.symbols / facts.seconds:.1f}",
        "longest pause": f"{facts.longest_pause:.2f} s",
        "above noise": f"{facts.snr:.0f} dB",
        "clipped": f"{facts.clipping:.2%}",
    }
    values = "".join(f'<span class="values">{name} {escape(value)}</span>' for name, value in figures.items())
    uri = data_uri(mp3(recording), "audio/mpeg")
    return (
        f'<article class="sentence" data-all="yes" data-seconds="{clip.seconds:.3f}"><header>'
        f'<code>{escape(clip.id)}</code><span>{escape(clip.speaker)}</span><span class="chip {finding.verdict}">'
        f'{escape(finding.name)}</span></header><h3>{_text(clip, aligned, limit)}</h3><div class="tracks">'
        f'<div class="track" style="--c:var(--c0)" data-key="1" data-title="{escape(clip.id)}">'
        f'<button type="button" class="play" aria-label="play: {escape(clip.id)}" hidden>{START}{PAUSE}</button>'
        f'<div class="name">as cached<small>{clip.seconds:.2f} s</small></div><div class="wave">'
        f"{waveform(recording.wave, clip.seconds, clip.seconds)}"
        f'<audio controls preload="none" aria-label="{escape(clip.id)}" src="{uri}"></audio></div>'
        f'<div class="said">{values}</div></div></div></article>'
    )


def _text(clip: Clip, aligned: Alignment | None, limit: float | None) -> str:
    """The words as they are read, those that fit worse than wrong texts do marked."""
    if aligned is None or limit is None:
        return escape(clip.text)
    return " ".join(
        f'<mark title="{word.score:.0f}">{escape(word.word)}</mark>' if word.score < limit else escape(word.word)
        for word in aligned.words
    )


def _plots(audit: Audit) -> str:
    clips = audit.clips.values()
    drawn: list[tuple[str, Sequence[float], str, float | None]] = [
        ("duration", [clip.seconds for clip in clips], "seconds", None),
        ("rate of speech", [clip.symbols / clip.seconds for clip in clips], "symbols a second", None),
        ("speech above the noise floor", [clip.snr for clip in clips], "dB", NOISY_DB),
        ("noise floor as recorded", [clip.noise for clip in clips], "dB of full scale", None),
        ("loudness as recorded", [clip.loudness for clip in clips], "LUFS", None),
        ("silence trimmed at the ends", [clip.trimmed for clip in clips], "seconds", None),
        ("longest pause within", [clip.longest_pause for clip in clips], "seconds", PAUSE_SECONDS),
        ("silence", [100 * clip.silence for clip in clips], "% of the clip", None),
    ]
    plots = "".join(
        f"<div><h3>{title}</h3>{histogram(values, unit, title, limit=limit)}</div>"
        for title, values, unit, limit in drawn
    )
    note = '<p class="quiet">Heights are square roots of counts: a few clips far off stay visible.</p>'
    return f'<div class="plots">{plots}</div>{note}'


def _symbols(audit: Audit) -> str:
    return bar_list(_by_count({_shown(symbol): count for symbol, count in audit.symbols.items()}), "times", RARE)


def _shown(symbol: str) -> str:
    return {" ": "word boundary", "~": "end"}.get(symbol, symbol)


def _by_count(counts: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(counts.items(), key=lambda pair: -pair[1]))


def _speakers(audit: Audit) -> str:
    named = {name or "without a name": minutes for name, minutes in audit.speakers.items()}
    return bar_list(named, "minutes", FEW_MINUTES)


def _words(audit: Audit) -> str:
    if not audit.words_guessed:
        return ""
    listed = "".join(f"<li>{escape(word)} ({count})</li>" for word, count in list(audit.words_guessed.items())[:200])
    return f'<ul class="summary" style="columns:4 10rem">{listed}</ul>'
