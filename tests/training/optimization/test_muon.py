"""Updates of Muon are orthogonal for each stacked matrix, and otherwise equal those of torch."""

from itertools import islice, repeat

import pytest
import torch
from tiny import batch, tiny_trainer, update_of
from torch import Tensor, nn

from nmt_cli.models import build
from nmt_cli.models.contract import Model, VocabularySpec
from nmt_cli.recipe.model import RnnSettings, TransformerSettings
from nmt_cli.training.loop import train_steps
from nmt_cli.training.optimization.muon import Muon, inner_matrices, orthogonalise

RATE, DECAY = 0.01, 0.1


def one_step(weight: nn.Parameter, rows: list[int]) -> Tensor:
    """Return the update of a weight by its gradient, in learning rates."""
    before = weight.detach().clone()
    Muon([{"params": [weight], "weight_decay": 0.0}], RATE, 0.95, True, {weight: rows}).step()
    return (before - weight.detach()) / RATE


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 32, 8), (1, 8, 32)])
def test_orthogonalise_brings_singular_values_near_one(shape: tuple[int, ...]) -> None:
    matrices = random(*shape) * 1e-6
    values = torch.linalg.svdvals(orthogonalise(matrices))
    assert 0.6 < float(values.min()) <= float(values.max()) < 1.3


def test_orthogonalise_approximates_the_closest_orthogonal_matrix() -> None:
    matrix = random(24, 12)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    similarity = torch.cosine_similarity((left @ right).flatten(), orthogonalise(matrix[None])[0].flatten(), dim=0)
    assert float(similarity) > 0.97


def test_orthogonalise_keeps_a_zero_matrix() -> None:
    assert torch.equal(orthogonalise(torch.zeros(1, 3, 4)), torch.zeros(1, 3, 4))


def test_muon_equals_torch_muon_for_single_matrices() -> None:
    """The only difference is the order of roundings in bf16."""
    weights = [nn.Parameter(random(*shape)) for shape in [(12, 8), (8, 12), (12, 8), (8, 8)]]
    twins = [nn.Parameter(weight.detach().clone()) for weight in weights]
    ours = Muon([{"params": weights, "weight_decay": DECAY}], RATE, 0.95, True, {each: [len(each)] for each in weights})
    theirs = torch.optim.Muon(
        twins, lr=RATE, weight_decay=DECAY, momentum=0.95, nesterov=True, adjust_lr_fn="match_rms_adamw"
    )
    generator = torch.Generator().manual_seed(2)
    for _ in range(3):
        for weight, twin in zip(weights, twins, strict=True):
            weight.grad = torch.randn(weight.shape, generator=generator)
            twin.grad = weight.grad.clone()
        ours.step()
        theirs.step()
    for weight, twin in zip(weights, twins, strict=True):
        torch.testing.assert_close(weight, twin, atol=0.02 * RATE, rtol=0)


def test_update_is_as_large_as_one_of_adamw() -> None:
    for shape in [(16, 16), (64, 16), (16, 64)]:
        weight = nn.Parameter(torch.zeros(shape))
        weight.grad = random(*shape)
        update = one_step(weight, [shape[0]])
        assert 0.15 < float(update.square().mean().sqrt()) < 0.25


def test_stacked_matrices_are_orthogonalised_separately() -> None:
    weight = nn.Parameter(torch.zeros(20, 8))
    weight.grad = random(20, 8)
    weight.grad[16:] *= 1000  # orthogonalised together, the others would become almost zero
    update = one_step(weight, [8, 8, 4])
    for part in update.split([8, 8, 4]):
        values = torch.linalg.svdvals(part) / (0.2 * 8**0.5)
        assert 0.6 < float(values.min()) <= float(values.max()) < 1.3


VOCABULARIES = VocabularySpec(11, 13)


def inner_matrices_by_name(model: Model) -> dict[str, list[int]]:
    names = {weight: name for name, weight in model.named_parameters()}
    return {names[weight]: rows for weight, rows in inner_matrices(model).items()}


def test_inner_matrices_of_transformer_splits_queries_keys_values_and_gates() -> None:
    model = build(
        TransformerSettings.model_validate(
            {"architecture": "transformer", "preset": "tiny", "width": 16, "heads": 4, "key_value_heads": 2}
            | {"feed_forward": 24, "activation": "swiglu", "tied_embeddings": "none"}
        ),
        VOCABULARIES,
    )
    found = inner_matrices_by_name(model)
    assert {name: rows for name, rows in found.items() if "r.0." in name} == {
        "encoder.0.self_attention.query_key_value.weight": [16, 8, 8],
        "encoder.0.self_attention.output.weight": [16],
        "encoder.0.feed_forward.inner.weight": [24, 24],
        "encoder.0.feed_forward.outer.weight": [16],
        "decoder.0.self_attention.query_key_value.weight": [16, 8, 8],
        "decoder.0.self_attention.output.weight": [16],
        "decoder.0.cross_attention.query.weight": [16],
        "decoder.0.cross_attention.key_value.weight": [8, 8],
        "decoder.0.cross_attention.output.weight": [16],
        "decoder.0.feed_forward.inner.weight": [24, 24],
        "decoder.0.feed_forward.outer.weight": [16],
    }
    assert not [name for name in found if "embeddings" in name or "projection" in name]


def test_inner_matrices_do_not_include_learned_positions() -> None:
    settings = {"architecture": "transformer", "preset": "tiny", "positions": {"type": "learned"}, "output_bias": True}
    model = build(TransformerSettings.model_validate(settings), VocabularySpec(11, 11))
    assert not [name for name in inner_matrices_by_name(model) if "positions" in name or "output.bias" in name]


@pytest.mark.parametrize(("cell", "gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_inner_matrices_of_rnn_splits_gates(cell: str, gates: int) -> None:
    settings = {"architecture": "rnn", "preset": "tiny", "cell": cell, "width": 16, "embedding_width": 8}
    model = build(
        RnnSettings.model_validate({**settings, "attention": "additive", "tied_embeddings": "decoder"}), VOCABULARIES
    )
    found = inner_matrices_by_name(model)
    assert found["encoder.layers.0.weight_ih_l0_reverse"] == [8] * gates
    assert found["decoder.0.cells.weight_hh_l0"] == [16] * gates
    assert found["output.resize.weight"] == [8]
    assert "attention.score.weight" not in found  # a single row
    assert not [name for name in found if "embeddings" in name or "bias" in name]


def test_default_learning_rate_learns_more_than_adamw_by_default() -> None:
    """In as many updates; at the default rate of AdamW, Muon learns less."""

    def last_loss(**optimizer: object) -> float:
        trainer = tiny_trainer(optimizer=optimizer, clip_norm=1.0, schedule={"warmup": 5})
        update = update_of(batch([[4, 5, 6], [6, 7, 8, 4], [8, 4]]))
        *_, stats = islice(train_steps(trainer, repeat(update), seed=1), 60)
        return float(stats.loss)

    assert last_loss(type="muon") < last_loss(type="adamw") < last_loss(type="muon", learning_rate=1e-3)
