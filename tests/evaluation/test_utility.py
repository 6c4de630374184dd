"""Utilities are sacreBLEU's sentence scores."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from nmt_cli.evaluation.utility import bleu, chrf, expected_utilities, similarity
from nmt_cli.recipe.evaluation import Evaluation

TEXTS = ["The cat sat on the mat.", "A cat sat on the mat!", "cat", "", "the the the the the", "Ein Hund, 3.5 km weit"]
LISTS = st.lists(st.text("ab .,é", max_size=12), min_size=1, max_size=4)


@settings(max_examples=60)
@given(LISTS)
def test_chrf_is_that_of_sacrebleu(texts: list[str]) -> None:
    for chosen in (texts, TEXTS):
        expected = [[CHRF().sentence_score(text, [other]).score for other in chosen] for text in chosen]
        assert chrf(chosen).tolist() == [pytest.approx(row) for row in expected]


@settings(max_examples=60)
@given(LISTS)
def test_bleu_is_that_of_sacrebleu(texts: list[str]) -> None:
    metric = BLEU(effective_order=True)
    for chosen in (texts, TEXTS):
        expected = [[metric.sentence_score(text, [other]).score for other in chosen] for text in chosen]
        assert bleu(chosen, "13a").tolist() == [pytest.approx(row) for row in expected]


@pytest.mark.parametrize("metric", ["chrf", "bleu"])
def test_what_is_expected_is_the_mean_by_weight(metric: str) -> None:
    texts, weights = [*TEXTS, TEXTS[0]], [0.1, 0.3, 0.05, 0.05, 0.1, 0.2, 0.2]
    compare = similarity(metric, Evaluation())
    table = compare(texts)

    found = expected_utilities(texts, weights, compare)

    assert found == pytest.approx([sum(table[place] * weights) for place in range(len(texts))])
