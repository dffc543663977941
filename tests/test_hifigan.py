"""Published HiFi-GAN generators: the published sizes, what they compute, reading them, refusing them, speaking."""

import argparse
import json
import pickle
import re
import tarfile
import warnings
from pathlib import Path

import pytest
import soundfile
import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from tests.toy import SMALL
from tts.cli import main
from tts.errors import CheckpointError, ConfigError
from tts.settings import AudioConfig
from tts.synthesis import Synthesizer
from tts.vocoder import hifigan
from tts.vocoder._published import fold_weight_norm, load_published

# The published configurations, as far as they concern the generator and its mel.
MEL = {
    "num_mels": 80,
    "n_fft": 1024,
    "hop_size": 256,
    "win_size": 1024,
    "sampling_rate": 22050,
    "fmin": 0,
    "fmax": 8000,
}
V1 = {
    "resblock": "1",
    "upsample_rates": [8, 8, 2, 2],
    "upsample_kernel_sizes": [16, 16, 4, 4],
    "upsample_initial_channel": 512,
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
}
V2 = V1 | {"upsample_initial_channel": 128}
V3 = {
    "resblock": "2",
    "upsample_rates": [8, 8, 4],
    "upsample_kernel_sizes": [16, 16, 8],
    "upsample_initial_channel": 256,
    "resblock_kernel_sizes": [3, 5, 7],
    "resblock_dilation_sizes": [[1, 2], [2, 6], [3, 12]],
}
PUBLISHED = {"V1": V1, "V2": V2, "V3": V3}

AUDIO = AudioConfig(sample_rate=8000, n_fft=64, win_length=64, hop_length=16, n_mels=8, f_max=4000.0)
AUDIO_JSON = {
    "num_mels": 8,
    "n_fft": 64,
    "hop_size": 16,
    "win_size": 64,
    "sampling_rate": 8000,
    "fmin": 0,
    "fmax": 4000,
}
TINY = {
    "resblock": "1",
    "upsample_rates": [8, 2],
    "upsample_kernel_sizes": [16, 4],
    "upsample_initial_channel": 16,
    "resblock_kernel_sizes": [3, 5],
    "resblock_dilation_sizes": [[1, 3], [1, 2]],
}
TINY_2 = TINY | {"resblock": "2"}
TOLD = TINY | AUDIO_JSON | {"num_gpus": 0, "fmax_for_loss": None}  # as published, with what concerns training
FORMS = {"old": ("weight_g", "weight_v"), "new": tuple(f"parametrizations.weight.original{i}" for i in (0, 1))}


def generator(told: dict = TINY, audio: AudioConfig = AUDIO) -> hifigan.HifiGan:
    torch.manual_seed(0)
    return hifigan.build(hifigan.Config(**(told | {"resblock": int(told["resblock"])})), audio=audio).eval()


def normalised(model: hifigan.HifiGan, form: str = "old") -> dict[str, torch.Tensor]:
    """The model's weights as a state dict with weight normalisation, with directions of any length."""
    of_gain, of_direction = FORMS[form]
    weights = {}
    for name, tensor in model.named_parameters():
        layer, _, last = name.rpartition(".")
        if last == "weight":
            weights[f"{layer}.{of_gain}"] = tensor.detach().flatten(1).norm(dim=1)[:, None, None]
            weights[f"{layer}.{of_direction}"] = tensor.detach() * torch.rand(len(tensor), 1, 1).add(0.5)
        else:
            weights[name] = tensor.detach()
    return weights


def published(folder: Path, told: dict = TOLD, name: str = "generator.safetensors", **weights: torch.Tensor) -> Path:
    """A generator on the disk as it is published."""
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "config.json").write_text(json.dumps(told))
    stored = normalised(generator()) | weights
    if name.endswith(".safetensors"):
        save_file(stored, folder / name)
    else:
        torch.save({"generator": stored}, folder / name)
    return folder / name


def some_mel(n_frames: int = 7, rows: int = 1) -> torch.Tensor:
    return torch.randn(rows, AUDIO.n_mels, n_frames, generator=torch.Generator().manual_seed(3)) - 4


