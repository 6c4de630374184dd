"""CTC search against the list of all alignments and all translations."""

import itertools
import math

import pytest
import torch
from ctc_oracle import BLANK, TableCtc, collapse, probabilities, random_log_probs
from ngram_oracle import SIZE, log_probability, random_arpa

from nmt_cli.decoding.generator import Generator, GeneratorConfig
from nmt_cli.decoding.scoring.arpa import ArpaModel
from nmt_cli.decoding.scoring.ngram import NgramModel
from nmt_cli.decoding.search.ctc import NgramScores, best_paths, prefix_beam_search
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.search.strategies import build_strategy
from nmt_cli.decoding.sentences import SentenceInput
from nmt_cli.errors import ModelError
from nmt_cli.recipe.decoding import BeamSettings, CtcSearchSettings

ALL = 1000
"""A beam that keeps every prefix."""
EOS = 3
PLAIN = GeneratorConfig()


def is_allowed(tokens: tuple[int, ...]) -> bool:
    """Whether a strategy may return a translation: it is not empty, and without eos."""
    return bool(tokens) and EOS not in tokens


def search(
    model: TableCtc,
    *sources: int,
    beam_size: int = 1,
    suppress: tuple[int, ...] = (BLANK,),
    config: GeneratorConfig = PLAIN,
    **changes: object,
) -> list[list[Hypothesis]]:
    """Search for the translations of sources of these lengths, eos included."""
    settings = CtcSearchSettings.model_validate({"strategy": "ctc", "beam_size": beam_size, **changes})
    generator = Generator(model, suppress, torch.device("cpu"), config)
    sentences = [SentenceInput(line, [4] * (length - 1)) for line, length in enumerate(sources, 1)]
    return generator.search(sentences, build_strategy(settings))


@pytest.mark.parametrize("seed", range(4))
def test_best_path_is_the_most_probable_alignment_that_is_not_empty(seed: int) -> None:
    log_probs = random_log_probs(seed, 3, 4, 3)
    log_probs[1, :, BLANK] += 5  # the best alignment has only blanks
    for row, found in zip(log_probs, best_paths(log_probs, BLANK), strict=True):
        alignments = {
            alignment: sum(float(row[position, token]) for position, token in enumerate(alignment))
            for alignment in itertools.product(range(3), repeat=4)
            if collapse(alignment)
        }
        assert found == collapse(max(alignments, key=alignments.__getitem__))


@pytest.mark.parametrize("seed", range(4))
def test_prefix_beam_search_without_pruning_finds_all_translations_in_order(seed: int) -> None:
    log_probs = random_log_probs(seed, 2, 4, 3)
    for row, found in zip(log_probs, prefix_beam_search(log_probs, BLANK, ALL), strict=True):
        known = probabilities(row)
        del known[()]
        assert found == sorted(known, key=known.__getitem__, reverse=True)


@pytest.mark.parametrize(("beam_size", "expected"), [(1, 8), (10, 20), (40, 50), (100, 100)])
def test_a_retry_never_has_a_smaller_beam(beam_size: int, expected: int) -> None:
    settings = CtcSearchSettings(strategy="ctc", beam_size=beam_size)
    (retry,) = build_strategy(settings).retries()
    assert (retry.settings.beam_size, retry.settings.n_best) == (expected, expected)


@pytest.mark.parametrize("beam_size", [1, 2, 3, 5])
def test_pruned_prefix_beam_search_equals_a_plain_one(beam_size: int) -> None:
    log_probs = random_log_probs(7, 8, 7, 5, scale=1.5)
    found = prefix_beam_search(log_probs, BLANK, beam_size)
    assert found == [plain_prefix_beam_search(row.tolist(), beam_size) for row in log_probs]


def plain_prefix_beam_search(
    rows: list[list[float]], beam_size: int, arpa: ArpaModel | None = None
) -> list[tuple[int, ...]]:
    """Prefix beam search by dictionaries, as in the literature: every token extends every prefix."""
    beams = {(): (1.0, 0.0)}  # of the alignments that end in blank, and of the others
    for row in rows:
        following: dict[tuple[int, ...], list[float]] = {}
        for prefix, (blank, token) in beams.items():
            kept = following.setdefault(prefix, [0.0, 0.0])
            kept[0] += (blank + token) * math.exp(row[BLANK])
            for symbol in set(range(len(row))) - {BLANK}:
                new = following.setdefault((*prefix, symbol), [0.0, 0.0])
                if prefix[-1:] == (symbol,):
                    following[prefix][1] += token * math.exp(row[symbol])
                    new[1] += blank * math.exp(row[symbol])
                else:
                    new[1] += (blank + token) * math.exp(row[symbol])
        scores = {
            prefix: sum(each) * math.exp(0.7 * log_probability(arpa, prefix, ends=False) if arpa else 0)
            for prefix, each in following.items()
        }
        best = sorted(following, key=scores.__getitem__, reverse=True)[:beam_size]
        beams = {prefix: (following[prefix][0], following[prefix][1]) for prefix in best}
    if arpa is not None:
        scores = {prefix: math.log(sum(each)) + 0.7 * log_probability(arpa, prefix) for prefix, each in beams.items()}
        beams = {prefix: beams[prefix] for prefix in sorted(beams, key=scores.__getitem__, reverse=True)}
    return list(filter(None, beams)) or list(beams)


