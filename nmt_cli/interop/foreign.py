"""A model of another toolkit, and the conversion of its tensors one by one."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from nmt_cli import files
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import ModelError
from nmt_cli.recipe.model import ModelSettings

TOLERANCE = 1e-4
"""Tolerance for tensors that are stored although they follow from others."""


@dataclass(frozen=True)
class Part:
    """A tensor of another toolkit, changed into a parameter of nmt, or into some rows of one."""

    name: str
    scale: float = 1.0
    rows: tuple[int, int | None] = (0, None)
    """The first row that is used, and the first one after it that is not."""
    is_transposed: bool = False
    """Whether its rows are inputs, not outputs."""
    constant: Tensor | None = None
    """The tensor itself, if the other toolkit does not store it."""


class TensorSource(Protocol):
    """Named tensors, read one at a time."""

    path: Path
    """For messages."""
    shapes: Mapping[str, tuple[int, ...]]

    def read(self, name: str) -> Tensor:
        """Read a tensor in fp32."""


@dataclass(frozen=True)
class ForeignModel:
    """A model of another toolkit in the terms of nmt, before its tensors are read."""

    format: str
    """Such as `Hugging Face marian`: for messages and the manifest. It selects the library that verifies the import."""
    settings: ModelSettings
    parameters: Mapping[str, Sequence[Part]]
    """For each parameter of nmt, the tensors that it consists of, one below the other."""
    tensors: TensorSource
    tokenizer: Tokenizer
    longest_sentence: int
    """In subwords."""
    redundant: Mapping[str, str | Tensor | None] = field(default_factory=dict)
    """Stored tensors that are not imported: by name, the tensor or value that each must equal, or None if its own
    toolkit ignores it, too."""
    languages: tuple[str | None, str | None] = (None, None)
    decoding: Mapping[str, Any] = field(default_factory=dict)
    """Settings of `decoding` that differ from the defaults of nmt."""
    warnings: Sequence[str] = ()
    language_tokens: list[str] | None = None
    """See ModelConfig."""
    source_eos: bool = True
    """Whether the model expects eos after each source."""
    token_order: Mapping[str, bool] = field(default_factory=dict)
    """Fields of ModelConfig: `source_language_last`, `target_language_first`, `bos`."""


class SafetensorsSource:
    """The tensors of one or more safetensors files."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Read the headers; ModelError if a file is not valid."""
        self.path = paths[0]
        self.shapes: Mapping[str, tuple[int, ...]] = {}
        self._files: dict[str, tuple[Path, Any]] = {}
        for path in paths:
            with _safetensors_errors(path):
                opened: Any = safe_open(path, framework="pt")
                names = list(opened.keys())
                shapes = {name: tuple(opened.get_slice(name).get_shape()) for name in names}
                self.shapes = {**self.shapes, **shapes}
            self._files |= dict.fromkeys(names, (path, opened))

    def read(self, name: str) -> Tensor:
        path, opened = self._files[name]
        with _safetensors_errors(path):
            tensor: Tensor = opened.get_tensor(name)
        if not tensor.is_floating_point():
            raise ModelError(f"{path}: {name}: is of type {tensor.dtype}, which is not supported")
        return tensor.float()


@contextmanager
def _safetensors_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise ModelError(f"{path}: is not a valid safetensors file: {error}") from error


def check_tensors(foreign: ForeignModel, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ModelError unless each parameter can be converted and each tensor is used.

    Args:
        shapes: Of the parameters of the model that the settings describe.
    """
    source, path = foreign.tensors.shapes, foreign.tensors.path
    parts = [part for name in shapes for part in foreign.parameters[name] if part.constant is None]
    needed = {part.name for part in parts}
    for name in sorted(needed - source.keys()):
        raise ModelError(f"{path}: tensor {name} is missing")
    if unknown := sorted(source.keys() - needed - foreign.redundant.keys()):
        listed = ", ".join(unknown[:5]) + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
        raise ModelError(f"{path}: {foreign.format}: nmt has no parameter for the tensors {listed}")
    for name, shape in shapes.items():
        found = [_shape(part, source) for part in foreign.parameters[name]]
        if any(len(each) != len(found[0]) or each[1:] != found[0][1:] for each in found):
            raise ModelError(
                f"{path}: the shapes of {', '.join(part.name for part in foreign.parameters[name])} differ"
            )
        if sum(map(math.prod, found)) != math.prod(shape) or (found[0][-1:] != shape[-1:] and len(shape) > 1):
            first = foreign.parameters[name][0].name
            raise ModelError(
                f"{path}: tensor {first} has shape {source.get(first)}, which does not fit {name}, {shape}"
            )


def _shape(part: Part, source: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    shape = source[part.name] if part.constant is None else tuple(part.constant.shape)
    if part.is_transposed:
        shape = shape[::-1]
    return (len(range(shape[0])[slice(*part.rows)]), *shape[1:]) if shape else (1,)


def converted(foreign: ForeignModel, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters of the model that the settings describe; each tensor is read when it is needed.

    Raises:
        ModelError: A tensor is not finite, or a redundant one differs from what it should equal.
    """
    for name, expected in foreign.redundant.items():
        if name in foreign.tensors.shapes and expected is not None:
            _check_redundant(foreign, name, expected)
    for name, shape in shapes.items():
        tensors = [_read(foreign.tensors, part) for part in foreign.parameters[name]]
        tensor = (tensors[0] if len(tensors) == 1 else torch.cat(tensors)).reshape(shape)
        del tensors
        if not bool(tensor.isfinite().all()):
            raise ModelError(
                f"{foreign.tensors.path}: {foreign.parameters[name][0].name}: has values that are not finite"
            )
        yield name, tensor


def _read(source: TensorSource, part: Part) -> Tensor:
    tensor = source.read(part.name) if part.constant is None else part.constant
    tensor = tensor.t() if part.is_transposed else tensor
    tensor = tensor if part.rows == (0, None) else tensor[slice(*part.rows)]
    return tensor if part.scale == 1 else tensor * part.scale


def _check_redundant(foreign: ForeignModel, name: str, expected: str | Tensor) -> None:
    source = foreign.tensors
    stored = source.read(name)
    wanted = source.read(expected) if isinstance(expected, str) else expected[: len(stored)]
    if stored.shape != wanted.shape or not torch.allclose(stored, wanted, atol=TOLERANCE, rtol=0):
        what = expected if isinstance(expected, str) else "the positions of its architecture"
        raise ModelError(f"{source.path}: {foreign.format}: tensor {name} differs from {what}, which it must equal")


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; ModelError if the file is missing or something else."""
    content = files.read_json(path, ModelError)
    if not isinstance(content, dict):
        raise ModelError(f"{path}: is not a JSON object")
    return content
