"""nmt runs and nmt show: output and errors."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from fake_runs import FakeRun, write_prepared, write_run

from nmt_cli.cli.runs import runs
from nmt_cli.cli.show import show
from nmt_cli.errors import DataError, RecipeError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fake_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    monkeypatch.chdir(tmp_path)
    return write_run(Path("runs/small"), write_prepared(Path("prepared")))


def strict(text: str) -> object:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    return json.loads(text, parse_constant=refuse)


def test_runs_prints_a_table(fake_run: FakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    runs(Path("runs"))
    head, row, end = capsys.readouterr().out.split("\n")
    assert head.split() == ["run", "status", "update", "best", "at", "update", "scores", "size", "changed"]
    assert row.split()[:9] == ["runs/small", "finished", "300", "BLEU", "30.00", "200", "test", "BLEU", "38.25"]
    assert not end


@pytest.mark.slow
def test_runs_watch_repeats_what_fits_on_the_terminal(fake_run: FakeRun) -> None:
    for number in range(8):
        write_run(Path(f"runs/other{number}"))
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 8, 80, 0, 0))
    command = [sys.executable, "-m", "nmt_cli", "runs", "--watch"]
    kept = {name: value for name, value in os.environ.items() if name not in ("LINES", "COLUMNS")}
    with subprocess.Popen(command, stdout=terminal, env={**kept, "PYTHONPATH": str(ROOT)}) as process:
        os.close(terminal)
        shown = b""
        while shown.count(b"\x1b[H") < 2:
            shown += os.read(controller, 65536)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
    first = shown.decode().split("\x1b[H\x1b[J")[1].split("\r\n")
    assert first[0].split()[:2] == ["run", "status"]
    assert len(first) < 8
    assert first[-2:] == ["… and 5 more", ""]


def test_runs_watch_requires_a_terminal(fake_run: FakeRun) -> None:
    with pytest.raises(RecipeError, match="--watch: "):
        runs(Path("runs"), watch=True)


def test_runs_prints_strict_json(fake_run: FakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    fake_run.run.summary.write_text('{"status": "finished", "update": 3, "best": [["x", 1]]}')
    (fake_run.run.evaluation("test") / "scores.json").write_text('{"scores": [{"name": "x", "score": Infinity}]}')
    runs(Path("runs"), json=True)
    (listed,) = strict(capsys.readouterr().out)  # type: ignore[misc]
    assert (listed["run"], listed["update"], listed["best"], listed["scores"]) == ("runs/small", 3, None, {})


def test_runs_of_an_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs(tmp_path, json=True)
    assert strict(capsys.readouterr().out) == []


def test_runs_rejects_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="x: "):
        runs(tmp_path / "x")


def test_runs_escapes_control_characters(fake_run: FakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    fake_run.path.rename(fake_run.path.with_name("evil\x1b[31m\nname"))
    runs(Path("runs"))
    assert "evil\\x1b[31m\\x0aname" in capsys.readouterr().out


def test_show_prints_kind_and_next_command(fake_run: FakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    show(fake_run.path)
    lines = capsys.readouterr().out.split("\n")
    assert lines[0] == "runs/small: run"
    assert lines[-2] == "next: nmt report runs/small"


def test_show_prints_strict_json(fake_run: FakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    show(Path("prepared"), check=True, json=True)
    described = strict(capsys.readouterr().out)
    assert isinstance(described, dict)
    assert (described["kind"], described["damage"]) == ("prepared data", [])


def test_show_check_fails_for_damaged_data(fake_run: FakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    Path("prepared/train/small/source.bin").write_bytes(b"")
    with pytest.raises(DataError, match=r"train/small/source\.bin: ") as caught:
        show(Path("prepared"), check=True)
    assert "1 of 1" in capsys.readouterr().out
    assert caught.value.exit_code == 3


def test_show_check_of_a_file_without_hashes(fake_run: FakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    show(fake_run.run.metrics, check=True)
    assert "no hashes to compare with" in capsys.readouterr().out


def test_show_of_an_unknown_file_has_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\x00")
    with pytest.raises(DataError, match="x: ") as caught:
        show(tmp_path / "x")
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("redirection", "code", "message"),
    [
        (">&-", 5, "nmt: error: stdout"),
        ("> /dev/full", 5, "nmt: error: stdout: "),
        ("| true", 141, ""),
    ],
)
def test_exit_code_if_stdout_cannot_be_written(redirection: str, code: int, message: str, tmp_path: Path) -> None:
    command = f"'{sys.executable}' -m nmt_cli runs . --json"
    shell = f"(sleep 0.2; {command}; echo $? >&2) {redirection}"
    if "|" not in redirection:
        shell = f"{command} {redirection}; echo $? >&2"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    found = subprocess.run(
        ["sh", "-c", shell], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    *lines, exit_code = found.stderr.rstrip("\n").split("\n")
    assert int(exit_code) == code
    assert "Traceback" not in found.stderr
    assert message in "\n".join(lines)
