"""Analysis of one system."""

import json
from dataclasses import asdict

from nmt_cli.evaluation.breakdown import analyse
from nmt_cli.evaluation.metrics import build_metrics, compute_statistics
from nmt_cli.evaluation.metrics.metric import EvaluationTexts
from nmt_cli.recipe.evaluation import Evaluation

SETTINGS = Evaluation(metrics=["chrf", "ter"], resamples=20)
REFERENCES = ["Ein Hund läuft.", "Zwei Kinder spielen 2 Spiele.", ""]
SOURCES = ["A dog runs.", "Two children play 2 games.", ""]
TEXTS = EvaluationTexts(["Ein Hund rennt.", "Zwei Kinder spielen.", ""], [REFERENCES], SOURCES)


def test_analysis_is_strict_json_for_unusual_lines() -> None:
    for texts in (
        TEXTS,
        EvaluationTexts([""], [[""]], [""]),
        EvaluationTexts([""], [["a"]]),
        EvaluationTexts(["a"], [[""]], ["a"]),
    ):
        statistics = compute_statistics(texts, build_metrics(Evaluation(metrics=["bleu", "chrf", "ter", "per", "wer"])))
        content = asdict(analyse(texts, statistics, {"Ein": 3}, ["x"] * len(texts.hypotheses)))
        assert json.loads(json.dumps(content, allow_nan=False)) == content


def test_analyse_without_training_text_has_no_word_bands() -> None:
    found = analyse(TEXTS, compute_statistics(TEXTS, build_metrics(SETTINGS)))
    assert found.word_bands == []
    assert "rarest target word" not in {part.kind for part in found.slices}
    assert found.sort_metric == "chrF2"
