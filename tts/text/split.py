"""A text of any length as sentences short enough to speak at once; only white space between them is lost."""

import re
from itertools import pairwise
from typing import Literal, NamedTuple

from tts.text.tables import words_of

After = Literal["clause", "sentence", "line", "paragraph"]  # what ends with a stretch, the weakest first


class Stretch(NamedTuple):
    """What is spoken at once, and what ends with it: how long the pause is."""

    text: str
    after: After


_NEVER_LAST = words_of(  # a name or a number follows, so their point ends no sentence
    "mr mrs ms messrs dr prof rev gen col capt lt sgt maj cpl gov sen rep hon pres supt insp adm cmdr st mt ft "
    "e.g i.e cf viz vs approx fig figs vol vols"
)
_BEFORE_NUMBER = words_of("no nos p pp ch sec art jan feb mar apr jun jul aug sep sept oct nov dec")
# After these, a sentence ends only before a word that often starts one: "the U.S. Army", but "in the U.S. He".
_SOMETIMES_LAST = words_of("etc jr sr inc ltd co corp bros dept ave blvd rd esq ph.d")
_STARTERS = words_of(
    "a an the he she it they we you i this that these those there here his her its their our my your in on at by for "
    "from to with but and or so yet if when while as after before since although though however then now what who why "
    "how where which one some many most all no not"
)
_END = re.compile(r"[.!?…。！？]+[\"'”’»)\]]*(?=\s)")
_CLAUSE = re.compile(r"[,;:—–][\"'”’)\]]*(?=\s)|(?<=\s)(?:-|--|—|–)(?=\s)")
# Where a clause without a mark may begin.
_CONJUNCTION = re.compile(
    r"\s(?=(?:and|but|or|nor|so|yet|if|when|while|where|which|who|that|than|because|as|until|since|although|though"
    r"|before|after|unless|then)\s)",
    re.IGNORECASE,
)
_STREETS = words_of("st dr ave blvd rd")  # that end a sentence after a name, before a word that often starts one
_ITEM = re.compile(r"(?:[-*•–·▪]|\(?(?:\d{1,3}|[A-Za-z]|[ivx]{1,5})[.)])\s")  # begins an item of a list
_NUMBER_OF_ITEM = re.compile(r"\(?\d{1,3}")
_FOLLOWING = re.compile(r"[\w{]+")
_NEAR = 100  # characters around a mark that tell whether it ends a sentence
_SPAN = re.compile(r"\{[^{}]*\}")
_SHORT_LINE = 40  # characters; a shorter line is taken for a heading or an item of a list, not for wrapped prose


def split_sentences(text: str, max_chars: int = 300) -> list[str]:
    """The texts of `split_text`."""
    return [stretch.text for stretch in split_text(text, max_chars)]


def split_text(text: str, max_chars: int = 300) -> list[Stretch]:
    """Sentences in order, none empty, longer ones split at clauses, failing that before conjunctions, else at spaces.

    Joined with spaces, they have exactly the words of `text`. Inline phonemes are never split, and a single word or
    span longer than `max_chars` stays whole.
    """
    # Inline spans are single words while we look for places to split: a character unknown to the text joins them.
    joint = next(chr(code) for code in range(0xE000, 0x110000) if chr(code) not in text)
    held = _SPAN.sub(lambda span: re.sub(r"\s", joint, span.group()), text)
    stretches: list[Stretch] = []
    for block in _blocks(held):
        sentences = _sentences(block.text)
        for place, sentence in enumerate(sentences, 1):
            parts = _shorten(sentence, max_chars)
            after: After = block.after if place == len(sentences) else "sentence"
            stretches += [Stretch(part, "clause") for part in parts[:-1]] + [Stretch(parts[-1], after)]
    return [stretch._replace(text=stretch.text.replace(joint, " ")) for stretch in _attach_mute(stretches)]


