"""Sentences are dropped and reordered only when they are."""

import torch

from nmt_cli.models.contract import sentences_of


def test_reordered_hypotheses_leave_the_sentences_alone() -> None:
    assert sentences_of(torch.tensor([[2, 0, 1], [5, 5, 3]]), hypotheses=3, sentences=2) is None


def test_dropped_sentences_are_gone() -> None:
    kept = sentences_of(torch.tensor([[3, 4], [8, 6]]), hypotheses=3, sentences=3)
    assert kept is not None
    assert kept.tolist() == [1, 2]


def test_swapped_sentences_are_swapped() -> None:
    kept = sentences_of(torch.tensor([[1], [0]]), hypotheses=1, sentences=2)
    assert kept is not None
    assert kept.tolist() == [1, 0]
