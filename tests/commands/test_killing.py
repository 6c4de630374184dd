"""nmt train, killed at random moments or at each step of a save, resumes and ends like an uninterrupted run."""

import random
import signal
import time
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from fault_injection import KillAtOperation
from forked_runs import copy_run, outcome, records, start

from nmt_cli.commands.train import train
from nmt_cli.runs.checkpoints import last_good_checkpoint
from nmt_cli.runs.directory import RunDirectory

pytestmark = pytest.mark.slow
UPDATES, MIN_KILLS = 24, 25
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
    """Return the update of the newest checkpoint, which must be complete; 0 if there is none."""
    directory = RunDirectory(Path(run))
    checkpoint = last_good_checkpoint(directory)
    found = int(checkpoint.name.removeprefix("step_")) if checkpoint else 0
    assert found == (directory.saved_updates() or [0])[-1]
    return found


def last_record(run: str) -> int:
    """Return the last update in the journal, after removing a partial line at its end."""
    journal = Path(run, "metrics.jsonl")
    complete = journal.read_bytes().rpartition(b"\n")[0] if journal.exists() else b""
    if not complete:
        return 0
    journal.write_bytes(complete + b"\n")
    return max((int(record["update"]) for record in records(run, "train")), default=0)


@pytest.mark.parametrize("architecture", ["transformer", pytest.param("rnn", marks=pytest.mark.long)])
def test_run_killed_at_random_moments_equals_uninterrupted_run(recipe: Path, architecture: str) -> None:
    settings = [*EVERYTHING, SCHEDULES[architecture]]
    began = time.monotonic()
    process = start("straight", settings)
    assert process.exit_code() == 0, process.stderr
    seconds, rng = time.monotonic() - began, random.Random(architecture)

    num_kills, runs = 0, 0
    while num_kills < MIN_KILLS:
        runs += 1
        num_kills += kills_until_finished(f"killed{runs}", settings, rng, seconds)
        assert outcome(f"killed{runs}") == outcome("straight")
        assert [record["update"] for record in records(f"killed{runs}", "train")] == list(range(1, UPDATES + 1))


def kills_until_finished(run: str, settings: list[str], rng: random.Random, seconds: float) -> int:
    """Start and kill a run until it finishes; return the number of kills.

    Each start must resume from the last checkpoint or a later one.

    Args:
        seconds: Duration of an uninterrupted run.
    """
    num_kills, last_saved, max_delay = 0, 0, 0.3 * seconds
    while True:
        process = start(run, settings)
        time.sleep(rng.uniform(0, max_delay if num_kills % 4 else max_delay / 6))
        process.kill(signal.SIGKILL)
        code = process.exit_code()
        if code == 0:
            return num_kills
        assert code == -signal.SIGKILL, process.stderr
        num_kills += 1
        saved = last_update(run) if Path(run, "run.json").exists() else 0
        assert saved >= last_saved, "a saved checkpoint is never lost"
        assert last_record(run) - saved <= 2, "at most one save interval is lost"
        max_delay *= (
            0.8 if saved > last_saved else 1.2
        )  # some progress on a busy machine, and not too much on a fast one
        last_saved = saved


STEPWISE = [
    "training.limits.updates=2",
    "training.validation={every: 1, metric: loss, patience: null}",
    "training.checkpoints={keep_last: 1, keep_best: 1}",
    "training.logging.every=1",
    "decoding={beam_size: 1, max_length: 1}",
]


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.long), 8])
@pytest.mark.parametrize("architecture", ["transformer"])
def test_run_killed_at_each_step_of_saving_and_publishing_equals_uninterrupted_run(recipe: Path, step: int) -> None:
    """Only one checkpoint is kept, so that each save also removes the previous one."""
    train(recipe, STEPWISE, Path("straight"))
    expected = outcome("straight")
    train(recipe, [*STEPWISE, "training.limits.updates=1"], Path("begun"))
    assert last_update("begun") == 1
    tested = list[dict[str, Any]]()
    for operation in count(1, step):
        run = copy_run("begun", "killed")
        process = start(run, STEPWISE, before=partial(KillAtOperation, Path("killed"), operation))
        code = process.exit_code()
        if code == 0:
            break
        assert code == -signal.SIGKILL, process.stderr
        assert last_update("killed") >= 1
        remains = outcome("killed")
        if remains in tested:  # the previous operation, such as fsync, has changed nothing
            continue
        tested.append(remains)
        train(recipe, STEPWISE, Path("killed"))
        assert outcome("killed") == expected, f"killed at operation {operation}"
    assert operation > 100
    assert len(tested) > 40 / step
