"""How close a take is to the recording of the same sentence: spectrum, pitch and timing; for copies also PESQ and STOI.

Everything is measured at 16 kHz, so that voices of different rates compare. Silence is cut at both ends of take and
recording (40 dB below the loudest 25 ms); pauses inside count. WORLD (Morise et al. 2016) analyses every 5 ms: F0 by
DIO and StoneMask, 71 to 800 Hz, the spectral envelope by CheapTrick. Frames are paired by dynamic time warping
of the mel cepstra c1 to c24 (Sakoe and Chiba 1978), and means are over the pairs of that path. MCD is that of Kubichek
(1993), without c0.

Shapes: T_wave samples, n_frames of 5 ms, n_pairs of frames along the path.
"""

import importlib
import importlib.metadata
import math
import sys
import warnings
from collections import OrderedDict
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tts.audio.files import Recording, resample
from tts.audio.silence import trim_silence
from tts.errors import AudioError
from tts.evaluation.measures import Finding, Measure, Part, Take

RATE = 16000  # Hz; that of wideband PESQ
FRAME_MS = 5.0
TOP_DB = 40.0  # below the loudest 25 ms is silence
SHORTEST = 0.1  # seconds of speech that can be analysed
ORDER = 24  # of the mel cepstrum
ALPHA = 0.42  # of the all-pass function that comes closest to the mel scale at 16 kHz (Tokuda et al. 1994; SPTK)
DB = 10 / math.log(10)  # from natural logarithm of a power
SPECTRUM_FLOOR = 60.0  # dB below the loudest bin of a clip
LEAST_VOICED = 10  # pairs; a correlation of fewer says nothing
MONOTONE = 0.005  # standard deviation of log F0 below which there is no melody to correlate; speech has 0.1 and more
KEPT = 256  # analysed recordings, about 0.7 MB each for 4 seconds

WORLD_MEASURES = (
    Measure("mcd_db", "mel-cepstral distortion", "dB", "lower", "mean", "How far the timbre is from the recording's."),
    Measure("lsd_db", "log-spectral distance", "dB", "lower", "mean", "How far the fine spectrum is, noise included."),
    Measure("f0_rmse_hz", "F0 error (RMS)", "Hz", "lower", "root", "Pitch error where both are voiced."),
    Measure(
        "f0_median_hz", "F0 error (median)", "Hz", "lower", "median", "The same; a few octave errors do not count."
    ),
    Measure("f0_correlation", "F0 correlation", "", "higher", "mean", "Whether the melody (log F0) moves alike."),
    Measure("vuv_error", "voicing error", "share", "lower", "ratio", "Frames voiced in one and not in the other."),
)
DURATION = Measure(
    "duration_ratio", "duration", "times", "one", "ratio", "Seconds of speech over those of the recording."
)
PESQ = Measure("pesq", "PESQ", "MOS-LQO", "higher", "mean", "Wideband PESQ (ITU-T P.862.2) of copies, 1 to 4.64.")
STOI = Measure("stoi", "STOI", "", "higher", "mean", "Objective intelligibility of copies (Taal et al. 2011), to 1.")


class Analysis(NamedTuple):
    """A clip as WORLD sees it, without the silence at its ends."""

    cepstrum: NDArray[np.float64]  # (n_frames, ORDER), c1 and up: c0 is loudness
    f0: NDArray[np.float64]  # (n_frames,) Hz, 0 where unvoiced
    spectrum: NDArray[np.float64]  # (n_frames, n_freqs) dB, at the same loudness for every clip


class Clip(NamedTuple):
    """What is compared of a take or a recording."""

    wave: NDArray[np.float64]  # (T_wave,) at 16 kHz, silence included
    seconds: float  # of speech; 0 for a silent clip
    analysis: Analysis | None  # None where there is too little, or no WORLD


