"""The Django corpus: punctuation of descriptions, and files that are not the published ones."""

import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

sys.path.append(str(Path(__file__).parents[2] / "data_scripts"))

from django_code import separate

RunScript = Callable[..., CompletedProcess[str]]


@pytest.mark.parametrize(
    ("description", "separated"),
    [
        ("call self.get with x, return it.", "call self . get with x , return it ."),
        ("append string ',\\n' to [result].", "append string ',\\n' to [ result ] ."),
        ("the function's name is \"it's\" .", "the function ' s name is \"it's\" ."),
        ("  two  spaces\tin 'a  b'", "two spaces in 'a b'"),
        ("increment _x_1 by 2.5", "increment _x_1 by 2 . 5"),
    ],
)
def test_punctuation_is_separated_outside_of_quotes(description: str, separated: str) -> None:
    assert separate(description) == separated


def test_other_files_are_refused(run_script: RunScript, tmp_path: Path) -> None:
    result = run_script("django_code.py", "--from", tmp_path)
    assert result.returncode == 3
    assert "all.anno: is missing" in result.stderr
    (tmp_path / "all.anno").write_text("something else\n")
    result = run_script("django_code.py", "--from", tmp_path)
    assert result.returncode == 3
    assert "all.anno: is not the expected file" in result.stderr
    assert not (tmp_path / "data").exists()
