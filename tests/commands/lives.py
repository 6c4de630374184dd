"""Lives of a run: nmt in processes forked from this one, in which torch is loaded already: a start is cheap."""

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

_numbers = itertools.count()


@dataclass
class Life:
    """One start of nmt, in a process group of its own."""

    process: int
    log: Path
    ended: int | None = None
    """Its exit code once it was waited for; kept here, as the system may give another life the same number."""

    def end(self, number: int) -> None:
        """Send a signal to all of it."""
        os.killpg(self.process, number)

    def exit_code(self, timeout: float = 120) -> int:
        """Wait for the end: an exit code, or minus the signal that ended it."""
        deadline = time.monotonic() + timeout
        while self.ended is None and time.monotonic() < deadline:
            done, status = os.waitpid(self.process, os.WNOHANG)
            if done:
                self.ended = os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        if self.ended is not None:
            return self.ended
        self.end(signal.SIGKILL)
        os.waitpid(self.process, 0)
        raise AssertionError(f"did not end within {timeout:g} seconds:\n{self.told}")

    @property
    def told(self) -> str:
        """What it said on stderr."""
        return self.log.read_text()


def start(run: str, settings: list[str], before: Callable[[], object] = lambda: None) -> Life:
    """Start `nmt train recipe.yaml` in another process; `before` is done there first."""
    told = [word for setting in settings for word in ("--set", setting)]
    return start_command(["train", "recipe.yaml", "--run", run, *told], before)


def start_command(arguments: list[str], before: Callable[[], object] = lambda: None) -> Life:
    """Start nmt in another process; `before` is done there first."""
    log = Path(f"life{next(_numbers)}.log")
    log.touch()  # it may be killed before it says anything
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that other threads are not forked along
        process = os.fork()
    if process:
        with suppress(ProcessLookupError, PermissionError):  # it may be that far, or over, by itself
            os.setpgid(process, process)
        return Life(process, log)
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


def wait_for(is_so: Callable[[], bool], life: Life, timeout: float = 120) -> None:
    """Wait until something is true while nmt train goes on."""
    deadline = time.monotonic() + timeout
    while not is_so():
        assert time.monotonic() < deadline, life.told
        assert Path(f"/proc/{life.process}/stat").read_text().rpartition(")")[2].split()[0] != "Z", life.told
        time.sleep(0.001)


def train_in_lives(
    monkeypatch: pytest.MonkeyPatch, run: str, settings: list[str], updates: int, at_most: int = 100
) -> int:
    """Train in this process, told to stop after each few updates; the number of lives it took."""

    @contextmanager
    def stopping() -> Any:
        asked = iter([None] * (updates - 1))
        yield lambda: next(asked, signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(training_run, "catch_stop_signals", stopping)
        for life in range(1, at_most):
            try:
                train(Path("recipe.yaml"), settings, Path(run))
            except StoppedError:
                continue
            return life
    raise AssertionError(f"not finished after {at_most} lives")


def records(run: str, *kinds: str) -> list[dict[str, Any]]:
    """The journal's records of some kinds; every line must be whole."""
    content = Path(run, "metrics.jsonl").read_bytes()
    assert content.endswith(b"\n")
    every = [json.loads(line) for line in content.split(b"\n")[:-1]]
    return [record for record in every if record["kind"] in kinds]


TIMES = {"time", "seconds", "target_tokens_per_second", "model_flops_utilization", "data_wait_fraction", "memory_bytes"}
"""What depends on how fast a machine is."""


def outcome(run: str) -> dict[str, Any]:
    """All that a run has become, times apart: hashes of tensors, progress, pointers, journal, model."""
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


def copy_of(run: str, name: str) -> str:
    """A run's files once more, under another name."""
    shutil.rmtree(name, ignore_errors=True)
    shutil.copytree(run, name)
    return name
