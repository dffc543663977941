"""The settings of a run as dataclasses: what `tts.config` builds from a recipe and everybody else reads.

Components (an acoustic model, an attention, a vocoder, a corpus) own their `Config`, in the file named like them;
here is what belongs to no single component. No torch here: recipes can be listed and checked without it.
"""

import hashlib
import json
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NamedTuple, TypeVar

from tts.errors import ConfigError


def component(folder: str, *, key: str = "name", default: str = "") -> Any:
    """A field whose dataclass is the `Config` of the file in `folder` that its `key` names.

    Args:
        folder: dotted package whose files are the choices, e.g. `tts.acoustic.attention`.
        key: the key that names the file.
        default: the file taken when the key is absent.
    """
    return field(metadata={"folder": folder, "key": key, "default": default}, default=None)


def require(holds: bool, message: str) -> None:
    """Raise a ConfigError with `message` unless `holds`. For `__post_init__` of the configs."""
    if not holds:
        raise ConfigError(message)


RATES = (0.5, 2.0)  # the slowest and the fastest speaking rate that can be asked for


def check_rate(rate: float) -> None:
    """Raise a ConfigError unless `rate` lies in RATES."""
    require(RATES[0] <= rate <= RATES[1], f"rate={rate:g}: a number from {RATES[0]} to {RATES[1]}; 1 is as trained")


