"""Each regulariser changes the training loss as configured, and no evaluation."""

from dataclasses import replace

import pytest
import torch
from tiny_objectives import END, UNK, log_probs, models, new, some, training
from torch import Tensor
from torch.nn.functional import cross_entropy

from nmt_cli.data.batches import Batch, TokenAlignment
from nmt_cli.devices import has_fast_bf16
from nmt_cli.models.contract import DecoderInput, Model, ModelInputs
from nmt_cli.recipe.training import Training
from nmt_cli.training.objectives import build_objective
from nmt_cli.training.objectives.cross_entropy import CrossEntropyObjective
from nmt_cli.training.objectives.input_noise import (
    scheduled_sampling,
    source_token_mask,
    target_token_mask,
    word_dropout,
)
from nmt_cli.training.objectives.regularized import RegularizedObjective

needs_bf16 = pytest.mark.skipif(not has_fast_bf16(torch.device("cpu")), reason="a processor that multiplies bf16")

R_DROP, SIMCUT = {"type": "r_drop"}, {"type": "simcut", "cutoff": 0.4}
ALL = {
    "label_smoothing": 0.1,
    "word_dropout": {"source": 0.2, "target": 0.3},
    "scheduled_sampling": {"max_rate": 0.5, "end": 1},
    "guided_alignment": {"weight": 0.5},
}
consistencies = pytest.mark.parametrize("consistency", [None, R_DROP, SIMCUT], ids=["none", "r_drop", "simcut"])


def aligned() -> Batch:
    links = TokenAlignment(torch.tensor([0, 6, 6]), torch.tensor([2, 1, 3]), torch.tensor([1.0, 0.5, 0.5]))
    return replace(some(), alignment=links)


def objective(model: Model, settings: Training, num_updates: int = 10) -> CrossEntropyObjective:
    built = build_objective(settings, model, UNK).train()
    built.num_updates = num_updates
    return built


