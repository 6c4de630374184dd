"""nmt check reports problems as text and as JSON, and changes nothing."""

import json
import random
from pathlib import Path

import pytest
import yaml

from nmt_cli.cli.check import check
from nmt_cli.errors import DataError, RecipeError
from nmt_cli.recipe.loading import load_recipe

NUMBERS = [("one", "eins"), ("two", "zwei"), ("three", "drei"), ("four", "vier"), ("five", "fünf"), ("six", "sechs")]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe without problems, with its text, in the working directory."""
    monkeypatch.chdir(tmp_path)
    generator = random.Random(1)
    rows = {tuple(generator.choices(NUMBERS, k=generator.randint(1, 7))) for _ in range(3000)}
    ordered = sorted(rows)
    generator.shuffle(ordered)
    for name, chosen in {"train": ordered[200:], "dev": ordered[:100], "test": ordered[100:200]}.items():
        for side, code in enumerate(("en", "de")):
            Path(f"{name}.{code}").write_text("".join(" ".join(w[side] for w in row) + "\n" for row in chosen))
    corpora = {name: {"source": f"{name}.en", "target": f"{name}.de"} for name in ("train", "dev", "test")}
    recipe = {
        "run": "run",
        "data": {
            "source_language": "en",
            "target_language": "de",
            "prepared": "prepared",
            "train": {"numbers": corpora["train"]},
            "valid": {"dev": corpora["dev"]},
            "test": {"test": corpora["test"]},
        },
        "tokenizer": {"vocabulary_size": 30, "byte_fallback": False},
        "model": {"architecture": "transformer", "preset": "tiny"},
        "training": {"update_tokens": 500, "limits": {"updates": 2000}},
    }
    Path("recipe.yaml").write_text(yaml.safe_dump(recipe))
    return Path("recipe.yaml")


def test_check_of_a_good_recipe_reports_no_problems(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(Path().rglob("*"))
    check(path)
    text = capsys.readouterr().out
    assert "No problems found." in text
    assert "next: nmt preprocess recipe.yaml" in text
    assert sorted(Path().rglob("*")) == before


def test_check_output_is_at_most_80_columns_wide(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(path, ["training.optimizer.learning_rate=1.0"])
    text = capsys.readouterr().out
    assert "warning  training.optimizer.learning_rate: " in text
    assert max(map(len, text.split("\n"))) <= 80


def test_check_prints_json(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(path, ["training.optimizer.learning_rate=1.0"], json=True)
    report = json.loads(capsys.readouterr().out)
    assert (report["errors"], report["warnings"]) == (0, 1)
    (finding,) = (found for found in report["findings"] if found["level"] == "warning")
    assert finding.keys() == {"level", "check", "where", "message", "advice"}
    corpora = {corpus["where"] for corpus in report["corpora"]}
    assert corpora == {"data.train.numbers", "data.valid.dev", "data.test.test"}
    assert report["estimate"]["parameters"] > 0
    assert all(sum(side["fractions"].values()) == pytest.approx(1, abs=0.01) for side in report["lengths"])


def test_check_raises_data_error_for_missing_text(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("train.de").unlink()
    with pytest.raises(DataError, match=r"data\.train\.numbers: train\.de: "):
        check(path)
    assert "error    data.train.numbers: train.de: " in capsys.readouterr().out


def test_check_raises_recipe_error_for_wrong_settings(path: Path) -> None:
    with pytest.raises(RecipeError, match=r"tokenizer\.vocabulary_size: "):
        check(path, ["tokenizer.vocabulary_size=5000"])


def test_check_uses_the_prepared_tokenizer(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from nmt_cli.commands.preprocess import preprocess

    preprocess(load_recipe(path))
    check(path)
    assert "the tokenizer of prepared" in capsys.readouterr().out
