"""Marian's files: tensors in npz, options and vocabularies in YAML."""

import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from nmt_cli.errors import ModelError

OPTIONS = "special:model.yml"
"""Name of the tensor that holds the options of a model."""
_MAX_OPTIONS_SIZE, _MAX_YAML_SIZE = 2**20, 64 * 2**20
_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class NpzSource:
    """The tensors of an npz file, without pickles."""

    def __init__(self, path: Path, *, has_options: bool = True) -> None:
        """Read names and shapes; ModelError if the file is damaged, or lacks options that it should have."""
        self.path = path
        with self._errors(""), zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            shapes = {name: _shape(archive, name) for name in names}
        if has_options and OPTIONS not in shapes:
            raise ModelError(f"{path}: has no {OPTIONS}, so it is not a model of Marian")
        self.shapes: Mapping[str, tuple[int, ...]] = {name: shapes[name] for name in names if name != OPTIONS}

    def read(self, name: str) -> Tensor:
        array = self._array(name)
        if array.dtype not in (np.float32, np.float16):
            raise ModelError(f"{self.path}: {name}: is of type {array.dtype}, which is not supported")
        return torch.from_numpy(array).float()

    def options(self) -> dict[str, str]:
        """Return Marian's options, as text."""
        text = self._array(OPTIONS).tobytes().rstrip(b"\0")
        return read_yaml(text, f"{self.path}: {OPTIONS}")

    def _array(self, name: str) -> "np.ndarray[Any, Any]":
        with self._errors(f"{name}: "), zipfile.ZipFile(self.path) as archive, archive.open(f"{name}.npy") as member:
            array: np.ndarray[Any, Any] = np.lib.format.read_array(member, allow_pickle=False)
            return array

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ModelError(f"{self.path}: {name}is not valid npz: {error}") from error


def _shape(archive: zipfile.ZipFile, name: str) -> tuple[int, ...]:
    """Read the shape of an array; ValueError if the array is larger than its file."""
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(member)
    size = math.prod(shape) * dtype.itemsize
    if size > info.file_size or (name == OPTIONS and size > _MAX_OPTIONS_SIZE):
        raise ValueError(f"{name} has the impossible shape {shape}")
    return tuple(shape)


def read_yaml(text: bytes, name: str) -> dict[str, str]:
    """Read a mapping without giving its scalars types, so that the word `no` stays a word; lists are joined."""
    if len(text) > _MAX_YAML_SIZE:
        raise ModelError(f"{name}: has more than {_MAX_YAML_SIZE >> 20} MiB")
    try:
        node = yaml.compose(text.decode(), Loader=_YAML_LOADER)
        if not isinstance(node, yaml.MappingNode):
            raise ModelError(f"{name}: is not a mapping")
        return {key.value: _scalar(value) for key, value in node.value if isinstance(key, yaml.ScalarNode)}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelError(f"{name}: is not valid YAML: {' '.join(str(error).split())[:200]}") from error


def _scalar(node: yaml.Node) -> str:
    if isinstance(node, yaml.SequenceNode):
        return "\n".join(map(_scalar, node.value))
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""
