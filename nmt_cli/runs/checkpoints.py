"""Checkpoints: saved whole or not at all, verified when loaded, pruned, averaged."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from nmt_cli import console, files
from nmt_cli.errors import ModelError, ResourceError
from nmt_cli.runs.directory import OPTIMIZER, STATE, WEIGHTS, RunDirectory

_FORMAT = 1


def save_checkpoint(
    run: RunDirectory,
    step: int,
    weights: Mapping[str, Tensor],
    optimizer: Mapping[str, Tensor],
    state: Mapping[str, Any],
) -> None:
    """Write `step_N/`; a kill at any moment leaves the earlier checkpoints as they were, and so does a full disk."""
    if run.checkpoint(step).exists():
        return  # the same update gives the same bytes
    try:
        with files.new_folder(run.checkpoint(step)) as folder:
            write_tensors(folder / WEIGHTS, weights)
            write_tensors(folder / OPTIMIZER, optimizer)
            files.write_json(folder / STATE, dict(state))
            files.write_manifest(folder, {"format": _FORMAT, "step": step})
    except ResourceError as error:
        saved = run.steps()
        last = f"update {saved[-1]:,} is the last that is" if saved else "none is yet"
        raise ResourceError(f"update {step:,} could not be saved, {last}: {error}") from error


def verify(run: RunDirectory, step: int) -> None:
    """ModelError, which names the file, unless the checkpoint holds all that was written at this very update."""
    folder = run.checkpoint(step)
    manifest = files.read_manifest(folder, ModelError)
    if manifest != {"format": _FORMAT, "step": step, "files": manifest["files"]}:
        raise ModelError(
            f"{folder / files.MANIFEST}: is not that of update {step:,}, or of this version; it is damaged"
        )
    for name in (WEIGHTS, OPTIMIZER, STATE):
        if name not in manifest["files"]:
            raise ModelError(f"{folder / files.MANIFEST}: says nothing of {name}; it is damaged")


def last_good_checkpoint(run: RunDirectory) -> Path | None:
    """The checkpoint of the highest update that is whole; damaged ones are named and passed over."""
    damaged = 0
    for step in reversed(run.steps()):
        try:
            verify(run, step)
        except ModelError as error:
            console.warn(f"{error}; falling back to the checkpoint before it")
            damaged += 1
            continue
        return run.checkpoint(step)
    if damaged:
        raise ModelError(f"{run.checkpoints}: no checkpoint is whole; start anew with --fresh")
    return None


def forget_later(run: RunDirectory, after: int) -> None:
    """Remove checkpoints of later updates than the one that is gone on from."""
    for step in run.steps():
        if step > after:
            files.remove(run.checkpoint(step))


def forget_damaged(run: RunDirectory, steps: Iterable[int]) -> None:
    """Remove those of these checkpoints that are not whole, and say so."""
    for step in steps:
        try:
            verify(run, step)
        except ModelError as error:
            console.warn(f"{error}; this checkpoint is left out")
            files.remove(run.checkpoint(step))


def prune(run: RunDirectory, keep: Iterable[int]) -> None:
    """Remove all checkpoints but those of the updates to keep."""
    for step in set(run.steps()) - set(keep):
        files.remove(run.checkpoint(step))


def read_state(checkpoint: Path) -> dict[str, Any]:
    """Where training stood at a checkpoint."""
    state = files.read_json(checkpoint / STATE, ModelError)
    if not isinstance(state, dict):
        raise ModelError(f"{checkpoint / STATE}: is not the state of a training")
    return state


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, whole or not at all."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with files.new_file(path) as file:
        file.write(save(plain))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read safetensors; no code can hide in them."""
    try:
        return load(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except (SafetensorError, ValueError, KeyError) as error:
        raise ModelError(f"{path}: is not a whole safetensors file: {error}") from error


def average(checkpoints: list[Path]) -> dict[str, Tensor]:
    """The mean of the weights of several checkpoints (Junczys-Dowmunt et al. 2016), summed in fp64."""
    mean: dict[str, Tensor] = {}
    for checkpoint in checkpoints:
        files.read_manifest(checkpoint, ModelError)
        weights = read_tensors(checkpoint / WEIGHTS)
        if mean and {name: tensor.shape for name, tensor in mean.items()} != {
            name: tensor.shape for name, tensor in weights.items()
        }:
            raise ModelError(f"{checkpoint}: its weights differ in name or shape from the others to average")
        for name, tensor in weights.items():
            share = tensor.double() / len(checkpoints)
            mean[name] = mean[name] + share if name in mean else share
    return {name: tensor.to(torch.float32) for name, tensor in mean.items()}
