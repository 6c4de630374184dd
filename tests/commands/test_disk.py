"""nmt train on a disk that is full, fails or is removed: one message, exit code 5, and intact checkpoints."""

import errno
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_injection import FailAtOperation, limit_file_size
from forked_runs import ForkedRun, copy_run, outcome, start, wait_for

from nmt_cli.commands.train import train
from nmt_cli.runs.checkpoints import last_good_checkpoint
from nmt_cli.runs.directory import RunDirectory

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("architecture", ["transformer"])]
RECIPE = Path("recipe.yaml")
SHORT = [
    "training.limits.updates=2",
    "training.validation={every: 1, metric: loss, patience: null}",
    "training.checkpoints={keep_last: 2, keep_best: 1}",
    "decoding.beam_size=1",
]


@pytest.fixture
def begun(recipe: Path) -> str:
    """A run in which one of two updates is saved."""
    train(recipe, SHORT, Path("straight"))
    train(recipe, [*SHORT, "training.limits.updates=1"], Path("begun"))
    shutil.rmtree("begun/model")
    return "begun"


def assert_fails(forked: ForkedRun, *expected: str) -> None:
    assert forked.exit_code() == 5, forked.stderr
    assert forked.stderr.count("nmt: error:") == 1, forked.stderr
    assert "Traceback" not in forked.stderr
    for text in expected:
        assert text in forked.stderr


def assert_resumes(run: str) -> None:
    train(RECIPE, SHORT, Path(run))
    assert outcome(run) == outcome("straight")


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors"])
@pytest.mark.parametrize("fraction", [0.3, 0.9])
def test_full_disk_fails_and_keeps_checkpoints(begun: str, name: str, fraction: float) -> None:
    size = RunDirectory(Path(begun)).checkpoint(1).joinpath(name).stat().st_size
    before = outcome(begun)
    forked = start(begun, SHORT, before=lambda: limit_file_size(int(fraction * size)))
    assert_fails(forked, "update 2 ", "update 1)", "step_2.nmt-", "space")
    after = outcome(begun)
    assert {key: after[key] for key in after if key.startswith("checkpoints/")} == {
        key: before[key] for key in before if key.startswith("checkpoints/")
    }
    assert after["unfinished"] == []
    assert_resumes(begun)


def test_disk_full_from_the_start_fails_at_update_1(recipe: Path) -> None:
    train(recipe, SHORT, Path("straight"))
    assert_fails(start("run", SHORT, before=lambda: limit_file_size(20_000)), "update 1 ")
    assert_resumes("run")


@pytest.mark.parametrize("error_code", [errno.EIO, errno.EACCES, errno.ENOSPC])
def test_any_failing_operation_is_reported_and_run_resumes(begun: str, error_code: int) -> None:
    for operation in range(error_code % 7 + 1, 1000, 7):
        run = copy_run(begun, "failing")
        forked = start(run, SHORT, before=lambda: FailAtOperation(error_code, operation))  # noqa: B023
        if operation > 50 and forked.exit_code() == 0:
            return  # it has fewer operations
        assert_fails(forked)
        assert last_good_checkpoint(RunDirectory(Path(run))) is not None
        assert_resumes(run)


@pytest.mark.parametrize("remove", [shutil.rmtree, lambda run: run.rename("moved")], ids=["removed", "moved"])
def test_run_removed_during_training_fails(recipe: Path, remove: Callable[[Path], object]) -> None:
    forked = start("run", [*SHORT, "training.limits.updates=100000", "training.validation.every=100000"])
    wait_for(Path("run/metrics.jsonl").exists, forked)
    remove(Path("run"))
    forked.kill(signal.SIGTERM)
    assert_fails(forked, "run")
    assert not Path("run").exists()


def test_read_only_folder_fails_before_the_first_update(recipe: Path) -> None:
    Path("locked").mkdir(mode=0o555)

    def drop_privileges() -> None:
        if os.getuid() == 0:  # root may write everywhere
            Path.cwd().chmod(0o755)
            os.setuid(65534)

    forked = start("locked/run", SHORT, before=drop_privileges)
    assert_fails(forked, "locked/run/.lock: ")
    assert "update 1" not in forked.stderr


def test_second_of_two_concurrent_starts_names_the_first(recipe: Path) -> None:
    train(recipe, SHORT, Path("straight"))
    for attempt in range(5):
        run = f"run{attempt}"
        forks = [start(run, SHORT), start(run, SHORT)]
        codes = [forked.exit_code() for forked in forks]
        assert sorted(codes) == [0, 7], [forked.stderr for forked in forks]
        winner, loser = forks[codes.index(0)], forks[codes.index(7)]
        assert f"{run}: " in loser.stderr and f" process {winner.process} " in loser.stderr
        assert outcome(run) == outcome("straight")
