"""The pronunciation task: each letter and each phone becomes a word, and the split of the task is kept."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

RunScript = Callable[..., CompletedProcess[str]]


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Tables of two languages."""
    folder = tmp_path / "medium"
    folder.mkdir()
    for language in ("aaa", "bbb"):
        for part in ("train", "dev", "test"):
            (folder / f"{language}_{part}.tsv").write_text(f"été\te t e\n{part}\tt͡ʃ  a\n")
    return folder


def test_letters_and_phones_are_separated_and_parts_kept(run_script: RunScript, tables: Path, tmp_path: Path) -> None:
    result = run_script("pronunciation.py", "--from", tables)
    assert (result.returncode, result.stderr) == (0, "")
    for language in ("aaa", "bbb"):
        folder = tmp_path / "data" / "pronunciation" / language
        for part, name in (("train", "train"), ("valid", "dev"), ("test", "test")):
            assert (folder / f"{part}.letters").read_text() == f"é t é\n{' '.join(name)}\n"
            assert (folder / f"{part}.phones").read_text() == "e t e\nt͡ʃ a\n"


def test_some_languages_can_be_chosen(run_script: RunScript, tables: Path, tmp_path: Path) -> None:
    assert run_script("pronunciation.py", "--from", tables, "--languages", "bbb", "--to", "here").returncode == 0
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["bbb"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"word\n", "aaa_dev.tsv:1: must be a word, a tab and its pronunciation"),
        (b"\xff\ta\n", "aaa_dev.tsv:1: is not UTF-8"),
    ],
)
def test_damaged_tables_are_reported(run_script: RunScript, tables: Path, content: bytes, message: str) -> None:
    (tables / "aaa_dev.tsv").write_bytes(content)
    result = run_script("pronunciation.py", "--from", tables)
    assert result.returncode == 3
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_missing_tables_are_reported(run_script: RunScript, tmp_path: Path) -> None:
    for options, message in (
        (["--from", "."], "has no file LANGUAGE_train.tsv"),
        (["--from", "x", "--languages", "y"], "x/y_train.tsv"),
    ):
        result = run_script("pronunciation.py", *options)
        assert result.returncode == 3
        assert message in result.stderr
