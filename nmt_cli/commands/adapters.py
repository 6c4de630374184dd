"""Adapters on disk: what LoRA has trained, without the model that it belongs to.

If training extended the vocabulary, an adapter also has the tokenizer, and the rows of the new entries in embeddings
and output layer.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from nmt_cli import __version__, files
from nmt_cli.commands.model_config import InputSettings, named_model, read_adapter_inputs
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.extension import VocabularyExtension
from nmt_cli.errors import ModelError
from nmt_cli.models.contract import Model
from nmt_cli.recipe.optimization import Lora
from nmt_cli.runs.checkpoints import read_tensors, write_tensors
from nmt_cli.runs.directory import ADAPTER_CONFIG, ADAPTER_WEIGHTS, TOKENIZER, WEIGHTS, RunDirectory, find_adapter
from nmt_cli.runs.journal import read_summary
from nmt_cli.training.optimization.lora import is_adapter, merge_adapters
from nmt_cli.training.optimization.parameter_names import matches

_FORMAT = 1
_ADDED = ".added_rows"
"""End of the names of rows of new vocabulary entries; before it is the name of the parameter."""


@dataclass(frozen=True)
class ExtendedVocabulary:
    """The vocabulary of an adapter whose training extended that of its model."""

    tokenizer: Tokenizer
    language_tokens: list[str] | None
    """See ModelConfig."""


@dataclass(frozen=True)
class LoadedAdapter:
    """An adapter that belongs to a model."""

    path: Path
    """Of its tensors, for messages."""
    settings: Lora
    tensors: Mapping[str, Tensor]
    vocabulary: ExtendedVocabulary | None
    """None: that of the model."""
    inputs: InputSettings | None
    """None: those of the model."""

    def merged_into(self, weights: Mapping[str, Tensor], dimensions: Mapping[str, int]) -> dict[str, Tensor]:
        """Return the parameters of the model with the adapter merged into them.

        Args:
            dimensions: For each parameter with rows of vocabulary entries, the dimension of these rows.

        Raises:
            ModelError: The adapter is damaged.
        """
        extended, others = dict(weights), dict[str, Tensor]()
        for name, tensor in self.tensors.items():
            parameter = name.removesuffix(_ADDED)
            if self.vocabulary is not None and parameter != name and parameter in weights and parameter in dimensions:
                extended[parameter] = self._with_rows(name, weights[parameter], tensor, dimensions[parameter])
            elif is_adapter(name) or (
                name in weights and any(matches(name, each) for each in self.settings.also_train)
            ):
                others[name] = tensor
            else:
                raise ModelError(
                    f"{self.path}: has the parameter {name}, which is not one that this adapter may replace"
                )
        return merge_adapters({**extended, **others}, self.settings, self.path)

    def _with_rows(self, name: str, weight: Tensor, rows: Tensor, dimension: int) -> Tensor:
        shapes = [list(each.shape) for each in (weight, rows)]
        if len(shapes[0]) != len(shapes[1]) or any(
            sizes[0] != sizes[1] for i, sizes in enumerate(zip(*shapes, strict=True)) if i != dimension
        ):
            raise ModelError(
                f"{self.path}: {name}: has shape {shapes[1]}, which does not fit the parameter, {shapes[0]}"
            )
        return torch.cat([weight, rows.to(weight.dtype)], dimension)


def base_identity(path: Path) -> dict[str, Any]:
    """Return hashes of a model's parameters and tokenizer, to which an adapter belongs, and its vocabulary sizes."""
    named = named_model(path)
    manifest = files.read_manifest(named.files.folder, ModelError)
    if WEIGHTS not in manifest["files"]:
        raise ModelError(f"{named.files.folder / files.MANIFEST}: is damaged; it does not list {WEIGHTS}")
    tokenizer = Tokenizer.load(named.tokenizer)
    return {
        "parameters": manifest["files"][WEIGHTS]["sha256"],
        "tokenizer": tokenizer.fingerprint,
        "vocabulary": _vocabulary_sizes(tokenizer),
    }


def _vocabulary_sizes(tokenizer: Tokenizer) -> dict[str, int]:
    return {"source": tokenizer.source_size, "target": tokenizer.target_size}


