"""nmt train killed: at random moments, and at each step of a save, it goes on by itself and ends as if never killed."""

import random
import signal
import time
from functools import partial
from pathlib import Path

import pytest
from fault_injection import KillAtOperation
from forked_runs import copy_run, outcome, records, start

from nmt_cli.commands.train import train
from nmt_cli.runs.checkpoints import last_good_checkpoint
from nmt_cli.runs.directory import RunDirectory

each_architecture = pytest.mark.parametrize(
    "architecture", ["transformer", pytest.param("rnn", marks=pytest.mark.slow)]
)

pytestmark = pytest.mark.slow
UPDATES, KILLS = 24, 25
EVERYTHING = [
    "training.update_tokens=100",
    "training.batch_tokens=40",
    "training.ema_decay=0.9",
    "training.word_dropout.source=0.1",
    f"training.limits.updates={UPDATES}",
    "training.validation={every: 8, metric: chrf, patience: null}",
    "training.checkpoints={every: 2, keep_last: 1, keep_best: 2}",
    "training.logging.every=1",
    "decoding.beam_size=1",
]
SCHEDULES = {
    "transformer": "training.schedule={type: plateau, patience: 1, warmup: 4}",
    "rnn": "training.schedule={type: linear, warmup: 4}",
}


def last_update(run: str) -> int:
    """The update of the newest checkpoint, which must be whole."""
    directory = RunDirectory(Path(run))
    checkpoint = last_good_checkpoint(directory)
    found = int(checkpoint.name.removeprefix("step_")) if checkpoint else 0
    assert found == (directory.saved_updates() or [0])[-1]
    return found


def last_record(run: str) -> int:
    """The last update in the journal, of which the end may be cut."""
    journal = Path(run, "metrics.jsonl")
    whole = journal.read_bytes().rpartition(b"\n")[0] if journal.exists() else b""
    journal.write_bytes(whole + b"\n") if whole else None
    return max((int(record["update"]) for record in records(run, "train")), default=0) if whole else 0


@each_architecture
def test_killed_at_random_moments_a_run_ends_as_one_never_killed(recipe: Path, architecture: str) -> None:
    settings = [*EVERYTHING, SCHEDULES[architecture]]
    began = time.monotonic()
    process = start("straight", settings)
    assert process.exit_code() == 0, process.stderr
    took, moments = time.monotonic() - began, random.Random(architecture)

    killed, runs = 0, 0
    while killed < KILLS:
        runs += 1
        killed += kills_until_finished(f"killed{runs}", settings, moments, took)
        assert outcome(f"killed{runs}") == outcome("straight")
        assert [record["update"] for record in records(f"killed{runs}", "train")] == list(range(1, UPDATES + 1))


def kills_until_finished(run: str, settings: list[str], moments: random.Random, took: float) -> int:
    """Kill a run again and again; each start must go on from at least the last checkpoint that was announced."""
    killed, reached, longest = 0, 0, 0.3 * took
    while True:
        process = start(run, settings)
        time.sleep(moments.uniform(0, longest if killed % 4 else longest / 6))
        process.kill(signal.SIGKILL)
        code = process.exit_code()
        if code == 0:
            return killed
        assert code == -signal.SIGKILL, process.stderr
        killed += 1
        if Path(run, "run.json").exists():
            saved = last_update(run)
            assert saved >= reached, "what was saved once is never lost"
            assert last_record(run) - saved <= 2, "at most one save interval is lost"
            longest *= 0.8 if saved > reached else 1.2  # however busy the machine is: some progress, and not too much
            reached = saved


STEPWISE = [
    "training.limits.updates=2",
    "training.validation={every: 1, metric: loss, patience: null}",
    "training.checkpoints={keep_last: 1, keep_best: 1}",
    "training.logging.every=1",
    "decoding={beam_size: 1, max_length: 1}",
]


@pytest.mark.parametrize("architecture", ["transformer"])
def test_killed_at_each_step_of_saving_and_publishing_a_run_ends_as_one_never_killed(recipe: Path) -> None:
    """Only one checkpoint is kept, so that each save also removes the one before."""
    train(recipe, STEPWISE, Path("straight"))
    expected = outcome("straight")
    train(recipe, [*STEPWISE, "training.limits.updates=1"], Path("begun"))
    assert last_update("begun") == 1
    operation = 0
    while True:
        operation += 1
        run = copy_run("begun", "killed")
        process = start(run, STEPWISE, before=partial(KillAtOperation, Path("killed"), operation))
        code = process.exit_code()
        if code == 0:
            break
        assert code == -signal.SIGKILL, process.stderr
        assert last_update("killed") >= 1
        train(recipe, STEPWISE, Path("killed"))
        assert outcome("killed") == expected, f"killed at operation {operation}"
    assert operation > 100
