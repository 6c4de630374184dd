"""The number words corpus."""

import hashlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

sys.path.append(str(Path(__file__).parents[2] / "data_scripts"))

from number_words import draw, english, german

from nmt_cli.text.checks.checker import Checker

RunScript = Callable[..., CompletedProcess[str]]


@pytest.mark.parametrize(
    ("number", "in_english", "in_german"),
    [
        (0, "zero", "null"),
        (1, "one", "eins"),
        (12, "twelve", "zwölf"),
        (16, "sixteen", "sechzehn"),
        (17, "seventeen", "siebzehn"),
        (21, "twenty-one", "einundzwanzig"),
        (30, "thirty", "dreißig"),
        (60, "sixty", "sechzig"),
        (76, "seventy-six", "sechsundsiebzig"),
        (100, "one hundred", "einhundert"),
        (101, "one hundred one", "einhunderteins"),
        (221, "two hundred twenty-one", "zweihunderteinundzwanzig"),
        (1000, "one thousand", "eintausend"),
        (1001, "one thousand one", "eintausendeins"),
        (21_000, "twenty-one thousand", "einundzwanzigtausend"),
        (101_000, "one hundred one thousand", "einhunderteintausend"),
        (201_001, "two hundred one thousand one", "zweihunderteintausendeins"),
        (
            999_999,
            "nine hundred ninety-nine thousand nine hundred ninety-nine",
            "neunhundertneunundneunzigtausendneunhundertneunundneunzig",
        ),
    ],
)
def test_numbers_are_spelled_by_rule(number: int, in_english: str, in_german: str) -> None:
    assert english(number) == in_english
    assert german(number) == in_german


def test_checks_find_no_problem_in_any_pair() -> None:
    check = Checker("en", "de")
    assert not any(check(english(number), german(number)) for number in draw(5_000, seed=1))


def test_no_two_numbers_have_the_same_words() -> None:
    numbers = [*range(2_000), *range(20_900, 21_200), *range(100_900, 101_200)]
    assert len({english(number) for number in numbers}) == len({german(number) for number in numbers}) == len(numbers)


def test_numbers_are_drawn_without_repetition_and_short_ones_too() -> None:
    numbers = draw(5_000, seed=1)
    assert len(set(numbers)) == 5_000
    assert min(numbers) >= 0
    assert max(numbers) < 1_000_000
    assert set(range(10)) < set(numbers)


def test_train_valid_and_test_are_disjoint_and_aligned(run_script: RunScript, tmp_path: Path) -> None:
    result = run_script("number_words.py", "--train", "300", "--valid", "20", "--test", "30")
    assert (result.returncode, result.stderr) == (0, "")
    folder = tmp_path / "data" / "number_words"
    sides = {path.name: path.read_bytes().decode().removesuffix("\n").split("\n") for path in folder.iterdir()}
    assert {name: len(lines) for name, lines in sides.items()} == {
        f"{part}.{language}": size
        for part, size in (("train", 300), ("valid", 20), ("test", 30))
        for language in ("en", "de")
    }
    assert len({*sides["train.en"], *sides["valid.en"], *sides["test.en"]}) == 350
    spelt = {english(number): german(number) for number in draw(350, seed=1)}
    assert [spelt[line] for line in sides["test.en"]] == sides["test.de"]


def test_same_seed_gives_same_files_and_hashes(run_script: RunScript, tmp_path: Path) -> None:
    sizes = ("--train", "50", "--valid", "5", "--test", "5")
    first, second, other = (
        run_script("number_words.py", *sizes, "--to", "corpus", "--seed", seed).stdout for seed in ("1", "1", "2")
    )
    assert first == second != other
    written = hashlib.sha256((tmp_path / "corpus" / "test.de").read_bytes()).hexdigest()
    assert f"corpus/test.de  5 lines  sha256 {written}" in other


@pytest.mark.parametrize("arguments", [("--train", "0"), ("--train", "ten"), ("--train", "600000"), ("--tain", "3")])
def test_wrong_arguments_are_usage_errors(arguments: tuple[str, str], run_script: RunScript, tmp_path: Path) -> None:
    result = run_script("number_words.py", *arguments)
    assert result.returncode == 2
    assert "number_words.py: error: " in result.stderr.split("\n")[-2]
    assert list(tmp_path.iterdir()) == []


def test_file_instead_of_folder_is_a_one_line_error(run_script: RunScript, tmp_path: Path) -> None:
    (tmp_path / "corpus").touch()
    result = run_script("number_words.py", "--to", "corpus")
    assert result.returncode == 3 and re.fullmatch(r"number_words\.py: error: corpus: [^\n]*\n", result.stderr)


def test_all_files_are_written_or_none(run_script: RunScript, tmp_path: Path) -> None:
    (tmp_path / "corpus" / "test.de").mkdir(parents=True)
    result = run_script("number_words.py", "--to", "corpus", "--train", "9")
    assert result.returncode == 3 and result.stderr.startswith("number_words.py: error: corpus/test.de: ")
    assert [path.name for path in (tmp_path / "corpus").iterdir()] == ["test.de"]


def test_check_lists_wrong_translations_and_accuracy(run_script: RunScript, tmp_path: Path) -> None:
    rows = [("one", "eins"), ("two", "drei"), ("three", "drei")]
    texts = (
        f'{{"source": "{s}", "hypothesis": "{h}", "references": ["{german(i)}"]}}\n' for i, (s, h) in enumerate(rows, 1)
    )
    (tmp_path / "hypotheses.jsonl").write_text("".join(texts))
    told = run_script("number_words.py", "--check", "hypotheses.jsonl").stdout.split("\n")
    assert told == ["two → drei  (wrong: zwei)", "one → eins", "three → drei", "exact match: 66.7 %", ""]


@pytest.mark.parametrize("content", ["", "{}\n", "no JSON\n"])
def test_invalid_check_input_is_a_one_line_error(content: str, run_script: RunScript, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(content)
    result = run_script("number_words.py", "--check", "file")
    assert result.returncode == 3
    assert result.stderr.startswith("number_words.py: error: file: ")
    assert result.stderr.count("\n") == 1