def plain(model: Model, rows: Batch, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy as torch computes it."""
    expected = log_probs(model, rows.source, rows.decoder_input, rows.label_positions)
    return cross_entropy(expected, rows.labels, reduction="sum", label_smoothing=smoothing)


@models
@consistencies
def test_objective_in_evaluation_is_plain_cross_entropy(name: str, consistency: object) -> None:
    model, rows = new(name, dropout=0.3), aligned()
    built = objective(model, training(**ALL, consistency=consistency)).eval()
    with torch.inference_mode():
        loss, tokens, _ = built(rows)
    assert tokens == len(rows.labels)
    torch.testing.assert_close(loss, plain(model, rows))


@models
@pytest.mark.parametrize("consistency", [{"type": "r_drop", "weight": 0.0}, {"type": "simcut", "weight": 0.0}])
def test_consistency_of_weight_zero_is_cross_entropy(name: str, consistency: object) -> None:
    model, rows = new(name), some()
    loss, tokens, _ = objective(model, training(consistency=consistency, label_smoothing=0.1))(rows)
    assert tokens == len(rows.labels)
    torch.testing.assert_close(loss, plain(model, rows, smoothing=0.1))


@models
def test_passes_in_one_batch_equal_separate_passes(name: str) -> None:
    model, rows = new(name), some()
    settings = training(consistency=SIMCUT, word_dropout={"source": 0.5, "target": 0.6}, label_smoothing=0.1)
    torch.manual_seed(5)
    loss, *_ = objective(model, settings)(rows)

    torch.manual_seed(5)
    token_masks = source_token_mask(rows, END), target_token_mask(rows)
    sources = [word_dropout(rows.source, token_masks[0], rate, UNK) for rate in (0.5, 1 - 0.5 * 0.6)]
    targets = [word_dropout(rows.decoder_input, token_masks[1], rate, UNK) for rate in (0.6, 1 - 0.4 * 0.6)]
    first, second = (log_probs(model, *each, rows.label_positions) for each in zip(sources, targets, strict=True))
    expected = cross_entropy(first, rows.labels, reduction="sum", label_smoothing=0.1)
    for p, q in zip(first.flatten(), second.flatten(), strict=True):
        expected = expected + 3.0 * p.exp() * (p - q)
    assert not torch.equal(*sources)
    assert not torch.equal(*targets)
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)


@models
def test_all_regularizers_together_sum_their_terms(name: str) -> None:
    model, rows = new(name, dropout=0.2), aligned()
    links = rows.alignment
    assert links is not None
    torch.manual_seed(5)
    loss, *_ = objective(model, training(**ALL, consistency=R_DROP))(rows)
    loss.backward()
    found = [weight.grad for weight in model.parameters()]
    model.zero_grad()

    torch.manual_seed(5)
    token_masks = source_token_mask(rows, END), target_token_mask(rows).repeat(2, 1)
    source = torch.cat([word_dropout(rows.source, token_masks[0], 0.2, UNK) for _ in range(2)])
    encoder_output, decoder_input = model.encode(ModelInputs.from_ids(source)), rows.decoder_input.repeat(2, 1)
    positions = torch.cat([rows.label_positions, rows.label_positions + rows.decoder_input.numel()])
    decoder_input = scheduled_sampling(model, encoder_output, decoder_input, token_masks[1], positions, 0.5)
    decoder_input = torch.cat([word_dropout(part, token_masks[1][:3], 0.3, UNK) for part in decoder_input.chunk(2)])
    output = model.decode(encoder_output, DecoderInput(decoder_input), attention=True)
    one, other = model.logits(output).log_softmax(-1)[positions].chunk(2)
    expected = sum(cross_entropy(p, rows.labels, reduction="sum", label_smoothing=0.1) / 2 for p in (one, other))
    expected = expected + 5.0 * ((one.exp() * (one - other)).sum() + (other.exp() * (other - one)).sum()) / 4
    assert output.cross_attention is not None
    for attention in output.cross_attention.chunk(2):
        linked = attention.flatten(0, 1)[links.target_positions, links.source_positions]
        expected = expected - 0.5 * (links.weights * linked.log()).sum() / 2
    expected.backward()

    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)  # the attention's logarithm is in fp32
    for weight, gradient in zip(model.parameters(), found, strict=True):
        torch.testing.assert_close(gradient, weight.grad, atol=1e-5, rtol=1e-4)


@models
@consistencies
@pytest.mark.parametrize("is_bf16", [False, pytest.param(True, marks=needs_bf16)])
def test_regularized_gradients_reach_every_parameter(name: str, consistency: object, is_bf16: bool) -> None:
    model = new(name, dropout=0.1).float()
    built = objective(model, training(**ALL, consistency=consistency))
    with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
        loss, *_ = built(aligned())
    loss.backward()
    still = [key for key, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert still == []


@consistencies
def test_all_draws_come_from_the_default_generator(consistency: object) -> None:
    model, rows = new("transformer", dropout=0.1), aligned()
    built = objective(model, training(**ALL, consistency=consistency))
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(built(rows)[0].item())
    assert losses[0] == losses[1] != losses[2]


def test_scheduled_sampling_starts_with_num_updates() -> None:
    model, rows = new("transformer"), some()
    sampled = objective(model, training(scheduled_sampling={"max_rate": 0.9, "start": 5, "end": 10}), num_updates=5)
    torch.testing.assert_close(sampled(rows)[0], plain(model, rows))
    sampled.num_updates = 10
    assert abs(sampled(rows)[0] - plain(model, rows)) > 1e-4


@pytest.mark.parametrize(
    "settings",
    [
        {"consistency": R_DROP},
        {"word_dropout": {"source": 0.1}},
        {"word_dropout": {"target": 0.1}},
        {"scheduled_sampling": {}},
        {"guided_alignment": {}},
    ],
)
def test_each_setting_selects_the_regularized_objective(settings: dict[str, object]) -> None:
    assert isinstance(build_objective(training(**settings), new("transformer"), UNK), RegularizedObjective)


def test_default_objective_is_cross_entropy() -> None:
    model = new("transformer")
    assert type(build_objective(training(), model, UNK)) is CrossEntropyObjective
    assert not model.recompute
    build_objective(training(gradient_checkpointing=True), model, UNK)
    assert model.recompute
