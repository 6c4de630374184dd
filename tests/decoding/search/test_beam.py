"""Beam search, compared with plain implementations and exhaustive search."""

import itertools
import math
import random

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
    forced_log_probabilities,
    forced_log_probability,
    one,
    search_with,
)

from nmt_cli.decoding.logits_processors.processor import MinLength, SuppressTokens
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.models.contract import DecoderInput, Model, ModelInputs
from nmt_cli.recipe.decoding import BeamSettings

SUPPRESSED = [PAD, UNKNOWN, START]
SUPPRESS = SuppressTokens(SUPPRESSED, torch.device("cpu"))
PENALTIES = [-0.5, 0.0, 0.6, 1.0, 2.0]
MODELS = [TableModel(9, seed=3, end_bias=1.0), GruModel(9, seed=4, end_bias=2.0), GruModel(9, seed=5, end_bias=3.0)]


def sentences(number: int, seed: int = 1) -> list[list[int]]:
    rng = random.Random(seed)
    return [[rng.randrange(4, 9) for _ in range(rng.randrange(1, 7))] for _ in range(number)]


def search(model: Model, source: ModelInputs, settings: BeamSettings) -> list[list[Hypothesis]]:
    return search_with([SUPPRESS], model, source, settings)


def next_log_probabilities(model: Model, source: ModelInputs, tokens: tuple[int, ...]) -> list[float]:
    """By forced decoding of the whole prefix: no state, no cache."""
    with torch.no_grad():
        decoded = model.decode(model.encode(source), DecoderInput(torch.tensor([[START, *tokens]])))
        return model.logits(decoded)[-1].log_softmax(-1).tolist()


def greedily(model: Model, source: ModelInputs, longest: int) -> tuple[int, ...]:
    tokens: tuple[int, ...] = ()
    while True:
        words = next_log_probabilities(model, source, tokens)
        best = max((word for word in range(len(words)) if word not in SUPPRESSED), key=words.__getitem__)
        if best == END or len(tokens) == longest:
            return tokens
        tokens = (*tokens, best)


def plain_beam_search(
    model: Model, source: ModelInputs, settings: BeamSettings, longest: int, first: bool = False
) -> list[tuple[float, tuple[int, ...]]]:
    """The rules that `beam.py` states, one hypothesis after the other, and without its shortcut for the hopeless."""
    live: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    finished: list[tuple[float, tuple[int, ...]]] = []
    for length in itertools.count(1):
        found = [
            (total + log_probability, tokens, word)
            for total, tokens in live
            for word, log_probability in enumerate(next_log_probabilities(model, source, tokens))
            if word not in SUPPRESSED
        ]
        found.sort(key=lambda continuation: -continuation[0])
        if settings.beam_size == 1:
            found = found[:1]  # greedy: what ends has no rival
        finished += [
            (total / length**settings.length_penalty, tokens)
            for total, tokens, word in found[: settings.beam_size]
            if word == END
        ]
        going_on = [(total, (*tokens, word)) for total, tokens, word in found if word != END][: settings.beam_size]
        enough = len(finished) >= settings.beam_size and (
            first
            or max(finished)[0]
            >= max((total for total, _ in going_on), default=-math.inf) / (length + 1) ** settings.length_penalty
        )
        if enough or length > longest:
            break
        live = going_on
    unfinished = [(total / max(1, len(tokens)) ** settings.length_penalty, tokens) for total, tokens in live]
    return sorted(finished or unfinished, key=lambda pair: -pair[0])[: settings.n_best]


@pytest.mark.parametrize("model", MODELS)
def test_beam_of_one_matches_greedy_search(model: Model) -> None:
    for sentence in sentences(8):
        found = search(model, one(*sentence), BeamSettings(beam_size=1))[0]

        assert [hypothesis.tokens for hypothesis in found] == [greedily(model, one(*sentence), 2 * len(sentence) + 10)]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("beam_size", [1, 2, 5])
