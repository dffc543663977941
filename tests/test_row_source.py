"""Streaming rows of files: the same batches at every time, whole or shared; what is of no use is left out and told."""

import io
from collections import Counter
from itertools import islice, takewhile

import pytest
import soundfile
import torch

from tests.streaming import (
    ACOUSTIC,
    PARTS,
    ROOMY,
    VOCODER,
    Files,
    Stored,
    assert_shares_are_the_batches,
    row_source,
    sentence,
    some,
)
from tests.test_data import AUDIO, Letters
from tts.audio.files import from_int16
from tts.audio.mel import mel_spectrogram
from tts.batch import Utterance
from tts.data import row_source as row_sources
from tts.data.cache import load_mel, load_wave
from tts.data.prepare import prepare
from tts.data.row_source import Position, read_journal
from tts.data.stream import Wanted
from tts.data.streamed import StreamedRows
from tts.errors import DataError
from tts.settings import DataConfig, Recipe


@pytest.fixture(scope="module")
def files():
    """Sixty rows in three files."""
    return Files(20, 13, 27)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("batching", [ACOUSTIC, VOCODER])
def test_rows_go_on_with_the_very_next_batch(files, tmp_path, batching, part):
    straight = some(row_source(files, tmp_path / "one"), 56, batching, part=part)
    assert len(set(straight)) > 40 // part.of
    (journal,) = (tmp_path / "one").iterdir()
    assert len(read_journal(journal)) >= 2
    for n in (*range(0, 20, 4), 31, 50):
        resumed = some(row_source(files, tmp_path / "one"), 1, batching, start=n, part=part)
        assert resumed == straight[n : n + 1]
    # The journal only saves time, and what a crash left of a line is no harm.
    with journal.open("a") as file:
        file.write('{"batch": 99999, "win')
    assert some(row_source(files, tmp_path / "one"), 3, batching, start=40, part=part) == straight[40:43]
    assert some(row_source(files, tmp_path / "two"), 3, batching, start=40, part=part) == straight[40:43]


def test_going_on_reads_one_window_only(files, tmp_path):
    some(row_source(files, tmp_path), 40)
    read = []

    class Counted:
        names = files.names

        def rows(self, file, skip):
            for row in files.rows(file, skip):
                read.append(row.id)
                yield row

    position = max(read_journal(next(tmp_path.iterdir())), key=lambda one: one.batch)
    next(row_source(Counted(), tmp_path).windows(position))
    assert 0 < len(read) <= 9


@pytest.mark.parametrize("batching", [ROOMY, VOCODER])
def test_shares_of_rows_are_the_batches_of_one_process(files, tmp_path, batching):
    assert_shares_are_the_batches(row_source(files, tmp_path), batching)


def test_an_epoch_has_every_row_once(files, tmp_path):
    source = row_source(files, tmp_path)
    epoch = takewhile(lambda window: window.begins.epoch == 0, source.windows(Position()))
    ids = [planned.row.id for window in epoch for planned in window.rows]
    assert sorted(ids) == sorted(row.id for rows in files.stored for row in rows)


def test_a_process_decodes_its_share_of_the_rows_alone(files, tmp_path, monkeypatch):
    decoded = []

    def counted(content, name):
        decoded.append(name)
        return decode(content, name)

    decode = row_sources.decode_recording
    monkeypatch.setattr(row_sources, "decode_recording", counted)
    shares = [len(picks) for picks in islice(row_source(files, tmp_path)._read(ROOMY, Wanted(part=PARTS[2])), 9)]
    assert len(decoded) == len(set(decoded)) == sum(shares) <= 2 * 9


