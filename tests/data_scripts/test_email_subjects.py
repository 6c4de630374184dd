"""Emails become one line each: body, subject and the first words of the body; the split is kept."""

import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

sys.path.append(str(Path(__file__).parents[2] / "data_scripts"))

from email_subjects import separate

RunScript = Callable[..., CompletedProcess[str]]


@pytest.fixture
def emails(tmp_path: Path) -> Path:
    """Two emails in each part; those of dev and test have subjects of annotators."""
    folder = tmp_path / "enron_subject_line"
    for part in ("train", "dev", "test"):
        (folder / part).mkdir(parents=True)
        more = "" if part == "train" else "\n\n@ann0\nanother subject\n\n@ann1\na third"
        (folder / part / "b_sent_1.subject").write_text(f"Hi,  we meet\nat 9:30. @ home\n\n@subject\nRe: {part}{more}")
        (folder / part / "a_inbox_2.subject").write_text(f"Short one\n\n@subject\nIt's\n{more}")
    return folder


def test_emails_become_lines_and_parts_are_kept(run_script: RunScript, emails: Path, tmp_path: Path) -> None:
    result = run_script("email_subjects.py", "--from", emails, "--words", "7", "--first-words", "3")
    assert (result.returncode, result.stderr) == (0, "")
    folder = tmp_path / "data" / "email_subjects"
    for part, name in (("train", "train"), ("valid", "dev"), ("test", "test")):
        assert (folder / f"{part}.body").read_text() == "short one\nhi , we meet at 9 :\n"
        assert (folder / f"{part}.subject").read_text() == f"it's\nre : {name}\n"
    for part in ("valid", "test"):
        assert (folder / f"{part}.first_words").read_text() == "short one\nhi , we\n"
    assert len(list(folder.iterdir())) == 8


@pytest.mark.parametrize(
    ("text", "separated"),
    [
        ("Don't  STOP", "don't stop"),
        ("$1,000 (net)\tpg&e", "$ 1 , 000 ( net ) pg & e"),
        ("'quoted' the boys' café", "' quoted ' the boys ' café"),
    ],
)
def test_punctuation_is_separated(text: str, separated: str) -> None:
    assert separate(text) == separated


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"no subject\n", "must be a body, an empty line, @subject"), (b"\xff\n\n@subject\na", "is not UTF-8")],
)
def test_damaged_emails_are_reported(run_script: RunScript, emails: Path, content: bytes, message: str) -> None:
    (emails / "dev" / "c.subject").write_bytes(content)
    result = run_script("email_subjects.py", "--from", emails)
    assert (result.returncode, result.stderr.count("\n")) == (3, 1)
    assert "c.subject: " in result.stderr
    assert message in result.stderr


def test_a_folder_without_emails_is_reported(run_script: RunScript, tmp_path: Path) -> None:
    result = run_script("email_subjects.py", "--from", tmp_path)
    assert (result.returncode, result.stderr.count("\n")) == (3, 1)
    assert "train: has no file *.subject" in result.stderr
