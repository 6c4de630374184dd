"""Scores and comparisons as plain text."""

from fake_comparisons import make_comparison

from nmt_cli.evaluation.breakdown.robustness import Robustness, ScoreDrop
from nmt_cli.reporting.terminal import format_comparison, format_scores

BLEU = {"name": "BLEU", "score": 38.126, "signature": "nrefs:1"}


def test_format_scores_shows_score_interval_and_signature() -> None:
    text = format_scores("test", {"scores": [BLEU, BLEU | {"confidence_var": 1.5}], "exact_match": 12.5})
    assert text.split("\n") == [
        "test  BLEU 38.13  (nrefs:1)",
        "test  BLEU 38.13 ± 1.50  (nrefs:1)",
        "",
    ]


def test_format_scores_shows_robustness() -> None:
    drop = ScoreDrop("bleu", original=38.1, perturbed=21.0, difference=-17.1, p=0.0002)
    text = format_scores("test", {"scores": [BLEU], "exact_match": 0}, [Robustness("upper case", 3, [drop], [])])
    assert "test  upper case: BLEU 21.00 (-17.10, p < 0.001)\n" in text


def test_format_comparison_shows_scores_verdicts_slices_and_lines() -> None:
    lines = format_comparison(make_comparison()).split("\n")
    assert lines[0] == "test: 1,000 sentences, paired bootstrap with 1,000 resamples"
    assert "first                      37.25 ± 1.62" in lines
    assert "second  39.50 ± 1.50, over seeds ± 0.35" in lines
    assert "BLEU: verdict on Ein Satz" in lines
    assert any(line.split() == ["length:", "1-9", "words", "12", "30.00", "35.00"] for line in lines)
    start = lines.index("second improves line 7: chrF2 20.00 → 80.00")
    assert [line.split()[0] for line in lines[start + 1 : start + 5]] == ["source", "reference", "first", "second"]
