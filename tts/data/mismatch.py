"""Which texts are not what is spoken: those that fit their sound hardly better than the text of another clip would.

How well right texts fit depends on voice and room, and so does how badly wrong ones do. Both are measured in the corpus
itself: every clip is aligned with its own text, and some with the text of another clip that is about as long.
"""

import random
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from tts.data.aligning import Alignment
from tts.data.manifest import Clip, sentence_of

SWAPPED = 40  # clips that are aligned with a wrong text too
# Of the way from the median of right texts to that of wrong ones. On real speech of two speakers the worst of 500 right
# texts came 0.25 of the way, the best of 1,500 wrong ones 0.43 (and 900 of those could not be aligned at all).
LIMIT_SHARE = 0.34
USUAL_GAP = 42.0  # between those medians on clean speech, where no wrong text could be aligned at all
LEAST_GAP = 12.0  # of those medians: below it nothing can be told


class Suspect(NamedTuple):
    """A clip whose text is hardly what is spoken."""

    id: str
    score: float | None  # of its alignment; None: text and sound cannot be aligned


class Matching(NamedTuple):
    """How texts and sound fit in a corpus. Scores are log likelihoods of a frame, in Sphinx's units."""

    right: float | None  # median score of the clips with their own texts
    wrong: float | None  # median score of clips with wrong texts; None: none of those could be aligned
    limit: float | None  # scores below are suspects
    suspects: list[Suspect]  # the worst first
    unclear: str  # why nothing can be told; empty if it can


def swapped(clips: Sequence[Clip], seed: int = 0, count: int = SWAPPED) -> list[tuple[Clip, Clip]]:
    """Some clips, each with another that says something else in about as many symbols."""
    by_length = sorted(clips, key=lambda clip: (len(clip.ids), clip.id))
    pairs = [(a, b) for a, b in pairwise(by_length) if sentence_of(a.words) != sentence_of(b.words)]
    return random.Random(f"swapped {seed}").sample(pairs, min(count, len(pairs)))


def match(own: Mapping[str, Alignment | None], wrong: Sequence[Alignment | None]) -> Matching:
    """Judge every clip by its own alignment, by id; wrong: alignments of clips with the texts of others."""
    right_scores = [found.score for found in own.values() if found]
    wrong_scores = [found.score for found in wrong if found]
    if len(right_scores) < len(own) / 2:
        return Matching(None, None, None, [], "more than half of the texts cannot be aligned with their sound at all")
    right = median(right_scores)
    between = median(wrong_scores) if wrong_scores else None
    gap = USUAL_GAP if between is None else right - between
    if gap < LEAST_GAP:
        unclear = "the texts fit their sound no better than the texts of other clips would"
        return Matching(right, between, None, [], unclear)
    limit = right - LIMIT_SHARE * gap
    suspects = [Suspect(id_, found and found.score) for id_, found in own.items() if not found or found.score < limit]
    return Matching(right, between, limit, sorted(suspects, key=_badness), "")


def _badness(suspect: Suspect) -> float:
    return float("-inf") if suspect.score is None else suspect.score
