"""nmt report of real models."""

import re
from pathlib import Path

import pytest

from nmt_cli.cli.evaluate import evaluate
from nmt_cli.cli.report import report
from nmt_cli.commands.attention import MAX_SUBWORDS, attention_maps
from nmt_cli.commands.loading import load_model
from nmt_cli.commands.train import train
from nmt_cli.errors import DataError, ModelError
from nmt_cli.runs.directory import RunDirectory

RUN = RunDirectory(Path("run"))
FEW_UPDATES = ["training.limits.updates=2", "training.validation.every=2"]


@pytest.fixture
def evaluated(recipe: Path) -> Path:
    """The recipe of a trained and evaluated model."""
    train(recipe, FEW_UPDATES)
    evaluate(recipe)
    return recipe


def page() -> str:
    return RUN.report.read_text()


def test_report_of_an_evaluated_model_has_no_empty_section(evaluated: Path) -> None:
    report(evaluated)
    assert page().count('class="attention"') == 3
    assert "train/digits" in page()
    assert "BLEU on test" in page()
    assert not re.search(r'class="empty">(?!None|none)', page())


@pytest.mark.slow
def test_attention_of_each_target_subword_sums_to_one(evaluated: Path) -> None:
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
def test_attention_maps_omits_very_long_lines(evaluated: Path) -> None:
    lines = [(1, "one " * MAX_SUBWORDS, "eins"), (2, "one", "eins"), (3, "", "")]
    assert [drawn.line for drawn in attention_maps(load_model(RUN.path), lines)] == [2, 3]


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["rnn"])
def test_report_at_each_stage_of_a_run(recipe: Path) -> None:
    with pytest.raises(ModelError, match=r"^run: "):
        report(recipe)
    train(recipe, FEW_UPDATES)
    report(recipe)
    assert "No test set has been evaluated yet" in page()
    assert "There are no translations yet" in page()
    evaluate(recipe)
    report(recipe, attention=0, output=Path("elsewhere.html"))
    assert "--attention 0" in Path("elsewhere.html").read_text()
    report(recipe, line=[2, 5])
    assert re.findall(r"<strong>Line (\d+)", page()) == ["2", "5"]
    with pytest.raises(DataError, match="--line 9"):
        report(recipe, line=[9])


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["rnn"])
def test_report_with_a_damaged_model_has_all_but_attention(evaluated: Path) -> None:
    (RUN.model / "model.safetensors").write_bytes(b"damaged")
    report(RUN.path)
    assert "The model cannot be loaded" in page()
    assert "BLEU on test" in page()


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["rnn"])
def test_report_of_a_model_without_attention(recipe: Path) -> None:
    changes = ["model.attention=none", "model.input_feeding=false"]
    train(recipe, [*FEW_UPDATES, *changes])
    evaluate(RUN.path)
    report(RUN.path)
    assert "The model has no attention" in page()
