"""Read torch's own format, a pickle, in a child process that may use only so much memory and time.

torch unpickles nothing but tensors here (`weights_only=True`). Should that ever fail, the damage stays in a process of
its own.
"""

import resource
import subprocess
import sys
from pathlib import Path

import torch

from nmt_cli.errors import ModelError
from nmt_cli.runs.checkpoints import write_tensor_stream

_MAX_SECONDS = 1800
_MEMORY_BESIDES_TENSORS = 8 * 2**30
"""Address space of Python, torch and its threads, in bytes."""


def converted_to_safetensors(path: Path, output: Path) -> Path:
    """Write the tensors of a file that `torch.save` wrote, in fp32, as safetensors; return the new file.

    Raises:
        ModelError: The file has anything besides tensors, is damaged, or needs too much memory or time.
    """
    command = [sys.executable, "-P", "-m", __name__, str(path), str(output)]
    try:
        finished = subprocess.run(command, capture_output=True, text=True, timeout=_MAX_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"{path}: was not read within {_MAX_SECONDS} s") from error
    if finished.returncode:
        reason = finished.stderr.strip().split("\n")[-1] or f"exit code {finished.returncode}"
        raise ModelError(f"{path}: cannot be read safely; convert it to safetensors ({reason[:300]})")
    return output


def _convert(path: Path, output: Path) -> None:
    limit = 2 * path.stat().st_size + _MEMORY_BESIDES_TENSORS
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    if not isinstance(tensors, dict) or not all(isinstance(each, torch.Tensor) for each in tensors.values()):
        raise ValueError("it is not a mapping of names to tensors")
    shapes = {str(name): tuple(tensor.shape) for name, tensor in tensors.items()}
    write_tensor_stream(output, shapes, ((name, tensor.float()) for name, tensor in tensors.items()))


if __name__ == "__main__":
    _convert(Path(sys.argv[1]), Path(sys.argv[2]))