@dataclass
class AudioConfig:
    """The mel contract: everything that makes a mel. Two parts that meet must agree on all of it.

    The defaults are those of the published HiFi-GAN and WaveGlow checkpoints.
    """

    sample_rate: int = 22050  # Hz
    n_fft: int = 1024  # samples
    win_length: int = 1024  # samples, Hann window
    hop_length: int = 256  # samples
    n_mels: int = 80
    f_min: float = 0.0  # Hz
    f_max: float = 8000.0  # Hz
    power: float = 1.0  # 1 magnitude, 2 power
    mel_scale: Literal["slaney", "htk"] = "slaney"
    mel_norm: Literal["slaney", "none"] = "slaney"
    log_floor: float = 1e-5  # smallest magnitude before the natural logarithm
    padding: Literal["reflect"] = "reflect"  # (n_fft - hop) / 2 at each end: n_frames * hop_length == n_samples
    loudness: float = -23.0  # LUFS every clip is brought to

    def __post_init__(self) -> None:
        for name in ("sample_rate", "hop_length", "win_length", "n_mels", "power"):
            require(getattr(self, name) > 0, f"{name} must be positive")
        require(self.hop_length < self.n_fft, "hop_length must be smaller than n_fft")
        require((self.n_fft - self.hop_length) % 2 == 0, "n_fft - hop_length must be even")
        require(self.win_length <= self.n_fft, "win_length must not exceed n_fft")
        require(0 <= self.f_min < self.f_max <= self.sample_rate / 2, "0 <= f_min < f_max <= sample_rate / 2 must hold")
        require(self.log_floor > 0, "log_floor must be positive")

    def n_frames(self, n_samples: int) -> int:
        """Frames of a wave of n_samples: the last one may be padded with silence. The only such formula."""
        return -(-n_samples // self.hop_length)

    @property
    def frame_seconds(self) -> float:
        """Duration of one mel frame in seconds."""
        return self.hop_length / self.sample_rate

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that change when any field does."""
        return hashlib.sha256(json.dumps(vars(self), sort_keys=True).encode()).hexdigest()[:12]

    def difference(self, other: "AudioConfig") -> str:
        """The fields that differ, as `hop_length 256 != 200, ...`; empty when the contracts are the same."""
        pairs = [(f.name, getattr(self, f.name), getattr(other, f.name)) for f in fields(self)]
        return ", ".join(f"{name} {mine} != {theirs}" for name, mine, theirs in pairs if mine != theirs)


@dataclass
class TextConfig:
    """How text becomes symbols."""

    units: Literal["phonemes", "characters"] = "phonemes"
    style: Literal["us", "uk"] = "us"  # how numbers and dates of numbers are read
    days: Literal["ordinal", "cardinal"] = "ordinal"  # whether "May 5" is read "May fifth" or "May five"
    emoji: Literal["skip", "name"] = "skip"  # left out and reported, or read by name
    unreadable: Literal["skip", "error"] = "skip"  # what no rule reads: left out and reported, or an error
    lexicon: str = ""  # path of a TSV: word, ARPAbet phones, optional part of speech; wins over CMUdict


@dataclass
class DataConfig:
    """Where the speech comes from and what is done to it. Each corpus file extends it with what is its own."""

    corpus: str = ""
    root: str = ""  # folder of the corpus
    cache: str = "cache"  # folder for prepared clips, shared by all runs
    held_out: int = 20  # different sentences kept from training for validation
    allow_missing: bool = False  # go on when clips that the metadata lists are not there
    trim_db: float = 40.0  # what lies this far below the peak level counts as silence at the ends
    keep_silence: float = 0.05  # seconds kept at each end
    max_pause: float = 0.0  # seconds that a pause inside a clip lasts at most, the rest is cut out of it; 0: any
    high_pass: float = 0.0  # Hz; rumble below and direct current are taken out; 0: left as they are
    true_peak: float = 0.0  # dBTP that no clip exceeds between samples either, e.g. -1; 0: samples alone are looked at
    # auto: of clips whose quietest parts are loud; by the library noisereduce (pip install 'tts[clean]').
    reduce_noise: Literal["never", "auto", "always"] = "never"
    min_seconds: float = 0.3  # shorter clips are left out
    max_seconds: float = 15.0  # longer clips are left out
    split_long: bool = False  # cut them at pauses instead, each piece with its text; English, needs pocketsphinx
    max_bad_share: float = 0.05  # above this share of unusable clips, preparing fails
    workers: int = 0  # processes that prepare; 0: one per core
    format: Literal["clips", "shards"] = "clips"  # shards: prepare also writes RUN/data/shards, to be served or copied
    shard_mb: int = 256  # megabytes after which a shard is full
    shards: str = ""  # train on the shards in this folder or at this http:// address, instead of preparing a corpus
    stream: bool = False  # train on the corpus while it is read; for corpus=huggingface
    first_rows: int = 128  # of a corpus that is streamed: from them come statistics, speakers and held-out sentences
    window: int = 1000  # utterances of a stream that are sorted into batches of similar length

    def __post_init__(self) -> None:
        require(self.held_out >= 1, "held_out must be at least 1")
        require(self.workers >= 0, "workers must not be negative; 0 is one per core")
        require(self.shard_mb >= 1 and self.window >= 1, "shard_mb and window must be at least 1")
        require(self.first_rows >= 10, "first_rows must be at least 10; a fifth of their sentences can be held out")
        ways = [self.format == "shards", bool(self.shards), self.stream]
        require(sum(ways) <= 1, "format=shards writes shards, shards=... and stream=true read; take one of them")
        require(not self.split_long or sum(ways[1:]) == 0, "split_long cuts what is prepared; what is streamed is not")
        require(self.trim_db > 0 and self.keep_silence >= 0, "trim_db must be positive, keep_silence not negative")
        require(self.max_pause >= 0 and self.high_pass >= 0, "max_pause and high_pass must not be negative; 0 is off")
        require(self.true_peak <= 0, "true_peak is a limit below full scale, e.g. -1; 0 is off")
        require(0 <= self.max_bad_share <= 1, "max_bad_share is a share between 0 and 1")
        require(0 < self.min_seconds < self.max_seconds, "0 < min_seconds < max_seconds must hold")


class Share(NamedTuple):
    """One machine's part of a corpus that several prepare: every `of`-th clip, from `number` on."""

    number: int  # from 1
    of: int

    @classmethod
    def parse(cls, text: str) -> "Share":
        """`3/16`. Raises ConfigError."""
        number, slash, of = text.partition("/")
        right = bool(slash) and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)
        require(right, f"shard={text}: the number of this machine and how many there are, e.g. shard=3/16")
        return cls(int(number), int(of))


Planned = TypeVar("Planned")


def _at(plan: dict[int, Planned], step: int) -> Planned:
    """What a plan has for a step: each of its entries holds from its own step on, and one is for step 0."""
    return plan[max(start for start in plan if start <= step)]


