"""How a WaveNet speaks: frames in, wave out, block by block; rows side by side, a long one in folds. What it made is
then brought nearer to its mel.

All generation passes through `waves`, whose blocks begin at fixed frames and have one size. So a row has the same
samples whether its mel arrives at once or bit by bit.

Shapes: B rows, N bands, T steps, T_mel frames.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from tts.layers import length_mask
from tts.native import Storage
from tts.parallel import n_cores
from tts.vocoder._engines import Engine, compiled_engines, engine_of_rows
from tts.vocoder._refinement import Made, Pass

if TYPE_CHECKING:
    from tts.vocoder.wavenet import WaveNet

BLOCK = 8  # frames made at once: what a stream waits for, beside the conditioning's context
FADE = 1  # frames in which one fold takes over from the one before


class Window(NamedTuple):
    """A block of frames with what its conditioning sees."""

    mel: Tensor  # (B, n_mels, BLOCK + 2 * mel_context)
    n_frames: int  # that are real, in the middle; BLOCK but for the last


def windows(mels: Iterable[Tensor], context: int) -> Iterator[Window]:
    """mels: (B, n_mels, any) each, one after the other; the first and the last `context` frames are context only."""
    size, waiting = BLOCK + 2 * context, None
    for mel in mels:
        waiting = mel if waiting is None else torch.cat([waiting, mel], dim=2)
        while waiting.shape[2] >= size:
            # A copy, so that all are alike in memory too, on which torch's rounding may depend.
            yield Window(waiting[:, :, :size].clone(memory_format=torch.contiguous_format), BLOCK)
            waiting = waiting[:, :, BLOCK:]
    if waiting is not None and waiting.shape[2] > 2 * context:
        missing = size - waiting.shape[2]
        yield Window(F.pad(waiting, (0, missing)), BLOCK - missing)


class Finish:
    """From signals to the wave, frame by frame; the last frames wait for those which the bank's filters also need."""

    def __init__(self, model: "WaveNet", lengths: Tensor | None):
        """lengths: (B,) frames; signals behind them count as silence."""
        self.model, self.lengths, self.n_frames = model, lengths, 0
        self.around = -(-model.bank.reach // model.n_bands)  # steps on either side that a sample depends on
        self.held = -(-model.bank.reach // model.hop_length)  # frames
        self.bands: Tensor | None = None  # (B, N, T) from `around` steps before the first frame not finished
        self.mel: Tensor | None = None  # (B, n_mels, T_mel) of the frames not finished
        self.past: Tensor | None = None  # (B, order) the last samples, before anything was clipped

    def push(self, signal: Tensor, mel: Tensor) -> Iterator[Made]:
        """What is finished now, if anything is. signal: (B, N, T); mel: (B, n_mels, T_mel)."""
        bands = self.model.distribution.decode(signal)
        if self.lengths is not None:
            real = length_mask((self.lengths - self.n_frames) * self.model.frame_steps, bands.shape[2])
            bands = torch.where(real[:, None], bands, 0.0)
        before = bands.new_zeros(*bands.shape[:2], self.around) if self.bands is None else self.bands
        self.bands = torch.cat([before, bands], dim=2)
        self.mel = mel if self.mel is None else torch.cat([self.mel, mel], dim=2)
        self.n_frames += mel.shape[2]
        yield from self._take(self.mel.shape[2] - self.held)

    def rest(self) -> Iterator[Made]:
        """What waited. Silence lies behind it."""
        if self.bands is not None and self.mel is not None:
            self.bands = F.pad(self.bands, (0, self.around))
            yield from self._take(self.mel.shape[2])

    def _take(self, n_frames: int) -> Iterator[Made]:
        if n_frames <= 0 or self.bands is None or self.mel is None:
            return
        model, n_steps = self.model, n_frames * self.model.frame_steps
        wave = model.bank.synthesise(self.bands[:, :, : n_steps + 2 * self.around])
        wave = wave[:, self.around * model.n_bands :][:, : n_frames * model.hop_length]
        self.bands = self.bands[:, :, n_steps:]
        if model.prediction is not None:
            wave = model.prediction.synthesise(wave, self.mel[:, :, :n_frames], self.past)
            before = wave.new_zeros(len(wave), model.prediction.order) if self.past is None else self.past
            self.past = torch.cat([before, wave], dim=1)[:, -model.prediction.order :]
        mel, self.mel = self.mel[:, :, :n_frames], self.mel[:, :, n_frames:]
        yield Made(wave, mel)


def waves(
    model: "WaveNet",
    engine: Engine,
    mels: Iterable[Tensor],
    generators: Sequence[torch.Generator],
    lengths: Tensor | None = None,
    *,
    measured: bool,
) -> Iterator[Tensor]:
    """The wave of B rows in pieces (B, n * hop).

    Args:
        model: is only read.
        engine: for B rows, at its start.
        mels: see `windows`; (B, n_mels, any) with `mel_context` frames of context at either end of all.
        generators: one a row, of its noise.
        lengths: (B,) frames without context, if rows end before others.
        measured: see `Vocoder.generate`.
    """
    made = _made(model, engine, mels, generators, lengths)
    for _ in range(model.refinement.passes(measured=measured)):
        made = Pass(model.refinement, lengths, measured=measured).over(made)
    for piece in made:
        yield piece.wave.clamp(-1, 1)


def _made(
    model: "WaveNet",
    engine: Engine,
    mels: Iterable[Tensor],
    generators: Sequence[torch.Generator],
    lengths: Tensor | None,
) -> Iterator[Made]:
    """What the network alone makes."""
    finish, context = Finish(model, lengths), model.mel_context
    for mel, n_frames in windows(mels, context):
        conditions = model.step_condition(mel)[:n_frames]
        noise = torch.cat([model.noise(generators) for _ in range(n_frames)])
        signal = engine.run(conditions, noise)
        yield from finish.push(signal, mel[:, :, context : context + n_frames])
    yield from finish.rest()


class Piece(NamedTuple):
    """A row, or a fold of it, in frames of the row."""

    row: int
    start: int  # where generation begins, to be warm at `first`
    first: int  # where it is heard from
    last: int  # up to where
    end: int  # where generation ends: the last samples depend on those behind them


def cut(mel: Tensor, row: int, folds: int, *, warm: int, behind: int) -> list[Piece]:
    """Folds of about the same length, cut where it is most silent nearby. mel: (n_mels, T_mel) of the row.

    A row too short for so many has fewer: each is to be longer than what it must hear first.

    Args:
        mel: contract units.
        row: its number.
        folds: at most so many.
        warm: frames heard before a fold.
        behind: frames made after a fold that others go on from.
    """
    n_frames = mel.shape[1]
    folds = max(1, min(folds, n_frames // (4 * (warm + FADE + behind))))
    loudness = F.avg_pool1d(mel.mean(dim=0)[None], 3, stride=1, padding=1, count_include_pad=False)[0]
    bounds, reach = [0], n_frames // (4 * folds)
    for i in range(1, folds):
        low = i * n_frames // folds - reach
        bounds.append(low + int(loudness[low : low + 2 * reach + 1].argmin()))
    lasts = [*(bound + FADE for bound in bounds[1:]), n_frames]
    return [
        Piece(row, max(0, first - warm), first, last, min(last + behind, n_frames))
        for first, last in zip(bounds, lasts, strict=True)
    ]


class Told:
    """Progress of pieces that are made side by side, as samples of the longest row."""

    def __init__(self, progress: Callable[[int], None] | None, n_frames: int, n_samples: int):
        self.progress, self.n_frames, self.n_samples = progress, n_frames, n_samples
        self.done, self.lock = 0, threading.Lock()

    def add(self, n_frames: int) -> None:
        """So many frames more are done."""
        with self.lock:
            self.done += n_frames
            if self.progress is not None:
                self.progress(self.done * self.n_samples // self.n_frames)


def generate(
    model: "WaveNet",
    mel: Tensor,
    mel_lengths: Tensor,
    *,
    seeds: Sequence[int],
    folds: int,
    measured: bool,
    storage: Storage | None,
    progress: Callable[[int], None] | None,
) -> Tensor:
    """See `WaveNet.generate`."""
    hop, rows = model.hop_length, mel_lengths.tolist()
    reach = model.refinement.reach(measured=measured)
    warm, behind = -(-model.receptive_field // hop) + reach, -(-model.bank.reach // hop) + reach
    pieces = [
        piece
        for row, n_frames in enumerate(rows)
        for piece in cut(mel[row, :, :n_frames], row, folds, warm=warm, behind=behind)
    ]
    make = compiled_engines(model, storage)
    # Compiled rows are made one by one, side by side where there are cores; torch's all at once.
    groups = [pieces] if make is None else [[piece] for piece in sorted(pieces, key=lambda p: p.start - p.end)]
    told = Told(progress, sum(max(p.end - p.start for p in group) for group in groups), mel.shape[2] * hop)
    stopped = threading.Event()

    @torch.inference_mode()
    def speak(group: list[Piece]) -> Tensor:
        lengths = torch.tensor([piece.end - piece.start for piece in group], device=mel.device)
        generators = [_generator(model, seeds[piece.row], piece.start) for piece in group]
        engine = engine_of_rows(model, len(group), storage) if make is None else make()
        seen = torch.stack([_around(model, mel, piece, rows[piece.row], int(lengths.max())) for piece in group])
        made = []
        for wave in waves(model, engine, [seen], generators, lengths, measured=measured):
            if stopped.is_set():
                break
            made.append(wave)
            told.add(wave.shape[1] // hop)
        return torch.cat(made, dim=1)

    found = dict(zip((p for g in groups for p in g), _side_by_side(speak, groups, stopped), strict=True))
    return _joined(mel.new_zeros(len(mel), mel.shape[2] * hop), [(p, found[p]) for p in pieces], hop)


def _side_by_side(
    speak: Callable[[list[Piece]], Tensor], groups: list[list[Piece]], stopped: threading.Event
) -> list[Tensor]:
    """The waves of all pieces, in order. Compiled steps leave Python to other threads."""
    workers = min(n_cores(), len(groups))
    if workers == 1:
        return [wave for group in groups for wave in speak(group)]
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            return [wave for made in pool.map(speak, groups) for wave in made]
        finally:  # an interrupted one would go on to its end otherwise
            stopped.set()


def _generator(model: "WaveNet", seed: int, n_frames: int) -> torch.Generator:
    """A row's noise from a frame on, which is the same whoever asks for it."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(n_frames):
        model.noise([generator])
    return generator


def _around(model: "WaveNet", mel: Tensor, piece: Piece, n_frames: int, width: int) -> Tensor:
    """What a piece sees of its row, (n_mels, width + 2 * mel_context); around a row of n_frames lies silence."""
    context = model.mel_context
    row = F.pad(mel[piece.row, :, :n_frames], (context, context), value=model.silence)
    seen = row[:, piece.start : piece.end + 2 * context]
    return F.pad(seen, (0, width + 2 * context - seen.shape[1]), value=model.silence)


def _joined(wave: Tensor, pieces: Iterable[tuple[Piece, Tensor]], hop: int) -> Tensor:
    """Write pieces, of (samples,) each from `start` on, into rows; a fold fades in where the one before fades out."""
    for piece, made in pieces:
        heard = made[(piece.first - piece.start) * hop : (piece.last - piece.start) * hop]
        target = wave[piece.row, piece.first * hop : piece.last * hop]
        if piece.first > 0:
            fade = FADE * hop
            rise = torch.linspace(0, 1, fade + 2, device=wave.device)[1:-1]
            target[:fade].lerp_(heard[:fade], rise)
            target[fade:] = heard[fade:]
        else:
            target.copy_(heard)
    return wave


def stream(
    model: "WaveNet", mels: Iterable[Tensor], *, seed: int, measured: bool, storage: Storage | None
) -> Iterator[Tensor]:
    """See `WaveNet.stream`."""
    make = compiled_engines(model, storage)
    engine = engine_of_rows(model, 1, storage) if make is None else make()
    device = model.input.weight.device
    n_mels = model.scaler.mean.shape[0]
    silence = torch.full((1, n_mels, model.mel_context), model.silence, device=device)

    def arriving() -> Iterator[Tensor]:
        yield silence
        for mel in mels:
            yield mel[None].to(device)
        yield silence

    generators = [torch.Generator().manual_seed(seed)]
    for wave in waves(model, engine, arriving(), generators, measured=measured):
        yield wave[0]
