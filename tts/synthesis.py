"""From text to waveform: the only path. Commands, validation and tests all speak through `Synthesizer`.

Shapes: T_text symbols, T_mel frames, T_wave samples of one sentence.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from tts.alignment import symbol_times
from tts.audio.rate import Paced, Stretch, change_rates, change_volume
from tts.checkpoint import Half, find_half, find_trained, load_acoustic, load_vocoder
from tts.decoding import TRIES, Decoded, Decoder, Encoded, Lengths, device_of, text_seed
from tts.errors import CheckpointError
from tts.interfaces import AcousticModel, StopReason, Vocoder
from tts.progress import Progress, share_of
from tts.settings import AudioConfig, check_rate
from tts.speakers import ONE_SPEAKER, speaker_id
from tts.text.frontend import EncodedText, Frontend
from tts.text.lexicon import with_kept_lexicon
from tts.text.script import Script, Utterance, plan_ssml, plan_text
from tts.text.ssml import is_ssml, parse_ssml
from tts.variance import LostVariance
from tts.word_times import WordTime, word_times

RAMP_SECONDS = 0.01  # over which the volume changes
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


class MarkTime(NamedTuple):
    """When a mark of SSML was passed."""

    name: str
    seconds: float  # from the start of the speech


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
    marks: list[MarkTime]  # of SSML, in order

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
        lost_variance: LostVariance | None = None,
    ):
        """lengths: seen in the acoustic model's training. speakers: the voice's table. lost_variance: see `Decoder`."""
        self.acoustic = acoustic
        self.vocoder = vocoder
        self.frontend = frontend
        self.audio = audio
        self.lengths = lengths
        self.speakers = tuple(speakers)
        self.lost_variance = lost_variance or {}

    @classmethod
    def load(
        cls,
        voice: Path,
        *,
        vocoder: str = "",
        checkpoint: Path | None = None,
        config: Path | None = None,
        device: str = "cpu",
        lexicon: str = "",
    ) -> "Synthesizer":
        """Load a run folder.

        Args:
            voice: the run folder.
            vocoder: "griffin_lim", "hifigan", "untuned" (the voice's own as it was before the stage gta), or empty: the
                voice's own. Where it has none, Griffin-Lim speaks.
            checkpoint: of "hifigan": a published generator.
            config: of "hifigan": its JSON; None: the one beside the checkpoint.
            device: for torch.
            lexicon: path of the user's lexicon, which adds to the voice's own.

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
            find = find_trained if vocoder == "untuned" else find_half
            spoken_by = _own_vocoder(None if vocoder == "griffin_lim" else find(voice, "vocoder"), half)
        frontend = Frontend(with_kept_lexicon(half.recipe.text, voice), half.symbols, lexicon)
        return cls(
            half.model.to(device),
            spoken_by.to(device),
            frontend,
            half.recipe.audio,
            lengths=Lengths.from_facts(half.facts),
            speakers=half.speakers,
            lost_variance=half.facts.get("lost_variance"),
        )

    def decode(
        self, texts: Sequence[Encoded], *, seed: int = 0, tries: int = 1, progress: Progress | None = None
    ) -> list[Decoded]:
        """Free-running decodes; see `Decoder`."""
        decoder = Decoder(self.acoustic, self.audio, self.lengths, self.speakers, self.lost_variance)
        return decoder(texts, seed=seed, tries=tries, progress=progress)

    @torch.inference_mode()
    def vocode(
        self,
        mels: Sequence[Tensor],
        *,
        seeds: Sequence[int],
        folds: int = 1,
        measured: bool = False,
        progress: Progress | None = None,
    ) -> list[Tensor]:
        """(n_mels, T_mel) mels in contract units -> waves of T_mel * hop samples, in batches of similar length.

        Args:
            mels, seeds: one seed per mel.
            folds, measured: see `Vocoder.generate`.
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
                measured=measured,
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
        ssml: bool | None = None,
        progress: Progress | None = None,
    ) -> Speech:
        """Speak a text of any length, sentence by sentence.

        Args:
            text: as a person would write it, or SSML (see `tts.text.ssml`).
            speaker: a name of the voice's table; empty: the first.
            seed: another one gives another reading.
            rate: 1.1 speaks a tenth faster.
            folds: parts of a sentence that the vocoder may make side by side; another number, other samples.
            ssml: whether the text is SSML; None: if it begins with the element speak.
            progress: told what is being done, and the share of it that is done.

        Raises:
            TextError: if there is nothing to speak, a symbol the voice does not have, or SSML that cannot be honoured.
            ConfigError: if the rate is too slow or too fast, or the voice has no such speaker.
        """
        check_rate(rate)
        began = time.perf_counter()
        name = self.speakers[speaker_id(speaker, self.speakers)]
        script = self._plan(text, name, ssml)
        encoded = [utterance.text for utterance in script.utterances]
        decoded = self.decode(encoded, seed=seed, tries=TRIES, progress=progress)
        frames = [self._symbol_frames(*pair) for pair in zip(script.utterances, decoded, strict=True)]
        paced = [self._pace(*each, rate) for each in zip(script.utterances, decoded, frames, strict=True)]
        seeds = [text_seed(seed, e.ids) for e in encoded]
        waves = self.vocode([each.mel for each in paced], seeds=seeds, folds=folds, progress=progress)
        pieces: list[Tensor] = []
        spoken: list[Sentence] = []
        marks: list[MarkTime] = []
        n_samples = 0
        for utterance, made, starts, pace, wave in zip(script.utterances, decoded, frames, paced, waves, strict=True):
            pieces += [self._silence(utterance.pause), self._loud(wave, utterance, pace)]
            offset = (n_samples + len(pieces[-2])) / self.audio.sample_rate
            spoken.append(self._sentence(utterance.text, made, pace, offset))
            marks += self._marks(utterance, starts, pace, offset)
            n_samples += len(pieces[-2]) + len(pieces[-1])
        pieces.append(self._silence(script.pause))
        whole = torch.cat(pieces).clamp(-1, 1)
        marks += [MarkTime(mark, round(len(whole) / self.audio.sample_rate, 3)) for mark in script.marks]
        seconds = time.perf_counter() - began
        return Speech(
            whole, self.audio.sample_rate, name, spoken, script.unspoken, encoded, decoded, rate, seconds, marks
        )

    def stream(
        self, text: str, *, speaker: str = "", seed: int = 0, rate: float = 1.0, ssml: bool | None = None
    ) -> Iterator[Tensor]:
        """What `speak` says, in pieces (samples,) in [-1, 1], each as soon as it is made.

        A sentence is decoded when those before it have been taken, so the first sounds long before the last is known.
        The arguments and errors are those of `speak`.
        """
        check_rate(rate)
        script = self._plan(text, self.speakers[speaker_id(speaker, self.speakers)], ssml)
        for utterance in script.utterances:
            (decoded,) = self.decode([utterance.text], seed=seed, tries=TRIES)
            if utterance.pause:
                yield self._silence(utterance.pause)
            pace = self._pace(utterance, decoded, self._symbol_frames(utterance, decoded), rate)
            waves = self.vocoder.stream(
                [pace.mel.to(device_of(self.vocoder))], seed=text_seed(seed, utterance.text.ids)
            )
            if len(utterance.runs) > 1 or utterance.runs[0].manner.gain != 1:
                waves = iter([self._loud(torch.cat([wave.float().cpu() for wave in waves]), utterance, pace)])
            for wave in waves:
                yield wave.float().cpu().clamp(-1, 1)
        if script.pause:
            yield self._silence(script.pause)

    def _plan(self, text: str, speaker: str, ssml: bool | None) -> Script:
        """What is spoken, sentence by sentence."""
        longest = max(self.lengths.max_symbols, MIN_LONGEST)
        if is_ssml(text) if ssml is None else ssml:
            return plan_ssml(parse_ssml(text, self.speakers), speaker, self.frontend, longest)
        return plan_text(text, speaker, self.frontend, longest)

    def _silence(self, seconds: float) -> Tensor:
        return torch.zeros(round(seconds * self.audio.sample_rate))

    def _symbol_frames(self, utterance: Utterance, made: Decoded) -> list[float]:
        """The frame of a decode at which each symbol begins."""
        if len(utterance.runs) == 1 and not utterance.marks:
            return [0.0] * len(utterance.text.ids)  # nobody asks
        return [start for start, _ in symbol_times(made.alignment, 1.0, self.acoustic.reduction)]

    def _pace(self, utterance: Utterance, made: Decoded, frames: Sequence[float], rate: float) -> Paced:
        """A decode, whose symbols begin at `frames`, at the rates that were asked for."""
        n_frames = made.mel.shape[1]
        stretches = [
            Stretch(min(round(frames[run.start]), n_frames) if place else 0, rate * run.manner.rate)
            for place, run in enumerate(utterance.runs)
        ]
        return change_rates(made.mel, stretches)

    def _loud(self, wave: Tensor, utterance: Utterance, pace: Paced) -> Tensor:
        """A wave at the volumes that were asked for."""
        starts = [frame * self.audio.hop_length for frame in pace.after[:-1]]
        gains = [run.manner.gain for run in utterance.runs]
        return change_volume(wave, starts, gains, round(RAMP_SECONDS * self.audio.sample_rate))

    def _marks(self, utterance: Utterance, frames: Sequence[float], pace: Paced, offset: float) -> list[MarkTime]:
        """When the marks of an utterance are passed, which begins `offset` seconds after the start of the speech."""
        return [
            MarkTime(mark.name, round(offset + pace.moved(frames[mark.symbol]) * self.audio.frame_seconds, 3))
            for mark in utterance.marks
        ]

    def _sentence(self, source: EncodedText, made: Decoded, pace: Paced, offset: float) -> Sentence:
        """What became of a text whose wave begins `offset` seconds after the start of the speech."""
        frame_seconds = self.audio.frame_seconds
        times = word_times(made.alignment, source.words, 1.0, self.acoustic.reduction)
        return Sentence(
            text=source.text,
            phones=self.frontend.decode(source.ids),
            seconds=round(pace.mel.shape[1] * frame_seconds, 4),
            frames=made.mel.shape[1],
            stop_reason=made.stop_reason,
            tries=made.tries,
            constrained=made.constrained,
            failures=[failure.detail for failure in made.failures],
            missed=list(made.words.missed),
            repeated=list(made.words.repeated),
            in_order=made.words.in_order,
            words=[
                WordTime(word, *(round(offset + pace.moved(frame) * frame_seconds, 3) for frame in (start, end)))
                for word, start, end in times
            ],
            guessed=list(source.guessed),
            skipped=list(source.skipped),
        )


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
