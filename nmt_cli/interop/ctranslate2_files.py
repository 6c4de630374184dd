"""CTranslate2's files: a binary model and its vocabularies."""

import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nmt_cli.errors import ModelError

_VERSIONS = range(2, 7)
_DTYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)
_DTYPE_OF_SIZE = {4: 0, 1: 1, 2: 2}
"""Of the versions that store the size of an item only."""
_WITH_ALIASES, _WITH_DTYPES = 3, 4
_MAX_VARIABLES, _MAX_RANK = 2**16, 8


class _Variable(NamedTuple):
    shape: tuple[int, ...]
    dtype: int
    offset: int
    num_bytes: int


class CTranslate2Source:
    """The tensors of a model.bin; integers are dequantised."""

    def __init__(self, path: Path) -> None:
        """Read all but the tensors; ModelError if the file is damaged or of an unknown version."""
        self.path = path
        self.attributes: dict[str, float] = {}
        """Scalars, such as `encoder/num_heads`."""
        self.aliases: dict[str, str] = {}
        try:
            with path.open("rb") as file:
                self._read_header(file)
        except (OSError, ValueError, IndexError, struct.error) as error:
            raise ModelError(f"{path}: is not a model of CTranslate2, or is damaged: {error}") from error
        scales = {f"{name}_scale" for name in self._variables}
        self.shapes: Mapping[str, tuple[int, ...]] = {
            name: each.shape for name, each in self._variables.items() if each.shape and name not in scales
        }

    def read(self, name: str) -> Tensor:
        values = self._values(self._variables[name])
        scale = self._variables.get(f"{name}_scale")
        if scale is not None:
            values = values / self._values(scale).reshape(-1, *[1] * (values.dim() - 1))
        return values

    def owner(self, name: str) -> str:
        """Return the name under which a tensor is stored."""
        return self.aliases.get(name, name)

    def _values(self, variable: _Variable) -> Tensor:
        with self.path.open("rb") as file:
            file.seek(variable.offset)
            array = np.frombuffer(file.read(variable.num_bytes), _DTYPES[variable.dtype])
        return torch.from_numpy(array.astype(np.float32)).reshape(variable.shape)

    def _read_header(self, file: BinaryIO) -> None:
        version = _number(file, "I")
        if version not in _VERSIONS:
            raise ValueError(f"version {version} is not supported")
        self.specification, _ = _text(file), _number(file, "I")
        self._variables: dict[str, _Variable] = {}
        end = self.path.stat().st_size
        for _ in range(_limited(_number(file, "I"), _MAX_VARIABLES)):
            name = _text(file)
            shape = tuple(_number(file, "I") for _ in range(_limited(_number(file, "B"), _MAX_RANK)))
            kind = _number(file, "B")
            dtype = kind if version >= _WITH_DTYPES else _DTYPE_OF_SIZE.get(kind, -1)
            count = _number(file, "I")
            if not 0 <= dtype < len(_DTYPES):
                raise ValueError(f"{name} has the unknown type {kind}")
            num_bytes = count if version >= _WITH_DTYPES else count * kind
            offset = file.seek(0, 1)
            variable = _Variable(shape, dtype, offset, num_bytes)
            if num_bytes != math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize or offset + num_bytes > end:
                raise ValueError(f"{name} has the wrong size")
            file.seek(num_bytes, 1)
            self._variables[name] = variable
            if not shape:
                self.attributes[name] = 0.0
        for _ in range(_limited(_number(file, "I"), _MAX_VARIABLES) if version >= _WITH_ALIASES else 0):
            alias = _text(file)
            self.aliases[alias] = _text(file)
        self.attributes = {name: float(self._values(self._variables[name])) for name in self.attributes}
        for alias, name in self.aliases.items():
            if name in self.attributes:
                self.attributes[alias] = self.attributes[name]


def _number(file: BinaryIO, kind: str) -> int:
    size = struct.calcsize(kind)
    value: int = struct.unpack(f"<{kind}", file.read(size))[0]
    return value


def _text(file: BinaryIO) -> str:
    return file.read(_number(file, "H")).rstrip(b"\0").decode()


def _limited(value: int, maximum: int) -> int:
    if value > maximum:
        raise ValueError(f"{value} is more than {maximum}")
    return value
