"""Run the commands of a guide in a folder that has `nmt` as a program."""

import os
import subprocess
from pathlib import Path


def add_nmt(folder: Path, python: Path) -> None:
    """Write the program `nmt`, which `run` finds."""
    (folder / "nmt").write_text(f'#!/bin/sh\nexec {python} -m nmt_cli "$@"\n')
    (folder / "nmt").chmod(0o755)


def run(folder: Path, commands: str, stderr: int = subprocess.PIPE) -> str:
    """Return the output of a shell that stops at the first error."""
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    command = ["bash", "-euo", "pipefail", "-c", commands]
    found = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True)
    assert found.returncode == 0, f"{commands}\n{found.stdout}\n{found.stderr}"
    return found.stdout
