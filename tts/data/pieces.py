"""Clips cut at pauses and joined to longer utterances, so that training sees one word and half a minute.

Every epoch still has every clip, or all pieces of it, once; which are cut and what is joined depends on the seed and
the number of the epoch alone. A clip is cut where it pauses at a punctuation mark: only if it has as many pauses as
marks between words, and no piece would be spoken much faster or slower than the clip.

Shapes: T_text symbols, T_mel frames.
"""

import random
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from tts.data.cache import load_mel
from tts.data.datasets import AcousticDataset, AcousticItem
from tts.data.manifest import Clip
from tts.data.part import WHOLE, Part
from tts.data.pauses import pauses, quiet_frames
from tts.data.sampler import check_enough, endless, length_batches
from tts.errors import DataError
from tts.settings import AcousticStage, AudioConfig
from tts.speakers import ONE_SPEAKER
from tts.text.symbols import BOUNDARY, END, MARKS

BETWEEN_SECONDS = 0.25  # of silence between joined utterances; their ends have a little of their own
KEPT_SECONDS = 0.05  # of a pause that a piece keeps at a cut
PACE_FACTOR = 1.6  # a piece spoken this many times faster or slower than its clip was cut at a wrong place


class Piece(NamedTuple):
    """A part of a clip; both ranges are half open."""

    clip: int  # index
    start_frame: int
    end_frame: int
    start_symbol: int
    end_symbol: int  # without the symbol of the end

    @property
    def n_frames(self) -> int:
        """Its length."""
        return self.end_frame - self.start_frame


Joined = tuple[Piece, ...]  # what becomes one utterance


def whole(index: int, clip: Clip) -> Piece:
    """A clip as a piece."""
    return Piece(index, 0, clip.n_frames, 0, len(clip.ids) - (clip.symbols[-1] == END))


def cut(index: int, clip: Clip, audio: AudioConfig) -> list[Piece]:
    """The pieces of a clip between its pauses at marks; the whole of it where text and sound do not agree on them."""
    uncut = whole(index, clip)
    pairs = list(pairwise(clip.words))
    borders = [(left.end, right.start) for left, right in pairs]
    marked = [(end, start) for end, start in borders if any(mark in MARKS for mark in clip.symbols[end:start])]
    if not marked:
        return [uncut]
    found = pauses(quiet_frames(load_mel(clip.cache_file), audio), audio.frame_seconds)
    if len(found) != len(marked):
        return [uncut]
    keep = round(KEPT_SECONDS / audio.frame_seconds)
    pieces, frame, symbol = [], 0, 0
    for pause, (end, start) in zip(found, marked, strict=True):
        marks = sum(mark in MARKS for mark in clip.symbols[end:start])
        pieces.append(Piece(index, frame, min(pause.start + keep, pause.end), symbol, end + marks))
        frame, symbol = max(pause.end - keep, pause.start), start
    pieces.append(Piece(index, frame, uncut.end_frame, symbol, uncut.end_symbol))
    pace = uncut.n_frames / uncut.end_symbol
    paces = [piece.n_frames / (piece.end_symbol - piece.start_symbol) / pace for piece in pieces]
    return pieces if all(1 / PACE_FACTOR < one < PACE_FACTOR for one in paces) else [uncut]


