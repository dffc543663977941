"""WaveNet: step against parallel, its receptive field, its conditioning, its config."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tts.batch import VocoderBatch
from tts.errors import ConfigError
from tts.settings import AudioConfig
from tts.vocoder import wavenet
from tts.vocoder._blur import BANDS, FRAMES, blurred
from tts.vocoder._stack import RESIDUAL_SCALE, StackWeights, run_stack
from tts.vocoder.wavenet import Config, WaveNet, build

AUDIO = AudioConfig(sample_rate=8000, n_fft=32, win_length=32, hop_length=8, n_mels=5, f_max=4000.0)
TINY = Config(
    n_layers=6,
    n_cycles=2,
    residual_channels=6,
    gate_channels=5,
    skip_channels=7,
    condition_channels=4,
    n_mixtures=3,
)
OUTPUTS = ("mu_law", "logistics", "gaussian")
# What is modelled instead of the wave: as the changes of a config.
SIGNALS: list[dict[str, object]] = [
    {},
    {"lpc_order": 4},
    {"pre_emphasis": 0.8},
    {"n_bands": 4},
    {"n_bands": 2, "lpc_order": 4},
]


def tiny(output: str = "logistics", **changes: object) -> WaveNet:
    torch.manual_seed(0)
    return build(replace(TINY, output=output, **changes), audio=AUDIO).eval()


def speech(model: WaveNet, n_rows: int, n_frames: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    wave = torch.rand(n_rows, n_frames * AUDIO.hop_length) * 1.8 - 0.9
    return wave, torch.randn(n_rows, AUDIO.n_mels, n_frames + 2 * model.mel_context)


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize(
    ("kernel_size", "changes"), [*((2, changes) for changes in SIGNALS), (3, {}), (3, {"n_bands": 4})]
)
def test_step_equals_parallel(output: str, kernel_size: int, changes: dict[str, object]) -> None:
    model = tiny(output, kernel_size=kernel_size, **changes)
    wave, mel = speech(model, n_rows=3, n_frames=9 * model.n_bands)
    parallel = model(wave, mel)
    signal = model.encode(wave, mel)
    conditions = model.step_condition(mel)
    state, previous, stepped = model.start(3), torch.zeros(3, model.n_bands), []
    for t in range(signal.shape[2]):
        assert state.position == t
        parameters, state = model.step(previous, state, conditions[t // model.frame_steps])
        stepped.append(parameters)
        previous = signal[:, :, t]
    assert wave.shape[1] > model.receptive_field - model.bank.reach and parallel.std() > 0.1
    torch.testing.assert_close(torch.stack(stepped, dim=2), parallel, atol=1e-5, rtol=0)


def test_a_frame_alone_is_the_first_of_many() -> None:
    model = tiny()
    wave, mel = speech(model, n_rows=1, n_frames=3)
    alone = model(wave[:, : AUDIO.hop_length], mel[:, :, : 1 + 2 * model.mel_context])
    torch.testing.assert_close(alone, model(wave, mel)[:, :, : AUDIO.hop_length], atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("kernel_size", "changes"), [*((2, changes) for changes in SIGNALS), (3, {}), (3, {"n_bands": 4})]
)
def test_the_receptive_field_is_exact(kernel_size: int, changes: dict[str, object]) -> None:
    """The gradient reaches `receptive_field` samples back and not one more, and no signal of the present or the future.

    The bands of a step are made of `reach` samples after it too, which are no more than those before told.
    """
    model = tiny(kernel_size=kernel_size, **changes).double()
    n_frames = model.receptive_field // AUDIO.hop_length + 3 + model.bank.reach
    wave, mel = (x.double() for x in speech(model, n_rows=1, n_frames=n_frames))
    at = model.receptive_field // model.n_bands + 5
    wave.requires_grad_()
    signal = model.encode(wave, mel)
    (gradient,) = torch.autograd.grad(model._predict(signal, mel, first=0)[0, :, at].sum(), wave)
    felt = gradient[0].nonzero().squeeze(1)
    assert int(felt.min()) == at * model.n_bands - model.receptive_field
    assert int(felt.max()) == (at - 1) * model.n_bands + model.bank.reach
    signal = signal.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(model._predict(signal, mel, first=0)[0, :, at].sum(), signal)
    assert int(gradient[0].abs().sum(0).nonzero().max()) == at - 1


def plain_units(hidden: Tensor, condition: Tensor, weights: StackWeights, dilations: list[int]) -> Tensor:
    """The layers as the paper draws them, with torch's own convolution."""
    hidden, units = hidden.transpose(1, 2), []
    for i, dilation in enumerate(dilations):
        taps = weights.taps[i].permute(1, 3, 2, 0).flatten(0, 1)  # (2 G, R, K)
        made = torch.nn.functional.conv1d(
            torch.nn.functional.pad(hidden, ((taps.shape[2] - 1) * dilation, 0)), taps, dilation=dilation
        )
        both = torch.cat([condition[i, 0], condition[i, 1]], dim=2)  # (B, T_mel, 2 G)
        made = made + both.repeat_interleave(hidden.shape[2] // both.shape[1], 1).transpose(1, 2)
        tanh, sigmoid = made.chunk(2, dim=1)
        units.append(tanh.tanh() * sigmoid.sigmoid())
        if i < len(weights.residual):
            hidden = (hidden + (units[-1].transpose(1, 2) @ weights.residual[i]).transpose(1, 2)) * RESIDUAL_SCALE
    return torch.cat(units, dim=1).transpose(1, 2)


@pytest.mark.parametrize(
    ("kernel_size", "dilations"), [(2, [1, 2, 4]), (3, [1, 2]), (3, [2, 16]), (2, [3, 40]), (4, [8, 5])]
)
def test_the_layers_and_their_gradients_are_those_of_convolutions(kernel_size: int, dilations: list[int]) -> None:
    """Dilations may reach further back than the segment."""
    torch.manual_seed(0)
    inputs = [
        torch.randn(*shape, dtype=torch.double, requires_grad=True)
        for shape in (
            (2, 24, 3),
            (len(dilations), 2, 2, 4, 5),
            (len(dilations), kernel_size, 2, 3, 5),
            (len(dilations) - 1, 5, 3),
        )
    ]
    weight = torch.randn(2, 24, 5 * len(dilations), dtype=torch.double)
    made = run_stack(inputs[0], inputs[1], StackWeights(*inputs[2:]), dilations=dilations)
    plain = plain_units(inputs[0], inputs[1], StackWeights(*inputs[2:]), dilations)
    torch.testing.assert_close(made, plain)
    gradients, expected = (torch.autograd.grad((units * weight).sum(), inputs) for units in (made, plain))
    for mine, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_the_paper_sizes_see_the_paper_s_past() -> None:
    """30 layers in 3 cycles of kernel 2: 3 * 1023 samples, one by the input convolution, and the previous sample."""
    with torch.device("meta"):
        assert build(Config(), audio=AudioConfig()).receptive_field == 3071


def test_the_mel_is_heard_as_far_as_the_context_says() -> None:
    torch.manual_seed(0)
    model = build(replace(TINY, condition_channels=32), audio=AUDIO)
    wave, mel = speech(model, n_rows=1, n_frames=7)
    mel.requires_grad_()
    parameters = model(wave, mel)
    for frame in (0, 3, 6):
        (gradient,) = torch.autograd.grad(parameters[:, :, frame * AUDIO.hop_length].sum(), mel, retain_graph=True)
        felt = gradient[0].abs().sum(0).nonzero().squeeze(1)
        # The mel starts mel_context frames before the wave; earlier frames come in through earlier samples.
        assert int(felt.max()) == frame + 2 * model.mel_context
        assert frame > 0 or int(felt.min()) == 0


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("changes", SIGNALS)
def test_the_loss_is_the_bits_of_forward(output: str, changes: dict[str, object]) -> None:
    model = tiny(output, **changes)
    wave, mel = speech(model, n_rows=2, n_frames=9)
    likelihood = model.log_likelihood(model(wave, mel), model.encode(wave, mel))
    counted = likelihood[:, :, 12 // model.n_bands : (72 - model.bank.reach) // model.n_bands]
    bits = model.loss(VocoderBatch(wave, mel, loss_from=12))
    torch.testing.assert_close(bits, -counted.mean() / math.log(2))


def test_every_band_has_parameters_of_its_own() -> None:
    """Those of a band change the likelihood of that band alone."""
    model = tiny("gaussian", n_bands=4)
    signal = torch.rand(1, 4, 3) - 0.5
    parameters = torch.zeros(1, 8, 3)
    before = model.log_likelihood(parameters, signal)
    parameters[:, 2:4] -= 1  # of the second band
    changed = model.log_likelihood(parameters, signal) != before
    assert changed[0].any(1).tolist() == [False, True, False, False]
    noise = torch.zeros(1, 4, 1)
    assert model.sample(parameters[:, :, 0], noise)[0].tolist() == [0, -1, 0, 0]


def test_noise_on_what_is_heard_is_for_training_alone() -> None:
    model = tiny(input_noise=0.1)
    wave, mel = speech(model, n_rows=1, n_frames=4)
    batch = VocoderBatch(wave, mel)
    assert torch.equal(model.loss(batch), tiny().loss(batch))
    model.train()
    torch.manual_seed(0)
    first, again = model.loss(batch), model.loss(batch)
    assert not torch.equal(first, again)


@pytest.mark.parametrize("output", OUTPUTS)
def test_bfloat16_rounds_neither_the_samples_nor_what_is_said_of_them(output: str) -> None:
    model = tiny(output)
    wave, mel = speech(model, n_rows=2, n_frames=5)
    exact = model.input(torch.nn.functional.pad(model.encode(wave, mel)[:, :, :-1], (model.kernel_size, 0)))
    seen: list[Tensor] = []
    model.input.register_forward_hook(lambda module, inputs, result: seen.append(result))
    torch.nn.init.zeros_(model.output.weight)
    assert model.output.bias is not None
    torch.nn.init.constant_(model.output.bias, 0.1234567)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        said = model(wave, mel)
    assert torch.equal(seen[0], exact)
    assert torch.equal(said, torch.full_like(said, 0.1234567))


def test_a_blurred_mel_is_averaged_over_bands_and_frames_within_its_row() -> None:
    torch.manual_seed(0)
    mel = torch.randn(200, 20, 30)
    before = mel.clone()
    made = blurred(mel, 0.5)
    assert torch.equal(mel, before)
    spread = (made - mel).flatten(1).std(dim=1)
    assert 0.3 < float((spread == 0).float().mean()) < 0.8  # half, and those that drew one band and one frame
    kinds = {(bands, frames): 0 for bands in BANDS for frames in FRAMES}
    for row in range(len(mel)):
        for bands, frames in kinds:
            beside = bands // 2, frames // 2
            window = mel[row, 10 - beside[0] : 11 + beside[0], 15 - beside[1] : 16 + beside[1]]
            kinds[bands, frames] += bool((made[row, 10, 15] - window.mean()).abs() < 1e-6)
    assert min(kinds.values()) > 2 and sum(kinds.values()) == len(mel)
    flat = torch.full((4, 20, 3), -7.0)
    torch.testing.assert_close(blurred(flat, 1.0), flat)  # also at the edges
    assert torch.equal(blurred(mel, 0.0), mel)


@pytest.mark.parametrize("changes", [{}, {"lpc_order": 4, "output": "gaussian"}])
def test_training_may_hear_blurred_mels(changes: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    """The network and the linear prediction hear the same one; validation hears what is there."""
    model = tiny(**{"blur": 0.5, **changes})
    wave, mel = speech(model, n_rows=2, n_frames=6)
    other = speech(model, n_rows=2, n_frames=6, seed=1)[1]
    monkeypatch.setattr(wavenet, "blurred", lambda mel, share: other if share == 0.5 else mel)
    sharp, blunt = (model.loss(VocoderBatch(wave, heard)) for heard in (mel, other))
    assert not torch.allclose(sharp, blunt)
    torch.testing.assert_close(model.train().loss(VocoderBatch(wave, mel)), blunt)
    torch.testing.assert_close(tiny(**changes).train().loss(VocoderBatch(wave, mel)), sharp)


def test_the_scaler_is_inside() -> None:
    """A mel in other units with the statistics to match is the same mel."""
    model = tiny()
    wave, mel = speech(model, n_rows=1, n_frames=4)
    before = model(wave, mel)
    model.scaler.fit(torch.full((AUDIO.n_mels,), 3.0), torch.full((AUDIO.n_mels,), 2.0))
    torch.testing.assert_close(model(wave, mel * 2 + 3), before)


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("changes", [{}, {"lpc_order": 4}])
def test_generation_follows_forward(output: str, changes: dict[str, object]) -> None:
    """Given its own samples and the same mel, forward predicts what generate drew from, from first to last frame."""
    model = tiny(output, refinement=0, **changes)
    _, mel = speech(model, n_rows=2, n_frames=6)
    mel = mel[:, :, :6] - 9  # quiet: nothing is clipped
    wave = model.generate(mel, torch.tensor([6, 6]), seeds=[1, 2])
    context = torch.full((2, AUDIO.n_mels, model.mel_context), model.silence)
    around = torch.cat([context, mel, context], dim=2)
    parameters, signal = model(wave, around).detach(), model.encode(wave, around)
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    noise = torch.cat([model.noise(generators) for _ in range(6)])
    for t in range(signal.shape[2]):
        drawn = model.sample(parameters[:, :, t], noise[t])
        torch.testing.assert_close(drawn, signal[:, :, t], atol=1e-4, rtol=0)


@pytest.mark.parametrize("output", OUTPUTS)
def test_generation_of_bands_follows_its_steps(output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is drawn at a step is heard by the next, and the bank makes the wave of it."""
    model = tiny(output, n_bands=4, refinement=0)
    _, mel = speech(model, n_rows=2, n_frames=6)
    mel = mel[:, :, :6] - 9
    drawn_by_row: list[Tensor] = []
    decode = model.distribution.decode
    monkeypatch.setattr(model.distribution, "decode", lambda signal: drawn_by_row.append(signal) or decode(signal))
    rows = [model.generate(mel[row : row + 1], torch.tensor([6]), seeds=[row + 1]) for row in range(2)]
    signal, wave = torch.cat(drawn_by_row), torch.cat(rows)
    context = torch.full((2, AUDIO.n_mels, model.mel_context), model.silence)
    parameters = model._predict(signal, torch.cat([context, mel, context], dim=2), first=0).detach()
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    noise = torch.cat([model.noise(generators) for _ in range(6)])
    drawn = torch.stack([model.sample(parameters[:, :, t], noise[t]) for t in range(12)], dim=2)
    torch.testing.assert_close(drawn, signal, atol=1e-4, rtol=0)
    torch.testing.assert_close(wave, model.bank.synthesise(decode(signal)).clamp(-1, 1), atol=1e-5, rtol=0)


def test_noise_is_drawn_anew_in_every_frame() -> None:
    model = tiny()
    mel = torch.zeros(1, AUDIO.n_mels, 40)
    wave = model.generate(mel, torch.tensor([40]), seeds=[0])[0]
    assert not torch.allclose(wave[200 : 200 + AUDIO.hop_length], wave[208 : 208 + AUDIO.hop_length], atol=1e-3)


@pytest.mark.parametrize("output", ["logistics", "gaussian"])
@pytest.mark.parametrize("temperature", [[0.5], [0.5, 0.25]])
def test_temperature_makes_draws_narrower(output: str, temperature: list[float]) -> None:
    parameters = torch.tensor(([0.0, 0.1, -4.0] if output == "logistics" else [0.1, -4.0]) * 2)
    drawn = []
    for one in ([1.0], temperature):
        model = tiny(output, n_bands=2, temperature=one, n_mixtures=1)
        noise = model.noise([torch.Generator().manual_seed(0)])  # (steps, 1, 2, n_noise)
        drawn.append(model.sample(parameters.expand(len(noise), -1), noise[:, 0]) - 0.1)
    torch.testing.assert_close(drawn[1], drawn[0] * torch.tensor(temperature))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_layers": 10, "n_cycles": 3}, "n_layers 10"),
        ({"n_layers": 0}, "at least 1"),
        ({"kernel_size": 1}, "kernel_size is 1"),
        ({"gate_channels": 0}, "channels"),
        ({"condition_kernels": [4]}, r"\[4\]"),
        ({"condition_kernels": []}, "condition_kernels"),
        ({"output": "gauss"}, "gauss"),
        ({"bits": 16}, "16"),
        ({"n_mixtures": 0}, "n_mixtures"),
        ({"lpc_order": -1}, "-1"),
        ({"n_bands": 3}, "not 3"),
        ({"temperature": [0.0]}, "temperature"),
        ({"temperature": [0.8, 1.0]}, "one for each of 1 bands"),
        ({"temperature": [0.8], "output": "mu_law"}, "mu_law has none"),
        ({"input_noise": -0.1}, "input_noise"),
        ({"blur": 1.5}, "blur is a share"),
        ({"pre_emphasis": 1.0}, "pre_emphasis"),
        ({"pre_emphasis": 0.5, "lpc_order": 2}, "exclude each other"),
    ],
)
def test_wrong_values_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(Config(), **change)
