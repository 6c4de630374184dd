"""nmt stop: runs that cannot be stopped, and processes that are not theirs."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_runs import FakeRun, write_run

from nmt_cli import console, files
from nmt_cli.commands.stop import stop
from nmt_cli.errors import ModelError, ResourceError, RunInUseError

os_open = os.open


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    """A run that a process trains, or has trained until it was killed."""
    monkeypatch.chdir(tmp_path)
    fake_run = write_run(Path("runs/small"))
    files.write_json(fake_run.run.summary, {"status": "running"})
    return fake_run


def test_stop_ends_the_process_that_holds_the_run(running: FakeRun) -> None:
    program = """
import sys, time
from pathlib import Path
from nmt_cli.locks import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
    command = [sys.executable, "-c", program, str(running.run.lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        stop(running.path, console)
        assert process.wait(timeout=10) == -signal.SIGTERM


def test_stop_spares_a_process_that_got_the_id_of_the_killed_one(
    running: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("a foreign process was signalled"))
    running.run.lock.write_text(f"process {os.getpid()} on {os.uname().nodename}")
    stop(running.path, console)


def test_stop_waits_for_a_process_on_another_machine(running: FakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """It removes an earlier request as it starts, obeys the next one, and leaves its name in the lock file."""
    running.run.lock.write_text("process 7 on elsewhere")
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("a process on this machine was signalled"))
    requests = []

    def other_machine(_seconds: float) -> None:
        requests.append(running.run.stop_request.exists())
        running.run.stop_request.unlink()
        if len(requests) == 2:
            files.write_json(running.run.summary, {"status": "stopped", "update": 12})

    monkeypatch.setattr(time, "sleep", other_machine)
    stop(running.path, console)
    assert requests == [True, True]


def test_stop_does_not_wait_for_a_dead_process_on_another_machine(
    running: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.run.lock.write_text("process 7 on elsewhere")
    for path in (running.run.metrics, running.run.log, running.run.summary, running.run.checkpoints):
        if path.exists():
            os.utime(path, (0, time.time() - 3700))
    monkeypatch.setattr("nmt_cli.commands.stop._MIN_SECONDS", 0)
    with pytest.raises(RunInUseError, match=r"process 7 on elsewhere has written nothing for 1:01:4\d; .*remove "):
        stop(running.path, console)
    assert running.run.stop_request.exists()


def test_stop_reports_a_folder_that_cannot_be_written(running: FakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    running.run.lock.write_text("process 7 on elsewhere")
    monkeypatch.setattr(os, "open", lambda path, flags, *mode: refuse() if flags & os.O_CREAT else os_open(path, flags))
    with pytest.raises(ResourceError, match=r"\.stop: .*Permission denied"):
        stop(running.path, console)


def test_stop_refuses_what_is_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"^{tmp_path}: "):
        stop(tmp_path, console)
