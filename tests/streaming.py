"""What tests of streams share: batches to compare, and rows in memory."""

import hashlib
import io
from itertools import islice

import soundfile

from tests.test_data import AUDIO, Letters, voice
from tts.data.part import WHOLE, Part
from tts.data.row_source import Cleaner, RowSource
from tts.data.stream import AcousticBatching, VocoderBatching, Wanted
from tts.settings import AcousticStage, DataConfig, VocoderStage

ACOUSTIC = AcousticBatching(AUDIO, AcousticStage(batch_size=3, batch_frames=700))
VOCODER = VocoderBatching(AUDIO, VocoderStage(batch_size=4, segment_frames=10), 2, 6)
ROOMY = AcousticBatching(AUDIO, AcousticStage(batch_size=3, batch_frames=10_000))  # no batch of one
PARTS = [WHOLE, Part(0, 2), Part(1, 2)]


def sentence(i):
    return f"sentence {chr(97 + i // 6) * (1 + i % 6)} number {chr(97 + i % 26)}"


def digest(picks):
    """Of all that a batch is made of."""
    said = hashlib.sha256()
    for example, first_frame in picks:
        said.update(f"{example.id} {example.text_ids.tolist()} {example.speaker_id} {first_frame}".encode())
        said.update(example.wave.numpy().tobytes())
    return said.hexdigest()


def some(source, n, batching=ACOUSTIC, start=0, part=WHOLE):
    batches = source.batches(batching, Wanted(start, part=part))
    return [digest(picks) for picks in islice(batches, n)]


def assert_shares_are_the_batches(source, batching, n=20):
    """The shares of all processes, put together, are what one process has; none is empty, none much larger."""
    whole = source.batches(batching, Wanted())
    shares = [source.batches(batching, Wanted(part=part)) for part in PARTS[1:]]
    for picks, *each in islice(zip(whole, *shares, strict=True), n):
        assert sorted(digest([pick]) for pick in picks) == sorted(digest([pick]) for share in each for pick in share)
        assert 0 <= max(map(len, each)) - min(map(len, each)) <= 1 <= min(map(len, each))


class Stored:
    """A row."""

    def __init__(self, i, speaker="a"):
        encoded = io.BytesIO()
        soundfile.write(encoded, voice(0.4 + 0.02 * (i % 40), i).numpy(), 8000, format="FLAC")
        self.id, self.audio, self.text, self.speaker = f"row{i:02}", encoded.getvalue(), sentence(i), speaker


class Files:
    """Rows in memory."""

    def __init__(self, *sizes):
        self.names = [f"file{number}" for number in range(len(sizes))]
        self.stored, first = [], 0
        for size in sizes:
            self.stored.append([Stored(i) for i in range(first, first + size)])
            first += size

    def rows(self, file, skip):
        yield from self.stored[file][skip:]


def row_source(files, journal, held_out=(), window=9, **data):
    cleaner = Cleaner(Letters(), AUDIO, DataConfig(window=window, **data))
    return RowSource(files, cleaner, ["a"], frozenset(held_out), 0, journal)
