"""Manual pages, as `man` shows them."""

import shutil
import subprocess

import pytest
from typer.testing import CliRunner

from nmt_cli.cli import COMMANDS, app


def page(*command: str) -> str:
    done = CliRunner().invoke(app, ["help", "--man", *command])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_page_with_its_options_and_examples(command: str) -> None:
    text = page(command)
    assert text.startswith(f'.TH "NMT-{command.upper()}" 1 ')
    sections = [line[4:] for line in text.split("\n") if line.startswith(".SH ")]
    assert sections[:2] == ["NAME", "SYNOPSIS"]
    assert sections[-2:] == ["OPTIONS", "EXAMPLES"]
    assert r"\fB\-\-help" in text or r"\-h, \-\-help" in text


def test_page_of_the_program_lists_the_commands() -> None:
    text = page()
    assert all(f"\\fB{command}\\fR" in text for command in COMMANDS)


def test_man_formats_a_page_without_complaint() -> None:
    program = shutil.which("groff")
    if program is None:
        pytest.skip("groff is not installed")
    command = [program, "-man", "-Tutf8", "-ww", "-P-cbou"]
    done = subprocess.run(command, input=page("compare"), capture_output=True, text=True, check=True)
    assert not done.stderr
    shown = " ".join(done.stdout.split())
    assert "nmt-compare - Compare systems" in shown.replace("\u2010", "-")
    assert "--method" in shown.replace("\u2010", "-")
