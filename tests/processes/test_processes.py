"""Several processes do what one would do, in order, and none outlives the others."""

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
from dealing import Shouting, unopenable

from nmt_cli.errors import DataError, NmtError, ResourceError
from nmt_cli.processes import Workers, in_order


def test_results_come_in_the_order_of_the_items() -> None:
    words = ["slow", *map(str, range(20)), "slow", "last"]
    for processes in (1, 2):
        assert list(in_order(processes, Shouting(), words)) == [word.upper() for word in words]
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("words", [[], ["one"]])
def test_for_next_to_nothing_no_process_is_started(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "get_context", None)
    assert list(in_order(8, Shouting(), words)) == [word.upper() for word in words]


def test_no_more_is_read_than_can_be_done_soon() -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        for taken in itertools.count(1):
            yield str(taken)

    found = in_order(2, Shouting(), endless())
    for done in range(1, 20):
        next(found)
        assert taken <= done + 7
    found.close()  # type: ignore[attr-defined]
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("processes", [1, 2])
def test_a_mistake_is_told_in_its_turn(processes: int) -> None:
    found = in_order(processes, Shouting(), ["slow", "fail", "other", "other"])
    assert next(found) == "SLOW"
    with pytest.raises(DataError, match="line 7 is wrong"):
        next(found)
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_what_is_unforeseen_is_told_with_its_place() -> None:
    with pytest.raises(ValueError, match="unforeseen") as raised:
        list(in_order(2, Shouting(), ["crash", "other"]))
    assert "dealing.py" in raised.value.__notes__[0]


@pytest.mark.slow
def test_what_cannot_be_sent_is_no_reason_to_wait_for_ever() -> None:
    with pytest.raises(TypeError, match="number"):
        list(in_order(2, Shouting(), ["one", "odd", "other"]))


def test_one_that_cannot_begin_is_told_before_there_are_items() -> None:
    never = threading.Event()

    def waiting() -> Iterator[str]:
        never.wait(20)
        yield "late"

    with Workers([unopenable] * 2) as workers, pytest.raises(DataError, match="there is no model"):
        list(workers.results(waiting()))
    never.set()


def test_a_result_does_not_wait_for_the_next_item() -> None:
    words: queue.Queue[str | None] = queue.Queue()
    with Workers([Shouting()] * 2) as workers:
        found = workers.results(iter(lambda: words.get(timeout=60), None))
        for word in ("one", "two", "three"):
            words.put(word)
            assert next(found) == word.upper()
        words.put(None)
        assert list(found) == []


def test_what_goes_wrong_in_reading_is_raised_in_its_turn() -> None:
    def broken() -> Iterator[str]:
        yield from ("slow", "two")
        raise DataError("bad")

    found = in_order(2, Shouting(), broken())

    assert [next(found), next(found)] == ["SLOW", "TWO"]
    with pytest.raises(DataError, match="bad"):
        next(found)


def test_what_workers_say_and_report_is_heard_here(capfd: pytest.CaptureFixture[str]) -> None:
    heard: list[int] = []
    with Workers([Shouting()] * 2) as workers:
        list(workers.results(["warn", "print", "word", "warn"], heard.append))

    assert sorted(heard) == [4, 4, 4, 5]
    told = capfd.readouterr()
    for text in ("nmt: warning: an odd word", "nmt: warning: here we shout", "noise of a library"):
        assert told.err.count(text) == 1, "what all of them say is told once"
    assert told.out == ""


def test_they_end_when_nobody_wants_more_results() -> None:
    began = time.monotonic()
    with Workers([Shouting()] * 2) as workers:
        assert next(workers.results(["one", "very slow"])) == "ONE"
    assert time.monotonic() - began < 45
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_one_that_is_killed_ends_all() -> None:
    with pytest.raises(ResourceError, match="killed by SIGKILL; if memory was short, lower --nproc"):
        list(in_order(2, Shouting(), ["one", "kill", "slow", "slow"]))
    assert multiprocessing.active_children() == []


def test_one_that_is_killed_is_noticed_while_another_works() -> None:
    began = time.monotonic()
    with pytest.raises(ResourceError):
        list(in_order(2, Shouting(), ["very slow", "kill"]))
    assert time.monotonic() - began < 45


@pytest.mark.slow
def test_one_that_leaves_ends_all() -> None:
    with pytest.raises(NmtError, match="exit code 9"):
        list(in_order(2, Shouting(), ["one", "exit", "slow", "slow"]))


def test_one_that_is_killed_amid_a_large_result_ends_all() -> None:
    found = in_order(2, Shouting(), itertools.repeat("large"))
    next(found)
    time.sleep(0.5)  # by now both are amid a result, which nobody reads
    for child in multiprocessing.active_children():
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        break
    began = time.monotonic()
    with pytest.raises(ResourceError):
        list(found)
    assert time.monotonic() - began < 45


def test_however_the_first_process_ends_so_do_the_others(tmp_path: Path) -> None:
    program = (
        "import itertools, multiprocessing\n"
        "from dealing import Shouting\n"
        "from nmt_cli.processes import in_order\n"
        "if __name__ == '__main__':\n"
        "    for _ in in_order(2, Shouting(), itertools.repeat('slow')):\n"
        "        print(*(child.pid for child in multiprocessing.active_children()), flush=True)\n"
    )
    (tmp_path / "first.py").write_text(program)
    places = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, str(tmp_path / "first.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **places}) as first:
        assert first.stdout is not None
        others = list(map(int, first.stdout.readline().split()))
        first.kill()
    assert len(others) == 2
    deadline = time.monotonic() + 45
    while any(is_alive(other) for other in others):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
