"""How clean the clips of a corpus are: noise floor, pauses, silence; measured on what the cache holds of them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from tts.audio.loudness import loudness
from tts.audio.silence import window_levels
from tts.data.cache import load_mel, load_wave
from tts.data.manifest import Clip
from tts.data.pauses import pauses, quiet_frames
from tts.parallel import n_cores, unordered
from tts.progress import progress_bar
from tts.settings import AudioConfig

NOISE_QUANTILE, SPEECH_QUANTILE = 0.03, 0.9  # windows that tell the noise floor and the level of speech
LOWEST = -100.0  # dB of full scale; what is quieter is digital silence
FEW = 200  # clips that are heard at once in this process: starting others would take longer


class Sound(NamedTuple):
    """What was heard in a clip."""

    snr: float  # dB of speech above the noise floor
    noise: float  # dB of full scale, in the clip as cached
    loudness: float  # LUFS, as cached
    longest_pause: float  # seconds
    silence: float  # share of the clip


def hear_all(clips: Sequence[Clip], audio: AudioConfig, workers: int = 0) -> dict[str, Sound]:
    """Listen to clips in processes, by id. workers: 0 for one a core."""
    jobs = [(clip.id, (clip, audio)) for clip in clips]
    workers = 1 if len(clips) < FEW else workers or n_cores()
    heard: Iterable[tuple[str, Sound]] = ((id_, _hear(job)) for id_, job in jobs)
    if workers > 1:
        heard = unordered(_hear, jobs, workers)
    found = {}
    with progress_bar(len(clips), "listen", " clips") as bar:
        for id_, sound in heard:
            found[id_] = sound
            bar.update()
    return found


def _hear(job: tuple[Clip, AudioConfig]) -> Sound:
    clip, audio = job
    wave, mel = load_wave(clip.cache_file), load_mel(clip.cache_file)
    quiet = quiet_frames(mel, audio)
    found = pauses(quiet, audio.frame_seconds)
    levels = (20 * window_levels(wave, audio.sample_rate).clamp_min(1e-6).log10()).clamp_min(LOWEST).numpy()
    noise, speech = np.quantile(levels, [NOISE_QUANTILE, SPEECH_QUANTILE])
    return Sound(
        snr=round(float(speech - noise), 1),
        noise=round(float(noise), 1),
        loudness=round(loudness(wave, audio.sample_rate), 2),
        longest_pause=round(max((p.end - p.start for p in found), default=0) * audio.frame_seconds, 2),
        silence=round(float(quiet.mean()), 3),
    )
