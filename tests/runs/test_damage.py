"""Damage to a checkpoint, wherever it falls, is found, named and passed over."""

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
    for step in (10, 20):
        weights = {"layer.weight": torch.full((7, 5), 1 / step), "layer.bias": torch.arange(5.0) * step}
        memory = {f"exp_avg/{name}": tensor**2 for name, tensor in weights.items()}
        checkpoints.save_checkpoint(run, step, weights, memory, {"step": step, "seconds": 0.1, "best": [[1.5, step]]})
    return run


def assert_passed_over(run: RunDirectory, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert checkpoints.last_good_checkpoint(run) == run.checkpoint(10)
    told = capsys.readouterr().err
    assert told.count("nmt: warning: ") == 1
    assert str(run.checkpoint(20) / name) in told


def test_a_bit_flipped_anywhere_is_found_and_its_file_named(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    places = random.Random(1)
    for flip in range(200):
        path = run.checkpoint(20) / FILES[flip % 4]
        whole = path.read_bytes()
        damaged = bytearray(whole)
        damaged[places.randrange(len(whole))] ^= 1 << places.randrange(8)
        path.write_bytes(damaged)
        # Where the manifest is damaged, it may seem that another file is.
        assert_passed_over(run, "" if path.name == "manifest.json" else path.name, capsys)
        path.write_bytes(whole)
    assert checkpoints.last_good_checkpoint(run) == run.checkpoint(20)


@by_file
def test_a_file_cut_anywhere_is_found_and_named(
    run: RunDirectory, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run.checkpoint(20) / name
    whole = path.read_bytes()
    for fortieth in range(40):
        path.write_bytes(whole[: len(whole) * fortieth // 40])
        assert_passed_over(run, name, capsys)


@by_file
@pytest.mark.parametrize("content", [b"some text\n", b"{}", b"[]", b"null", b"\xff\xfe\x00"])
def test_a_file_of_other_content_is_found_and_named(
    run: RunDirectory, name: str, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (run.checkpoint(20) / name).write_bytes(content)
    assert_passed_over(run, name, capsys)


@by_file
def test_a_missing_file_is_named(run: RunDirectory, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (run.checkpoint(20) / name).unlink()
    assert_passed_over(run, name, capsys)


@by_file
def test_a_file_that_cannot_be_read_is_named(run: RunDirectory, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = run.checkpoint(20) / name
    path.unlink()
    path.mkdir()
    assert_passed_over(run, name, capsys)


@by_file
def test_files_of_two_updates_do_not_mix(run: RunDirectory, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(run.checkpoint(10) / name, run.checkpoint(20) / name)
    assert_passed_over(run, "" if name == "manifest.json" else name, capsys)


def test_the_checkpoint_of_another_update_is_not_taken_for_this_one(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(run.checkpoint(20))
    shutil.copytree(run.checkpoint(10), run.checkpoint(20))
    assert_passed_over(run, "manifest.json", capsys)


def test_a_disk_that_fails_to_read_is_no_bug_of_ours(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(path: Path) -> str:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("nmt_cli.files.sha256", failing)
    with pytest.raises(ModelError, match=r"model\.safetensors: .*Input/output error"):
        checkpoints.verify_checkpoint(run, 20)


def test_damaged_ones_can_be_left_out(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    (run.checkpoint(10) / WEIGHTS).write_bytes(b"")
    checkpoints.remove_damaged(run, [10, 20])
    assert run.saved_updates() == [20]
    assert f"{run.checkpoint(10) / WEIGHTS}: " in capsys.readouterr().err
