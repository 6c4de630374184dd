"""Messages go to stderr, as plain lines off a terminal, and never stop the work."""

import os
import pty
import shlex
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from tqdm import tqdm

from nmt_cli import console
from nmt_cli.errors import DataError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A list whose only item is the value of `time.monotonic`."""
    now = [100.0]
    monkeypatch.setattr("nmt_cli.console.time.monotonic", lambda: now[0])
    return now


def test_messages_go_to_stderr_only(capsys: pytest.CaptureFixture[str]) -> None:
    console.info("working")
    console.warn("odd")
    console.error("wrong here\nwrong there")
    console.table("Counts", ["name", "lines"], [["a", 3]])
    printed, captured = capsys.readouterr()
    assert printed == ""
    assert captured.startswith("working\nnmt: warning: odd\nnmt: error: wrong here\nnmt: error: wrong there\n")
    assert "Counts" in captured


def test_quiet_keeps_warnings_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    console.set_quiet(True)
    console.info("working")
    console.table("Counts", ["name"], [["a"]])
    console.warn("odd")
    console.error("wrong")
    assert capsys.readouterr().err == "nmt: warning: odd\nnmt: error: wrong\n"


def test_redirected_lines_do_not_reach_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_write_elsewhere", None)
    lines: list[str] = []
    console.redirect(lines.append)
    console.info("a message")
    console.warn("odd")
    assert capsys.readouterr().err == ""
    assert lines == ["a message", "nmt: warning: odd"]


def test_table_shows_every_cell(capsys: pytest.CaptureFixture[str]) -> None:
    console.table("Corpora", ["corpus", "lines"], [["train", "29,000"], ["dev", "1,014"]])
    captured = capsys.readouterr().err
    assert all(text in captured for text in ("Corpora", "corpus", "lines", "train", "29,000", "dev", "1,014"))


def test_table_prints_markup_verbatim(capsys: pytest.CaptureFixture[str]) -> None:
    console.table("[/runs]", ["a"], [["[red]b :smile:"]])
    captured = capsys.readouterr().err
    assert "[/runs]" in captured
    assert "[red]b :smile:" in captured


def test_control_characters_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    console.warn("file \x1b]0;owned\x07: grün\tund gut")
    assert capsys.readouterr().err == "nmt: warning: file \\x1b]0;owned\\x07: grün\tund gut\n"


def test_closed_terminal_does_not_stop_the_work() -> None:
    program = (
        "import time; from nmt_cli import console\n"
        "with console.ProgressBar('reading', 'lines', total=2) as progress:\n"
        "    time.sleep(0.5); progress.advance(); console.info('x'); progress.advance()\n"
        "print('done')\n"
    )
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        time.sleep(0.3)
        os.close(ours)
        assert process.communicate(timeout=30)[0] == b"done\n"


def test_progress_bar_off_terminal_prints_line_every_ten_seconds(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    with console.ProgressBar("reading", "lines", total=4000) as progress:
        for _ in range(4):
            clock[0] += 6
            progress.advance(1000, {"speed": "fast"})
    assert capsys.readouterr().err == (
        "reading: 2,000 of 4,000 lines, 0:12 left\nreading: 4,000 of 4,000 lines, 0:00 left\n"
    )


def test_progress_bar_quiet_prints_nothing(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    console.set_quiet(True)
    with console.ProgressBar("reading", "lines") as progress:
        clock[0] += 60
        progress.advance()
    assert capsys.readouterr().err == ""


def test_brief_progress_bar_prints_nothing_off_terminal(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    with console.ProgressBar("validating", "lines", total=10, style="brief") as progress:
        clock[0] += 60
        progress.advance()
    assert capsys.readouterr().err == ""


def test_time_left_ignores_items_of_earlier_run(clock: list[float]) -> None:
    with console.ProgressBar("training", "updates", total=1000, done=900) as progress:
        assert progress.time_left() == ""
        clock[0] += 10
        progress.advance(10)
        assert progress.time_left() == "1:30"


def test_time_left_is_hidden_while_the_start_distorts_it(clock: list[float]) -> None:
    with console.ProgressBar("reading", "lines", total=1000) as progress:
        for seconds, shown in ((10, ""), (10, ""), (10, "16:10")):
            clock[0] += seconds
            progress.advance(10)
            assert progress.time_left() == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (3600, "1:00:00"), (86400, "24:00:00"), (-1, "0:00")],
)
def test_duration_formats_seconds(seconds: float, shown: str) -> None:
    assert console.duration(seconds) == shown


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "2>/dev/null"])
def test_unwritable_stderr_does_not_stop_the_work(redirection: str) -> None:
    calls = "console.info('x'); console.error('z'); console.table('t', ['a'], [['b']])"
    program = f"from nmt_cli import console; {calls}; print('done')"
    command = f"exec '{sys.executable}' -c \"{program}\" {redirection}"
    found = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, check=True)
    assert found.stdout == b"done\n"


def test_progress_bar_on_terminal_leaves_room_for_messages() -> None:
    program = (
        "from nmt_cli import console\n"
        "with console.ProgressBar('reading', 'lines', total=2) as progress:\n"
        "    progress.advance(1, {'loss': '2.5'}); console.info('a message'); progress.advance()\n"
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


def test_bar_of_figures_without_a_total_shows_no_percentage() -> None:
    shown = shown_bar("'training', 'updates', style='figures'", "500, {'done': '5%'}")
    assert "training: 500 updates, done=5%" in shown
    assert "?" not in shown and "|" not in shown


def test_brief_bar_is_removed_at_its_end() -> None:
    shown = shown_bar("'validating', 'lines', total=10, style='brief'", "10")
    assert "10/10" in shown
    assert shown.endswith(" \r") and "\n" not in shown  # overwritten with spaces


def shown_bar(arguments: str, progress: str) -> str:
    """Return what a terminal shows of a progress bar that advances once."""
    program = (
        f"from nmt_cli import console\nwith console.ProgressBar({arguments}) as bar:\n    bar.advance({progress})\n"
    )
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stderr=theirs):
        os.close(theirs)
        return read_all(ours)


def read_all(descriptor: int) -> str:
    """Read all output of a terminal until the process at its other end closes it."""
    shown = b""
    while True:
        try:
            part = os.read(descriptor, 4096)
        except OSError:  # Linux raises it after the last writer has closed the terminal
            part = b""
        if not part:
            os.close(descriptor)
            return shown.decode()
        shown += part


def test_process_killed_while_it_writes_does_not_block_others() -> None:
    lock = tqdm.get_lock()
    child = os.fork()
    if not child:
        lock.acquire()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)

    assert lock.acquire(timeout=5)
    lock.release()


@pytest.mark.parametrize("character", ["\u202e", "\u2066", "\u200f", "\u2028", "\x9b", "\ufeff"])
def test_characters_that_reorder_text_are_escaped(character: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.warn(f"a{character}b")
    console.table("T", ["c"], [[f"a{character}b"]])
    shown = capsys.readouterr().err
    assert character not in shown
    assert shown.count(f"{ord(character):x}b") == 2


@pytest.mark.parametrize("name", ["-x", "a b", "it's", "[a]", "$(x)", "a;b", "é"])
def test_command_line_can_be_copied_into_a_shell(name: str) -> None:
    words = shlex.split(console.command_line("nmt", "evaluate", Path(name), "--test", name))
    assert [Path(words[2]), words[4]] == [Path(name), name]
    assert not words[2].startswith("-")


def test_log_file_has_messages_that_are_not_printed_and_the_final_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    console.set_quiet(True)
    with (
        (tmp_path / "log").open("ab", buffering=0) as file,
        pytest.raises(DataError),
        console.log_to(file),
    ):
        console.info("working\x1b")
        console.table("Counts", ["name"], [["a"]])
        console.log("in the log only")
        console.warn("odd")
        raise DataError("wrong here\nwrong there")
    console.warn("later")
    assert capsys.readouterr().err == "nmt: warning: odd\nnmt: warning: later\n"
    lines = [line[21:] for line in (tmp_path / "log").read_text().split("\n")]
    assert lines[0] == "working\\x1b"
    assert "Counts" in "".join(lines)
    errors = ["nmt: error: wrong here", "nmt: error: wrong there", ""]
    assert lines[-5:] == ["in the log only", "nmt: warning: odd", *errors]


def test_log_file_that_is_full_does_not_stop_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    with Path("/dev/full").open("ab", buffering=0) as file, console.log_to(file):
        console.info("working")
    assert capsys.readouterr().err == "working\n"
