"""Loading of models with their tokenizer and settings."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from nmt_cli import files
from nmt_cli.commands.adapters import read_adapter
from nmt_cli.commands.model_config import ModelConfig, named_model, read_config, settings_after_training
from nmt_cli.console import command_line
from nmt_cli.data.shortlist import Shortlist
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.tags import language_tokens
from nmt_cli.devices import pick_device
from nmt_cli.errors import ModelError
from nmt_cli.models import build
from nmt_cli.models.contract import Capabilities, Model, VocabularySpec
from nmt_cli.models.kernels import MAX_SMALL_WEIGHT, Linear
from nmt_cli.recipe.decoding import SearchSettings
from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.model import ModelSettings
from nmt_cli.recipe.schema import Recipe
from nmt_cli.runs.checkpoints import map_tensors
from nmt_cli.runs.directory import CONFIG, SHORTLIST, TOKENIZER, WEIGHTS, ModelFiles
from nmt_cli.training.optimization.lora import merge_adapters


@dataclass(frozen=True)
class LoadedModel:
    """A model ready for inference."""

    model: Model
    tokenizer: Tokenizer
    config: ModelConfig
    decoding: SearchSettings
    evaluation: Evaluation
    """This and `decoding` are the settings of the recipe, or else of the model, with the overrides applied."""
    device: torch.device
    files: ModelFiles
    has_extended_vocabulary: bool = False
    """Whether an adapter has extended the vocabulary of `files`."""


def load_model(path: Path, overrides: Sequence[str] = (), adapter: Path | None = None) -> LoadedModel:
    """Load the model of a recipe, a run, a checkpoint or a model folder, to the best device.

    Args:
        overrides: Changes to the settings of the recipe or else of the model, as KEY=VALUE.
        adapter: A run with an adapter, or the folder of one, that is merged into the parameters.

    Raises:
        ModelError: Something is missing or damaged, or does not fit together. Raised before the model is allocated.
    """
    named = named_model(path)
    found, config = named.files, config_of_model(named.files)
    tokenizer = Tokenizer.load(named.tokenizer)
    if config.vocabulary != vocabulary_spec(tokenizer):
        raise ModelError(f"{named.tokenizer}: does not match the model in {found.folder}, which has another vocabulary")
    weights = map_tensors(found.folder / WEIGHTS, _large_matrices(config.model, config.vocabulary))
    if not found.standalone and found.run and (lora := load_recipe(found.run.resolved).training.lora):
        weights = merge_adapters(weights, lora, found.folder / WEIGHTS)
    is_extended = False
    if adapter is not None:
        read = read_adapter(adapter, path)
        if is_extended := read.vocabulary is not None:
            tokenizer, language_tokens = read.vocabulary.tokenizer, read.vocabulary.language_tokens
            changes = {"vocabulary": vocabulary_spec(tokenizer), "language_tokens": language_tokens}
            config = config.model_copy(update=changes)
        if read.inputs is not None:
            config = read.inputs.applied_to(config)
        weights = read.merged_into(weights, _vocabulary_dimensions(config))
    model = build_with_weights(config.model, config.vocabulary, weights, found.folder / WEIGHTS)
    device = pick_device()
    settings = settings_after_training(named, overrides)
    model = model.to(device).eval()
    return LoadedModel(model, tokenizer, config, settings.decoding, settings.evaluation, device, found, is_extended)


def load_language_model(path: Path, overrides: Sequence[str] = (), adapter: Path | None = None) -> LoadedModel:
    """Load a language model; ModelError if the model at `path` is another one. See `load_model`."""
    loaded = load_model(path, overrides, adapter)
    if loaded.model.capabilities.source != "none":
        raise ModelError(f"{path}: translates sources; use nmt translate, or name a language model")
    return loaded


def vocabulary_spec(tokenizer: Tokenizer) -> VocabularySpec:
    """Return what a model must know about a tokenizer."""
    return VocabularySpec(
        tokenizer.source_size, tokenizer.target_size, tokenizer.special_tokens, tokenizer.source_columns
    )


def config_of(recipe: Recipe, tokenizer: Tokenizer) -> ModelConfig:
    """Return the configuration of a recipe's model."""
    return ModelConfig(
        format=1,
        source_language=recipe.data.source_language,
        target_language=recipe.data.target_language,
        vocabulary=vocabulary_spec(tokenizer),
        model=recipe.model,
        decoding=recipe.decoding,
        evaluation=recipe.evaluation,
        longest_sentence=recipe.data.max_length,
        context=recipe.data.context,
        length_tags=recipe.data.length_tags,
        language_tokens=language_tokens(recipe.data, tokenizer.source.tags),
        **recipe.data.sequence.model_dump(exclude={"language_tokens"}),
    )


def parameter_shapes(settings: ModelSettings, vocabulary: VocabularySpec) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a model's parameters without allocating them."""
    model = model_without_weights(settings, vocabulary)
    return {name: tuple(weight.shape) for name, weight in model.named_parameters()}


def model_without_weights(settings: ModelSettings, vocabulary: VocabularySpec) -> Model:
    """Build a model on the meta device, without allocating its parameters."""
    with torch.device("meta"), _SkipInitialization():
        return build(settings, vocabulary)


