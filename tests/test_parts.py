"""Clips that are parts of a longer file."""

import hashlib
import json

import numpy as np
import pytest
import soundfile
import torch

from tests.test_data import AUDIO, SENTENCES, Letters, voice
from tts.audio.files import read_recording, write_wave
from tts.batch import PhoneTime, Utterance
from tts.data import cache as caching
from tts.data.cache import ClipCache, load_wave
from tts.data.prepare import prepare
from tts.errors import AudioError
from tts.settings import DataConfig, Recipe


@pytest.fixture(params=["wav", "flac"])
def long_file(request, tmp_path):
    path = tmp_path / f"long.{request.param}"
    write_wave(path, torch.cat([voice(1.0, seed) for seed in range(10)]), 8000)
    return path


def test_a_part_is_what_the_whole_holds_there(long_file):
    whole = read_recording(long_file).wave
    assert len(whole) == 80000
    assert torch.equal(read_recording(long_file, 1.25, 2.5).wave, whole[10000:20000])
    assert torch.equal(read_recording(long_file, 9.5).wave, whole[76000:])
    assert torch.equal(read_recording(long_file, 0, 0.5).wave, whole[:4000])
    assert torch.equal(read_recording(long_file, 9.5, 10.09).wave, whole[76000:])  # manifests round


def test_only_the_part_is_decoded(long_file, monkeypatch):
    decoded = []
    read = soundfile.SoundFile.read

    def watch(self, frames=-1, **settings):
        samples = read(self, frames, **settings)
        decoded.append(len(samples))
        return samples

    monkeypatch.setattr(soundfile.SoundFile, "read", watch)
    read_recording(long_file, 1.25, 2.5)
    assert decoded == [10000]


@pytest.mark.parametrize(
    ("start", "end", "asked"),
    [
        (11.0, 0.0, "from 11 s to the end"),
        (9.0, 10.2, "from 9 s to 10.2 s"),
        (3.0, 2.0, "from 3 s to 2 s"),
        (-1.0, 2.0, "from -1 s to 2 s"),
    ],
)
def test_a_part_that_is_not_there_is_an_error(long_file, start, end, asked):
    with pytest.raises(AudioError, match=rf"long\.\w+ lasts 10\.00 s, and the part {asked} is not in it; correct"):
        read_recording(long_file, start, end)


def test_utterances_share_a_file_that_is_hashed_once(tmp_path, monkeypatch):
    path = tmp_path / "long.wav"
    write_wave(path, torch.cat([torch.cat([torch.zeros(1600), voice(0.8, seed)]) for seed in range(10)]), 8000)
    phones = (PhoneTime("AA1", 3.2, 3.9),)
    utterances = [
        Utterance(f"clip{i}", path, SENTENCES[i], "", phones if i == 3 else (), i, (i + 1) % 10) for i in range(10)
    ]
    hashed = []
    digest = hashlib.blake2b

    def watch(*content, **settings):
        hashed.append(len(content[0]) if content else 0)
        return digest(*content, **settings)

    monkeypatch.setattr(caching.hashlib, "blake2b", watch)
    recipe = Recipe(audio=AUDIO, data=DataConfig(cache=str(tmp_path / "cache"), held_out=2, workers=1))
    prepared = prepare(recipe, tmp_path / "run", utterances, Letters(), progress=False)
    assert sum(size > 10_000 for size in hashed) == 1  # the others are of paths and sentences
    assert len({clip.cache_file for clip in prepared.clips}) == 10
    for seed, clip in enumerate(prepared.clips):
        wave = load_wave(clip.cache_file)
        # The silence before each is cut, down to data.keep_silence.
        assert 0.79 < clip.seconds < 0.95
        same = torch.nn.functional.cosine_similarity(wave[-6000:], voice(0.8, seed)[-6000:], dim=0)
        assert float(same) > 0.99
    # A phone's times are those of the file, and become those of the clip.
    clip = prepared.clips[3]
    assert clip.phone_times[0].end - clip.phone_times[0].start == pytest.approx(0.7, abs=0.01)
    assert clip.phone_times[0].start == pytest.approx(clip.seconds - 0.8, abs=0.01)


def test_whole_files_keep_the_entries_they_have(tmp_path):
    """The key of a whole file is that of caches made before there were parts."""
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(800), 8000)
    data = DataConfig(cache=str(tmp_path / "cache"))
    cache = ClipCache(AUDIO, data)
    content = hashlib.blake2b(path.read_bytes(), digest_size=20).hexdigest()
    settings = json.dumps([1, AUDIO.fingerprint, data.trim_db, data.keep_silence])
    assert cache.task(path).entry.stem == hashlib.sha256((content + settings).encode()).hexdigest()[:32]
    parts = [(0.0, 0.0), (0.0, 0.05), (0.05, 0.0), (0.01, 0.05)]
    assert len({cache.task(path, *part).entry for part in parts}) == 4
    assert cache.task(path, 0, 1).entry == cache.task(path, 0.0, 1.0).entry