@pytest.mark.parametrize("beam_size", [1, 2, 16])
def test_log_probability_is_that_of_all_alignments_and_wider_beams_find_more_probable_translations(
    beam_size: int,
) -> None:
    model = TableCtc(random_log_probs(5, 5, 4))
    found = search(model, 5, 3, 4, 5, beam_size=beam_size)
    for length, hypotheses in zip((5, 3, 4, 5), found, strict=True):
        known = probabilities(model.table[:length])
        assert hypotheses[0].log_probability == pytest.approx(math.log(known[hypotheses[0].tokens]), abs=1e-5)
        if beam_size == 16:
            assert hypotheses[0].tokens == max(filter(is_allowed, known), key=known.__getitem__)


def test_n_best_hypotheses_are_ranked_by_length_normalized_probability() -> None:
    model = TableCtc(random_log_probs(6, 5, 4))
    known = probabilities(model.table)
    for penalty in (0.0, 2.0):
        (found,) = search(model, 5, beam_size=ALL, n_best=5, length_penalty=penalty)
        scores = {each: math.log(known[each]) / (len(each) + 1) ** penalty for each in filter(is_allowed, known)}
        assert [each.tokens for each in found] == sorted(scores, key=scores.__getitem__, reverse=True)[:5]
        assert [each.score for each in found] == pytest.approx([scores[each.tokens] for each in found], abs=1e-4)


def test_suppressed_tokens_are_not_generated() -> None:
    model = TableCtc(random_log_probs(8, 6, 4))
    for beam_size in (1, 4):
        (free,), (limited,) = (search(model, 6, beam_size=beam_size, suppress=each) for each in ((0,), (0, 2)))
        assert 2 in free[0].tokens
        assert 2 not in limited[0].tokens
        assert limited[0].log_probability == pytest.approx(
            math.log(probabilities(model.table)[limited[0].tokens]), abs=1e-5
        )


def test_blank_sentence_probability_still_gives_a_translation() -> None:
    table = random_log_probs(9, 4, 4)
    table[:, BLANK] += 50
    for beam_size in (1, 3):
        (found,) = search(TableCtc(table.log_softmax(-1)), 4, beam_size=beam_size)
        assert found[0].tokens


@pytest.mark.parametrize("seed", range(4))
def test_ngram_model_ranks_all_translations_by_the_weighted_sum(seed: int) -> None:
    log_probs, arpa = random_log_probs(seed, 2, 4, 4), random_arpa(seed)
    model = NgramModel(arpa, SIZE)
    found = prefix_beam_search(log_probs, BLANK, ALL, NgramScores(model, 0.7, 2))
    for row, translations in zip(log_probs, found, strict=True):
        known = probabilities(row)
        del known[()]
        scores = {each: math.log(known[each]) + 0.7 * log_probability(arpa, each) for each in known}
        assert translations == sorted(scores, key=scores.__getitem__, reverse=True)


@pytest.mark.parametrize("beam_size", [1, 2, 3, 5])
def test_pruned_search_with_an_ngram_model_equals_a_plain_one(beam_size: int) -> None:
    log_probs, arpa = random_log_probs(3, 8, 7, 4, scale=1.5), random_arpa(5)
    found = prefix_beam_search(log_probs, BLANK, beam_size, NgramScores(NgramModel(arpa, SIZE), 0.7, 8))
    assert found == [plain_prefix_beam_search(row.tolist(), beam_size, arpa) for row in log_probs]


def test_ngram_model_changes_the_score_but_not_the_log_probability() -> None:
    table, arpa = TableCtc(random_log_probs(6, 4, 4)), random_arpa(2)
    config = GeneratorConfig(ngram_model=NgramModel(arpa, SIZE))
    settings = {"beam_size": ALL, "n_best": 5, "ngram_model": {"path": "lm.arpa", "weight": 2.0}, "length_penalty": 1.0}
    (found,) = search(table, 4, config=config, **settings)
    known = probabilities(table.table)
    scores = {
        each: (math.log(known[each]) + 2.0 * log_probability(arpa, each)) / (len(each) + 1)
        for each in filter(is_allowed, known)
    }
    assert [each.tokens for each in found] == sorted(scores, key=scores.__getitem__, reverse=True)[:5]
    assert [each.score for each in found] == pytest.approx([scores[each.tokens] for each in found], abs=1e-4)
    assert [each.log_probability for each in found] == pytest.approx([math.log(known[each.tokens]) for each in found])


def test_damaged_model_is_reported() -> None:
    for beam_size in (1, 3):
        with pytest.raises(ModelError, match="line 1: the logits are not finite"):
            search(TableCtc(torch.full((4, 4), torch.nan)), 4, beam_size=beam_size)


def test_strategies_refuse_models_that_they_cannot_search_with() -> None:
    with pytest.raises(ModelError, match=r"decoding\.strategy: beam .* use ctc"):
        build_strategy(BeamSettings()).check(TableCtc(random_log_probs(1, 2, 3)))
