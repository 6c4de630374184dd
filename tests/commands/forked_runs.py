"""Run nmt in processes forked from this one, which start fast as torch is already imported."""

import itertools
import json
import os
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nmt_cli import files
from nmt_cli.cli import main
from nmt_cli.commands import training_run
from nmt_cli.commands.train import train
from nmt_cli.errors import StoppedError
from nmt_cli.runs.directory import RunDirectory

_log_numbers = itertools.count()


@dataclass
class ForkedRun:
    """A forked nmt process in its own process group."""

    process: int
    log: Path
    returncode: int | None = None
    """Set by `exit_code`, after which the system may reuse the process id."""

    def kill(self, signum: int) -> None:
        """Send a signal to the process group."""
        os.killpg(self.process, signum)

    def exit_code(self, timeout: float = 120) -> int:
        """Wait for the end and return the exit code, negative for a signal."""
        deadline = time.monotonic() + timeout
        while self.returncode is None and time.monotonic() < deadline:
            done, status = os.waitpid(self.process, os.WNOHANG)
            if done:
                self.returncode = os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        if self.returncode is not None:
            return self.returncode
        self.kill(signal.SIGKILL)
        os.waitpid(self.process, 0)
        raise AssertionError(f"did not end within {timeout:g} seconds:\n{self.stderr}")

    @property
    def stderr(self) -> str:
        """Output on stdout and stderr so far."""
        return self.log.read_text()


def start(run: str, settings: list[str], before: Callable[[], object] = lambda: None) -> ForkedRun:
    """Start `nmt train recipe.yaml` in another process after calling `before` there."""
    options = [word for setting in settings for word in ("--set", setting)]
    return start_command(["train", "recipe.yaml", "--run", run, *options], before)


def start_command(arguments: list[str], before: Callable[[], object] = lambda: None) -> ForkedRun:
    """Start nmt in another process after calling `before` there."""
    log = Path(f"forked{next(_log_numbers)}.log")
    log.touch()  # the process may be killed before it writes anything
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads are not forked
        process = os.fork()
    if process:
        with suppress(ProcessLookupError, PermissionError):  # the process may have done so itself, or have ended
            os.setpgid(process, process)
        return ForkedRun(process, log)
    code = 1
    try:
        os.setpgid(0, 0)
        with log.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        sys.argv = ["nmt", *arguments]
        before()
        main()
    except SystemExit as done:
        code = int(done.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)
    raise AssertionError


def wait_for(condition: Callable[[], bool], forked: ForkedRun, timeout: float = 120) -> None:
    """Wait until a condition holds while nmt is running; end nmt if it does not hold in time."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            forked.kill(signal.SIGKILL)
            raise AssertionError(forked.stderr)
        assert Path(f"/proc/{forked.process}/stat").read_text().rpartition(")")[2].split()[0] != "Z", forked.stderr
        time.sleep(0.001)


def train_with_interruptions(
    monkeypatch: pytest.MonkeyPatch, run: str, settings: list[str], updates: int, max_starts: int = 100
) -> int:
    """Train in this process, stopping after every few updates; return the number of starts."""

    @contextmanager
    def stopping(_reporter: object) -> Any:
        signals = iter([None] * (updates - 1))
        yield lambda: next(signals, signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(training_run, "catch_stop_signals", stopping)
        for starts in range(1, max_starts):
            try:
                train(Path("recipe.yaml"), settings, Path(run))
            except StoppedError:
                continue
            return starts
    raise AssertionError(f"not finished after {max_starts} starts")


def records(run: str, *kinds: str) -> list[dict[str, Any]]:
    """Return the training log records of some kinds. Every line must be complete."""
    content = Path(run, "metrics.jsonl").read_bytes()
    assert content.endswith(b"\n")
    every = [json.loads(line) for line in content.split(b"\n")[:-1]]
    return [record for record in every if record["kind"] in kinds]


TIMES = {
    "time",
    "seconds",
    "seconds_left",
    "target_tokens_per_second",
    "model_flops_utilization",
    "data_wait_fraction",
    "memory_bytes",
}
"""Fields that depend on the speed of the machine."""


def outcome(run: str) -> dict[str, Any]:
    """Return the state of a run without times: hashes of tensors, counters, pointers, log and model."""
    directory, found = RunDirectory(Path(run)), dict[str, Any]()
    for path in sorted(directory.path.rglob("*")):
        name = str(path.relative_to(directory.path))
        if path.suffix == ".safetensors":
            found[name] = files.sha256(path)
        elif path.name in ("state.json", "last.json", "best.json"):
            found[name] = {key: value for key, value in json.loads(path.read_bytes()).items() if key not in TIMES}
    found["journal"] = [
        {key: value for key, value in record.items() if key not in TIMES} for record in records(run, "train", "valid")
    ]
    summary = json.loads(directory.summary.read_bytes())
    found["summary"] = {key: summary.get(key) for key in ("status", "reason", "update", "best", "data")}
    found["unfinished"] = sorted(path.name for path in directory.path.rglob("*.tmp"))
    found["names"] = sorted(str(path.relative_to(directory.path)) for path in directory.path.rglob("*"))
    return found


def copy_run(run: str, name: str) -> str:
    """Copy a run and return the new name."""
    shutil.rmtree(name, ignore_errors=True)
    shutil.copytree(run, name)
    return name
