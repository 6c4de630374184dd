"""Damage anywhere in a checkpoint is found and reported, and the checkpoint is skipped."""

import random
import shutil
from pathlib import Path

import pytest
import torch

from nmt_cli.errors import ModelError
from nmt_cli.runs import checkpoints
from nmt_cli.runs.directory import OPTIMIZER, STATE, WEIGHTS, RunDirectory

FILES = (WEIGHTS, OPTIMIZER, STATE, "manifest.json")
by_file = pytest.mark.parametrize("name", FILES)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A run with two checkpoints, of updates 10 and 20."""
    run = RunDirectory(tmp_path / "run")
    for update in (10, 20):
        weights = {"layer.weight": torch.full((7, 5), 1 / update), "layer.bias": torch.arange(5.0) * update}
        optimizer_state = {f"exp_avg/{name}": tensor**2 for name, tensor in weights.items()}
        train_state = {"num_updates": update, "seconds": 0.1, "best": [[1.5, update]]}
        checkpoints.save_checkpoint(run, update, weights, optimizer_state, train_state)
    return run


def assert_skipped(run: RunDirectory, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert checkpoints.last_good_checkpoint(run) == run.checkpoint(10)
    stderr = capsys.readouterr().err
    assert stderr.count("nmt: warning: ") == 1
    assert str(run.checkpoint(20) / name) in stderr


def test_flipped_bit_anywhere_is_reported_with_its_file(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(1)
    for flip in range(200):
        path = run.checkpoint(20) / FILES[flip % 4]
        intact = path.read_bytes()
        damaged = bytearray(intact)
        damaged[rng.randrange(len(intact))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        # A damaged manifest may make another file seem damaged.
        assert_skipped(run, "" if path.name == "manifest.json" else path.name, capsys)
        path.write_bytes(intact)
    assert checkpoints.last_good_checkpoint(run) == run.checkpoint(20)


@by_file
def test_truncated_file_is_reported(run: RunDirectory, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = run.checkpoint(20) / name
    intact = path.read_bytes()
    for fortieth in range(40):
        path.write_bytes(intact[: len(intact) * fortieth // 40])
        assert_skipped(run, name, capsys)


@by_file
@pytest.mark.parametrize("content", [b"some text\n", b"{}", b"[]", b"null", b"\xff\xfe\x00"])
def test_file_with_other_content_is_reported(
    run: RunDirectory, name: str, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (run.checkpoint(20) / name).write_bytes(content)
    assert_skipped(run, name, capsys)


@by_file
def test_missing_file_is_reported(run: RunDirectory, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (run.checkpoint(20) / name).unlink()
    assert_skipped(run, name, capsys)


@by_file
def test_unreadable_file_is_reported(run: RunDirectory, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = run.checkpoint(20) / name
    path.unlink()
    path.mkdir()
    assert_skipped(run, name, capsys)


@by_file
def test_file_of_another_update_is_reported(run: RunDirectory, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(run.checkpoint(10) / name, run.checkpoint(20) / name)
    assert_skipped(run, "" if name == "manifest.json" else name, capsys)


def test_checkpoint_of_another_update_is_reported(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(run.checkpoint(20))
    shutil.copytree(run.checkpoint(10), run.checkpoint(20))
    assert_skipped(run, "manifest.json", capsys)


def test_read_error_is_a_model_error(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(path: Path) -> str:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("nmt_cli.files.sha256", failing)
    with pytest.raises(ModelError, match=r"model\.safetensors: .*Input/output error"):
        checkpoints.verify_checkpoint(run, 20)


def test_remove_damaged_removes_only_damaged_checkpoints(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    (run.checkpoint(10) / WEIGHTS).write_bytes(b"")
    checkpoints.remove_damaged(run, [10, 20])
    assert run.saved_updates() == [20]
    assert f"{run.checkpoint(10) / WEIGHTS}: " in capsys.readouterr().err
