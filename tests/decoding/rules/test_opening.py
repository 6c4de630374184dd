"""After its prefix a translation goes on in one of the ways that it is given."""

import itertools

import pytest
import torch
from toys import END, GruModel, forced_log_probability, one

from nmt_cli.decoding.batching import Searcher
from nmt_cli.decoding.sentences import Sentence, Wishes
from nmt_cli.recipe.decoding import BeamSettings, SamplingSettings, SearchSettings

CPU = torch.device("cpu")
OPENINGS = ((5, 6), (7,), (5, 8, 4))
WISHES = [
    Wishes(prefix=(4, 4), openings=OPENINGS),
    Wishes(),
    Wishes(openings=((6,), (8, 8))),
    Wishes(prefix=(5,)),
    Wishes(prefix=(6,), openings=((4, 5, 6, 7),)),
]
SENTENCES = [Sentence(line, [4 + line % 5, 5], wishes) for line, wishes in enumerate(WISHES * 2, 1)]


@pytest.mark.parametrize("beam_size", [1, 2, 5])
@pytest.mark.parametrize("sampling", [False, True])
def test_each_sentence_opens_as_it_may(beam_size: int, sampling: bool) -> None:
    settings: SearchSettings = BeamSettings(beam_size=beam_size, n_best=beam_size)
    if sampling:
        settings = SamplingSettings(strategy="sampling", n_best=beam_size, temperature=3)

    found = Searcher(GruModel(9, seed=3), [0, 1, 2], CPU).search(SENTENCES, settings)

    for sentence, hypotheses in zip(SENTENCES, found, strict=True):
        begins = [(*sentence.wishes.prefix, *phrase) for phrase in sentence.wishes.openings or ((),)]
        assert all(any(each.tokens[: len(begin)] == begin for begin in begins) for each in hypotheses)


def test_the_best_opening_is_found() -> None:
    model, wishes = GruModel(9, seed=3), WISHES[0]
    settings = BeamSettings(beam_size=500, length_penalty=0, max_length_ratio=1e-9, max_length=5)

    ((found, *_),) = Searcher(model, [0, 1, 2], CPU).search([Sentence(1, [4], wishes)], settings)

    rests = [rest for length in range(4) for rest in itertools.product([4, 5, 6, 7, 8], repeat=length)]
    possible = [
        (*wishes.prefix, *phrase, *rest) for phrase in OPENINGS for rest in rests if 2 + len(phrase) + len(rest) <= 5
    ]
    best = max(possible, key=lambda tokens: forced_log_probability(model, one(4), tokens))
    assert found.tokens == best
    assert END not in found.tokens
