"""From encoded texts to mels: free-running decodes, judged, and tried again where they failed.

Shapes: T_text symbols, T_mel frames of one text.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from tts.audio.mel import silence_value
from tts.failures import Failure, WordsReport, find_failures, penalty, words_attended
from tts.interfaces import AcousticGeneration, AcousticModel, AttentionWindow, StopReason
from tts.progress import Progress, share_of
from tts.settings import AudioConfig
from tts.speakers import ONE_SPEAKER, speaker_id
from tts.text.frontend import WordSpan
from tts.variance import LostVariance, give_back, of_speaker

BATCH = 16  # texts decoded at once
TRIES = 4  # decodes of a text that fails
FREE_TRIES = 2  # of them with attention free to go anywhere; the others keep it to a window
WINDOW = AttentionWindow()
REST_SECONDS = 0.4  # on the end of a text that was read, after which a decode ends without the stop token
# Bounds of a decode, against the fastest and the slowest training clip.
FASTEST, SLOWEST = 0.5, 2.0
MIN_SECONDS = 0.1  # of sound in any decode: the shortest words there are
ROOM = 40  # frames a decode may take beyond the slowest: a short text is silence for the most part
LONGEST = 200  # symbols of a text at most, where a voice does not tell what it was trained on


class Encoded(Protocol):
    """A text ready for the acoustic model: an `EncodedText`, or a prepared clip."""

    @property
    def ids(self) -> Sequence[int]: ...  # noqa: D102
    @property
    def words(self) -> Sequence[WordSpan]: ...  # noqa: D102
    @property
    def speaker(self) -> str: ...  # noqa: D102 - empty: the voice's first


class Lengths(NamedTuple):
    """What training has seen: the bounds of what a voice can be asked."""

    max_frames_per_symbol: float  # of the slowest clip
    min_frames_per_symbol: float = 0.0  # of the fastest clip
    max_symbols: int = LONGEST  # of the longest text

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "Lengths":
        """Those of a checkpoint; older ones know the slowest clip only."""
        return cls(
            float(facts["frames_per_symbol"]),
            float(facts.get("min_frames_per_symbol", 0.0)),
            int(facts.get("max_symbols", LONGEST)),
        )

    @property
    def facts(self) -> dict[str, float]:
        """As a checkpoint keeps them."""
        return {
            "frames_per_symbol": self.max_frames_per_symbol,
            "min_frames_per_symbol": self.min_frames_per_symbol,
            "max_symbols": self.max_symbols,
        }

    def min_frames(self, text: Encoded, frame_seconds: float) -> int:
        """Frames of sound before which a decode does not end by itself."""
        return max(int(FASTEST * self.min_frames_per_symbol * len(text.ids)), round(MIN_SECONDS / frame_seconds))

    def max_frames(self, text: Encoded) -> int:
        """After which a decode is cut off."""
        return int(SLOWEST * self.max_frames_per_symbol * len(text.ids)) + ROOM


class Decoded(NamedTuple):
    """What the acoustic model made of one text."""

    mel: Tensor  # (n_mels, T_mel) contract units
    alignment: Tensor  # (T_text, T_mel)
    stop_probability: Tensor  # (T_mel,)
    stop_reason: StopReason
    words: WordsReport
    failures: tuple[Failure, ...]  # of this decode
    first_failures: tuple[Failure, ...]  # of the first try
    tries: int  # made of this text; the best one was kept
    constrained: bool  # whether attention was kept to a window in the one that was kept


@dataclass(frozen=True)
class Decoder:
    """An acoustic model and what must be known to judge it."""

    acoustic: AcousticModel  # in evaluation mode
    audio: AudioConfig  # its mel contract
    lengths: Lengths  # seen in its training
    speakers: Sequence[str] = ONE_SPEAKER  # its table
    lost_variance: LostVariance = field(default_factory=dict)  # which its mels get back

    @torch.inference_mode()
    def __call__(
        self, texts: Sequence[Encoded], *, seed: int = 0, tries: int = 1, progress: Progress | None = None
    ) -> list[Decoded]:
        """Free-running decodes, in batches; each depends on its own text and the seed only.

        Args:
            texts: encoded with the model's own symbols.
            seed: of the dropout, together with the text's symbols and the number of the try.
            tries: at most so many decodes of a text that fails, each with other dropout, those after FREE_TRIES under
                constraint; the one with the smallest `penalty` is kept, of equals the first.
            progress: told about the first try.

        Raises:
            ConfigError: if a text wants a speaker that the voice does not have.
        """
        decoded: list[Decoded] = []
        for first in range(0, len(texts), BATCH):
            batch = texts[first : first + BATCH]
            longest = max(self.lengths.max_frames(text) for text in batch)
            report = share_of(progress, "decoding", first, len(batch), len(texts), longest)
            decoded += self._decode(batch, seed, 1, report)
        for number in range(2, tries + 1):
            failed = [row for row, made in enumerate(decoded) if made.failures]
            for first in range(0, len(failed), BATCH):
                rows = failed[first : first + BATCH]
                for row, made in zip(rows, self._decode([texts[row] for row in rows], seed, number), strict=True):
                    old = decoded[row]
                    better = penalty(made.failures, made.words) < penalty(old.failures, old.words)
                    kept = made if better else old
                    decoded[row] = kept._replace(first_failures=old.first_failures, tries=number)
        return decoded

    def _decode(
        self, batch: Sequence[Encoded], seed: int, number: int, report: Callable[[int], None] | None = None
    ) -> list[Decoded]:
        """Try `number` of a few texts at once."""
        text_lengths = torch.tensor([len(text.ids) for text in batch])
        ids = torch.zeros(len(batch), int(text_lengths.max()), dtype=torch.long)
        for row, text in enumerate(batch):
            ids[row, : len(text.ids)] = torch.tensor(text.ids)
        device, window = device_of(self.acoustic), WINDOW if number > FREE_TRIES else None
        made = self.acoustic.generate(
            ids.to(device),
            text_lengths.to(device),
            seeds=[text_seed(seed, text.ids, number) for text in batch],
            max_frames=[self.lengths.max_frames(text) for text in batch],
            min_frames=[self.lengths.min_frames(text, self.audio.frame_seconds) for text in batch],
            speaker_ids=torch.tensor([speaker_id(text.speaker, self.speakers) for text in batch], device=device),
            rest_frames=round(REST_SECONDS / self.audio.frame_seconds),
            windows=[window] * len(batch),
            progress=report,
        )
        judged = [_judged(made, row, text, self.audio, number) for row, text in enumerate(batch)]
        return [one._replace(mel=self._moved(one.mel, text)) for one, text in zip(judged, batch, strict=True)]

    def _moved(self, mel: Tensor, text: Encoded) -> Tensor:
        """The mel as lively as its speaker."""
        speaker = self.speakers[speaker_id(text.speaker, self.speakers)]
        return give_back(mel, of_speaker(self.lost_variance, speaker), silence_value(self.audio))


def _judged(made: AcousticGeneration, row: int, text: Encoded, audio: AudioConfig, number: int) -> Decoded:
    """A row without its padding, and what went wrong in it."""
    n_frames = int(made.mel_lengths[row])
    alignment = made.alignment[row, : len(text.ids), :n_frames].float().cpu()
    mel = made.mel[row, :, :n_frames].float().cpu()
    reason = made.stop_reasons[row]
    words = words_attended(alignment, text.words)
    failures = find_failures(alignment, mel, words, stop_reason=reason, frame_seconds=audio.frame_seconds)
    stop_probability = made.stop_probability[row, :n_frames].float().cpu()
    return Decoded(
        mel, alignment, stop_probability, reason, words, failures, failures, number, constrained=number > FREE_TRIES
    )


def device_of(module: nn.Module) -> torch.device:
    """Where a module's weights are now: while it trains, its trainer moves it."""
    return next((tensor.device for tensor in module.state_dict().values()), torch.device("cpu"))


def text_seed(seed: int, ids: Sequence[int], number: int = 1) -> int:
    """A seed of the sentence's own, and of the try: what else is spoken changes nothing."""
    of_try = f":{number}" if number > 1 else ""
    return int.from_bytes(hashlib.sha256(f"{seed}:{list(ids)}{of_try}".encode()).digest()[:7], "big")
