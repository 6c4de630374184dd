"""Nothing is said twice that must not be."""

from itertools import pairwise

import pytest
from fake_models import GruModel, forced_log_probability, one, search, translations

from nmt_cli.decoding.sentences import NO_CONSTRAINTS, Constraints
from nmt_cli.recipe.decoding import BeamSettings, SamplingSettings, SearchSettings

SOURCES = [[4, 5, 6], [6, 5], [5, 5, 4, 6]]


def repeats(tokens: tuple[int, ...], length: int) -> bool:
    rows = [tokens[place : place + length] for place in range(len(tokens) - length + 1)]
    return len(set(rows)) < len(rows)


@pytest.mark.parametrize(
    "settings", [BeamSettings(beam_size=1), BeamSettings(beam_size=4, n_best=4), SamplingSettings(strategy="sampling")]
)
@pytest.mark.parametrize("length", [2, 3])
def test_rows_of_words_come_once(settings: SearchSettings, length: int) -> None:
    model = GruModel(9, seed=4)
    loose = search(model, [NO_CONSTRAINTS] * 3, settings)
    assert any(repeats(each.tokens, length) for found in loose for each in found)

    strict = search(model, [NO_CONSTRAINTS] * 3, settings.model_copy(update={"no_repeat_ngram_size": length}))

    assert not any(repeats(each.tokens, length) for found in strict for each in found)


def test_a_wide_beam_finds_the_best_without_repeats() -> None:
    model = GruModel(7, seed=4, end_bias=1.0)
    every = [said for said in translations([4, 5, 6], 5) if not repeats(said, 2)]
    scores = {said: forced_log_probability(model, one(4, 5, 6), said) / (len(said) + 1) for said in every}

    found = search(
        model, [NO_CONSTRAINTS], BeamSettings(beam_size=1000, n_best=5, max_length=5, no_repeat_ngram_size=2)
    )[0]

    assert [each.tokens for each in found] == sorted(scores, key=scores.__getitem__, reverse=True)[:5]


def test_a_prefix_may_repeat_itself() -> None:
    chosen = BeamSettings(beam_size=3, no_repeat_ngram_size=1)

    (found,) = search(GruModel(12, end_bias=4.0), [Constraints(prefix=(4, 4, 5))], chosen)

    assert found[0].tokens[:3] == (4, 4, 5)
    assert all(one != other for one, other in pairwise(found[0].tokens[2:]))
