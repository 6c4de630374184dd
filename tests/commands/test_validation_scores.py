"""Validation during training and nmt evaluate give a checkpoint the same scores."""

import json
from pathlib import Path

import pytest

from nmt_cli.cli.evaluate import evaluate
from nmt_cli.commands.train import train

each_architecture = pytest.mark.parametrize(
    "architecture", ["transformer", pytest.param("rnn", marks=pytest.mark.slow)]
)

UPDATES = 12


@pytest.fixture(params=["plain", pytest.param("bf16 and ema", marks=pytest.mark.slow)])
def settings(request: pytest.FixtureRequest) -> list[str]:
    """Overrides of the recipe."""
    return [] if request.param == "plain" else ["training.precision=bf16", "training.ema_decay=0.5"]


@each_architecture
def test_validation_scores_equal_those_of_evaluate(
    recipe: Path, settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    train(recipe, ["training.checkpoints.keep_last=9", *settings])
    records = [json.loads(line) for line in Path("run/metrics.jsonl").read_bytes().split(b"\n")[:-1]]
    journal = {record["update"]: record for record in records if record["kind"] == "valid"}
    assert len(journal) == UPDATES // 4

    for step, expected in journal.items():
        capsys.readouterr()
        evaluate(Path(f"run/checkpoints/step_{step}"), ["dev"], json=True)
        found = {each["name"]: each["score"] for each in json.loads(capsys.readouterr().out)["dev"]["scores"]}
        assert found == {
            "BLEU": pytest.approx(expected["bleu"], abs=1e-9),
            "chrF2": pytest.approx(expected["chrf"], abs=1e-9),
        }
        assert Path(f"run/evaluation/dev@step_{step}/scores.json").is_file()
