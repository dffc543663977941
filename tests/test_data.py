"""Data: preparing, its cache and its refusals; datasets, samplers and loaders."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tts.audio.files import from_int16, read_wave, to_int16, write_wave
from tts.audio.loudness import loudness
from tts.audio.mel import mel_spectrogram, silence_value
from tts.batch import PhoneTime, Utterance
from tts.data import prepare as preparing
from tts.data.cache import load_mel, load_wave, read_facts
from tts.data.collect import choose_held_out, hash_of
from tts.data.datasets import AcousticDataset, SegmentDataset, collate_acoustic
from tts.data.loaders import acoustic_loader, vocoder_loader
from tts.data.manifest import load_prepared
from tts.data.prepare import prepare
from tts.data.sampler import LengthBatches, SegmentBatches
from tts.errors import DataError, TextError
from tts.settings import AcousticStage, AudioConfig, DataConfig, Recipe, VocoderStage
from tts.text.frontend import EncodedText, WordSpan

AUDIO = AudioConfig(sample_rate=8000, n_fft=128, win_length=128, hop_length=32, n_mels=10, f_max=4000.0)
HOP = AUDIO.hop_length
SENTENCES = [f"sentence number {chr(97 + i) * 3}" for i in range(10)]


class Letters:
    """A frontend at its smallest: letters for symbols, everything in capitals guessed."""

    symbols = tuple("_abcdefghijklmnopqrstuvwxyz ")
    fingerprint = "letters"

    def __call__(self, text: str) -> EncodedText:
        if not any(c.isalpha() for c in text):
            raise TextError(f"nothing to speak in {text!r}")
        normalized = "".join(c for c in text.lower() if c in self.symbols)
        words, start = [], 0
        for word in normalized.split():
            words.append(WordSpan(word, start, start + len(word), "letters"))
            start += len(word) + 1
        symbols = tuple(" ".join(normalized.split()))
        ids = [self.symbols.index(symbol) for symbol in symbols]
        guessed = tuple(word for word in text.split() if word.isupper())
        return EncodedText(text, normalized, symbols, ids, tuple(words), guessed, tuple(set(text) & set("#@")))


def voice(seconds, seed=0, rate=8000):
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    tone = np.sin(2 * np.pi * (200 + 20 * seed) * t) + 0.5 * np.sin(2 * np.pi * 900 * t)
    return torch.from_numpy(
        (0.2 * tone * (1.2 + np.sin(9 * t)) + 0.01 * rng.standard_normal(len(t))).astype(np.float32)
    )


@pytest.fixture
def corpus(tmp_path):
    """Ten clips of growing length, with 0.2 s of silence before each."""
    utterances = []
    for i, sentence in enumerate(SENTENCES):
        path = tmp_path / "corpus" / f"clip{i}.wav"
        path.parent.mkdir(exist_ok=True)
        write_wave(path, torch.cat([torch.zeros(1600), voice(0.4 + 0.05 * i, i)]), 8000)
        utterances.append(Utterance(f"clip{i}", path, sentence))
    return utterances


@pytest.fixture
def recipe(tmp_path):
    return Recipe(audio=AUDIO, data=DataConfig(cache=str(tmp_path / "cache"), held_out=2, workers=1))


def run(recipe, tmp_path, utterances, frontend=None):
    return prepare(recipe, tmp_path / "run", utterances, frontend or Letters(), progress=False)


def entries(tmp_path):
    return {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("*.safetensors")}


def report(tmp_path):
    return json.loads((tmp_path / "run/data/report.json").read_text())


# --- what is prepared ---


def test_prepared_clips_hold_what_was_spoken(recipe, tmp_path, corpus):
    phones = (PhoneTime("sil", 0.0, 0.1), PhoneTime("AA1", 0.2, 0.5), PhoneTime("T", 0.5, 99.0))
    corpus[3] = replace(corpus[3], phone_times=phones, speaker="ann")
    prepared = run(recipe, tmp_path, corpus)
    assert [clip.id for clip in prepared.clips] == [u.id for u in corpus]
    clip = prepared.clips[3]
    assert (clip.text, clip.speaker, clip.words[0]) == ("sentence number ddd", "ann", ("sentence", 0, 8, "letters"))
    assert "".join(prepared.symbols[i] for i in clip.ids) == "sentence number ddd" == "".join(clip.symbols)
    wave, mel = load_wave(clip.cache_file), load_mel(clip.cache_file)
    assert len(wave) == clip.n_samples and mel.shape == (10, clip.n_frames) and clip.seconds == clip.n_samples / 8000
    assert torch.equal(mel_spectrogram(wave, AUDIO), mel)
    assert loudness(wave, 8000) == pytest.approx(AUDIO.loudness, abs=0.1)
    # The trimmed clip is the original from its start on, only at another loudness.
    original = read_wave(corpus[3].audio_path, 8000)
    start = read_facts(clip.cache_file).start_sample
    assert 1600 - 0.09 * 8000 < start < 1600
    part = original[start : start + clip.n_samples]
    assert float(torch.nn.functional.cosine_similarity(part, wave, dim=0)) > 0.999
    silence, vowel, last = clip.phone_times
    assert silence.start == 0 and silence.end == pytest.approx(max(0, 0.1 - start / 8000))
    assert vowel == ("AA1", pytest.approx(0.2 - start / 8000), pytest.approx(0.5 - start / 8000))
    assert last.end == clip.seconds


def test_statistics_are_those_of_the_training_mels(recipe, tmp_path, corpus):
    prepared = run(recipe, tmp_path, corpus)
    train = prepared.split("train")
    assert len(train) == 8 and len(prepared.split("held_out")) == 2
    frames = torch.cat([load_mel(clip.cache_file) for clip in train], dim=1)
    torch.testing.assert_close(prepared.mel_mean, frames.mean(dim=1), rtol=0, atol=1e-4)
    torch.testing.assert_close(prepared.mel_std, frames.std(dim=1, correction=0), rtol=0, atol=1e-3)
    pace = [clip.n_frames / len(clip.ids) for clip in train]
    assert prepared.frames_per_symbol.min == pytest.approx(min(pace))
    assert prepared.frames_per_symbol.mean == pytest.approx(sum(pace) / len(pace))
    assert prepared.frames_per_symbol.max == pytest.approx(max(pace))
    assert prepared.frames_per_symbol.mean < prepared.frames_per_symbol.p95 <= prepared.frames_per_symbol.max


def test_loaded_is_what_was_prepared_and_differences_are_told(recipe, tmp_path, corpus):
    prepared = run(recipe, tmp_path, corpus)
    again = load_prepared(tmp_path / "run", AUDIO, "letters")
    assert list(again.clips) == list(prepared.clips)
    torch.testing.assert_close(again.mel_std, prepared.mel_std)
    assert again.frames_per_symbol == prepared.frames_per_symbol and again.symbols == prepared.symbols
    with pytest.raises(DataError, match=r"another mel contract: f_max 4000\.0 != 3000\.0"):
        load_prepared(tmp_path / "run", replace(AUDIO, f_max=3000.0), "letters")
    with pytest.raises(DataError, match="another text frontend: letters != phones"):
        load_prepared(tmp_path / "run", AUDIO, "phones")
    with pytest.raises(DataError, match="nothing is prepared"):
        load_prepared(tmp_path / "elsewhere", AUDIO, "letters")
    prepared.clips[0].cache_file.unlink()
    with pytest.raises(DataError, match="1 prepared clips are gone"):
        load_prepared(tmp_path / "run", AUDIO, "letters")
    (tmp_path / "run/data/statistics.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        load_prepared(tmp_path / "run", AUDIO, "letters")


def test_takes_of_a_sentence_stay_together(recipe, tmp_path, corpus):
    takes = [replace(u, id=f"{u.id}-again", text=u.text.upper() + "!") for u in corpus]
    prepared = run(recipe, tmp_path, corpus + takes)
    held_out = {clip.id for clip in prepared.split("held_out")}
    assert len(held_out) == 4
    assert {f"{id_}-again" for id_ in held_out if "again" not in id_} == {id_ for id_ in held_out if "again" in id_}
    assert report(tmp_path)["sentences_held_out"] == 2


def test_held_out_sentences_are_few_and_do_not_depend_on_the_order():
    sentences = np.array([hash_of(str(i)) for i in range(100)], dtype=np.uint64)
    chosen = choose_held_out(np.tile(sentences, 2), 7)
    assert len(chosen) == 7 and chosen.tolist() == choose_held_out(sentences[::-1], 7).tolist()
    assert len(choose_held_out(sentences, 1000)) == 20
    assert len(choose_held_out(sentences[:4], 1)) == 0


# --- the cache ---


def test_a_rerun_makes_nothing_anew(recipe, tmp_path, corpus, monkeypatch):
    first = run(recipe, tmp_path, corpus)
    before = entries(tmp_path)
    assert len(before) == 10
    monkeypatch.setattr(preparing, "make_entry", None)
    read = Path.read_bytes
    # Nor are the audio files read again.
    monkeypatch.setattr(Path, "read_bytes", lambda path: None if path.suffix == ".wav" else read(path))
    second = run(recipe, tmp_path, corpus)
    assert list(second.clips) == list(first.clips) and entries(tmp_path) == before


def test_a_changed_file_is_noticed(recipe, tmp_path, corpus):
    first = run(recipe, tmp_path, corpus)
    path = corpus[2].audio_path
    size = path.stat().st_size
    write_wave(path, torch.cat([torch.zeros(1600), voice(0.5, 77)]), 8000)
    assert path.stat().st_size == size
    second = run(recipe, tmp_path, corpus)
    assert len(entries(tmp_path)) == 11
    changed = [b.id for a, b in zip(first.clips, second.clips, strict=True) if a.cache_file != b.cache_file]
    assert changed == ["clip2"]
    assert not torch.equal(load_wave(first.clips[2].cache_file), load_wave(second.clips[2].cache_file))


@pytest.mark.parametrize("change", ["trim_db", "keep_silence", "hop_length", "loudness"])
def test_a_changed_setting_is_noticed(recipe, tmp_path, corpus, change):
    run(recipe, tmp_path, corpus)
    if change in ("trim_db", "keep_silence"):
        other = replace(recipe, data=replace(recipe.data, **{change: {"trim_db": 30.0, "keep_silence": 0.02}[change]}))
    else:
        other = replace(recipe, audio=replace(AUDIO, **{change: {"hop_length": 64, "loudness": -30.0}[change]}))
    run(other, tmp_path, corpus)
    assert len(entries(tmp_path)) == 20
    # A limit on the length changes no clip.
    run(replace(other, data=replace(other.data, max_seconds=9.0)), tmp_path, corpus)
    assert len(entries(tmp_path)) == 20


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "foreign"])
def test_a_damaged_entry_is_made_again(recipe, tmp_path, corpus, damage):
    clip = run(recipe, tmp_path, corpus).clips[4]
    good = clip.cache_file.read_bytes()
    flipped = bytearray(good)
    flipped[-500] ^= 1
    bad = {"cut": good[:-100], "flipped": bytes(flipped), "emptied": b"", "foreign": b"not an entry" * 50}[damage]
    clip.cache_file.write_bytes(bad)
    assert read_facts(clip.cache_file) is None
    before = entries(tmp_path)
    run(recipe, tmp_path, corpus)
    assert clip.cache_file.read_bytes() == good
    assert {name for name, at in entries(tmp_path).items() if before[name] != at} == {clip.cache_file.name}


def test_an_interrupted_run_continues(recipe, tmp_path, corpus, monkeypatch):
    make, made = preparing.make_entry, []

    def interrupted(task):
        if len(made) == 4:
            raise KeyboardInterrupt
        made.append(task)
        return make(task)

    monkeypatch.setattr(preparing, "make_entry", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path, corpus)
    before = entries(tmp_path)
    assert len(before) == 4 and not (tmp_path / "run/data/manifest.jsonl").exists()
    monkeypatch.setattr(preparing, "make_entry", lambda task: made.append(task) or make(task))
    prepared = run(recipe, tmp_path, corpus)
    assert len(made) == 10 and len(prepared.clips) == 10
    assert before.items() <= entries(tmp_path).items()


def test_what_killed_processes_left_is_swept_out(recipe, tmp_path, corpus):
    folder = tmp_path / "cache"
    folder.mkdir()
    for name, age in ((".old.tmp", 7200), (".new.tmp", 0)):
        (folder / name).write_bytes(b"half")
        os.utime(folder / name, (time.time() - age,) * 2)
    run(recipe, tmp_path, corpus)
    assert [path.name for path in folder.glob(".*.tmp")] == [".new.tmp"]


def test_a_damaged_index_costs_time_only(recipe, tmp_path, corpus):
    run(recipe, tmp_path, corpus)
    before = entries(tmp_path)
    whole = (tmp_path / "cache/hashes.bin").read_bytes()
    flipped = bytearray(whole)
    flipped[-3] ^= 1  # would name another entry
    for damaged in (b"{", b"", whole[:-1], bytes(flipped)):
        (tmp_path / "cache/hashes.bin").write_bytes(damaged)
        run(recipe, tmp_path, corpus)
        assert entries(tmp_path) == before


def test_several_processes_make_the_same(recipe, tmp_path, corpus):
    corpus[5].audio_path.write_bytes(b"broken")
    lenient = replace(recipe, data=replace(recipe.data, max_bad_share=0.5))
    alone = run(lenient, tmp_path, corpus)
    left_out = report(tmp_path)["left_out"]
    contents = {clip.id: clip.cache_file.read_bytes() for clip in alone.clips}
    shutil.rmtree(tmp_path / "cache")
    together = run(replace(lenient, data=replace(lenient.data, workers=2)), tmp_path, corpus)
    assert list(together.clips) == list(alone.clips) and report(tmp_path)["left_out"] == left_out
    assert {clip.id: clip.cache_file.read_bytes() for clip in together.clips} == contents


class Fatal:
    """Ends the process that unpickles it, as the kernel does when memory runs out."""

    def __reduce__(self):
        return os._exit, (9,)


def test_a_killed_process_is_an_error_that_says_so():
    with pytest.raises(DataError, match=r"was killed.* data\.workers=1"):
        list(preparing._results([preparing.Job(None, None, Fatal(), None)], 2))


ENDLESS = """
import time
from tts.data import prepare as preparing

