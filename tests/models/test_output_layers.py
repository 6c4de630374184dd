"""The pointer-generator finds attention and source columns in training and in each step of search."""

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

from nmt_cli.models import build
from nmt_cli.models.contract import DecoderInput, Model, ModelInputs, VocabularySpec
from nmt_cli.models.encoder_decoder import EncoderDecoder
from nmt_cli.models.ensemble import Ensemble
from nmt_cli.models.kernels import Backend
from nmt_cli.models.pointer import PointerGeneratorLayer
from nmt_cli.models.rnn import Rnn
from nmt_cli.recipe.model import RnnSettings, TransformerSettings

VOCAB_SIZE, EXTRA_IDS = 12, 2
VOCABULARY = VocabularySpec(VOCAB_SIZE, VOCAB_SIZE)
TRANSFORMER = {"architecture": "transformer", "width": 16, "feed_forward": 24, "heads": 4}
RNN = {"architecture": "rnn", "width": 16, "embedding_width": 12}
LAYERS = {"encoder_layers": 2, "decoder_layers": 2}
POINTER = {"type": "pointer_generator"}


def build_copying(settings: TransformerSettings | RnnSettings) -> EncoderDecoder:
    model = build(settings, VOCABULARY)
    assert isinstance(model, EncoderDecoder)
    return model


def transformer(**changes: object) -> EncoderDecoder:
    return build_copying(TransformerSettings.model_validate(TRANSFORMER | LAYERS | {"output": POINTER} | changes))


def rnn(**changes: object) -> EncoderDecoder:
    return build_copying(RnnSettings.model_validate(RNN | LAYERS | {"output": POINTER} | changes))


def new(name: str) -> EncoderDecoder:
    torch.manual_seed(1)
    match name:
        case "transformer":
            return transformer().eval()
        case "grouped":
            return transformer(key_value_heads=2, tied_embeddings="none").eval()
        case "first":
            return transformer(key_value_heads=2, output=POINTER | {"layer": 1, "heads": 3}).eval()
        case "ssru":
            return transformer(decoder_self_attention="ssru").eval()
        case "rnn":
            return rnn().eval()
    return rnn(input_feeding=True, attention="additive").eval()


models = pytest.mark.parametrize("name", ["transformer", "grouped", "first", "ssru", "rnn", "rnn-fed"])


def copying_inputs() -> ModelInputs:
    copy_ids = torch.randint(4, VOCAB_SIZE + EXTRA_IDS, (3, 5))
    lengths = torch.tensor([5, 2, 4])
    return ModelInputs(3, torch.randint(4, VOCAB_SIZE, (3, 5)), lengths, {"copy_ids": copy_ids}, EXTRA_IDS)


def last_log_probs(model: Model, inputs: ModelInputs, sentence: int, prefixes: Tensor) -> Tensor:
    """Teacher-forced log-probabilities [k,V+E] after prefixes [k,t] of one sentence."""
    assert inputs.ids is not None and inputs.lengths is not None
    rows = torch.full((len(prefixes),), sentence)
    columns = {"copy_ids": inputs.columns["copy_ids"][rows]}
    source = ModelInputs(len(rows), inputs.ids[rows], inputs.lengths[rows], columns, EXTRA_IDS)
    output = model.decode(model.encode(source), DecoderInput(prefixes))
    return model.logits(output).view(*prefixes.shape, -1)[:, -1]


@models
@pytest.mark.parametrize("is_prepared", [False, True])
@torch.no_grad()
def test_step_log_probs_equal_teacher_forcing_after_select(name: str, is_prepared: bool) -> None:
    model = new(name)
    if is_prepared:
        model.prepare_for_inference(Backend("fp32"))
    inputs = copying_inputs()
    cache, prefixes, sentences = (
        model.init_cache(model.encode(inputs), 3),
        torch.ones(3, 1, 0, dtype=torch.long),
        [0, 1, 2],
    )
    for rows, kept in (
        ([[0, 0], [1, 1], [2, 2]], [0, 1, 2]),
        ([[5, 4], [0, 1]], [2, 0]),
        ([[3, 3]], [0]),
        ([[1]], [0]),
    ):
        ids = torch.randint(4, VOCAB_SIZE + EXTRA_IDS, prefixes.shape[:2])
        log_probs, cache = model.step(ids, cache)
        prefixes = torch.cat([prefixes, ids.unsqueeze(2)], dim=2)
        for index, sentence in enumerate(sentences):
            expected = last_log_probs(model, inputs, sentence, prefixes[index])
            assert_close(log_probs[index], expected, atol=1e-5, rtol=1e-4)
        cache = cache.select(torch.tensor(rows))
        prefixes, sentences = prefixes.flatten(0, 1)[torch.tensor(rows)], kept


