"""nmt train on a disk that is full, fails, or is taken away: one message, exit 5, and no harm to what was saved."""

import errno
import os
import shutil
import signal
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
    """A run of which one of two updates is saved."""
    train(recipe, SHORT, Path("straight"))
    train(recipe, [*SHORT, "training.limits.updates=1"], Path("begun"))
    shutil.rmtree("begun/model")
    return "begun"


def assert_told(forked: ForkedRun, *expected: str) -> None:
    assert forked.exit_code() == 5, forked.stderr
    assert forked.stderr.count("nmt: error:") == 1, forked.stderr
    assert "Traceback" not in forked.stderr
    for text in expected:
        assert text in forked.stderr


def assert_goes_on(run: str) -> None:
    train(RECIPE, SHORT, Path(run))
    assert outcome(run) == outcome("straight")


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_full_disk_harms_no_checkpoint_and_is_told(begun: str, name: str, share: float) -> None:
    size = RunDirectory(Path(begun)).checkpoint(1).joinpath(name).stat().st_size
    before = outcome(begun)
    forked = start(begun, SHORT, before=lambda: limit_file_size(int(share * size)))
    assert_told(forked, "update 2 ", "update 1)", "step_2.tmp/", "space")
    after = outcome(begun)
    assert {key: after[key] for key in after if key.startswith("checkpoints/")} == {
        key: before[key] for key in before if key.startswith("checkpoints/")
    }
    assert after["unfinished"] == []
    assert_goes_on(begun)


def test_a_disk_full_from_the_start_is_told(recipe: Path) -> None:
    train(recipe, SHORT, Path("straight"))
    assert_told(start("run", SHORT, before=lambda: limit_file_size(20_000)), "update 1 ")
    assert_goes_on("run")


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ENOSPC])
def test_whatever_the_disk_refuses_is_told_and_harms_nothing(begun: str, number: int) -> None:
    for operation in range(number % 7 + 1, 1000, 7):
        run = copy_run(begun, "refused")
        forked = start(run, SHORT, before=lambda: FailAtOperation(number, operation))  # noqa: B023
        if operation > 50 and forked.exit_code() == 0:
            return  # there were not so many
        assert_told(forked)
        assert last_good_checkpoint(RunDirectory(Path(run))) is not None
        assert_goes_on(run)


@pytest.mark.parametrize("takes_away", [shutil.rmtree, lambda run: run.rename("moved")], ids=["removed", "moved"])
def test_a_run_taken_away_while_it_trains_ends_with_a_message(recipe: Path, takes_away: object) -> None:
    assert callable(takes_away)
    forked = start("run", [*SHORT, "training.limits.updates=100000", "training.validation.every=100000"])
    wait_for(Path("run/metrics.jsonl").exists, forked)
    takes_away(Path("run"))
    forked.kill(signal.SIGTERM)
    assert_told(forked, "run")
    assert not Path("run").exists()


def test_where_nothing_may_be_written_it_is_told_before_the_first_update(recipe: Path) -> None:
    Path("locked").mkdir(mode=0o555)

    def as_somebody_else() -> None:
        if os.getuid() == 0:  # who may write everywhere
            Path.cwd().chmod(0o755)
            os.setuid(65534)

    forked = start("locked/run", SHORT, before=as_somebody_else)
    assert_told(forked, "locked/run/.lock: ")
    assert "update 1" not in forked.stderr


def test_of_two_started_at_once_one_trains_and_the_other_names_it(recipe: Path) -> None:
    train(recipe, SHORT, Path("straight"))
    for attempt in range(5):
        run = f"run{attempt}"
        forks = [start(run, SHORT), start(run, SHORT)]
        codes = [forked.exit_code() for forked in forks]
        assert sorted(codes) == [0, 7], [forked.stderr for forked in forks]
        winner, loser = forks[codes.index(0)], forks[codes.index(7)]
        assert f"{run}: " in loser.stderr and f" process {winner.process} " in loser.stderr
        assert outcome(run) == outcome("straight")
