"""A text of any length as sentences short enough to speak at once; only white space between them is lost."""

import re
from itertools import pairwise


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NEVER_LAST = _words(  # a name or a number follows, so their point ends no sentence
    "mr mrs ms messrs dr prof rev gen col capt lt sgt maj cpl gov sen rep hon pres supt insp adm cmdr st mt ft "
    "e.g i.e cf viz vs approx fig figs vol vols"
)
_BEFORE_NUMBER = _words("no nos p pp ch sec art jan feb mar apr jun jul aug sep sept oct nov dec")
# After these, a sentence ends only before a word that often starts one: "the U.S. Army", but "in the U.S. He".
_SOMETIMES_LAST = _words("etc jr sr inc ltd co corp bros dept ave blvd rd esq ph.d")
_STARTERS = _words(
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
_SPAN = re.compile(r"\{[^{}]*\}")
_SHORT_LINE = 40  # characters; a shorter line is taken for a heading or an item of a list, not for wrapped prose


def split_sentences(text: str, max_chars: int = 300) -> list[str]:
    """Sentences in order, none empty, longer ones split at clauses, failing that before conjunctions, else at spaces.

    Joined with spaces, they have exactly the words of `text`. Inline phonemes are never split, and a single word or
    span longer than `max_chars` stays whole.
    """
    # Inline spans are single words while we look for places to split: a character unknown to the text joins them.
    joint = next(chr(code) for code in range(0xE000, 0x110000) if chr(code) not in text)
    held = _SPAN.sub(lambda span: re.sub(r"\s", joint, span.group()), text)
    sentences: list[str] = []
    for block in _blocks(held):
        for sentence in _sentences(block):
            sentences.extend(_shorten(sentence, max_chars))
    return [sentence.replace(joint, " ") for sentence in _attach_mute(sentences)]


def _blocks(text: str) -> list[str]:
    """Paragraphs, and lines that are too short to be wrapped prose when the next one begins anew."""
    blocks: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        lines = [" ".join(line.split()) for line in paragraph.splitlines()]
        joined = ""
        for line in filter(None, lines):
            starts_anew = re.match(r"[\W_]*[A-Z0-9]", line) is not None
            if joined and starts_anew and len(joined) < _SHORT_LINE:
                blocks.append(joined)
                joined = line
            else:
                joined = f"{joined} {line}".strip()
        if joined:
            blocks.append(joined)
    return blocks


def _sentences(block: str) -> list[str]:
    starts = [0, *(match.end() for match in _END.finditer(block) if _is_end(block, match)), len(block)]
    return [block[a:b].strip() for a, b in pairwise(starts)]


def _is_end(block: str, match: re.Match[str]) -> bool:
    """Whether a sentence ends at these marks, judged by the words before and after."""
    following = re.search(r"[\w{]+", block[match.end() :])
    if following is None:
        return False
    word = following.group()
    if word[0].islower() and not word.startswith("{"):
        return False
    if not match.group().startswith(".") or match.group().startswith(".."):
        return True
    before = block[: match.start()].split()
    last = before[-1].lstrip("\"'“‘([") if before else ""
    lower = last.lower()
    if lower in _NEVER_LAST:
        return False
    if lower in _BEFORE_NUMBER:
        return not word[0].isdecimal()
    initials = re.fullmatch(r"[A-Za-z](?:\.[A-Za-z])*", last) is not None and last not in ("I", "a")
    if initials or lower in _SOMETIMES_LAST:
        single = len(last) == 1
        return word.lower() in _STARTERS and not single and word not in ("A", "I")
    return True


def _shorten(sentence: str, max_chars: int) -> list[str]:
    """Parts of at most max_chars, of similar length.

    They are split near the ideal place: at a clause mark, else before a conjunction, else at a space.
    """
    if len(sentence) <= max_chars:
        return [sentence]
    n_parts = -(-len(sentence) // max_chars)
    ideal = len(sentence) / n_parts
    clauses = [match.end() for match in _CLAUSE.finditer(sentence) if ideal / 2 <= match.end() <= max_chars]
    # A conjunction is a weaker reason than a mark: it must not make more parts than are needed.
    least = max(ideal / 2, len(sentence) - (n_parts - 1) * max_chars)
    joints = [match.end() for match in _CONJUNCTION.finditer(sentence) if least <= match.end() <= max_chars]
    spaces = [match.start() for match in re.finditer(r"\s", sentence)]
    fitting = [place for place in spaces if 0 < place <= max_chars]
    places = clauses or joints or fitting or spaces[:1]
    if not places:
        return [sentence]
    place = min(places, key=lambda at: abs(at - ideal))
    rest = sentence[place:].strip()
    return [sentence[:place].strip(), *(_shorten(rest, max_chars) if rest else [])]


def _attach_mute(sentences: list[str]) -> list[str]:
    """Pieces without a letter or digit have nothing to speak; they join the piece before, or else the one after."""
    joined: list[str] = []
    for sentence in sentences:
        mute = not any(character.isalnum() for character in sentence)
        if joined and (mute or not any(character.isalnum() for character in joined[-1])):
            joined[-1] = f"{joined[-1]} {sentence}"
        else:
            joined.append(sentence)
    return joined