def _vocabulary_dimensions(config: ModelConfig) -> dict[str, int]:
    """Return the dimension of each parameter with rows of vocabulary entries, in which it has these rows."""
    model = model_without_weights(config.model, config.vocabulary)
    return {name: dimension for name, _, dimension in model.vocabulary_parameters()}


def identity_of(recipe: Recipe, tokenizer: Tokenizer) -> dict[str, str]:
    """Return hashes of all that decides a checkpoint's output besides its weights and the settings of decoding."""
    config = config_of(recipe, tokenizer).model_dump(
        mode="json", exclude={"decoding", "evaluation"}, exclude_defaults=True
    )
    return {"config": hashlib.sha256(files.json_bytes(config)).hexdigest(), "tokenizer": tokenizer.fingerprint}


def build_with_weights(
    settings: ModelSettings, vocabulary: VocabularySpec, weights: Mapping[str, Tensor], path: Path
) -> Model:
    """Build a model with the weights read from `path`. Raises ModelError if names or shapes do not fit."""
    check_weights(model_without_weights(settings, vocabulary), weights, path)
    with _SkipInitialization():
        model = build(settings, vocabulary)
    for name, weight in model.named_parameters():
        weight.data = weights[name].to(weight.dtype)
    return model


def open_model(config: ModelConfig, path: Path) -> Model:
    """Return the model with the parameters in a file."""
    weights = map_tensors(path, _large_matrices(config.model, config.vocabulary))
    return build_with_weights(config.model, config.vocabulary, weights, path).eval()


def _large_matrices(settings: ModelSettings, vocabulary: VocabularySpec) -> set[str]:
    """Return the names of the weights of large linear layers, which inference on a CPU replaces by packed ones."""
    modules = model_without_weights(settings, vocabulary).named_modules()
    layers = ((name, each.weight) for name, each in modules if isinstance(each, Linear))
    return {f"{name}.weight" for name, weight in layers if weight.numel() > MAX_SMALL_WEIGHT}


def check_weights(model: Model, weights: Mapping[str, Tensor], path: Path) -> None:
    """Raise ModelError if names and shapes of weights read from `path` are not those of the model."""
    wanted = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    found = {name: tuple(weight.shape) for name, weight in weights.items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise ModelError(
                f"{path}: parameter {name} has shape {found.get(name, 'none')}, but needs"
                f" {wanted.get(name, 'none')}; the file belongs to another model"
            )


def config_of_model(found: ModelFiles) -> ModelConfig:
    """Read the configuration of a model; for a checkpoint, check that it is the one that it was trained with."""
    if not (manifest_path := found.folder / files.MANIFEST).is_file():
        advice = f"if {found.folder} is a model of another toolkit, convert it: nmt import {found.folder} -o MODEL"
        raise ModelError(f"{manifest_path}: is missing; {advice}")
    manifest = files.read_manifest(found.folder, ModelError)
    if found.standalone:
        for name in (CONFIG, WEIGHTS, f"{TOKENIZER}/tokenizer.json"):
            if name not in manifest["files"]:
                raise ModelError(f"{found.folder / files.MANIFEST}: is damaged; it does not list {name}")
        return read_config(found.folder)
    assert found.run is not None
    recipe, tokenizer = load_recipe(found.run.resolved), Tokenizer.load(found.run.tokenizer)
    identity, sources = identity_of(recipe, tokenizer), {"tokenizer": found.run.tokenizer, "config": found.run.resolved}
    for key, source in sources.items():
        if manifest.get(key, identity[key]) != identity[key]:
            raise ModelError(f"{source}: has changed since {found.folder} was trained; restore it")
    return config_of(recipe, tokenizer)


def capabilities_of(config: ModelConfig) -> Capabilities:
    """Return what the model of a configuration can do, without allocating its parameters."""
    return model_without_weights(config.model, config.vocabulary).capabilities


def require_restrictable(capabilities: Capabilities) -> None:
    """Raise ModelError if the output of a model cannot be restricted to some tokens."""
    if capabilities.source == "none":
        reason = "needs a source, which a language model does not have"
    elif capabilities.blank is not None:
        reason = "is not supported by CTC models"
    elif capabilities.copies:
        reason = "is not supported by pointer_generator, which copies words from outside the vocabulary"
    else:
        return
    raise ModelError(f"decoding.shortlist: {reason}")


def open_shortlist(loaded: LoadedModel) -> Shortlist:
    """Return the shortlist of a model; ModelError if it has none, or cannot be restricted to one.

    That of an ensemble is the shortlist of its first model.
    """
    require_restrictable(loaded.model.capabilities)
    folder = loaded.files.folder
    if loaded.has_extended_vocabulary:
        advice = "use the merged model of its run, which can have one, or set decoding.shortlist: false"
        raise ModelError(f"decoding.shortlist: no shortlist fits an adapter that extends the vocabulary; {advice}")
    if not (folder / SHORTLIST).exists():
        command = command_line("nmt", "shortlist", folder)
        raise ModelError(f"decoding.shortlist: {folder} has no shortlist; make one with {command}")
    return Shortlist.load(folder / SHORTLIST, loaded.tokenizer)


class _SkipInitialization(TorchFunctionMode):
    """Leaves new weights uninitialized within its context.

    Initialization takes time and, on the meta device, makes torch import its compiler, which takes seconds.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.__name__ in ("normal_", "uniform_", "kaiming_uniform_"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
