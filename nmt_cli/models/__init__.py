"""Tensors → scores: the models, behind one contract."""

from collections.abc import Callable
from typing import Any

from nmt_cli.models.contract import TranslationModel, Vocabularies
from nmt_cli.models.layers import FeedForward
from nmt_cli.models.linear import HAS_ONEDNN, Linear, Precision, packing
from nmt_cli.models.recurrent import RecurrentLayer, Rnn
from nmt_cli.models.transformer import Transformer
from nmt_cli.recipe.model import RnnSettings, TransformerSettings

MODELS: dict[type[Any], Callable[[Any, Vocabularies], TranslationModel]] = {
    TransformerSettings: Transformer,
    RnnSettings: Rnn,
}


def build(settings: TransformerSettings | RnnSettings, vocabularies: Vocabularies) -> TranslationModel:
    """A model of new random weights, drawn from torch's default generator."""
    return MODELS[type(settings)](settings, vocabularies)


def pack(model: TranslationModel, precision: Precision) -> None:
    """Prepare a model on a CPU for search, in place: it cannot learn any more, nor be saved."""
    if precision != "int8" and not HAS_ONEDNN:
        return
    packed = packing(precision)
    for module in list(model.modules()):
        if isinstance(module, FeedForward | RecurrentLayer):
            module.pack(packed)
        if isinstance(module, Transformer | Rnn):
            module.output.pack(module.embeddings.target, packed)
        for name, layer in module.named_children():
            if isinstance(layer, Linear):
                setattr(module, name, packed(layer.weight, layer.bias, False))
