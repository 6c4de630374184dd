"""nmt preprocess, killed, without workers or on a full disk, leaves complete data or none that is valid."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from preparing import contents
from process_state import is_alive

from nmt_cli.commands.preprocess import preprocess
from nmt_cli.data.preparation import shards
from nmt_cli.data.prepared import is_current, open_prepared
from nmt_cli.errors import DataError
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import Recipe

pytestmark = pytest.mark.slow
MIN_KILLS = 20
RECIPE = Path("recipe.yaml")
SIZES = (150, 160)
"""Vocabulary sizes of two recipes that are prepared in turn."""


@pytest.fixture
def expected(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[int, dict[str, bytes]]]:
    """Return the prepared files of both recipes, for a corpus of many small shards with duplicates."""
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefgh", k=rng.randint(2, 6))) for _ in range(90)]
    lines = [" ".join(rng.choices(words, k=5)) for _ in range(3000)]
    Path("train.en").write_text("".join(f"{line}\n" for line in lines + lines[:500]))
    Path("train.de").write_text("".join(f"{line[::-1]}\n" for line in lines + lines[:500]))
    recipe.write_text(recipe.read_text().replace("filters: []", "filters: [{type: duplicates}]"))
    monkeypatch.setattr(shards, "CHUNK_RECORDS", 50)
    monkeypatch.setattr(shards, "SHARD_RECORDS", 400)
    found = {}
    for size in SIZES:
        preprocess(recipe_with(size))
        found[size] = contents(Path("prepared"))
    yield found


def recipe_with(size: int) -> Recipe:
    return load_recipe(RECIPE, [f"tokenizer.vocabulary_size={size}"])


PROGRAM = """\
import sys, time
from pathlib import Path
from fault_injection import KillAtOperation, limit_file_size
from nmt_cli.cli import main
from nmt_cli.data.preparation import preparing, shards
shards.CHUNK_RECORDS, shards.SHARD_RECORDS = 50, SHARD
print("ready", flush=True)
BEFORE
main()
"""


class PreprocessRun:
    """nmt preprocess in its own process group. Not forked from this process, whose segmenter may have threads."""

    def __init__(self, python: Path, size: int, processes: int = 1, before: str = "", shard: int = 400) -> None:
        program = PROGRAM.replace("SHARD\n", f"{shard}\n").replace("BEFORE", before)
        setting = f"tokenizer.vocabulary_size={size}"
        command = [str(python), "-c", program, "preprocess", "recipe.yaml", "--set", setting]
        command += ["--nproc", str(processes)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdout=pipe, stderr=pipe, env=environment, process_group=0)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def exit_code(self, timeout: float = 120) -> int:
        """Wait for the end of the process and of its workers."""
        self.stderr = self.process.communicate(timeout=timeout)[1].decode()
        return self.process.returncode


def assert_complete_or_invalid(expected: dict[int, dict[str, bytes]]) -> None:
    for size in SIZES:
        recipe = recipe_with(size)
        if is_current(recipe):
            assert contents(Path("prepared")) == expected[size]
        else:
            with suppress(DataError):
                open_prepared(recipe)
                raise AssertionError("data that is not current must not be opened")


def assert_tidy() -> None:
    assert {path.name for path in Path.cwd().glob("prepared*")} == {"prepared", "prepared.lock"}


@pytest.mark.long
def test_kill_at_random_moments_leaves_no_valid_partial_data(
    expected: dict[int, dict[str, bytes]], fast_python: Path
) -> None:
    rng, num_finished, num_kills, max_delay = random.Random(1), 0, 0, 1.0
    while num_kills < MIN_KILLS or num_finished < 2:  # however slow the machine is, some runs finish
        size = SIZES[num_finished % 2]
        forked = PreprocessRun(fast_python, size, 2 if num_kills % 5 == 4 else 1)
        time.sleep(rng.uniform(0, max_delay))
        forked.kill()
        code = forked.exit_code()
        assert code in (0, -signal.SIGKILL), forked.stderr
        assert_complete_or_invalid(expected)
        if code == 0:
            assert contents(Path("prepared")) == expected[size]
            assert_tidy()
            num_finished, max_delay = num_finished + 1, max_delay * 0.8
        else:
            num_kills, max_delay = num_kills + 1, max_delay * 1.03
    for size in SIZES:
        preprocess(recipe_with(size))
        assert contents(Path("prepared")) == expected[size]
        assert_tidy()


def test_kill_at_each_step_leaves_no_valid_partial_data(
    expected: dict[int, dict[str, bytes]], fast_python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_RECORDS", 2000)  # fewer steps
    shutil.rmtree("prepared")
    for size in SIZES:
        preprocess(recipe_with(size))
        expected[size] = contents(Path("prepared"))
    shutil.copytree("prepared", "old")
    for operation in range(1, 1000, 11):
        shutil.rmtree("prepared")
        shutil.rmtree("prepared.parts", ignore_errors=True)
        shutil.copytree("old", "prepared")
        forked = PreprocessRun(fast_python, SIZES[0], before=f"KillAtOperation(Path.cwd(), {operation})", shard=2000)
        code = forked.exit_code()
        assert code in (0, -signal.SIGKILL), forked.stderr
        assert_complete_or_invalid(expected)
        preprocess(recipe_with(SIZES[0]))
        assert contents(Path("prepared")) == expected[SIZES[0]], f"killed at operation {operation}"
        assert_tidy()
        if code == 0:
            break
    assert operation > 50


@pytest.mark.parametrize("max_bytes", [300, 30_000])
def test_full_disk_is_reported_and_keeps_the_previous_data(
    expected: dict[int, dict[str, bytes]], fast_python: Path, max_bytes: int
) -> None:
    forked = PreprocessRun(fast_python, SIZES[0], before=f"limit_file_size({max_bytes})")
    assert forked.exit_code() == 5, forked.stderr
    assert forked.stderr.count("nmt: error: ") == 1
    assert "Traceback" not in forked.stderr
    assert contents(Path("prepared")) == expected[SIZES[1]]
    preprocess(recipe_with(SIZES[0]))
    assert contents(Path("prepared")) == expected[SIZES[0]]
    assert_tidy()


def test_killed_worker_stops_the_job_and_shards_are_reused(expected: dict[int, dict[str, bytes]]) -> None:
    forked = PreprocessRun(Path(sys.executable), SIZES[0], 2, SLOW_SHARDS)
    deadline = time.monotonic() + 60
    while len(found := workers(forked.process.pid)) < 2 or not any(Path("prepared.parts").glob("train/digits/0*[0-9]")):
        assert time.monotonic() < deadline
        assert forked.process.poll() is None, forked.exit_code()
        time.sleep(0.01)
    began = time.monotonic()
    os.kill(found[0], signal.SIGKILL)
    assert forked.exit_code(20) == 5, forked.stderr
    assert time.monotonic() - began < 45
    assert "SIGKILL" in forked.stderr and "--nproc" in forked.stderr
    assert not any(map(is_alive, found))
    assert contents(Path("prepared")) == expected[SIZES[1]]
    assert any(Path("prepared.parts").glob("train/digits/0*[0-9]/shard.json"))
    preprocess(recipe_with(SIZES[0]))
    assert contents(Path("prepared")) == expected[SIZES[0]]


SLOW_SHARDS = """\
sizes = shards._sizes
shards._sizes = lambda folder: (time.sleep(1), sizes(folder))[1]
"""


def workers(process: int) -> list[int]:
    """Return the ids of the worker processes of a process."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == process and b"spawn_main" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return sorted(found)
