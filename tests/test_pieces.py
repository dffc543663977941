"""Clips cut at pauses and joined: where they are cut, what is joined, and that every epoch is whole and repeatable."""

import itertools
import random
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from tts.batch import AcousticBatch
from tts.data.datasets import AcousticDataset
from tts.data.loaders import acoustic_loader
from tts.data.manifest import Clip
from tts.data.pauses import end_silence, pauses, quiet_frames
from tts.data.pieces import BETWEEN_SECONDS, PieceBatches, PieceDataset, cut, whole
from tts.data.sampler import LengthBatches
from tts.errors import DataError
from tts.settings import AcousticStage, AudioConfig, TextConfig
from tts.text.frontend import Frontend

AUDIO = AudioConfig()
FRAME = AUDIO.frame_seconds
FRONTEND = Frontend(TextConfig(units="characters"))
LETTER = 6  # frames of a letter


def sound(n_frames, level=0.0):
    """(80, n_frames) of noise around a level, in nepers."""
    rng = torch.Generator().manual_seed(n_frames)
    return level + 0.3 * torch.randn(AUDIO.n_mels, n_frames, generator=rng)


def silence(seconds):
    return sound(round(seconds / FRAME), level=-8.0)


def make_clip(folder, text, pauses_after=(), speaker="", id_=None):
    """A clip that speaks a word in LETTER frames a letter, and pauses 0.4 s after the words of these numbers."""
    encoded = FRONTEND(text)
    parts = [silence(0.05)]
    for number, word in enumerate(encoded.words):
        parts.append(sound(LETTER * (word.end - word.start)))
        if number in pauses_after:
            parts.append(silence(0.4))
    mel = torch.cat([*parts, silence(0.05)], dim=1)
    name = id_ or f"{abs(hash((text, speaker)))}"
    save_file({"mel": mel.contiguous(), "wave": torch.zeros(8, dtype=torch.int16)}, folder / f"{name}.safetensors")
    return Clip(
        id=name,
        text=text,
        normalized=encoded.normalized,
        symbols=encoded.symbols,
        ids=tuple(encoded.ids),
        words=encoded.words,
        speaker=speaker,
        split="train",
        cache_file=folder / f"{name}.safetensors",
        n_samples=mel.shape[1] * AUDIO.hop_length,
        n_frames=mel.shape[1],
        seconds=mel.shape[1] * FRAME,
        phone_times=(),
    )


@pytest.fixture
def clips(tmp_path):
    texts = [f"{word}, what is {word} to you?" for word in ("iron", "silver", "gold", "copper", "tin", "lead", "zinc")]
    return [make_clip(tmp_path, text, pauses_after=[0], id_=f"clip{i}") for i, text in enumerate(texts)]


def said(item):
    return FRONTEND.decode(item.text_ids.tolist())


def test_quiet_frames_tell_silence_from_speech_in_a_quiet_and_in_a_noisy_room():
    for room in (-11.0, -8.0, -2.5):
        mel = torch.cat([sound(50, room), sound(200), sound(20, room), sound(200), sound(30, room)], dim=1)
        quiet = quiet_frames(mel, AUDIO)
        assert quiet.nonzero()[0].tolist() == [*range(50), *range(250, 270), *range(470, 500)]
        assert end_silence(quiet, FRAME) == pytest.approx((50 * FRAME, 30 * FRAME))
        assert pauses(quiet, FRAME) == [(250, 270)]


def test_a_closed_stop_consonant_is_no_pause():
    mel = torch.cat([sound(200), silence(0.1), sound(200)], dim=1)
    assert pauses(quiet_frames(mel, AUDIO), FRAME) == []


