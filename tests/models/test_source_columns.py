"""Source columns such as factors reach the models that embed them."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from nmt_cli.models import build
from nmt_cli.models.contract import DecoderInput, Model, ModelInputs, VocabularySpec
from nmt_cli.models.encoder_decoder import Embeddings
from nmt_cli.models.ensemble import Ensemble
from nmt_cli.models.kernels import Backend
from nmt_cli.recipe.model import RnnSettings, TransformerSettings

inputs = ModelInputs.from_ids

VOCAB_SIZE, SIZES = 13, (5, 3)
PLAIN = VocabularySpec(source_size=VOCAB_SIZE, target_size=VOCAB_SIZE)
FACTORED = VocabularySpec(source_size=VOCAB_SIZE, target_size=VOCAB_SIZE, columns={"factors": SIZES})

Settings = TransformerSettings | RnnSettings
MODELS = {
    "transformer": TransformerSettings(
        architecture="transformer", width=16, feed_forward=24, encoder_layers=2, decoder_layers=2, heads=4
    ),
    "rnn": RnnSettings(architecture="rnn", width=16, embedding_width=12, encoder_layers=2, decoder_layers=2),
}
each_model = pytest.mark.parametrize("settings", MODELS.values(), ids=MODELS.keys())


def new(settings: Settings, vocabularies: VocabularySpec = FACTORED, seed: int = 1) -> Model:
    torch.manual_seed(seed)
    return build(settings, vocabularies).eval()


def random_ids(*shape: int) -> Tensor:
    return torch.randint(3, VOCAB_SIZE, shape)


def random_factors(*shape: int) -> Tensor:
    return torch.stack([torch.randint(1, size, shape) for size in SIZES], dim=-1)


def teacher_forced(model: Model, source: ModelInputs, target: Tensor) -> Tensor:
    return model.logits(model.decode(model.encode(source), DecoderInput(target))).view(*target.shape, -1)


def stepwise(model: Model, source: ModelInputs, target: Tensor) -> Tensor:
    cache, steps = model.init_cache(model.encode(source), source.batch_size), []
    for tokens in target.split(1, dim=1):
        logits, cache = model.step(tokens, cache)
        steps.append(logits)
    return torch.cat(steps, dim=1)


@each_model
def test_step_logits_equal_teacher_forcing(settings: Settings) -> None:
    model, target = new(settings), random_ids(3, 5)
    source = inputs(random_ids(3, 4), torch.tensor([4, 1, 3]), {"factors": random_factors(3, 4)})
    assert_close(stepwise(model, source, target), teacher_forced(model, source, target), atol=1e-5, rtol=1e-4)


@each_model
def test_each_factor_changes_the_logits(settings: Settings) -> None:
    model, tokens, target, given = new(settings), random_ids(1, 4), random_ids(1, 3), random_factors(1, 4)
    expected = teacher_forced(model, inputs(tokens, columns={"factors": given}), target)
    for position in range(4):
        for index, size in enumerate(SIZES):
            others = given.clone()
            others[0, position, index] = (others[0, position, index] + 1) % size
            assert not torch.allclose(
                teacher_forced(model, inputs(tokens, columns={"factors": others}), target), expected
            )


@each_model
def test_logits_ignore_padding(settings: Settings) -> None:
    model, tokens, given, target = new(settings), random_ids(2, 4), random_factors(2, 4), random_ids(2, 3)
    lengths = torch.tensor([4, 2])
    padded = inputs(
        torch.cat([tokens, random_ids(2, 3)], 1), lengths, {"factors": torch.cat([given, random_factors(2, 3)], 1)}
    )
    assert_close(
        teacher_forced(model, padded, target),
        teacher_forced(model, inputs(tokens, lengths, {"factors": given}), target),
    )


@each_model
def test_prepared_model_with_columns_gives_the_same_logits(settings: Settings) -> None:
    model, target = new(settings), random_ids(3, 5)
    source = inputs(random_ids(3, 4), torch.tensor([4, 1, 3]), {"factors": random_factors(3, 4)})
    expected = stepwise(model, source, target)
    with torch.inference_mode():
        model.prepare_for_inference(Backend("fp32"))
        assert_close(stepwise(model, source, target), expected, atol=1e-4, rtol=1e-3)


def test_embeddings_of_token_and_columns_are_added() -> None:
    embeddings = Embeddings(FACTORED, 4, "decoder", scale=2.0)
    read = embeddings.embed_source(inputs(torch.tensor([[7]]), columns={"factors": torch.tensor([[[3, 0]]])}))
    assert embeddings.source is not None
    first, second = embeddings.columns["factors"]
    expected = 2 * (embeddings.source.weight[7] + first.weight[3] + second.weight[0])
    assert_close(read[0, 0], expected)


@each_model
def test_model_without_columns_has_no_parameters_for_them(settings: Settings) -> None:
    plain, factored = ({name for name, _ in new(settings, each).named_parameters()} for each in (PLAIN, FACTORED))
    assert factored - plain == {"embeddings.columns.factors.0.weight", "embeddings.columns.factors.1.weight"}
    assert plain < factored


@each_model
def test_column_embeddings_get_gradients(settings: Settings) -> None:
    model = new(settings)
    teacher_forced(
        model, inputs(random_ids(3, 4), columns={"factors": random_factors(3, 4)}), random_ids(3, 5)
    ).logsumexp(-1).sum().backward()
    for embedding in model.get_submodule("embeddings.columns.factors").children():
        assert embedding.weight.grad is not None
        assert embedding.weight.grad.abs().sum() > 0


def test_ensemble_passes_columns_to_all_models() -> None:
    members = [new(MODELS["transformer"], seed=1), new(MODELS["rnn"], seed=2)]
    source, target = inputs(random_ids(2, 4), columns={"factors": random_factors(2, 4)}), random_ids(2, 3)
    each = [teacher_forced(member, source, target).softmax(-1) for member in members]
    assert_close(teacher_forced(Ensemble(members), source, target).softmax(-1), sum(each) / 2)


@each_model
def test_missing_and_unknown_columns_are_refused(settings: Settings) -> None:
    with pytest.raises(AssertionError, match="columns"):
        new(settings).encode(inputs(random_ids(1, 2)))
    with pytest.raises(AssertionError, match="columns"):
        new(settings, PLAIN).encode(inputs(random_ids(1, 2), columns={"factors": random_factors(1, 2)}))
