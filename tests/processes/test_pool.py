"""A pool returns what one process would return, in order, and no worker outlives the pool."""

import itertools
import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from process_state import is_alive
from upper_casing import UpperCasing, failing_factory

from nmt_cli.errors import DataError, NmtError, ResourceError
from nmt_cli.processes.pool import WorkerPool, map_ordered


def test_map_ordered_keeps_the_order_of_items() -> None:
    words = ["slow", *map(str, range(20)), "slow", "last"]
    for processes in (1, 2):
        assert list(map_ordered(processes, UpperCasing(), words)) == [word.upper() for word in words]
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("words", [[], ["one"]])
def test_map_ordered_starts_no_process_for_one_item(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "get_context", None)
    assert list(map_ordered(8, UpperCasing(), words)) == [word.upper() for word in words]


def test_map_ordered_reads_few_items_ahead() -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        for taken in itertools.count(1):
            yield str(taken)

    results = map_ordered(2, UpperCasing(), endless())
    for done in range(1, 20):
        next(results)
        assert taken <= done + 7
    results.close()  # type: ignore[attr-defined]
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("processes", [1, 2])
def test_item_error_is_raised_in_order(processes: int) -> None:
    results = map_ordered(processes, UpperCasing(), ["slow", "fail", "other", "other"])
    assert next(results) == "SLOW"
    with pytest.raises(DataError, match="line 7 is wrong"):
        next(results)
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_unexpected_exception_keeps_its_traceback() -> None:
    with pytest.raises(ValueError, match="unexpected") as raised:
        list(map_ordered(2, UpperCasing(), ["crash", "other"]))
    assert "upper_casing.py" in raised.value.__notes__[0]


@pytest.mark.slow
def test_unpicklable_exception_ends_the_work() -> None:
    with pytest.raises(TypeError, match="number"):
        list(map_ordered(2, UpperCasing(), ["one", "odd", "other"]))


def test_failing_factory_is_reported_before_the_first_item() -> None:
    never = threading.Event()

    def waiting() -> Iterator[str]:
        never.wait(20)
        yield "late"

    with WorkerPool([failing_factory] * 2) as pool, pytest.raises(DataError, match="no model"):
        list(pool.results(waiting()))
    never.set()


def test_result_is_available_before_the_next_item() -> None:
    words: queue.Queue[str | None] = queue.Queue()
    with WorkerPool([UpperCasing()] * 2) as pool:
        results = pool.results(iter(lambda: words.get(timeout=60), None))
        for word in ("one", "two", "three"):
            words.put(word)
            assert next(results) == word.upper()
        words.put(None)
        assert list(results) == []


def test_exception_of_the_item_iterator_is_raised_in_order() -> None:
    def broken() -> Iterator[str]:
        yield from ("slow", "two")
        raise DataError("bad")

    results = map_ordered(2, UpperCasing(), broken())

    assert [next(results), next(results)] == ["SLOW", "TWO"]
    with pytest.raises(DataError, match="bad"):
        next(results)


def test_log_lines_and_progress_reach_the_parent(capfd: pytest.CaptureFixture[str]) -> None:
    progress: list[int] = []
    with WorkerPool([UpperCasing()] * 2) as pool:
        list(pool.results(["warn", "print", "word", "warn"], progress.append))

    assert sorted(progress) == [4, 4, 4, 5]
    captured = capfd.readouterr()
    for text in ("nmt: warning: a strange word", "nmt: warning: worker started", "output of a library"):
        assert captured.err.count(text) == 1, "lines of several workers are printed once"
    assert captured.out == ""


def test_workers_end_when_results_are_abandoned() -> None:
    began = time.monotonic()
    with WorkerPool([UpperCasing()] * 2) as pool:
        assert next(pool.results(["one", "very slow"])) == "ONE"
    assert time.monotonic() - began < 45
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_killed_worker_raises_resource_error() -> None:
    with pytest.raises(ResourceError, match=r"SIGKILL.*--nproc"):
        list(map_ordered(2, UpperCasing(), ["one", "kill", "slow", "slow"]))
    assert multiprocessing.active_children() == []


def test_killed_worker_is_noticed_while_another_is_busy() -> None:
    began = time.monotonic()
    with pytest.raises(ResourceError):
        list(map_ordered(2, UpperCasing(), ["very slow", "kill"]))
    assert time.monotonic() - began < 45


@pytest.mark.slow
def test_exiting_worker_raises() -> None:
    with pytest.raises(NmtError, match=r"\b9\b"):
        list(map_ordered(2, UpperCasing(), ["one", "exit", "slow", "slow"]))


def test_worker_killed_while_sending_a_large_result_is_noticed() -> None:
    results = map_ordered(2, UpperCasing(), itertools.repeat("large"))
    next(results)
    time.sleep(0.5)  # both are now blocked sending a result that is not read
    for child in multiprocessing.active_children():
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        break
    began = time.monotonic()
    with pytest.raises(ResourceError):
        list(results)
    assert time.monotonic() - began < 45


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    program = (
        "import itertools, multiprocessing\n"
        "from upper_casing import UpperCasing\n"
        "from nmt_cli.processes.pool import map_ordered\n"
        "if __name__ == '__main__':\n"
        "    for _ in map_ordered(2, UpperCasing(), itertools.repeat('slow')):\n"
        "        print(*(child.pid for child in multiprocessing.active_children()), flush=True)\n"
    )
    (tmp_path / "parent.py").write_text(program)
    path = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, str(tmp_path / "parent.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **path}) as parent:
        assert parent.stdout is not None
        workers = list(map(int, parent.stdout.readline().split()))
        parent.kill()
    assert len(workers) == 2
    deadline = time.monotonic() + 45
    while any(is_alive(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
