"""CTC models keep the contract: padding and company change nothing, and every position sees the whole source."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from nmt_cli.models import build
from nmt_cli.models.contract import DecoderInput, Model, ModelInputs, OutputPositions, VocabularySpec
from nmt_cli.models.ensemble import Ensemble
from nmt_cli.models.kernels import Backend, InferencePrecision, Linear
from nmt_cli.recipe.model import CtcSettings

inputs = ModelInputs.from_ids

VOCAB_SIZE = 13
SIZES = {"width": 16, "feed_forward": 24, "encoder_layers": 2, "decoder_layers": 2, "heads": 4}
SETTINGS = {
    "plain": {},
    "three": {"upsampling": 3, "tied_embeddings": "decoder", "output_bias": True},
    "post": {"norm": {"position": "post", "embeddings": True}, "positions": {"type": "learned", "length": 40}},
    "modern": {"norm": {"type": "rms"}, "positions": {"type": "rotary"}, "activation": "swiglu", "key_value_heads": 2},
    "relative": {"positions": {"type": "relative", "buckets": 8, "max_distance": 20}, "bias": False, "upsampling": 1},
    "cross": {"cross_attention": True, "upsampling": 3},
    "cross-post": {"cross_attention": True, "norm": {"position": "post"}, "positions": {"type": "rotary"}},
}
all_models = pytest.mark.parametrize("changes", SETTINGS.values(), ids=SETTINGS.keys())


def new(changes: dict[str, object], **more: object) -> Model:
    torch.manual_seed(1)
    settings = CtcSettings.model_validate({"architecture": "ctc", **SIZES, **changes, **more})
    model = build(settings, VocabularySpec(VOCAB_SIZE, VOCAB_SIZE)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if not weight.any():  # biases are zero at first
                nn.init.normal_(weight, std=0.1)
    return model


def random_ids(*shape: int) -> Tensor:
    return torch.randint(VOCAB_SIZE, shape)


def logits(model: Model, source: ModelInputs) -> Tensor:
    """Return the logits [B,T,V] of all positions."""
    output = model.decode(model.encode(source), DecoderInput(None))
    return model.logits(output).view(*output.hidden_states.shape[:2], -1)


@all_models
def test_each_source_token_gives_some_positions(changes: dict[str, object]) -> None:
    model, rate = new(changes), changes.get("upsampling", 2)
    source = random_ids(2, 4)
    assert logits(model, inputs(source)).shape == (2, 4 * rate, VOCAB_SIZE)
    assert model.decode(model.encode(inputs(source)), DecoderInput(None)).lengths is None
    padded = model.decode(model.encode(inputs(source, torch.tensor([4, 3]))), DecoderInput(None))
    assert padded.lengths is not None
    assert padded.lengths.tolist() == [4 * rate, 3 * rate]


@all_models
def test_logits_ignore_padding_and_other_sentences(changes: dict[str, object]) -> None:
    model, sources = new(changes), [random_ids(1, length) for length in (5, 1, 3)]
    padded = torch.cat([torch.cat([each, random_ids(1, 6 - each.size(1))], dim=1) for each in sources])
    together = logits(model, inputs(padded, torch.tensor([5, 1, 3])))
    for index, source in enumerate(sources):
        alone = logits(model, inputs(source))
        assert_close(together[index, : alone.size(1)], alone[0])


@all_models
def test_each_position_depends_on_every_source_token(changes: dict[str, object]) -> None:
    model, source = new(changes), random_ids(1, 4)
    before = logits(model, inputs(source))
    for position in range(4):
        changed = source.clone()
        changed[0, position] = (changed[0, position] + 1) % VOCAB_SIZE
        assert (logits(model, inputs(changed)) - before).abs().amax(2).min() > 1e-6


@all_models
def test_logits_at_positions_are_rows_of_all_logits(changes: dict[str, object]) -> None:
    model = new(changes)
    output = model.decode(model.encode(inputs(random_ids(2, 4))), DecoderInput(None))
    index = torch.tensor([3, 0, 5])
    chosen = OutputPositions.from_index(index, output.hidden_states.size(1))
    assert_close(model.logits(output, chosen), model.logits(output)[index])


@all_models
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("int8", 0.1)])
def test_prepared_model_gives_the_same_logits(
    changes: dict[str, object], precision: InferencePrecision, tolerance: float
) -> None:
    model, source = new(changes), inputs(random_ids(3, 6), torch.tensor([6, 2, 5]))
    lengths = torch.tensor([6, 2, 5]) * changes.get("upsampling", 2)
    expected = logits(model, source)
    model.prepare_for_inference(Backend(precision))
    assert not [name for name, layer in model.named_modules() if isinstance(layer, Linear)]
    with torch.inference_mode():
        found = logits(model, source)
    for row, length in enumerate(lengths.tolist()):
        assert_close(found[row, :length], expected[row, :length], atol=tolerance, rtol=tolerance)


@all_models
def test_every_parameter_gets_a_gradient_which_recomputing_does_not_change(changes: dict[str, object]) -> None:
    model = new(changes, dropout=0.3).train()
    source, gradients = inputs(random_ids(3, 4), torch.tensor([4, 2, 3])), []
    for model.recompute in (False, True):
        torch.manual_seed(1)
        functional.cross_entropy(
            logits(model, source).flatten(0, 1),
            torch.arange(3)
            .repeat(4)
            .repeat_interleave(
                int(changes.get("upsampling", 2))  # type: ignore[call-overload]
            ),
        ).backward()
        gradients.append({name: weight.grad for name, weight in model.named_parameters()})
        model.zero_grad()
    assert [name for name, gradient in gradients[0].items() if gradient is None or not gradient.any()] == []
    assert all(torch.equal(gradients[0][name], gradients[1][name]) for name in gradients[0])


@all_models
def test_revealed_tokens_replace_the_inputs_of_their_positions(changes: dict[str, object]) -> None:
    model, source = new(changes), inputs(random_ids(2, 4), torch.tensor([4, 3]))
    encoder_output, rate = model.encode(source), int(changes.get("upsampling", 2))  # type: ignore[call-overload]
    none = torch.full((2, 4 * rate), -1)

    def decoded(revealed: Tensor | None) -> Tensor:
        return model.decode(encoder_output, DecoderInput(None, revealed=revealed)).hidden_states

    assert torch.equal(decoded(none), decoded(None))
    some = none.clone()
    some[0, 1], some[1, 2] = 5, 0  # a token, and the blank
    assert (decoded(some) - decoded(None)).abs().amax(2)[:, : 3 * rate].min() > 1e-6
    other = some.clone()
    other[1, 2] = 7
    assert torch.equal(decoded(some)[0], decoded(other)[0])
    assert not torch.allclose(decoded(some)[1, : 3 * rate], decoded(other)[1, : 3 * rate])
    everything = random_ids(2, 4 * rate)
    assert_close(decoded(everything)[0], decoded(everything[[0, 0]])[0])


def test_cross_attention_alone_reads_the_source_if_all_is_revealed() -> None:
    revealed, source = random_ids(1, 8), random_ids(1, 4)
    changed = (source + 1) % VOCAB_SIZE
    for has_cross_attention in (False, True):
        model = new({"cross_attention": has_cross_attention})
        one, other = (
            model.decode(model.encode(inputs(ids)), DecoderInput(None, revealed=revealed)).hidden_states
            for ids in (source, changed)
        )
        assert torch.equal(one, other) != has_cross_attention


def test_vocabulary_parameters_follow_the_tying() -> None:
    shared, own = new({}), new({"tied_embeddings": "decoder"})
    assert [each.name for each in shared.vocabulary_parameters()] == ["embeddings.target.weight"]
    assert {each.vocabulary for each in own.vocabulary_parameters()} == {"source", "target"}


def test_ensemble_averages_the_probabilities_at_each_position() -> None:
    models = [new({}), new({"tied_embeddings": "decoder"})]
    ensemble = Ensemble(models, [3.0, 1.0])
    source = inputs(random_ids(2, 4), torch.tensor([4, 2]))
    first, second = (logits(each, source).softmax(-1) for each in models)
    assert_close(logits(ensemble, source).exp(), 0.75 * first + 0.25 * second)
    assert ensemble.capabilities.blank == models[0].capabilities.blank == 0
    output = ensemble.decode(ensemble.encode(source), DecoderInput(None))
    assert output.lengths is not None
    assert output.lengths.tolist() == [8, 4]
