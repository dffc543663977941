"""How well texts are read: against LJSpeech's hand-normalised lines, and how fast.

    python tests/benchmarks/text.py [--quick] [--json] [--misses]

A line is right where the words of the raw text are those of the hand-normalised one, both read: case, punctuation and
hyphens aside, and letters that are spelled as one word (`F B I` is `FBI`). LJSpeech's reader says days as cardinals
("May five"), so its measure is that of `text.days=cardinal`; the default is measured too. Words: longest common runs.
The lines that were not normalised hold no figures; there only abbreviations and letters may be read otherwise.
"""

import argparse
import difflib
import json
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tts.settings import TextConfig
from tts.text.frontend import Frontend
from tts.text.reader import Reader
from tts.text.tokens import spoken_text

METADATA = Path(__file__).parents[2].parent / "shared" / "data" / "ljspeech-350" / "metadata_full.csv"

QUICK = 1_000


class Line(NamedTuple):
    """One clip's text."""

    id: str
    raw: str
    normalized: str


class Score(NamedTuple):
    """Shares of lines and words that are right, and the lines that are not."""

    lines: float
    words: float
    misses: list[tuple[Line, str]]


def read_lines(path: Path = METADATA) -> list[Line]:
    """All lines of LJSpeech's metadata."""
    return [Line(*line.split("|")) for line in path.read_text(encoding="utf-8").splitlines()]


def key(spoken: str) -> list[str]:
    """Words to compare: lower case, no punctuation, hyphens as spaces, runs of single letters joined."""
    words = re.sub(r"[^a-z0-9 ]", "", spoken.lower().replace("-", " ")).split()
    return re.sub(r"\b(?:[a-z] )+[a-z]\b", lambda run: run.group().replace(" ", ""), " ".join(words)).split()


def score(lines: list[Line], cfg: TextConfig) -> Score:
    """How many lines and words are read as they were by hand."""
    reader = Reader(cfg)
    right = same = total = 0
    misses = []
    for line in lines:
        said = spoken_text(reader(line.raw).tokens)
        mine, theirs = key(said), key(spoken_text(reader(line.normalized).tokens))
        right += mine == theirs
        blocks = difflib.SequenceMatcher(None, mine, theirs, autojunk=False).get_matching_blocks()
        same += sum(block.size for block in blocks)
        total += len(theirs)
        if mine != theirs:
            misses.append((line, said))
    return Score(right / len(lines), same / total, misses)


LEFT_ALONE = frozenset(["word", "punctuation", "abbreviation", "initialism", "acronym"])


def changed(lines: list[Line]) -> list[str]:
    """Words of lines without figures that are read as anything but themselves, an abbreviation or letters."""
    reader = Reader(TextConfig())
    tokens = [(line, token) for line in lines for token in reader(line.raw).tokens]
    return [f"{line.id}: {t.text} => {t.spoken} ({t.rule})" for line, t in tokens if t.kind not in LEFT_ALONE]


def speed(lines: list[Line]) -> dict[str, float]:
    """Sentences a second of the whole frontend and of reading alone, on this core, after start."""
    texts = [line.raw for line in lines]
    reader, frontend = Reader(TextConfig()), Frontend(TextConfig())
    for text in texts[:50]:
        frontend(text)
    found = {}
    for name, read in (("reading", reader), ("frontend", frontend)):
        began = time.perf_counter()
        for text in texts:
            read(text)
        found[f"{name}, sentences a second"] = round(len(texts) / (time.perf_counter() - began), 1)
    return found


def start_seconds() -> float:
    """From nothing to the first sentence, in a process of its own."""
    code = "from tts.text.frontend import Frontend; from tts.settings import TextConfig"
    code += "; Frontend(TextConfig())('Dr. Lee, 42.')"
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return round(time.perf_counter() - began, 3)


def sources(lines: list[Line]) -> dict[str, int]:
    """How many words come from each source, over all lines; nothing may be dropped."""
    frontend = Frontend(TextConfig())
    counted: Counter[str] = Counter()
    for line in lines:
        encoded = frontend(line.raw)
        counted.update(word.source for word in encoded.words)
        counted["skipped"] += len(encoded.skipped)
    return dict(counted)


def measure(n_lines: int = 0) -> dict[str, object]:
    """All measures; n_lines: of the first so many, 0: of all."""
    lines = read_lines()
    lines = lines[:n_lines] if n_lines else lines
    differ = [line for line in lines if line.raw != line.normalized]
    equal = [line for line in lines if line.raw == line.normalized]
    cardinal, ordinal = (score(differ, TextConfig(days=days)) for days in ("cardinal", "ordinal"))
    touched = changed(equal)
    return {
        "lines that differ": len(differ),
        "of these right, days as LJSpeech's reader says them": round(cardinal.lines, 4),
        "of their words right": round(cardinal.words, 4),
        "lines right, days as ordinals (the default)": round(ordinal.lines, 4),
        "words right, days as ordinals (the default)": round(ordinal.words, 4),
        "lines that do not differ": len(equal),
        "words changed in these": len(touched),
        "start, seconds": start_seconds(),
        **speed(lines[:2000]),
        "words by source": sources(lines),
        "misses": [*(f"{line.id}: {line.normalized} => {said}" for line, said in cardinal.misses), *touched],
    }


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--misses", action="store_true", help="also list the lines that are read otherwise")
    parser.add_argument("--quick", action="store_true", help=f"only the first {QUICK:,} lines")
    options = parser.parse_args()
    measured = measure(QUICK if options.quick else 0)
    misses = measured["misses"] if options.misses else []
    if not options.misses:
        del measured["misses"]
    if options.json:
        print(json.dumps(measured, indent=1))
        return
    for name, value in measured.items():
        if name != "misses":
            print(f"{name:55} {value}")
    print(*misses, sep="\n")  # type: ignore[misc]


if __name__ == "__main__":
    main()
