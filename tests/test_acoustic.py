"""Tacotron 2: teacher forcing equals the steps, the reference implementation agrees, decoding stops row by row."""

import dataclasses
from importlib import import_module

import pytest
import torch
from torch.nn import functional as F

from tests.test_acoustic_contract import N_MELS, N_SYMBOLS, SILENCE, make_batch, make_model
from tts.acoustic import tacotron2
from tts.acoustic._recurrence import ZoneoutLSTM
from tts.acoustic.attention import dynamic_convolution, location_sensitive
from tts.audio.backend import load_torchaudio
from tts.errors import ConfigError
from tts.layers import windows

ATTENTIONS = ["location_sensitive", "dynamic_convolution"]


def steps_with_true_frames(model, batch):
    """`step` after `step`, each given the true last frame of the group before."""
    r, mel = model.reduction, model.scaler.normalize(batch.mel)
    prepared = model.encode(batch.text_ids, batch.text_lengths)
    state, previous = model.start(prepared), torch.zeros(len(batch.ids), N_MELS)
    frames, stops, weights = [], [], []
    for t in range(-(-mel.shape[2] // r)):
        made, state = model.step(previous, state, prepared)
        frames.append(made.mel)
        stops.append(made.stop_logit[:, None].expand(-1, r))
        weights.append(state.attended.attention.weights[:, :, None].expand(-1, -1, r))
        previous = mel[:, :, min((t + 1) * r, mel.shape[2]) - 1]
    return torch.cat(frames, dim=2), torch.cat(stops, dim=1), torch.cat(weights, dim=2)


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize(("reduction", "frames_heard"), [(1, 1.0), (2, 1.0), (3, 0.5), (2, 0.0)])
def test_teacher_forcing_equals_the_steps(attention, reduction, frames_heard):
    model = make_model("tacotron2", attention, reduction=reduction, sharpness=2.0)
    model.frames_heard = frames_heard
    model.eval()
    assert model.attention_lstm.rate > 0, "the expectation of zoneout is part of the comparison"
    batch = make_batch([4, 9], [13, 8])
    out = model(batch)
    mel, stop, alignment = steps_with_true_frames(model, batch)
    torch.testing.assert_close(out.mel_before, model.scaler.denormalize(mel)[:, :, :13], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(out.stop_logit, stop[:, :13], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(out.alignment, alignment[:, :, :13], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("reduction", [1, 2])
def test_synthesis_equals_teacher_forcing_on_its_own_frames(reduction):
    """What was generated, given back as the truth, is predicted again."""
    model = make_model("tacotron2", "location_sensitive", reduction=reduction).eval()
    batch = make_batch([4], [8])
    spoken = model.generate(batch.text_ids, batch.text_lengths, seeds=[0], max_frames=[8])
    before = spoken_before_postnet(model, batch, 8)
    out = model(dataclasses.replace(batch, mel=before, mel_lengths=spoken.mel_lengths))
    torch.testing.assert_close(out.mel, spoken.mel, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(torch.sigmoid(out.stop_logit), spoken.stop_probability, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(out.alignment, spoken.alignment, atol=1e-5, rtol=1e-5)


def spoken_before_postnet(model, batch, n_frames):
    prepared = model.encode(batch.text_ids, batch.text_lengths)
    state, previous, frames = model.start(prepared), torch.zeros(1, N_MELS), []
    for _ in range(n_frames // model.reduction):
        made, state = model.step(previous, state, prepared)
        previous = made.mel[:, :, -1]
        frames.append(made.mel)
    return model.scaler.denormalize(torch.cat(frames, dim=2)).detach()


class Scripted(tacotron2.Tacotron2):
    """Says stop at the decoder steps that a test names, one per row."""

    def step(self, previous, state, prepared, drop):
        frames, state = super().step(previous, state, prepared, drop)
        n_done = state.attended.attention.cumulative.sum(dim=1).round()
        return frames._replace(stop_logit=torch.where(n_done == self.stops_at, 5.0, -5.0)), state


def test_rows_stop_one_by_one():
    """Row 0 stops, row 1 is cut at its limit within a step, row 2 stops in the step that reaches its limit."""
    config = make_small_config()
    torch.manual_seed(0)
    model = Scripted(config, n_symbols=N_SYMBOLS, n_mels=N_MELS, max_reduction=2, silence=SILENCE).eval()
    model.stops_at = torch.tensor([2, 9, 4])
    batch = make_batch([4, 9, 2], [7, 14, 3])
    spoken = model.generate(batch.text_ids, batch.text_lengths, seeds=[0, 0, 0], max_frames=[30, 11, 8])
    assert spoken.mel_lengths.tolist() == [4, 11, 8]
    assert spoken.stop_reasons == ("stop", "limit", "stop")
    assert spoken.mel.shape == (3, N_MELS, 11)
    assert (spoken.mel[0, :, 4:] == SILENCE).all() and (spoken.mel[0, :, :4] != SILENCE).all()
    torch.testing.assert_close(spoken.alignment.sum(dim=1), (spoken.alignment.sum(dim=1) > 0).float())
    assert spoken.alignment.sum(dim=(1, 2)).round().tolist() == [4, 11, 8]


def make_small_config():
    return tacotron2.Config(
        attention=location_sensitive.Config(dim=6, n_filters=3, kernel_size=5),
        encoder_dim=8,
        encoder_convs=2,
        prenet_dims=[7, 5],
        attention_lstm_dim=10,
        decoder_lstm_dim=9,
        postnet_dim=6,
        postnet_layers=3,
    )


def test_a_smaller_reduction_uses_the_first_rows():
    """So neither the optimizer nor the averaged weights notice when the schedule moves on."""
    model = make_model("tacotron2", "location_sensitive", reduction=3).eval()
    batch, n_parameters = make_batch([4], [6]), sum(p.numel() for p in model.parameters())
    three = model(batch).mel_before
    model.reduction = 2
    two = model(batch).mel_before
    assert sum(p.numel() for p in model.parameters()) == n_parameters
    torch.testing.assert_close(two[:, :, :2], three[:, :, :2])  # the first step saw the same


def test_zoneout_keeps_units_in_training_and_averages_in_evaluation():
    torch.manual_seed(0)
    lstm = ZoneoutLSTM(3, 0, 600, rate=0.3)
    x = torch.randn(2, 1, 3)
    hidden = lstm(x)
    assert 0.2 < (hidden[0] == 0).float().mean() < 0.4  # kept as they were: zero
    assert 0.2 < (hidden[1] == hidden[0]).float().mean() < 0.4
    plain = ZoneoutLSTM(3, 0, 600, rate=0.0)
    plain.load_state_dict(lstm.state_dict())
    torch.testing.assert_close(lstm.eval()(x)[0], 0.7 * plain(x)[0])


def test_the_lstm_is_the_lstm_of_torch_where_nothing_is_zoned_out():
    torch.manual_seed(0)
    ours, theirs = ZoneoutLSTM(3, 0, 5, rate=0.0), torch.nn.LSTM(3, 5)
    copy_lstm(ours, theirs.weight_ih_l0, theirs.weight_hh_l0, theirs.bias_ih_l0 + theirs.bias_hh_l0)
    x = torch.randn(7, 2, 3)
    torch.testing.assert_close(ours(x), theirs(x)[0])


@torch.no_grad()
def copy_lstm(ours, weight_ih, weight_hh, bias, n_known=None):
    """Input weights beyond n_known belong to what is fed back, before the hidden state."""
    n_known = weight_ih.shape[1] if n_known is None else n_known
    ours.inputs.weight.copy_(weight_ih[:, :n_known])
    ours.inputs.bias.copy_(bias)
    ours.recurrent.weight.copy_(torch.cat([weight_ih[:, n_known:], weight_hh], dim=1))


def test_windows_are_what_a_convolution_sees():
    x, kernel = torch.randn(2, 9), torch.randn(5)
    expected = F.conv1d(x[:, None], kernel[None, None], padding=2)[:, 0]
    torch.testing.assert_close(windows(x, 2, 2) @ kernel, expected)
    assert windows(x, 3, 0)[0, 0].tolist() == [0, 0, 0, x[0, 0].item()]


def test_the_prior_moves_attention_forward_only():
    """Beta-binomial of mean 1 (Battenberg et al. 2020, section 3.1): stays or moves ahead, never back."""
    prior = dynamic_convolution.beta_binomial(11, 0.1, 0.9)
    torch.testing.assert_close(prior.sum(), torch.tensor(1.0))
    torch.testing.assert_close(prior @ torch.arange(11.0), torch.tensor(1.0))
    attention = dynamic_convolution.build(dynamic_convolution.Config(dim=4), query_dim=3, memory_dim=2)
    torch.nn.init.zeros_(attention.energy.weight)  # only the prior is left
    prepared = attention.prepare(torch.randn(1, 30, 2), torch.ones(1, 30, dtype=torch.bool))
    state = attention.start(prepared)
    moved = attention.step(torch.randn(1, 3), state, prepared)
    torch.testing.assert_close(moved.weights[0, :11], prior, atol=1e-4, rtol=0)
    assert moved.weights[0, 11:].max() < 1e-5


def test_training_under_bfloat16_stays_close():
    model = make_model("tacotron2", "location_sensitive").eval()
    batch = make_batch([4, 9], [13, 8])
    exact = model(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = model(batch)
    assert half.alignment.dtype == torch.float32
    torch.testing.assert_close(half.mel.float(), exact.mel, atol=0.1, rtol=0.05)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"encoder_dim": 7}, "encoder_dim 7"),
        ({"postnet_kernel_size": 4}, "postnet_kernel_size 4"),
        ({"zoneout": 1.0}, "zoneout 1.0"),
        ({"prenet_dims": []}, "prenet_dims"),
        ({"stop_threshold": 0.0}, "stop_threshold"),
        ({"decoder_lstm_dim": 0}, "decoder_lstm_dim"),
    ],
)
def test_impossible_sizes_are_refused_by_name(changes, named):
    with pytest.raises(ConfigError, match=named):
        tacotron2.Config(**changes)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_an_even_attention_filter_is_refused(attention):
    with pytest.raises(ConfigError, match="kernel_size 4"):
        import_module(f"tts.acoustic.attention.{attention}").Config(kernel_size=4)


@torch.no_grad()
def copy_torchaudio(model, reference):
    """Weights of torchaudio.models.Tacotron2, by name."""
    model.encoder.embedding.weight.copy_(reference.embedding.weight)
    for ours, theirs in [(model.encoder, reference.encoder), (model.postnet, reference.postnet)]:
        for conv, (their_conv, their_norm, *_) in zip(ours.convs, theirs.convolutions, strict=True):
            conv.conv.load_state_dict(their_conv.state_dict())
            conv.norm.load_state_dict(their_norm.state_dict())
    model.encoder.lstm.load_state_dict(reference.encoder.lstm.state_dict())
    theirs = reference.decoder
    for ours, their_layer in zip(model.prenet.layers, theirs.prenet.layers, strict=True):
        ours.weight.copy_(their_layer.weight)
    for ours, rnn, n_known in [
        (model.attention_lstm, theirs.attention_rnn, theirs.prenet.layers[-1].out_features),
        (model.decoder_lstm, theirs.decoder_rnn, None),
    ]:
        copy_lstm(ours, rnn.weight_ih, rnn.weight_hh, rnn.bias_ih + rnn.bias_hh, n_known)
    attention, their_attention = model.attention, theirs.attention_layer
    attention.query.weight.copy_(their_attention.query_layer.weight)
    attention.key.weight.copy_(their_attention.memory_layer.weight)
    attention.energy.weight.copy_(their_attention.v.weight)
    attention.location_conv.weight.copy_(their_attention.location_layer.location_conv.weight)
    attention.location.weight.copy_(their_attention.location_layer.location_dense.weight)
    model.frames.load_state_dict(theirs.linear_projection.state_dict())
    model.stop.load_state_dict(theirs.gate_layer.state_dict())


def test_torchaudio_agrees_given_the_same_weights(monkeypatch):
    load_torchaudio()
    from torchaudio.models import Tacotron2

    torch.manual_seed(0)
    reference = Tacotron2(
        n_symbol=N_SYMBOLS, n_mels=N_MELS, symbol_embedding_dim=8, encoder_embedding_dim=8, encoder_n_convolution=2,
        prenet_dim=6, attention_rnn_dim=10, attention_hidden_dim=6, attention_location_n_filter=3,
        attention_location_kernel_size=5, decoder_rnn_dim=9, postnet_embedding_dim=6, postnet_n_convolution=3,
    ).eval()  # fmt: skip
    for layer in reference.modules():
        if isinstance(layer, torch.nn.BatchNorm1d):
            torch.nn.init.uniform_(layer.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(layer.running_var, 0.5, 2)

    def prenet_without_dropout(x):
        for layer in reference.decoder.prenet.layers:
            x = torch.relu(layer(x))
        return x

    monkeypatch.setattr(reference.decoder.prenet, "forward", prenet_without_dropout)
    config = dataclasses.replace(make_small_config(), prenet_dims=[6, 6], prenet_dropout=0.0, zoneout=0.0)
    model = tacotron2.build(config, n_symbols=N_SYMBOLS, n_mels=N_MELS, max_reduction=1, silence=SILENCE).eval()
    copy_torchaudio(model, reference)
    batch = make_batch([9, 9], [14, 14])
    before, mel, stop_logit, alignment = reference(batch.text_ids, batch.text_lengths, batch.mel, batch.mel_lengths)
    out = model(batch)
    torch.testing.assert_close(out.mel_before, before, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(out.mel, mel, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(out.stop_logit, stop_logit, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(out.alignment.transpose(1, 2), alignment, atol=1e-5, rtol=1e-4)


def test_own_frames_are_those_that_the_model_makes_itself():
    """With all of them its own and nothing left to chance, training sees what a pass before has made."""
    model = make_model("tacotron2", "location_sensitive", reduction=2).train()
    model.attention_lstm.rate = model.decoder_lstm.rate = 0.0
    batch, r = make_batch([4, 9], [14, 14]), 2
    forced = model.scaler.normalize(model(batch).mel_before.detach())
    model.own_frames = 1.0
    theirs = dataclasses.replace(batch, mel=model.scaler.denormalize(forced))
    mixed = model(batch)
    model.own_frames = 0.0
    assert not torch.equal(mixed.mel_before, model(batch).mel_before)
    torch.testing.assert_close(mixed.mel_before, model(theirs).mel_before, atol=1e-5, rtol=1e-5)
    assert mixed.mel_before[:, :, :r].equal(model(batch).mel_before[:, :, :r]), "nothing comes before the first step"


def test_own_frames_leave_evaluation_alone_and_cost_no_random_number_when_off():
    model, batch = make_model("tacotron2", "location_sensitive"), make_batch([4, 9], [14, 14])
    model.eval()
    exact = model(batch).mel
    model.own_frames = 0.9
    assert torch.equal(model(batch).mel, exact)
    model.train()
    torch.manual_seed(0)
    model(batch)
    with_own = torch.get_rng_state()
    model.own_frames = 0.0
    torch.manual_seed(0)
    model(batch)
    assert not torch.equal(torch.get_rng_state(), with_own)


def test_own_frames_are_given_without_a_gradient():
    model, batch = make_model("tacotron2", "location_sensitive", reduction=1).train(), make_batch([5], [8])
    model.own_frames = 1.0
    batch.mel.requires_grad_()
    (gradient,) = torch.autograd.grad(model(batch).mel_before.sum(), batch.mel, allow_unused=True)
    assert gradient is None or not gradient.any(), "no true frame is heard"


@pytest.mark.parametrize("frames_heard", [1.0, 0.5, 0.4, 0.0])
def test_frames_that_do_not_reach_the_decoder_move_attention_alone(frames_heard):
    """With a single symbol attention cannot move, and then no frame is heard."""
    model = make_model("tacotron2", "location_sensitive").eval()
    model.frames_heard = frames_heard
    one, several = make_batch([1], [12]), make_batch([5], [12])
    for batch, heard in ((one, frames_heard >= 0.5), (several, True)):
        other = dataclasses.replace(batch, mel=batch.mel + 1)
        made, changed = (model(spoken).mel_before for spoken in (batch, other))
        assert torch.equal(made, changed) != heard


def test_training_lets_a_share_of_the_utterances_hear_the_frames():
    model = make_model("tacotron2", "location_sensitive").train()
    hidden, context = torch.ones(3, 1000, 2), torch.ones(3, 1000, 4)
    for share in (0.0, 0.3, 1.0):
        model.frames_heard = share
        heard = model._heard(hidden, context)
        assert bool((heard[:, :, 2:] == 1).all()) and bool((heard[0, :, :2] == heard[2, :, :2]).all())
        assert float(heard[0, :, 0].mean()) == pytest.approx(share, abs=0.05)
