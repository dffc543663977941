"""Published HiFi-GAN generators on the disk: their weights, their JSON, and what is refused. Reading executes nothing.

The JSON says what the generator takes for a mel; a voice that disagrees is refused. What it does not say (a natural
logarithm of Slaney mels of the magnitude, floored at 1e-5) is the same for all of them, and the default of
`AudioConfig`. Loudness is no part of it: the voice's own is kept.
"""

import json
import pickle
import re
import tarfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from tts.config import Layers, Origin, build
from tts.errors import CheckpointError, ConfigError
from tts.settings import AudioConfig
from tts.vocoder import hifigan

# The field of ours, and the names that published files have for it.
AUDIO_NAMES = {
    "sample_rate": ("sampling_rate",),
    "n_fft": ("n_fft", "filter_length"),
    "win_length": ("win_size", "win_length"),
    "hop_length": ("hop_size", "hop_length"),
    "n_mels": ("num_mels", "n_mel_channels"),
    "f_min": ("fmin", "mel_fmin"),
    "f_max": ("fmax", "mel_fmax"),
}
SIZE_NAMES = {
    name: (name,)
    for name in (
        "resblock",
        "upsample_rates",
        "upsample_kernel_sizes",
        "upsample_initial_channel",
        "resblock_kernel_sizes",
        "resblock_dilation_sizes",
    )
}
# Weight normalisation stores a layer's weight as a gain and a direction (Salimans and Kingma 2016, arXiv:1602.07868).
NORMALISED = (
    (".weight_g", ".weight_v"),
    (".parametrizations.weight.original0", ".parametrizations.weight.original1"),
)
NAMED = 3  # of the weights that do not fit, so many are named
T = TypeVar("T")


def load_published(checkpoint: Path, config: Path | None, audio: AudioConfig) -> hifigan.HifiGan:
    """A published generator, ready to speak with a voice.

    Args:
        checkpoint: a safetensors file, or a state dict as torch saves it.
        config: its JSON; None: the one that lies beside the checkpoint.
        audio: the voice's mel contract.

    Raises:
        CheckpointError: if a file is missing, damaged, foreign or unsafe to read, or the mels differ.
    """
    if not checkpoint.is_file():
        raise CheckpointError(f"checkpoint={checkpoint}: there is no such file; give the generator's weights")
    path = config or find_config(checkpoint)
    told = _read_json(path)
    sizes = _take(told, SIZE_NAMES, hifigan.Config, path)
    mel = _take(told, AUDIO_NAMES, AudioConfig, path, loudness=audio.loudness)
    if difference := audio.difference(mel):
        raise CheckpointError(
            f"the voice and {path} disagree on the mel (voice != vocoder): {difference}; take a vocoder made for the "
            "voice's mel, or train the voice with these audio settings"
        )
    try:
        model = hifigan.build(sizes, audio=audio)
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from None
    _fill(model, fold_weight_norm(read_weights(checkpoint)), checkpoint, path)
    return model.eval()


def find_config(checkpoint: Path) -> Path:
    """The JSON beside a checkpoint: of the same name, config.json, or else the only one.

    Raises:
        CheckpointError: if there is none, or several.
    """
    for path in (checkpoint.with_suffix(".json"), checkpoint.with_name("config.json")):
        if path.is_file():
            return path
    found = sorted(checkpoint.absolute().parent.glob("*.json"))
    if len(found) == 1:
        return found[0]
    there = f"several: {', '.join(path.name for path in found)}" if found else "none"
    raise CheckpointError(
        f"{checkpoint} needs the JSON that was published with it, and beside it lies {there}; give it with config=FILE"
    )


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(f"config={path}: there is no such file; give the JSON published with the checkpoint")
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of the encoding or of the syntax
        raise CheckpointError(f"{path} is no JSON ({error}); take the file published with the checkpoint") from None
    if not isinstance(told, dict):
        raise CheckpointError(f"{path} holds no table of names and values; take the file published with the checkpoint")
    return told


