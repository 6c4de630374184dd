"""Sampling follows the model's distribution, independently for each line."""

import math
from collections import Counter

import pytest
import torch
from fake_models import (
    END,
    PAD,
    START,
    UNKNOWN,
    GruModel,
    TableModel,
    batch_of,
    forced_log_probability,
    numbered,
    one,
    search_with,
)

from nmt_cli.decoding.logits_processors.processor import SuppressTokens
from nmt_cli.decoding.search.sampling import _sample_next_token
from nmt_cli.models.contract import Model
from nmt_cli.recipe.decoding import BeamSettings, SamplingSettings

SUPPRESS = SuppressTokens([PAD, UNKNOWN, START], torch.device("cpu"))
GIVEN = [[4, 5, 6], [7], [8, 4, 4, 5, 6], [5, 6], [4, 5]]


def settings(**changes: float | int | None) -> SamplingSettings:
    return SamplingSettings.model_validate({"strategy": "sampling", **changes})


def words_after_start(model: Model, draws: int, chosen: SamplingSettings) -> Counter[int]:
    """The first word of many draws for one source, the end counted as END."""
    found = search_with([], model, one(4), chosen.model_copy(update={"n_best": draws}), numbered([[4]], 1))[0]
    return Counter(hypothesis.tokens[0] if hypothesis.tokens else END for hypothesis in found)


