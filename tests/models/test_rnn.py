"""Recurrent layers and attentions against loops written from the papers' formulas."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from nmt_cli.models.contract import DecoderInput, ModelInputs, VocabularySpec
from nmt_cli.models.rnn import Rnn, layers
from nmt_cli.models.rnn.layers import AdditiveAttention, RecurrentEncoder, RecurrentLayer
from nmt_cli.recipe.model import RnnSettings

inputs = ModelInputs.from_ids


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_recurrent_steps_equal_the_fused_run(cell: str) -> None:
    layer, inputs = RecurrentLayer(cell, 6, 4), torch.randn(3, 5, 6)
    state = torch.randn(2 if cell == "lstm" else 1, 3, 4)
    expected = layer(inputs, state)
    for position in range(5):
        state = layer.step(inputs[:, position], state)
        assert_close(state[0], expected[:, position])


def test_gru_follows_its_formula() -> None:
    layer, word, state = RecurrentLayer("gru", 6, 4), torch.randn(3, 6), torch.randn(3, 4)
    assert_close(layer.step(word, state[None])[0], gru(layer, word, state))


@pytest.mark.parametrize("attention", ["dot", "general", "additive"])
@pytest.mark.parametrize("has_input_feeding", [False, True])
def test_rnn_attention_follows_the_papers(attention: str, has_input_feeding: bool) -> None:
    torch.manual_seed(1)
    model = Rnn(settings(attention=attention, input_feeding=has_input_feeding), VOCABULARY).eval()
    source, target = torch.randint(11, (1, 4)), torch.randint(11, (1, 3))
    encoder_output = model.encode(inputs(source))
    output = model.decode(encoder_output, DecoderInput(target), attention=True)
    encoder_states, state, input_feed = encoder_output.hidden_states[0], encoder_output.initial[0, 0], torch.zeros(1, 8)
    for position, word in enumerate(model.embeddings.target.weight[target[0]]):
        step = torch.cat([word[None], input_feed], dim=1) if has_input_feeding else word[None]
        state = gru(model.decoder[0], step, state)
        weights = torch.stack([match(model, state[0], column) for column in encoder_states]).softmax(0)
        context = sum(weight * column for weight, column in zip(weights, encoder_states, strict=True))
        input_feed = torch.tanh(model.combine(torch.cat([context, state[0]])))[None]
        assert_close(output.cross_attention[0, position], weights)
        assert_close(output.hidden_states[0, position], input_feed[0])


def test_additive_attention_in_parts_equals_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    attention, states, keys = AdditiveAttention(4), torch.randn(2, 7, 4, requires_grad=True), torch.randn(2, 3, 4)
    whole = attention.scores(states, keys)
    expected = torch.autograd.grad(whole.square().sum(), states)
    monkeypatch.setattr(layers, "_MAX_ADDITIVE_VALUES", 2 * keys.numel())
    parts = attention.scores(states, keys)
    assert_close(parts, whole)
    assert_close(torch.autograd.grad(parts.square().sum(), states), expected)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_final_states_are_those_of_each_direction(cell: str) -> None:
    encoder = RecurrentEncoder(settings(cell=cell, encoder_layers=2)).eval()
    hidden_states, final_states = encoder(torch.randn(2, 5, 6), torch.tensor([5, 3]))
    assert final_states.shape == (2, 2 if cell == "lstm" else 1, 2, 8)
    assert_close(final_states[-1, 0, 1], torch.cat([hidden_states[1, 2, :4], hidden_states[1, 0, 4:]]))


@pytest.mark.parametrize(("encoder_layers", "decoder_layers", "used"), [(3, 1, [2]), (1, 2, [0, 0]), (2, 2, [0, 1])])
def test_decoder_layers_start_from_the_top_encoder_layers(
    encoder_layers: int, decoder_layers: int, used: list[int]
) -> None:
    model = Rnn(settings(encoder_layers=encoder_layers, decoder_layers=decoder_layers), VOCABULARY).eval()
    embedded = model.embeddings.embed_source(inputs(torch.randint(11, (2, 4))))
    _, final_states = model.encoder(embedded, None)
    initial = model._bridge(final_states)
    for layer, (bridge, end) in enumerate(zip(model.bridges, used, strict=True)):
        assert_close(initial[layer, 0], torch.tanh(bridge(final_states[end, 0])))
    sizes = {"encoder_layers": encoder_layers, "decoder_layers": decoder_layers}
    copied = Rnn(settings(bridge="copy", **sizes), VOCABULARY)
    assert_close(copied._bridge(final_states)[:, 0], final_states[used, 0])
    assert not any("bridge" in name for name, _ in copied.named_parameters())


def test_lstm_forget_gate_starts_open() -> None:
    cells = RecurrentLayer("lstm", 6, 4).cells
    bias = cells.bias_ih_l0 + cells.bias_hh_l0
    assert_close(bias.view(4, 4).sum(1), torch.tensor([0.0, 4.0, 0.0, 0.0]))


def test_encoder_dropout_between_layers_is_off_in_evaluation() -> None:
    encoder, embedded = RecurrentEncoder(settings(encoder_layers=2, dropout=0.5)), torch.randn(2, 5, 6)
    for lengths in (None, torch.tensor([5, 3])):
        encoder.train()
        assert not torch.equal(encoder(embedded, lengths)[0], encoder(embedded, lengths)[0])
        encoder.eval()
        assert torch.equal(encoder(embedded, lengths)[0], encoder(embedded, lengths)[0])


VOCABULARY = VocabularySpec(source_size=11, target_size=11)


def settings(**changes: object) -> RnnSettings:
    sizes = {"width": 8, "embedding_width": 6, "encoder_layers": 1, "decoder_layers": 1}
    return RnnSettings.model_validate({"architecture": "rnn", **sizes, **changes})


def gru(layer: RecurrentLayer, word: Tensor, state: Tensor) -> Tensor:
    """One step of Cho et al. 2014, in the order of torch's weights: reset, update, new."""
    cells = layer.cells
    from_word = (word @ cells.weight_ih_l0.T + cells.bias_ih_l0).chunk(3, dim=1)
    from_state = (state @ cells.weight_hh_l0.T + cells.bias_hh_l0).chunk(3, dim=1)
    reset, update = (torch.sigmoid(from_word[gate] + from_state[gate]) for gate in (0, 1))
    new = torch.tanh(from_word[2] + reset * from_state[2])
    return (1 - update) * new + update * state


def match(model: Rnn, state: Tensor, column: Tensor) -> Tensor:
    """How well a source column fits the decoder's state, by Luong et al. 2015 and Bahdanau et al. 2015."""
    attention = model.attention
    if isinstance(attention, layers.GeneralAttention):
        return state @ (attention.key.weight @ column)
    if isinstance(attention, AdditiveAttention):
        mixed = attention.query.weight @ state + attention.query.bias + attention.key.weight @ column
        return attention.score.weight[0] @ torch.tanh(mixed)
    return state @ column
