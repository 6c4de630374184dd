"""Tensors → scores: the models, behind one contract."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from nmt_cli.models.contract import TranslationModel, Vocabularies
from nmt_cli.models.dropout import Dropout
from nmt_cli.models.layers import FeedForward
from nmt_cli.models.linear import HAS_ONEDNN, Linear, Packing, Precision, Product, become, packing
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
    """Prepare a model on a CPU for search, in place: it cannot learn any more, nor be saved.

    Simple layers become functions, since a step of a small model takes hardly longer than torch's way to its modules.
    """
    if precision != "int8" and not HAS_ONEDNN:
        return
    packed = packing(precision)
    for module in list(model.modules()):
        if isinstance(module, FeedForward | RecurrentLayer):
            module.pack(packed)
        if isinstance(module, Transformer | Rnn):
            module.output.pack(module.embeddings.target, packed)
        for name, layer in list(module.named_children()):
            function = _as_function(layer, packed)
            if function is not None and not isinstance(module, nn.ModuleList):  # which holds modules only
                become(module, name, function)


def _as_function(layer: nn.Module, packed: Packing) -> Product | None:
    """What a layer does in a search, if that is simple."""
    if isinstance(layer, Linear):
        return packed(layer.weight, layer.bias, False)
    if isinstance(layer, nn.LayerNorm):
        shape, weight, bias, epsilon = layer.normalized_shape, layer.weight.detach(), layer.bias.detach(), layer.eps
        return lambda vectors: torch.layer_norm(vectors, shape, weight, bias, epsilon)
    if isinstance(layer, nn.Identity | Dropout):
        return lambda vectors: vectors
    return None