def test_a_clip_is_cut_where_it_pauses_at_a_mark(tmp_path):
    clip = make_clip(tmp_path, "gold is soft, iron is not; is it?", pauses_after=[2, 5])
    pieces = cut(0, clip, AUDIO)
    items = [PieceDataset([clip], AUDIO)[(piece,)] for piece in pieces]
    assert [said(item) for item in items] == ["gold is soft,~", "iron is not;~", "is it?~"]
    spoken = [LETTER * letters for letters in (10, 9, 4)]
    kept = round(0.05 / FRAME)
    assert [item.mel.shape[1] for item in items] == [n + 2 * kept for n in spoken]
    for item in items:
        loud = ~quiet_frames(item.mel, AUDIO)
        assert loud[kept : len(loud) - kept].all()


@pytest.mark.parametrize(
    ("text", "pauses_after"),
    [
        ("gold is soft, iron is not.", []),  # a mark without a pause
        ("gold is soft iron is not.", [2]),  # a pause without a mark
        ("gold, iron, and tin.", [0]),  # more marks than pauses
        ("o, incomprehensibilities are these.", [2]),  # as many, but the first piece would last for two seconds
    ],
)
def test_a_clip_whose_text_and_sound_disagree_is_left_whole(tmp_path, text, pauses_after):
    clip = make_clip(tmp_path, text, pauses_after)
    assert cut(3, clip, AUDIO) == [whole(3, clip)]


def test_joined_texts_are_what_the_frontend_makes_of_both_sentences(clips):
    item = PieceDataset(clips, AUDIO)[(whole(0, clips[0]), whole(2, clips[2]))]
    assert item.text_ids.tolist() == FRONTEND(f"{clips[0].text} {clips[2].text}").ids
    assert item.id == "clip0+clip2"
    first, second = (AcousticDataset(clips, AUDIO)[index].mel for index in (0, 2))
    between = item.mel[:, first.shape[1] : item.mel.shape[1] - second.shape[1]]
    assert between.shape[1] == round(BETWEEN_SECONDS / FRAME)
    assert torch.equal(item.mel[:, : first.shape[1]], first) and torch.equal(item.mel[:, -second.shape[1] :], second)
    assert quiet_frames(item.mel, AUDIO)[first.shape[1] : -second.shape[1]].all()


def test_joined_and_cut_utterances_know_what_is_read_at_each_frame(clips, tmp_path):
    def aligned(clip):  # every symbol but the end lasts as long as any other
        n_symbols = len(clip.symbols) - 1
        return replace(clip, symbol_ends=tuple(clip.seconds * (i + 1) / n_symbols for i in range(n_symbols)))

    known = [aligned(clip) for clip in clips]
    first, second = (AcousticDataset(known, AUDIO)[index].reading_path for index in (0, 2))
    item = PieceDataset(known, AUDIO)[(whole(0, known[0]), whole(2, known[2]))]
    n_first = len(known[0].symbols) - 1
    assert item.reading_path.shape == item.mel.shape[1:] and bool((item.reading_path.diff() >= 0).all())
    assert torch.equal(item.reading_path[: len(first)], first)
    torch.testing.assert_close(item.reading_path[-len(second) :], second + n_first + 1)
    assert float(item.reading_path[-1]) <= len(item.text_ids) - 1
    piece = cut(0, known[0], AUDIO)[1]
    part = PieceDataset(known, AUDIO)[(piece,)]
    assert part.reading_path.shape == part.mel.shape[1:] and float(part.reading_path.min()) >= 0
    assert float(part.reading_path[-1]) == pytest.approx(len(part.text_ids) - 1, abs=0.5)
    one_known = PieceDataset([known[0], clips[2]], AUDIO)[(whole(0, known[0]), whole(1, clips[2]))]
    assert (
        not one_known.reading_path[: len(first)].isnan().any() and one_known.reading_path[-len(second) :].isnan().all()
    )


def epoch(clips, number=0, seed=0, **stage):
    return PieceBatches(clips, AUDIO, AcousticStage(**stage), seed).epoch(number)


