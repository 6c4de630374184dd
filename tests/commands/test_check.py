"""nmt check says what will go wrong, in plain words and as JSON, and changes nothing."""

import json
import random
from pathlib import Path

import pytest
import yaml

from nmt_cli.commands.check import check
from nmt_cli.errors import DataError, RecipeError
from nmt_cli.recipe.loading import load_recipe

NUMBERS = [("one", "eins"), ("two", "zwei"), ("three", "drei"), ("four", "vier"), ("five", "fünf"), ("six", "sechs")]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe in which nothing is wrong, with its text, in the working directory."""
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


def test_a_good_recipe_is_told_so_and_nothing_is_changed(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(Path().rglob("*"))
    check(load_recipe(path), path)
    said = capsys.readouterr().out
    assert "Nothing looks wrong." in said
    assert "next: nmt preprocess recipe.yaml" in said
    assert sorted(Path().rglob("*")) == before


def test_it_can_be_read_on_a_narrow_terminal(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(load_recipe(path, ["training.optimizer.learning_rate=1.0"]), path)
    said = capsys.readouterr().out
    assert "warning  training.optimizer.learning_rate: 1 is very high" in said
    assert max(map(len, said.split("\n"))) <= 80


def test_json_is_one_object_that_says_the_same(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(load_recipe(path, ["training.optimizer.learning_rate=1.0"]), path, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["errors"], told["warnings"]) == (0, 1)
    (finding,) = (found for found in told["findings"] if found["level"] == "warning")
    assert finding.keys() == {"level", "check", "where", "what", "advice"}
    assert {corpus["where"] for corpus in told["corpora"]} == {"data.train.numbers", "data.valid.dev", "data.test.test"}
    assert told["estimate"]["weights"] > 0
    assert all(sum(side["shares"].values()) == pytest.approx(1, abs=0.01) for side in told["lengths"])


def test_text_that_is_missing_ends_with_the_exit_code_of_data(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("train.de").unlink()
    with pytest.raises(DataError, match=r"train\.de: does not exist"):
        check(load_recipe(path), path)
    assert "error    data.train.numbers: train.de: does not exist" in capsys.readouterr().out


def test_a_recipe_that_cannot_work_ends_with_the_exit_code_of_recipes(path: Path) -> None:
    with pytest.raises(RecipeError, match=r"tokenizer\.vocabulary_size: is too large"):
        check(load_recipe(path, ["tokenizer.vocabulary_size=5000"]), path)


def test_a_prepared_folder_is_made_use_of(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from nmt_cli.commands.preprocess import preprocess
    from nmt_cli.data.preparation.preparing import PreprocessJob

    preprocess(load_recipe(path), PreprocessJob(), 1)
    check(load_recipe(path), path)
    assert "the tokenizer of prepared" in capsys.readouterr().out
