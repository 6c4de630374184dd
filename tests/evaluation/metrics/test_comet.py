"""COMET runs in its own process, by the interface of unbabel-comet 2.2.7, which a stub has here."""

import sys
from pathlib import Path

import pytest

from nmt_cli.errors import DataError, RecipeError
from nmt_cli.evaluation.metrics import build_metrics, score
from nmt_cli.evaluation.metrics.comet import comet_metric
from nmt_cli.evaluation.metrics.metric import EvaluationTexts
from nmt_cli.recipe.evaluation import CometMetric, Evaluation

STUB = """\
from types import SimpleNamespace


class Model:
    def predict(self, samples, batch_size=16, gpus=1, devices=None, mc_dropout=0, progress_bar=True, accelerator="auto",
                num_workers=None, length_batching=True):
        print("noise on stdout")
        assert (batch_size, gpus, progress_bar) == (4, 0, False)
        scores = [0.5 + 0.25 * (each["mt"] == each["ref"]) + len(each["src"]) / 1000 for each in samples]
        return SimpleNamespace(scores=scores, system_score=sum(scores) / len(scores))


def load_from_checkpoint(checkpoint_path, reload_hparams=False, strict=False, local_files_only=False):
    assert local_files_only, "would download"
    if "broken" in open(checkpoint_path).read():
        raise OSError("cannot find xlm-roberta-large\\nsecond line")
    return Model()
"""
TEXTS = EvaluationTexts(
    ["Ein Hund.", "Zwei\u2028Katzen."], [["Ein Hund.", "Drei."], ["Hund.", "Vier."]], ["A dog.", ""]
)


@pytest.fixture
def settings(tmp_path: Path) -> CometMetric:
    """A model, and an environment with the stub."""
    (tmp_path / "comet.py").write_text(STUB)
    checkpoint = tmp_path / "wmt22-comet-da/checkpoints/model.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_text("weights")
    checkpoint.parents[1].joinpath("hparams.yaml").write_text("class_identifier: regression_metric\n")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\n[ "$1" = -I ] && shift\nPYTHONPATH={tmp_path} exec {sys.executable} -P "$@"\n')
    python.chmod(0o755)
    return CometMetric(path=checkpoint, python=python, batch_size=4)


def test_scores_are_the_mean_over_references_in_percent(settings: CometMetric) -> None:
    metric = comet_metric(settings)
    scores = metric.score_sentences(TEXTS)
    assert scores == pytest.approx([100 * (0.5 + 0.125 + 0.006), 50.0])
    assert metric.signature(2) == "nrefs:2|model:wmt22-comet-da"


def test_comet_follows_the_other_metrics(settings: CometMetric) -> None:
    built = build_metrics(Evaluation(comet=settings))
    assert [(each.key, each.name) for each in built] == [("bleu", "BLEU"), ("chrf++", "chrF2++"), ("comet", "COMET")]


def test_missing_sources_and_unreadable_models_are_reported(settings: CometMetric) -> None:
    with pytest.raises(RecipeError, match=r"^evaluation\.comet: .* source lines"):
        score(["a"], [["b"]], Evaluation(metrics=["exact_match"], comet=settings))
    settings.path.write_text("broken")
    with pytest.raises(DataError, match=r"OSError: cannot find xlm-roberta-large; .* in the cache of Hugging Face$"):
        comet_metric(settings).score_sentences(TEXTS)


def test_a_missing_model_or_package_is_reported_before_any_work(settings: CometMetric) -> None:
    with pytest.raises(RecipeError, match=r"^evaluation\.comet: .* pip install 'nmt-cli\[comet\]', or set"):
        comet_metric(settings.model_copy(update={"python": None}))
    with pytest.raises(RecipeError, match="is not a file"):
        comet_metric(settings.model_copy(update={"path": settings.path.parent}))
    (settings.path.parents[1] / "hparams.yaml").unlink()
    with pytest.raises(RecipeError, match=r"has no hparams\.yaml"):
        comet_metric(settings)
