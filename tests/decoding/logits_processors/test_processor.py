"""Processors decide which tokens follow, leave log-probabilities alone, and their states follow the beam."""

import itertools
from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from fake_models import (
    END,
    GruModel,
    batch_of,
    forced_log_probabilities,
    forced_log_probability,
    one,
    search,
    search_with,
    translations,
)
from torch import Tensor

from nmt_cli.decoding.generator import Generator
from nmt_cli.decoding.logits_processors.building import BatchConstraints
from nmt_cli.decoding.logits_processors.processor import LogitsProcessor, MinLength, SuppressTokens
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.search.strategies import build_strategy
from nmt_cli.decoding.sentences import NO_CONSTRAINTS, Constraints, SentenceInput
from nmt_cli.recipe.decoding import BeamSettings, SamplingSettings, SearchSettings

CPU = torch.device("cpu")
SOURCES = [[4, 5, 6], [7], [8, 4, 4, 5, 6]]
SENTENCES = [SentenceInput(line, tokens) for line, tokens in enumerate(SOURCES, 1)]
SETTINGS = [BeamSettings(beam_size=1), BeamSettings(beam_size=4, n_best=4), SamplingSettings(strategy="sampling")]


def found_with(
    model: GruModel, settings: BeamSettings | SamplingSettings, processors: Sequence[LogitsProcessor]
) -> list[list[Hypothesis]]:
    return search_with(processors, model, batch_of(SOURCES), settings, SENTENCES)


@pytest.mark.parametrize("settings", SETTINGS)
def test_suppressed_tokens_are_never_generated(settings: BeamSettings | SamplingSettings) -> None:
    model = GruModel(9, seed=4, end_bias=2.0)
    tokens = {token for found in found_with(model, settings, []) for each in found for token in each.tokens}
    suppressed = sorted(tokens)[:2]

    found = found_with(model, settings, [SuppressTokens(suppressed, CPU)])

    assert not {token for hypotheses in found for each in hypotheses for token in each.tokens} & set(suppressed)
    assert all(found)


@pytest.mark.parametrize("settings", SETTINGS)
def test_min_length_delays_eos(settings: BeamSettings | SamplingSettings) -> None:
    model = GruModel(9, seed=4, end_bias=6.0)
    assert min(len(each.tokens) for found in found_with(model, settings, []) for each in found) < 4

    found = found_with(model, settings, [MinLength(4, END)])

    assert min(len(each.tokens) for hypotheses in found for each in hypotheses) == 4


@pytest.mark.parametrize("settings", SETTINGS)
def test_processors_leave_log_probabilities_alone(settings: BeamSettings | SamplingSettings) -> None:
    model = GruModel(9, seed=4, end_bias=6.0)
    processors = [SuppressTokens([0, 1, 2, 5], CPU), MinLength(3, END)]

    for source, found in zip(SOURCES, found_with(model, settings, processors), strict=True):
        for hypothesis in found:
            expected = forced_log_probability(model, one(*source), hypothesis.tokens)
            assert hypothesis.log_probability == pytest.approx(expected, abs=1e-4)


