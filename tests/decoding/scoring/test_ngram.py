"""N-gram models over token ids."""

import itertools

import pytest
from ngram_oracle import BOS, SIZE, A, log_probability, random_arpa

from nmt_cli.decoding.scoring import ngram
from nmt_cli.decoding.scoring.arpa import ArpaModel
from nmt_cli.decoding.scoring.ngram import NgramModel
from nmt_cli.errors import ModelError


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("cached", [2**24, 0])
def test_scores_follow_the_definition_of_backoff(order: int, cached: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngram, "_MAX_CACHED_VALUES", cached)
    arpa = random_arpa(order, order)
    model = NgramModel(arpa, SIZE)
    for length in range(5):
        for tokens in itertools.product((1, 2, 3), repeat=length):
            assert model.score(tokens) == pytest.approx(log_probability(arpa, tokens), abs=1e-4)


def test_tokens_that_a_model_without_unk_lacks_are_nearly_impossible() -> None:
    model = NgramModel(random_arpa(1, has_unknown=False), SIZE)
    assert model.score((3,)) < -200 < model.score((1, 2))


def test_model_without_an_end_scores_none() -> None:
    model = NgramModel(ArpaModel(1, {(A,): -1.0}, {}), SIZE)
    assert model.score((1, 1)) == pytest.approx(-2.0)


def test_model_of_other_tokens_is_refused() -> None:
    with pytest.raises(ModelError, match="none of the target tokens"):
        NgramModel(ArpaModel(1, {(BOS,): -2.0}, {}), SIZE)
