"""Checkpoints are complete or absent, verified when loaded, and averaged exactly."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nmt_cli.errors import ModelError
from nmt_cli.runs import checkpoints
from nmt_cli.runs.directory import OPTIMIZER, STATE, WEIGHTS, RunDirectory


def weights(value: float) -> dict[str, Tensor]:
    return {"layer.weight": torch.full((3, 2), value), "layer.bias": torch.arange(2.0) * value}


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(tmp_path / "run")
    optimizer_state = {"exp_avg/layer.bias": torch.ones(2)}
    for update in (10, 9, 100):
        checkpoints.save_checkpoint(run, update, weights(update), optimizer_state, {"num_updates": update})
    return run


def test_saved_checkpoint_is_read_unchanged(run: RunDirectory) -> None:
    folder = run.checkpoint(9)
    read = checkpoints.read_tensors(folder / WEIGHTS)
    assert all(torch.equal(read[name], tensor) for name, tensor in weights(9).items())
    assert checkpoints.read_train_state(folder) == {"num_updates": 9}


def test_last_good_checkpoint_has_the_highest_update(run: RunDirectory) -> None:
    assert run.saved_updates() == [9, 10, 100]
    assert checkpoints.last_good_checkpoint(run) == run.checkpoint(100)


@pytest.mark.parametrize("name", [WEIGHTS, OPTIMIZER, STATE, "manifest.json"])
@pytest.mark.parametrize("damage", ["flip a bit", "truncate", "remove"])
def test_damaged_checkpoint_is_reported_and_skipped(
    run: RunDirectory, name: str, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run.checkpoint(100) / name
    content = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    elif damage == "truncate":
        path.write_bytes(content[:-3])
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    assert checkpoints.last_good_checkpoint(run) == run.checkpoint(10)
    assert f"{run.checkpoint(100)}" in capsys.readouterr().err


def test_run_without_intact_checkpoint_is_a_model_error(run: RunDirectory) -> None:
    for update in run.saved_updates():
        (run.checkpoint(update) / WEIGHTS).write_bytes(b"")
    with pytest.raises(ModelError, match="checkpoints: "):
        checkpoints.last_good_checkpoint(run)


def test_partial_checkpoint_is_ignored(run: RunDirectory) -> None:
    (run.checkpoints / "step_200.nmt-0123abcd.tmp").mkdir()
    assert checkpoints.last_good_checkpoint(run) == run.checkpoint(100)


def test_prune_checkpoints_keeps_the_given_updates(run: RunDirectory) -> None:
    checkpoints.prune_checkpoints(run, keep=[9, 100, 7])
    assert run.saved_updates() == [9, 100]


def test_average_of_one_checkpoint_is_identical(run: RunDirectory) -> None:
    averaged = checkpoints.average_checkpoints([run.checkpoint(9)])
    assert all(torch.equal(averaged[name], tensor) for name, tensor in weights(9).items())


def test_average_checkpoints_is_the_mean(run: RunDirectory) -> None:
    averaged = checkpoints.average_checkpoints([run.checkpoint(9), run.checkpoint(10), run.checkpoint(100)])
    assert torch.allclose(averaged["layer.weight"], torch.full((3, 2), 119 / 3))


def test_average_of_different_shapes_is_a_model_error(run: RunDirectory) -> None:
    checkpoints.save_checkpoint(run, 3, {"layer.weight": torch.ones(1)}, {}, {})
    with pytest.raises(ModelError, match="step_3"):
        checkpoints.average_checkpoints([run.checkpoint(9), run.checkpoint(3)])


@pytest.mark.parametrize("content", [b"", b"text", b"\xff" * 8 + b"{}", b"\x80\x04\x95pickle"])
def test_read_tensors_of_another_format_is_a_model_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / WEIGHTS
    path.write_bytes(content)
    for read in (checkpoints.read_tensors, lambda path: checkpoints.map_tensors(path, ())):
        with pytest.raises(ModelError, match=WEIGHTS):
            read(path)


def test_mapped_tensors_are_equal_and_independent_of_the_file(tmp_path: Path) -> None:
    path, tensors = tmp_path / WEIGHTS, {"a": torch.randn(3, 5), "b": torch.randn(2), "c": torch.ones(())}
    checkpoints.write_tensors(path, tensors)
    for _ in range(2):
        found = checkpoints.map_tensors(path, {"a"})
        assert found.keys() == tensors.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
        found["a"].zero_()  # in memory only
    checkpoints.write_tensors(path, {"a": torch.ones(2, dtype=torch.bfloat16)})
    assert checkpoints.map_tensors(path, {"a"})["a"].dtype == torch.bfloat16


def test_checkpoint_is_on_disk_before_others_are_removed(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this order: its files, the folder, the new name in the folder above; then older checkpoints are removed."""
    events, fsync, rename, rmtree = list[tuple[str, Path]](), os.fsync, Path.rename, shutil.rmtree

    def path_of(descriptor: int) -> Path:
        return Path(f"/proc/self/fd/{descriptor}").readlink()

    def fsyncing(descriptor: int) -> None:
        events.append(("fsync", path_of(descriptor)))
        fsync(descriptor)

    def renaming(path: Path, target: Path) -> Path:
        renamed = rename(path, target)
        events.append(("rename", renamed))
        return renamed

    def removing(path: Path) -> None:
        events.append(("remove", Path(path)))
        rmtree(path)

    monkeypatch.setattr(os, "fsync", fsyncing)
    monkeypatch.setattr(Path, "rename", renaming)
    monkeypatch.setattr(Path, "replace", renaming)
    monkeypatch.setattr(shutil, "rmtree", removing)
    checkpoints.save_checkpoint(run, 200, weights(2), {"exp_avg/layer.bias": torch.ones(2)}, {"num_updates": 200})
    checkpoints.prune_checkpoints(run, [200])

    folder = run.checkpoint(200)
    renamed = events.index(("rename", folder))
    unfinished = events[renamed - 1][1]
    assert events[renamed - 1][0] == "fsync"
    assert unfinished.parent == run.checkpoints, "the folder itself"
    assert unfinished != folder
    assert {("fsync", unfinished / path.name) for path in folder.iterdir()} <= set(events[:renamed])
    assert events[renamed + 1] == ("fsync", run.checkpoints)
    assert events.index(("remove", run.checkpoint(9))) > renamed + 1