class Closeness:
    """Compares takes with their recordings; a take without one is left alone.

    A copy (of the recording's own mel) is compared sample by sample too, as both begin together: PESQ and STOI.
    `measures` names all of them; those of an absent package are in `missing()` and never in a finding.
    """

    measures: tuple[Measure, ...] = (*WORLD_MEASURES, DURATION, PESQ, STOI)

    def __init__(self) -> None:
        self._missing = missing()
        self._kept: OrderedDict[tuple[str, int], tuple[Tensor, Clip]] = OrderedDict()

    def missing(self) -> dict[str, str]:
        """Measure -> why it cannot be told here, and the way out."""
        return dict(self._missing)

    def __call__(self, take: Take) -> Finding:
        """Compare one take with its recording; what cannot be told of it is left out, and said in a note."""
        if take.reference is None:
            return Finding({})
        analyse = "mcd_db" not in self._missing
        clip, reference = clip_of(take.wave, take.sample_rate, analyse), self._recorded(take, analyse)
        silent = [name for name, one in (("take", clip), ("recording", reference)) if one.seconds == 0]
        if silent:
            return Finding({}, {"closeness": f"the {' and the '.join(silent)} holds nothing but silence"})
        parts = {"duration_ratio": Part(clip.seconds, reference.seconds)}
        if clip.analysis and reference.analysis:
            parts |= compare(clip.analysis, reference.analysis)
        if take.copied:
            scores = {"pesq": pesq_score, "stoi": stoi_score}
            for name in scores.keys() - self._missing.keys():
                value = scores[name](clip.wave, reference.wave)
                parts |= {} if value is None else {name: Part(value)}
        return Finding(parts, {} if len(parts) > 1 or not analyse else {"closeness": "too short to be compared"})

    def _recorded(self, take: Take, analyse: bool) -> Clip:
        """The recording's clip, analysed once for all the systems that are compared with it."""
        assert take.reference is not None
        key = (take.text.id, take.sample_rate)
        known = self._kept.pop(key, None)
        if known is None or not torch.equal(known[0], take.reference):  # another recording under the same id
            known = (take.reference, clip_of(take.reference, take.sample_rate, analyse))
        self._kept[key] = known
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return known[1]


def missing() -> dict[str, str]:
    """Measures that no installed package can tell -> the reason, and the way out."""
    needed = {"pyworld": [measure.name for measure in WORLD_MEASURES], "pesq": ["pesq"], "pystoi": ["stoi"]}
    out: dict[str, str] = {}
    for package, names in needed.items():
        try:
            load_world() if package == "pyworld" else importlib.import_module(package)
        except (ImportError, OSError, ValueError) as error:  # ValueError: built for another numpy
            built = "" if package == "pystoi" else " (it is built from source and needs a C compiler)"
            reason = f'{package} does not load ({error}); pip install "tts[evaluate]"{built}'
            out |= dict.fromkeys(names, reason)
    return out


@cache
def load_world() -> ModuleType:
    """The package pyworld, imported on first use.

    Its `__init__` asks `pkg_resources` for its own version, which setuptools no longer has since release 82 and warns
    about before; a stand-in answers that one question.

    Raises:
        ImportError: if it is not installed or does not load.
    """
    if "pkg_resources" in sys.modules:
        return importlib.import_module("pyworld")
    stand_in: Any = ModuleType("pkg_resources", "Stands in while pyworld is imported.")
    stand_in.get_distribution = importlib.metadata.distribution
    sys.modules["pkg_resources"] = stand_in
    try:
        return importlib.import_module("pyworld")
    finally:
        del sys.modules["pkg_resources"]


def clip_of(wave: Tensor, sample_rate: int, analyse: bool = True) -> Clip:
    """Bring (T_wave,) to 16 kHz, cut the silence at its ends, and analyse what is left."""
    if wave.numel() == 0 or not bool(torch.isfinite(wave).all()):
        return Clip(np.zeros(0), 0.0, None)
    wave = resample(Recording(wave.detach().cpu().float(), sample_rate), RATE)
    whole = wave.numpy().astype(np.float64)
    try:
        speech = trim_silence(wave, RATE, TOP_DB, keep_seconds=0.0).wave
    except AudioError:  # nothing but silence
        return Clip(whole, 0.0, None)
    seconds = len(speech) / RATE
    return Clip(whole, seconds, analysed(speech.double()) if analyse and seconds >= SHORTEST else None)


