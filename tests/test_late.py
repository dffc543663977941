"""Mels that are made on the device that trains are those that a loader would have brought, in every kind of batch."""

from dataclasses import fields
from itertools import islice

import pytest
import torch
from safetensors.torch import load_file

from tests.test_data import AUDIO, corpus, recipe, run  # noqa: F401 - fixtures
from tests.toy import SMALL, steps
from tts.audio.files import to_int16
from tts.cli import main
from tts.data.cache import load_wave
from tts.data.late import LateBatch
from tts.data.loaders import acoustic_loader, vocoder_loader
from tts.data.stream import AcousticBatching, Example, Pick, VocoderBatching
from tts.errors import ConfigError
from tts.settings import AcousticStage, TrainerConfig, VocoderStage

ACOUSTIC = AcousticStage(batch_size=3, batch_frames=600)
VOCODER = VocoderStage(batch_size=4, segment_frames=10)


def assert_alike(late, usual):
    completed = late.to("cpu").complete(AUDIO)
    assert type(completed) is type(usual)
    for field in fields(usual):
        mine, theirs = getattr(completed, field.name), getattr(usual, field.name)
        if field.name == "mel":
            torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)
        elif isinstance(theirs, torch.Tensor):
            torch.testing.assert_close(mine, theirs, rtol=0, atol=0, equal_nan=True)
        else:
            assert mine == theirs


@pytest.fixture
def clips(recipe, tmp_path, corpus):  # noqa: F811
    return run(recipe, tmp_path, corpus).clips


@pytest.mark.parametrize("make", [acoustic_loader, vocoder_loader])
def test_loaders_of_waves_bring_the_same_batches(clips, make):
    arguments = (ACOUSTIC, 1) if make is acoustic_loader else (VOCODER, 2, 6, 1)
    both = zip(*(make(clips, AUDIO, *arguments, late=late) for late in (True, False)), strict=False)
    for late, usual in islice(both, 6):
        assert_alike(late, usual)


def test_streams_of_waves_make_the_same_batches(clips):
    waves = [to_int16(load_wave(clip.cache_file)) for clip in clips]
    examples = [Example(clip.id, torch.tensor(clip.ids), 0, wave) for clip, wave in zip(clips, waves, strict=True)]
    whole = [Pick(example, 0) for example in examples]
    late, usual = (AcousticBatching(AUDIO, ACOUSTIC, late).make(whole) for late in (True, False))
    assert_alike(late, usual)
    # At the start, in the middle, at the end, and beyond the end of clips.
    parts = [Pick(e, first) for e in examples for first in (0, 1, 7, AUDIO.n_frames(len(e.wave)) - 10)]
    late, usual = (VocoderBatching(AUDIO, VOCODER, 2, 6, late).make(parts) for late in (True, False))
    assert_alike(late, usual)


def test_clips_of_a_few_samples_and_of_a_part_of_a_frame(clips):
    waves = [to_int16(load_wave(clips[0].cache_file))[:n] for n in (1, 9, AUDIO.hop_length, 3 * AUDIO.hop_length + 1)]
    examples = [Example(str(n), torch.tensor([1]), 0, wave) for n, wave in enumerate(waves)]
    picks = [Pick(example, 0) for example in examples]
    assert_alike(*(AcousticBatching(AUDIO, ACOUSTIC, late).make(picks) for late in (True, False)))
    assert_alike(*(VocoderBatching(AUDIO, VOCODER, 2, 6, late).make(picks) for late in (True, False)))


def test_training_learns_the_same_from_them(trained, tmp_path, monkeypatch):
    complete, made = LateBatch.complete, []
    monkeypatch.setattr(LateBatch, "complete", lambda self, audio: made.append(1) or complete(self, audio))
    arguments = [f"data.root={trained.parent / 'corpus'}", f"data.cache={trained.parent / 'cache'}", *SMALL]
    arguments += [f"run={tmp_path / 'run'}", "trainer.mels=device", *steps(8, every=4)]
    assert main(["train", "recipe=own", *arguments]) == 0
    assert len(made) >= 16, "eight batches of each half"
    for half in ("acoustic", "vocoder"):
        late, usual = (load_file(folder / half / "last.safetensors") for folder in (tmp_path / "run", trained))
        for name, weight in usual.items():
            torch.testing.assert_close(late[name].float(), weight.float(), rtol=0, atol=2e-3, msg=f"{half} {name}")


def test_pieces_are_made_of_mels(clips):
    with pytest.raises(ConfigError, match=r"join and cut work on mels; take trainer\.mels=loader"):
        TrainerConfig(mels="device", acoustic=AcousticStage(join=0.5))