def _blocks(text: str) -> list[Stretch]:
    """Paragraphs; lines too short to be wrapped prose when the next one begins anew; items of lists."""
    blocks: list[Stretch] = []
    for paragraph in re.split(r"\n\s*\n", text):
        lines = [" ".join(line.split()) for line in paragraph.splitlines()]
        joined = ""
        for line in filter(None, lines):
            starts_anew = re.match(r"[\W_]*[A-Z0-9]", line) is not None and len(joined) < _SHORT_LINE
            if joined and (starts_anew or _ITEM.match(line)):
                blocks.append(Stretch(joined, "line"))
                joined = line
            else:
                joined = f"{joined} {line}".strip()
        if joined:
            blocks.append(Stretch(joined, "paragraph"))
    return blocks


def _sentences(block: str) -> list[str]:
    starts = [0, *(match.end() for match in _END.finditer(block) if _is_end(block, match)), len(block)]
    return [block[a:b].strip() for a, b in pairwise(starts)]


def _is_end(block: str, match: re.Match[str]) -> bool:
    """Whether a sentence ends at these marks, judged by the words before and after."""
    following = _FOLLOWING.search(block, match.end(), match.end() + _NEAR)
    if following is None:
        return False
    word = following.group()
    if word[0].islower() and not word.startswith("{"):
        return False
    if not match.group().startswith(".") or match.group().startswith(".."):
        return True
    before = block[max(0, match.start() - _NEAR) : match.start()].split()
    last = before[-1].lstrip("\"'“‘([") if before else ""
    lower = last.lower()
    starts = word.lower() in _STARTERS and word not in ("A", "I")
    if lower in _STREETS and len(before) > 1 and before[-2][0].isupper():
        return starts
    if lower in _NEVER_LAST:
        return False
    if _NUMBER_OF_ITEM.fullmatch(last) and (len(before) == 1 or _ends(before[-2])):
        return False
    if lower in _BEFORE_NUMBER:
        return not word[0].isdecimal()
    initials = re.fullmatch(r"[A-Za-z](?:\.[A-Za-z])*", last) is not None and last not in ("I", "a")
    if initials or lower in _SOMETIMES_LAST:
        return starts and len(last) > 1
    return True


def _ends(word: str) -> bool:
    """Whether a sentence ended with this word: its point is not that of an abbreviation before a number."""
    return word.endswith((".", "!", "?")) and word.rstrip(".").lower() not in _NEVER_LAST | _BEFORE_NUMBER


def _shorten(sentence: str, max_chars: int) -> list[str]:
    """Parts of at most max_chars, of similar length.

    They are split near the ideal place: at a clause mark, else before a conjunction, else at a space.
    """
    parts: list[str] = []
    rest = sentence
    while len(rest) > max_chars and (place := _cut(rest, max_chars)):
        parts.append(rest[:place].strip())
        rest = rest[place:].strip()
    return [*parts, rest] if rest else parts


def _cut(sentence: str, max_chars: int) -> int:
    """Where to cut a sentence that is too long; 0 where there is no place."""
    n_parts = -(-len(sentence) // max_chars)
    ideal = len(sentence) / n_parts
    reach = max_chars + 12  # the longest conjunction, and the space after it
    clauses = [m.end() for m in _CLAUSE.finditer(sentence, 0, reach) if ideal / 2 <= m.end() <= max_chars]
    # A conjunction is a weaker reason than a mark: it must not make more parts than are needed.
    least = max(ideal / 2, len(sentence) - (n_parts - 1) * max_chars)
    joints = [m.end() for m in _CONJUNCTION.finditer(sentence, 0, reach) if least <= m.end() <= max_chars]
    spaces = [m.start() for m in re.finditer(r"\s", sentence[: max_chars + 1])]
    far = re.search(r"\s", sentence) if not spaces else None
    places = clauses or joints or [place for place in spaces if place] or ([far.start()] if far else [])
    return min(places, key=lambda at: abs(at - ideal), default=0)


def _attach_mute(stretches: list[Stretch]) -> list[Stretch]:
    """Pieces without a letter or digit have nothing to speak; they join the piece before, or else the one after."""
    joined: list[Stretch] = []
    for stretch in stretches:
        mute = not any(character.isalnum() for character in stretch.text)
        if joined and (mute or not any(character.isalnum() for character in joined[-1].text)):
            joined[-1] = Stretch(f"{joined[-1].text} {stretch.text}", stretch.after)
        else:
            joined.append(stretch)
    return joined
