"""The CTC objective is -log P(target), the sum over all alignments, whatever the chunks."""

import math

import pytest
import torch
from ctc_oracle import BLANK, TableCtc, probabilities, random_log_probs
from tiny import batch
from tiny_ctc import outcome, tiny_ctc
from torch import Tensor, nn
from torch.testing import assert_close

from nmt_cli.recipe.training import Training, WordDropout
from nmt_cli.training.objectives import build_objective, objective
from nmt_cli.training.objectives.ctc import CtcObjective


class LearnedTable(TableCtc):
    """A table with a gradient."""

    def __init__(self, table: Tensor) -> None:
        super().__init__(table)
        self.table = nn.Parameter(table)


def test_loss_is_the_log_probability_of_the_targets() -> None:
    table, targets = random_log_probs(1, 3, 6), [[4], [5, 4], [4, 4]]
    known = probabilities(table)
    found = CtcObjective(TableCtc(table), 0.1, 0.0).eval()(batch(targets))
    expected = -sum(math.log(known[tuple(target)]) for target in targets)
    assert float(found.sum) == pytest.approx(expected, abs=1e-5)
    assert found.count == 8  # with eos


def test_target_without_alignment_neither_counts_nor_has_a_gradient() -> None:
    table, possible = random_log_probs(2, 3, 6), [[4, 5]]
    losses, gradients = [], []
    for targets in (possible, [*possible, [4, 4, 5], [4, 5, 4, 5]]):
        model = LearnedTable(table)
        loss = CtcObjective(model, 0.0, 0.0)(batch(targets)).sum
        loss.backward()
        losses.append(loss)
        gradients.append(model.table.grad)
    assert_close(losses[0], losses[1])
    assert_close(gradients[0], gradients[1])


def test_label_smoothing_mixes_in_the_mean_over_the_vocabulary_in_training_only() -> None:
    table = random_log_probs(3, 3, 6)
    plain, smooth = (CtcObjective(TableCtc(table), epsilon, 0.0) for epsilon in (0.0, 0.2))
    expected = 0.8 * plain(batch([[4, 5]])).sum - 0.2 * table.mean(1).sum()
    assert_close(smooth(batch([[4, 5]])).sum, expected)
    assert_close(smooth.eval()(batch([[4, 5]])).sum, plain(batch([[4, 5]])).sum)


@pytest.mark.parametrize("size", [1, 2, 100])
def test_chunks_change_neither_loss_nor_gradients(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = batch([[4, 5], [6], [], [7, 7, 4], [8, 4, 5, 6]])
    expected = outcome(CtcObjective(tiny_ctc().eval(), 0.0, 0.0), pairs)
    monkeypatch.setattr(objective, "_LOGITS_PER_CHUNK_CPU", size * 3 * 2 * 9)
    found = outcome(CtcObjective(tiny_ctc().eval(), 0.0, 0.0), pairs)
    assert_close(found[0].sum, expected[0].sum)
    assert_close(found[1], expected[1])


def test_recipe_with_word_dropout_changes_sources_in_training() -> None:
    model = tiny_ctc(dropout=0.0, attention_dropout=0.0, activation_dropout=0.0)
    settings = Training(word_dropout=WordDropout(source=0.99), label_smoothing=0.0)
    ctc = build_objective(settings, model, unk=1)
    assert isinstance(ctc, CtcObjective)
    pairs = batch([[4, 5]] * 8)
    torch.manual_seed(1)
    assert not torch.isclose(ctc.train()(pairs).sum, ctc.eval()(pairs).sum, atol=1e-3)
    assert model.capabilities.blank == BLANK
