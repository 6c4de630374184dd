"""After its prefix a translation goes on in one of the ways that it is given."""

import itertools

import pytest
import torch
from fake_models import END, GruModel, forced_log_probability, one

from nmt_cli.decoding.generator import Generator
from nmt_cli.decoding.search.strategies import build_strategy
from nmt_cli.decoding.sentences import Constraints, SentenceInput
from nmt_cli.recipe.decoding import BeamSettings, SamplingSettings, SearchSettings

CPU = torch.device("cpu")
OPENINGS = ((5, 6), (7,), (5, 8, 4))
WISHES = [
    Constraints(prefix=(4, 4), prefix_continuations=OPENINGS),
    Constraints(),
    Constraints(prefix_continuations=((6,), (8, 8))),
    Constraints(prefix=(5,)),
    Constraints(prefix=(6,), prefix_continuations=((4, 5, 6, 7),)),
]
SENTENCES = [SentenceInput(line, [4 + line % 5, 5], wishes) for line, wishes in enumerate(WISHES * 2, 1)]


@pytest.mark.parametrize("beam_size", [1, 2, 5])
@pytest.mark.parametrize("sampling", [False, True])
def test_each_sentence_opens_as_it_may(beam_size: int, sampling: bool) -> None:
    settings: SearchSettings = BeamSettings(beam_size=beam_size, n_best=beam_size)
    if sampling:
        settings = SamplingSettings(strategy="sampling", n_best=beam_size, temperature=3)

    found = Generator(GruModel(9, seed=3), [0, 1, 2], CPU).search(SENTENCES, build_strategy(settings))

    for sentence, hypotheses in zip(SENTENCES, found, strict=True):
        begins = [
            (*sentence.constraints.prefix, *phrase) for phrase in sentence.constraints.prefix_continuations or ((),)
        ]
        assert all(any(each.tokens[: len(begin)] == begin for begin in begins) for each in hypotheses)


def test_the_best_opening_is_found() -> None:
    model, wishes = GruModel(9, seed=3), WISHES[0]
    settings = BeamSettings(beam_size=500, length_penalty=0, max_length_ratio=1e-9, max_length=5)

    ((found, *_),) = Generator(model, [0, 1, 2], CPU).search([SentenceInput(1, [4], wishes)], build_strategy(settings))

    rests = [rest for length in range(4) for rest in itertools.product([4, 5, 6, 7, 8], repeat=length)]
    possible = [
        (*wishes.prefix, *phrase, *rest) for phrase in OPENINGS for rest in rests if 2 + len(phrase) + len(rest) <= 5
    ]
    best = max(possible, key=lambda tokens: forced_log_probability(model, one(4), tokens))
    assert found.tokens == best
    assert END not in found.tokens
