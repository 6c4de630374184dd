"""Historical spelling: words are preprocessed as in the publication, and other files are refused."""

import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

sys.path.append(str(Path(__file__).parents[2] / "data_scripts"))

from spelling_normalisation import most_frequent, pairs

RunScript = Callable[..., CompletedProcess[str]]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Elimėleh\tElimelech", [("elimėleh", "elimelech")]),
        ("a\u0301r\tár", [("ár", "ár")]),  # NFC
        ("hog'\thogy", [("hog'", "hogy")]),
        ("el ment\telment", [("el ment", "elment")]),
        ("1540\t1540", [("0000", "0000")]),
        ("15\ttizenöt", [("15", "tizenöt")]),
        (".\t.", []),
        ("⸫\t.", []),
        ("word\t...", []),
        ("word", []),
        ("word\t", []),
        ("", []),
    ],
)
def test_words_are_preprocessed(line: str, expected: list[tuple[str, str]]) -> None:
    assert pairs(f"{line}\n") == expected
    assert pairs(f"vala\tvala\n\n{line}\nEs\tés\n") == [("vala", "vala"), *expected, ("es", "és")]


def test_the_most_frequent_spelling_is_memorised() -> None:
    words = [("o", "ó"), ("es", "és"), ("o", "ő"), ("es", "is"), ("es", "is")]
    assert most_frequent(words) == {"o": "ó", "es": "is"}


def test_other_files_are_refused(run_script: RunScript, tmp_path: Path) -> None:
    result = run_script("spelling_normalisation.py", "--from", tmp_path)
    assert (result.returncode, result.stderr.count("\n")) == (3, 1)
    assert "has no hungarian/hungarian-hgds.train.txt" in result.stderr
    (tmp_path / "icelandic").mkdir()
    (tmp_path / "icelandic" / "icelandic-icepahc.train.txt").write_text("a\tb\n")
    result = run_script("spelling_normalisation.py", "--from", tmp_path, "--languages", "icelandic")
    assert (result.returncode, result.stderr.count("\n")) == (3, 1)
    assert "is not the expected file" in result.stderr
    assert not (tmp_path / "data").exists()


def test_a_file_that_cannot_be_downloaded_is_reported(run_script: RunScript, tmp_path: Path) -> None:
    result = run_script("spelling_normalisation.py", "--url", (tmp_path / "nowhere").as_uri())
    assert (result.returncode, result.stderr.count("\n")) == (3, 1)
    assert "hungarian-hgds.train.txt: cannot be downloaded" in result.stderr