@models
def test_copied_log_probs_sum_to_one_and_reach_every_parameter(name: str) -> None:
    model, target = new(name), torch.randint(4, VOCAB_SIZE, (3, 4))
    log_probs = model.logits(model.decode(model.encode(copying_inputs()), DecoderInput(target)))
    assert log_probs.shape == (12, VOCAB_SIZE + EXTRA_IDS)
    assert_close(log_probs.exp().sum(-1), torch.ones(12))
    log_probs[:, :VOCAB_SIZE].sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())


@models
@torch.no_grad()
def test_log_probs_equal_the_formula(name: str) -> None:
    model, inputs, target = new(name), copying_inputs(), torch.randint(4, VOCAB_SIZE + EXTRA_IDS, (3, 4))
    output = model.decode(model.encode(inputs), DecoderInput(target))
    found, attention = model.logits(output).view(3, 4, -1), output.cross_attention
    assert attention is not None
    gates, generated = naive_parts(model, output.hidden_states)
    assert_close(model.copy_probability(output), gates)
    for sentence, position, token in itertools.product(range(3), range(4), range(VOCAB_SIZE + EXTRA_IDS)):
        gate = float(gates[sentence, position])
        copied = sum(
            float(attention[sentence, position, index])
            for index, copy_id in enumerate(inputs.columns["copy_ids"][sentence].tolist())
            if copy_id == token
        )
        probability = gate * copied
        if token < VOCAB_SIZE:
            probability += (1 - gate) * float(generated[sentence, position, token])
        assert math.isclose(float(found[sentence, position, token].exp()), probability, rel_tol=1e-4, abs_tol=1e-7)


def naive_parts(model: EncoderDecoder, hidden_states: Tensor) -> tuple[Tensor, Tensor]:
    """The gate [B,T], and the probabilities [B,T,V] of generating each token."""
    layer = model.output
    assert isinstance(layer, PointerGeneratorLayer)
    weight, bias = model.embeddings.target.weight, torch.zeros(VOCAB_SIZE)
    if layer.projection is not None:
        weight, bias = layer.projection.weight, layer.projection.bias
    logits = layer.resize(hidden_states) @ weight.T + bias
    gate = (hidden_states * layer.gate.weight[0]).sum(-1) + layer.gate.bias
    return 1 / (1 + (-gate).exp()), logits.exp() / logits.exp().sum(-1, keepdim=True)


def test_words_that_a_sentence_lacks_are_impossible_without_harm_to_gradients() -> None:
    model, inputs, target = new("transformer"), copying_inputs(), torch.randint(4, VOCAB_SIZE, (3, 4))
    inputs.columns["copy_ids"].clamp_(max=VOCAB_SIZE)  # no sentence has the second word
    log_probs = model.logits(model.decode(model.encode(inputs), DecoderInput(target)))
    assert (log_probs[:, VOCAB_SIZE + 1] == -math.inf).all()
    functional.cross_entropy(log_probs, target.flatten()).backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())


def test_pointing_layer_and_heads_change_the_attention() -> None:
    inputs, target = copying_inputs(), torch.randint(4, VOCAB_SIZE, (3, 4))

    def attention(**pointer: int) -> Tensor:
        torch.manual_seed(1)
        model = transformer(output=POINTER | pointer).eval()
        found = model.decode(model.encode(inputs), DecoderInput(target)).cross_attention
        assert found is not None
        return found

    assert_close(attention(), attention(layer=2, heads=4))
    heads = [attention(heads=count) for count in (1, 2, 3, 4)]
    assert not any(torch.allclose(one, other) for one, other in itertools.pairwise(heads))
    assert not torch.allclose(attention(layer=1), attention())


def test_ensemble_of_a_copying_and_a_plain_model_is_the_mean() -> None:
    plain = build(TransformerSettings.model_validate(TRANSFORMER | LAYERS), VOCABULARY).eval()
    copying, ids = new("rnn"), torch.randint(4, VOCAB_SIZE, (3, 5))
    ensemble, inputs = Ensemble([copying, plain], [3, 1]), ModelInputs.from_ids(ids)
    output = ensemble.decode(ensemble.encode(inputs), DecoderInput(ids))
    one, other = (model.decode(model.encode(inputs), DecoderInput(ids)) for model in (copying, plain))
    expected = (3 * copying.logits(one).softmax(-1) + plain.logits(other).softmax(-1)) / 4
    assert_close(ensemble.logits(output).exp(), expected)
    assert_close(ensemble.copy_probability(output), copying.copy_probability(one))
    assert ensemble.capabilities.copies


@models
def test_source_ids_stand_in_for_missing_copy_ids(name: str) -> None:
    model, ids = new(name), torch.randint(4, VOCAB_SIZE, (3, 5))
    output = model.decode(model.encode(ModelInputs.from_ids(ids)), DecoderInput(ids))
    assert output.source_columns is not None
    assert_close(output.source_columns.columns["copy_ids"], ids)


def test_output_layer_that_needs_attention_refuses_model_without() -> None:
    with pytest.raises(AssertionError):
        Rnn(RnnSettings.model_validate(RNN | LAYERS | {"attention": "none"}), VOCABULARY, PointerGeneratorLayer)
