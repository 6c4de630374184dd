"""Source factors reach the model at the positions of their tokens."""

import numpy as np
import torch

from nmt_cli.decoding.generator import Generator
from nmt_cli.decoding.sentences import SentenceInput
from nmt_cli.models import build
from nmt_cli.models.contract import VocabularySpec
from nmt_cli.recipe.model import TransformerSettings

CPU = torch.device("cpu")


def generator(*sizes: int) -> Generator:
    settings = TransformerSettings(architecture="transformer", preset="tiny", width=16, feed_forward=16, heads=2)
    return Generator(build(settings, VocabularySpec(9, 9, columns={"factors": sizes})), [], CPU)


def test_source_columns_are_zero_at_tags_and_padding() -> None:
    one = SentenceInput(1, [5, 6], tags=(8,), columns={"factors": np.array([[1, 4], [2, 5]])})
    two = SentenceInput(2, [7], tags=(), columns={"factors": np.array([[3, 6]])})
    source = generator(4, 7).model_inputs([one, two])
    assert source.ids.tolist() == [[8, 5, 6, 3], [7, 3, 3, 3]]
    assert source.columns["factors"].tolist() == [[[0, 0], [1, 4], [2, 5], [0, 0]], [[3, 6], [0, 0], [0, 0], [0, 0]]]


def test_model_inputs_have_no_columns_without_factors() -> None:
    assert generator().model_inputs([SentenceInput(1, [5, 6])]).columns == {}