@pytest.mark.parametrize("penalty", [-0.5, 0.0, 1.0, 3.0])
def test_beam_search_matches_a_plain_implementation(model: Model, beam_size: int, penalty: float) -> None:
    for sentence in sentences(3):
        settings = BeamSettings(
            beam_size=beam_size, n_best=min(2, beam_size), length_penalty=penalty, max_length_ratio=0.5
        )
        found = search(model, one(*sentence), settings)[0]
        expected = plain_beam_search(model, one(*sentence), settings, -(-len(sentence) // 2) + 10)

        assert [hypothesis.tokens for hypothesis in found] == [tokens for _, tokens in expected]
        assert [hypothesis.score for hypothesis in found] == pytest.approx([score for score, _ in expected], abs=1e-4)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("seed", range(4))
def test_wide_beam_matches_exhaustive_search(penalty: float, seed: int) -> None:
    longest = 5
    model, source = GruModel(7, seed, end_bias=1.0), one(4, 5, 6)
    targets = [target for length in range(longest + 1) for target in itertools.product([4, 5, 6], repeat=length)]
    log_probs = forced_log_probabilities(model, [4, 5, 6], targets)
    scores = {target: log_prob / (len(target) + 1) ** penalty for target, log_prob in log_probs.items()}
    best = sorted(targets, key=scores.__getitem__, reverse=True)[:5]

    wide = BeamSettings(beam_size=1000, n_best=5, length_penalty=penalty)
    found = search_with([SUPPRESS], model, source, wide, max_length=longest)[0]

    assert [hypothesis.tokens for hypothesis in found] == best
    assert [hypothesis.score for hypothesis in found] == pytest.approx([scores[target] for target in best], abs=1e-4)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("beam_size", [1, 4])
def test_results_are_independent_of_the_batch(model: Model, beam_size: int) -> None:
    given, settings = sentences(6), BeamSettings(beam_size=beam_size, n_best=beam_size)

    together = search(model, batch_of(given), settings)

    for sentence, found in zip(given, together, strict=True):
        alone = search(model, one(*sentence), settings)[0]
        assert [hypothesis.tokens for hypothesis in found] == [hypothesis.tokens for hypothesis in alone]
        assert [hypothesis.score for hypothesis in found] == pytest.approx([other.score for other in alone], abs=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_log_probability_matches_forced_decoding(model: Model) -> None:
    given = sentences(6)
    settings = BeamSettings(beam_size=4, n_best=4, length_penalty=0.7)

    for sentence, found in zip(given, search(model, batch_of(given), settings), strict=True):
        for hypothesis in found:
            expected = forced_log_probability(model, one(*sentence), hypothesis.tokens)
            assert hypothesis.log_probability == pytest.approx(expected, abs=1e-4)
            length = len(hypothesis.tokens) + 1
            assert hypothesis.score == pytest.approx(hypothesis.log_probability / length**0.7, abs=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_hypotheses_are_distinct_and_sorted(model: Model) -> None:
    for found in search(model, batch_of(sentences(6)), BeamSettings(beam_size=6, n_best=6)):
        scores = [hypothesis.score for hypothesis in found]
        assert scores == sorted(scores, reverse=True)
        assert len({hypothesis.tokens for hypothesis in found}) == len(found) > 1


@pytest.mark.parametrize("beam_size", [1, 3])
def test_finished_sentences_leave_the_batch(beam_size: int) -> None:
    model, given = GruModel(9, seed=5, end_bias=3.0), sentences(8)
    settings = BeamSettings(beam_size=beam_size)
    steps_alone = []
    for sentence in given:
        model.rows_stepped.clear()
        search(model, one(*sentence), settings)
        steps_alone.append(len(model.rows_stepped))
    model.rows_stepped.clear()

    search(model, batch_of(given), settings)

    expected = [sum(steps > step for steps in steps_alone) for step in range(max(steps_alone))]
    assert [batch for batch, _ in model.rows_stepped] == expected
    assert expected[0] > expected[-1]


def test_beam_search_stops_when_no_active_hypothesis_can_win() -> None:
    model = TableModel(9, end_bias=3.0)
    steps = []
    for penalty in (0.0, 1.0):
        model.rows_stepped.clear()
        search(model, one(4, 5), BeamSettings(beam_size=8, length_penalty=penalty))
        steps.append(len(model.rows_stepped))

    assert steps[0] < steps[1]  # without a penalty a longer hypothesis can only be worse


@pytest.mark.parametrize("beam_size", [1, 2, 5, 8])
def test_early_bad_hypotheses_do_not_end_the_search(beam_size: int) -> None:
    model, tokens = TableModel(9), [START, 4, 5, 6, 7, 8, END]
    model.table.data.zero_()  # any word is as unlikely as any other, the end too
    for word, following in itertools.pairwise(tokens):
        model.table.data[:, word, following] = 12.0

    found = search(model, one(4, 5), BeamSettings(beam_size=beam_size))[0]

    assert list(found[0].tokens) == tokens[1:-1]


@pytest.mark.parametrize("beam_size", [1, 3])
def test_beam_search_truncates_hypotheses_without_eos(beam_size: int) -> None:
    model, source = GruModel(9, end_bias=-1e4), one(4, 5, 6)

    best = search(model, source, BeamSettings(beam_size=beam_size, n_best=beam_size, max_length_ratio=1.5))[0][0]

    assert len(best.tokens) == 15
    assert best.log_probability == pytest.approx(
        forced_log_probability(model, source, best.tokens, ended=False), abs=1e-4
    )
    assert best.score == pytest.approx(best.log_probability / 15)


def test_truncated_hypotheses_are_dropped_if_any_is_finished() -> None:
    model, source = GruModel(9, seed=2, end_bias=2.0), one(4, 5, 6)

    found = search(model, source, BeamSettings(beam_size=50, n_best=50, max_length_ratio=0.01))[0]

    for hypothesis in found:
        expected = forced_log_probability(model, source, hypothesis.tokens)
        assert hypothesis.log_probability == pytest.approx(expected, abs=1e-4)


def test_beam_may_be_larger_than_the_vocabulary() -> None:
    model = TableModel(6, end_bias=2.0)

    found = search(model, one(4, 5), BeamSettings(beam_size=40, n_best=40))[0]

    assert len({hypothesis.tokens for hypothesis in found}) == len(found) > 10
    assert all(math.isfinite(hypothesis.score) for hypothesis in found)


def test_larger_length_penalty_gives_longer_translations() -> None:
    model, source = GruModel(9, seed=5, end_bias=2.0), batch_of(sentences(10))

    lengths = [
        sum(len(found[0].tokens) for found in search(model, source, BeamSettings(beam_size=8, length_penalty=penalty)))
        for penalty in (0.0, 1.0, 3.0)
    ]

    assert lengths[0] < lengths[1] < lengths[2]


@pytest.mark.parametrize("beam_size", [1, 2, 3])
def test_lower_token_id_comes_first_among_equals(beam_size: int) -> None:
    model = TableModel(9)
    torch.nn.init.zeros_(model.table)
    model.table.data[:, START, [5, 7]] = 5.0
    model.table.data[:, [5, 7], END] = 5.0

    found = search(model, one(4), BeamSettings(beam_size=beam_size, n_best=beam_size))[0]

    assert [hypothesis.tokens for hypothesis in found][:2] == [(5,), (7,)][:beam_size]


def test_nan_logits_give_no_hypothesis() -> None:
    model = TableModel(9)
    torch.nn.init.constant_(model.table, math.nan)

    for beam_size in (1, 3):
        assert search(model, batch_of([[4], [5, 6]]), BeamSettings(beam_size=beam_size)) == [[], []]


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_later_stopping_finds_no_worse_translation(penalty: float) -> None:
    model, source = GruModel(9, seed=5, end_bias=3.0), batch_of(sentences(12))
    found, steps = {}, {}
    for rule in (True, False, "never"):
        model.rows_stepped.clear()
        settings = BeamSettings(beam_size=4, early_stopping=rule, length_penalty=penalty)
        found[rule] = [hypotheses[0].score for hypotheses in search(model, source, settings)]
        steps[rule] = sum(batch for batch, _ in model.rows_stepped)

    assert steps[True] <= steps[False] <= steps["never"]
    assert all(
        one <= other + 1e-6 <= last + 2e-6
        for one, other, last in zip(found[True], found[False], found["never"], strict=True)
    )
    if penalty:
        assert steps[True] < steps[False] < steps["never"]


@pytest.mark.parametrize("model", MODELS)
def test_early_stopping_matches_a_plain_implementation(model: Model) -> None:
    for sentence in sentences(3):
        settings = BeamSettings(beam_size=3, n_best=3, early_stopping=True)

        found = search(model, one(*sentence), settings)[0]

        expected = plain_beam_search(model, one(*sentence), settings, 2 * len(sentence) + 10, first=True)
        assert [each.tokens for each in found] == [tokens for _, tokens in expected]


@pytest.mark.parametrize("beam_size", [1, 4])
def test_lengths_stay_within_min_and_max_length(beam_size: int) -> None:
    model = GruModel(9, seed=4, end_bias=2.0)
    for least, most in [(1, 2), (3, 3), (5, 6), (30, None)]:
        settings = BeamSettings(beam_size=beam_size, n_best=beam_size, min_length=least, max_length=most)
        processors = [SUPPRESS, MinLength(least, END)]
        for found in search_with(processors, model, batch_of(sentences(5)), settings):
            assert all(least <= len(each.tokens) <= (most or 30) for each in found)
