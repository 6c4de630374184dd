"""Tensors → scores: the models, behind one contract."""

from collections.abc import Callable
from typing import Any

from nmt_cli.models.contract import TranslationModel, Vocabularies
from nmt_cli.models.rnn import Rnn
from nmt_cli.models.transformer import Transformer
from nmt_cli.recipe.model import RnnSettings, TransformerSettings

MODELS: dict[type[Any], Callable[[Any, Vocabularies], TranslationModel]] = {
    TransformerSettings: Transformer,
    RnnSettings: Rnn,
}


def build(settings: TransformerSettings | RnnSettings, vocabularies: Vocabularies) -> TranslationModel:
    """A model of new random weights, drawn from torch's default generator."""
    return MODELS[type(settings)](settings, vocabularies)
