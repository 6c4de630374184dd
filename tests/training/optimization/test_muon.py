"""Muon's updates are orthogonal, matrix by matrix, and otherwise those of torch."""

import pytest
import torch
from torch import Tensor, nn

from nmt_cli.models import build
from nmt_cli.models.contract import VocabularySpec
from nmt_cli.recipe.model import RnnSettings, TransformerSettings
from nmt_cli.training.optimization.muon import Muon, inner_matrices, orthogonalise

RATE, DECAY = 0.01, 0.1


def one_step(weight: nn.Parameter, row_splits: dict[Tensor, list[int]], decay: float = 0.0) -> Tensor:
    """The update of a weight by its gradient, in learning rates."""
    before = weight.detach().clone()
    Muon([{"params": [weight], "weight_decay": decay}], RATE, 0.95, True, row_splits).step()
    return (before - weight.detach()) / RATE


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 32, 8), (1, 8, 32)])
def test_singular_values_become_about_one(shape: tuple[int, ...]) -> None:
    matrices = random(*shape) * 1e-6
    values = torch.linalg.svdvals(orthogonalise(matrices))
    assert 0.6 < float(values.min()) <= float(values.max()) < 1.3


def test_directions_are_those_of_the_closest_orthogonal_matrix() -> None:
    matrix = random(24, 12)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    similarity = torch.cosine_similarity((left @ right).flatten(), orthogonalise(matrix[None])[0].flatten(), dim=0)
    assert float(similarity) > 0.97


def test_a_matrix_without_gradient_stays() -> None:
    assert torch.equal(orthogonalise(torch.zeros(1, 3, 4)), torch.zeros(1, 3, 4))


def test_steps_are_those_of_torch() -> None:
    """The only difference is the order of roundings in bf16."""
    weights = [nn.Parameter(random(*shape)) for shape in [(12, 8), (8, 12), (12, 8), (8, 8)]]
    twins = [nn.Parameter(weight.detach().clone()) for weight in weights]
    ours = Muon([{"params": weights, "weight_decay": DECAY}], RATE, 0.95, True, {})
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


def test_numbers_of_an_update_are_as_large_as_those_of_adamw() -> None:
    for shape in [(16, 16), (64, 16), (16, 64)]:
        weight = nn.Parameter(torch.zeros(shape))
        weight.grad = random(*shape)
        update = one_step(weight, {})
        assert 0.15 < float(update.square().mean().sqrt()) < 0.25


def test_parts_of_a_weight_are_orthogonal_each_for_itself() -> None:
    weight = nn.Parameter(torch.zeros(20, 8))
    weight.grad = random(20, 8)
    weight.grad[16:] *= 1000  # together, this part would leave the others nothing
    update = one_step(weight, {weight: [8, 8, 4]})
    for part in update.split([8, 8, 4]):
        values = torch.linalg.svdvals(part) / (0.2 * 8**0.5)
        assert 0.6 < float(values.min()) <= float(values.max()) < 1.3


VOCABULARIES = VocabularySpec(11, 13)


def test_inside_a_transformer_queries_keys_values_and_gates_are_parts() -> None:
    model = build(
        TransformerSettings.model_validate(
            {"architecture": "transformer", "preset": "tiny", "width": 16, "heads": 4, "key_value_heads": 2}
            | {"feed_forward": 24, "activation": "swiglu", "tied_embeddings": "none"}
        ),
        VOCABULARIES,
    )
    inner = inner_matrices(model)
    names = {weight: name for name, weight in model.named_parameters()}
    found = {names[weight]: inner.row_splits.get(weight) for weight in inner.parameters if "r.0." in names[weight]}
    assert found == {
        "encoder.0.self_attention.query_key_value.weight": [16, 8, 8],
        "encoder.0.self_attention.output.weight": None,
        "encoder.0.feed_forward.inner.weight": [24, 24],
        "encoder.0.feed_forward.outer.weight": None,
        "decoder.0.self_attention.query_key_value.weight": [16, 8, 8],
        "decoder.0.self_attention.output.weight": None,
        "decoder.0.cross_attention.query.weight": None,
        "decoder.0.cross_attention.key_value.weight": [8, 8],
        "decoder.0.cross_attention.output.weight": None,
        "decoder.0.feed_forward.inner.weight": [24, 24],
        "decoder.0.feed_forward.outer.weight": None,
    }
    assert not [
        name for name in map(names.__getitem__, inner.parameters) if "embeddings" in name or "projection" in name
    ]


@pytest.mark.parametrize(("cell", "gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_inside_a_recurrent_model_gates_are_parts(cell: str, gates: int) -> None:
    settings = {"architecture": "rnn", "preset": "tiny", "cell": cell, "width": 16, "embedding_width": 8}
    model = build(
        RnnSettings.model_validate({**settings, "attention": "additive", "tied_embeddings": "decoder"}), VOCABULARIES
    )
    inner = inner_matrices(model)
    names = {weight: name for name, weight in model.named_parameters()}
    found = {names[weight]: inner.row_splits.get(weight) for weight in inner.parameters}
    assert found["encoder.layers.0.weight_ih_l0_reverse"] == [8] * gates
    assert found["decoder.0.cells.weight_hh_l0"] == [16] * gates
    assert found["output.resize.weight"] is None
    assert "attention.score.weight" not in found  # a single row
    assert not [name for name in found if "embeddings" in name or "bias" in name]
