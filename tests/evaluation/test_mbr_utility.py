"""MBR utilities equal sacreBLEU's sentence scores."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from nmt_cli.evaluation.mbr_utility import expected_utilities, pairwise_bleu, pairwise_chrf, utility_function
from nmt_cli.recipe.evaluation import Evaluation

TEXTS = ["The cat sat on the mat.", "A cat sat on the mat!", "cat", "", "the the the the the", "Ein Hund, 3.5 km weit"]
LISTS = st.lists(st.text("ab .,é", max_size=12), min_size=1, max_size=4)


@settings(max_examples=60)
@given(LISTS)
def test_pairwise_chrf_equals_sacrebleu(texts: list[str]) -> None:
    for chosen in (texts, TEXTS):
        expected = [[CHRF().sentence_score(text, [other]).score for other in chosen] for text in chosen]
        assert pairwise_chrf(chosen).tolist() == [pytest.approx(row) for row in expected]


@settings(max_examples=60)
@given(LISTS)
def test_pairwise_bleu_equals_sacrebleu(texts: list[str]) -> None:
    metric = BLEU(effective_order=True)
    for chosen in (texts, TEXTS):
        expected = [[metric.sentence_score(text, [other]).score for other in chosen] for text in chosen]
        assert pairwise_bleu(chosen, "13a").tolist() == [pytest.approx(row) for row in expected]


@pytest.mark.parametrize("metric", ["chrf", "bleu"])
def test_expected_utilities_is_the_weighted_mean(metric: str) -> None:
    texts, weights = [*TEXTS, TEXTS[0]], [0.1, 0.3, 0.05, 0.05, 0.1, 0.2, 0.2]
    utility = utility_function(metric, Evaluation())
    table = utility(texts)

    found = expected_utilities(texts, weights, utility)

    assert found == pytest.approx([sum(table[index] * weights) for index in range(len(texts))])
