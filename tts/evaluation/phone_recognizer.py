"""Which phones are heard in a wave: a small recogniser trained with CTC (Graves et al. 2006), and the phone error rate.

It learns from recordings (`tts.evaluation.phone_training`) and judges what systems say. Its file carries the mel
contract that it hears through.

Shapes: B batch, T_mel frames, T_out = ceil(T_mel / stride) steps, V phones and the blank.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from tts.atomic import write_atomically, write_failure
from tts.audio.files import Recording, resample
from tts.audio.loudness import ABSOLUTE_GATE, change_loudness, loudness
from tts.audio.mel import mel_spectrogram
from tts.errors import CheckpointError, ConfigError
from tts.evaluation.measures import Finding, Measure, Part, Take
from tts.layers import ConvNorm, MaskedBatchNorm1d, length_mask
from tts.settings import AudioConfig
from tts.text.symbols import PHONES as STRESSED

FORMAT = "tts-phones-1"
BLANK = 0  # its class; phone n is class n + 1
STRESSLESS = {phone: phone.rstrip("012") for phone in STRESSED}
PHONES = tuple(sorted(set(STRESSLESS.values())))
STEP_SECONDS = 0.035  # of a step of the output, about: fast speech has a phone in twice as long
KERNEL = 5  # of both convolutions
DROPOUT = 0.3
SHORTEST = 0.03  # seconds; in less there is no phone

PER = Measure(
    "per",
    "phone error rate",
    "share",
    "lower",
    "ratio",
    "Phones heard wrong, left out or added, by a recogniser that was trained on the recordings of this voice's corpus.",
)


class PhoneNetwork(nn.Module):
    """Two convolutions, of which one strides, and two bidirectional LSTM layers (Graves et al. 2013, section 2)."""

    mel_mean: Tensor
    mel_std: Tensor

    def __init__(self, *, n_mels: int, stride: int, width: int):
        super().__init__()
        self.stride = stride
        self.width = width
        self.register_buffer("mel_mean", torch.zeros(n_mels))
        self.register_buffer("mel_std", torch.ones(n_mels))
        self.conv = ConvNorm(n_mels, width, KERNEL)
        self.strided = nn.Conv1d(width, width, KERNEL, stride=stride, padding=KERNEL // 2)
        self.norm = MaskedBatchNorm1d(width)
        self.layers = nn.ModuleList([BothWays(width, width), BothWays(2 * width, width)])
        self.output = nn.Linear(2 * width, len(PHONES) + 1)

    def normalized(self, mel: Tensor) -> Tensor:
        """(n_mels, T_mel) log mel as `forward` takes it: 0 is the average."""
        return (mel - self.mel_mean[:, None]) / self.mel_std[:, None]

    def steps(self, mel_lengths: Tensor) -> Tensor:
        """Steps of the output for so many frames."""
        return (mel_lengths - 1) // self.stride + 1

    def forward(self, normalized: Tensor, mel_lengths: Tensor) -> Tensor:
        """(B, n_mels, T_mel), 0 where padded, and (B,) -> (B, T_out, V) log probabilities."""
        mask = length_mask(mel_lengths, normalized.shape[2])
        lengths = self.steps(mel_lengths)
        x = self._dropped(F.relu(self.conv(normalized, mask)))
        x = self.strided(x)  # (B, width, T_out)
        mask = length_mask(lengths, x.shape[2])
        x = F.relu(self.norm(x, mask)).transpose(1, 2)
        for layer in self.layers:
            x = layer(self._dropped(x), lengths)
        return F.log_softmax(self.output(self._dropped(x)), dim=2)

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, DROPOUT, self.training)


class BothWays(nn.Module):
    """A bidirectional LSTM layer, normalised, in which nothing comes back out of the padding.

    Reversing each sequence within its length is twice as fast on a CPU as a packed sequence.
    """

    def __init__(self, in_dim: int, dim: int):
        super().__init__()
        self.forth = nn.LSTM(in_dim, dim, batch_first=True)
        self.back = nn.LSTM(in_dim, dim, batch_first=True)
        self.norm = MaskedBatchNorm1d(2 * dim)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, T_out, in_dim) -> (B, T_out, 2 * dim), 0 where padded."""
        backwards = _reversed(self.back(_reversed(x, lengths))[0], lengths)
        heard = torch.cat([self.forth(x)[0], backwards], dim=2)
        normed: Tensor = self.norm(heard.transpose(1, 2), length_mask(lengths, x.shape[1]))
        return normed.transpose(1, 2)


def _reversed(x: Tensor, lengths: Tensor) -> Tensor:
    """Each row of (B, T, C) backwards within its length; the padding stays where it is."""
    place = torch.arange(x.shape[1])[None]  # (1, T)
    source = torch.where(place < lengths[:, None], lengths[:, None] - 1 - place, place)
    return x.gather(1, source[:, :, None].expand_as(x))


