"""What every vocoder must do: the tests run over each file in tts/vocoder."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch

from tts.batch import VocoderBatch
from tts.errors import TTSError
from tts.interfaces import Vocoder
from tts.settings import AudioConfig

FOLDER = Path(__file__).parents[1] / "tts" / "vocoder"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))
AUDIO = AudioConfig(sample_rate=8000, n_fft=64, win_length=64, hop_length=16, n_mels=8, f_max=4000.0)
SMALL = {
    "n_layers": 4,
    "n_cycles": 2,
    "residual_channels": 8,
    "gate_channels": 8,
    "skip_channels": 8,
    "condition_channels": 8,
}
SMALL_GENERATOR = {"upsample_rates": [4, 4], "upsample_kernel_sizes": [8, 8], "upsample_initial_channel": 16}
# Sizes that run at once; a vocoder without an entry is tested with its defaults.
TINY: dict[str, list[dict[str, object]]] = {
    "wavenet": [
        SMALL,
        SMALL | {"output": "mu_law", "lpc_order": 4},
        SMALL | {"output": "gaussian", "n_bands": 4},
        SMALL | {"output": "gaussian", "n_bands": 4, "lpc_order": 4, "input_noise": 0.01},
    ],
    "griffin_lim": [{"iterations": 4}],
    "hifigan": [SMALL_GENERATOR, SMALL_GENERATOR | {"resblock": 2}],
}
DRAWS_NOTHING = {"hifigan"}  # every seed gives the same
CASES = [(name, changes) for name in NAMES for changes in TINY.get(name, [{}])]
IDS = [f"{name}-{i}" for name in NAMES for i in range(len(TINY.get(name, [{}])))]


def tiny(name: str, changes: dict[str, object], seed: int = 0) -> Vocoder:
    module = import_module(f"tts.vocoder.{name}")
    torch.manual_seed(seed)
    model: Vocoder = module.build(replace(module.Config(), **changes), audio=AUDIO)
    return model.eval()


def mels(*n_frames: int) -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(AUDIO.n_mels, n) - 4 for n in n_frames]


def padded(rows: list[torch.Tensor], value: float) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([row.shape[1] for row in rows])
    mel = torch.full((len(rows), AUDIO.n_mels, int(lengths.max())), value)
    for i, row in enumerate(rows):
        mel[i, :, : row.shape[1]] = row
    return mel, lengths


def tone_batch(model: Vocoder, n_frames: int = 8) -> VocoderBatch:
    """Two tones and mels that tell them apart."""
    time = torch.arange(n_frames * AUDIO.hop_length) / AUDIO.sample_rate
    wave = torch.stack([0.6 * torch.sin(2 * torch.pi * pitch * time) for pitch in (300.0, 700.0)])
    mel = torch.zeros(2, AUDIO.n_mels, n_frames + 2 * model.mel_context)
    mel[1] = 1
    return VocoderBatch(wave, mel).validate()


@pytest.fixture(params=CASES, ids=IDS)
def model(request: pytest.FixtureRequest) -> Vocoder:
    return tiny(*request.param)


@pytest.fixture(params=CASES, ids=IDS)
def trainable(request: pytest.FixtureRequest) -> Vocoder:
    model = tiny(*request.param)
    if not model.trainable:
        pytest.skip(f"{request.param[0]} is not trained")
    return model


@pytest.mark.parametrize("name", NAMES)
def test_the_config_names_its_file(name: str) -> None:
    assert import_module(f"tts.vocoder.{name}").Config().name == name


def test_padding_and_other_rows_change_nothing(model: Vocoder) -> None:
    short, long = mels(4, 7)
    alone = model.generate(short[None], torch.tensor([4]), seeds=[5])
    for padding in (0.0, 3.0):
        mel, lengths = padded([long, short], padding)
        among = model.generate(mel, lengths, seeds=[9, 5])
        torch.testing.assert_close(among[1, : alone.shape[1]], alone[0], atol=1e-5, rtol=0)
        assert bool((among[1, alone.shape[1] :] == 0).all())


def test_generates_hop_samples_per_frame_within_full_scale(model: Vocoder) -> None:
    mel, lengths = padded(mels(3, 6), 0.0)
    heard: list[int] = []
    wave = model.generate(mel, lengths, seeds=[1, 2], progress=heard.append)
    assert wave.shape == (2, 6 * AUDIO.hop_length)
    assert bool(wave.isfinite().all()) and bool((wave[0, : 3 * AUDIO.hop_length] != 0).any())
    assert heard and heard == sorted(heard) and heard[-1] == wave.shape[1]


def test_the_seed_decides_the_samples(model: Vocoder, request: pytest.FixtureRequest) -> None:
    mel, lengths = padded([mels(6)[0]] * 3, 0.0)
    first, again, other = model.generate(mel, lengths, seeds=[3, 3, 4])
    torch.testing.assert_close(first, again, atol=1e-6, rtol=0)
    draws = request.node.callspec.params["model"][0] not in DRAWS_NOTHING
    assert torch.allclose(first, other, atol=1e-3) != draws


def test_a_stream_gives_what_generate_gives(model: Vocoder) -> None:
    (mel,) = mels(19)
    whole = model.generate(mel[None], torch.tensor([19]), seeds=[2])[0]
    pieces = list(model.stream(mel.split(5, dim=1), seed=2))
    assert torch.equal(torch.cat(pieces), whole)


def test_folds_are_as_long_as_the_whole(model: Vocoder) -> None:
    mel, lengths = padded(mels(90, 200), 0.0)
    wave = model.generate(mel, lengths, seeds=[1, 2], folds=2)
    assert wave.shape == (2, 200 * AUDIO.hop_length) and bool(wave.isfinite().all())
    assert bool((wave[0, 90 * AUDIO.hop_length :] == 0).all())


def test_a_saved_model_is_the_same_model(model: Vocoder, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    model.scaler.fit(torch.full((AUDIO.n_mels,), -4.0), torch.full((AUDIO.n_mels,), 2.0))
    torch.save(model.state_dict(), tmp_path / "model.pt")
    loaded = tiny(*request.node.callspec.params["model"], seed=1)
    loaded.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    mel, lengths = padded(mels(5), 0.0)
    expected = model.generate(mel, lengths, seeds=[0])
    assert torch.equal(loaded.generate(mel, lengths, seeds=[0]), expected)
    if model.trainable:
        batch = tone_batch(model)
        assert torch.equal(loaded.loss(batch), model.loss(batch))


def test_the_loss_ignores_the_left_context(trainable: Vocoder) -> None:
    """Sample by sample the losses of a batch add up, and `loss_from` leaves out the first of them."""
    if getattr(trainable, "n_bands", 1) > 1:
        pytest.skip("the bands at the end of a shorter wave are others")
    batch = tone_batch(trainable)
    n, first = batch.wave.shape[1], 2 * AUDIO.hop_length
    whole = trainable.loss(batch)
    late = trainable.loss(replace(batch, loss_from=first))
    early = trainable.loss(VocoderBatch(batch.wave[:, :first], batch.mel[:, :, : 2 + 2 * trainable.mel_context]))
    torch.testing.assert_close(late * (n - first) + early * first, whole * n, rtol=1e-5, atol=1e-3)


def test_one_batch_can_be_overfitted(trainable: Vocoder) -> None:
    batch = tone_batch(trainable)
    optimizer = torch.optim.Adam(trainable.parameters(), lr=2e-2)
    start = trainable.loss(batch).item()
    for _ in range(120):
        optimizer.zero_grad()
        loss = trainable.loss(batch)
        loss.backward()
        optimizer.step()
    assert loss.item() < start - 3  # bits per sample


def test_every_parameter_learns(trainable: Vocoder) -> None:
    trainable.loss(tone_batch(trainable)).backward()
    idle = [name for name, p in trainable.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert not idle


@pytest.mark.parametrize(("name", "changes"), [("griffin_lim", {}), ("hifigan", SMALL_GENERATOR)])
def test_what_is_not_trained_says_so(name: str, changes: dict[str, object]) -> None:
    model = tiny(name, changes)
    assert not model.trainable
    with pytest.raises(TTSError, match="not trained"):
        model.loss(tone_batch(model))
