"""Locks exclude other processes and name their holder."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nmt_cli.errors import DataError, RunInUseError
from nmt_cli.locks import check_free, lock, lock_holder

ROOT = Path(__file__).parents[1]


def start(program: str, *arguments: Path) -> subprocess.Popen[str]:
    """Start a program in another process."""
    program = f"import sys, time\nfrom pathlib import Path\nfrom nmt_cli.locks import lock\n{program}"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


HOLD = """
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_lock_excludes_and_names_other_process(tmp_path: Path) -> None:
    with start(HOLD, tmp_path / "lock") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(RunInUseError, match=f" {process.pid} "), lock(tmp_path / "lock"):
            pass
        process.kill()


def test_lock_of_killed_process_is_released(tmp_path: Path) -> None:
    with start(HOLD, tmp_path / "lock") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    with lock(tmp_path / "lock"):
        assert f"process {os.getpid()} on " in (tmp_path / "lock").read_text()


def test_shared_lock_excludes_exclusive_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock(path, shared=True), lock(path, shared=True), pytest.raises(RunInUseError), lock(path):
        pass
    with lock(path), pytest.raises(RunInUseError), lock(path, shared=True):
        pass


def test_lock_is_won_by_one_of_many_processes(tmp_path: Path) -> None:
    program = """
while not Path(sys.argv[2]).exists():
    time.sleep(0.001)
try:
    with lock(Path(sys.argv[1])):
        print("won", flush=True)
        time.sleep(0.5)
except Exception as error:
    print(type(error).__name__)
"""
    processes = [start(program, tmp_path / "lock", tmp_path / "go") for _ in range(4)]
    time.sleep(0.3)
    (tmp_path / "go").touch()
    outputs = sorted(process.communicate(timeout=30)[0] for process in processes)
    assert outputs == ["RunInUseError\n"] * 3 + ["won\n"]


@pytest.mark.parametrize(("name", "locked"), [("run/.lock", "run"), ("prepared.lock", "prepared")])
def test_message_names_the_locked_folder(tmp_path: Path, name: str, locked: str) -> None:
    with lock(tmp_path / name), pytest.raises(RunInUseError, match=f"^{tmp_path / locked}: "), lock(tmp_path / name):
        pass


def test_check_of_a_free_lock_raises_what_locking_would_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    check_free(path)
    assert not path.exists()
    with lock(path), pytest.raises(RunInUseError):
        check_free(path)
    with lock(path, shared=True), pytest.raises(RunInUseError):
        check_free(path)
    path.write_text("process 7 on elsewhere")  # as in a copied folder
    check_free(path)
    with lock(path):  # which is not held any longer
        pass
    path.write_text("notes")
    with pytest.raises(DataError):
        check_free(path)
    assert path.read_text() == "notes"


def test_lock_holder_is_the_process_that_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert lock_holder(path) is None
    with start(HOLD, path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        holder = lock_holder(path)
        assert holder is not None
        assert (holder.process_id, holder.is_local) == (process.pid, True)
        process.kill()
    assert lock_holder(path) is None


def test_lock_holder_does_not_trust_the_id_of_a_living_process(tmp_path: Path) -> None:
    """The system may have given the id of a killed process to another one."""
    path = tmp_path / "lock"
    path.write_text(f"process {os.getppid()} on {os.uname().nodename}")
    assert lock_holder(path) is None


def test_lock_holder_on_another_machine_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("process 7 on elsewhere")
    holder = lock_holder(path)
    assert holder is not None
    assert (str(holder), holder.is_local) == ("process 7 on elsewhere", False)


@pytest.mark.parametrize("content", [b"", b"\xff", b"process x on y", b"process 1" + b"0" * 400])
def test_lock_holder_ignores_foreign_content(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lock"
    path.write_bytes(content)
    assert lock_holder(path) is None


def test_lock_holder_opens_neither_links_nor_waits_for_pipes(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("process 7 on elsewhere")
    (tmp_path / "link").symlink_to(tmp_path / "other")
    os.mkfifo(tmp_path / "pipe")
    assert lock_holder(tmp_path / "link") is None
    assert lock_holder(tmp_path / "pipe") is None


def test_looking_at_a_lock_does_not_make_locking_fail(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = """
from nmt_cli.locks import lock_holder
print("looking", flush=True)
while True:
    lock_holder(Path(sys.argv[1]))
    time.sleep(0.001)
"""
    with start(program, path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        for _ in range(200):
            with lock(path):
                pass
        process.kill()
