"""What is to be spoken, sentence by sentence: from plain text or SSML to encoded texts, manners, pauses and marks."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from tts.errors import NothingToSayError
from tts.text.frontend import EncodedText, Frontend
from tts.text.split import After, Stretch, split_text
from tts.text.ssml import Break, Manner, Mark, Piece
from tts.text.symbols import BOUNDARY

# Of silence, by what ends before it; within what is spoken at once, the voice makes the pauses that marks ask for.
PAUSE_SECONDS: dict[After, float] = {"clause": 0.12, "sentence": 0.25, "line": 0.35, "paragraph": 0.6}
SENTENCE_SECONDS = PAUSE_SECONDS["sentence"]


class Run(NamedTuple):
    """Symbols of an utterance that are said in one manner."""

    start: int  # its first symbol; it ends where the next one begins
    manner: Manner


class MarkPlace(NamedTuple):
    """A mark before a symbol of an utterance."""

    name: str
    symbol: int


class Utterance(NamedTuple):
    """What is decoded at once: a sentence, or a part of a long one."""

    text: EncodedText
    runs: tuple[Run, ...]
    marks: tuple[MarkPlace, ...]
    pause: float  # seconds of silence before it


class Script(NamedTuple):
    """A whole text."""

    utterances: list[Utterance]
    pause: float  # seconds of silence after the last
    marks: tuple[str, ...]  # at the end
    unspoken: list[str]  # sentences with nothing to pronounce


class _Word(NamedTuple):
    """What stands between white space or tags."""

    text: str
    manner: Manner
    marks: tuple[str, ...]  # before it


class _Block(NamedTuple):
    """Words between two breaks."""

    words: list[_Word]
    pause: float | None  # seconds before it; None: the usual ones
    end: str  # mark at its end, if it has none


class _Sentence(NamedTuple):
    words: Sequence[_Word]
    pause: float
    end: str


def plan_text(text: str, speaker: str, frontend: Frontend, longest: int) -> Script:
    """A plain text of any length.

    Args:
        text: as a person would write it.
        speaker: who says it.
        frontend: of the voice.
        longest: symbols of an utterance at most, if the text can be split; training never went further than its
            longest text, and attention may get lost there.

    Raises:
        NothingToSayError: if nothing in it can be spoken.
    """
    stretches = split_text(text) or [Stretch(text, "paragraph")]  # an empty text gets the frontend's own error
    manner = Manner(speaker=speaker)
    words = [[_Word(word, manner, ()) for word in stretch.text.split()] for stretch in stretches]
    script = _encode(_sentences(words, [stretch.after for stretch in stretches]), frontend, longest)
    script.utterances[0] = script.utterances[0]._replace(pause=0.0)
    return script


def plan_ssml(pieces: Iterable[Piece], speaker: str, frontend: Frontend, longest: int) -> Script:
    """What `parse_ssml` gave; the other arguments and errors are those of `plan_text`."""
    gathered = _blocks(pieces, speaker)
    if not gathered.blocks:
        raise NothingToSayError("nothing to speak in this SSML; give it at least one word, number or letter")
    waiting: list[_Sentence] = []
    for block in gathered.blocks:
        sentences = _divide(block.words)
        if block.pause is not None:
            sentences[0] = sentences[0]._replace(pause=block.pause)
        sentences[-1] = sentences[-1]._replace(end=block.end)
        waiting += sentences
    script = _encode(waiting, frontend, longest)
    return script._replace(pause=gathered.pause, marks=script.marks + gathered.marks)


class _Gathered(NamedTuple):
    blocks: list[_Block]
    pause: float  # seconds after the last block
    marks: tuple[str, ...]  # after the last word


def _blocks(pieces: Iterable[Piece], speaker: str) -> _Gathered:
    """Words between breaks, and between changes of the speaker."""
    blocks: list[_Block] = []
    words: list[_Word] = []
    pause: float | None = 0.0  # before the words
    rest = 0.0  # seconds that were asked for since the last word
    marks: tuple[str, ...] = ()
    for piece in pieces:
        if isinstance(piece, Mark):
            marks = (*marks, piece.name)
        elif isinstance(piece, Break):
            if words:
                blocks.append(_Block(words, pause, "." if piece.between else ","))
                words, pause = [], piece.seconds
            elif piece.seconds is not None and (blocks or not piece.between):
                pause = max(piece.seconds, pause or 0.0)
            rest = rest if piece.between or piece.seconds is None else max(rest, piece.seconds)
        else:
            manner = replace(piece.manner, speaker=piece.manner.speaker or speaker)
            if words and words[-1].manner.speaker != manner.speaker:
                blocks.append(_Block(words, pause, "."))
                words, pause = [], None
            first, *others = piece.text.split() or [""]
            words += [_Word(first, manner, marks), *(_Word(text, manner, ()) for text in others)]
            marks, rest = (), 0.0
    if words:
        blocks.append(_Block(words, pause, "."))
    return _Gathered(blocks, rest, marks)


def _sentences(words: Sequence[Sequence[_Word]], after: Sequence[After]) -> list[_Sentence]:
    """Sentences, or parts of one, with the pauses that those before them ask for."""
    pauses = [SENTENCE_SECONDS, *(PAUSE_SECONDS[each] for each in after[:-1])]
    ends = ["," if each == "clause" else "." for each in after]
    return [_Sentence(*each) for each in zip(words, pauses, ends, strict=True)]


def _divide(words: Sequence[_Word], max_chars: int = 300) -> list[_Sentence]:
    """The sentences of words, long ones in parts."""
    parts = split_text(_written(words), max_chars)
    ends = [0]
    for part in parts:
        ends.append(ends[-1] + len(part.text.split()))
    assert ends[-1] == len(words), "splitting loses no word"
    return _sentences([words[start:end] for start, end in pairwise(ends)], [part.after for part in parts])


def _encode(sentences: Sequence[_Sentence], frontend: Frontend, longest: int) -> Script:
    """Sentences that can be spoken, long ones in parts, and those with nothing to say.

    Raises:
        NothingToSayError: if there are only such.
    """
    script = Script([], 0.0, (), [])
    waiting = list(reversed(sentences))
    marks: tuple[str, ...] = ()  # of sentences with nothing to say
    while waiting:
        sentence = waiting.pop()
        words = [*sentence.words]
        if marks:
            words[0] = words[0]._replace(marks=marks + words[0].marks)
        try:
            utterance = _utterance(sentence._replace(words=words), frontend)
        except NothingToSayError:
            script.unspoken.append(_written(words))
            if not script.utterances and not waiting:
                raise
            marks = tuple(mark for word in words for mark in word.marks)
            continue
        marks = ()
        parts: list[_Sentence] = []
        if len(utterance.text.ids) > longest:
            parts = _divide(words, max(1, len(_written(words)) * longest // len(utterance.text.ids)))
        if len(parts) < 2:
            script.utterances.append(utterance)
            continue
        parts = [*(part._replace(end=",") for part in parts[:-1]), parts[-1]._replace(end=sentence.end)]
        parts[0] = parts[0]._replace(pause=sentence.pause)
        waiting += reversed(parts)
    return script._replace(marks=marks)


def _written(words: Sequence[_Word]) -> str:
    return " ".join(word.text for word in words)


class _Stretch(NamedTuple):
    """Words of a sentence in one manner, or from a mark on."""

    words: list[_Word]
    marks: tuple[str, ...]  # before it


def _utterance(sentence: _Sentence, frontend: Frontend) -> Utterance:
    """A sentence as it is decoded. Raises NothingToSayError."""
    stretches = _stretches(sentence.words)
    whole = frontend(_written(sentence.words))
    starts = [0] if len(stretches) == 1 else _starts(whole, stretches, frontend)
    manners = [stretch.words[0].manner for stretch in stretches]
    if starts is None:
        whole, starts = _joined(stretches, frontend)
    runs = [
        Run(start, manner)
        for place, (start, manner) in enumerate(zip(starts, manners, strict=True))
        if place == 0 or manner != manners[place - 1]
    ]
    marks = [MarkPlace(mark, start) for start, each in zip(starts, stretches, strict=True) for mark in each.marks]
    text = replace(frontend.ended(whole, sentence.end), speaker=manners[0].speaker)
    return Utterance(text, tuple(runs), tuple(marks), sentence.pause)


def _stretches(words: Sequence[_Word]) -> list[_Stretch]:
    """The words by manner and marks; those without a letter or digit go with the words before them."""
    stretches: list[_Stretch] = []
    for word in words:
        mute = not any(character.isalnum() for character in word.text)
        new = not stretches or (word.manner != stretches[-1].words[0].manner and not mute)
        if new or word.marks:
            stretches.append(_Stretch([word], word.marks))
        else:
            stretches[-1].words.append(word)
    return stretches


def _starts(whole: EncodedText, stretches: Sequence[_Stretch], frontend: Frontend) -> list[int] | None:
    """The first symbol of each stretch; None if one is not read as words of its own, as in "$5 million"."""
    starts, words = [0], [word.word for word in whole.words]
    before: list[_Word] = []
    for stretch in stretches[:-1]:
        before += stretch.words
        said = _said(before, frontend)
        if said != words[: len(said)]:
            return None
        starts.append(whole.words[len(said)].start if len(said) < len(words) else len(whole.symbols) - 1)
    return starts


def _said(words: Sequence[_Word], frontend: Frontend) -> list[str]:
    try:
        return [word.word for word in frontend(_written(words)).words]
    except NothingToSayError:
        return []


class _Joined(NamedTuple):
    text: EncodedText
    starts: list[int]  # the first symbol of each stretch


def _joined(stretches: Sequence[_Stretch], frontend: Frontend) -> _Joined:
    """Stretches that were each read alone, as one text. Raises NothingToSayError for one that cannot be said alone."""
    parts = [frontend(_written(stretch.words)) for stretch in stretches]
    boundary = frontend.symbols.index(BOUNDARY)
    symbols, ids, starts = list(parts[0].symbols), list(parts[0].ids), [0]
    words = list(parts[0].words)
    for part in parts[1:]:
        symbols[-1:], ids[-1:] = [BOUNDARY], [boundary]  # in place of the end
        start = len(symbols)
        starts.append(start)
        words += [word._replace(start=start + word.start, end=start + word.end) for word in part.words]
        symbols += part.symbols
        ids += part.ids
    text = replace(
        parts[0],
        text=" ".join(part.text for part in parts),
        normalized=" ".join(part.normalized for part in parts),
        symbols=tuple(symbols),
        ids=ids,
        words=tuple(words),
        guessed=tuple(dict.fromkeys(word for part in parts for word in part.guessed)),
        skipped=tuple(dict.fromkeys(character for part in parts for character in part.skipped)),
    )
    return _Joined(text, starts)
