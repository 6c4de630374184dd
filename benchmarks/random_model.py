"""Write model folders with random weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from nmt_cli import __version__, files
from nmt_cli.commands.loading import config_of
from nmt_cli.commands.model_config import ModelConfig
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.models import build
from nmt_cli.recipe.schema import Recipe
from nmt_cli.runs import checkpoints
from nmt_cli.runs.directory import CONFIG, TOKENIZER, WEIGHTS


def recipe_with(run: Path, settings: Mapping[str, Mapping[str, Any]]) -> Recipe:
    """Return a recipe with the given sections, from English into German, whose corpora do not exist."""
    corpus = {"corpus": {"source": "source", "target": "target"}}
    data = {"source_language": "en", "target_language": "de", "prepared": "prepared", "train": corpus, "valid": corpus}
    return Recipe.model_validate({"run": str(run), "data": data, **settings})


def save_random_model(
    folder: Path, sources: Sequence[str], targets: Sequence[str], settings: Mapping[str, Mapping[str, Any]]
) -> None:
    """Write a model from English into German, with a tokenizer learned from lines of both languages.

    Args:
        settings: Sections `tokenizer`, `model` and so on of its recipe.
    """
    recipe = recipe_with(folder, settings)
    tokenizer = Tokenizer.train(recipe.tokenizer, sources, targets, seed=1)
    write_random_model(folder, config_of(recipe, tokenizer), tokenizer)


def write_random_model(folder: Path, config: ModelConfig, tokenizer: Tokenizer) -> None:
    """Write a model with random weights, always the same, and its tokenizer."""
    torch.manual_seed(1)
    model = build(config.model, config.vocabulary)
    with files.new_folder(folder) as unfinished:
        files.write_json(unfinished / CONFIG, config.model_dump(mode="json"))
        checkpoints.write_tensors(unfinished / WEIGHTS, dict(model.named_parameters()))
        tokenizer.save(unfinished / TOKENIZER)
        files.write_manifest(unfinished, {"format": 1, "nmt": __version__, "averaged_updates": [1]})
