"""Search tells a model the factors of each token, in their place."""

import numpy as np
import torch

from nmt_cli.decoding.batching import Searcher
from nmt_cli.decoding.sentences import Sentence
from nmt_cli.models import build
from nmt_cli.models.contract import VocabularySpec
from nmt_cli.recipe.model import TransformerSettings

CPU = torch.device("cpu")


def searcher(*sizes: int) -> Searcher:
    settings = TransformerSettings(architecture="transformer", preset="tiny", width=16, feed_forward=16, heads=2)
    return Searcher(build(settings, VocabularySpec(9, 9, columns={"factors": sizes})), [], CPU)


def test_tags_before_and_ends_after_have_none() -> None:
    one = Sentence(1, [5, 6], tags=(8,), columns={"factors": np.array([[1, 4], [2, 5]])})
    two = Sentence(2, [7], tags=(), columns={"factors": np.array([[3, 6]])})
    source = searcher(4, 7).source([one, two])
    assert source.ids.tolist() == [[8, 5, 6, 3], [7, 3, 3, 3]]
    assert source.columns["factors"].tolist() == [[[0, 0], [1, 4], [2, 5], [0, 0]], [[3, 6], [0, 0], [0, 0], [0, 0]]]


def test_a_model_without_factors_is_told_none() -> None:
    assert searcher().source([Sentence(1, [5, 6])]).columns == {}
