"""The command line: help that is quick, mistakes in one line, the right exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nmt_cli import __version__
from nmt_cli.cli import main

ROOT = Path(__file__).parents[1]


def nmt(*arguments: str, folder: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "nmt_cli", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def called(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a call in this process."""
    monkeypatch.setattr(sys, "argv", ["nmt", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_help_names_the_four_verbs() -> None:
    found = nmt("--help")
    assert found.returncode == 0
    assert all(verb in found.stdout for verb in ("preprocess", "train", "translate", "evaluate"))


@pytest.mark.parametrize(
    "verb", ["check", "preprocess", "train", "translate", "score", "evaluate", "report", "runs", "show", "export"]
)
def test_every_command_has_an_example(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(verb, "--help", monkeypatch=monkeypatch) == 0
    assert f"nmt {verb}" in capsys.readouterr().out


def test_the_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert called("--version", monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out == f"nmt {__version__}\n"


@pytest.mark.parametrize("arguments", [["tarin"], ["train"], ["train", "x.yaml", "--fersh"], ["translate"]])
def test_wrong_usage_exits_with_2(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert called(*arguments, monkeypatch=monkeypatch) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["train", "missing.yaml"], 2, "missing.yaml: "),
        (["preprocess", "."], 2, ".: "),
        (["train", "wrong.yaml"], 2, "wrong.yaml:1:1: rnu: is not a setting; did you mean run?"),
        (["translate", "nowhere"], 4, "nowhere: there is no such model"),
        (["translate", "."], 4, ".: is no model, checkpoint or run of nmt"),
        (["evaluate", "nowhere"], 4, "nowhere: there is no such model"),
        (["evaluate"], 2, "give a MODEL"),
        (
            ["evaluate", "--hypothesis", "two.txt", "--reference", "three.txt"],
            3,
            "two.txt has 2 lines but three.txt has 3",
        ),
        (["evaluate", "--hypothesis", "bad.txt", "--reference", "two.txt"], 3, "bad.txt: line 2: "),
        (["evaluate", "--hypothesis", "empty.txt", "--reference", "empty.txt"], 3, "empty.txt: "),
        (["evaluate", "--hypothesis", ".", "--reference", "two.txt"], 3, ".: "),
    ],
)
def test_a_mistake_is_one_line_and_its_exit_code(
    arguments: list[str],
    code: int,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wrong.yaml").write_text("rnu: runs/x\n")
    for name, content in (("two", b"a\nb\n"), ("three", b"a\nb\nc\n"), ("bad", b"a\n\xff\n"), ("empty", b"")):
        Path(f"{name}.txt").write_bytes(content)

    assert called(*arguments, monkeypatch=monkeypatch) == code

    found = capsys.readouterr()
    assert found.out == ""
    mistakes = found.err.rstrip("\n").split("\n")
    assert all(line.startswith("nmt: error: ") for line in mistakes)
    assert f"nmt: error: {told}" in found.err
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "bad.txt",
        "empty.txt",
        "three.txt",
        "two.txt",
        "wrong.yaml",
    ]


def test_a_wrong_recipe_is_told_before_torch_is_loaded(tmp_path: Path) -> None:
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


def test_no_file_takes_the_number_of_a_stream_that_is_closed(tmp_path: Path) -> None:
    """Whatever a library prints would else get into that file, such as a run's journal."""
    program = (
        "import os; from nmt_cli import cli; cli._fill_closed_streams()\n"
        f"files = [open(f'{tmp_path}/{{number}}', 'w') for number in range(3)]\n"
        "os.write(1, b'noise'); os.write(2, b'noise')\n"
    )
    command = ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash", sys.executable, "-c", program]
    subprocess.run(command, cwd=ROOT, check=True)
    assert [path.read_text() for path in sorted(tmp_path.iterdir())] == ["", "", ""]
