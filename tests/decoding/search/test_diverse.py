"""Diverse beam search, compared with a plain implementation."""

import itertools
import math
from collections import Counter

import pytest
import torch
from fake_models import END, START, GruModel, one, search

from nmt_cli.decoding.search.diverse import merge_groups
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.sentences import NO_CONSTRAINTS
from nmt_cli.models.contract import DecoderInput
from nmt_cli.recipe.decoding import BeamSettings

SOURCES = [[4, 5, 6], [6, 5], [5, 5, 4, 6]]
Found = list[tuple[float, tuple[int, ...]]]


def plain_diverse_search(model: GruModel, sentence: list[int], settings: BeamSettings) -> Found:
    """As `beam.py` says it of one beam, with several that step together."""
    beam, longest, penalty = (
        settings.beam_size // settings.num_beam_groups,
        2 * len(sentence) + 10,
        settings.length_penalty,
    )
    live: list[Found] = [[(0.0, ())] for _ in range(settings.num_beam_groups)]
    last = list(live)
    finished: list[Found] = [[] for _ in range(settings.num_beam_groups)]
    going = set(range(settings.num_beam_groups))
    for length in itertools.count(1):
        said_now = Counter[int]()
        for group in sorted(going):
            found = [
                (total + log_probability, tokens, word)
                for total, tokens in live[group]
                for word, log_probability in enumerate(_next(model, sentence, tokens))
                if word > END or (tokens and word == END)
            ]
            found.sort(key=lambda each: -(each[0] - settings.diversity_penalty * said_now[each[2]]))
            if beam == 1:
                found = found[:1]
            finished[group] += [
                (total / length**penalty, tokens) for total, tokens, word in found[:beam] if word == END
            ]
            last[group] = live[group]
            live[group] = [(total, (*tokens, word)) for total, tokens, word in found if word != END][:beam]
            said_now.update(tokens[-1] for _, tokens in live[group])
            best = max((total for total, _ in live[group]), default=-math.inf)
            enough = len(finished[group]) >= beam and max(finished[group])[0] >= best / (length + 1) ** penalty
            if enough or length > longest:
                going.remove(group)
        if not going:
            break
    unfinished = [[(total / max(1, len(tokens)) ** penalty, tokens) for total, tokens in each] for each in last]
    lists = [sorted(each or rest, reverse=True)[:beam] for each, rest in zip(finished, unfinished, strict=True)]
    turns = [sorted((each[place] for each in lists if place < len(each)), reverse=True) for place in range(beam)]
    return sorted(list(dict.fromkeys(itertools.chain(*turns)))[: settings.n_best], reverse=True)


def _next(model: GruModel, sentence: list[int], tokens: tuple[int, ...]) -> list[float]:
    with torch.no_grad():
        decoded = model.decode(model.encode(one(*sentence)), DecoderInput(torch.tensor([[START, *tokens]])))
        values: list[float] = model.logits(decoded)[-1].log_softmax(-1).tolist()
    return values


@pytest.mark.parametrize("groups", [2, 3, 6])
@pytest.mark.parametrize("diversity", [0.0, 0.7, 5.0])
def test_diverse_beam_search_matches_a_plain_implementation(groups: int, diversity: float) -> None:
    model = GruModel(9, seed=4, end_bias=2.0)
    settings = BeamSettings(beam_size=6, n_best=6, num_beam_groups=groups, diversity_penalty=diversity)

    together = search(model, [NO_CONSTRAINTS] * 3, settings)

    for sentence, found in zip(SOURCES, together, strict=True):
        expected = plain_diverse_search(model, sentence, settings)
        assert [each.tokens for each in found] == [tokens for _, tokens in expected]
        assert [each.score for each in found] == pytest.approx([score for score, _ in expected], abs=1e-4)


def test_diversity_penalty_makes_groups_differ() -> None:
    model = GruModel(9, seed=4, end_bias=2.0)

    def first_words(diversity: float) -> int:
        chosen = BeamSettings(beam_size=4, n_best=4, num_beam_groups=4, diversity_penalty=diversity)
        return sum(len({each.tokens[0] for each in found}) for found in search(model, [NO_CONSTRAINTS] * 3, chosen))

    assert first_words(5.0) > first_words(0.0)


def test_merge_takes_the_best_of_each_group_first() -> None:
    groups = [
        [Hypothesis((4,), -1.0, -1.0), Hypothesis((5,), -2.0, -2.0)],
        [Hypothesis((6,), -9.0, -9.0), Hypothesis((7,), -10.0, -10.0)],
        [Hypothesis((4,), -1.0, -1.0)],
    ]

    assert [each.tokens for each in merge_groups(groups, 3, 2)[0]] == [(4,), (6,)]
    assert [each.tokens for each in merge_groups(groups, 3, 9)[0]] == [(4,), (5,), (6,), (7,)]
