"""What every attention and every acoustic model must hold, over all files of their folders."""

import copy
import dataclasses
import pkgutil
from importlib import import_module
from itertools import pairwise

import pytest
import torch

import tts.acoustic
import tts.acoustic.attention
from tts.batch import AcousticBatch
from tts.errors import ConfigError
from tts.interfaces import AcousticModel, Attention, AttentionState, AttentionWindow
from tts.layers import length_mask
from tts.losses import masked_l1

SILENCE = -11.5
N_MELS = 6
N_SYMBOLS = 11
N_SPEAKERS = 3


def files(package):
    return [module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_")]


ATTENTIONS = files(tts.acoustic.attention)
MODELS = [name for name in files(tts.acoustic) if name != "attention"]


def tiny(config, *, dropout=False):
    """The same choices at a size that runs at once; without dropout, nothing is left to chance."""
    changes = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            changes[field.name] = tiny(value, dropout=dropout)
        elif isinstance(value, list) and all(isinstance(v, int) for v in value):
            changes[field.name] = [min(v, 8) for v in value]
        elif isinstance(value, int):
            changes[field.name] = min(value, 5 if "kernel" in field.name else 8)
        elif field.name == "stop_threshold":
            changes[field.name] = 0.999  # an untrained model would stop at once
        elif isinstance(value, float) and "dropout" in field.name and not dropout:
            changes[field.name] = 0.0
    return dataclasses.replace(config, **changes)


def make_attention(name):
    module = import_module(f"tts.acoustic.attention.{name}")
    return module.build(tiny(module.Config()), query_dim=5, memory_dim=4)


def make_model(name, attention, n_speakers=1, *, reduction=2, dropout=False, **choices):
    """Either a model with an attention of its own, or one that takes any."""
    module = import_module(f"tts.acoustic.{name}")
    config = module.Config()
    if hasattr(config, "attention"):
        config = dataclasses.replace(config, attention=import_module(f"tts.acoustic.attention.{attention}").Config())
    torch.manual_seed(0)
    model = module.build(
        dataclasses.replace(tiny(config, dropout=dropout), **choices),
        n_symbols=N_SYMBOLS,
        n_mels=N_MELS,
        max_reduction=3,
        silence=SILENCE,
        n_speakers=n_speakers,
    )
    model.scaler.fit(torch.linspace(-6, -4, N_MELS), torch.linspace(1, 2, N_MELS))
    for layer in model.modules():  # statistics as after some training, so that normalisation is not the identity
        if isinstance(layer, torch.nn.BatchNorm1d):
            torch.nn.init.uniform_(layer.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(layer.running_var, 0.5, 2)
    model.reduction = reduction
    return model


def make_batch(text_lengths, mel_lengths, extra=0):
    """Random utterances; the content of row b depends on b only. `extra` pads further."""
    n_text, n_frames = max(text_lengths) + extra, max(mel_lengths) + extra
    text_ids = torch.zeros(len(text_lengths), n_text, dtype=torch.long)
    mel = torch.full((len(text_lengths), N_MELS, n_frames), SILENCE)
    for b, (n, m) in enumerate(zip(text_lengths, mel_lengths, strict=True)):
        generator = torch.Generator().manual_seed(b)
        text_ids[b, :n] = torch.randint(1, N_SYMBOLS, (100,), generator=generator)[:n]
        mel[b, :, :m] = torch.randn(100, N_MELS, generator=generator)[:m].t() * 1.5 - 5
    ids = [str(b) for b in range(len(text_lengths))]
    speaker_ids = torch.arange(len(ids)) % N_SPEAKERS
    lengths = torch.tensor(text_lengths), torch.tensor(mel_lengths)
    return AcousticBatch(ids, text_ids, lengths[0], mel, lengths[1], speaker_ids).validate()


def run_attention(attention, memory, lengths, n_steps=4):
    queries = torch.randn(n_steps, 1, 5, generator=torch.Generator().manual_seed(1))
    prepared = attention.prepare(memory, length_mask(lengths, memory.shape[1]))
    states = [attention.start(prepared)]
    for query in queries:
        states.append(attention.step(query.expand(len(memory), -1), states[-1], prepared))
    return states


@pytest.fixture(params=ATTENTIONS)
def attention(request):
    torch.manual_seed(0)
    return make_attention(request.param)


CHOICES = [
    (model, attention, n_speakers) for model in MODELS for attention in ATTENTIONS for n_speakers in (1, N_SPEAKERS)
]


def choice_name(choice):
    return "-".join(map(str, choice))


@pytest.fixture(params=CHOICES, ids=choice_name)
def model(request):
    return make_model(*request.param).eval()


@pytest.mark.parametrize("package", ["tts.acoustic.attention", "tts.acoustic"])
def test_a_component_is_named_like_its_file(package):
    for name in ATTENTIONS if package.endswith("attention") else MODELS:
        config = import_module(f"{package}.{name}").Config
        assert dataclasses.fields(config)[0].name == "name"
        assert config().name == name
        with pytest.raises(ConfigError, match="other"):
            config(name="other")


def test_attention_weights_are_a_distribution_over_real_symbols(attention):
    assert isinstance(attention, Attention)
    memory = torch.randn(2, 9, 4)
    memory[1, 6:] = 0
    states = run_attention(attention, memory, torch.tensor([9, 6]))
    for before, after in pairwise(states):
        torch.testing.assert_close(after.weights.sum(dim=1), torch.ones(2))
        assert (after.weights[1, 6:] == 0).all()
        torch.testing.assert_close(after.cumulative, before.cumulative + after.weights)
        torch.testing.assert_close(after.context, torch.einsum("bt,btd->bd", after.weights, memory))


def test_attention_ignores_padding(attention):
    memory = torch.randn(1, 6, 4)
    padded = torch.cat([memory, torch.zeros(1, 7, 4)], dim=1)
    alone = run_attention(attention, memory, torch.tensor([6]))[-1]
    among = run_attention(attention, padded, torch.tensor([6]))[-1]
    torch.testing.assert_close(among.weights[:, :6], alone.weights)
    torch.testing.assert_close(among.context, alone.context)


def test_attention_is_sharpened_in_evaluation_alone(attention):
    memory, lengths = torch.randn(1, 9, 4), torch.tensor([9])
    plain = run_attention(attention, memory, lengths)[-1].weights
    attention.sharpness = 8.0
    assert torch.equal(run_attention(attention, memory, lengths)[-1].weights, plain), "training is as it was"
    attention.eval()
    sharp = run_attention(attention, memory, lengths)[-1].weights
    assert sharp.max() > plain.max() + 0.01
    attention.sharpness = 1.0
    torch.testing.assert_close(run_attention(attention, memory, lengths)[-1].weights, plain)


def test_attention_state_is_a_value(attention):
    memory = torch.randn(1, 6, 4)
    prepared = attention.prepare(memory, torch.ones(1, 6, dtype=torch.bool))
    start, query = attention.start(prepared), torch.randn(1, 5)
    kept = AttentionState(*(part.clone() for part in start))
    first = attention.step(query, start, prepared)
    for part, was in zip(start, kept, strict=True):
        assert torch.equal(part, was)
    assert torch.equal(attention.step(query, start, prepared).weights, first.weights)


def test_attention_is_float32_under_autocast(attention):
    memory = torch.randn(1, 6, 4)
    exact = run_attention(attention, memory, torch.tensor([6]))[-1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = run_attention(attention, memory, torch.tensor([6]))[-1]
    assert half.weights.dtype == half.context.dtype == torch.float32
    torch.testing.assert_close(half.weights, exact.weights)


@pytest.mark.parametrize("reduction", [1, 2, 3])
def test_padding_changes_nothing(model, reduction):
    assert isinstance(model, AcousticModel)
    model.reduction = reduction
    short, text, frames = make_batch([4], [7]), 4, 7
    alone, among = model(short), model(make_batch([4, 9], [7, 14], extra=2))
    torch.testing.assert_close(among.mel_before[:1, :, :frames], alone.mel_before)
    torch.testing.assert_close(among.mel[:1, :, :frames], alone.mel)
    torch.testing.assert_close(among.stop_logit[:1, :frames], alone.stop_logit)
    torch.testing.assert_close(among.alignment[:1, :text, :frames], alone.alignment)
    assert (among.alignment[0, text:] == 0).all()


def test_batch_statistics_ignore_padding(model):
    """In training, further padding changes neither the output nor the running statistics."""
    model.train()
    for layer in model.modules():
        if hasattr(layer, "rate"):
            layer.rate = 0.0  # zoneout would draw different masks
    twin = copy.deepcopy(model)
    tight, loose = model(make_batch([4, 9], [7, 14])), twin(make_batch([4, 9], [7, 14], extra=6))
    torch.testing.assert_close(loose.mel[1, :, :14], tight.mel[1])
    for (name, one), other in zip(model.named_buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(other, one, msg=lambda message, name=name: f"{name}: {message}")


@pytest.mark.parametrize("reduction", [1, 2, 3])
def test_the_future_has_no_gradient(model, reduction):
    """A frame before the postnet, which may look around, depends on frames of earlier groups only."""
    model.reduction = reduction
    batch, frame = make_batch([5], [12]), 7
    batch.mel.requires_grad_()
    out = model(batch)
    seen = [out.mel_before[0, :, frame].sum(), out.stop_logit[0, frame], out.alignment[0, :3, frame].sum()]
    for value in seen:
        (gradient,) = torch.autograd.grad(value, batch.mel, retain_graph=True)
        per_frame = gradient[0].abs().sum(dim=0)
        group_start = frame // reduction * reduction
        assert (per_frame[group_start:] == 0).all()
        assert per_frame[group_start - 1] > 0


@pytest.mark.parametrize("choice", CHOICES, ids=choice_name)
def test_a_batch_of_many_equals_batches_of_one(choice):
    model = make_model(*choice, dropout=True).eval()
    batch, seeds, limits = make_batch([4, 9, 2], [7, 14, 3]), [3, 1, 2], [9, 13, 4]
    many = model.generate(batch.text_ids, batch.text_lengths, seeds=seeds, max_frames=limits,
                          speaker_ids=batch.speaker_ids)  # fmt: skip
    assert many.mel_lengths.tolist() == limits and set(many.stop_reasons) == {"limit"}
    for b in range(3):
        length, frames = int(batch.text_lengths[b]), limits[b]
        one = model.generate(batch.text_ids[b : b + 1, :length], torch.tensor([length]), seeds=[seeds[b]],
                             max_frames=[frames], speaker_ids=batch.speaker_ids[b : b + 1])  # fmt: skip
        torch.testing.assert_close(many.mel[b, :, :frames], one.mel[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(many.stop_probability[b, :frames], one.stop_probability[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(many.alignment[b, :length, :frames], one.alignment[0], atol=1e-5, rtol=1e-5)
        assert (many.mel[b, :, frames:] == SILENCE).all()
        assert (many.stop_probability[b, frames:] == 0).all() and (many.alignment[b, :, frames:] == 0).all()


@pytest.mark.parametrize("choice", CHOICES, ids=choice_name)
def test_a_window_holds_attention_in_the_rows_that_have_one(choice):
    model = make_model(*choice, dropout=True).eval()
    batch, seeds, limits = make_batch([9, 9, 5], [7, 14, 3]), [3, 1, 2], [24, 24, 24]
    window = AttentionWindow(back=1, ahead=1)
    free = model.generate(batch.text_ids, batch.text_lengths, seeds=seeds, max_frames=limits)
    held = model.generate(batch.text_ids, batch.text_lengths, seeds=seeds, max_frames=limits,
                          windows=[None, window, window])  # fmt: skip
    torch.testing.assert_close(held.alignment[0], free.alignment[0], atol=1e-5, rtol=1e-5)
    for row, length in ((1, 9), (2, 5)):
        weights, furthest = held.alignment[row, :length, :: model.reduction], 0
        torch.testing.assert_close(weights.sum(dim=0), torch.ones(12))
        for step in weights.unbind(dim=1):
            assert (step[: max(furthest - 1, 0)] == 0).all() and (step[furthest + 2 :] == 0).all()
            furthest = max(furthest, int(step.argmax()))
        alone = model.generate(batch.text_ids[row : row + 1, :length], torch.tensor([length]), seeds=[seeds[row]],
                               max_frames=[24], windows=[window])  # fmt: skip
        torch.testing.assert_close(held.mel[row], alone.mel[0], atol=1e-5, rtol=1e-5)
    assert (free.alignment[1, 3:, 0] > 0).all() or choice[1] == "dynamic_convolution"


@pytest.mark.parametrize("choice", CHOICES, ids=choice_name)
def test_the_seed_alone_decides(choice):
    model = make_model(*choice, dropout=True).eval()
    text_ids, lengths = torch.tensor([[3, 1, 4, 1]]), torch.tensor([4])

    def speak(seed):
        torch.rand(1)  # torch's own random state plays no part
        return model.generate(text_ids, lengths, seeds=[seed], max_frames=[6]).mel

    assert torch.equal(speak(5), speak(5))
    assert not torch.equal(speak(5), speak(6))


def test_a_single_symbol_is_spoken(model):
    """The shortest input there is, in training and at synthesis, and a clip shorter than a decoder step."""
    model.reduction = 3
    out = model(make_batch([1], [2]))
    assert out.mel.shape == (1, N_MELS, 2) and out.mel.isfinite().all()
    assert (out.alignment == 1).all()
    spoken = model.generate(torch.tensor([[3]]), torch.tensor([1]), seeds=[0], max_frames=[4])
    assert spoken.mel.shape == (1, N_MELS, 4) and spoken.mel.isfinite().all()


def test_speaking_in_bfloat16(model):
    """Validation of a training in bf16 decodes under autocast."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        spoken = model.generate(torch.tensor([[3, 4]]), torch.tensor([2]), seeds=[0], max_frames=[4], rest_frames=1)
    assert spoken.mel.shape[2] <= 4 and spoken.mel.isfinite().all()


def test_progress_counts_frames(model):
    counted = []
    model.generate(torch.tensor([[3]]), torch.tensor([1]), seeds=[0], max_frames=[6], progress=counted.append)
    assert counted == [2, 4, 6]


def test_saved_and_loaded_is_identical(model, tmp_path):
    torch.save(model.state_dict(), tmp_path / "model.pt")
    batch, other = make_batch([4, 9], [7, 14]), copy.deepcopy(model)
    for tensor in other.state_dict().values():
        tensor.fill_(1)
    assert not torch.equal(other(batch).mel, model(batch).mel)
    other.load_state_dict(torch.load(tmp_path / "model.pt"))
    for one, two in zip(model(batch), other(batch), strict=True):
        assert torch.equal(one, two)


def test_one_batch_can_be_overfitted(model):
    """Padded frames take no part, so the error falls far below what silence or the mean would leave."""
    model.train()
    batch = make_batch([3, 5], [4, 7])
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)

    def error():
        out = model(batch)
        target = model.scaler.normalize(batch.mel)
        return sum(masked_l1(model.scaler.normalize(mel), target, batch.mel_mask) for mel in (out.mel_before, out.mel))

    first = error().item()
    for _ in range(150):
        optimizer.zero_grad()
        loss = error()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.35 * first


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("name", MODELS)
def test_each_speaker_has_a_voice_and_one_needs_no_parameters(name, attention):
    model = make_model(name, attention, N_SPEAKERS).eval()
    batch = make_batch([5, 5, 5], [8, 8, 8])
    batch.text_ids[:], batch.mel[:] = batch.text_ids[0], batch.mel[0]
    mel = model(batch).mel
    spoken = [
        model.generate(
            batch.text_ids[:1], batch.text_lengths[:1], seeds=[0], max_frames=[6], speaker_ids=torch.tensor([speaker])
        ).mel
        for speaker in range(N_SPEAKERS)
    ]
    for one, other in [(0, 1), (0, 2), (1, 2)]:
        assert (mel[one] - mel[other]).abs().max() > 1e-4
        assert (spoken[one] - spoken[other]).abs().max() > 1e-4
    first = model.generate(batch.text_ids[:1], batch.text_lengths[:1], seeds=[0], max_frames=[6]).mel
    assert torch.equal(first, spoken[0])
    several, alone = model.state_dict(), make_model(name, attention).state_dict()
    assert {model.rows[key] for key in several.keys() - alone.keys()} == {"speakers"}


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("name", MODELS)
def test_rows_that_stand_for_something_are_named(name, attention):
    model = make_model(name, attention, N_SPEAKERS)
    sizes = {"symbols": N_SYMBOLS, "speakers": N_SPEAKERS, "frames": N_MELS * 3}
    own = model.state_dict()
    assert {key: len(own[key]) for key in model.rows} == {key: sizes[what] for key, what in model.rows.items()}
    assert {key for key, value in own.items() if value.dim() and len(value) in sizes.values()} == set(model.rows)
