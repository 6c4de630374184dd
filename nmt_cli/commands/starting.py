"""Initialize a new model with the parameters of another one (`training.init_from`)."""

from pathlib import Path

import torch
from torch import Tensor

from nmt_cli.commands.loading import check_weights, load_model
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.extension import VocabularyExtension
from nmt_cli.errors import ModelError
from nmt_cli.models.contract import Model
from nmt_cli.training.distributed import load_into


def start_from(model: Model, path: Path, tokenizer: Tokenizer, prepared: Path) -> None:
    """Copy the parameters of the model at `path`; rows of new vocabulary entries are computed from old ones.

    Raises:
        ModelError: The tokenizers or the architectures differ. The message names `prepared`.
    """
    pretrained = load_model(path)
    config = pretrained.config
    if config.language_tokens is not None or not config.source_eos or config.bos:
        raise ModelError(
            f"training.init_from: {path}: a model with language tokens, with bos or without eos cannot be trained"
        )
    extension = VocabularyExtension.between(pretrained.tokenizer, tokenizer)
    if extension is None:
        raise ModelError(
            f"training.init_from: the tokenizers of {path} and {prepared} differ;"
            f" set tokenizer.path: {path} and preprocess again"
        )
    own = dict(model.named_parameters())
    weights: dict[str, Tensor] = dict(pretrained.model.named_parameters())
    for name, vocabulary, dimension in pretrained.model.vocabulary_parameters():
        if vocabulary in ("source", "target") and name in own:
            weights[name] = _extended(weights[name], own[name], getattr(extension, vocabulary), dimension)
    check_weights(model, weights, path)
    for name, weight in own.items():
        load_into(weight, weights[name])


@torch.no_grad()
def _extended(weight: Tensor, initial: Tensor, added: list[list[int]], dimension: int) -> Tensor:
    """Append a row for each added entry: the mean of the rows of its parts; without parts, its initial row."""
    size, rows = weight.size(dimension), weight.movedim(dimension, 0)
    if not added or initial.shape != (*weight.shape[:dimension], size + len(added), *weight.shape[dimension + 1 :]):
        return weight
    new = [
        rows[parts].mean(0).cpu() if parts else initial.select(dimension, size + index)
        for index, parts in enumerate(added)
    ]
    return torch.cat([rows.cpu(), torch.stack(new)]).movedim(0, dimension)