class PhoneRecognizer(NamedTuple):
    """A network, the mel contract that it hears through, and how it was trained."""

    network: PhoneNetwork
    audio: AudioConfig
    facts: Mapping[str, Any] = {}

    @classmethod
    def fresh(cls, audio: AudioConfig, width: int) -> "PhoneRecognizer":
        """One that has learned nothing yet."""
        stride = max(1, round(STEP_SECONDS / audio.frame_seconds))
        return cls(PhoneNetwork(n_mels=audio.n_mels, stride=stride, width=width), audio)

    @classmethod
    def load(cls, path: Path) -> "PhoneRecognizer":
        """Read a recogniser, ready to listen.

        Raises:
            CheckpointError: if the file is missing, damaged or foreign.
        """
        metadata, weights = _read(path)
        try:
            audio = AudioConfig(**json.loads(metadata["audio"]))
            same = audio.fingerprint == metadata["audio_fingerprint"] and json.loads(metadata["phones"]) == [*PHONES]
            recognizer = cls.fresh(audio, int(metadata["width"]))._replace(facts=json.loads(metadata["facts"]))
        except (KeyError, TypeError, ValueError, ConfigError) as error:
            raise CheckpointError(f"{path} is of another version of this program ({error!r}); train it again") from None
        if not same:
            raise CheckpointError(f"{path} was trained with another mel contract or phone table; train it again")
        try:
            recognizer.network.load_state_dict(weights)
        except RuntimeError as error:
            detail = str(error).splitlines()[-1].strip()
            raise CheckpointError(f"the weights in {path} do not fit: {detail}; train it again") from None
        recognizer.network.eval()
        return recognizer

    def save(self, path: Path) -> None:
        """Write it, whole or not at all, with matrices in half precision.

        Raises:
            CheckpointError: if that cannot be.
        """
        metadata = {
            "format": FORMAT,
            "audio": json.dumps(asdict(self.audio)),
            "audio_fingerprint": self.audio.fingerprint,
            "phones": json.dumps(PHONES),
            "width": str(self.network.width),
            "facts": json.dumps(dict(self.facts)),
        }
        weights = {
            name: (value.half() if value.dim() > 1 else value).detach().contiguous().clone()
            for name, value in self.network.state_dict().items()
        }
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, save(weights, metadata))
        except OSError as error:
            raise CheckpointError(write_failure(path, error)) from None

    def recognize(self, wave: Tensor, sample_rate: int) -> tuple[str, ...]:
        """The phones in (T_wave,), without stress; none where it is silent, too short or not finite."""
        wave = wave.detach().cpu().float()
        if len(wave) < SHORTEST * sample_rate:
            return ()
        resampled = resample(Recording(wave, sample_rate), self.audio.sample_rate)
        measured = loudness(resampled, self.audio.sample_rate)
        if measured < ABSOLUTE_GATE:  # also where a sample is not finite: the loudness of that is -inf
            return ()
        # As loud as what it learned from, or a soft voice would be heard worse for that alone.
        return self.read(mel_spectrogram(change_loudness(resampled, measured, self.audio.loudness), self.audio))

    @torch.no_grad()
    def read(self, mel: Tensor) -> tuple[str, ...]:
        """The phones in (n_mels, T_mel): the likeliest class of each step, repeats merged, blanks left out."""
        self.network.eval()
        scores = self.network(self.network.normalized(mel)[None], torch.tensor([mel.shape[1]]))[0]  # (T_out, V)
        classes = torch.unique_consecutive(scores.argmax(dim=1)).tolist()
        return tuple(PHONES[index - 1] for index in classes if index != BLANK)


class PhoneErrors:
    """Measures `per` of a take.

    Raises:
        CheckpointError: if there is no recogniser at `path`.
    """

    measures = (PER,)

    def __init__(self, path: Path):
        self._recognizer = PhoneRecognizer.load(path)

    def __call__(self, take: Take) -> Finding:
        """Compare what is heard with the phones of the text."""
        expected = [phone for word in take.text.phones for phone in word]
        heard = self._recognizer.recognize(take.wave, take.sample_rate)
        notes = {"heard phones": " ".join(heard)}
        if not expected:
            return Finding({}, notes)
        return Finding({PER.name: Part(edit_distance(expected, heard), len(expected))}, notes)


def without_stress(symbols: Sequence[str]) -> tuple[str, ...]:
    """The phones among a frontend's symbols."""
    return tuple(STRESSLESS[symbol] for symbol in symbols if symbol in STRESSLESS)


def edit_distance(expected: Sequence[str], heard: Sequence[str]) -> int:
    """Substitutions, deletions and insertions that make one sequence the other, as few as possible (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for number, phone in enumerate(expected, 1):
        diagonal, row[0] = row[0], number
        for place, other in enumerate(heard, 1):
            best = min(row[place] + 1, row[place - 1] + 1, diagonal + (phone != other))
            diagonal, row[place] = row[place], best
    return row[-1]


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    if not path.is_file():
        raise CheckpointError(f"there is no phone recogniser {path}; train one on the recordings")
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is damaged or no safetensors file ({error}); copy it again or train it again"
        ) from None
    if metadata.get("format") != FORMAT:
        said = metadata.get("format", "none")
        raise CheckpointError(f"{path} is no phone recogniser of this program (format {said}, expected {FORMAT})")
    return metadata, weights