@pytest.mark.parametrize("batching", [ROOMY, VOCODER])
def test_a_row_that_is_of_no_use_once_decoded_is_replaced_the_same_everywhere(tmp_path, capsys, batching):
    """Silence and a cut end show only then. What replaces it is not longer, so that no batch outgrows its bounds."""
    files = Files(30)
    silent, cut_off = files.stored[0][11], files.stored[0][17]
    encoded = io.BytesIO()
    soundfile.write(encoded, torch.zeros(5000).numpy(), 8000, format="FLAC")
    silent.audio = encoded.getvalue()
    cut_off.audio = cut_off.audio[: len(cut_off.audio) // 2]
    source = row_source(files, tmp_path, window=100)
    assert_shares_are_the_batches(source, batching, 12)
    batches = list(islice(source.batches(batching, Wanted()), 12))
    ids = [pick.example.id for picks in batches for pick in picks]
    assert not {"row11", "row17"} & set(ids)
    if batching is ROOMY:
        counts = Counter(ids[:30])
        instead = sorted((counts - Counter(set(counts))).elements())
        assert len(counts) == 28 and instead[0] < "row11" and instead[1] < "row17"
    told = capsys.readouterr().err
    assert "rows of the stream are left out, e.g. row11: " in told and "left out, e.g. row17: " in told
    for row in files.stored[0][:20]:
        row.audio = silent.audio
    with pytest.raises(DataError, match=r"6 of \d+ rows .* more than data.max_bad_share=0.05"):
        some(source, 30, batching, part=PARTS[1])


def test_a_segment_begins_where_the_trimmed_clip_still_has_one(files, tmp_path):
    """As likely everywhere, though it was drawn before the silence at the ends was known."""
    assert [VOCODER.begin(first, 110, 60) for first in (0, 50, 100)] == [0, 25, 50]
    assert VOCODER.begin(7, 60, 60) == 7 and VOCODER.begin(50, 60, 8) == 0
    for picks in islice(row_source(files, tmp_path).batches(VOCODER, Wanted()), 20):
        for example, first_frame in picks:
            assert 0 <= first_frame <= AUDIO.n_frames(len(example.wave)) - 10


def test_rows_become_what_preparing_makes_of_them(files, tmp_path):
    """The same wave, mel and ids as of a file with these bytes."""
    row = files.stored[1][4]
    path = tmp_path / "corpus" / "row.flac"
    path.parent.mkdir()
    path.write_bytes(row.audio)
    others = [Utterance(f"o{i}", path, sentence(i)) for i in range(8)]
    recipe = Recipe(audio=AUDIO, data=DataConfig(cache=str(tmp_path / "cache"), held_out=1, workers=1))
    prepared = prepare(recipe, tmp_path / "run", [*others, Utterance("x", path, row.text)], Letters(), progress=False)
    clip = next(clip for clip in prepared.clips if clip.id == "x")
    batches = row_source(files, tmp_path / "journal").batches(ACOUSTIC, Wanted())
    example = next(pick.example for picks in batches for pick in picks if pick.example.id == row.id)
    assert torch.equal(from_int16(example.wave), load_wave(clip.cache_file))
    assert example.text_ids.tolist() == list(clip.ids)
    assert torch.equal(mel_spectrogram(from_int16(example.wave), AUDIO), load_mel(clip.cache_file))


def test_first_rows_are_kept_and_held_out_sentences_never_trained_on(tmp_path):
    files = Files(20, 13, 27)
    take = Stored(0)
    recipe = Recipe(
        audio=AUDIO, data=DataConfig(corpus="x", root="r", stream=True, first_rows=20, held_out=4, window=9)
    )
    streamed = StreamedRows(recipe, Letters(), files)
    prepared = streamed.prepare(tmp_path)
    assert len(prepared.clips) == 20 and len(prepared.split("held_out")) == 4
    held_out = {clip.text for clip in prepared.split("held_out")}
    take.id, take.text = "another", next(iter(held_out)).upper()
    files.stored[0].append(take)
    source = streamed.source(prepared, tmp_path)
    seen = {pick.example.id for picks in islice(source.batches(ACOUSTIC, Wanted()), 40) for pick in picks}
    assert seen == {row.id for rows in files.stored for row in rows if row.text not in held_out} - {"another"}
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "data/clips").iterdir()}
    assert list(StreamedRows(recipe, Letters(), files).prepare(tmp_path).clips) == list(prepared.clips)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "data/clips").iterdir()}
    frames = torch.cat([load_mel(clip.cache_file) for clip in prepared.split("train")], dim=1)
    torch.testing.assert_close(prepared.mel_mean, frames.mean(dim=1), rtol=0, atol=1e-4)


def test_rows_of_no_use_are_told_and_too_many_are_an_error(tmp_path, capsys):
    files = Files(30)
    files.stored[0][3].audio = b"RIFF no sound"
    files.stored[0][5].text = "..."
    files.stored[0][7].speaker = "b"
    ids = {
        pick.example.id
        for picks in islice(row_source(files, tmp_path, window=100).batches(ACOUSTIC, Wanted()), 14)
        for pick in picks
    }
    assert ids == {row.id for row in files.stored[0]} - {"row03", "row05", "row07"}
    assert "3 of 30 rows of the stream are left out, e.g. row03: " in capsys.readouterr().err
    for row in files.stored[0][10:20]:
        row.speaker = "b"
    with pytest.raises(DataError, match=r"13 of 30 rows .* more than data.max_bad_share=0.05"):
        some(row_source(files, tmp_path, window=100), 1)
    for row in files.stored[0]:
        row.audio = b""
    with pytest.raises(
        DataError, match=r"no row that can be trained on, e.g. row00: the sound of row00 is an empty file"
    ):
        some(row_source(files, tmp_path, window=100), 1)
