"""Checkpoints: written atomically, verified when loaded, pruned, averaged."""

import json
import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from nmt_cli import console, files
from nmt_cli.console import Reporter
from nmt_cli.errors import ModelError, ResourceError
from nmt_cli.runs.directory import OPTIMIZER, STATE, WEIGHTS, RunDirectory
from nmt_cli.runs.journal import read_identity

Floats = npt.NDArray[np.float32]

_FORMAT = 1
_MAX_BYTES = 2**40


def save_checkpoint(
    run: RunDirectory,
    update: int,
    model_state: Mapping[str, Tensor],
    optimizer_state: Mapping[str, Tensor],
    train_state: Mapping[str, Any],
) -> None:
    """Write `step_N/`. A kill at any moment, or a full disk, leaves the earlier checkpoints intact."""
    if run.checkpoint(update).exists():
        return  # the same update gives the same bytes
    identity = read_identity(run)
    try:
        with files.new_folder(run.checkpoint(update)) as folder:
            write_tensors(folder / WEIGHTS, model_state)
            write_tensors(folder / OPTIMIZER, optimizer_state)
            files.write_json(folder / STATE, dict(train_state))
            files.write_manifest(folder, {"format": _FORMAT, "update": update, **identity})
    except ResourceError as error:
        saved = run.saved_updates()
        last = f"the last checkpoint is that of update {saved[-1]:,}" if saved else "there is no checkpoint yet"
        raise ResourceError(f"update {update:,} could not be saved ({last}): {error}") from error


def verify_checkpoint(run: RunDirectory, update: int) -> None:
    """Raise ModelError, with the file, unless the checkpoint is complete and was written at this update."""
    folder = run.checkpoint(update)
    manifest = files.read_manifest(folder, ModelError)
    identity = {key: value for key, value in read_identity(run).items() if key in manifest}
    if manifest != {"format": _FORMAT, "update": update, **identity, "files": manifest["files"]}:
        raise ModelError(f"{folder / files.MANIFEST}: is damaged, or is not of update {update:,} of this run")
    for name in (WEIGHTS, OPTIMIZER, STATE):
        if name not in manifest["files"]:
            raise ModelError(f"{folder / files.MANIFEST}: is damaged; it does not list {name}")


def last_good_checkpoint(run: RunDirectory, reporter: Reporter = console) -> Path | None:
    """Return the newest undamaged checkpoint, or None if there is no checkpoint. Warns of damaged ones."""
    num_damaged = 0
    for update in reversed(run.saved_updates()):
        try:
            verify_checkpoint(run, update)
        except ModelError as error:
            reporter.warn(f"{error}; falling back to the checkpoint before it")
            num_damaged += 1
            continue
        return run.checkpoint(update)
    if num_damaged:
        raise ModelError(f"{run.checkpoints}: all checkpoints are damaged; start a new run with --fresh")
    return None


def remove_checkpoints_after(run: RunDirectory, update: int) -> None:
    """Remove the checkpoints of later updates."""
    for saved in run.saved_updates():
        if saved > update:
            files.remove(run.checkpoint(saved))


def remove_damaged(run: RunDirectory, updates: Iterable[int], reporter: Reporter = console) -> None:
    """Remove damaged checkpoints among those of the given updates, with a warning."""
    for update in updates:
        try:
            verify_checkpoint(run, update)
        except ModelError as error:
            reporter.warn(f"{error}; this checkpoint is removed")
            files.remove(run.checkpoint(update))


def prune_checkpoints(run: RunDirectory, keep: Iterable[int]) -> None:
    """Remove all checkpoints except those of the updates to keep."""
    for update in set(run.saved_updates()) - set(keep):
        files.remove(run.checkpoint(update))


def read_train_state(checkpoint: Path) -> dict[str, Any]:
    """Return the training state of a checkpoint."""
    state = files.read_json(checkpoint / STATE, ModelError)
    if not isinstance(state, dict):
        raise ModelError(f"{checkpoint / STATE}: is not a training state")
    return state


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, atomically."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with files.new_file(path) as file:
        file.write(save(plain))


def write_tensor_stream(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    tensors: Iterable[tuple[str, Tensor]],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write fp32 tensors as safetensors, atomically, while they are made: those of `shapes`, in the same order."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    content = json.dumps(header).encode()
    content += b" " * (-len(content) % 8)
    with files.new_file(path) as file:
        file.write(len(content).to_bytes(8, "little") + content)
        for (name, tensor), (expected, shape) in zip(tensors, shapes.items(), strict=True):
            assert name == expected and tensor.shape == shape and tensor.dtype == torch.float32
            file.write(tensor.contiguous().numpy().data)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read safetensors, which cannot contain code."""
    try:
        return load(files.read_bytes(path, ModelError, _MAX_BYTES))
    except (SafetensorError, ValueError, KeyError) as error:
        raise ModelError(f"{path}: is not a valid safetensors file: {error}") from error


def map_tensors(path: Path, mapped: Collection[str]) -> dict[str, Tensor]:
    """Read safetensors in fp32 without a copy of the file in memory.

    Tensors whose names are in `mapped` stay in the file until they are used, and take no memory once they are released.
    """
    with files.read_errors(path, ModelError), files.open_regular(path) as file:
        try:
            with safe_open(path, framework="pt") as opened:  # checks the header
                is_fp32 = all(opened.get_slice(name).get_dtype() == "F32" for name in opened.keys())  # noqa: SIM118
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            raise ModelError(f"{path}: is not a valid safetensors file: {error}") from error
        if not is_fp32:
            return read_tensors(path)
        start = 8 + int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(start - 8))
        header.pop("__metadata__", None)
        found = dict[str, Tensor]()
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            if name in mapped:
                array: Floats = np.memmap(path, np.float32, "c", start + begin, tuple(entry["shape"]))
            else:
                file.seek(start + begin)
                array = np.fromfile(file, np.float32, (end - begin) // 4).reshape(entry["shape"])
            found[name] = torch.from_numpy(array)
        return found


def average_checkpoints(checkpoints: list[Path]) -> dict[str, Tensor]:
    """Return the mean of the parameters of several checkpoints (Junczys-Dowmunt et al. 2016), summed in fp64."""
    mean: dict[str, Tensor] = {}
    for checkpoint in checkpoints:
        files.read_manifest(checkpoint, ModelError)
        parameters = read_tensors(checkpoint / WEIGHTS)
        if mean and {name: tensor.shape for name, tensor in mean.items()} != {
            name: tensor.shape for name, tensor in parameters.items()
        }:
            raise ModelError(
                f"{checkpoint}: its parameters differ in name or shape from those of the other checkpoints"
            )
        for name, tensor in parameters.items():
            term = tensor.double() / len(checkpoints)
            mean[name] = mean[name] + term if name in mean else term
    return {name: tensor.to(torch.float32) for name, tensor in mean.items()}
