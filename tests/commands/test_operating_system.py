"""nmt train under conditions that the operating system sets: umask, slow disks, little memory, long runs."""

import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from forked_runs import ForkedRun, outcome, start, wait_for

from nmt_cli import files
from nmt_cli.commands.train import train
from nmt_cli.runs.directory import RunDirectory

ROOT = Path(__file__).parents[2]
RECIPE = Path("recipe.yaml")
SHORT = ["training.limits.updates=6", "training.validation.every=3", "training.checkpoints.every=1"]
SHORT += ["training.validation.metric=loss", "training.logging.every=1"]
ENDLESS = ["training.limits.updates=1000000", "training.validation.every=1000000", *SHORT[2:]]
pytestmark = pytest.mark.parametrize("architecture", ["transformer"])


@pytest.mark.slow
def test_files_of_a_run_follow_the_umask(recipe: Path) -> None:
    umask = 0o027
    assert start("run", SHORT, before=lambda: os.umask(umask)).exit_code() == 0
    for path in Path("run").rglob("*"):
        allowed = 0o777 if path.is_dir() else 0o666
        assert stat.S_IMODE(path.stat().st_mode) == allowed & ~umask, path


def slow_down_fsync(seconds: float) -> None:
    fsync = os.fsync

    def slow_fsync(descriptor: int) -> None:
        time.sleep(seconds)
        fsync(descriptor)

    os.fsync = slow_fsync  # type: ignore[assignment]


@pytest.mark.long
@pytest.mark.slow
def test_saving_slower_than_the_interval_neither_overlaps_nor_delays_a_stop(recipe: Path) -> None:
    """Each of the fsyncs of a save takes longer than an update."""
    run = RunDirectory(Path("slow"))
    forked = start("slow", ENDLESS, before=lambda: slow_down_fsync(0.1))
    wait_for(lambda: len(run.saved_updates()) > 1 and run.saved_updates()[-1] >= 3, forked)
    assert len(files.leftovers(run.checkpoints)) <= 1, "one save at a time"
    began = time.monotonic()
    forked.kill(signal.SIGTERM)
    assert forked.exit_code(timeout=60) == 143
    assert time.monotonic() - began < 30
    saved = run.saved_updates()[-1]
    train(RECIPE, [f"training.limits.updates={saved + 2}", *ENDLESS[1:]], Path("slow"))
    assert run.saved_updates()[-1] == saved + 2


@pytest.mark.long
@pytest.mark.slow
def test_two_ranks_train_with_a_tiny_shared_memory(recipe: Path) -> None:
    command = (
        f"mount -t tmpfs -o size=64k tmpfs /dev/shm && exec {sys.executable} -m nmt_cli train --nproc 2 recipe.yaml"
    )
    if not shutil.which("unshare") or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run(["unshare", "-m", "sh", "-c", command], env=environment, check=True, timeout=300)


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A control group that limits memory."""
    group = Path("/sys/fs/cgroup/memory", f"nmt_test_{os.getpid()}")
    try:
        group.mkdir()
    except OSError:
        pytest.skip("needs the right to make a control group")
    yield group
    group.rmdir()


@pytest.mark.long
def test_run_killed_by_the_kernel_for_lack_of_memory_resumes(recipe: Path, memory_group: Path) -> None:
    train(RECIPE, SHORT, Path("straight"))
    forked = start("killed", SHORT)
    (memory_group / "cgroup.procs").write_text(str(forked.process))
    wait_for(lambda: bool(RunDirectory(Path("killed")).saved_updates()), forked)
    (memory_group / "memory.force_empty").write_text("0")
    used = int((memory_group / "memory.usage_in_bytes").read_text())
    (memory_group / "memory.limit_in_bytes").write_text(str(max(4096, used)))
    assert forked.exit_code() in (0, -signal.SIGKILL)
    train(RECIPE, SHORT, Path("killed"))
    assert outcome("killed") == outcome("straight")


def resident_bytes(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()


def num_descriptors(process: int) -> int:
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def updates_done(forked: ForkedRun, run: RunDirectory, number: int) -> None:
    wait_for(lambda: bool(run.saved_updates()) and run.saved_updates()[-1] >= number, forked, timeout=600)


@pytest.mark.long
def test_long_training_with_kills_leaks_nothing(recipe: Path) -> None:
    """Ten kills, then thousands of updates in one process, of which each tenth is validated and saved."""
    run = RunDirectory(Path("run"))
    settings = ["training.limits.updates=1000000", "training.validation.every=10", "training.validation.patience=null"]
    for number in range(10):
        forked = start("run", settings)
        updates_done(forked, run, 20 * (number + 1))
        forked.kill(signal.SIGKILL)
        assert forked.exit_code() == -signal.SIGKILL
    forked = start("run", settings)
    updates_done(forked, run, 700)
    before = resident_bytes(forked.process), num_descriptors(forked.process), time.monotonic()
    updates_done(forked, run, 3000)
    minutes = (time.monotonic() - before[2]) / 60
    grown = (resident_bytes(forked.process) - before[0]) / 2**20
    print(f"resident memory grew by {grown:.1f} MiB in {minutes:.1f} minutes and 2,300 updates")
    assert grown < max(10, minutes)
    assert num_descriptors(forked.process) <= before[1] + 2
    forked.kill(signal.SIGTERM)
    assert forked.exit_code() == 143
    assert len(run.saved_updates()) <= 4
    assert not files.leftovers(run.checkpoints)
    assert not files.leftovers(run.path)
