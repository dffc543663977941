"""The phone recogniser, on mels in which every phone is a band of its own."""

import json
import random

import pytest
import torch
from safetensors.torch import load_file, save_file

from tts.data.manifest import Clip, Clips, FramesPerSymbol, Prepared
from tts.errors import CheckpointError
from tts.evaluation import phone_recognizer, phone_training
from tts.evaluation.measures import Take, Text, estimate
from tts.evaluation.phone_recognizer import PER, PHONES, PhoneErrors, PhoneRecognizer, edit_distance, without_stress
from tts.evaluation.phone_training import Example, Training, phone_error_rate, train_phone_recognizer
from tts.settings import AudioConfig, TextConfig
from tts.text.frontend import Frontend

AUDIO = AudioConfig(sample_rate=16000, win_length=800, hop_length=200, n_mels=20, f_max=7600.0)
TOY = ("AA", "IY", "S", "M", "K")
BAND = AUDIO.n_mels // len(TOY)
FRAMES = 9  # of a phone
TEXTS = {"see": ("S", "IY"), "key": ("K", "IY"), "me": ("M", "IY"), "mock": ("M", "AA", "K")}
WIDTH = 16
NOISE = torch.randn(16000, generator=torch.Generator().manual_seed(0))


def toy_mel(phones, rng):
    """(n_mels, T_mel): a loud band for each phone."""
    mel = torch.full((AUDIO.n_mels, FRAMES * len(phones)), -2.0)
    for place, phone in enumerate(phones):
        low = BAND * TOY.index(phone)
        mel[low : low + BAND, FRAMES * place : FRAMES * (place + 1)] = 2.0
    return mel + 0.1 * torch.randn(mel.shape, generator=torch.Generator().manual_seed(rng.getrandbits(32)))


def entry(folder, name, mel):
    path = folder / f"{name}.safetensors"
    save_file({"mel": mel.contiguous(), "wave": torch.zeros(mel.shape[1] * AUDIO.hop_length, dtype=torch.int16)}, path)
    return path


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """Sequences of toy phones, neighbours that are the same among them."""
    folder, rng = tmp_path_factory.mktemp("mels"), random.Random(0)
    made = []
    for number in range(40):
        phones = tuple(rng.sample(TOY, k=rng.randint(2, 5)))
        mel = toy_mel(phones, rng)
        made.append(Example(entry(folder, number, mel), mel.shape[1], 1.0, phones))
    return made


@pytest.fixture(scope="module")
def learned(examples):
    torch.manual_seed(0)
    recognizer = PhoneRecognizer.fresh(AUDIO, WIDTH)
    training = Training(recognizer.network, examples[:32], seed=0)
    for number in range(150):
        training.step(number / 150)
    return recognizer


def prepared(folder, n_clips=12):
    """A corpus of characters, whose texts have to be looked up."""
    frontend, rng = Frontend(TextConfig(units="characters")), random.Random(1)
    clips = []
    for number in range(n_clips):
        words = rng.choices(list(TEXTS), k=2)
        encoded = frontend(" ".join(words))
        mel = toy_mel([phone for word in words for phone in TEXTS[word]], rng)
        clips.append(
            Clip(
                id=str(number),
                text=encoded.text,
                normalized=encoded.normalized,
                symbols=encoded.symbols,
                ids=tuple(encoded.ids),
                words=encoded.words,
                speaker="",
                split="held_out" if number < 2 else "train",
                cache_file=entry(folder, number, mel),
                n_samples=mel.shape[1] * AUDIO.hop_length,
                n_frames=mel.shape[1],
                seconds=mel.shape[1] * AUDIO.frame_seconds,
                phone_times=(),
            )
        )
    mean, std = torch.full((AUDIO.n_mels,), -1.0), torch.full((AUDIO.n_mels,), 2.0)
    return Prepared(
        AUDIO, frontend.symbols, Clips.of(clips), mean, std, FramesPerSymbol(1, 1, 1, 1), frontend.fingerprint
    )


def test_the_table_is_arpabet_without_stress():
    assert len(PHONES) == 39 and not any(phone[-1].isdigit() for phone in PHONES)
    assert without_stress(Frontend(TextConfig())("Oh, my!").symbols) == ("OW", "M", "AY")


def test_it_learns_to_hear_what_it_has_not_seen(learned, examples):
    assert phone_error_rate(learned, examples[32:]) == 0
    fresh = PhoneRecognizer.fresh(AUDIO, WIDTH)
    assert phone_error_rate(fresh, examples[32:]) > 0.5


