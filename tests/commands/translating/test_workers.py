"""Several processes answer as one would, and none outlives the others."""

import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from shouting import Shouting, unloadable

from nmt_cli.commands.translating.answering import Answering, Window
from nmt_cli.commands.translating.workers import Workers
from nmt_cli.decoding.requests import Request
from nmt_cli.errors import DataError, LaunchedError, NmtError, ResourceError


def windows(*lines: str) -> Iterator[Window]:
    """A window for each line."""
    return (Window(number, [Request(line)]) for number, line in enumerate(lines, 1))


def answers(given: Iterator[Window], opener: Callable[[int, int], Answering] | None = None) -> Iterator[str]:
    with Workers(opener or Shouting(), 2) as workers:
        for answer in workers.answers(given, lambda sentences: None):
            yield answer.written.decode().removesuffix("\n")


def test_answers_come_in_the_order_of_the_windows() -> None:
    lines = ["slow", *(f"line {number}" for number in range(20)), "slow", "last"]

    assert list(answers(windows(*lines))) == [line.upper() for line in lines]


def test_no_windows_no_answers() -> None:
    assert list(answers(windows())) == []


def test_an_answer_does_not_wait_for_the_next_window() -> None:
    lines: queue.Queue[str | None] = queue.Queue()
    found = answers(windows_of(lines))
    for line in ("one", "two", "three"):
        lines.put(line)
        assert next(found) == line.upper()
    lines.put(None)
    assert list(found) == []


def windows_of(lines: "queue.Queue[str | None]") -> Iterator[Window]:
    for number in itertools.count(1):
        line = lines.get(timeout=20)
        if line is None:
            return
        yield Window(number, [Request(line)])


def test_no_more_windows_are_taken_than_can_be_answered_soon() -> None:
    taken = 0

    def endless() -> Iterator[Window]:
        nonlocal taken
        for taken in itertools.count(1):
            yield Window(taken, [Request("slow" if taken == 1 else "line")])

    found = answers(endless())
    for answered in range(1, 20):
        next(found)
        assert taken <= answered + 6
    found.close()  # type: ignore[attr-defined]


def test_batches_are_told_as_they_are_done() -> None:
    done: list[int] = []
    with Workers(Shouting(), 2) as workers:
        assert len(list(workers.answers(windows("one", "two", "three"), done.append))) == 3
    assert done == [1, 1, 1]


def test_what_workers_say_is_told_here_and_not_by_each(capfd: pytest.CaptureFixture[str]) -> None:
    list(answers(windows("warn", "print", "warn")))

    told = sorted(capfd.readouterr().err.rstrip("\n").split("\n"))
    assert told == sorted(
        [
            "noise of a library",
            "nmt: warning: line 1: is odd",
            "nmt: warning: line 3: is odd",
            "nmt: warning: this model shouts",
        ]
    )
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("order", "kind", "code", "told"),
    [
        ("die", ResourceError, 5, ""),
        ("bug", LaunchedError, 1, "ZeroDivisionError"),
        ("mistake", LaunchedError, 4, "nmt: error: line 2: is a mistake\n"),
    ],
)
def test_one_that_fails_ends_all_soon(
    order: str, kind: type[NmtError], code: int, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with Workers(Shouting(), 2) as workers:
        started = time.monotonic()
        with pytest.raises(kind, match="worker . was killed by SIGKILL" if order == "die" else None) as caught:
            list(workers.answers(windows("forever", order), lambda sentences: None))
    assert time.monotonic() - started < 10
    assert caught.value.exit_code == code
    assert told in capfd.readouterr().err
    assert not any(worker.process.is_alive() for worker in workers._workers)


def test_a_model_that_cannot_be_loaded_is_told_once_and_before_there_are_lines(
    capfd: pytest.CaptureFixture[str],
) -> None:
    never = threading.Event()

    def waiting() -> Iterator[Window]:
        never.wait(20)
        yield from windows("late")

    with pytest.raises(LaunchedError) as caught:
        list(answers(waiting(), unloadable))

    never.set()
    assert caught.value.exit_code == 4
    assert capfd.readouterr().err == "nmt: error: weights: are damaged\n"


def test_what_goes_wrong_in_reading_is_raised_after_the_lines_before_it() -> None:
    def broken() -> Iterator[Window]:
        yield from windows("slow", "two")
        raise DataError("bad")

    found = answers(broken())

    assert [next(found), next(found)] == ["SLOW", "TWO"]
    with pytest.raises(DataError, match="bad"):
        next(found)


def test_workers_end_when_nobody_wants_more_answers() -> None:
    with Workers(Shouting(), 2) as workers:
        found = workers.answers(windows("one", "forever"), lambda sentences: None)
        assert next(found).written == b"ONE\n"
    assert not any(worker.process.is_alive() for worker in workers._workers)
