"""Scores of hypotheses."""

import doctest

import pytest
import torch
from torch.testing import assert_close

from nmt_cli.decoding.search import hypotheses
from nmt_cli.decoding.search.hypotheses import normalize_score


def test_examples_of_the_docstrings_hold() -> None:
    assert doctest.testmod(hypotheses) == (0, 1)


@pytest.mark.parametrize("penalty", [-0.5, 0.0, 0.6, 1.0])
def test_normalize_score_is_the_same_for_numbers_and_tensors(penalty: float) -> None:
    log_probs, lengths = torch.tensor([-3.0, -0.5, -7.0]), torch.tensor([4, 0, 9])

    expected = [normalize_score(*each, penalty) for each in zip(log_probs.tolist(), lengths.tolist(), strict=True)]

    assert_close(normalize_score(log_probs, lengths, penalty), torch.tensor(expected))
    assert expected[1] == -0.5  # no tokens count as one
