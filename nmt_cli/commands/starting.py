"""`training.start_from`: recipes and new models that continue from another model."""

from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nmt_cli.commands.loading import check_weights, config_of_model, load_model, vocabulary_spec
from nmt_cli.commands.model_config import SETTINGS_OF_DATA, ModelConfig, named_model
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.extension import NO_LANGUAGES, VocabularyExtension
from nmt_cli.data.tokenizing.tags import language_pairs
from nmt_cli.errors import ModelError, RecipeError
from nmt_cli.models import build
from nmt_cli.models.contract import Model
from nmt_cli.recipe.data import Data, Extension, SequenceSettings
from nmt_cli.recipe.decoding import BeamSettings, CtcSearchSettings
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.loading.parsing import dotted_key
from nmt_cli.recipe.model import PresetSection
from nmt_cli.recipe.schema import Recipe
from nmt_cli.recipe.section import Section
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.training.distributed import load_into
from nmt_cli.training.optimization.lora import add_adapters

_FREE = ("model.dropout", "model.attention_dropout", "model.activation_dropout", "model.layer_drop")
"""Settings that may differ from those of the model to start from."""


def with_start(recipe: Recipe, is_new: bool = False) -> Recipe:
    """Return the recipe with all settings that it takes from the model of `training.start_from`.

    A run with checkpoints keeps those that it was started with, as the model may be gone.

    Args:
        is_new: Whether a new run replaces one with checkpoints.

    Raises:
        RecipeError: A setting contradicts the model, or is not possible with it.
    """
    path, run = recipe.training.start_from, RunDirectory(recipe.run)
    if path is None:
        return recipe
    if recipe.tokenizer.path is None:
        recipe = recipe.with_value("tokenizer.path", path)
    is_resumed = not is_new and bool(run.saved_updates())
    if is_resumed:
        resolved = load_recipe(run.resolved)
        model, sequence, inputs = resolved.model, resolved.data.sequence, _settings_of_data(resolved.data)
    else:
        config = config_of_model(named_model(path).files)
        _check_languages(recipe, config, path)
        model, sequence, inputs = config.model, sequence_of(config), _settings_of_data(config)
    started = recipe.with_value("model", model).with_value("data.sequence", sequence)
    inputs = {key: value for key, value in inputs.items() if not recipe.gives(key)}
    for key, value in inputs.items():
        started = started.with_value(key, value)
    if model.search != recipe.decoding.search:
        suitable = CtcSearchSettings(strategy="ctc") if model.search == "ctc" else BeamSettings()
        if recipe.gives("decoding"):
            raise RecipeError(f"decoding.strategy: must be {suitable.strategy} for the model of {path}; set it")
        started = started.with_value("decoding", suitable)
    for key, value in _given(recipe):
        if not key.startswith(("model.", "data.sequence.")) or (actual := _value_or_none(started, key)) == value:
            continue
        if not is_resumed and key not in _FREE:
            raise RecipeError(f"{key}: {value} contradicts training.start_from: {path} has {actual}; remove this key")
        if is_resumed and type(recipe.model) is not type(started.model):
            return recipe  # which is refused, because the run has another model
        started = started.with_value(key, value)
    _check_conflicts(started, path, inputs)
    changes_ends = sequence.source_language_last or sequence.target_language_first
    if recipe.training.guided_alignment is not None and changes_ends:
        raise RecipeError(f"training.guided_alignment: is not supported by {path}, whose language tokens end sources")
    return started


def _check_conflicts(recipe: Recipe, path: Path, taken: Container[str]) -> None:
    """Raise RecipeError if settings contradict each other, some of which, `taken`, are those of the model at `path`."""
    of_data = ((("data", *_parts(key)), message) for key, message in recipe.data.conflicts())
    for conflict, message in (*recipe.conflicts(), *of_data):
        key, given_by = dotted_key(_parts(conflict)), f"that of training.start_from: {path}"
        origin = f"it is {given_by}, unless the recipe has this key" if key in taken else f"the model is {given_by}"
        raise RecipeError(f"{key}: {message} ({origin})")


def _parts(key: str | tuple[str | int, ...]) -> tuple[str | int, ...]:
    return (key,) if isinstance(key, str) else key


