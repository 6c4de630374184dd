"""Checkpoints: saved whole or not at all, verified when loaded, pruned, averaged."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from nmt_cli import console, files
from nmt_cli.errors import ModelError
from nmt_cli.runs.directory import OPTIMIZER, STATE, WEIGHTS, RunDirectory


def save_checkpoint(
    run: RunDirectory,
    step: int,
    weights: Mapping[str, Tensor],
    optimizer: Mapping[str, Tensor],
    state: Mapping[str, Any],
) -> None:
    """Write `step_N/` and point `last` at it; a kill at any moment leaves the earlier checkpoints as they were."""
    if run.checkpoint(step).exists():
        return  # the same update gives the same bytes
    with files.new_folder(run.checkpoint(step)) as folder:
        write_tensors(folder / WEIGHTS, weights)
        write_tensors(folder / OPTIMIZER, optimizer)
        files.write_json(folder / STATE, dict(state))
        files.write_manifest(folder, {"format": 1, "step": step})
    files.write_json(run.pointer("last"), {"step": step})


def last_good_checkpoint(run: RunDirectory) -> Path | None:
    """The checkpoint of the highest update that is whole; damaged ones are named and passed over."""
    damaged = 0
    for step in reversed(run.steps()):
        try:
            files.read_manifest(run.checkpoint(step), ModelError)
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
