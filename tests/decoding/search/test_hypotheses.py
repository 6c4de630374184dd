"""Scores of hypotheses."""

import doctest

import pytest
import torch
from torch.testing import assert_close

from nmt_cli.decoding.search import hypotheses
from nmt_cli.decoding.search.hypotheses import Hypothesis, best_first, normalize_score


def test_examples_of_the_docstrings_hold() -> None:
    assert doctest.testmod(hypotheses) == (0, 1)


@pytest.mark.parametrize("penalty", [-0.5, 0.0, 0.6, 1.0])
def test_normalize_score_is_the_same_for_numbers_and_tensors(penalty: float) -> None:
    log_probs, lengths = torch.tensor([-3.0, -0.5, -7.0]), torch.tensor([4, 0, 9])

    expected = [normalize_score(*each, penalty) for each in zip(log_probs.tolist(), lengths.tolist(), strict=True)]

    assert_close(normalize_score(log_probs, lengths, penalty), torch.tensor(expected))
    assert expected[1] == -0.5  # no tokens count as one


def test_best_first_keeps_the_order_of_equal_scores() -> None:
    given = [Hypothesis((token,), -1.0, score) for token, score in enumerate([-1.0, -0.5, -1.0, -0.5, -2.0])]

    assert [each.tokens[0] for each in best_first(given)] == [1, 3, 0, 2, 4]
