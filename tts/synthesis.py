"""From text to waveform: the only path. Commands, validation and tests all speak through `Synthesizer`.

Shapes: T_text symbols, T_mel frames, T_wave samples of one sentence.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from tts.audio.rate import change_rate
from tts.checkpoint import Half, find_half, load_acoustic, load_vocoder
from tts.decoding import TRIES, Decoded, Decoder, Encoded, Lengths, device_of, text_seed
from tts.errors import CheckpointError, NothingToSayError
from tts.interfaces import AcousticModel, StopReason, Vocoder
from tts.progress import Progress, share_of
from tts.settings import AudioConfig, check_rate
from tts.speakers import ONE_SPEAKER, speaker_id
from tts.text.frontend import EncodedText, Frontend
from tts.text.split import After, Stretch, split_text
from tts.word_times import WordTime, word_times

# By what ends before it; within what is spoken at once, the voice makes the pauses that marks ask for.
PAUSE_SECONDS: dict[After, float] = {"clause": 0.12, "sentence": 0.25, "line": 0.35, "paragraph": 0.6}
VOCODER_BATCH = 48  # sentences vocoded at once; from here on a row is hardly cheaper
MIN_LONGEST = 100  # symbols; sentences up to here are spoken in one piece by any voice


@dataclass
class Sentence:
    """One sentence, or part of a long one, as it was spoken."""

    text: str
    phones: str  # the symbols, "|" between words
    seconds: float
    frames: int  # of the decode, before the speaking rate
    stop_reason: StopReason
    tries: int
    constrained: bool  # attention was kept to a window in the decode that was kept
    failures: list[str]  # what went wrong in the decode that was kept, in words
    missed: list[str]
    repeated: list[str]
    in_order: bool
    words: list[WordTime]  # in order; seconds from the start of the whole speech
    guessed: list[str] = field(default_factory=list)  # words whose pronunciation no dictionary has
    skipped: list[str] = field(default_factory=list)  # characters that cannot be spoken

    @property
    def summary(self) -> str:
        """How the decode went: `stopped by itself, 14 words in order; 3 tries, under constraint`."""
        n_words, n_missed = len(self.words), len(self.missed)
        words = f"{n_words} word{'s' if n_words != 1 else ''}"
        words = f"{n_words - n_missed} of {words}" if n_missed else words
        order = "in order" if self.in_order and not self.repeated else "not in order"
        tries = f"; {self.tries} tries" if self.tries > 1 else ""
        return f"{_STOPS[self.stop_reason]}, {words} {order}{tries}{', under constraint' if self.constrained else ''}"


_STOPS: dict[StopReason, str] = {
    "stop": "stopped by itself",
    "attended": "stopped after the last word",
    "limit": "cut off",
}


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
    rate: float  # of speaking; what was decoded was `rate` times as long as what is heard
    compute_seconds: float

    @property
    def words(self) -> list[WordTime]:
        """All words in order."""
        return [word for sentence in self.sentences for word in sentence.words]

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
        lengths: Lengths,
        speakers: Sequence[str] = ONE_SPEAKER,
    ):
        """lengths: seen in the acoustic model's training. speakers: the voice's table."""
        self.acoustic = acoustic
        self.vocoder = vocoder
        self.frontend = frontend
        self.audio = audio
        self.lengths = lengths
        self.speakers = tuple(speakers)

    @classmethod
    def load(
        cls,
        voice: Path,
        *,
        vocoder: str = "",
        checkpoint: Path | None = None,
        config: Path | None = None,
        device: str = "cpu",
    ) -> "Synthesizer":
        """Load a run folder.

        Args:
            voice: the run folder.
            vocoder: "griffin_lim", "hifigan", or empty: the voice's own, and Griffin-Lim where it has none.
            checkpoint: of "hifigan": a published generator.
            config: of "hifigan": its JSON; None: the one beside the checkpoint.
            device: for torch.

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
        if vocoder == "hifigan":
            spoken_by = _published(checkpoint, config, half.recipe.audio)
        else:
            spoken_by = _own_vocoder(None if vocoder == "griffin_lim" else find_half(voice, "vocoder"), half)
        frontend = Frontend(half.recipe.text, symbols=half.symbols)
        return cls(
            half.model.to(device),
            spoken_by.to(device),
            frontend,
            half.recipe.audio,
            lengths=Lengths.from_facts(half.facts),
            speakers=half.speakers,
        )

    def decode(
        self, texts: Sequence[Encoded], *, seed: int = 0, tries: int = 1, progress: Progress | None = None
    ) -> list[Decoded]:
        """Free-running decodes; see `Decoder`."""
        decoder = Decoder(self.acoustic, self.audio, self.lengths, self.speakers)
        return decoder(texts, seed=seed, tries=tries, progress=progress)

    @torch.inference_mode()
    def vocode(
        self, mels: Sequence[Tensor], *, seeds: Sequence[int], folds: int = 1, progress: Progress | None = None
    ) -> list[Tensor]:
        """(n_mels, T_mel) mels in contract units -> waves of T_mel * hop samples, in batches of similar length.

        Args:
            mels, seeds: one seed per mel.
            folds: see `Vocoder.generate`.
            progress: told the share that is done.
        """
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
                folds=folds,
                progress=share_of(progress, "vocoding", first, len(rows), len(mels), longest * self.audio.hop_length),
            )
            for row, wave, n_frames in zip(rows, made, lengths.tolist(), strict=True):
                waves[row] = wave[: n_frames * self.audio.hop_length].float().cpu()
        return [waves[row] for row in range(len(mels))]

    def speak(
        self,
        text: str,
        *,
        speaker: str = "",
        seed: int = 0,
        rate: float = 1.0,
        folds: int = 1,
        progress: Progress | None = None,
    ) -> Speech:
        """Speak a text of any length, sentence by sentence.

        Args:
            text: as a person would write it.
            speaker: a name of the voice's table; empty: the first.
            seed: another one gives another reading.
            rate: 1.1 speaks a tenth faster.
            folds: parts of a sentence that the vocoder may make side by side; another number, other samples.
            progress: told what is being done, and the share of it that is done.

        Raises:
            TextError: if there is nothing to speak, or a symbol the voice does not have.
            ConfigError: if the rate is too slow or too fast, or the voice has no such speaker.
        """
        check_rate(rate)
        began = time.perf_counter()
        name = self.speakers[speaker_id(speaker, self.speakers)]
        said = self._encode(text, name)
        encoded = said.encoded
        decoded = self.decode(encoded, seed=seed, tries=TRIES, progress=progress)
        seeds = [text_seed(seed, e.ids) for e in encoded]
        waves = self.vocode([change_rate(d.mel, rate) for d in decoded], seeds=seeds, folds=folds, progress=progress)
        pieces: list[Tensor] = []
        spoken: list[Sentence] = []
        offset = 0
        for place, (source, made, wave) in enumerate(zip(encoded, decoded, waves, strict=True)):
            if place:
                pieces.append(self._pause(said.after[place - 1]))
                offset += len(pieces[-1])
            spoken.append(self._sentence(source, made, len(wave), offset / self.audio.sample_rate))
            pieces.append(wave)
            offset += len(wave)
        whole = torch.cat(pieces).clamp(-1, 1)
        seconds = time.perf_counter() - began
        return Speech(whole, self.audio.sample_rate, name, spoken, said.unspoken, encoded, decoded, rate, seconds)

    def stream(self, text: str, *, speaker: str = "", seed: int = 0, rate: float = 1.0) -> Iterator[Tensor]:
        """What `speak` says, in pieces (samples,) in [-1, 1], each as soon as it is made.

        A sentence is decoded when those before it have been taken, so the first sounds long before the last is known.
        The arguments and errors are those of `speak`.
        """
        check_rate(rate)
        said = self._encode(text, self.speakers[speaker_id(speaker, self.speakers)])
        for place, sentence in enumerate(said.encoded):
            (decoded,) = self.decode([sentence], seed=seed, tries=TRIES)
            if place > 0:
                yield self._pause(said.after[place - 1])
            mel = change_rate(decoded.mel, rate).to(device_of(self.vocoder))
            for wave in self.vocoder.stream([mel], seed=text_seed(seed, sentence.ids)):
                yield wave.float().cpu().clamp(-1, 1)

    def _pause(self, after: After) -> Tensor:
        return torch.zeros(round(PAUSE_SECONDS[after] * self.audio.sample_rate))

    def _sentence(self, source: EncodedText, made: Decoded, n_samples: int, offset: float) -> Sentence:
        """What became of a text whose wave of `n_samples` begins `offset` seconds after the start of the speech."""
        seconds, n_frames = n_samples / self.audio.sample_rate, made.mel.shape[1]
        times = word_times(made.alignment, source.words, seconds / n_frames, self.acoustic.reduction)
        return Sentence(
            text=source.text,
            phones=self.frontend.decode(source.ids),
            seconds=round(seconds, 4),
            frames=n_frames,
            stop_reason=made.stop_reason,
            tries=made.tries,
            constrained=made.constrained,
            failures=[failure.detail for failure in made.failures],
            missed=list(made.words.missed),
            repeated=list(made.words.repeated),
            in_order=made.words.in_order,
            words=[WordTime(word, round(offset + start, 3), round(offset + end, 3)) for word, start, end in times],
            guessed=list(source.guessed),
            skipped=list(source.skipped),
        )

    def _encode(self, text: str, speaker: str) -> "_Said":
        """A text as what is spoken at once, long sentences in parts.

        Raises:
            NothingToSayError: if there is nothing to say in all of it.
        """
        said = _Said([], [], [])
        longest = max(self.lengths.max_symbols, MIN_LONGEST)
        # An empty text gets the frontend's own error.
        stretches = split_text(text) or [Stretch(text, "paragraph")]
        waiting = [(stretch, ".") for stretch in reversed(stretches)]  # and the mark at its end if it has none
        while waiting:
            stretch, end = waiting.pop()
            try:
                encoded = replace(self.frontend.ended(self.frontend(stretch.text), end), speaker=speaker)
            except NothingToSayError:
                said.unspoken.append(stretch.text)
                if not said.encoded and not waiting:
                    raise
                continue
            # Training never went further than its longest text, and attention may get lost there.
            parts = [stretch]
            if len(encoded.ids) > longest:
                parts = split_text(stretch.text, max(1, len(stretch.text) * longest // len(encoded.ids)))
            if len(parts) == 1:
                said.encoded.append(encoded)
                said.after.append(stretch.after)
            else:
                last = parts[-1]._replace(after=stretch.after)
                waiting += reversed([*((part, ",") for part in parts[:-1]), (last, end)])
        return said


class _Said(NamedTuple):
    """A text as it will be spoken."""

    encoded: list[EncodedText]
    after: list[After]  # what ends with each
    unspoken: list[str]  # stretches with nothing to pronounce


def _own_vocoder(path: Path | None, acoustic: Half[AcousticModel]) -> Vocoder:
    """The voice's trained vocoder at `path`; None: Griffin-Lim."""
    if path is None:
        from tts.vocoder import griffin_lim

        return griffin_lim.build(griffin_lim.Config(), audio=acoustic.recipe.audio)
    half = load_vocoder(path)
    check_contracts(acoustic.recipe.audio, acoustic.path, half.recipe.audio, path)
    return half.model


def _published(checkpoint: Path | None, config: Path | None, audio: AudioConfig) -> Vocoder:
    """A published HiFi-GAN generator."""
    from tts.vocoder._published import load_published

    if checkpoint is None:
        raise CheckpointError("vocoder=hifigan speaks with published weights: give them with checkpoint=FILE")
    return load_published(checkpoint, config, audio)


def check_contracts(mine: AudioConfig, mine_path: Path, theirs: AudioConfig, theirs_path: Path) -> None:
    """Refuse two halves that disagree on what a mel is."""
    if mine.fingerprint != theirs.fingerprint:
        raise CheckpointError(
            f"{mine_path} and {theirs_path} disagree on the mel: {mine.difference(theirs)}; "
            "train one of them with the other's audio settings"
        )


def _pad_right(mel: Tensor, length: int) -> Tensor:
    """Repeat the last frame up to `length`; the vocoder ignores what lies behind a row's own length."""
    return torch.cat([mel, mel[:, -1:].expand(-1, length - mel.shape[1])], dim=1)