@pytest.mark.parametrize(
    ("name", "count", "layers"), [("V1", 13_926_017, 78), ("V2", 925_985, 78), ("V3", 1_462_273, 23)]
)
def test_as_many_weights_as_published(name, count, layers):
    """The paper says 13.92 M, 0.92 M and 1.46 M (table 1)."""
    with torch.device("meta"):
        model = generator(PUBLISHED[name], AudioConfig())
    assert sum(parameter.numel() for parameter in model.parameters()) == count
    assert len([name for name, _ in model.named_parameters() if name.endswith(".weight")]) == layers


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("V1", {"ups.1.weight": (256, 128, 16), "resblocks.11.convs1.2.weight": (32, 32, 11), "ups.3.bias": (32,)}),
        ("V2", {"ups.1.weight": (64, 32, 16), "resblocks.11.convs2.2.weight": (8, 8, 11), "conv_post.bias": (1,)}),
        (
            "V3",
            {"ups.2.weight": (64, 32, 8), "resblocks.4.convs.1.weight": (64, 64, 5), "resblocks.8.convs.0.bias": (32,)},
        ),
    ],
)
def test_layers_are_named_and_shaped_as_published(name, shapes):
    with torch.device("meta"):
        weights = dict(generator(PUBLISHED[name], AudioConfig()).named_parameters())
    width, last = {"V1": (512, 32), "V2": (128, 8), "V3": (256, 32)}[name]
    shapes |= {"conv_pre.weight": (width, 80, 7), "conv_post.weight": (1, last, 7)}
    assert {name: tuple(weights[name].shape) for name in shapes} == shapes


