"""What the header of a file of weights says, read without the weights."""

import math
from pathlib import Path

from safetensors import SafetensorError, safe_open

from nmt_cli.errors import ModelError


def count_weights(path: Path) -> int:
    """How many numbers the tensors of a safetensors file hold; ModelError if it is none."""
    try:
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            return sum(math.prod(file.get_slice(name).get_shape()) for name in names)
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelError(f"{path}: is not a whole safetensors file: {error}") from error
