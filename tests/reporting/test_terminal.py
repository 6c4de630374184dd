"""Scores and comparisons as plain text."""

from dataclasses import replace

import pytest
from fake_comparisons import make_comparison
from rich.cells import cell_len

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


LONG = "Ein sehr langer Satz über zwei Hunde, die auf einer Wiese spielen, 犬が二匹遊んでいる, und noch viel mehr"


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("second", ["second", "runs/multi30k/en-de/transformer_base_with_a_long_name"])
def test_comparison_fits_the_terminal(width: int, second: str) -> None:
    given = make_comparison(text=LONG)
    scores = [replace(each, system=second if each.system == "second" else each.system) for each in given.scores]
    pairs = [replace(pair, second=second) for pair in given.pairs]
    slices = [
        replace(each, scores={"bleu": {"first": 30.0, second: 35.0}}, sentences=12_345_678) for each in given.slices
    ]
    text = format_comparison(replace(given, scores=scores, pairs=pairs, slices=slices), width)

    assert max(map(cell_len, text.split("\n"))) <= width
    words = " ".join(text.split())
    for part in ("37.25 ± 1.62", "39.50 ± 1.50, over seeds ± 0.35", "12,345,678", second, "noch viel mehr eins"):
        assert part in words
    if width == 200:
        assert text == format_comparison(replace(given, scores=scores, pairs=pairs, slices=slices))


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_scores_fit_the_terminal(width: int) -> None:
    signature = "nrefs:1|bs:1000|seed:12345|case:mixed|eff:no|tok:13a|smooth:exp|version:2.5.1"
    score = BLEU | {"confidence_var": 1.5, "signature": signature}
    drop = ScoreDrop("bleu", original=38.1, perturbed=21.0, difference=-17.1, p=0.0002)
    text = format_scores("test", {"scores": [score]}, [Robustness("upper case", 3, [drop], [])], width)

    lines = text.split("\n")
    assert max(map(len, lines)) <= width
    assert "test  BLEU 38.13 ± 1.50" in lines[0]
    assert f"({signature})" in "".join(line.strip() for line in lines)


def test_best_scores_are_highlighted() -> None:
    marked = format_comparison(make_comparison(), highlight=lambda text: f"<{text}>")
    assert "first                      37.25 ± 1.62\n" in marked
    assert "second  <39.50 ± 1.50, over seeds ± 0.35>\n" in marked
    errors = format_comparison(make_comparison(lower_is_better=True), highlight=lambda text: f"<{text}>")
    assert "<37.25 ± 1.62>" in errors
    assert "<39.50" not in errors
