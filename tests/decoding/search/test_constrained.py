"""Forced phrases occur whenever possible, with beams of any size."""

import pytest
import torch
from fake_models import GruModel, TableModel, forced_log_probability, occurrences, one, search
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.decoding.logits_processors.phrases import ForcedPhrases
from nmt_cli.decoding.logits_processors.processor import ProcessorList
from nmt_cli.decoding.logits_processors.tracker import ContinuationTokens
from nmt_cli.decoding.search.candidates import ActiveBeams
from nmt_cli.decoding.search.constrained import ConstrainedSelector
from nmt_cli.decoding.sentences import Constraints, Phrase
from nmt_cli.recipe.decoding import BeamSettings, SamplingSettings, SearchSettings

WORDS, CONTINUES = (4, 5, 6), (7, 8)
PHRASES = st.builds(
    lambda first, rest: (first, *rest), st.sampled_from(WORDS), st.lists(st.sampled_from(WORDS + CONTINUES), max_size=2)
)
SETTINGS = st.builds(
    BeamSettings,
    beam_size=st.integers(1, 4),
    length_penalty=st.sampled_from([0.0, 1.0]),
    max_length=st.sampled_from([None, 1, 6]),
    max_length_ratio=st.sampled_from([0.1, 2.0]),
)
MODEL = GruModel(9, seed=5, end_bias=3.0)


def contains_all(required: tuple[Phrase, ...], tokens: tuple[int, ...]) -> bool:
    return all(occurrences(phrase, tokens, CONTINUES) >= required.count(phrase) for phrase in required)


@settings(max_examples=30)
@given(st.lists(PHRASES, min_size=1, max_size=4).map(tuple), st.lists(st.sampled_from(WORDS), max_size=2), SETTINGS)
def test_forced_phrases_always_occur(required: tuple[Phrase, ...], prefix: list[int], chosen: BeamSettings) -> None:
    found = search(MODEL, [Constraints(prefix=tuple(prefix), forced_phrases=required)], chosen, CONTINUES)[0]

    assert contains_all(required, found[0].tokens)
    assert found[0].tokens[: len(prefix)] == tuple(prefix)
    assert not found[0].unsatisfied
    room = max(chosen.max_length or 99, len(prefix) + sum(map(len, required)))
    assert len(found[0].tokens) <= room


@pytest.mark.parametrize("beam_size", [1, 3])
def test_impossible_phrases_are_dropped_and_reported(beam_size: int) -> None:
    constraints = Constraints(forced_phrases=((4, 5), (6,), (4, 5)), bad_words=((5,),))
    expected = search(
        MODEL, [Constraints(forced_phrases=((6,),), bad_words=((5,),))], BeamSettings(beam_size=beam_size)
    )[0]

    found = search(MODEL, [constraints], BeamSettings(beam_size=beam_size))[0]

    assert [each.tokens for each in found] == [each.tokens for each in expected]
    assert {each.unsatisfied for each in found} == {((4, 5),)}


def test_phrases_that_exclude_each_other_are_all_dropped() -> None:
    constraints = Constraints(forced_phrases=((4, 4), (5,)), bad_words=((4, 5), (5, 4), (6,), (7,), (8,)))
    expected = search(MODEL, [Constraints(bad_words=constraints.bad_words)], BeamSettings(beam_size=2))[0]

    found = search(MODEL, [constraints], BeamSettings(beam_size=2))[0]

    assert [each.tokens for each in found] == [each.tokens for each in expected]
    assert found[0].unsatisfied
    assert set(found[0].unsatisfied) == {
        each for each in constraints.forced_phrases if not occurrences(each, found[0].tokens)
    }


@pytest.mark.parametrize("beam_size", [1, 3])
def test_translation_is_truncated_where_no_token_may_follow(beam_size: int) -> None:
    model = GruModel(9, seed=5, end_bias=-1e4)

    found = search(model, [Constraints()], BeamSettings(beam_size=beam_size, no_repeat_ngram_size=1, min_length=9))[0]

    assert [sorted(each.tokens) for each in found] == [[4, 5, 6, 7, 8]]
    assert not found[0].has_eos