class PieceBatches(Sampler[list[Joined]]):
    """Endless batches of utterances of similar length, some cut and some joined: see the file's first lines.

    Args:
        clips: those to train on.
        audio: the mel contract.
        stage: shares of what is cut and joined, and the bounds of utterances and batches.
        seed: of all that is drawn.
        start: number of the first batch.
        part: whose shares of the batches these are.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        audio: AudioConfig,
        stage: AcousticStage,
        seed: int,
        start: int = 0,
        part: Part = WHOLE,
    ):
        self.clips = clips
        self.stage = stage
        self.seed = seed
        self.start = start
        self.part = part
        self.between = round(BETWEEN_SECONDS / audio.frame_seconds)
        self.longest = min(stage.batch_frames, round(stage.join_seconds / audio.frame_seconds))
        self.wholes = [whole(index, clip) for index, clip in enumerate(clips)]
        self.cuts = [cut(index, clip, audio) if stage.cut else [] for index, clip in enumerate(clips)]

    def __iter__(self) -> Iterator[list[Joined]]:
        for batch in endless(self.epoch, self.start):
            yield [batch[place] for place in self.part.share([self._length(utterance) for utterance in batch])]

    def epoch(self, number: int) -> list[list[Joined]]:
        """The whole batches of one epoch, in order."""
        rng = random.Random(f"pieces {self.seed} {number}")
        utterances = self._utterances(rng)
        lengths = [self._length(utterance) for utterance in utterances]
        check_enough(len(lengths), self.part, "utterances to train on, clips being joined,")
        batches = length_batches(lengths, self.stage.batch_size, self.stage.batch_frames, rng, least=self.part.of)
        return [[utterances[index] for index in batch] for batch in batches]

    def _utterances(self, rng: random.Random) -> list[Joined]:
        """All clips, cut and joined as it is drawn."""
        by_speaker: dict[str, list[Piece]] = {}
        for clip, uncut, pieces in zip(self.clips, self.wholes, self.cuts, strict=True):
            cuts = len(pieces) > 1 and rng.random() < self.stage.cut
            by_speaker.setdefault(clip.speaker, []).extend(pieces if cuts else [uncut])
        utterances: list[Joined] = []
        for left in by_speaker.values():
            rng.shuffle(left)
            while left:
                utterance = [left.pop()]
                if rng.random() < self.stage.join:
                    wanted = rng.uniform(self._length(utterance), self.longest)
                    while left and self._length([*utterance, left[-1]]) <= (wanted if utterance[1:] else self.longest):
                        utterance.append(left.pop())
                utterances.append(tuple(utterance))
        return utterances

    def _length(self, utterance: Sequence[Piece]) -> int:
        """Frames."""
        return sum(piece.n_frames for piece in utterance) + self.between * (len(utterance) - 1)


class PieceDataset(Dataset[AcousticItem]):
    """Utterances made of pieces of clips.

    Args:
        clips: those that the pieces index.
        audio: the mel contract.
        speakers: the table of the corpus.
    """

    def __init__(self, clips: Sequence[Clip], audio: AudioConfig, speakers: Sequence[str] = ONE_SPEAKER):
        self.whole = AcousticDataset(clips, audio, speakers)
        self.between = round(BETWEEN_SECONDS / audio.frame_seconds)
        ids: dict[str, int] = {}
        for clip in clips:
            ids |= zip(clip.symbols, clip.ids, strict=True)
            if BOUNDARY in ids and END in ids:
                break
        missing = [name for name, symbol in (("word boundary", BOUNDARY), ("end", END)) if symbol not in ids]
        if missing:
            raise DataError(
                f"no text of the corpus has the symbol of a {missing[0]}, which joining and cutting need; "
                "train with trainer.acoustic.join=0 trainer.acoustic.cut=0"
            )
        self.boundary, self.end = torch.tensor([ids[BOUNDARY]]), torch.tensor([ids[END]])

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, utterance: Joined) -> AcousticItem:
        items = [self.whole[piece.clip] for piece in utterance]
        texts: list[Tensor] = []
        mels: list[Tensor] = []
        paths: list[Tensor] = []
        read = 0  # symbols before the piece
        for piece, item in zip(utterance, items, strict=True):
            mel = item.mel[:, piece.start_frame : piece.end_frame]
            if texts:
                texts.append(self.boundary)
                mels.append(_fade(mels[-1][:, -1], mel[:, 0], self.between))
                paths.append(torch.linspace(read, read + 1, self.between))  # the boundary is read meanwhile
                read += 1
            texts.append(item.text_ids[piece.start_symbol : piece.end_symbol])
            mels.append(mel)
            path = item.reading_path[piece.start_frame : piece.end_frame] - piece.start_symbol
            paths.append(read + path.clamp(0, len(texts[-1])))  # a cut keeps a little of the pause, the mark its place
            read += len(texts[-1])
        # What else an item has, its first piece says.
        return items[0]._replace(
            id="+".join(item.id for item in items),
            text_ids=torch.cat([*texts, self.end]),
            mel=torch.cat(mels, dim=1),
            reading_path=torch.cat(paths),
        )


def _fade(before: Tensor, after: Tensor, n_frames: int) -> Tensor:
    """(n_mels,) quiet frames on both sides of a gap -> (n_mels, n_frames) between them: the room goes on."""
    share = (torch.arange(n_frames) + 0.5) / n_frames
    return torch.lerp(before[:, None], after[:, None], share[None])