def test_nothing_to_hear_has_no_error_rate(learned):
    assert phone_error_rate(learned, []) is None


def test_padding_changes_nothing(learned):
    rng = random.Random(2)
    short, long = toy_mel(TOY[:2], rng)[:, :-1], toy_mel(TOY, rng)
    network = learned.network.eval()
    batch = torch.zeros(2, AUDIO.n_mels, long.shape[1])
    batch[0, :, : short.shape[1]], batch[1] = short, long
    lengths = torch.tensor([short.shape[1], long.shape[1]])
    with torch.no_grad():
        together = network(batch, lengths)
        for row, mel in enumerate((short, long)):
            alone = network(mel[None], lengths[row : row + 1])[0]
            assert len(alone) == int(network.steps(lengths[row]))
            torch.testing.assert_close(together[row, : len(alone)], alone)


def test_both_directions_are_heard(learned):
    """The first step depends on the last frame, and the last step on the first."""
    mel = torch.randn(1, AUDIO.n_mels, 60, requires_grad=True)
    scores = learned.network.eval()(mel, torch.tensor([60]))[0]
    (gradient,) = torch.autograd.grad(scores[0].square().sum() + scores[-1].square().sum(), mel, retain_graph=True)
    assert gradient.abs().sum() > 0
    (first,) = torch.autograd.grad(scores[0].square().sum(), mel, retain_graph=True)
    (last,) = torch.autograd.grad(scores[-1].square().sum(), mel)
    assert first[0, :, -1].abs().max() > 0
    assert last[0, :, 0].abs().max() > 0


def test_a_saved_one_hears_the_same(learned, tmp_path):
    learned._replace(facts={"per": 0.25}).save(tmp_path / "a.safetensors")
    loaded = PhoneRecognizer.load(tmp_path / "a.safetensors")
    loaded.save(tmp_path / "b.safetensors")
    again = PhoneRecognizer.load(tmp_path / "b.safetensors")
    assert loaded.audio == AUDIO and loaded.facts == {"per": 0.25}
    mel = toy_mel(TOY, random.Random(3))
    first, second, third = (r.network.eval()(mel[None], torch.tensor([mel.shape[1]])) for r in (learned, loaded, again))
    torch.testing.assert_close(second, third, rtol=0, atol=0)
    torch.testing.assert_close(first, second, rtol=0, atol=0.05)  # matrices are written in half precision
    assert learned.read(mel) == loaded.read(mel) == TOY


def test_a_foreign_file_is_refused(learned, tmp_path):
    path = tmp_path / "phones.safetensors"
    with pytest.raises(CheckpointError, match=r"there is no phone recogniser .*phones\.safetensors"):
        PhoneRecognizer.load(path)
    path.write_bytes(b"RIFF, and so on")
    with pytest.raises(CheckpointError, match="damaged"):
        PhoneErrors(path)
    save_file({"x": torch.zeros(1)}, path, {"format": "tts-half-1"})
    with pytest.raises(CheckpointError, match="format tts-half-1, expected tts-phones-1"):
        PhoneRecognizer.load(path)
    learned.save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged"):
        PhoneRecognizer.load(path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("audio", "{", "another version"),
        ("audio", json.dumps({"hops": 3}), "another version"),
        ("audio", json.dumps({"sample_rate": 8000, "f_max": 4000}), "another mel contract"),
        ("phones", json.dumps(["A", "B"]), "phone table"),
        ("width", "12", "do not fit"),
        ("width", None, "another version"),
    ],
)
def test_what_does_not_fit_is_refused(learned, tmp_path, monkeypatch, key, value, message):
    path = tmp_path / "phones.safetensors"
    written = {}
    monkeypatch.setattr(phone_recognizer, "save", lambda tensors, metadata: written.update(metadata) or b"")
    learned.save(path)
    monkeypatch.undo()
    learned.save(path)
    changed = {**written, key: value} if value is not None else {k: v for k, v in written.items() if k != key}
    save_file(load_file(path), path, changed)
    with pytest.raises(CheckpointError, match=message):
        PhoneRecognizer.load(path)