@pytest.mark.parametrize(
    "chosen", [SamplingSettings(strategy="sampling", n_best=3), BeamSettings(beam_size=6, n_best=6, num_beam_groups=3)]
)
def test_other_strategies_search_forced_phrases_by_a_beam(chosen: SearchSettings) -> None:
    constraints = [Constraints(), Constraints(forced_phrases=((4, 5), (6,))), Constraints()]

    found = search(MODEL, constraints, chosen, CONTINUES)

    assert all(contains_all(constraints[1].forced_phrases, each.tokens) for each in found[1])
    without = search(MODEL, [Constraints()] * 3, chosen, CONTINUES)
    for index in (0, 2):
        assert [each.tokens for each in found[index]] == [each.tokens for each in without[index]]
        scores = [each.score for each in without[index]]
        assert [each.score for each in found[index]] == pytest.approx(scores, abs=1e-5)


def test_banks_keep_hypotheses_that_begin_a_phrase_early() -> None:
    model = TableModel(9)
    model.table.data.zero_()
    for word, following in [(2, 4), (4, 5), (5, 6), (6, 3)]:
        model.table.data[:, word, following] = 6.0  # 4 5 6 is what it would say
    model.table.data[:, 4, [6, 8]] = 5.0  # enough to fill a beam without 7
    model.table.data[:, 4, 7] = 4.0
    model.table.data[:, 7, 5] = 8.0  # where 7 belongs, if it is asked for

    found = search(model, [Constraints(forced_phrases=((7,),))], BeamSettings(beam_size=3))[0][0]

    assert found.tokens == (4, 7, 5, 6)
    assert found.log_probability == pytest.approx(forced_log_probability(model, one(4, 5, 6), found.tokens), abs=1e-4)


def test_beam_is_not_filled_with_completed_bad_words() -> None:
    model = TableModel(9)
    model.table.data.zero_()
    model.table.data[:, 2, [4, 5]] = 5.0
    model.table.data[:, [4, 5], 6] = 6.0  # after both comes 6, and then the end, but 8 is nearly as good
    model.table.data[:, [4, 5], 8] = 4.0
    model.table.data[:, [6, 8], 3] = 6.0

    found = search(model, [Constraints(bad_words=((6,),))], BeamSettings(beam_size=2), (7,))[0][0]

    assert found.tokens in [(4, 8), (5, 8)]


@pytest.mark.parametrize(("nats", "expected"), [(5.0, True), (7.0, False)])
def test_phrase_begins_only_where_it_is_likely_enough(nats: float, expected: bool) -> None:
    scores = torch.full((1, 1, 9), -50.0)
    scores[..., [4, 5, 6]], scores[..., 7] = 0.0, -nats
    beams = ActiveBeams.initial(torch.tensor([2]))
    forced = ForcedPhrases([Constraints(forced_phrases=((7, 8),))], torch.tensor([20]), 3, ContinuationTokens())
    processors = ProcessorList([forced])
    processed, states = processors(scores, beams.tokens, processors.begin(1))

    found = ConstrainedSelector(2, 3, forced, None)(processed, beams, torch.tensor([0]), states).active

    assert (7 in found.token_ids[found.path_scores > -torch.inf]) == expected


def test_unlikely_phrase_comes_at_the_end() -> None:
    model = TableModel(9)
    model.table.data.zero_()
    model.table.data[:, :, 7] = -20.0
    for word, following in [(2, 4), (4, 5), (5, 6), (6, 3), (7, 3)]:
        model.table.data[:, word, following] = 15.0

    found = search(model, [Constraints(forced_phrases=((7,),))], BeamSettings(beam_size=3, length_penalty=0))[0][0]

    assert found.tokens == (4, 5, 6, 7)


def test_begun_phrase_continues_even_if_unlikely() -> None:
    model = TableModel(9)
    model.table.data.zero_()
    model.table.data[:, :, 8] = -20.0
    for word, following in [(2, 4), (4, 5), (5, 6), (6, 3), (8, 5)]:
        model.table.data[:, word, following] = 15.0
    model.table.data[:, 4, 7] = 12.0

    found = search(model, [Constraints(forced_phrases=((7, 8),))], BeamSettings(beam_size=3, length_penalty=0))[0][0]

    assert found.tokens == (4, 7, 8, 5, 6)
