"""nmt report, from a recipe to a page, of real models."""

import re
from pathlib import Path

import pytest

from nmt_cli.commands.attention import MOST_SUBWORDS, attention_maps
from nmt_cli.commands.evaluate import evaluate
from nmt_cli.commands.loading import load_model
from nmt_cli.commands.report import report
from nmt_cli.commands.train import train
from nmt_cli.errors import DataError, ModelError
from nmt_cli.runs.directory import RunDirectory

RUN = RunDirectory(Path("run"))
FEW_UPDATES = ["training.limits.updates=2", "training.validation.every=2"]


@pytest.fixture
def evaluated(recipe: Path) -> Path:
    """The recipe of a model that is trained and evaluated."""
    train(recipe, FEW_UPDATES)
    evaluate(recipe)
    return recipe


def page() -> str:
    return RUN.report.read_text()


def test_a_page_tells_all_of_a_trained_and_evaluated_model(evaluated: Path) -> None:
    report(evaluated)
    assert page().count('class="attention"') == 3
    assert "train/digits" in page()
    assert "BLEU on test" in page()
    assert not re.search(r'class="absent">(?!No line|none)', page())


@pytest.mark.slow
def test_each_row_of_attention_is_shared_out_among_the_source(evaluated: Path) -> None:
    loaded = load_model(RUN.path)
    (drawn,) = attention_maps(loaded, [(7, "one two three", "eins zwei")])
    assert drawn.line == 7
    assert [drawn.source[-1], drawn.target[-1]] == ["</s>", "</s>"]
    assert "".join(drawn.source[:-1]) == "▁one▁two▁three"
    assert len(drawn.weights) == len(drawn.target)
    for row in drawn.weights:
        assert len(row) == len(drawn.source)
        assert sum(row) == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["rnn"])
def test_lines_too_long_to_be_drawn_are_left_out(evaluated: Path) -> None:
    lines = [(1, "one " * MOST_SUBWORDS, "eins"), (2, "one", "eins"), (3, "", "")]
    assert [drawn.line for drawn in attention_maps(load_model(RUN.path), lines)] == [2, 3]


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["rnn"])
def test_a_report_has_its_place_at_each_time_of_a_run(recipe: Path) -> None:
    with pytest.raises(ModelError, match="run: is no run of nmt; nmt train makes one"):
        report(recipe)
    train(recipe, FEW_UPDATES)
    report(recipe)
    assert "No test set is evaluated yet" in page()
    assert "There are no translations to look at yet" in page()
    evaluate(recipe)
    report(recipe, attention=0, output=Path("elsewhere.html"))
    assert "--attention 0" in Path("elsewhere.html").read_text()
    report(recipe, lines=[2, 5])
    assert re.findall(r"<strong>Line (\d+)", page()) == ["2", "5"]
    with pytest.raises(DataError, match="--line 9"):
        report(recipe, lines=[9])


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["rnn"])
def test_a_damaged_model_costs_the_attention_alone(evaluated: Path) -> None:
    (RUN.model / "model.safetensors").write_bytes(b"damaged")
    report(RUN.path)
    assert "The model cannot be loaded" in page()
    assert "BLEU on test" in page()


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["rnn"])
def test_a_model_without_attention_says_so(recipe: Path) -> None:
    changes = ["model.attention=none", "model.input_feeding=false"]
    train(recipe, [*FEW_UPDATES, *changes])
    evaluate(RUN.path)
    report(RUN.path)
    assert "The model has no attention" in page()
