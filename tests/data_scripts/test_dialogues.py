"""Dialogues between a guest and a waiter."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

sys.path.append(str(Path(__file__).parents[2] / "data_scripts"))

from dialogues import judge

RunScript = Callable[..., CompletedProcess[str]]

TURNS = [
    "guest: two teas and one cake , please .",
    "waiter: two teas and one cake . anything else ?",
    "guest: make it three teas .",
    "waiter: three teas and one cake . that makes 9 euros .",
    "guest: here you are .",
    "waiter: thank you , goodbye !",
]


def test_dialogues_are_right_and_first_turns_occur_once(run_script: RunScript, tmp_path: Path) -> None:
    result = run_script("dialogues.py", "--train", 300, "--valid", 40, "--test", 30, "--to", "out")
    assert (result.returncode, result.stderr) == (0, "")
    first = list[str]()
    for part, size in (("train", 300), ("valid", 40), ("test", 30)):
        dialogues = [text.strip().split("\n") for text in (tmp_path / "out" / f"{part}.txt").read_text().split("\n\n")]
        assert len(dialogues) == size
        assert all(judge(turns) == (True, True) for turns in dialogues)
        first += [turns[0] for turns in dialogues]
        if part != "train":
            prompts = (tmp_path / "out" / f"{part}.prompts").read_text().split("\n")[:-1]
            assert prompts == [turns[0] for turns in dialogues]
    assert len(set(first)) == len(first)


def test_the_seed_decides_the_text(run_script: RunScript, tmp_path: Path) -> None:
    texts = []
    for seed in (1, 1, 2):
        run_script("dialogues.py", "--train", 5, "--valid", 5, "--test", 5, "--seed", seed, "--to", "out")
        texts.append((tmp_path / "out" / "train.txt").read_text())
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", (True, True)),
        ("waiter: two teas and one cake .", "waiter: one cake and two teas .", (False, True)),
        ("waiter: two teas and one cake .", "waiter: two teas .", (False, True)),
        ("waiter: three teas", "waiter: two teas", (False, True)),
        ("9 euros", "8 euros", (True, False)),
        ("9 euros", "9 euros . that makes 9 euros", (True, False)),
        (" that makes 9 euros .", "", (True, False)),
        ("make it three teas", "two soups , too", (False, False)),
        ("goodbye !", "goodbye ! one", (False, True)),
        ("one cake . anything", "anything", (False, True)),
    ],
)
def test_errors_of_the_waiter_are_found(old: str, new: str, expected: tuple[bool, bool]) -> None:
    assert judge("\n".join(TURNS).replace(old, new, 1).split("\n")) == expected


def test_a_dialogue_that_ends_early_is_wrong() -> None:
    assert judge(TURNS[:1]) == judge(TURNS[:2]) == judge([]) == (False, False)


def test_continuations_are_checked(run_script: RunScript, tmp_path: Path) -> None:
    wrong = [turn.replace("9 euros", "7 euros") for turn in TURNS]
    rows = [{"prompt": turns[0], "text": "\n" + "\n".join(turns[1:])} for turns in (TURNS, wrong)]
    (tmp_path / "found.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    result = run_script("dialogues.py", "--check", "found.jsonl")
    assert (result.returncode, result.stderr) == (0, "")
    assert "(wrong: total)" in result.stdout
    assert result.stdout.endswith("\ndialogues: 2; orders repeated: 100.0 %; totals correct: 50.0 %\n")


@pytest.mark.parametrize(("content", "message"), [("[]\n", "is not JSON Lines"), ("", "contains no dialogues")])
def test_other_files_are_not_checked(run_script: RunScript, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "found.jsonl").write_text(content)
    result = run_script("dialogues.py", "--check", "found.jsonl")
    assert (result.returncode, result.stderr.count("\n")) == (3, 1)
    assert message in result.stderr


def test_too_many_dialogues_are_refused(run_script: RunScript) -> None:
    result = run_script("dialogues.py", "--train", 60_000)
    assert result.returncode == 2
    assert "the maximum is 50,000" in result.stderr
