"""Constraints on phrases, compared with an exhaustive search and with searches of sentences alone."""

import itertools

import pytest
import torch
from fake_models import (
    PAD,
    START,
    UNKNOWN,
    GruModel,
    batch_of,
    forced_log_probabilities,
    forced_log_probability,
    numbered,
    occurrences,
    one,
    search,
    search_with,
    translations,
)

from nmt_cli.decoding.logits_processors import phrases
from nmt_cli.decoding.logits_processors.phrases import BadWords, ForcedPhrases
from nmt_cli.decoding.logits_processors.processor import SuppressTokens
from nmt_cli.decoding.logits_processors.tracker import ContinuationTokens
from nmt_cli.decoding.search.hypotheses import max_target_lengths
from nmt_cli.decoding.sentences import NO_CONSTRAINTS, Constraints, Phrase, PhraseBonus
from nmt_cli.recipe.decoding import BeamSettings, SamplingSettings, SearchSettings

SOURCES = [[4, 5, 6], [6, 5], [5, 5, 4, 6]]
WIDE = BeamSettings(beam_size=1000, n_best=5, max_length=5, length_penalty=0.7)
NARROW: list[SearchSettings] = [
    BeamSettings(beam_size=1),
    BeamSettings(beam_size=4, n_best=4),
    BeamSettings(beam_size=6, num_beam_groups=3, n_best=6),
    SamplingSettings(strategy="sampling", n_best=3),
]
CONSTRAINTS = [
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
"""The phrases may share tokens, but there is enough length for each of them."""
CONTINUATIONS = [(), (6,), (5, 6)]


@pytest.fixture
def any_continuation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a word continue a bad word however unlikely that is, as the exhaustive search does."""
    monkeypatch.setattr(phrases, "_MAX_CONTINUATION_GAP", torch.inf)


def satisfies(tokens: tuple[int, ...], constraints: Constraints, continuations: tuple[int, ...]) -> bool:
    forced = constraints.forced_phrases
    return (
        tokens[: len(constraints.prefix)] == constraints.prefix
        and not any(occurrences(phrase, tokens, continuations) for phrase in constraints.bad_words)
        and all(occurrences(phrase, tokens, continuations) >= forced.count(phrase) for phrase in set(forced))
    )


def bonus(tokens: tuple[int, ...], constraints: Constraints, continuations: tuple[int, ...]) -> float:
    listed: dict[tuple[int, ...], list[float]] = {}
    for each in constraints.bonuses:
        listed.setdefault(each.phrase, []).append(each.bonus)
    return sum(
        min(occurrences(phrase, tokens, continuations), len(each)) * sum(each) / len(each)
        for phrase, each in listed.items()
    )


@pytest.mark.parametrize("constraints", CONSTRAINTS)
@pytest.mark.parametrize("continuations", CONTINUATIONS)
@pytest.mark.usefixtures("any_continuation")
def test_a_wide_beam_finds_the_best_translations_that_satisfy(
    constraints: Constraints, continuations: tuple[int, ...]
) -> None:
    model = GruModel(7, seed=4, end_bias=1.0)
    log_probs = forced_log_probabilities(model, SOURCES[0], translations([4, 5, 6], 5))
    scores = {
        tokens: (log_prob + bonus(tokens, constraints, continuations)) / (len(tokens) + 1) ** 0.7
        for tokens, log_prob in log_probs.items()
        if satisfies(tokens, constraints, continuations)
    }
    best = sorted(scores, key=scores.__getitem__, reverse=True)[:5]

    found = search(model, [constraints], WIDE, continuations)[0]

    assert [hypothesis.tokens for hypothesis in found] == best
    assert [hypothesis.score for hypothesis in found] == pytest.approx([scores[each] for each in best], abs=1e-4)


@pytest.mark.parametrize("settings", NARROW)
@pytest.mark.parametrize("continuations", CONTINUATIONS)
def test_every_strategy_satisfies_constraints(settings: SearchSettings, continuations: tuple[int, ...]) -> None:
    model = GruModel(9, seed=4, end_bias=2.0)
    feasible = [  # a phrase begins with a word
        each
        for each in [*CONSTRAINTS, OVERLAPPING]
        if not any(phrase[0] in continuations for phrase in each.forced_phrases)
    ]
    cases = list(itertools.product(feasible, SOURCES))
    results = search(model, [each for each, _ in cases], settings, continuations, [source for _, source in cases])
    for (constraints, source), found in zip(cases, results, strict=True):
        for hypothesis in found:
            assert satisfies(hypothesis.tokens, constraints, continuations)
            expected = forced_log_probability(model, one(*source), hypothesis.tokens, hypothesis.has_eos)
            assert hypothesis.log_probability == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("settings", NARROW)
def test_constraints_do_not_change_other_sentences(settings: SearchSettings) -> None:
    model = GruModel(9, seed=4, end_bias=2.0)
    (expected,) = search(model, [NO_CONSTRAINTS], settings)

    for constraints, index in zip(CONSTRAINTS, itertools.cycle(range(3)), strict=False):
        mixed, sources = [constraints, constraints, constraints], [[6, 5], [6, 5], [6, 5]]
        mixed[index], sources[index] = NO_CONSTRAINTS, SOURCES[0]
        found = search(model, mixed, settings, sources=sources)[index]
        if isinstance(settings, BeamSettings) or index == 0:  # samples depend on the line number
            assert [each.tokens for each in found] == [each.tokens for each in expected]
            assert [each.score for each in found] == pytest.approx([each.score for each in expected], abs=1e-5)


@pytest.mark.parametrize("settings", NARROW[:3])
def test_constrained_sentences_are_independent_of_their_batch(settings: SearchSettings) -> None:
    model = GruModel(9, seed=4, end_bias=2.0)
    for three in zip(CONSTRAINTS, CONSTRAINTS[3:], CONSTRAINTS[5:], strict=False):
        together = search(model, three, settings, (6,))
        for source, constraints, found in zip(SOURCES, three, together, strict=True):
            (alone,) = search(model, [constraints], settings, (6,), sources=[source])
            assert [each.tokens for each in found] == [each.tokens for each in alone]


@pytest.mark.parametrize("end_bias", [2.0, -1e4])
@pytest.mark.parametrize("forced", [((4, 5, 7), (6,), (6,)), ((4, 4, 5), (4,)), ((5, 8), (5,), (5, 8, 7))])
def test_forced_phrases_keep_enough_length_even_in_samples(forced: tuple[Phrase, ...], end_bias: float) -> None:
    settings = SamplingSettings(strategy="sampling", n_best=20, temperature=3.0, max_length=8)
    sources, constraints = [[4, 5], [5]], [Constraints(forced_phrases=forced), NO_CONSTRAINTS]
    max_lengths = max_target_lengths(batch_of(sources), settings, numbered(sources))
    continuations = ContinuationTokens([token in (7, 8) for token in range(9)])
    processors = [
        SuppressTokens([PAD, UNKNOWN, START], torch.device("cpu")),
        ForcedPhrases(constraints, max_lengths, 3, continuations),
    ]

    model = GruModel(9, seed=4, end_bias=end_bias)
    found = search_with(processors, model, batch_of(sources), settings, numbered(sources))

    for each in found[0]:
        assert all(occurrences(phrase, each.tokens, (7, 8)) >= forced.count(phrase) for phrase in forced)
        assert len(each.tokens) <= 8
    assert not all(occurrences(forced[0], each.tokens, (7, 8)) for each in found[1])


def test_bad_word_continues_only_with_a_likely_token() -> None:
    continuations = ContinuationTokens([False] * 5 + [True] * 2 + [False])
    bad_words = BadWords([Constraints(bad_words=((4,),))], continuations, may_complete=True, device=torch.device("cpu"))
    _, state = bad_words(torch.zeros(1, 1, 8), torch.tensor([[[START]]]), bad_words.begin(1))
    scores = torch.tensor([[[-50.0] * 5 + [-1.0, -10.0, 0.0]]])

    scores, _ = bad_words(scores, torch.tensor([[[START, 4]]]), state)

    assert torch.isfinite(scores).nonzero()[:, 2].tolist() == [5]


def test_bad_words_of_one_sentence_do_not_forbid_tokens_of_another() -> None:
    constraints = [Constraints(bad_words=((4,), (5,))), Constraints(bad_words=((4,),))]
    bad_words = BadWords(constraints, ContinuationTokens(), may_complete=False, device=torch.device("cpu"))
    state, prefixes = bad_words.begin(2), torch.full((2, 1, 1), START)
    for _ in range(3):
        scores, state = bad_words(torch.zeros(2, 1, 8), prefixes, state)
        prefixes = torch.cat([prefixes, torch.full((2, 1, 1), 6)], dim=2)

        forbidden = [torch.isinf(each).nonzero()[:, 1].tolist() for each in scores]
        assert forbidden == [[4, 5], [4]]
