"""From text to waveform: the only path. Commands, validation and tests all speak through `Synthesizer`.

Shapes: T_text symbols, T_mel frames, T_wave samples of one sentence.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from tts.checkpoint import find_half, load_acoustic, load_vocoder
from tts.errors import CheckpointError, NothingToSayError
from tts.failures import Failure, WordsReport, find_failures, words_attended
from tts.interfaces import AcousticModel, Vocoder
from tts.settings import AudioConfig
from tts.speakers import ONE_SPEAKER, speaker_id
from tts.text.frontend import EncodedText, Frontend, WordSpan
from tts.text.split import split_sentences

PAUSE_SECONDS = 0.25  # between sentences
BATCH = 16  # sentences decoded at once
VOCODER_BATCH = 48  # sentences vocoded at once; from here on a row is hardly cheaper
TRIES = 3  # decodes of a sentence that fails
ROOM = 40  # frames a decode may take beyond what the slowest training clip would need

Progress = Callable[[str, float], None]  # what is being done, share done in [0, 1]


class Encoded(Protocol):
    """A text ready for the acoustic model: an `EncodedText`, or a prepared clip."""

    @property
    def ids(self) -> Sequence[int]: ...  # noqa: D102
    @property
    def words(self) -> Sequence[WordSpan]: ...  # noqa: D102
    @property
    def speaker(self) -> str: ...  # noqa: D102 - empty: the voice's first


class Decoded(NamedTuple):
    """What the acoustic model made of one text."""

    mel: Tensor  # (n_mels, T_mel) contract units
    alignment: Tensor  # (T_text, T_mel)
    stop_probability: Tensor  # (T_mel,)
    stop_reason: Literal["stop", "limit"]
    words: WordsReport
    failures: tuple[Failure, ...]  # of this decode
    first_failures: tuple[Failure, ...]  # of the first try
    tries: int


@dataclass
class Sentence:
    """One sentence as it was spoken."""

    text: str
    phones: str  # the symbols, "|" between words
    seconds: float
    stop_reason: str
    tries: int
    failures: list[str]  # what went wrong in the decode that was kept, in words
    missed: list[str]
    repeated: list[str]
    words: list[dict[str, str | float]]  # word, start, end; seconds from the start of the whole speech
    guessed: list[str] = field(default_factory=list)  # words whose pronunciation no dictionary has
    skipped: list[str] = field(default_factory=list)  # characters that cannot be spoken


@dataclass
class Speech:
    """A whole text as it was spoken."""

    wave: Tensor  # (T_wave,) in [-1, 1]
    sample_rate: int
    speaker: str  # empty where the voice's only speaker has no name
    sentences: list[Sentence]
    unspoken: list[str]  # stretches of the text with nothing to pronounce
    encoded: list[EncodedText]  # one per sentence, as are the decodes
    decoded: list[Decoded]
    compute_seconds: float

    @property
    def seconds(self) -> float:
        """Duration of the speech."""
        return len(self.wave) / self.sample_rate

    @property
    def rtf(self) -> float:
        """Real-time factor: seconds of computing per second of speech."""
        return self.compute_seconds / self.seconds


class Synthesizer:
    """Speaks with one acoustic model and one vocoder."""

    def __init__(
        self,
        acoustic: AcousticModel,
        vocoder: Vocoder,
        frontend: Frontend,
        audio: AudioConfig,
        *,
        frames_per_symbol: float,
        speakers: Sequence[str] = ONE_SPEAKER,
    ):
        """frames_per_symbol: the slowest seen in training; twice that is the limit of a decode.

        speakers: the voice's table.
        """
        self.acoustic = acoustic
        self.vocoder = vocoder
        self.frontend = frontend
        self.audio = audio
        self.frames_per_symbol = frames_per_symbol
        self.speakers = tuple(speakers)

    @classmethod
    def load(cls, voice: Path, *, vocoder: str = "", device: str = "cpu") -> "Synthesizer":
        """Load a run folder. Without a trained vocoder, or with vocoder="griffin_lim", Griffin-Lim speaks.

        Raises:
            CheckpointError: if a half is missing or foreign, or the two disagree on what a mel is.
        """
        path = find_half(voice, "acoustic")
        if path is None:
            hint = (
                f"python train.py recipe={voice}"
                if (voice / "recipe.yaml").is_file()
                else "python train.py recipe=demo"
            )
            raise CheckpointError(f"{voice} holds no trained acoustic model; train one: {hint}")
        half = load_acoustic(path)
        other = None if vocoder == "griffin_lim" else find_half(voice, "vocoder")
        spoken_by: Vocoder
        if other is None:
            from tts.vocoder import griffin_lim

            spoken_by = griffin_lim.build(griffin_lim.Config(), audio=half.recipe.audio)
        else:
            vocoder_half = load_vocoder(other)
            check_contracts(half.recipe.audio, path, vocoder_half.recipe.audio, other)
            spoken_by = vocoder_half.model
        frontend = Frontend(half.recipe.text, symbols=half.symbols)
        return cls(
            half.model.to(device),
            spoken_by.to(device),
            frontend,
            half.recipe.audio,
            frames_per_symbol=float(half.facts["frames_per_symbol"]),
            speakers=half.speakers,
        )

    @torch.inference_mode()
    def decode(
        self, texts: Sequence[Encoded], *, seed: int = 0, tries: int = 1, progress: Progress | None = None
    ) -> list[Decoded]:
        """Free-running decodes, in batches; each depends on its own text and the seed only.

        Args:
            tries: at most so many decodes of a text that fails, each with other dropout; the one that fails in the
                fewest ways is kept.

        Raises:
            ConfigError: if a text wants a speaker that the voice does not have.
        """
        decoded: list[Decoded] = []
        for first in range(0, len(texts), BATCH):
            batch = texts[first : first + BATCH]
            longest = max(self._limit(text) for text in batch)
            report = _share(progress, "decoding", first, len(batch), len(texts), longest)
            decoded += self._decode_batch(batch, seed, report)
        for number in range(2, tries + 1):
            failed = [row for row, made in enumerate(decoded) if made.failures]
            for first in range(0, len(failed), BATCH):
                rows = failed[first : first + BATCH]
                again = self._decode_batch([texts[row] for row in rows], seed, None, number)
                for row, made in zip(rows, again, strict=True):
                    old = decoded[row]
                    kept = made if len(made.failures) < len(old.failures) else old
                    decoded[row] = kept._replace(first_failures=old.first_failures, tries=number)
        return decoded

    def _limit(self, text: Encoded) -> int:
        """Frames after which a decode is cut off."""
        return int(2 * self.frames_per_symbol * len(text.ids)) + ROOM

    def _decode_batch(
        self, batch: Sequence[Encoded], seed: int, report: Callable[[int], None] | None, number: int = 1
    ) -> list[Decoded]:
        """Try `number` of a few texts at once."""
        lengths = torch.tensor([len(text.ids) for text in batch])
        ids = torch.zeros(len(batch), int(lengths.max()), dtype=torch.long)
        for row, text in enumerate(batch):
            ids[row, : len(text.ids)] = torch.tensor(text.ids)
        made = self.acoustic.generate(
            ids.to(device_of(self.acoustic)),
            lengths.to(device_of(self.acoustic)),
            seeds=[text_seed(seed, text.ids, number) for text in batch],
            max_frames=[self._limit(text) for text in batch],
            speaker_ids=self._speaker_ids(batch),
            progress=report,
        )
        decoded = []
        for row, text in enumerate(batch):
            n = int(made.mel_lengths[row])
            alignment = made.alignment[row, : len(text.ids), :n].float().cpu()
            mel = made.mel[row, :, :n].float().cpu()
            stopped = bool(made.stopped[row])
            words = words_attended(alignment, text.words)
            found = find_failures(alignment, mel, words, stopped=stopped, frame_seconds=self.audio.frame_seconds)
            stop_probability = made.stop_probability[row, :n].float().cpu()
            reason: Literal["stop", "limit"] = "stop" if stopped else "limit"
            decoded.append(Decoded(mel, alignment, stop_probability, reason, words, found, found, number))
        return decoded

    def _speaker_ids(self, batch: Sequence[Encoded]) -> Tensor:
        """(B,) who says each text."""
        return torch.tensor(
            [speaker_id(text.speaker, self.speakers) for text in batch], device=device_of(self.acoustic)
        )

    @torch.inference_mode()
    def vocode(self, mels: Sequence[Tensor], *, seeds: Sequence[int], progress: Progress | None = None) -> list[Tensor]:
        """(n_mels, T_mel) mels in contract units -> waves of T_mel * hop samples, in batches of similar length."""
        order = sorted(range(len(mels)), key=lambda index: mels[index].shape[1])
        waves: dict[int, Tensor] = {}
        for first in range(0, len(order), VOCODER_BATCH):
            rows = order[first : first + VOCODER_BATCH]
            lengths = torch.tensor([mels[row].shape[1] for row in rows])
            longest = int(lengths.max())
            padded = torch.stack([_pad_right(mels[row], longest) for row in rows])
            made = self.vocoder.generate(
                padded.to(device_of(self.vocoder)),
                lengths.to(device_of(self.vocoder)),
                seeds=[seeds[row] for row in rows],
                progress=_share(progress, "vocoding", first, len(rows), len(mels), longest * self.audio.hop_length),
            )
            for row, wave, n_frames in zip(rows, made, lengths.tolist(), strict=True):
                waves[row] = wave[: n_frames * self.audio.hop_length].float().cpu()
        return [waves[row] for row in range(len(mels))]

    def speak(self, text: str, *, speaker: str = "", seed: int = 0, progress: Progress | None = None) -> Speech:
        """Speak a text of any length, sentence by sentence.

        Args:
            speaker: a name of the voice's table; empty: the first.

        Raises:
            TextError: if there is nothing to speak, or a symbol the voice does not have.
            ConfigError: if the voice has no such speaker.
        """
        began = time.perf_counter()
        sentences = split_sentences(text) or [text]  # an empty text gets the frontend's own error
        name = self.speakers[speaker_id(speaker, self.speakers)]
        encoded, unspoken = self._encode(sentences, name)
        decoded = self.decode(encoded, seed=seed, tries=TRIES, progress=progress)
        seeds = [text_seed(seed, e.ids) for e in encoded]
        waves = self.vocode([d.mel for d in decoded], seeds=seeds, progress=progress)
        pause = torch.zeros(round(PAUSE_SECONDS * self.audio.sample_rate))
        pieces: list[Tensor] = []
        spoken: list[Sentence] = []
        offset = 0.0
        for number, (source, made, wave) in enumerate(zip(encoded, decoded, waves, strict=True)):
            if number:
                pieces.append(pause)
                offset += PAUSE_SECONDS
            pieces.append(wave)
            step = self.audio.frame_seconds
            spoken.append(
                Sentence(
                    text=source.text,
                    phones=self.frontend.decode(source.ids),
                    seconds=round(len(wave) / self.audio.sample_rate, 4),
                    stop_reason=made.stop_reason,
                    tries=made.tries,
                    failures=[failure.detail for failure in made.failures],
                    missed=list(made.words.missed),
                    repeated=list(made.words.repeated),
                    words=[
                        {
                            "word": word.word,
                            "start": round(offset + word.start_frame * step, 3),
                            "end": round(offset + word.end_frame * step, 3),
                        }
                        for word in made.words.times
                    ],
                    guessed=list(source.guessed),
                    skipped=list(source.skipped),
                )
            )
            offset += len(wave) / self.audio.sample_rate
        whole = torch.cat(pieces).clamp(-1, 1)
        return Speech(
            whole, self.audio.sample_rate, name, spoken, unspoken, encoded, decoded, time.perf_counter() - began
        )

    def _encode(self, sentences: Sequence[str], speaker: str) -> tuple[list[EncodedText], list[str]]:
        """The sentences that can be spoken, and those with nothing to say; an error if there are only such."""
        encoded: list[EncodedText] = []
        unspoken: list[str] = []
        for sentence in sentences:
            try:
                encoded.append(replace(self.frontend(sentence), speaker=speaker))
            except NothingToSayError:
                unspoken.append(sentence)
                if len(unspoken) == len(sentences):
                    raise
        return encoded, unspoken


def check_contracts(mine: AudioConfig, mine_path: Path, theirs: AudioConfig, theirs_path: Path) -> None:
    """Refuse two halves that disagree on what a mel is."""
    if mine.fingerprint != theirs.fingerprint:
        raise CheckpointError(
            f"{mine_path} and {theirs_path} disagree on the mel: {mine.difference(theirs)}; "
            "train one of them with the other's audio settings"
        )


def device_of(module: nn.Module) -> torch.device:
    """Where a module's weights are now: while it trains, its trainer moves it."""
    return next((tensor.device for tensor in module.state_dict().values()), torch.device("cpu"))


def text_seed(seed: int, ids: Sequence[int], number: int = 1) -> int:
    """A seed of the sentence's own, and of the try: what else is spoken changes nothing."""
    of_try = f":{number}" if number > 1 else ""
    return int.from_bytes(hashlib.sha256(f"{seed}:{list(ids)}{of_try}".encode()).digest()[:7], "big")


def _pad_right(mel: Tensor, length: int) -> Tensor:
    """Repeat the last frame up to `length`; the vocoder ignores what lies behind a row's own length."""
    return torch.cat([mel, mel[:, -1:].expand(-1, length - mel.shape[1])], dim=1)


def _share(
    progress: Progress | None, what: str, first: int, count: int, total: int, longest: int
) -> Callable[[int], None] | None:
    """Turn a count of frames or samples into a share of the whole work."""
    if progress is None:
        return None

    def report(done: int) -> None:
        progress(what, (first + count * min(1.0, done / longest)) / total)

    return report
