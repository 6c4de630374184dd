"""What is wished of a translation, against all translations there are."""

import itertools

import pytest
from fake_models import (
    GruModel,
    forced_log_probabilities,
    forced_log_probability,
    occurrences,
    one,
    search,
    translations,
)

from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.sentences import NO_CONSTRAINTS, Constraints, PhraseBonus
from nmt_cli.recipe.decoding import BeamSettings, SamplingSettings, SearchSettings

SOURCES = [[4, 5, 6], [6, 5], [5, 5, 4, 6]]
WIDE = BeamSettings(beam_size=1000, n_best=5, max_length=5, length_penalty=0.7)
NARROW: list[SearchSettings] = [
    BeamSettings(beam_size=1),
    BeamSettings(beam_size=4, n_best=4),
    BeamSettings(beam_size=6, num_beam_groups=3, n_best=6),
    SamplingSettings(strategy="sampling", n_best=3),
]
WISHES = [
    Constraints(prefix=(5, 4)),
    Constraints(prefix=(6,), bad_words=((4,), (6, 5))),
    Constraints(bad_words=((5, 6), (4, 4))),
    Constraints(forced_phrases=((5, 6),)),
    Constraints(forced_phrases=((4, 4, 5),)),
    Constraints(forced_phrases=((4,), (4,), (6,))),
    Constraints(forced_phrases=((5,), (6, 4))),
    Constraints(prefix=(4, 4), forced_phrases=((4, 5), (6,)), bad_words=((6, 4),)),
    Constraints(bonuses=(PhraseBonus((5, 6), 2.0), PhraseBonus((4,), 0.5), PhraseBonus((4,), 1.5))),
    Constraints(bonuses=(PhraseBonus((4, 4, 5), 3.0), PhraseBonus((6, 5), -2.0)), forced_phrases=((6,),)),
]
OVERLAPPING = Constraints(forced_phrases=((5,), (5, 6), (6, 5, 6), (6, 4), (4, 4, 5)))
"""They may share tokens, but room is left for each on its own."""
CONTINUES = [(), (6,), (5, 6)]


def obeys(tokens: tuple[int, ...], wishes: Constraints, continues: tuple[int, ...]) -> bool:
    begin = len(wishes.prefix)
    return (
        tokens[:begin] == wishes.prefix
        and not any(occurrences(phrase, tokens, continues) for phrase in wishes.bad_words)
        and all(
            occurrences(phrase, tokens, continues) >= wishes.forced_phrases.count(phrase)
            for phrase in set(wishes.forced_phrases)
        )
    )


def bonus(tokens: tuple[int, ...], wishes: Constraints, continues: tuple[int, ...]) -> float:
    named: dict[tuple[int, ...], list[float]] = {}
    for favoured in wishes.bonuses:
        named.setdefault(favoured.phrase, []).append(favoured.bonus)
    return sum(
        min(occurrences(phrase, tokens, continues), len(each)) * sum(each) / len(each) for phrase, each in named.items()
    )


@pytest.mark.parametrize("wishes", WISHES)
@pytest.mark.parametrize("continues", CONTINUES)
def test_a_wide_beam_finds_the_best_that_obeys(wishes: Constraints, continues: tuple[int, ...]) -> None:
    model = GruModel(7, seed=4, end_bias=1.0)
    log_probs = forced_log_probabilities(model, SOURCES[0], translations([4, 5, 6], 5))
    scores = {
        said: (log_prob + bonus(said, wishes, continues)) / (len(said) + 1) ** 0.7
        for said, log_prob in log_probs.items()
        if obeys(said, wishes, continues)
    }
    best = sorted(scores, key=scores.__getitem__, reverse=True)[:5]

    found = search(model, [wishes], WIDE, continues)[0]

    assert [hypothesis.tokens for hypothesis in found] == best
    assert [hypothesis.score for hypothesis in found] == pytest.approx([scores[said] for said in best], abs=1e-4)


@pytest.mark.parametrize("settings", NARROW)
@pytest.mark.parametrize("continues", CONTINUES)
def test_every_strategy_heeds_every_wish(settings: SearchSettings, continues: tuple[int, ...]) -> None:
    model = GruModel(9, seed=4, end_bias=2.0)
    feasible = [  # a phrase begins with a word
        each for each in [*WISHES, OVERLAPPING] if not any(phrase[0] in continues for phrase in each.forced_phrases)
    ]
    cases = list(itertools.product(feasible, SOURCES))
    results = search(model, [each for each, _ in cases], settings, continues, [source for _, source in cases])
    for (wishes, sentence), found in zip(cases, results, strict=True):
        for hypothesis in found:
            assert obeys(hypothesis.tokens, wishes, continues)
            assert_true_log_probability(model, sentence, hypothesis)


def assert_true_log_probability(model: GruModel, sentence: list[int], hypothesis: Hypothesis) -> None:
    """Assert that the reported log-probability is that of the tokens, with or without eos."""
    expected = (forced_log_probability(model, one(*sentence), hypothesis.tokens, ended) for ended in (True, False))
    assert any(abs(hypothesis.log_probability - each) < 1e-4 for each in expected)


@pytest.mark.parametrize("settings", NARROW)
def test_a_sentence_without_wishes_is_searched_as_alone(settings: SearchSettings) -> None:
    model = GruModel(9, seed=4, end_bias=2.0)
    (expected,) = search(model, [NO_CONSTRAINTS], settings)

    for wishes, place in zip(WISHES, itertools.cycle(range(3)), strict=False):
        mixed, sources = [wishes, wishes, wishes], [[6, 5], [6, 5], [6, 5]]
        mixed[place], sources[place] = NO_CONSTRAINTS, SOURCES[0]
        found = search(model, mixed, settings, sources=sources)[place]
        if isinstance(settings, BeamSettings) or place == 0:  # chance depends on a line's number
            assert [each.tokens for each in found] == [each.tokens for each in expected]
            assert [each.score for each in found] == pytest.approx([each.score for each in expected], abs=1e-5)


@pytest.mark.parametrize("settings", NARROW[:3])
def test_sentences_with_wishes_are_searched_as_alone(settings: SearchSettings) -> None:
    model = GruModel(9, seed=4, end_bias=2.0)
    for three in zip(WISHES, WISHES[3:], WISHES[5:], strict=False):
        together = search(model, three, settings, (6,))
        for sentence, wishes, found in zip(SOURCES, three, together, strict=True):
            (alone,) = search(model, [wishes], settings, (6,), sources=[sentence])
            assert [each.tokens for each in found] == [each.tokens for each in alone]