class PrefixFollower:
    """Keeps the prefixes that it has been given as its state, and prefers tokens that a prefix does not contain.

    So its bonus is wrong, and the assertion fails, if the state of a hypothesis ever belongs to another one.
    """

    is_soft = True

    def __init__(self) -> None:
        self.calls, self.selections = 0, 0

    def begin(self, batch_size: int) -> Tensor:
        return torch.empty(batch_size, 1, 0, dtype=torch.long)

    def __call__(self, scores: Tensor, prefixes: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += 1
        assert torch.equal(state, prefixes[:, :, :-1])
        is_new = torch.ones_like(scores).scatter_(2, prefixes, 0.0)
        return scores + 2.0 * is_new, prefixes

    def select(self, state: Tensor, rows: Tensor) -> Tensor:
        self.selections += 1
        assert torch.equal((rows // state.size(1)).amin(1), (rows // state.size(1)).amax(1))
        return state.flatten(0, 1)[rows]


@pytest.mark.parametrize(
    "settings",
    [
        BeamSettings(beam_size=1),
        BeamSettings(beam_size=4, n_best=4),
        BeamSettings(beam_size=6, n_best=6, num_beam_groups=3),
        SamplingSettings(strategy="sampling", n_best=3),
    ],
)
@pytest.mark.parametrize("constraints", [NO_CONSTRAINTS, Constraints(prefix=(4, 4), bad_words=((6, 5),))])
def test_states_follow_hypotheses_through_every_strategy(
    settings: BeamSettings | SamplingSettings, constraints: Constraints
) -> None:
    model, processor = GruModel(9, seed=4, end_bias=2.0), PrefixFollower()
    sentences = [SentenceInput(line, tokens, constraints) for line, tokens in enumerate(SOURCES * 2, 1)]
    batch = BatchConstraints(sentences, [0, 1, 2], processors=[processor])
    plain = BatchConstraints(sentences, [0, 1, 2])

    found = build_strategy(settings).search(model, batch_of(SOURCES * 2), batch)

    assert processor.calls > 3 and processor.selections > 1
    for sentence, hypotheses in zip(sentences, found, strict=True):
        for each in hypotheses:
            expected = forced_log_probability(model, one(*sentence.tokens), each.tokens, each.has_eos)
            assert each.log_probability == pytest.approx(expected, abs=1e-4)
    without = build_strategy(settings).search(model, batch_of(SOURCES * 2), plain)
    assert [each.tokens for each in itertools.chain(*found)] != [each.tokens for each in itertools.chain(*without)]


def has_repeats(tokens: tuple[int, ...], size: int) -> bool:
    ngrams = [tokens[start : start + size] for start in range(len(tokens) - size + 1)]
    return len(set(ngrams)) < len(ngrams)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("size", [2, 3])
def test_no_repeat_ngram_size_forbids_repeats(settings: SearchSettings, size: int) -> None:
    model = GruModel(9, seed=4)
    loose = search(model, [NO_CONSTRAINTS] * 3, settings)
    assert any(has_repeats(each.tokens, size) for found in loose for each in found)

    strict = search(model, [NO_CONSTRAINTS] * 3, settings.model_copy(update={"no_repeat_ngram_size": size}))

    assert not any(has_repeats(each.tokens, size) for found in strict for each in found)


def test_a_wide_beam_finds_the_best_translations_without_repeats() -> None:
    model = GruModel(7, seed=4, end_bias=1.0)
    every = [tokens for tokens in translations([4, 5, 6], 5) if not has_repeats(tokens, 2)]
    log_probs = forced_log_probabilities(model, [4, 5, 6], every)
    scores = {each: log_prob / (len(each) + 1) for each, log_prob in log_probs.items()}

    wide = BeamSettings(beam_size=1000, n_best=5, max_length=5, no_repeat_ngram_size=2)
    found = search(model, [NO_CONSTRAINTS], wide)[0]

    assert [each.tokens for each in found] == sorted(scores, key=scores.__getitem__, reverse=True)[:5]


def test_a_forced_prefix_may_repeat_ngrams() -> None:
    settings = BeamSettings(beam_size=3, no_repeat_ngram_size=1)

    (found,) = search(GruModel(12, end_bias=4.0), [Constraints(prefix=(4, 4, 5))], settings)

    assert found[0].tokens[:3] == (4, 4, 5)
    assert all(one != other for one, other in pairwise(found[0].tokens[2:]))


COMPLETIONS = ((5, 6), (7,), (5, 8, 4))
WITH_PREFIXES = [
    Constraints(prefix=(4, 4), prefix_completions=COMPLETIONS),
    NO_CONSTRAINTS,
    Constraints(prefix_completions=((6,), (8, 8))),
    Constraints(prefix=(5,)),
    Constraints(prefix=(6,), prefix_completions=((4, 5, 6, 7),)),
]


@pytest.mark.parametrize("beam_size", [1, 2, 5])
@pytest.mark.parametrize("sampling", [False, True])
def test_translations_begin_with_their_prefix_and_a_completion(beam_size: int, sampling: bool) -> None:
    settings: SearchSettings = BeamSettings(beam_size=beam_size, n_best=beam_size)
    if sampling:
        settings = SamplingSettings(strategy="sampling", n_best=beam_size, temperature=3)
    sentences = [SentenceInput(line, [4 + line % 5, 5], each) for line, each in enumerate(WITH_PREFIXES * 2, 1)]

    found = Generator(GruModel(9, seed=3), [0, 1, 2], CPU).search(sentences, build_strategy(settings))

    for sentence, hypotheses in zip(sentences, found, strict=True):
        constraints = sentence.constraints
        begins = [(*constraints.prefix, *phrase) for phrase in constraints.prefix_completions or ((),)]
        assert all(any(each.tokens[: len(begin)] == begin for begin in begins) for each in hypotheses)


def test_a_wide_beam_finds_the_best_completion_of_a_prefix() -> None:
    model, constraints = GruModel(9, seed=3), WITH_PREFIXES[0]
    settings = BeamSettings(beam_size=500, length_penalty=0, max_length_ratio=1e-9, max_length=5)

    generator = Generator(model, [0, 1, 2], CPU)
    ((found, *_),) = generator.search([SentenceInput(1, [4], constraints)], build_strategy(settings))

    rests = [rest for length in range(4) for rest in itertools.product([4, 5, 6, 7, 8], repeat=length)]
    possible = [
        (*constraints.prefix, *phrase, *rest)
        for phrase in COMPLETIONS
        for rest in rests
        if 2 + len(phrase) + len(rest) <= 5
    ]
    log_probs = forced_log_probabilities(model, [4], possible)
    best = max(possible, key=log_probs.__getitem__)
    assert found.tokens == best
    assert END not in found.tokens
