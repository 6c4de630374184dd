"""nmt train killed: at random moments, and at each step of a save, it goes on by itself and ends as if never killed."""

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest
from lives import SMALL, copy_of, outcome, records, start

from nmt_cli.commands.train import train
from nmt_cli.runs.checkpoints import last_good_checkpoint
from nmt_cli.runs.directory import RunDirectory

pytestmark = pytest.mark.slow
EVERYTHING = [
    "training.update_tokens=100",
    "training.batch_tokens=40",
    "training.ema_decay=0.9",
    "training.word_dropout.source=0.1",
    "training.limits.updates=60",
    "training.validation={every: 10, metric: chrf, patience: null}",
    "training.checkpoints={every: 2, keep_last: 1, keep_best: 2}",
    "training.logging.every=1",
    "decoding.beam_size=1",
]
SCHEDULES = {
    "transformer": "training.schedule={type: plateau, patience: 1, warmup: 4}",
    "rnn": "training.schedule={type: linear, warmup: 4}",
}
KILLS = 25


def last_update(run: str) -> int:
    """The update of the newest checkpoint, which must be whole."""
    directory = RunDirectory(Path(run))
    checkpoint = last_good_checkpoint(directory)
    found = int(checkpoint.name.removeprefix("step_")) if checkpoint else 0
    assert found == (directory.steps() or [0])[-1]
    return found


def last_record(run: str) -> int:
    """The last update in the journal, of which the end may be cut."""
    journal = Path(run, "metrics.jsonl")
    whole = journal.read_bytes().rpartition(b"\n")[0] if journal.exists() else b""
    journal.write_bytes(whole + b"\n") if whole else None
    return max((int(record["step"]) for record in records(run, "train")), default=0) if whole else 0


def test_killed_at_random_moments_a_run_ends_as_one_never_killed(recipe: Path, architecture: str) -> None:
    settings = [*SMALL, *EVERYTHING, SCHEDULES[architecture]]
    began = time.monotonic()
    life = start("straight", settings)
    assert life.exit_code() == 0, life.told
    took, moments = time.monotonic() - began, random.Random(architecture)

    killed, starts, reached = 0, 0, 0
    while killed < KILLS:
        life, starts = start("killed", settings), starts + 1
        time.sleep(moments.uniform(0, 0.35 * took if killed % 5 else 0.05 * took))
        life.end(signal.SIGKILL)
        code = life.exit_code()
        assert code in (0, -signal.SIGKILL), life.told
        killed += code != 0
        if not Path("killed", "run.json").exists():
            continue
        saved = last_update("killed")
        assert saved >= reached, "what was saved once is never lost"
        assert last_record("killed") - saved <= 2, "at most one save interval is lost"
        reached = saved

    life = start("killed", settings)
    assert life.exit_code() == 0, life.told
    assert outcome("killed") == outcome("straight")
    assert [record["step"] for record in records("killed", "train")] == list(range(1, 61))


class Dying:
    """Kills this process instead of its n-th operation that changes a file of a folder."""

    def __init__(self, folder: Path, operation: int) -> None:
        self._folder, self._left = str(folder.resolve()), operation
        sys.addaudithook(self._on_event)
        self._fsync, os.fsync = os.fsync, self._dying_fsync

    def _on_event(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
            if writes and isinstance(path, str | os.PathLike) and self._folder in str(Path.cwd() / path):
                self._count()
        elif event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir"):
            self._count()

    def _dying_fsync(self, descriptor: int) -> None:
        self._count()
        self._fsync(descriptor)

    def _count(self) -> None:
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


STEPWISE = [
    *SMALL,
    "training.limits.updates=2",
    "training.validation={every: 1, metric: loss, patience: null}",
    "training.checkpoints={keep_last: 1, keep_best: 1}",
    "training.logging.every=1",
    "decoding.beam_size=1",
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
        life = start(copy_of("begun", "killed"), STEPWISE, before=lambda: Dying(Path("killed"), operation))  # noqa: B023
        code = life.exit_code()
        if code == 0:
            break
        assert code == -signal.SIGKILL, life.told
        assert last_update("killed") >= 1
        train(recipe, STEPWISE, Path("killed"))
        assert outcome("killed") == expected, f"killed at operation {operation}"
    assert operation > 100
