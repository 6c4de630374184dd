"""Guided alignment: the cross-entropy of links under the attention."""

import math
from dataclasses import replace

import pytest
import torch
from tiny_objectives import UNK, models, new, some, training

from nmt_cli.data.batches import Batch, TokenAlignment
from nmt_cli.models.contract import DecoderInput, ModelInputs
from nmt_cli.training.objectives import build_objective
from nmt_cli.training.objectives.regularized import alignment_loss


def aligned() -> Batch:
    """Links of single words, of one word with two, and words without any."""
    links = TokenAlignment(
        torch.tensor([0, 1, 6, 6, 13]), torch.tensor([2, 0, 1, 3, 0]), torch.tensor([1, 1, 0.25, 0.75, 1])
    )
    return replace(some(), alignment=links)


def test_alignment_loss_is_the_weighted_log_attention_of_links() -> None:
    torch.manual_seed(1)
    attention = torch.rand(3, 6, 4).softmax(-1)
    links = aligned().alignment
    assert links is not None
    expected = 0.0
    for position, source, weight in zip(links.target_positions, links.source_positions, links.weights, strict=True):
        expected -= float(weight) * math.log(attention[position // 6, position % 6, source])
    assert float(alignment_loss(links, attention)) == pytest.approx(expected)


def test_alignment_loss_of_zero_attention_is_finite() -> None:
    attention = torch.zeros(3, 6, 4, requires_grad=True)
    links = aligned().alignment
    assert links is not None
    loss = alignment_loss(links, attention)
    loss.backward()
    assert loss.isfinite()
    assert attention.grad is not None
    assert attention.grad.isfinite().all()


@models
def test_batch_without_alignment_gives_plain_cross_entropy(name: str) -> None:
    model, rows = new(name), some()
    guided, *_ = build_objective(training(guided_alignment={}), model, UNK)(rows)
    plain, *_ = build_objective(training(), model, UNK)(rows)
    torch.testing.assert_close(guided, plain)


@models
def test_guided_alignment_trains_attention(name: str) -> None:
    model, rows = new(name), aligned()
    links = rows.alignment
    assert links is not None
    objective = build_objective(training(guided_alignment={"weight": 1.0}), model, UNK)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        objective(rows)[0].backward()
        optimizer.step()
        attention = model.decode(
            model.encode(ModelInputs.from_ids(rows.source)), DecoderInput(rows.decoder_input), attention=True
        ).cross_attention
        assert attention is not None
        losses.append(alignment_loss(links, attention).item())
    assert losses[-1] < losses[0] / 2


def test_link_without_attention_has_a_finite_loss() -> None:
    link = TokenAlignment(torch.tensor([0]), torch.tensor([0]), torch.tensor([1.0]))
    assert float(alignment_loss(link, torch.zeros(1, 1, 1))) == pytest.approx(-math.log(1e-9))
