"""A stopped nmt train saves, exits with the code of the signal, and resumes as if never stopped."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forked_runs import outcome, start, wait_for

from nmt_cli import console
from nmt_cli.commands import training_run
from nmt_cli.commands.stop import stop
from nmt_cli.commands.train import train
from nmt_cli.errors import StoppedError
from nmt_cli.reporting.inspection import describe_path
from nmt_cli.reporting.run_list import list_run
from nmt_cli.runs import checkpoints
from nmt_cli.training import loop

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.parametrize("architecture", ["transformer"])]
SHORT = [
    "training.limits.updates=12",
    "training.validation={every: 4, metric: loss, patience: null}",
    "training.checkpoints={keep_last: 1, keep_best: 2}",
    "training.logging.every=1",
    "decoding.beam_size=1",
]
MOMENTS = {
    "before update 1": (training_run, "iterate_updates"),
    "in a validation": (loop, "validate"),
    "in a save": (checkpoints, "save_checkpoint"),
}


def signal_at(moment: str, *signals: signal.Signals) -> Callable[[], None]:
    """Return a function that makes this process send itself signals at a given moment."""

    def prepare() -> None:
        module, name = MOMENTS[moment]
        original, left = getattr(module, name), list(signals)

        def interrupted(*arguments: Any) -> Any:
            while left:
                os.kill(os.getpid(), left.pop())
            return original(*arguments)

        setattr(module, name, interrupted)

    return prepare


_uninterrupted: dict[str, Any] = {}
"""Outcome of an uninterrupted run, which is the same in all tests."""


def assert_resumes(recipe: Path) -> None:
    """Resume the stopped run and compare it with an uninterrupted one."""
    if not _uninterrupted:
        train(recipe, SHORT, Path("straight"))
        _uninterrupted.update(outcome("straight"))
    train(recipe, SHORT, Path("stopped"))
    assert outcome("stopped") == _uninterrupted


@pytest.mark.parametrize(
    ("moment", "signum", "code"),
    [
        *((moment, signal.SIGTERM, 143) for moment in MOMENTS),
        ("in a save", signal.SIGINT, 130),
        ("in a validation", signal.SIGHUP, 129),
    ],
    ids=str,
)
def test_signal_at_any_moment_saves(recipe: Path, moment: str, signum: signal.Signals, code: int) -> None:
    forked = start("stopped", SHORT, before=signal_at(moment, signum))
    assert forked.exit_code() == code, forked.stderr
    update = json.loads(Path("stopped/checkpoints/last.json").read_bytes())["update"]
    assert re.search(rf"nmt: stopped by {signum.name} .*update {update}; ", forked.stderr)
    assert json.loads(Path("stopped/run.json").read_bytes())["status"] == "stopped"
    assert_resumes(recipe)


@pytest.mark.parametrize("moment", MOMENTS)
def test_second_signal_ends_immediately(recipe: Path, moment: str) -> None:
    forked = start("stopped", SHORT, before=signal_at(moment, signal.SIGINT, signal.SIGINT))
    assert forked.exit_code() == -signal.SIGINT, forked.stderr
    assert_resumes(recipe)


def test_suspended_process_continues(recipe: Path) -> None:
    forked = start("stopped", SHORT)
    wait_for(Path("stopped/metrics.jsonl").exists, forked)
    forked.kill(signal.SIGSTOP)
    time.sleep(0.5)
    forked.kill(signal.SIGCONT)
    assert forked.exit_code() == 0, forked.stderr
    assert_resumes(recipe)


def test_ignored_signal_stays_ignored(recipe: Path) -> None:
    """As under nohup, or for Ctrl-C in a background job."""

    def prepare() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal_at("in a validation", signal.SIGHUP)()

    forked = start("stopped", SHORT, before=prepare)
    assert forked.exit_code() == 0, forked.stderr
    assert_resumes(recipe)


@pytest.mark.parametrize("closed", ["", "<&- >&- 2>&-"])
def test_run_needs_no_terminal_and_no_hash_seed(recipe: Path, closed: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    changes = " ".join(f"--set '{setting}'" for setting in SHORT)
    command = f"exec {sys.executable} -m nmt_cli train {recipe} --run stopped {changes} {closed}"
    assert subprocess.run(["bash", "-c", command], env=environment, capture_output=True).returncode == 0
    assert_resumes(recipe)


def test_run_can_be_watched_and_stopped_without_a_signal(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first checkpoint and the end of the first logging interval; as from another machine or user."""

    def slow_updates() -> None:
        original = loop._forward_backward

        def delayed(*arguments: Any) -> Any:
            time.sleep(0.05)
            return original(*arguments)

        loop._forward_backward = delayed

    settings = ["training.limits.updates=1000", "training.validation.every=1000", "training.logging.every=1000"]
    forked = start("stopped", [*SHORT, *settings], before=slow_updates)
    journal = Path("stopped/metrics.jsonl")
    wait_for(lambda: journal.exists() and b'"progress"' in journal.read_bytes(), forked)
    listed = list_run(Path("stopped"))
    assert (listed.status, listed.update) == ("running", 1)
    live = listed.live
    assert live is not None
    assert live.holder.process_id == forked.process
    assert live.loss is not None
    assert 0 < live.loss < 10
    assert live.end is not None
    assert 0 < live.end - time.time() < 1000
    assert "nmt train" not in describe_path(Path("stopped")).next

    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", refuse_signal)
        stop(Path("stopped"), console)
    assert forked.exit_code() == 143
    assert "stopped by nmt stop at update" in forked.stderr
    listed = list_run(Path("stopped"))
    assert (listed.status, listed.live) == ("stopped", None)
    assert list(Path("stopped/checkpoints").glob("step_*"))
    lines = [line[21:] for line in Path("stopped/train.log").read_text().splitlines()]
    assert [line for line in forked.stderr.splitlines() if line.startswith(("nmt: error", "update 1 ", "stopped: "))]
    assert lines == forked.stderr.splitlines()


def test_torchrun_does_not_restart_a_run_that_was_asked_to_stop(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("stopped").mkdir()
    Path("stopped/.stop").touch()
    with monkeypatch.context() as patch, pytest.raises(StoppedError, match="nmt stop at update 1;"):
        patch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
        train(recipe, SHORT, Path("stopped"))
    assert_resumes(recipe)


def refuse_signal(*_arguments: object) -> None:
    raise PermissionError
