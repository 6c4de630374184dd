"""Completion in the real shells: what the Tab key inserts."""

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from nmt_cli.cli.completion import complete_run, complete_setting

ROOT = Path(__file__).parents[1]
TYPED = {
    "nmt trans": "nmt translate",
    "nmt help sco": "nmt help score",
    "nmt translate runs/en": "nmt translate runs/en-de",
    "nmt train recipe.yaml --set decoding.beam_s": "nmt train recipe.yaml --set decoding.beam_size=",
    "nmt train recipe.yaml --set decoding.strategy=sam": "nmt train recipe.yaml --set decoding.strategy=sampling",
    "nmt score runs/en-de --set training.see": "nmt score runs/en-de --set training.see",
}
"""What is typed before the Tab key, and the line after it."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run, a recipe and the program nmt."""
    (tmp_path / "runs" / "en-de").mkdir(parents=True)
    (tmp_path / "runs" / "notes").mkdir()
    (tmp_path / "runs" / "en-de" / "run.json").write_text("{}")
    (tmp_path / "recipe.yaml").write_text("")
    program = tmp_path / "bin" / "nmt"
    program.parent.mkdir()
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom nmt_cli.__main__ import main; main()\n"
    program.write_text(f"#!{sys.executable}\n{start}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def script(shell: str) -> str:
    """Return the script of `nmt --show-completion` in a shell."""
    environment = {**os.environ, "_NMT_COMPLETE": f"source_{shell}"}
    return subprocess.run(["nmt"], env=environment, capture_output=True, text=True, check=True).stdout


def lines_after_tab(command: list[str], setup: str) -> list[str]:
    """Type each line and the Tab key in an interactive shell, then let it echo the line."""
    controller, terminal = pty.openpty()
    keys = f"{setup}\n" + "".join(f"{line}\t\x01echo RESULT \x05\n" for line in TYPED) + "exit\n"
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True) as shell:
        os.close(terminal)
        os.write(controller, keys.encode())
        output = b""
        while True:
            try:
                output += os.read(controller, 65536)
            except OSError:  # the shell has ended
                break
        os.close(controller)
        shell.wait()
    found = [line for line in output.decode(errors="replace").replace("\r", "\n").split("\n") if "RESULT" in line]
    return [line.strip().removeprefix("RESULT ") for line in found if line.startswith("RESULT ")]


@pytest.mark.slow
def test_bash_completes(project: Path) -> None:
    (project / "complete.sh").write_text(script("bash"))
    found = lines_after_tab(["bash", "--norc", "--noprofile", "-i"], "PS1='$ '; source ./complete.sh")
    assert found == list(TYPED.values())


@pytest.mark.slow
def test_zsh_completes(project: Path) -> None:
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    (project / "complete.zsh").write_text(script("zsh"))
    setup = "PS1='$ '; bindkey -e; autoload -Uz compinit; compinit -u -D; source ./complete.zsh"
    assert lines_after_tab(["zsh", "-f", "-i"], setup) == list(TYPED.values())


@pytest.mark.slow
def test_fish_completes(project: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    (project / "complete.fish").write_text(script("fish"))
    for typed, expected in TYPED.items():
        command = ["fish", "--no-config", "-c", f"source ./complete.fish; complete --do-complete '{typed}'"]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
        words = [line.partition("\t")[0] for line in found if line]
        assert expected.split()[-1] in words or expected == typed


def test_runs_and_recipes_are_completed(project: Path) -> None:
    assert complete_run("") == [str(Path("runs", "en-de")), "recipe.yaml"]
    assert complete_run("runs/x") == []


def settings(incomplete: str, command: str = "train") -> list[str]:
    group = typer.main.get_command(typer.Typer(callback=lambda: None, no_args_is_help=False))
    return complete_setting(typer.Context(group, info_name=command), incomplete)


def test_settings_are_completed() -> None:
    assert settings("decoding.beam_") == ["decoding.beam_size=", "decoding.beam_size=5", "decoding.beam_size=1"]
    assert settings("decoding.chec") == ["decoding.check=", "decoding.check=true", "decoding.check=false"]
    assert settings("decoding.strategy=s") == ["decoding.strategy=sampling"]
    assert settings("decoding.strategy=", "translate") == [
        f"decoding.strategy={value}" for value in ("", "beam", "sampling", "mbr", "ctc")
    ]
    assert {"training.limits.updates=", "data.prepared=", "seed=", "model.width="} <= {*settings("")}
    assert all(each.startswith(("decoding.", "evaluation.")) for each in settings("", "translate"))
    assert not any("NAME" in each or each in ("model=", "training=", "data.train=") for each in settings(""))
