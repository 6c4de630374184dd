"""Validation during training and nmt evaluate without repair give a checkpoint the same scores."""

import json
from pathlib import Path

import pytest

from nmt_cli.cli.evaluate import evaluate
from nmt_cli.commands.preprocess import preprocess
from nmt_cli.commands.train import train
from nmt_cli.recipe.loading import load_recipe

each_architecture = pytest.mark.parametrize(
    "architecture", ["transformer", pytest.param("rnn", marks=pytest.mark.slow)]
)

UPDATES = 12
NAMES = {"BLEU": "bleu", "chrF2": "chrf", "chrF2++": "chrf++", "PER": "per"}


SETTINGS = {
    "plain": ["training.validation.metric=chrf++"],
    "bf16 and ema": ["training.precision=bf16", "training.ema_decay=0.5", "training.validation.metric=bleu"],
    "another metric and language": [
        "data.target_language=zh",
        "training.validation.metric=per",
        "evaluation.metrics=[bleu,chrf,per]",
        "evaluation.bleu_tokenizer=auto",
    ],
}


@pytest.fixture(params=["plain", pytest.param("bf16 and ema", marks=pytest.mark.slow), "another metric and language"])
def settings(request: pytest.FixtureRequest) -> list[str]:
    """Overrides of the recipe."""
    return SETTINGS[str(request.param)]


@each_architecture
def test_validation_scores_equal_those_of_evaluate(
    recipe: Path, settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    preprocess(load_recipe(recipe, settings))
    train(recipe, ["training.checkpoints.keep_last=9", "decoding.check=false", *settings])
    records = [json.loads(line) for line in Path("run/metrics.jsonl").read_bytes().split(b"\n")[:-1]]
    journal = {record["update"]: record for record in records if record["kind"] == "valid"}
    assert len(journal) == UPDATES // 4

    for step, expected in journal.items():
        capsys.readouterr()
        evaluate(Path(f"run/checkpoints/step_{step}"), ["dev"], json=True)
        scores = json.loads(capsys.readouterr().out)["dev"]["scores"]
        found = {NAMES[each["name"]]: pytest.approx(each["score"], abs=1e-9) for each in scores}
        assert {key: expected[key] for key in NAMES.values() if key in expected} == found
        assert ("tok:zh" in scores[0]["signature"]) == (len(found) == 3)
        assert Path(f"run/evaluation/dev@step_{step}/scores.json").is_file()

    published = json.loads(Path("run/run.json").read_bytes())["published"]
    evaluate(Path("run"), ["dev"], json=True)
    scores = json.loads(capsys.readouterr().out)["dev"]["scores"]
    (score,) = (each["score"] for each in scores if NAMES[each["name"]] == published["metric"])
    better = min if published["metric"] == "per" else max
    assert score == pytest.approx(better(published["average"], published["best_checkpoint"]), abs=1e-9)
