"""`nmt translate` as a process: streams, signals, kills and exit codes, with one process and with two."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nmt_cli import files

pytestmark = pytest.mark.slow

PROGRAM = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from shouting import Shouting
from nmt_cli import cli
from nmt_cli.commands import translate
translate.TranslatorFactory, translate.sidecar_for = Shouting, lambda *arguments: None
translate.count_context_lines = lambda options: 0
sys.argv[0] = "nmt"
cli.main()
"""
"""The command without a model."""
ENVIRONMENT = {**os.environ, "PROGRAM": PROGRAM, "PYTHON": sys.executable}
SHOUTS = b"nmt: warning: this model shouts\n"
both = pytest.mark.parametrize("processes", [1, 2])


def in_shell(line: str, processes: int = 1) -> "subprocess.CompletedProcess[bytes]":
    """Run a line of bash in which $NMT is the command."""
    command = f'"$PYTHON" -W error::ResourceWarning -c "$PROGRAM" translate model --nproc {processes}'
    return subprocess.run(
        ["bash", "-c", line.replace("$NMT", command)], env=ENVIRONMENT, capture_output=True, timeout=60, check=False
    )


@contextmanager
def started(processes: int, *arguments: str, stdin: int = subprocess.PIPE) -> "Iterator[subprocess.Popen[bytes]]":
    """Start the command, in a process group of its own; whatever happens, none of it is left."""
    command = [sys.executable, "-c", PROGRAM, "translate", "model", "--nproc", str(processes), *arguments]
    process = subprocess.Popen(
        command,
        env=ENVIRONMENT,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def wait_until_all_have_ended(group: int, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while alive := members(group):
        assert time.monotonic() < deadline, alive
        time.sleep(0.02)


def members(group: int) -> list[str]:
    """Commands of the processes of a group that are neither dead nor waiting to be buried."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().rpartition(")")
        except OSError:
            continue
        if int(rest.split()[2]) == group and rest.split()[0] != "Z":
            found.append(name)
    return found


@both
def test_stdout_has_only_translations(processes: int) -> None:
    done = in_shell("printf 'one\\n\\ntwo' | $NMT", processes)

    assert (done.returncode, done.stdout) == (0, b"ONE\n\nTWO\n")
    assert re.fullmatch(SHOUTS + rb"translated 3 lines in .*\n", done.stderr)


def test_prints_of_workers_go_to_stderr() -> None:
    done = in_shell("printf 'print\\nwarn\\n' | $NMT --quiet", 2)

    assert done.stdout == b"PRINT\nWARN\n"
    assert b"noise of a library\n" in done.stderr


@both
@pytest.mark.parametrize("source", ["yes one", "(yes one | head -300000; sleep 2)"])
@pytest.mark.parametrize("settings", ["", "export PYTHONUNBUFFERED=1; "])
def test_closed_pipe_exits_silently(source: str, settings: str, processes: int) -> None:
    done = in_shell(f"{settings}{source} | $NMT | head -1; exit ${{PIPESTATUS[1]}}", processes)

    assert (done.returncode, done.stdout, done.stderr) == (141, b"ONE\n", SHOUTS)


@both
@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("echo one | $NMT > /dev/full", 5, b"stdout: "),
        ("yes one | head -100000 | $NMT > /dev/full", 5, b"stdout: "),
        ("echo one | $NMT >&-", 5, b"stdout"),
        ("echo one | $NMT -o /proc/nowhere", 5, b"/proc/nowhere: "),
        ("$NMT <&-", 2, b"stdin"),
        ("echo one | $NMT --shard 1/2", 2, b"--shard"),
        ("$NMT -i <(echo one) --shard 1/2", 2, b"/dev/fd/63: "),
    ],
)
def test_errors_are_one_line(line: str, code: int, message: bytes, processes: int) -> None:
    done = in_shell(line, processes)

    assert done.returncode == code
    assert done.stderr.removeprefix(SHOUTS).startswith(b"nmt: error: " + message)
    assert done.stderr.removeprefix(SHOUTS).count(b"\n") == 1


def test_full_disk_leaves_no_output(tmp_path: Path) -> None:
    done = in_shell(f"ulimit -f 4; yes one | head -100000 | $NMT -o {tmp_path}/out")

    assert done.returncode == 5
    assert done.stderr.removeprefix(SHOUTS).startswith(f"nmt: error: {tmp_path}/out".encode())
    assert list(tmp_path.iterdir()) == []


@both
def test_each_line_of_a_pipe_is_answered_before_the_next(processes: int) -> None:
    with started(processes) as process:
        assert process.stdin and process.stdout
        process.stdin.write(b"first\n")
        assert process.stdout.readline() == b"FIRST\n"
        before = time.monotonic()
        for number in range(100):
            process.stdin.write(b"line %d\n" % number)
            assert process.stdout.readline() == b"LINE %d\n" % number
        assert time.monotonic() - before < 60
        process.stdin.close()
        assert process.wait(60) == 0


def test_terminal_input_has_a_hint() -> None:
    here, there = pty.openpty()
    with started(1, stdin=there) as process:
        os.write(here, b"one\n\x04")
        assert process.wait(60) == 0
        assert process.stdout and process.stdout.read() == b"ONE\n"
        assert process.stderr and b"Ctrl-D" in process.stderr.read()
    os.close(here)
    os.close(there)


@both
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("to_all", [False, True])
def test_signal_ends_all_processes_with_whole_lines(processes: int, number: signal.Signals, to_all: bool) -> None:
    """To all: as a terminal's Ctrl-C, and what cluster managers send."""
    with started(processes) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(b"one\n" * 40 + b"forever\n")
        assert [process.stdout.readline() for _ in range(32)] == [b"ONE\n"] * 32
        (os.killpg if to_all else os.kill)(process.pid, number)
        assert process.wait(60) == 128 + number
        assert process.stdout.read() == b""
        assert re.fullmatch(rf"nmt: stopped by {number.name}\n", process.stderr.read().removeprefix(SHOUTS).decode())
        wait_until_all_have_ended(process.pid)


@both
def test_signal_with_a_full_pipe_leaves_whole_lines(processes: int) -> None:
    line = b"a line of some words, %d\n"
    with started(processes) as process:
        assert process.stdin and process.stdout
        process.stdin.write(b"".join(line % number for number in range(5000)))
        time.sleep(2)  # by now the pipe is full, and the next portion waits
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
        found = process.stdout.read()
        assert found == b"".join(line % number for number in range(found.count(b"\n"))).upper()


@both
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_output_is_old_or_complete_after_a_signal(tmp_path: Path, processes: int, number: signal.Signals) -> None:
    (tmp_path / "in").write_bytes(b"one\n" * 40 + b"forever\n")
    (tmp_path / "out").write_bytes(b"old\n")
    with started(processes, "-i", f"{tmp_path}/in", "-o", f"{tmp_path}/out") as process:
        while not any(path.stat().st_size for path in files.leftovers(tmp_path, "out")):
            time.sleep(0.02)
        process.send_signal(number)
        process.wait(60)
        wait_until_all_have_ended(process.pid)
    assert (tmp_path / "out").read_bytes() == b"old\n"
    assert len(files.leftovers(tmp_path, "out")) == (number == signal.SIGKILL)

    (tmp_path / "in").write_bytes(b"one\n")
    with started(processes, "-i", f"{tmp_path}/in", "-o", f"{tmp_path}/out") as process:
        assert process.wait(60) == 0
    assert (tmp_path / "out").read_bytes() == b"ONE\n"
    assert not files.leftovers(tmp_path)


def test_killed_worker_ends_all_processes(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"one\n" * 40 + b"die\n")
    (tmp_path / "out").write_bytes(b"old\n")
    with started(2, "-i", f"{tmp_path}/in", "-o", f"{tmp_path}/out") as process:
        assert process.wait(60) == 5
        assert process.stderr and re.search(rb"nmt: error: .*SIGKILL", process.stderr.read())
        wait_until_all_have_ended(process.pid)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    assert (tmp_path / "out").read_bytes() == b"old\n"


def test_error_names_its_line() -> None:
    done = in_shell("(yes one | head -40; echo mistake) | $NMT", 2)

    assert done.returncode == 4
    assert b"nmt: error: line 41: is a mistake\n" in done.stderr
    assert b"Traceback" not in done.stderr


def test_parent_process_does_not_import_torch() -> None:
    program = PROGRAM.replace("cli.main()", "try: cli.main()\nfinally: assert 'torch' not in sys.modules")
    command = [sys.executable, "-c", program, "translate", "model", "--nproc", "2"]
    done = subprocess.run(command, env=ENVIRONMENT, input=b"one\n", capture_output=True, timeout=60, check=False)

    assert (done.returncode, done.stdout) == (0, b"ONE\n"), done.stderr


@pytest.mark.skipif(not Path("/usr/bin/make").exists(), reason="there is no make")
def test_make_resumes_shards_after_a_kill(tmp_path: Path) -> None:
    """Four shards by two jobs, of which one kills itself; the same command then makes the missing one."""
    (tmp_path / "in").write_bytes(b"".join(b"line %d\n" % number for number in range(2000)))
    (tmp_path / "Makefile").write_text(
        "out: $(foreach i,1 2 3 4,out.$(i))\n\tcat $^ > $@\n"
        'out.%: in\n\t"$$PYTHON" -c "$$PROGRAM" translate model --nproc 1 -i in --shard $*/4 -o $@\n'
    )
    lines = (tmp_path / "in").read_bytes().split(b"\n")
    (tmp_path / "in").write_bytes(b"\n".join([*lines[:1100], b"die", *lines[1101:]]))

    assert subprocess.run(["make", "-j2", "-k"], cwd=tmp_path, env=ENVIRONMENT, capture_output=True).returncode == 2
    made = sorted(path.name for path in tmp_path.glob("out.?"))
    assert len(made) == 3
    (tmp_path / "in").write_bytes(b"\n".join(lines))
    for name in made:
        os.utime(tmp_path / name)
    assert subprocess.run(["make", "-j2"], cwd=tmp_path, env=ENVIRONMENT, capture_output=True).returncode == 0
    assert (tmp_path / "out").read_bytes() == b"\n".join(lines).upper()
