"""Talk goes to stderr, in plain lines where nobody watches, and never stops the work."""

import os
import pty
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nmt_cli import console

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def loud_again() -> Iterator[None]:
    yield
    console.set_quiet(False)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What `time.monotonic` says, as its only item."""
    now = [100.0]
    monkeypatch.setattr("nmt_cli.console.time.monotonic", lambda: now[0])
    return now


def test_talk_goes_to_stderr_and_results_never_do(capsys: pytest.CaptureFixture[str]) -> None:
    console.say("working")
    console.warn("odd")
    console.error("wrong here\nwrong there")
    console.table("Counts", ["name", "lines"], [["a", 3]])
    printed, told = capsys.readouterr()
    assert printed == ""
    assert told.startswith("working\nnmt: warning: odd\nnmt: error: wrong here\nnmt: error: wrong there\n")
    assert "Counts" in told


def test_quiet_leaves_warnings_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    console.set_quiet(True)
    console.say("working")
    console.table("Counts", ["name"], [["a"]])
    console.warn("odd")
    console.error("wrong")
    assert capsys.readouterr().err == "nmt: warning: odd\nnmt: error: wrong\n"


def test_what_is_diverted_is_told_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_tell", None)
    lines: list[str] = []
    console.divert(lines.append)
    console.say("a fact")
    console.warn("odd")
    assert capsys.readouterr().err == ""
    assert lines == ["a fact", "nmt: warning: odd"]


def test_a_table_shows_every_cell(capsys: pytest.CaptureFixture[str]) -> None:
    console.table("Corpora", ["corpus", "lines"], [["train", "29,000"], ["dev", "1,014"]])
    told = capsys.readouterr().err
    assert all(text in told for text in ("Corpora", "corpus", "lines", "train", "29,000", "dev", "1,014"))


def test_brackets_in_a_table_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    console.table("[/runs]", ["a"], [["[red]b :smile:"]])
    told = capsys.readouterr().err
    assert "[/runs]" in told
    assert "[red]b :smile:" in told


def test_a_message_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console.warn("file \x1b]0;owned\x07: grün\tund gut")
    assert capsys.readouterr().err == "nmt: warning: file \\x1b]0;owned\\x07: grün\tund gut\n"


def test_a_terminal_that_has_gone_does_not_stop_the_work() -> None:
    program = (
        "import time; from nmt_cli import console\n"
        "with console.Progress('reading', 'lines', total=2) as progress:\n"
        "    time.sleep(0.5); progress.advance(); console.say('x'); progress.advance()\n"
        "print('done')\n"
    )
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        time.sleep(0.3)
        os.close(ours)
        assert process.communicate(timeout=30)[0] == b"done\n"


def test_off_a_terminal_progress_is_a_plain_line_every_ten_seconds(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    with console.Progress("reading", "lines", total=4000) as progress:
        for _ in range(4):
            clock[0] += 6
            progress.advance(1000, {"speed": "fast"})
    assert capsys.readouterr().err == (
        "reading: 2,000 of 4,000 lines, 0:12 left\nreading: 4,000 of 4,000 lines, 0:00 left\n"
    )


def test_quiet_progress_says_nothing(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    console.set_quiet(True)
    with console.Progress("reading", "lines") as progress:
        clock[0] += 60
        progress.advance()
    assert capsys.readouterr().err == ""


def test_work_done_before_does_not_count_as_speed(clock: list[float]) -> None:
    with console.Progress("training", "updates", total=1000, done=900) as progress:
        assert progress.time_left() == ""
        clock[0] += 10
        progress.advance(10)
        assert progress.time_left() == "1:30"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (3600, "1:00:00"), (86400, "24:00:00"), (-1, "0:00")],
)
def test_durations_read_as_a_clock(seconds: float, shown: str) -> None:
    assert console.duration(seconds) == shown


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "2>/dev/null"])
def test_a_stderr_that_takes_nothing_does_not_stop_the_work(redirection: str) -> None:
    talk = "console.say('x'); console.error('z'); console.table('t', ['a'], [['b']])"
    program = f"from nmt_cli import console; {talk}; print('done')"
    command = f"exec '{sys.executable}' -c \"{program}\" {redirection}"
    found = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, check=True)
    assert found.stdout == b"done\n"


def test_a_bar_on_a_terminal_gives_way_to_messages() -> None:
    program = (
        "from nmt_cli import console\n"
        "with console.Progress('reading', 'lines', total=2) as progress:\n"
        "    progress.advance(1, {'loss': '2.5'}); console.say('a message'); progress.advance()\n"
        "print('done')\n"
    )
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        shown = read_all(ours)
        assert process.stdout is not None
        assert process.stdout.read() == b"done\n"
    assert "reading" in shown
    assert "2/2" in shown
    assert "a message\r\n" in shown


def read_all(descriptor: int) -> str:
    """What was shown on a terminal until its other end was closed."""
    shown = b""
    while True:
        try:
            part = os.read(descriptor, 4096)
        except OSError:  # Linux says so when the last writer has gone
            part = b""
        if not part:
            os.close(descriptor)
            return shown.decode()
        shown += part
