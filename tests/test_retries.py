"""A sentence that fails is decoded again, and only that sentence."""

import torch

from tts.interfaces import AcousticGeneration
from tts.settings import AudioConfig, TextConfig
from tts.synthesis import Synthesizer, text_seed
from tts.text.frontend import Frontend

AUDIO = AudioConfig()
FRONTEND = Frontend(TextConfig())


class Scripted(torch.nn.Module):
    """Attends every symbol in order for the seeds that it likes, and never stops for the others."""

    def __init__(self, good):
        super().__init__()
        self.good = good
        self.asked = []

    def generate(self, text_ids, text_lengths, *, seeds, max_frames, speaker_ids=None, progress=None):
        self.asked.append(list(seeds))
        n_symbols, n_frames = text_ids.shape[1], 8 * text_ids.shape[1]
        alignment = torch.zeros(len(seeds), n_symbols, n_frames)
        for row, n in enumerate(text_lengths.tolist()):
            for frame in range(8 * n):
                alignment[row, frame // 8, frame] = 1
        mel = torch.tensor(seeds).float()[:, None, None] % 97 * torch.ones(1, AUDIO.n_mels, n_frames)
        return AcousticGeneration(
            mel=mel,
            mel_lengths=8 * text_lengths,
            stop_probability=torch.zeros(len(seeds), n_frames),
            alignment=alignment,
            stopped=torch.tensor([seed in self.good for seed in seeds]),
        )


def test_only_the_sentence_that_failed_is_decoded_again():
    texts = [FRONTEND("One."), FRONTEND("Two cats."), FRONTEND("Three.")]
    seeds = {number: [text_seed(0, text.ids, number) for text in texts] for number in (1, 2, 3)}
    acoustic = Scripted({seeds[1][0], seeds[2][1]})  # the first at once, the second at the second try, the third never
    synthesizer = Synthesizer(acoustic, torch.nn.Identity(), FRONTEND, AUDIO, frames_per_symbol=8.0)
    first, second, third = synthesizer.decode(texts, tries=3)
    assert acoustic.asked == [seeds[1], seeds[2][1:], seeds[3][2:]]
    assert (first.tries, second.tries, third.tries) == (1, 2, 3)
    assert (first.failures, second.failures) == ((), ())
    assert [failure.kind for failure in second.first_failures] == ["stop"]
    assert (
        [failure.kind for failure in third.failures] == [failure.kind for failure in third.first_failures] == ["stop"]
    )
    assert float(second.mel[0, 0]) == torch.tensor(seeds[2][1]).float() % 97
    assert float(third.mel[0, 0]) == torch.tensor(seeds[1][2]).float() % 97  # none was better than the first


def test_one_try_is_one_decode():
    texts = [FRONTEND("One.")]
    acoustic = Scripted(set())
    synthesizer = Synthesizer(acoustic, torch.nn.Identity(), FRONTEND, AUDIO, frames_per_symbol=8.0)
    (made,) = synthesizer.decode(texts)
    assert (made.tries, len(acoustic.asked)) == (1, 1)