def test_a_place_that_cannot_be_written_is_named(learned, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot write"):
        learned.save(tmp_path / "file" / "phones.safetensors")


def read_frames(monkeypatch, recognizer, wave, rate):
    """The mel that the network is given, and what was heard."""
    seen = []
    monkeypatch.setattr(PhoneRecognizer, "read", lambda self, mel: seen.append(mel) or ("AA",))
    heard = recognizer.recognize(wave, rate)
    monkeypatch.undo()
    return (seen[0] if seen else None), heard


def tone(rate, seconds=0.5, gain=0.1):
    return gain * torch.sin(2 * torch.pi * 500 * torch.arange(round(rate * seconds)) / rate)


def test_another_rate_and_another_level_make_the_same_mel(learned, monkeypatch):
    mel, heard = read_frames(monkeypatch, learned, tone(16000), 16000)
    assert heard == ("AA",) and mel.shape == (AUDIO.n_mels, 40)
    other, _ = read_frames(monkeypatch, learned, tone(44100), 44100)
    soft, _ = read_frames(monkeypatch, learned, tone(16000, gain=0.003), 16000)
    loudest = int(mel.mean(dim=1).argmax())
    torch.testing.assert_close(other[loudest, 5:-5], mel[loudest, 5:-5], rtol=0, atol=0.05)
    torch.testing.assert_close(soft[loudest], mel[loudest], rtol=0, atol=0.01)


@pytest.mark.parametrize(
    "wave",
    [
        torch.zeros(0),
        torch.ones(1),
        torch.zeros(16000),
        1e-6 * NOISE,
        torch.cat([0.1 * NOISE, torch.tensor([torch.nan])]),
        0.1 * NOISE[:300],
    ],
    ids=["empty", "a sample", "silence", "hiss", "a nan", "19 ms"],
)
def test_in_nothing_no_phone_is_heard(learned, monkeypatch, wave):
    assert learned.recognize(wave, 16000) == ()
    assert read_frames(monkeypatch, learned, wave, 16000) == (None, ())


def test_a_very_short_wave_can_be_heard(learned):
    assert len(learned.recognize(0.1 * NOISE[:600], 16000)) <= 2


@pytest.mark.parametrize(
    ("expected", "heard", "distance"),
    [("", "", 0), ("", "ab", 2), ("ab", "", 2), ("kitten", "sitting", 3), ("abc", "bcd", 2), ("abc", "abc", 0)],
)
def test_edit_distance(expected, heard, distance):
    assert edit_distance(expected, heard) == edit_distance(heard, expected) == distance


def test_the_judge_counts_errors_per_phone(learned, tmp_path, monkeypatch):
    learned.save(tmp_path / "phones.safetensors")
    judge = PhoneErrors(tmp_path / "phones.safetensors")
    monkeypatch.setattr(PhoneRecognizer, "recognize", lambda self, wave, rate: ("S", "IY", "M", "K"))
    text = Text("1", "See me.", "held out", ("see", "me"), (("S", "IY"), ("M", "IY")))
    finding = judge(Take(text, "real", torch.zeros(9), 16000))
    assert finding.parts == {"per": (1, 4)} and finding.notes == {"heard phones": "S IY M K"}
    worse = judge(Take(text._replace(phones=(("AA",),)), "real", torch.zeros(9), 16000))
    assert estimate(PER, [finding.parts["per"], worse.parts["per"]]).value == 5 / 5
    assert judge(Take(text._replace(phones=()), "real", torch.zeros(9), 16000)).parts == {}


def test_training_writes_a_recogniser_and_goes_on(tmp_path, monkeypatch):
    corpus, path = prepared(tmp_path), tmp_path / "run" / "phones.safetensors"
    saved = []
    monkeypatch.setattr(phone_training, "CHECKPOINT_SECONDS", 0.2)
    save = PhoneRecognizer.save
    monkeypatch.setattr(PhoneRecognizer, "save", lambda self, path: saved.append(self.facts) or save(self, path))
    facts = train_phone_recognizer(corpus, path, minutes=0.02, width=8, progress=False)
    assert facts["clips"] == 10 and facts["held_out_clips"] == 2 and facts["left_out"] == 0
    assert facts["minutes"] == 0.02 and len(saved) >= 2 and saved[0]["minutes"] < 0.02
    loaded = PhoneRecognizer.load(path)
    assert loaded.facts == facts and loaded.network.width == 8
    torch.testing.assert_close(loaded.network.mel_mean, corpus.mel_mean)
    assert train_phone_recognizer(corpus, path, minutes=0.01, progress=False) == facts, "it has had so many already"
    had = len(saved)
    more = train_phone_recognizer(corpus, path, minutes=0.03, progress=False)
    assert len(saved) > had and all(facts["minutes"] >= 0.02 for facts in saved[had:]), "minutes count on"
    assert more["steps"] > facts["steps"] and PhoneRecognizer.load(path).network.width == 8
    corpus.audio = AudioConfig()
    with pytest.raises(CheckpointError, match="hears through another mel contract: sample_rate 16000 != 22050"):
        train_phone_recognizer(corpus, path, minutes=1, progress=False)


def test_the_average_is_written_and_training_goes_on_with_its_own_weights(examples, tmp_path):
    recognizer = PhoneRecognizer.fresh(AUDIO, 8)
    training = Training(recognizer.network, examples, seed=0)
    begun = training.ema.average["output.bias"].clone()
    for _ in range(5):
        training.step(0)
    own = recognizer.network.output.bias.detach().clone()
    facts = phone_training._checkpoint(training, recognizer, examples[:2], {"clips": 3}, tmp_path / "p.safetensors")
    loaded = PhoneRecognizer.load(tmp_path / "p.safetensors")
    assert loaded.facts == facts == {"clips": 3, "steps": 5, "per": facts["per"]}
    torch.testing.assert_close(loaded.network.output.bias.detach(), training.ema.average["output.bias"])
    for other in (own, begun):
        assert (loaded.network.output.bias - other).abs().max() > 0
    torch.testing.assert_close(recognizer.network.output.bias.detach(), own, rtol=0, atol=0)


def test_the_learning_rate_rises_stays_and_falls(examples):
    training = Training(PhoneRecognizer.fresh(AUDIO, 4).network, examples, seed=0, steps=1000)

    def rate(share):
        training.step(share)
        return training.optimizer.param_groups[0]["lr"] / phone_training.LEARNING_RATE

    assert [rate(0), rate(0)] == pytest.approx([0.01, 0.02]), "it warms up again where it goes on"
    training.steps += 100
    assert [rate(0), rate(0.3), rate(0.65), rate(1)] == pytest.approx([1, 1, 0.5, 0])


def test_clips_are_stretched_and_lose_bands_and_moments(examples):
    network = PhoneRecognizer.fresh(AUDIO, 4).network
    chosen = examples[:8]
    batch = phone_training.augmented(network, chosen, random.Random(0))
    factors = batch.mel_lengths / torch.tensor([example.n_frames for example in chosen])
    assert 0.85 < factors.min() < 0.97 and 1.03 < factors.max() < 1.15
    bands = moments = 0
    for mel, length in zip(batch.normalized, batch.mel_lengths, strict=True):
        assert not mel[:, length:].any(), "padding is 0"
        bands += int((mel[:, :length] == 0).all(dim=1).sum())
        moments += int((mel[:, :length] == 0).all(dim=0).sum())
    assert bands > 0 and moments > 0
    said = [PHONES[index - 1] for index in batch.classes.tolist()]
    assert said == [phone for example in chosen for phone in example.phones]


def test_noise_fills_what_is_silent_and_leaves_what_is_loud():
    torch.manual_seed(0)
    mel = torch.full((AUDIO.n_mels, 50), -11.5)
    mel[:, 0] = 2.0
    noisy = [phone_training._with_noise(mel, random.Random(seed)) for seed in range(20)]
    levels = [float(clip[:, 1:].mean()) - 2.0 for clip in noisy]
    assert -7.1 < min(levels) < -5 and -3 < max(levels) < -0.9
    quietest = noisy[levels.index(min(levels))]
    torch.testing.assert_close(quietest[:, 0], mel[:, 0], rtol=0, atol=0.02)


def test_clips_are_heard_with_noise_too(examples, monkeypatch):
    seen = []
    monkeypatch.setattr(phone_training, "_with_noise", lambda mel, rng: seen.append(mel) or mel)
    phone_training.augmented(PhoneRecognizer.fresh(AUDIO, 4).network, examples, random.Random(0))
    assert 0 < len(seen) < len(examples)


def test_phones_come_from_a_dictionary_where_the_voice_reads_characters(tmp_path):
    corpus = prepared(tmp_path)
    examples, left_out = phone_training._examples(corpus, "train", stride=3)
    clips = corpus.split("train")
    assert left_out == 0
    for example, clip in zip(examples, clips, strict=True):
        assert example.phones == tuple(phone for word in clip.text.split() for phone in TEXTS[word])


def test_a_clip_too_short_for_its_text_is_counted(tmp_path):
    corpus = prepared(tmp_path)
    twice = [clip for clip in corpus.split("train") if clip.text == "mock key"]  # M AA K K IY: a blank between the Ks
    assert 0 < len(twice) < 10
    examples, left_out = phone_training._examples(corpus, "train", stride=FRAMES)  # a step a phone
    assert left_out == len(twice) == 10 - len(examples)
    assert not {clip.cache_file for clip in twice} & {example.mel_file for example in examples}
    examples, left_out = phone_training._examples(corpus, "train", stride=FRAMES - 2)
    assert left_out == 0 and len(examples) == 10