def test_every_epoch_has_every_frame_of_speech_once(clips):
    for number in range(5):
        utterances = list(itertools.chain(*epoch(clips, number, batch_size=3, join=0.5, cut=0.6)))
        pieces = sorted(piece for utterance in utterances for piece in utterance)
        texts = {(piece.clip, symbol) for piece in pieces for symbol in range(piece.start_symbol, piece.end_symbol)}
        for index, clip in enumerate(clips):
            letters = {(index, s) for s, symbol in enumerate(clip.symbols) if symbol not in " ~"}
            assert letters <= texts
        assert sum(piece.end_symbol - piece.start_symbol for piece in pieces) == len(texts)


def test_about_the_share_asked_for_is_cut_and_joined(clips):
    many = [epoch(clips, number, batch_size=4, join=0.25, cut=0.5, join_seconds=1000) for number in range(40)]
    utterances = [utterance for batches in many for batch in batches for utterance in batch]
    pieces = [piece for utterance in utterances for piece in utterance]
    cuts = sum(piece.start_symbol > 0 for piece in pieces)  # one cut of each clip is possible
    assert 0.4 < cuts / (40 * len(clips)) < 0.6
    assert 0.1 < sum(len(utterance) > 1 for utterance in utterances) / len(utterances) < 0.3
    assert max(len(utterance) for utterance in utterances) > 4


def test_joined_utterances_and_batches_stay_within_their_bounds(clips):
    longest, frames = 6.0, 1500
    for number in range(10):
        for batch in epoch(clips, number, batch_size=4, batch_frames=frames, join=1.0, join_seconds=longest):
            lengths = [PieceDataset(clips, AUDIO)[utterance].mel.shape[1] for utterance in batch]
            assert max(lengths) * FRAME <= longest + FRAME
            assert max(lengths) * len(lengths) <= frames
    narrow = epoch(clips, 0, batch_size=4, batch_frames=400, join=1.0, join_seconds=100)
    dataset = PieceDataset(clips, AUDIO)
    assert max(dataset[utterance].mel.shape[1] for batch in narrow for utterance in batch) <= 400


def test_speakers_are_not_joined_with_each_other(tmp_path):
    clips = [make_clip(tmp_path, f"one two {i * 'o'}x.", speaker="ab"[i % 2], id_=f"{i}") for i in range(10)]
    utterances = [utterance for batch in epoch(clips, join=1.0) for utterance in batch]
    assert any(len(utterance) > 1 for utterance in utterances)
    for utterance in utterances:
        assert len({clips[piece.clip].speaker for piece in utterance}) == 1


def test_a_resumed_loader_goes_on_with_the_same_batches(clips):
    stage = AcousticStage(batch_size=2, join=0.5, cut=0.5)
    random.seed(0)  # whose state must not matter
    straight = list(itertools.islice(iter(acoustic_loader(clips, AUDIO, stage, seed=3)), 12))
    torch.manual_seed(1)
    for start in (1, 5, 11):
        resumed = next(iter(acoustic_loader(clips, AUDIO, stage, seed=3, start=start)))
        assert isinstance(resumed, AcousticBatch) and resumed.ids == straight[start].ids
        assert torch.equal(resumed.mel, straight[start].mel)
        assert torch.equal(resumed.text_ids, straight[start].text_ids)
    assert len({tuple(batch.ids) for batch in straight}) > 6


def test_without_the_keys_clips_are_as_they_are(clips):
    stage = AcousticStage(batch_size=2)
    batches = itertools.islice(iter(acoustic_loader(clips, AUDIO, stage, seed=3)), 8)
    planned = LengthBatches([clip.n_frames for clip in clips], 2, stage.batch_frames, seed=3)
    expected = [[clips[index].id for index in batch] for batch in itertools.islice(planned, 8)]
    assert [batch.ids for batch in batches] == expected


def test_a_corpus_without_word_boundaries_cannot_be_joined(tmp_path):
    clips = [make_clip(tmp_path, word) for word in ("gold", "iron")]
    with pytest.raises(DataError, match=r"word boundary.*trainer.acoustic.join=0"):
        acoustic_loader(clips, AUDIO, AcousticStage(join=0.5), seed=0)
