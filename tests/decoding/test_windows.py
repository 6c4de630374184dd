"""Windows contain all lines, grow, and do not wait for late lines."""

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator

import pytest

from nmt_cli.decoding.requests import Request
from nmt_cli.decoding.windows import arriving_windows, windows
from nmt_cli.errors import DataError

SplitFn = Callable[[Iterable[Request]], Iterator[list[Request]]]


@pytest.mark.parametrize("split", [windows, arriving_windows])
@pytest.mark.parametrize("number", [0, 1, 32, 33, 10_000])
def test_windows_contain_all_lines_in_order(split: SplitFn, number: int) -> None:
    lines = [Request(str(line)) for line in range(number)]

    found = list(split(iter(lines)))

    assert list(itertools.chain.from_iterable(found)) == lines
    assert all(found)


@pytest.mark.parametrize("split", [windows, arriving_windows])
def test_windows_grow_to_the_maximum(split: SplitFn) -> None:
    sizes = [len(window) for window in itertools.islice(split(itertools.repeat(Request("line"))), 9)]

    assert sizes == [32, 64, 128, 256, 512, 1024, 2048, 2048, 2048]


def test_arriving_windows_do_not_wait_for_more_lines() -> None:
    asked = threading.Semaphore(0)

    def slowly() -> Iterator[Request]:
        for line in range(3):
            assert asked.acquire(timeout=60)
            yield Request(str(line))

    found = arriving_windows(slowly())
    for line in range(3):
        asked.release()
        assert next(found) == [Request(str(line))]
    assert list(found) == []


def test_arriving_windows_raise_errors_after_earlier_lines() -> None:
    def broken() -> Iterator[Request]:
        yield Request("good")
        raise DataError("bad")

    found = arriving_windows(broken())

    assert next(found) == [Request("good")]
    with pytest.raises(DataError, match="bad"):
        next(found)