def first_probabilities(model: TableModel, temperature: float = 1.0) -> torch.Tensor:
    return (model.table[4, START].detach() / temperature).softmax(-1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_are_as_frequent_as_their_probability(temperature: float) -> None:
    model, draws = TableModel(9, end_bias=1.0), 4000

    counted = words_after_start(model, draws, settings(temperature=temperature))

    for word, probability in enumerate(first_probabilities(model, temperature).tolist()):
        deviation = math.sqrt(draws * probability * (1 - probability))
        assert abs(counted[word] - draws * probability) < 4.5 * deviation + 1


@pytest.mark.parametrize("top_k", [1, 3, 100])
def test_top_k_samples_among_the_most_likely(top_k: int) -> None:
    model = TableModel(9, end_bias=1.0)
    expected = first_probabilities(model).topk(min(top_k, 9)).indices.tolist()

    counted = words_after_start(model, 2000, settings(top_k=top_k))

    assert set(counted) == set(expected)


def test_top_p_samples_among_the_smallest_nucleus() -> None:
    model = TableModel(9, end_bias=1.0)
    ordered = first_probabilities(model).sort(descending=True)
    needed = int((ordered.values.cumsum(0) < 0.6).sum()) + 1

    counted = words_after_start(model, 2000, settings(top_p=0.6))

    assert set(counted) == set(ordered.indices[:needed].tolist())


def test_top_p_ends_at_the_token_that_reaches_it() -> None:
    scores = torch.tensor([[[0.0, 0.0, -torch.inf]]])  # two tokens of probability 1/2
    drawn = [_sample_next_token(scores, settings(top_p=0.5), torch.tensor([[at]])) for at in (0.1, 0.9)]
    assert drawn[0] == drawn[1]


def test_tiny_top_p_leaves_the_most_likely_token() -> None:
    model = TableModel(9, end_bias=1.0)

    assert set(words_after_start(model, 50, settings(top_p=1e-9))) == {int(first_probabilities(model).argmax())}


@pytest.mark.parametrize("model", [TableModel(9, end_bias=1.0), GruModel(9, seed=4, end_bias=2.0)])
def test_top_1_sampling_matches_greedy_search(model: Model) -> None:
    source, lines = batch_of(GIVEN), numbered(GIVEN)

    drawn = search_with([SUPPRESS], model, source, settings(top_k=1), lines)

    greedy = search_with([SUPPRESS], model, source, BeamSettings(beam_size=1), lines)
    assert [found[0].tokens for found in drawn] == [found[0].tokens for found in greedy]
    assert [found[0].score for found in drawn] == pytest.approx([found[0].score for found in greedy], abs=1e-5)


@pytest.mark.parametrize("model", [TableModel(9, end_bias=1.0), GruModel(9, seed=4, end_bias=2.0)])
def test_samples_are_independent_of_the_batch(model: Model) -> None:
    chosen = settings(n_best=3, temperature=1.3)

    together = search_with([SUPPRESS], model, batch_of(GIVEN), chosen, numbered(GIVEN))

    for line, sentence in enumerate(GIVEN):
        alone = search_with([SUPPRESS], model, one(*sentence), chosen, numbered([sentence], line))[0]
        assert sorted(hypothesis.tokens for hypothesis in alone) == sorted(found.tokens for found in together[line])


def test_samples_depend_on_seed_line_and_index() -> None:
    model = GruModel(9, seed=4, end_bias=-1e4)

    def tokens(seed: int, line: int) -> list[tuple[int, ...]]:
        found = search_with([], model, one(4, 5), settings(seed=seed, n_best=2), numbered([[4, 5]], line))[0]
        return [hypothesis.tokens for hypothesis in found]

    assert tokens(1, 1) == tokens(1, 1)
    assert len({*tokens(1, 1), *tokens(2, 1), *tokens(1, 2)}) == 6


@pytest.mark.parametrize("end_bias", [1.0, -1e4])
def test_log_probability_ignores_sampling_filters(end_bias: float) -> None:
    model = GruModel(9, seed=4, end_bias=end_bias)
    chosen = settings(n_best=4, temperature=0.5, top_k=4, top_p=0.9, length_penalty=0.5)

    for sentence, found in zip(
        GIVEN, search_with([SUPPRESS], model, batch_of(GIVEN), chosen, numbered(GIVEN)), strict=True
    ):
        for hypothesis in found:
            ended = len(hypothesis.tokens) < 2 * len(sentence) + 10
            expected = forced_log_probability(model, one(*sentence), hypothesis.tokens, ended)
            length = len(hypothesis.tokens) + ended
            assert hypothesis.log_probability == pytest.approx(expected, abs=1e-3)
            assert hypothesis.score == pytest.approx(expected / length**0.5, abs=1e-3)


def test_sentences_leave_the_batch_when_all_samples_are_over() -> None:
    model = GruModel(9, seed=4, end_bias=2.0)

    found = search_with([SUPPRESS], model, batch_of(GIVEN), settings(n_best=2), numbered(GIVEN))

    longest = [max(len(hypothesis.tokens) + 1 for hypothesis in draws) for draws in found]
    expected = [sum(steps > step for steps in longest) for step in range(max(longest))]
    assert [batch for batch, _ in model.rows_stepped] == expected
    assert expected[0] > expected[-1]


def test_further_samples_follow_the_first() -> None:
    one_sample, samples = (
        search_with([], GruModel(9, end_bias=2.0), one(4, 5), settings(n_best=count), numbered([[4]], 1))[0]
        for count in (1, 8)
    )

    assert samples[0].tokens == one_sample[0].tokens
    assert samples[0].score == pytest.approx(one_sample[0].score, abs=1e-4)  # rounding depends on the batch
    assert len({each.tokens for each in samples}) > 1


def test_nan_logits_give_no_hypothesis() -> None:
    model = TableModel(9)
    torch.nn.init.constant_(model.table, math.nan)

    assert search_with([], model, batch_of([[4], [5, 6]]), settings(top_p=0.5), numbered([[4], [5, 6]])) == [[], []]


def truncated(probability: torch.Tensor, chosen: SamplingSettings) -> torch.Tensor:
    """The distribution that words are drawn from, by the definitions in the papers."""
    words = sorted(range(len(probability)), key=lambda word: -float(probability[word]))
    kept = set(words[: chosen.top_k or len(words)])
    mass = sum(float(probability[word]) for word in kept)
    if chosen.top_p is not None:
        reached, nucleus = 0.0, set()
        for word in words:
            if word in kept and reached < chosen.top_p:
                nucleus.add(word)
                reached += float(probability[word]) / mass
        kept = nucleus
    if chosen.min_p is not None:
        kept = {word for word in kept if probability[word] >= chosen.min_p * probability.max()}
    if chosen.epsilon is not None:
        kept = {word for word in kept if float(probability[word]) / mass >= chosen.epsilon} or {words[0]}
    left = torch.tensor([float(probability[word]) * (word in kept) for word in range(len(probability))])
    return left / left.sum()


@pytest.mark.parametrize(
    "changes",
    [
        {"min_p": 0.3},
        {"min_p": 1.0},
        {"epsilon": 0.1},
        {"epsilon": 0.9},
        {"epsilon": 0.05, "temperature": 2.0},
        {"top_k": 4, "min_p": 0.2},
        {"top_k": 5, "epsilon": 0.15},
        {"top_p": 0.8, "min_p": 0.25, "epsilon": 0.01},
    ],
)
def test_filters_match_their_definitions(changes: dict[str, float | int | None]) -> None:
    model, draws, chosen = TableModel(9, seed=2, end_bias=1.0), 3000, settings(**changes)
    expected = truncated(first_probabilities(model, chosen.temperature), chosen).tolist()

    counted = words_after_start(model, draws, chosen)

    for word, probability in enumerate(expected):
        deviation = math.sqrt(draws * probability * (1 - probability))
        assert abs(counted[word] - draws * probability) <= 4.5 * deviation