def _settings_of_data(given: Data | ModelConfig) -> dict[str, Any]:
    """Return the SETTINGS_OF_DATA that are not the default, by dotted key."""
    return {f"data.{name}": value for name in SETTINGS_OF_DATA if (value := getattr(given, name))}


def sequence_of(config: ModelConfig) -> SequenceSettings:
    """Return what surrounds the tokens of texts that a model reads."""
    keys = SequenceSettings.model_fields.keys() - {"language_tokens"}
    values = {key: getattr(config, key) for key in keys}
    return SequenceSettings(language_tokens=config.language_tokens is not None, **values)


def initial_model(recipe: Recipe, tokenizer: Tokenizer, is_resumed: bool = False) -> Model:
    """Build the model of a recipe with random parameters, or with those that it starts from, and its adapters.

    If the run is resumed, the parameters are random, as those of a checkpoint will replace them.
    """
    torch.manual_seed(recipe.seed)
    model, training = build(recipe.model, vocabulary_spec(tokenizer)), recipe.training
    if training.start_from is not None and not is_resumed:
        start_from(model, training.start_from, tokenizer, (recipe.tokenizer.extension or _NO_EXTENSION).languages)
    if training.lora is not None:
        add_adapters(model, training.lora)
    return model


def start_from(model: Model, path: Path, tokenizer: Tokenizer, languages: Mapping[str, str] = NO_LANGUAGES) -> None:
    """Copy the parameters of the model at `path`; rows of new vocabulary entries are computed from old ones.

    Args:
        languages: For each new language token, the old one that it starts as.

    Raises:
        ModelError: The tokenizers or the architectures differ.
    """
    pretrained = load_model(path)
    added = VocabularyExtension.between(pretrained.tokenizer, tokenizer, languages)
    if added is None:
        raise ModelError(
            f"training.start_from: the tokenizer of the prepared data does not extend that of {path};"
            f" set tokenizer.path: {path}, or leave it out, and preprocess again"
        )
    own = dict(model.named_parameters())
    weights: dict[str, Tensor] = dict(pretrained.model.named_parameters())
    for name, vocabulary, dimension in pretrained.model.vocabulary_parameters():
        if vocabulary in ("source", "target") and name in own:
            weights[name] = _extended(weights[name], own[name], getattr(added, vocabulary), dimension)
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


def _given(section: Section, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys that a recipe gives, and their values, in the order of the schema; a preset gives sizes."""
    sizes = set[str]()
    if isinstance(section, PresetSection) and section.gives("preset"):
        sizes = set(section.sizes[section.preset]) | {"preset"}
    for name, value in section:
        if name == "preset" or not (name in sizes or section.gives(name)):
            continue
        if isinstance(value, Section):
            yield from _given(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _value_or_none(recipe: Recipe, key: str) -> Any:
    """Return the value of a dotted key; None if the class of its section does not have it."""
    try:
        return recipe.value(key)
    except AttributeError:
        return None


def _check_languages(recipe: Recipe, config: ModelConfig, path: Path) -> None:
    """Raise RecipeError unless the model knows the languages of the data, if it has a token for each language."""
    data, extension, known = recipe.data, recipe.tokenizer.extension or _NO_EXTENSION, config.language_tokens
    if known is None:
        if extension.languages:
            raise RecipeError(f"tokenizer.extension.languages: {path} has no language tokens; use data.language_tags")
        return
    if data.language_tags:
        raise RecipeError(f"data.language_tags: {path} has a token for each language instead; remove this key")
    listed = f"{path} has the languages {', '.join(known)}"
    for new, like in extension.languages.items():
        if like not in known or new in known:
            problem = f"{like} is not known" if like not in known else f"{new} is not new"
            raise RecipeError(f"tokenizer.extension.languages: {problem}; {listed}")
    for pair in language_pairs(data):
        for side, language in zip(("source", "target"), pair, strict=True):
            if language not in known and language not in extension.languages:
                advice = f"to add it, set tokenizer.extension.languages: {{{language}: …}}, with a similar language"
                raise RecipeError(f"data.{side}_language: {language}: {listed}; {advice}")


_NO_EXTENSION = Extension.model_construct(pieces=None, languages={})
