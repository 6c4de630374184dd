"""The command line: help, one-line error messages and exit codes."""

import os
import pty
import re
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from nmt_cli import __version__, cli
from nmt_cli.cli import main
from nmt_cli.errors import StoppedError

ROOT = Path(__file__).parents[1]


def nmt(*arguments: str, folder: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "nmt_cli", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def exit_code(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run `nmt` in this process and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["nmt", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_help_lists_commands() -> None:
    found = nmt("--help")
    assert found.returncode == 0
    assert all(command in found.stdout for command in ("preprocess", "train", "translate", "evaluate"))


@pytest.mark.parametrize(
    "command",
    ["check", "preprocess", "train", "translate", "score", "evaluate", "report", "runs", "show", "stop", "export"],
)
def test_help_of_command_has_examples(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(command, "--help", monkeypatch=monkeypatch) == 0
    assert f"nmt {command}" in capsys.readouterr().out


def test_help_of_command_has_neither_python_nor_typer_terms(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in cli.COMMANDS:
        exit_code(command, "--help", monkeypatch=monkeypatch)
        shown = capsys.readouterr().out
        assert not re.search(r"INTEGER|FLOAT|BOOLEAN|TEXT\b(?! )|<=|\{|\.\.\.\.", shown), command
        assert "#" not in shown.partition("Examples:")[2], f"{command}: zsh takes it for an argument"


def test_help_command_shows_the_help_of_a_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = []
    for arguments in (["help", "score"], ["score", "--help"], ["help"], ["--help"]):
        assert exit_code(*arguments, monkeypatch=monkeypatch) == 0
        shown.append(capsys.readouterr().out.rstrip("\n"))
    assert shown[0] == shown[1]
    assert shown[2] == shown[3]
    assert re.search(r"^Prepare:\n  check .*\n  preprocess .*\n\nTrain:\n  train ", shown[2], flags=re.MULTILINE)
    assert exit_code("help", "tarin", monkeypatch=monkeypatch) == 2
    assert "Did you mean 'train'" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version_is_printed(option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(option, monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out == f"nmt {__version__}\n"


@pytest.mark.parametrize("arguments", [["tarin"], ["train"], ["train", "x.yaml", "--fersh"], ["translate"]])
def test_wrong_usage_exits_with_2(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert exit_code(*arguments, monkeypatch=monkeypatch) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train", "missing.yaml"], 2, "missing.yaml: "),
        (["preprocess", "."], 2, ".: "),
        (["train", "wrong.yaml"], 2, "wrong.yaml:1:1: rnu: "),
        (["translate", "nowhere"], 4, "nowhere: "),
        (["translate", "."], 4, ".: "),
        (["evaluate", "nowhere"], 4, "nowhere: "),
        (["evaluate"], 2, ""),
        (
            ["evaluate", "--hypothesis", "two.txt", "--reference", "three.txt"],
            3,
            "two.txt ",
        ),
        (["evaluate", "--hypothesis", "bad.txt", "--reference", "two.txt"], 3, "bad.txt: line 2: "),
        (["evaluate", "--hypothesis", "empty.txt", "--reference", "empty.txt"], 3, "empty.txt: "),
        (["evaluate", "--hypothesis", ".", "--reference", "two.txt"], 3, ".: "),
    ],
)
def test_error_is_one_line_with_exit_code(
    arguments: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wrong.yaml").write_text("rnu: runs/x\n")
    for name, content in (("two", b"a\nb\n"), ("three", b"a\nb\nc\n"), ("bad", b"a\n\xff\n"), ("empty", b"")):
        Path(f"{name}.txt").write_bytes(content)

    assert exit_code(*arguments, monkeypatch=monkeypatch) == code

    found = capsys.readouterr()
    assert found.out == ""
    lines = found.err.rstrip("\n").split("\n")
    assert all(line.startswith("nmt: error: ") for line in lines)
    assert f"nmt: error: {message}" in found.err
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "bad.txt",
        "empty.txt",
        "three.txt",
        "two.txt",
        "wrong.yaml",
    ]


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), 130), (MemoryError(), 5), (StoppedError("stopped", signal.SIGTERM), 143)]
)
def test_interrupted_or_stopped_command_has_its_exit_code(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(prog_name: str) -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    assert exit_code("runs", monkeypatch=monkeypatch) == code


def test_recipe_error_is_reported_before_torch_is_imported(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("rnu: runs/x\n")
    program = (
        "import sys; from nmt_cli.cli import main; sys.argv = ['nmt', 'train', 'wrong.yaml']\n"
        "try: main()\n"
        "except SystemExit as stop: print(stop.code, 'torch' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert found.stdout == "2 False\n"


def test_closed_standard_streams_are_filled(tmp_path: Path) -> None:
    """Otherwise the output of libraries would go to a file with the same descriptor, such as a log."""
    program = (
        "import os; from nmt_cli import cli; cli._fill_closed_streams()\n"
        f"files = [open(f'{tmp_path}/{{number}}', 'w') for number in range(3)]\n"
        "os.write(1, b'noise'); os.write(2, b'noise')\n"
    )
    command = ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash", sys.executable, "-c", program]
    subprocess.run(command, cwd=ROOT, check=True)
    assert [path.read_text() for path in sorted(tmp_path.iterdir())] == ["", "", ""]


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["--version"]])
def test_help_that_cannot_be_written_is_one_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "nmt_cli", *arguments]
        found = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert found.returncode == 5
    assert re.fullmatch(r"nmt: error: stdout: .*\n", found.stderr)


@pytest.mark.parametrize("command", ["preprocess", "train", "translate", "score", "evaluate"])
def test_number_of_processes_is_bounded(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert exit_code(command, "x", "--nproc", str(10**21), monkeypatch=monkeypatch) == 2


def test_interrupted_import_exits_with_130_and_no_traceback() -> None:
    program = "import sys, nmt_cli.__main__ as entry; sys.meta_path.insert(0, Stopper()); entry.main()"
    stopper = """
class Stopper:
    def find_spec(self, name, *_):
        if name == "typer":
            raise KeyboardInterrupt
"""
    found = subprocess.run([sys.executable, "-c", stopper + program], cwd=ROOT, capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (130, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["translate", "m", "-i", "in", "-o"],
        ["report", "run", "-o"],
        ["compare", "a", "b", "--html"],
    ],
)
def test_output_in_a_missing_folder_is_refused(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert exit_code(*arguments, "missing/x", monkeypatch=monkeypatch) == 2
    assert capsys.readouterr().err.startswith("nmt: error: missing/x: ")
    assert not Path("missing").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["translate", "m", "--format", "x"], "'x' is not one of 'text', 'nbest', 'jsonl', 'tsv'."),
        (["train", "r", "--nproc", "x"], "must be an integer"),
        (["train", "r", "--nproc", "0"], "must be greater than or equal to 1"),
        (["train", "r", "--a\u202eb"], "No such option: --a\\u202eb"),
    ],
)
def test_usage_errors_are_in_plain_words(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(*arguments, monkeypatch=monkeypatch) == 2
    assert capsys.readouterr().err.rstrip().endswith(message)


def test_help_shows_whole_sentences_and_no_python_types(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    exit_code("--help", monkeypatch=monkeypatch)
    assert "..." not in capsys.readouterr().out.replace("COMMAND [ARGS]...", "")
    for command in ("translate", "compare", "train", "show"):
        exit_code(command, "--help", monkeypatch=monkeypatch)
        assert not re.search("<(path|list|Path)", capsys.readouterr().out)


def on_terminal(folder: Path, columns: int, *arguments: str, **environment: str) -> str:
    """Return what `nmt` prints on a terminal."""
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, columns))
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", **environment}
    for name in ("COLUMNS", *(["NO_COLOR"] if "NO_COLOR" not in environment else [])):
        variables.pop(name, None)
    command = [sys.executable, "-m", "nmt_cli", *arguments]
    with subprocess.Popen(command, cwd=folder, env=variables, stdout=terminal, stderr=terminal):
        os.close(terminal)
        output = b""
        while True:
            try:
                output += os.read(controller, 65536)
            except OSError:  # the program has ended
                break
    os.close(controller)
    return output.decode().replace("\r\n", "\n")


def test_error_is_red_on_a_terminal_unless_no_color_is_set(tmp_path: Path) -> None:
    assert on_terminal(tmp_path, 80, "train", "x.yaml").startswith("\x1b[1;31mnmt: error:\x1b[0m x.yaml: ")
    assert on_terminal(tmp_path, 80, "train", "x.yaml", NO_COLOR="1").startswith("nmt: error: x.yaml: ")
    assert on_terminal(tmp_path, 80, "train", "x.yaml", TERM="dumb").startswith("nmt: error: x.yaml: ")


@pytest.mark.slow
@pytest.mark.parametrize("columns", [60, 120])
def test_compare_fits_the_terminal_and_highlights_the_best(columns: int, tmp_path: Path) -> None:
    reference = "Zwei Hunde spielen auf der großen grünen Wiese hinter dem alten Haus am See.\n"
    names = ["a_system_with_a_very_long_name.de", "another_system_with_a_long_name.de"]
    for name, text in zip(names, (reference.replace("Hunde", "Katzen"), reference), strict=True):
        (tmp_path / name).write_text(text * 12)
    (tmp_path / "test.de").write_text(reference * 12)
    shown = on_terminal(
        tmp_path,
        columns,
        "compare",
        *names,
        "--reference",
        "test.de",
        "--set",
        "evaluation.resamples=10",
        "--resamples",
        "20",
    )

    assert shown.count("\x1b[1;32m100.00 ") == 2
    assert max(map(len, re.sub(r"\x1b\[[\d;]*m", "", shown).split("\n"))) <= columns
