"""WaveNet's loss done plainly, with the same weights: what training is compared with."""

import torch
from torch import Tensor
from torch.nn import functional as F

from tts.batch import VocoderBatch
from tts.vocoder._stack import RESIDUAL_SCALE
from tts.vocoder.wavenet import WaveNet


def plain_loss(model: WaveNet, batch: VocoderBatch) -> Tensor:
    """For one band. Mel features are repeated for every sample, each layer projects them there, and each adds to the
    sum of skips.
    """
    features = model.scaler.normalize(batch.mel)
    for conv in model.condition_convs:
        features = F.relu(conv(features))
    features = features.repeat_interleave(model.hop_length, dim=2)
    signal = model.encode(batch.wave, batch.mel)
    hidden = model.input(F.pad(signal[:, :, :-1], (model.kernel_size, 0)))
    n_layers = len(model.layers)
    weights, biases = model.condition_gates.weight.chunk(n_layers), model.condition_gates.bias.chunk(n_layers)
    skips = model.skip.bias[:, None]
    for i, skip_weight in enumerate(model.skip.weight.chunk(n_layers, dim=1)):
        layer = model.layers[i]
        past = F.pad(hidden, ((model.kernel_size - 1) * model.dilations[i], 0))
        gates = layer.conv(past) + F.conv1d(features, weights[i], biases[i])
        tanh, sigmoid = gates.chunk(2, dim=1)
        units = torch.tanh(tanh) * torch.sigmoid(sigmoid)
        skips = skips + F.conv1d(units, skip_weight)
        if layer.residual is not None:
            hidden = (hidden + layer.residual(units)) * RESIDUAL_SCALE
    parameters = model.output(F.relu(model.head(F.relu(skips))))[:, :, batch.loss_from :]
    return -model.log_likelihood(parameters, signal[:, :, batch.loss_from :]).mean() / torch.tensor(2.0).log()