def recorded_base(run: RunDirectory, start: Path, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the base_identity that a run has recorded of the model to start from.

    Earlier versions did not record the vocabulary sizes. They are then those of `tokenizer`, that of the run, if it is
    the tokenizer of the model; or else those of the model at `start`, if it is still the same.

    Raises:
        ModelError: The entry is missing or incomplete, and the model does not complete it.
    """
    recorded: Any = read_summary(run).get("base")
    match recorded:
        case {"parameters": str(), "tokenizer": str(), "vocabulary": {"source": int(), "target": int()}}:
            return dict(recorded)
        case {"parameters": str(), "tokenizer": tokenizer.fingerprint}:
            return {**recorded, "vocabulary": _vocabulary_sizes(tokenizer)}
        case {"parameters": str(), "tokenizer": str()}:
            with suppress(ModelError):
                found = base_identity(start)
                if {**found, **recorded} == found:
                    return found
    missing = f"does not record the model to start from completely, and {start} is missing or another model"
    raise ModelError(f"{run.summary}: {missing}; restore that model, or start a new run with --fresh")


def added_rows(model: Model, weights: Mapping[str, Tensor], base: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """Yield the rows of entries that the vocabulary has in addition to that of the model to start from.

    Parameters that are trained in full are left out.

    Args:
        model: Tells what is trained.
        weights: The parameters of `model`.
        base: See base_identity.
    """
    for name, vocabulary, dimension in model.vocabulary_parameters():
        if name not in weights or vocabulary not in base["vocabulary"] or model.get_parameter(name).requires_grad:
            continue
        first, size = base["vocabulary"][vocabulary], weights[name].size(dimension)
        if first < size:
            yield f"{name}{_ADDED}", weights[name].narrow(dimension, first, size - first).contiguous()


def write_adapter(
    folder: Path,
    tensors: Mapping[str, Tensor],
    settings: Lora,
    base: Mapping[str, Any],
    inputs: InputSettings,
    vocabulary: ExtendedVocabulary | None = None,
) -> None:
    """Write an adapter atomically: its tensors, its settings, and the hashes of the model that it belongs to.

    Args:
        vocabulary: If it extends that of the model.
    """
    with files.new_folder(folder) as unfinished:
        write_tensors(unfinished / ADAPTER_WEIGHTS, tensors)
        content = {"format": _FORMAT, "base": dict(base), "lora": settings.model_dump(mode="json")}
        content["inputs"] = inputs.model_dump(mode="json")
        if vocabulary is not None:
            vocabulary.tokenizer.save(unfinished / TOKENIZER)
            content["language_tokens"] = vocabulary.language_tokens
        files.write_json(unfinished / ADAPTER_CONFIG, content)
        files.write_manifest(unfinished, {"format": _FORMAT, "nmt": __version__})


def read_adapter(path: Path, model: Path) -> LoadedAdapter:
    """Read an adapter of the model at `model`.

    Args:
        path: A run with an adapter, or the folder of one.

    Raises:
        ModelError: The adapter or the model is damaged, or the adapter belongs to another model.
    """
    folder = find_adapter(path)
    listed = files.read_manifest(folder, ModelError)["files"]
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if name not in listed:
            raise ModelError(f"{folder / files.MANIFEST}: is damaged; it does not list {name}")
    content = files.read_json(folder / ADAPTER_CONFIG, ModelError)
    match content:
        case {"format": 1, "base": {"parameters": str(), "tokenizer": str()} as base, "lora": settings}:
            pass
        case _:
            raise ModelError(f"{folder / ADAPTER_CONFIG}: is not an adapter of this version of nmt")
    found = base_identity(model)
    if any(found[name] != base[name] for name in ("parameters", "tokenizer")):
        raise ModelError(f"{folder}: belongs to another model than {model}, whose parameters or tokenizer differ")
    try:
        lora = TypeAdapter(Lora).validate_python(settings)
        tokens = TypeAdapter(list[str] | None).validate_python(content.get("language_tokens"))
    except ValidationError as error:
        raise ModelError(f"{folder / ADAPTER_CONFIG}: {error.title}: {error.errors()[0]['msg']}") from error
    vocabulary = _vocabulary(folder, model, tokens) if "language_tokens" in content else None
    tensors = read_tensors(folder / ADAPTER_WEIGHTS)
    return LoadedAdapter(folder / ADAPTER_WEIGHTS, lora, tensors, vocabulary, read_adapter_inputs(folder))


def _vocabulary(folder: Path, model: Path, language_tokens: list[str] | None) -> ExtendedVocabulary:
    tokenizer = Tokenizer.load(folder / TOKENIZER)
    if VocabularyExtension.between(Tokenizer.load(named_model(model).tokenizer), tokenizer) is None:
        raise ModelError(f"{folder / TOKENIZER}: does not extend the vocabulary of {model}")
    return ExtendedVocabulary(tokenizer, language_tokens)