@dataclass
class StageConfig:
    """How one half is trained."""

    max_steps: int = 1000
    max_minutes: float = 0.0  # stop after this long; 0: no limit
    learning_rate: float = 1e-3
    warmup_steps: int = 100  # linear from 0
    decay_start: int = 1000  # step at which exponential decay begins
    decay_halving: int = 10000  # steps in which the learning rate halves from then on
    min_learning_rate: float = 1e-5
    weight_decay: float = 1e-6
    gradient_clip: float = 1.0  # norm
    ema_decay: float = 0.999  # of the averaged weights, those that validate and speak
    max_bad_steps: int = 20  # non-finite steps in a row before training stops
    validate_every: int = 500  # steps
    checkpoint_every: int = 500  # steps
    checkpoint_minutes: float = 2.0  # or after this long, whichever comes first
    loader_workers: int = 0

    def __post_init__(self) -> None:
        for name in ("max_steps", "max_minutes", "warmup_steps", "weight_decay", "loader_workers"):
            require(getattr(self, name) >= 0, f"{name} must not be negative")
        for name in ("learning_rate", "decay_halving", "gradient_clip", "max_bad_steps", "checkpoint_minutes"):
            require(getattr(self, name) > 0, f"{name} must be positive")
        require(0 <= self.ema_decay < 1, "ema_decay must lie in [0, 1)")
        require(self.validate_every >= 1 and self.checkpoint_every >= 1, "validate_every, checkpoint_every: at least 1")


@dataclass
class AcousticStage(StageConfig):
    """Training of the acoustic model."""

    batch_size: int = 32  # clips
    batch_frames: int = 20000  # mel frames of a batch at most, padding included
    # From step N on, R frames per decoder step. The model's output layer has room for the largest R.
    reduction: dict[int, int] = field(default_factory=lambda: {0: 2})
    # From step N on, share of utterances whose decoder LSTM hears what the attention LSTM made of the frames before, as
    # in the paper. For the others frames move attention alone, and sound comes from the text: on little data words are
    # understood many steps earlier, but attention has to be found first.
    frames_heard: dict[int, float] = field(default_factory=lambda: {0: 1.0})
    mel_l1_weight: float = 1.0
    mel_l2_weight: float = 0.5
    # What attention is guided along: the diagonal, or what forced alignment finds in each clip (extra evaluate). On 12
    # minutes of speech both aligned at step 175; with `aligned` 1 of 10 held-out sentences failed at step 200, not 8.
    guided_attention: Literal["diagonal", "aligned"] = "diagonal"
    guided_weight: float = 5.0  # guided attention (Tachibana et al. 2018, section 4.1)
    guided_sigma: float = 0.2  # width of its diagonal band, as a share of the length
    guided_symbols: float = 2.0  # width of the band about an aligned path
    guided_halving: int = 2000  # steps in which its weight halves
    stop_weight: float = 1.0
    stop_positive_weight: float = 6.0  # weight of the few frames that say stop
    heard: int = 10  # validation sentences that a word recogniser listens to (extra evaluate); 0: none
    align_by: int = 0  # step by which attention must be aligned, or else training says why and helps; 0: never asks
    remedy_steps: int = 1000  # that the help lasts, with the largest reduction factor of the plan ...
    remedy_guidance: float = 4.0  # ... and guided_weight as at step 0, times this
    join: float = 0.0  # share of utterances that are continued with others of the speaker; 0: none
    join_seconds: float = 20.0  # of joined utterances at most; how long they get is as likely up to here
    cut: float = 0.0  # share of clips that are cut in two or more at their pauses, where text and sound agree on them

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in (
            "batch_size",
            "batch_frames",
            "guided_sigma",
            "guided_symbols",
            "guided_halving",
            "stop_positive_weight",
        ):
            require(getattr(self, name) > 0, f"{name} must be positive")
        require(self.align_by >= 0, "align_by must not be negative; 0 never asks")
        for name in ("remedy_steps", "remedy_guidance", "join_seconds"):
            require(getattr(self, name) > 0, f"{name} must be positive")
        require(0 <= self.join <= 1 and 0 <= self.cut <= 1, "join and cut are shares between 0 and 1")
        require(self.heard >= 0, "heard must not be negative; 0 listens to none")
        require(0 in self.frames_heard, "frames_heard needs an entry for step 0, e.g. {0: 1, 2000: 0.5, 3000: 0}")
        require(all(0 <= share <= 1 for share in self.frames_heard.values()), "frames_heard are shares between 0 and 1")
        require(0 in self.reduction, "reduction needs an entry for step 0, e.g. {0: 4, 2000: 2}")
        require(all(r >= 1 for r in self.reduction.values()), "reduction factors are at least 1")

    def reduction_at(self, step: int) -> int:
        """Frames per decoder step at a training step."""
        return _at(self.reduction, step)

    def frames_heard_at(self, step: int) -> float:
        """Share of utterances whose decoder LSTM hears the frames at a training step."""
        return _at(self.frames_heard, step)


