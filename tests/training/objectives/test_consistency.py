"""Each criterion follows its paper's formula."""

import pytest
import torch
from tiny_objectives import VOCAB_SIZE
from torch import Tensor
from torch.distributions import Categorical, kl_divergence
from torch.nn.functional import cross_entropy

from nmt_cli.recipe.training import RDropSettings, SimCutSettings
from nmt_cli.training.objectives.regularized import Criterion, CrossEntropyCriterion, RDrop, SimCut

EPSILON = 0.1


def random_logits() -> list[Tensor]:
    torch.manual_seed(1)
    return [(3 * torch.randn(6, VOCAB_SIZE, dtype=torch.double)).requires_grad_() for _ in range(2)]


LABELS = torch.tensor([4, 10, 0, 3, 3, 7])


def test_r_drop_is_mean_cross_entropy_and_half_the_mean_divergence() -> None:
    first, second = random_logits()
    loss = RDrop(EPSILON, RDropSettings(type="r_drop", weight=3.0), VOCAB_SIZE)([first, second], LABELS)
    each = [cross_entropy(logits, LABELS, reduction="sum", label_smoothing=EPSILON) for logits in (first, second)]
    p, q = Categorical(logits=first), Categorical(logits=second)
    divergence = (kl_divergence(p, q) + kl_divergence(q, p)).sum() / 2
    torch.testing.assert_close(loss, (each[0] + each[1] + 3.0 * divergence) / 2)


def test_simcut_adds_divergence_of_full_pass_from_cut_pass() -> None:
    full, cut = random_logits()
    loss = SimCut(EPSILON, SimCutSettings(type="simcut", weight=2.0), VOCAB_SIZE)([full, cut], LABELS)
    expected = cross_entropy(full, LABELS, reduction="sum", label_smoothing=EPSILON)
    divergence = kl_divergence(Categorical(logits=full), Categorical(logits=cut)).sum()
    torch.testing.assert_close(loss, expected + 2.0 * divergence)


@pytest.mark.parametrize(
    "criterion",
    [
        RDrop(EPSILON, RDropSettings(type="r_drop", weight=3.0), VOCAB_SIZE),
        SimCut(EPSILON, SimCutSettings(type="simcut", weight=2.0), VOCAB_SIZE),
    ],
    ids=["r_drop", "simcut"],
)
def test_consistency_gradient_flows_through_both_passes(criterion: Criterion) -> None:
    first, second = random_logits()
    assert torch.autograd.gradcheck(lambda *passes: criterion(passes, LABELS), (first, second))


@pytest.mark.parametrize(
    "criterion",
    [
        RDrop(EPSILON, RDropSettings(type="r_drop"), VOCAB_SIZE),
        SimCut(EPSILON, SimCutSettings(type="simcut"), VOCAB_SIZE),
    ],
    ids=["r_drop", "simcut"],
)
def test_identical_passes_cost_as_much_as_one(criterion: Criterion) -> None:
    first, _ = random_logits()
    torch.testing.assert_close(
        criterion([first, first], LABELS), CrossEntropyCriterion(EPSILON, VOCAB_SIZE)([first], LABELS)
    )


def test_only_the_second_pass_of_simcut_has_a_cutoff() -> None:
    assert SimCut(EPSILON, SimCutSettings(type="simcut", cutoff=0.2), VOCAB_SIZE).cutoff_rates == (0.0, 0.2)
    assert RDrop(EPSILON, RDropSettings(type="r_drop"), VOCAB_SIZE).cutoff_rates == (0.0, 0.0)