def analysed(speech: Tensor) -> Analysis:
    """Analyse (T_wave,) float64 at 16 kHz."""
    world = load_world()
    f0, seconds = pitch(speech.numpy())
    envelope = world.cheaptrick(speech.numpy(), f0, seconds, RATE)  # (n_frames, n_fft // 2 + 1) power
    spectrum = short_time_spectrum(speech)
    n_frames = min(len(f0), len(spectrum))
    return Analysis(mel_cepstrum(envelope)[:n_frames, 1:], f0[:n_frames], spectrum[:n_frames])


def pitch(speech: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """F0 in Hz (0 where unvoiced) and the seconds of its frames, each (n_frames,)."""
    world = load_world()
    f0, seconds = world.dio(speech, RATE, frame_period=FRAME_MS)
    return world.stonemask(speech, f0, seconds, RATE), seconds


def mel_cepstrum(envelope: NDArray[np.float64], order: int = ORDER, alpha: float = ALPHA) -> NDArray[np.float64]:
    """Mel cepstrum as SPTK defines it: log|H| = sum of c_m cos(m w'), w' the warped frequency.

    The same numbers as `pysptk.sp2mc`. Not WORLD's own coding, whose coefficients are larger by the root of 2: with
    those the formula of MCD gives no dB.

    Args:
        envelope: (n_frames, n_freqs) power.

    Returns:
        (n_frames, order + 1)
    """
    cepstrum = np.fft.irfft(np.log(envelope), axis=1)[:, : envelope.shape[1]]
    cepstrum[:, 0] /= 2  # the logarithm of a power, folded to one side: only c0 and the last are counted twice
    cepstrum[:, -1] /= 2
    return cepstrum @ warping(envelope.shape[1], order, alpha)


@cache
def warping(n_coefficients: int, order: int, alpha: float) -> NDArray[np.float64]:
    """(n_coefficients, order + 1) frequency transform of cepstra by an all-pass (Oppenheim and Johnson 1972).

    Row n holds the series of ((z~ + alpha) / (1 + alpha z~)) ** n, z~ the warped delay.
    """
    rows = np.zeros((n_coefficients, order + 1))
    rows[0, 0] = 1.0
    for n in range(1, n_coefficients):
        before = rows[n - 1]
        rows[n, 0] = alpha * before[0]
        for m in range(1, order + 1):
            rows[n, m] = before[m - 1] + alpha * (before[m] - rows[n, m - 1])
    return rows


def short_time_spectrum(speech: Tensor) -> NDArray[np.float64]:
    """(n_frames, 257) dB of (T_wave,): Hann windows of 25 ms around WORLD's frames; loudness made the same."""
    speech = speech / speech.square().mean().sqrt()
    window = torch.hann_window(400, dtype=speech.dtype)
    power = torch.stft(speech, 512, round(RATE * FRAME_MS / 1000), 400, window, return_complex=True).abs().square()
    floor = float(power.max()) * 10 ** (-SPECTRUM_FLOOR / 10)
    decibels: NDArray[np.float64] = (10 * power.clamp_min(floor).log10()).T.numpy()
    return decibels


def compare(take: Analysis, reference: Analysis) -> dict[str, Part]:
    """The measures along the path that pairs the frames of two analyses."""
    path = warping_path(take.cepstrum, reference.cepstrum)
    cepstra = take.cepstrum[path[:, 0]] - reference.cepstrum[path[:, 1]]  # (n_pairs, ORDER)
    spectra = take.spectrum[path[:, 0]] - reference.spectrum[path[:, 1]]  # (n_pairs, n_freqs)
    parts = {
        "mcd_db": Part(DB * math.sqrt(2) * float(np.linalg.norm(cepstra, axis=1).mean())),
        "lsd_db": Part(float(np.sqrt(np.square(spectra).mean(axis=1)).mean())),
    }
    return parts | compare_pitch(take.f0[path[:, 0]], reference.f0[path[:, 1]])


def compare_pitch(take: NDArray[np.float64], reference: NDArray[np.float64]) -> dict[str, Part]:
    """The measures of F0, each (n_pairs,) in Hz and 0 where unvoiced."""
    parts = {"vuv_error": Part(float(np.sum((take > 0) != (reference > 0))), float(len(take)))}
    both = (take > 0) & (reference > 0)
    ours, theirs = take[both], reference[both]
    if len(ours):
        error = ours - theirs
        parts["f0_rmse_hz"] = Part(float(np.square(error).sum()), float(len(error)))
        parts["f0_median_hz"] = Part(float(np.median(np.abs(error))))
    if len(ours) >= LEAST_VOICED:
        logs = np.log(ours), np.log(theirs)
        if min(float(np.std(log)) for log in logs) > MONOTONE:
            parts["f0_correlation"] = Part(float(np.corrcoef(*logs)[0, 1]))
    return parts


def pesq_score(take: NDArray[np.float64], reference: NDArray[np.float64]) -> float | None:
    """Wideband PESQ, 1 to 4.64; None where it finds no speech."""
    from pesq import PesqError, pesq

    n = min(len(take), len(reference))
    try:
        return float(pesq(RATE, reference[:n], take[:n], "wb"))
    except PesqError:  # too short, or no utterance detected
        return None


def stoi_score(take: NDArray[np.float64], reference: NDArray[np.float64]) -> float | None:
    """STOI; None where less than 0.4 seconds of the recording are speech."""
    from pystoi import stoi

    n = min(len(take), len(reference))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # how it says that there is too little
        try:
            return float(stoi(reference[:n], take[:n], RATE))
        except (RuntimeWarning, ValueError):
            return None


def warping_path(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.int64]:
    """The pairs of frames with the least summed Euclidean distance.

    Steps are (1, 1), (1, 0) and (0, 1), each of weight 1; both ends are paired. Costs are summed one anti-diagonal at
    a time, which numpy does at once.

    Args:
        ours: (n, dim).
        theirs: (m, dim).

    Returns:
        (n_pairs, 2), in order.
    """
    n, m = len(ours), len(theirs)
    squared = np.square(ours).sum(axis=1)[:, None] + np.square(theirs).sum(axis=1) - 2 * ours @ theirs.T
    distance = np.sqrt(np.maximum(squared, 0)).astype(np.float32).reshape(-1)  # of (i, j) at i * m + j
    steps = np.zeros(n * m, np.int8)  # how (i, j) was reached: 0 from both before, 1 from i - 1, 2 from j - 1
    before = np.full(n + 1, np.inf)  # of the last anti-diagonal, of row i at i + 1
    twice_before = before.copy()
    twice_before[0] = 0.0  # where the path begins
    for diagonal in range(n + m - 1):
        first, last = max(0, diagonal - m + 1), min(n - 1, diagonal)
        cells = slice(first * m + diagonal - first, last * m + diagonal - last + 1, max(1, m - 1))
        reached = np.stack([twice_before[first : last + 1], before[first : last + 1], before[first + 1 : last + 2]])
        steps[cells] = reached.argmin(axis=0)
        cost = np.full(n + 1, np.inf)
        cost[first + 1 : last + 2] = reached.min(axis=0) + distance[cells]
        twice_before, before = before, cost
    pairs = [(n - 1, m - 1)]
    while pairs[-1] != (0, 0):
        i, j = pairs[-1]
        step = steps[i * m + j]
        pairs.append((i - (step != 2), j - (step != 1)))
    return np.array(pairs[::-1], np.int64)
