"""Adapters on disk: what LoRA has trained, without the model that it belongs to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from nmt_cli import __version__, files
from nmt_cli.commands.model_config import named_model
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import ModelError
from nmt_cli.recipe.optimization import Lora
from nmt_cli.runs.checkpoints import read_tensors, write_tensors
from nmt_cli.runs.directory import ADAPTER_CONFIG, ADAPTER_WEIGHTS, WEIGHTS, find_adapter
from nmt_cli.training.optimization.lora import is_adapter, merge_adapters
from nmt_cli.training.optimization.parameter_names import matches

_FORMAT = 1


def base_identity(path: Path) -> dict[str, str]:
    """Return hashes of the parameters and the tokenizer of a model, to which an adapter belongs."""
    named = named_model(path)
    manifest = files.read_manifest(named.files.folder, ModelError)
    if WEIGHTS not in manifest["files"]:
        raise ModelError(f"{named.files.folder / files.MANIFEST}: is damaged; it does not list {WEIGHTS}")
    return {
        "parameters": manifest["files"][WEIGHTS]["sha256"],
        "tokenizer": Tokenizer.load(named.tokenizer).fingerprint,
    }


def write_adapter(folder: Path, tensors: Mapping[str, Tensor], settings: Lora, base: Mapping[str, Any]) -> None:
    """Write an adapter atomically: its tensors, its settings, and the hashes of the model that it belongs to."""
    with files.new_folder(folder) as unfinished:
        write_tensors(unfinished / ADAPTER_WEIGHTS, tensors)
        content = {"format": _FORMAT, "base": dict(base), "lora": settings.model_dump(mode="json")}
        files.write_json(unfinished / ADAPTER_CONFIG, content)
        files.write_manifest(unfinished, {"format": _FORMAT, "nmt": __version__})


def with_adapter(weights: Mapping[str, Tensor], model: Path, adapter: Path) -> dict[str, Tensor]:
    """Return the parameters of the model at `model` with an adapter merged into them.

    Args:
        adapter: A run with an adapter, or the folder of one.

    Raises:
        ModelError: The adapter or the model is damaged, or the adapter belongs to another model.
    """
    folder = find_adapter(adapter)
    listed = files.read_manifest(folder, ModelError)["files"]
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if name not in listed:
            raise ModelError(f"{folder / files.MANIFEST}: is damaged; it does not list {name}")
    match files.read_json(folder / ADAPTER_CONFIG, ModelError):
        case {"format": 1, "base": {"parameters": str(parameters), "tokenizer": str(tokenizer)}, "lora": settings}:
            pass
        case _:
            raise ModelError(f"{folder / ADAPTER_CONFIG}: is not an adapter of this version of nmt")
    found = base_identity(model)
    if found != {"parameters": parameters, "tokenizer": tokenizer}:
        raise ModelError(f"{folder}: belongs to another model than {model}, whose parameters or tokenizer differ")
    try:
        lora = TypeAdapter(Lora).validate_python(settings)
    except ValidationError as error:
        raise ModelError(f"{folder / ADAPTER_CONFIG}: lora: {error.errors()[0]['msg']}") from error
    path = folder / ADAPTER_WEIGHTS
    tensors = read_tensors(path)
    for name in tensors:
        if not is_adapter(name) and not (name in weights and any(matches(name, each) for each in lora.also_train)):
            raise ModelError(f"{path}: has the parameter {name}, which is not one that this adapter may replace")
    return merge_adapters({**weights, **tensors}, lora, path)
