"""A sentence that fails is decoded again, and only that sentence; lengths come from the training."""

from typing import NamedTuple

import pytest
import torch

from tts.audio.mel import silence_value
from tts.decoding import FREE_TRIES, MIN_SECONDS, TRIES, WINDOW, Decoder, Lengths, text_seed
from tts.interfaces import AcousticGeneration
from tts.settings import AudioConfig, TextConfig
from tts.text.frontend import Frontend
from tts.variance import EVERYBODY, give_back

AUDIO = AudioConfig()
FRONTEND = Frontend(TextConfig())
LENGTHS = Lengths(max_frames_per_symbol=8.0, min_frames_per_symbol=4.0)


class Asked(NamedTuple):
    """What one call of `generate` was asked for, a value per row."""

    seeds: list[int]
    min_frames: list[int]
    windows: list


class Scripted(torch.nn.Module):
    """Stops for the seeds that it likes and never for others; skips the words of the seeds that it finds hard."""

    def __init__(self, good=(), hard=()):
        super().__init__()
        self.good, self.hard = good, hard
        self.asked = []

    def generate(
        self,
        text_ids,
        text_lengths,
        *,
        seeds,
        max_frames,
        min_frames,
        rest_frames,
        windows,
        speaker_ids=None,
        progress=None,
    ):
        self.asked.append(Asked(list(seeds), list(min_frames), list(windows)))
        n_symbols, n_frames = text_ids.shape[1], 8 * text_ids.shape[1]
        alignment = torch.zeros(len(seeds), n_symbols, n_frames)
        for row, n in enumerate(text_lengths.tolist()):
            for frame in range(8 * n):
                alignment[row, n - 1 if seeds[row] in self.hard else frame // 8, frame] = 1
        mel = torch.tensor(seeds).float()[:, None, None] % 97 + 0.01 * torch.arange(n_frames).expand(
            1, AUDIO.n_mels, -1
        )
        return AcousticGeneration(
            mel=mel,
            mel_lengths=8 * text_lengths,
            stop_probability=torch.zeros(len(seeds), n_frames),
            alignment=alignment,
            stop_reasons=tuple("stop" if seed in self.good else "limit" for seed in seeds),
        )


def kinds(failures):
    return [failure.kind for failure in failures]


def seed_of(made):
    return float(made.mel[0, 0])


def test_only_the_sentence_that_failed_is_decoded_again():
    texts = [FRONTEND("One."), FRONTEND("Two cats."), FRONTEND("Three.")]
    seeds = {number: [text_seed(0, text.ids, number) for text in texts] for number in (1, 2, 3)}
    acoustic = Scripted({seeds[1][0], seeds[2][1]})  # the first at once, the second at the second try, the third never
    first, second, third = Decoder(acoustic, AUDIO, LENGTHS)(texts, tries=3)
    assert [asked.seeds for asked in acoustic.asked] == [seeds[1], seeds[2][1:], seeds[3][2:]]
    assert (first.tries, second.tries, third.tries) == (1, 2, 3)
    assert (first.failures, second.failures) == ((), ())
    assert kinds(second.first_failures) == ["stop"]
    assert kinds(third.failures) == kinds(third.first_failures) == ["stop"]
    assert seed_of(second) == torch.tensor(seeds[2][1]).float() % 97
    assert seed_of(third) == torch.tensor(seeds[1][2]).float() % 97  # none was better than the first
    assert not third.constrained


def test_one_try_is_one_decode():
    acoustic = Scripted()
    (made,) = Decoder(acoustic, AUDIO, LENGTHS)([FRONTEND("One.")])
    assert (made.tries, len(acoustic.asked)) == (1, 1)


def test_a_mel_gets_the_variance_that_its_model_loses():
    text, acoustic = FRONTEND("One."), Scripted()
    (plain,) = Decoder(acoustic, AUDIO, LENGTHS)([text])
    lost = {EVERYBODY: [1.1] * AUDIO.n_mels, "ann": [1.5] * AUDIO.n_mels}
    (made,) = Decoder(acoustic, AUDIO, LENGTHS, ("ann", "bob"), lost)([text])
    assert torch.equal(made.mel, give_back(plain.mel, lost["ann"], silence_value(AUDIO))), "the first speaker's"
    assert made.mel.std() > 1.3 * plain.mel.std() and torch.equal(made.alignment, plain.alignment)


def test_the_last_tries_are_under_constraint():
    texts = [FRONTEND("One."), FRONTEND("Two cats.")]
    seeds = [[text_seed(0, text.ids, number) for number in range(1, TRIES + 1)] for text in texts]
    acoustic = Scripted({seeds[0][FREE_TRIES - 1], seeds[1][FREE_TRIES]})
    free, bound = Decoder(acoustic, AUDIO, LENGTHS)(texts, tries=TRIES)
    assert [asked.windows for asked in acoustic.asked] == [[None] * 2] * FREE_TRIES + [[WINDOW]]
    assert (free.tries, free.constrained) == (FREE_TRIES, False)
    assert (bound.tries, bound.constrained, bound.failures) == (FREE_TRIES + 1, True, ())


def test_the_try_with_the_fewest_words_missed_is_kept():
    """The first stops and misses both words; the second misses none and does not stop: one failure each."""
    text = FRONTEND("Two cats.")
    first, second = (text_seed(0, text.ids, number) for number in (1, 2))
    made = Decoder(Scripted({first}, hard={first}), AUDIO, LENGTHS)([text], tries=2)[0]
    assert (kinds(made.first_failures), kinds(made.failures)) == (["skip", "babble"], ["stop"])
    assert seed_of(made) == torch.tensor(second).float() % 97


def test_a_decode_has_at_least_half_the_frames_of_the_fastest_clip():
    acoustic = Scripted()
    short, long = FRONTEND("No."), FRONTEND("Nobody knows where the others have gone.")
    Decoder(acoustic, AUDIO, LENGTHS)([short, long])
    floor = round(MIN_SECONDS / AUDIO.frame_seconds)
    assert acoustic.asked[0].min_frames == [floor, 2 * len(long.ids)]
    assert floor > 2 * len(short.ids)


def test_a_checkpoint_keeps_what_training_has_seen_and_older_ones_load():
    seen = Lengths(9.5, 4.25, 130)
    assert Lengths.from_facts({"step": 3, **seen.facts}) == seen
    old = Lengths.from_facts({"step": 3, "frames_per_symbol": 9.5})
    assert old == Lengths(9.5) and old.min_frames_per_symbol == 0


@pytest.mark.parametrize("n_texts", [1, 20])
def test_progress_ends_at_the_whole(n_texts, monkeypatch):
    shares = []
    acoustic = Scripted()
    inner = acoustic.generate

    def generate(text_ids, text_lengths, *, progress, **options):
        for n_frames in (1, 10_000):
            progress(n_frames)
        return inner(text_ids, text_lengths, **options)

    monkeypatch.setattr(acoustic, "generate", generate)
    Decoder(acoustic, AUDIO, LENGTHS)([FRONTEND("One.")] * n_texts, progress=lambda what, share: shares.append(share))
    assert shares == sorted(shares) and shares[0] > 0 and shares[-1] == 1