@dataclass
class VocoderStage(StageConfig):
    """Training of the vocoder."""

    batch_size: int = 8  # segments
    segment_frames: int = 32  # mel frames of a segment that count in the loss
    spoken: int = 6  # held-out clips that validation copies, to measure and to hear; the same ones every time
    spoken_seconds: float = 1.0  # of each; what it costs, since a vocoder makes them side by side

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("batch_size", "segment_frames", "spoken", "spoken_seconds"):
            require(getattr(self, name) > 0, f"{name} must be positive")


@dataclass
class TuningStage(VocoderStage):
    """Fine-tuning of the trained vocoder on what the acoustic model makes: fewer and smaller steps."""

    max_steps: int = 20000
    learning_rate: float = 2e-4
    decay_start: int = 5000
    decay_halving: int = 5000
    max_unaligned: float = 0.5  # share of clips that may be left out because attention is not aligned

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.max_unaligned < 1, "max_unaligned is a share, from 0 to below 1")


@dataclass
class TrainerConfig:
    """The machine and the trainings."""

    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: int = 1  # processes on each machine that train together, each with a GPU of its own, or on CPUs
    num_nodes: int = 1  # machines
    strategy: Literal["auto", "ddp"] = "auto"  # auto: ddp (data parallel) where there is more than one process
    precision: Literal["auto", "fp32", "tf32", "bf16"] = "auto"  # auto: bf16 on a GPU that has it, fp32 on a CPU
    # Where the mels of a batch are made. loader: read from the cache, those of streams made where data is loaded.
    # device: of the wave, on the device that trains; to load is then to decode, and no more.
    mels: Literal["loader", "device"] = "loader"
    acoustic: AcousticStage = field(default_factory=AcousticStage)
    vocoder: VocoderStage = field(default_factory=VocoderStage)
    gta: TuningStage = field(default_factory=TuningStage)

    def __post_init__(self) -> None:
        require(self.devices >= 1 and self.num_nodes >= 1, "trainer.devices and trainer.num_nodes are at least 1")
        in_pieces = self.acoustic.join or self.acoustic.cut
        require(self.mels == "loader" or not in_pieces, "join and cut work on mels; take trainer.mels=loader with them")


@dataclass
class Card:
    """What the model card of an exported voice says of the speech that it learned from."""

    data: str = ""  # the data set, and where it is from
    licence: str = ""  # of the data set
    speaker: str = ""  # who speaks, in words
    consent: str = ""  # what the speaker agreed to, as the data set states it


STAGES = ("prepare", "acoustic", "vocoder", "gta")
USUAL_STAGES = STAGES[:3]  # gta wants both halves trained well, so it is asked for by name


@dataclass
class Recipe:
    """One run: what `train.py recipe=NAME` carries out."""

    about: str = ""  # one line for the list of recipes
    init_from: str = ""  # a run folder or a *.safetensors file whose weights the training starts from
    seed: int = 0
    stages: list[str] = field(default_factory=lambda: list(USUAL_STAGES))
    audio: AudioConfig = field(default_factory=AudioConfig)
    text: TextConfig = field(default_factory=TextConfig)
    data: DataConfig = component("tts.corpora", key="corpus")
    acoustic: Any = component("tts.acoustic", default="tacotron2")
    vocoder: Any = component("tts.vocoder", default="wavenet")
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    card: Card = field(default_factory=Card)

    def __post_init__(self) -> None:
        unknown = [stage for stage in self.stages if stage not in STAGES]
        require(bool(self.stages), f"stages must name at least one of {', '.join(STAGES)}")
        require(not unknown, f"stages may be {', '.join(STAGES)}; not {', '.join(unknown)}")
