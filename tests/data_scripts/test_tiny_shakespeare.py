"""Tiny Shakespeare from a folder: only the expected text is accepted."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

RunScript = Callable[..., CompletedProcess[str]]


def test_another_text_is_refused(run_script: RunScript, tmp_path: Path) -> None:
    found = run_script("tiny_shakespeare.py", "--from", tmp_path)
    assert (found.returncode, found.stderr.count("\n")) == (3, 1)
    assert "has no input.txt" in found.stderr
    (tmp_path / "input.txt").write_text("First Citizen:\n")
    found = run_script("tiny_shakespeare.py", "--from", tmp_path)
    assert found.returncode == 3
    assert "is not the expected file" in found.stderr
    assert not (tmp_path / "data").exists()
