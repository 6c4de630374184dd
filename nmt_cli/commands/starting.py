"""The weights that a training starts from, where another model gives them."""

from pathlib import Path

import torch
from torch import Tensor

from nmt_cli.commands.loading import check_weights, load_model
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.extension import Growth, growth
from nmt_cli.errors import ModelError
from nmt_cli.models.contract import TranslationModel
from nmt_cli.training.distributed import load_into

_SIDES = {
    "embeddings.source.weight": "source",
    "embeddings.target.weight": "target",
    "output.projection.weight": "target",
    "output.projection.bias": "target",
}
"""Weights that have a row for each entry of a vocabulary, and whose it is."""


def start_from(model: TranslationModel, path: Path, tokenizer: Tokenizer, prepared: Path) -> None:
    """Give a new model the weights of the one that `path` names; what its tokenizer has more is made of what there was.

    ModelError if the two have different tokenizers, or are not alike. `prepared` is named in messages.
    """
    given = load_model(path)
    new = growth(given.tokenizer, tokenizer)
    if new is None:
        raise ModelError(
            f"training.init_from: {path} has another tokenizer than {prepared};"
            f" say tokenizer.take_from: {path}, and preprocess again"
        )
    drawn = dict(model.named_parameters())
    weights = {name: _grown(name, weight, new, drawn.get(name)) for name, weight in given.model.named_parameters()}
    check_weights(model, weights, path)
    for name, weight in drawn.items():
        load_into(weight, weights[name])


def _grown(name: str, weight: Tensor, new: Growth, drawn: Tensor | None) -> Tensor:
    """A weight with a row more for each new entry: the mean of the rows of its parts, or as drawn if it has none."""
    parts: list[list[int]] = getattr(new, _SIDES[name]) if name in _SIDES else []
    size = weight.size(0)
    if not parts or drawn is None or drawn.shape != (size + len(parts), *weight.shape[1:]):
        return weight
    with torch.no_grad():
        rows = [weight[each].mean(0).cpu() if each else drawn[size + place] for place, each in enumerate(parts)]
        return torch.cat([weight.cpu(), torch.stack(rows)])