def plainly(weights: dict[str, torch.Tensor], told: dict, mel: torch.Tensor) -> torch.Tensor:
    """The published computation, layer by layer by name."""

    def conv(name, x, dilation=1):
        weight = weights[f"{name}.weight"]
        return F.conv1d(x, weight, weights[f"{name}.bias"], dilation=dilation, padding="same")

    x = conv("conv_pre", mel)
    for i, (rate, kernel) in enumerate(zip(told["upsample_rates"], told["upsample_kernel_sizes"], strict=True)):
        weight, bias = weights[f"ups.{i}.weight"], weights[f"ups.{i}.bias"]
        x = F.conv_transpose1d(F.leaky_relu(x, 0.1), weight, bias, stride=rate, padding=(kernel - rate) // 2)
        made = []
        for j, dilations in enumerate(told["resblock_dilation_sizes"]):
            block, y = f"resblocks.{i * len(told['resblock_dilation_sizes']) + j}", x
            for k, dilation in enumerate(dilations):
                if told["resblock"] == "1":
                    inner = conv(f"{block}.convs1.{k}", F.leaky_relu(y, 0.1), dilation)
                    y = y + conv(f"{block}.convs2.{k}", F.leaky_relu(inner, 0.1))
                else:
                    y = y + conv(f"{block}.convs.{k}", F.leaky_relu(y, 0.1), dilation)
            made.append(y)
        x = torch.stack(made).mean(dim=0)
    return torch.tanh(conv("conv_post", F.leaky_relu(x, 0.01)))[:, 0]


@pytest.mark.parametrize("told", [TINY, TINY_2], ids=["1", "2"])
def test_it_computes_what_was_published(told):
    model, mel = generator(told), some_mel(rows=2)
    expected = plainly(dict(model.named_parameters()), told, mel)
    assert expected.shape == (2, 7 * AUDIO.hop_length)
    torch.testing.assert_close(model(mel), expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    "told",
    [TINY, TINY_2, TINY | {"upsample_rates": [2, 2, 2, 2], "upsample_kernel_sizes": [4, 8, 2, 6]}],
    ids=["1", "2", "deep"],
)
def test_a_sample_depends_on_the_context_it_tells_and_on_no_more(told):
    model = generator(told).double()
    reach, hop = model.mel_context, AUDIO.hop_length
    mel = some_mel(2 * reach + 5).double().requires_grad_()
    frame = reach + 2
    model(mel)[0, frame * hop : (frame + 1) * hop].square().sum().backward()
    heard = mel.grad[0].abs().sum(dim=0).nonzero().flatten().tolist()
    assert heard == list(range(frame - reach, frame + reach + 1))


def test_a_row_in_a_batch_is_the_row_alone():
    model, rows = generator(), [some_mel(n) for n in (9, 1, 5)]
    mel = torch.full((3, AUDIO.n_mels, 9), 7.0)
    for row, own in enumerate(rows):
        mel[row, :, : own.shape[2]] = own[0]
    with torch.inference_mode():
        waves = model.generate(mel, torch.tensor([9, 1, 5]), seeds=[1, 2, 3])
    for own, wave in zip(rows, waves, strict=True):
        n_samples = own.shape[2] * AUDIO.hop_length
        torch.testing.assert_close(wave[:n_samples], model(own)[0], atol=1e-7, rtol=0)
        assert not wave[n_samples:].any()


@pytest.mark.parametrize(("kind", "sizes"), [(torch.nn.Conv1d, (4, 6, 3)), (torch.nn.ConvTranspose1d, (4, 2, 8, 4))])
@pytest.mark.parametrize("form", FORMS)
def test_folding_gives_the_weight_that_torch_computes(kind, sizes, form):
    torch.manual_seed(0)
    layer = parametrizations.weight_norm(kind(*sizes))
    of_gain, of_direction = FORMS[form]
    gain = torch.rand_like(layer.parametrizations.weight.original0)
    layer.parametrizations.weight.original0.data = gain
    direction = layer.parametrizations.weight.original1.detach()
    folded = fold_weight_norm(
        {f"a.0.{of_gain}": gain, f"a.0.{of_direction}": direction, "a.0.bias": layer.bias.detach()}
    )
    assert set(folded) == {"a.0.weight", "a.0.bias"}
    torch.testing.assert_close(folded["a.0.weight"], layer.weight.detach())


@pytest.mark.parametrize("form", ["old", "new", "fused"])
@pytest.mark.parametrize("name", ["g.safetensors", "g_02500000", "legacy.pt", "plain.pth"])
def test_every_published_form_is_the_same_generator(tmp_path, form, name):
    model = generator()
    weights = {n: p.detach() for n, p in model.named_parameters()} if form == "fused" else normalised(model, form)
    path = published(tmp_path, name=name)
    if name == "g.safetensors":
        save_file(weights, path)
    else:
        stored = weights if name == "plain.pth" else {"generator": weights}
        torch.save(stored, path, _use_new_zipfile_serialization=name != "legacy.pt")
    loaded = load_published(path, None, AUDIO)
    torch.testing.assert_close(loaded(some_mel()), model(some_mel()), atol=1e-6, rtol=0)


def test_half_precision_is_read_and_spoken_in_full(tmp_path):
    path = published(tmp_path)
    halved = {name: tensor.half() for name, tensor in normalised(generator()).items()}
    save_file(halved, path)
    loaded = load_published(path, None, AUDIO)
    save_file({name: tensor.float() for name, tensor in halved.items()}, path)
    assert torch.equal(loaded(some_mel()), load_published(path, None, AUDIO)(some_mel()))


def test_the_json_is_found_beside_the_checkpoint_or_given(tmp_path):
    path = published(tmp_path / "a")
    (tmp_path / "a" / "config.json").rename(tmp_path / "a" / "config_v1.json")
    load_published(path, None, AUDIO)
    (tmp_path / "a" / "other.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"several: config_v1\.json, other\.json; give it with config=FILE"):
        load_published(path, None, AUDIO)
    load_published(path, tmp_path / "a" / "config_v1.json", AUDIO)
    (tmp_path / "a" / "config_v1.json").rename(path.with_suffix(".json"))
    load_published(path, None, AUDIO)
    for beside in (tmp_path / "a").glob("*.json"):
        beside.unlink()
    with pytest.raises(CheckpointError, match="beside it lies none; give it with config=FILE"):
        load_published(path, None, AUDIO)
    with pytest.raises(CheckpointError, match=r"config=.*no\.json: there is no such file"):
        load_published(path, tmp_path / "no.json", AUDIO)
    with pytest.raises(CheckpointError, match=r"checkpoint=.*nothing\.pt: there is no such file"):
        load_published(tmp_path / "nothing.pt", None, AUDIO)


def test_other_names_for_the_mel(tmp_path):
    told = TINY | {"sampling_rate": 8000, "filter_length": 64, "hop_length": 16, "win_length": 64}
    told |= {"n_mel_channels": 8, "mel_fmin": 0.0, "mel_fmax": None}
    load_published(published(tmp_path, told), None, AUDIO)
    with pytest.raises(CheckpointError, match=r"f_max 3000\.0 != 4000\.0"):
        load_published(published(tmp_path, told), None, AudioConfig(**{**vars(AUDIO), "f_max": 3000.0}))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"sampling_rate": 22050}, "sample_rate 8000 != 22050"),
        ({"fmax": 3800, "num_mels": 9}, r"n_mels 8 != 9, f_max 4000\.0 != 3800\.0"),
        ({"n_fft": 128, "win_size": 128}, "n_fft 64 != 128, win_length 64 != 128"),
        ({"hop_size": 32, "fmin": 20}, r"hop_length 16 != 32, f_min 0\.0 != 20\.0"),
    ],
)
def test_another_mel_is_refused_with_the_fields(tmp_path, changed, said):
    with pytest.raises(CheckpointError, match=rf"config\.json disagree on the mel \(voice != vocoder\): {said}; take"):
        load_published(published(tmp_path, TOLD | changed), None, AUDIO)