class Endless:
    def __reduce__(self):
        return print, ("started",)

if __name__ == "__main__":
    jobs = (preparing.Job(None, None, Endless() if i == 0 else time.sleep(3600), None) for i in range(2))
    list(preparing._results(jobs, 2))
"""


def test_processes_end_when_their_parent_is_killed(tmp_path):
    program = tmp_path / "endless.py"
    program.write_text(ENDLESS)
    here = {**os.environ, "PYTHONPATH": str(Path(preparing.__file__).parents[2]), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, env=here) as parent:
        assert parent.stdout.readline() == b"started\n"
        parent.kill()
        # The pipe closes once the last process that holds it has ended; it would stay open forever.
        parent.communicate(timeout=30)


# --- what is refused or left out ---


def test_bad_clips_are_left_out_and_listed_with_the_reason(recipe, tmp_path, corpus):
    corpus[0].audio_path.write_bytes(b"")
    corpus[1].audio_path.write_bytes(b"RIFF no sound")
    corpus[2] = replace(corpus[2], text="...")
    write_wave(corpus[3].audio_path, voice(0.2), 8000)
    write_wave(corpus[4].audio_path, torch.zeros(8000), 8000)
    extra = [replace(u, id=f"{u.id}b", text=f"another {u.text}") for u in corpus[5:]]
    strict = replace(recipe, data=replace(recipe.data, max_bad_share=0.3))
    with pytest.raises(DataError, match=r"5 of 15 clips are unusable, .*max_bad_share=0.3; .*report.md names them"):
        run(strict, tmp_path, corpus + extra)
    assert not (tmp_path / "run/data/manifest.jsonl").exists()
    prepared = run(replace(strict, data=replace(strict.data, max_bad_share=0.34)), tmp_path, corpus + extra)
    assert len(prepared.clips) == 10
    left_out = {clip["id"]: clip["reason"] for clip in report(tmp_path)["left_out"]}
    reasons = ["empty file", "does not decode|cut off", "nothing to speak", "below data.min_seconds=0.3", "silence"]
    page = (tmp_path / "run/data/report.md").read_text()
    assert list(left_out) == [f"clip{i}" for i in range(5)]
    for (id_, said), reason in zip(left_out.items(), reasons, strict=True):
        assert any(part in said for part in reason.split("|")), said
        assert f"- {id_}: {said}" in page
    short = replace(strict.data, max_bad_share=1.0, max_seconds=0.86)
    run(replace(strict, data=short), tmp_path, corpus + extra)
    assert "above data.max_seconds=0.86" in (tmp_path / "run/data/report.md").read_text()


def test_missing_clips_are_an_error_unless_allowed(recipe, tmp_path, corpus):
    for utterance in corpus[:3]:
        utterance.audio_path.unlink()
    with pytest.raises(
        DataError, match=r"3 of 10 clips listed are missing: clip0, clip1, clip2 \(all in (.*)\).*"
    ) as e:
        run(recipe, tmp_path, corpus)
    assert "data.allow_missing=true" in str(e.value)
    listed = tmp_path / "run/data/missing_clips.txt"
    assert str(listed) in str(e.value) and listed.read_text().split() == ["clip0", "clip1", "clip2"]
    prepared = run(replace(recipe, data=replace(recipe.data, allow_missing=True)), tmp_path, corpus)
    assert len(prepared.clips) == 7 and report(tmp_path)["missing"] == ["clip0", "clip1", "clip2"]
    shutil.rmtree(tmp_path / "corpus")
    with pytest.raises(DataError, match="none of the 10 clips"):
        run(replace(recipe, data=replace(recipe.data, allow_missing=True)), tmp_path, corpus)


def test_a_corpus_that_cannot_be_trained_on_is_refused(recipe, tmp_path, corpus):
    with pytest.raises(DataError, match="lists no clips"):
        run(recipe, tmp_path, [])
    with pytest.raises(DataError, match="1 ids are listed more than once: clip0"):
        run(recipe, tmp_path, [*corpus, corpus[0]])
    with pytest.raises(DataError, match="only 4 different sentences"):
        run(recipe, tmp_path, corpus[:4])
    for utterance in corpus:
        utterance.audio_path.write_bytes(b"")
    with pytest.raises(DataError, match=r"no usable clip among 10, e\.g\. clip0: .*empty file"):
        run(recipe, tmp_path, corpus)


def test_folders_that_cannot_be_written_are_named(recipe, tmp_path, corpus):
    (tmp_path / "file").write_text("")
    blocked = replace(recipe, data=replace(recipe.data, cache=str(tmp_path / "file" / "cache")))
    with pytest.raises(DataError, match=r"cannot write .*file/cache: the folder is a file"):
        run(blocked, tmp_path, corpus)
    with pytest.raises(DataError, match=r"cannot write .*: the folder is a file"):
        prepare(recipe, tmp_path / "file", corpus, Letters(), progress=False)


def test_the_report_tells_what_to_look_at(recipe, tmp_path, corpus):
    slow = replace(corpus[9], text="ah")
    guess = replace(corpus[8], text="sentence number QXZ #")
    write_wave(corpus[7].audio_path, (9 * voice(0.8)).clamp(-1, 1), 8000)
    write_wave(corpus[6].audio_path, voice(0.8, 6, 6000), 6000)
    run(recipe, tmp_path, [*corpus[:8], guess, slow])
    found = report(tmp_path)
    assert [clip["id"] for clip in found["rate_of_speech_outliers"]] == ["clip9"]
    assert found["words_guessed"] == {"QXZ": 1} and found["characters_skipped"] == {"#": 1}
    assert [id_ for id_, _ in found["clipped"]] == ["clip7"]
    assert found["longest"][0][0] == "clip9"
    assert found["recorded_rates"] == {"8000": 9, "6000": 1}
    assert found["loudness"]["min"] < found["loudness"]["median"] < found["loudness"]["max"]
    assert 1.0 < found["seconds_trimmed"] < 0.2 * 10
    page = (tmp_path / "run/data/report.md").read_text()
    assert "6000 Hz: 1 clips, below the 8000 Hz" in page and "QXZ (1)" in page and "clip9: 2." in page


# --- samplers ---


@given(
    lengths=st.lists(st.integers(1, 300), min_size=1, max_size=60),
    batch_size=st.integers(1, 8),
    batch_frames=st.integers(100, 800),
    seed=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_every_epoch_has_every_clip_once_within_the_limits(lengths, batch_size, batch_frames, seed):
    sampler = LengthBatches(lengths, batch_size, batch_frames, seed)
    for number in range(2):
        batches = sampler.epoch(number)
        assert Counter(i for batch in batches for i in batch) == Counter(range(len(lengths)))
        for batch in batches:
            padded = len(batch) * max(lengths[i] for i in batch)
            assert len(batch) == 1 or (len(batch) <= batch_size and padded <= batch_frames)


def test_batches_hold_similar_lengths_and_differ_between_epochs():
    rng = np.random.default_rng(0)
    lengths = rng.integers(50, 800, 400).tolist()
    sampler = LengthBatches(lengths, 16, 10**6, seed=0)
    batches = sampler.epoch(0)
    real = sum(lengths)
    padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)
    assert real / padded > 0.85
    together = [{frozenset(batch) for batch in sampler.epoch(number)} for number in (0, 1)]
    assert not together[0] & together[1]
    longest = [max(lengths[i] for i in batch) for batch in batches]
    assert longest != sorted(longest)


@pytest.mark.parametrize("start", [0, 1, 7, 8, 9, 40])
def test_batches_continue_where_a_run_stopped(start):
    lengths = [30, 80, 20, 75, 200, 90, 10, 60, 55, 33]
    whole = list(islice(LengthBatches(lengths, 3, 240, seed=4), 60))
    assert list(islice(LengthBatches(lengths, 3, 240, seed=4, start=start), 20)) == whole[start : start + 20]
    assert whole != list(islice(LengthBatches(lengths, 3, 240, seed=5), 60))
    whole = list(islice(SegmentBatches(lengths, 3, 40, seed=4), 60))
    assert list(islice(SegmentBatches(lengths, 3, 40, seed=4, start=start), 20)) == whole[start : start + 20]
    assert whole != list(islice(SegmentBatches(lengths, 3, 40, seed=5), 60))


def test_segments_are_drawn_in_proportion_to_length():
    n_frames = [100, 300, 10]
    drawn = [place for batch in islice(SegmentBatches(n_frames, 50, 32, seed=0), 100) for place in batch]
    counts = Counter(index for index, _ in drawn)
    assert counts[1] / counts[0] == pytest.approx(3, rel=0.15) and counts[0] / counts[2] == pytest.approx(10, rel=0.3)
    firsts = {index: sorted({first for i, first in drawn if i == index}) for index in range(3)}
    assert (firsts[0][0], firsts[0][-1]) == (0, 68) and firsts[1][-1] == 268 and firsts[2] == [0]


# --- datasets and loaders ---


def test_acoustic_batches_are_padded_with_silence(recipe, tmp_path, corpus):
    prepared = run(recipe, tmp_path, corpus)
    dataset = AcousticDataset(prepared.clips, AUDIO)
    batch = collate_acoustic([dataset[0], dataset[9]], AUDIO)
    short, long = prepared.clips[0], prepared.clips[9]
    assert batch.ids == ["clip0", "clip9"]
    assert batch.mel_lengths.tolist() == [short.n_frames, long.n_frames]
    assert batch.text_ids[0, : len(short.ids)].tolist() == list(short.ids) and batch.text_ids.dtype == torch.int64
    assert bool((batch.text_ids[~batch.text_mask] == 0).all())
    assert torch.equal(batch.mel[0, :, : short.n_frames], load_mel(short.cache_file))
    assert bool((batch.mel[0, :, short.n_frames :] == silence_value(AUDIO)).all())


@pytest.mark.parametrize("first_frame", [0, 2, 40, 95, 110, 130])
def test_wave_and_mel_of_a_segment_are_aligned(recipe, tmp_path, corpus, first_frame):
    prepared = run(recipe, tmp_path, corpus)
    clip = prepared.clips[9]
    dataset = SegmentDataset(prepared.clips, AUDIO, segment_frames=20, mel_context=3, left_context_frames=5)
    segment = dataset[9, first_frame]
    assert segment.wave.shape == (25 * HOP,) and segment.mel.shape == (10, 31)
    whole = load_wave(clip.cache_file)
    for position in range(0, 25 * HOP, 61):
        source = (first_frame - 5) * HOP + position
        expected = float(whole[source]) if 0 <= source < clip.n_samples else 0.0
        assert float(segment.wave[position]) == expected
    for frame in range(31):
        source = first_frame - 5 - 3 + frame
        inside = 0 <= source < clip.n_frames
        expected = load_mel(clip.cache_file)[:, source] if inside else torch.full((10,), silence_value(AUDIO))
        assert torch.equal(segment.mel[:, frame], expected)
    # The mel of the segment's own wave is the segment's mel, where no frame reaches outside of it or of the clip.
    reach = (AUDIO.n_fft - HOP) // 2 // HOP + 1
    own, given_mel = mel_spectrogram(segment.wave, AUDIO), segment.mel[:, 3:-3]
    last = min(25 - reach, clip.n_samples // HOP - (first_frame - 5) - reach)
    begin = max(reach, 5 - first_frame + reach)
    if first_frame == 40:
        assert last - begin > 15
    torch.testing.assert_close(own[:, begin:last], given_mel[:, begin:last], rtol=0, atol=1e-3)


@pytest.mark.parametrize("workers", [0, 1])
def test_loaders_continue_where_a_run_stopped(recipe, tmp_path, corpus, workers):
    clips = run(recipe, tmp_path, corpus).split("train")
    stage = AcousticStage(batch_size=3, batch_frames=600, loader_workers=workers)
    whole = list(islice(acoustic_loader(clips, AUDIO, stage, seed=1), 6))
    rest = list(islice(acoustic_loader(clips, AUDIO, stage, seed=1, start=4), 2))
    assert [batch.ids for batch in whole[4:]] == [batch.ids for batch in rest]
    assert torch.equal(whole[4].mel, rest[0].mel)
    vocoder = VocoderStage(batch_size=4, segment_frames=10, loader_workers=workers)
    batches = list(islice(vocoder_loader(clips, AUDIO, vocoder, 2, 6, seed=1), 5))
    again = next(iter(vocoder_loader(clips, AUDIO, vocoder, 2, 6, seed=1, start=4)))
    assert again.wave.shape == (4, 16 * HOP) and again.mel.shape == (4, 10, 20) and again.loss_from == 6 * HOP
    assert torch.equal(batches[4].wave, again.wave) and torch.equal(batches[4].mel, again.mel)
    assert not torch.equal(batches[3].wave, again.wave)


def test_sixteen_bits_survive_the_cache():
    samples = torch.arange(-32768, 32768, dtype=torch.int16)
    assert torch.equal(to_int16(from_int16(samples)), samples)
