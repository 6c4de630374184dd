"""Each criterion is its paper's formula."""

import pytest
import torch
from tiny_objectives import WORDS
from torch import Tensor
from torch.distributions import Categorical, kl_divergence
from torch.nn.functional import cross_entropy

from nmt_cli.recipe.training.regularization import RDropSettings, SimCutSettings
from nmt_cli.training.objectives.regularized import Criterion, CrossEntropyCriterion, RDrop, SimCut

SMOOTHING = 0.1


def scores() -> list[Tensor]:
    torch.manual_seed(1)
    return [(3 * torch.randn(6, WORDS, dtype=torch.double)).requires_grad_() for _ in range(2)]


LABELS = torch.tensor([4, 10, 0, 3, 3, 7])


def test_r_drop_is_mean_cross_entropy_and_half_the_mean_divergence() -> None:
    one, other = scores()
    loss = RDrop(SMOOTHING, RDropSettings(type="r_drop", weight=3.0))([one, other], LABELS)
    each = [cross_entropy(reading, LABELS, reduction="sum", label_smoothing=SMOOTHING) for reading in (one, other)]
    p, q = Categorical(logits=one), Categorical(logits=other)
    divergence = (kl_divergence(p, q) + kl_divergence(q, p)).sum() / 2
    torch.testing.assert_close(loss, (each[0] + each[1] + 3.0 * divergence) / 2)


def test_simcut_adds_divergence_of_full_pass_from_cut_pass() -> None:
    whole, cut = scores()
    loss = SimCut(SMOOTHING, SimCutSettings(type="simcut", weight=2.0))([whole, cut], LABELS)
    expected = cross_entropy(whole, LABELS, reduction="sum", label_smoothing=SMOOTHING)
    divergence = kl_divergence(Categorical(logits=whole), Categorical(logits=cut)).sum()
    torch.testing.assert_close(loss, expected + 2.0 * divergence)


@pytest.mark.parametrize(
    "criterion",
    [
        RDrop(SMOOTHING, RDropSettings(type="r_drop", weight=3.0)),
        SimCut(SMOOTHING, SimCutSettings(type="simcut", weight=2.0)),
    ],
    ids=["r_drop", "simcut"],
)
def test_consistency_gradient_flows_through_both_passes(criterion: Criterion) -> None:
    one, other = scores()
    assert torch.autograd.gradcheck(lambda *readings: criterion(readings, LABELS), (one, other))


@pytest.mark.parametrize(
    "criterion",
    [RDrop(SMOOTHING, RDropSettings(type="r_drop")), SimCut(SMOOTHING, SimCutSettings(type="simcut"))],
    ids=["r_drop", "simcut"],
)
def test_identical_passes_cost_as_much_as_one(criterion: Criterion) -> None:
    one, _ = scores()
    torch.testing.assert_close(criterion([one, one], LABELS), CrossEntropyCriterion(SMOOTHING)([one], LABELS))


def test_only_the_second_pass_of_simcut_has_a_cutoff() -> None:
    assert SimCut(SMOOTHING, SimCutSettings(type="simcut", cutoff=0.2)).cutoff_rates == (0.0, 0.2)
    assert RDrop(SMOOTHING, RDropSettings(type="r_drop")).cutoff_rates == (0.0, 0.0)