def test_what_the_json_does_not_tell_is_as_published_but_for_the_loudness(tmp_path):
    path = published(tmp_path)
    load_published(path, None, AudioConfig(**{**vars(AUDIO), "loudness": -20.0}))
    with pytest.raises(CheckpointError, match="mel_scale htk != slaney"):
        load_published(path, None, AudioConfig(**{**vars(AUDIO), "mel_scale": "htk"}))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"upsample_rates": [4, 2], "upsample_kernel_sizes": [8, 4]}, r"\[4, 2\] make 8 samples .*hop_length is 16"),
        ({"upsample_kernel_sizes": [15, 4]}, "15 must be the rate 8 or an even number more"),
        ({"upsample_kernel_sizes": [16]}, "go in pairs"),
        ({"upsample_initial_channel": 18}, "18 must be divisible by 4"),
        ({"resblock_kernel_sizes": [3, 4]}, "must be odd"),
        ({"resblock_dilation_sizes": [[1, 3]]}, "go in pairs"),
        ({"resblock": "3"}, "resblock='3' should be one of 1, 2"),
        ({"upsample_rates": "8,2"}, "upsample_rates='8,2' should be a list"),
        ({"sampling_rate": "8k", "fmax": None}, "sample_rate='8k' should be a whole number.*f_max=None"),
        ({"fmax": 5000}, "f_max <= sample_rate / 2"),
    ],
)
def test_a_json_that_makes_no_generator(tmp_path, changed, said):
    with pytest.raises(CheckpointError, match=rf"config\.json: .*{said}"):
        load_published(published(tmp_path, TOLD | changed), None, AUDIO)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}", "does not say resblock, upsample_rates, .*not a HiFi-GAN generator's JSON"),
        (json.dumps({k: v for k, v in TOLD.items() if k != "n_fft"}), "does not say n_fft or filter_length, so"),
        ("[1]", "holds no table"),
        ("{", "is no JSON"),
        ("\xff", "is no JSON"),
    ],
)
def test_a_json_of_something_else(tmp_path, content, said):
    path = published(tmp_path)
    path.with_name("config.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(CheckpointError, match=said):
        load_published(path, None, AUDIO)


def test_weights_that_do_not_fit_are_named(tmp_path):
    path = published(tmp_path, mpd=torch.ones(2))
    with pytest.raises(CheckpointError, match=r"not those of the generator in .*: 1 unexpected: mpd; give the JSON"):
        load_published(path, None, AUDIO)
    published(tmp_path, **{"conv_pre.bias": torch.ones(3), "conv_post.bias": torch.full((1,), torch.nan)})
    said = r"1 of another shape: conv_pre\.bias \(3,\), expected \(16,\); 1 not finite: conv_post\.bias"
    with pytest.raises(CheckpointError, match=said):
        load_published(path, None, AUDIO)
    published(tmp_path, **{"conv_pre.weight_g": torch.ones(5, 1, 1)})
    said = r"1 missing: conv_pre\.weight; 2 unexpected: conv_pre\.weight_g, conv_pre\.weight_v"
    with pytest.raises(CheckpointError, match=said):
        load_published(path, None, AUDIO)
    published(tmp_path, TOLD | TINY_2)
    said = r"16 missing: resblocks\.0\.convs\.0\.weight, .*\.0\.bias, .*\.1\.weight, \.\.\.; 32 unexpected"
    with pytest.raises(CheckpointError, match=said):
        load_published(path, None, AUDIO)


class Program:
    """What a pickle can do to whoever reads it."""

    ran = False

    def __reduce__(self):
        return (exec, ("from tests.test_hifigan import Program; Program.ran = True",))


def test_a_checkpoint_that_needs_a_pickle_is_refused_with_the_reason(tmp_path):
    path = published(tmp_path, name="g.pt")
    weights = normalised(generator())
    said = r"more than weights \({}\); reading one runs whatever program .* weights_only=False.*save_file"
    for content, needed in (
        ({"generator": weights, "h": argparse.Namespace(a=1)}, r"argparse\.Namespace"),
        ({"generator": weights, "h": Program()}, "exec"),
        (generator(), r"tts\.vocoder\.hifigan\.HifiGan"),
    ):
        for zipped in (True, False):
            torch.save(content, path, _use_new_zipfile_serialization=zipped)
            with pytest.raises(CheckpointError, match=said.format(needed)):
                load_published(path, None, AUDIO)
    path.write_bytes(pickle.dumps({"generator": Program()}))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(CheckpointError, match="other pickles are refused: reading one runs"):
            load_published(path, None, AUDIO)
    assert not warned
    with tarfile.open(path, "w") as tar:
        tar.add(tmp_path / "config.json", "storages")
    with pytest.raises(CheckpointError, match="is a tar archive, which cannot be read safely; if you trust it"):
        load_published(path, None, AUDIO)
    assert not Program.ran


def test_a_damaged_checkpoint_or_one_of_something_else(tmp_path):
    path = published(tmp_path, name="g.pt")
    whole = path.read_bytes()
    for content in (b"", b"hello world\n" * 99, whole[: len(whole) // 2], bytes(range(256)) * 9):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="is damaged or was not saved by torch; copy it again"):
            load_published(path, None, AUDIO)
    torch.save({"optim": {"lr": 1.0}, "steps": 3}, path)
    with pytest.raises(
        CheckpointError, match='no state dict, neither as such nor under "generator"; its keys are optim, '
    ):
        load_published(path, None, AUDIO)
    for content in ([torch.ones(1)], {"generator": {"conv_pre.bias": torch.ones(16), "steps": 3}}):
        torch.save(content, path)
        with pytest.raises(CheckpointError, match="no state dict"):
            load_published(path, None, AUDIO)
    other = published(tmp_path)
    other.write_bytes(other.read_bytes()[:99])
    with pytest.raises(CheckpointError, match="damaged or no safetensors file"):
        load_published(other, None, AUDIO)


def publish_for_the_toy_voice(folder: Path, name: str = "g.safetensors") -> Path:
    """A generator for the mels of `trained`, in published form."""
    told = TINY | {"upsample_rates": [10, 20], "upsample_kernel_sizes": [20, 40], "sampling_rate": 16000}
    told |= {"num_mels": 20, "n_fft": 1024, "win_size": 800, "hop_size": 200, "fmin": 0, "fmax": 7600}
    folder.mkdir(parents=True, exist_ok=True)
    audio = AudioConfig(sample_rate=16000, n_fft=1024, win_length=800, hop_length=200, n_mels=20, f_max=7600.0)
    architecture = {name: told[name] for name in TINY}
    weights = normalised(generator(architecture, audio))
    if name.endswith(".safetensors"):
        save_file(weights, folder / name)
    else:
        torch.save({"generator": weights}, folder / name)
    (folder / "config.json").write_text(json.dumps(told))
    return folder / name


@pytest.fixture(scope="module")
def for_the_toy_voice(tmp_path_factory) -> Path:
    return publish_for_the_toy_voice(tmp_path_factory.mktemp("vocoder"))


def test_a_voice_speaks_with_a_published_generator(trained, for_the_toy_voice):
    synthesizer = Synthesizer.load(trained, vocoder="hifigan", checkpoint=for_the_toy_voice)
    mels = [torch.randn(20, n_frames) - 4 for n_frames in (6, 3)]
    model = load_published(for_the_toy_voice, None, synthesizer.audio)
    for mel, wave in zip(mels, synthesizer.vocode(mels, seeds=[0, 1]), strict=True):
        torch.testing.assert_close(wave, model(mel[None])[0].detach(), atol=1e-6, rtol=0)
    with pytest.raises(CheckpointError, match="give them with checkpoint=FILE"):
        Synthesizer.load(trained, vocoder="hifigan")


def test_the_command_line(trained, for_the_toy_voice, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tts.synthesis.TRIES", 1)
    monkeypatch.setattr("tts.decoding.SLOWEST", 0.1)
    out = tmp_path / "x.wav"
    speak = ["synthesize", "One two.", f"voice={trained}", f"out={out}", "vocoder=hifigan"]
    assert main([*speak, f"checkpoint={for_the_toy_voice}"]) == 0
    assert f"speaking with the HiFi-GAN of {for_the_toy_voice}" in capsys.readouterr().out
    first, rate = soundfile.read(out)
    assert rate == 16000 and len(first) % 200 == 0 and abs(first).max() > 0
    config = for_the_toy_voice.with_name("config.json")
    assert main([*speak, f"checkpoint={for_the_toy_voice}", f"config={config}"]) == 0
    assert (soundfile.read(out)[0] == first).all()
    assert main([*speak, f"checkpoint={published(tmp_path / 'other')}"]) == 2
    said = capsys.readouterr().err
    assert re.search(
        r"error: the voice and .* disagree on the mel .*: sample_rate 16000 != 8000, n_fft 1024 != 64", said
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["vocoder=hifigan"], "published weights: give them with checkpoint=FILE"),
        (["vocoder=hifgan"], "vocoder=hifgan: one of griffin_lim, untuned, hifigan; did you mean hifigan"),
        (["checkpoint=g.pt"], "checkpoint=g.pt goes with vocoder=hifigan"),
        (["vocoder=griffin_lim", "config=c.json"], "config=c.json goes with vocoder=hifigan"),
    ],
)
def test_options_that_do_not_go_together(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["synthesize", "hello", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_there_is_nothing_to_train(trained, tmp_path, capsys):
    corpus = [f"data.root={trained.parent / 'corpus'}", f"data.cache={trained.parent / 'cache'}"]
    small = [key for key in SMALL if not key.startswith("vocoder")]
    train = ["train", "recipe=own", f"run={tmp_path / 'run'}", *corpus, *small, "vocoder=hifigan"]
    assert main([*train, "stages=[prepare,vocoder]"]) == 2
    said = "upsample_rates [8, 8, 2, 2] make 256 samples of a frame, and audio.hop_length is 200"
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()  # told before anything is done
    sizes = ["vocoder.upsample_rates=[10,20]", "vocoder.upsample_kernel_sizes=[20,40]"]
    assert main([*train, "stages=[prepare,vocoder]", *sizes, "vocoder.upsample_initial_channel=16"]) == 0
    assert "vocoder: hifigan has nothing to train" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="make 16 samples"):
        generator(TINY, AudioConfig())
