"""A model folder as `nmt train` leaves it, made in a moment: the weights are drawn by chance."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from nmt_cli import __version__, files
from nmt_cli.commands.loading import config_of, vocabulary_spec
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.models import build
from nmt_cli.recipe.schema import Recipe
from nmt_cli.runs import checkpoints
from nmt_cli.runs.directory import CONFIG, TOKENIZER, WEIGHTS

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


TRANSFORMER: dict[str, object] = {
    "architecture": "transformer",
    "preset": "tiny",
    "width": 16,
    "feed_forward": 16,
    "heads": 2,
    "encoder_layers": 1,
    "decoder_layers": 1,
}

FINE_TUNING_RECIPE = """\
run: run
data:
  source_language: en
  target_language: de
  prepared: prepared
  filters: []
  train: {new: {source: text, target: text}}
  valid: {new: {source: text, target: text}}
training:
  start_from: base
  update_tokens: 200
  schedule: {type: inverse_sqrt, warmup: 1}
  limits: {updates: 1}
  validation: {every: 1, metric: loss}
decoding: {beam_size: 1}
"""
"""A recipe that fine-tunes the model `base` on the file `text`."""


def save_toy_model(
    folder: Path,
    tags: Sequence[str] = (),
    tying: str = "all",
    model: Mapping[str, object] = TRANSFORMER,
    length_tags: bool = False,
    **decoding: object,
) -> Path:
    """A model of one layer that says something for each line; further keys are settings of decoding."""
    corpus, is_ctc = {"toy": {"source": "toy", "target": "toy"}}, model["architecture"] == "ctc"
    recipe = Recipe.model_validate(
        {
            "run": str(folder),
            "data": {
                "source_language": "en",
                "target_language": "de",
                "prepared": str(folder),
                "train": corpus,
                "valid": corpus,
                "length_tags": length_tags,
            },
            "tokenizer": {"vocabulary_size": 28 + len(tags), "byte_fallback": False},
            "model": {**model, "tied_embeddings": tying},
            "decoding": {"beam_size": 1, **({} if is_ctc else {"max_length_ratio": 1.0}), **decoding},
        }
    )
    lines = [f"{one} {other}" for one in WORDS for other in WORDS]
    tokenizer = Tokenizer.train(recipe.tokenizer, lines, lines, 1, tags)
    torch.manual_seed(1)
    built = build(recipe.model, vocabulary_spec(tokenizer))
    with files.new_folder(folder) as unfinished:
        files.write_json(unfinished / CONFIG, config_of(recipe, tokenizer).model_dump(mode="json"))
        checkpoints.write_tensors(unfinished / WEIGHTS, dict(built.named_parameters()))
        tokenizer.save(unfinished / TOKENIZER)
        files.write_manifest(unfinished, {"format": 1, "nmt": __version__, "averaged_updates": [1]})
    return folder