def _take(told: Mapping[str, Any], names: Mapping[str, Sequence[str]], cls: type[T], path: Path, **known: float) -> T:
    """The dataclass `cls` from what a JSON tells; everything that is wrong is reported at once."""
    values: dict[str, Any] = dict(known)
    missing = []
    for name, published in names.items():
        given = next((key for key in published if key in told), None)
        if given is None:
            missing.append(" or ".join(published))
        else:
            values[name] = told[given]
    if missing:
        raise CheckpointError(
            f"{path} does not say {', '.join(missing)}, so it is not a HiFi-GAN generator's JSON; "
            "give the right one with config=FILE"
        )
    if "resblock" in values and str(values["resblock"]) in ("1", "2"):
        values["resblock"] = int(values["resblock"])  # published as text
    rate = values.get("sample_rate")
    if values.get("f_max", 0) is None and isinstance(rate, int):
        values["f_max"] = rate / 2  # null means all there is
    layers = Layers({}, {"": Origin(1, str(path))}, {})
    layers.add(values, str(path))
    try:
        return build(cls, layers)
    except ConfigError as error:
        raise CheckpointError(str(error)) from None


def read_weights(path: Path) -> dict[str, Tensor]:
    """The generator's tensors by name, as stored.

    Raises:
        CheckpointError: if the file is damaged, holds no weights, or more than weights.
    """
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise CheckpointError(f"{path} is damaged or no safetensors file ({error}); copy it again") from None
    stored = _read_torch_file(path)
    if isinstance(stored, dict):
        stored = stored.get("generator", stored)
    if not isinstance(stored, dict) or not all(isinstance(tensor, Tensor) for tensor in stored.values()):
        keys = f"; its keys are {', '.join(map(str, list(stored)[:8]))}" if isinstance(stored, dict) else ""
        raise CheckpointError(f'{path} holds no state dict, neither as such nor under "generator"{keys}')
    return {str(name): tensor for name, tensor in stored.items()}


def _read_torch_file(path: Path) -> Any:
    """What `torch.save` wrote, as far as it is plain values and tensors."""
    way_out = (
        "if you trust it, convert it once: torch.load(FILE, weights_only=False) where it came from, then "
        "safetensors.torch.save_file of the generator's state dict"
    )
    # torch's oldest format; up to 2.5 the restricted reader could be made to run programs by it (CVE-2025-32434).
    if tarfile.is_tarfile(path):
        raise CheckpointError(f"{path} is a tar archive, which cannot be read safely; {way_out}")
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what there is to say about the file is said below
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file makes torch raise almost anything
            refusal = error
    needed = re.search(r"GLOBAL ([\w.]+)", str(refusal))
    if isinstance(refusal, pickle.UnpicklingError) and needed:
        raise CheckpointError(
            f"{path} is a pickle that holds more than weights ({needed[1]}); reading one runs whatever program its "
            f"author put there, so it is refused; {way_out}"
        )
    raise CheckpointError(
        f"{path} is damaged or was not saved by torch; copy it again (other pickles are refused: reading one runs "
        "whatever program its author put there)"
    )


def fold_weight_norm(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every pair of gain g (C, 1, 1) and direction v (C, ..., ...) as the one weight g v / |v|; float32."""
    folded = {name: tensor.float() for name, tensor in weights.items()}
    for of_gain, of_direction in NORMALISED:
        for name in [name for name in folded if name.endswith(of_gain)]:
            layer = name.removesuffix(of_gain)
            gain, direction = folded[name], folded.get(layer + of_direction)
            # A pair that is none stays, and is named among the weights that do not belong.
            if direction is None or gain.shape != (*direction.shape[:1], 1, 1):
                continue
            del folded[name], folded[layer + of_direction]
            norm = direction.flatten(1).norm(dim=1)[:, None, None]
            folded[f"{layer}.weight"] = direction * (gain / norm)
    return folded


def _fill(model: hifigan.HifiGan, weights: Mapping[str, Tensor], checkpoint: Path, config: Path) -> None:
    """Give the model its weights, or say which do not fit."""
    wanted = dict(model.named_parameters())
    wrong = [
        ("missing", [name for name in wanted if name not in weights]),
        ("unexpected", [name for name in weights if name not in wanted]),
        (
            "of another shape",
            [
                f"{name} {tuple(weights[name].shape)}, expected {tuple(parameter.shape)}"
                for name, parameter in wanted.items()
                if name in weights and weights[name].shape != parameter.shape
            ],
        ),
        ("not finite", [name for name, tensor in weights.items() if not bool(tensor.isfinite().all())]),
    ]
    if any(names for _, names in wrong):
        told = "; ".join(f"{len(names)} {what}: {_some(names)}" for what, names in wrong if names)
        raise CheckpointError(
            f"the weights in {checkpoint} are not those of the generator in {config}: {told}; give the JSON that was "
            "published with them with config=FILE"
        )
    model.load_state_dict(weights, strict=False)  # all parameters; the scaler has no published counterpart


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
