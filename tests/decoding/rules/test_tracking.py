"""All automata at once are as each alone."""

import random

import pytest
import torch

from nmt_cli.decoding.rules.automata import Automaton
from nmt_cli.decoding.rules.rule import Said
from nmt_cli.decoding.rules.tracking import Tracker

WANTED = [{(4, 4, 5): 2, (6,): 1}, {}, {(4, 4): 3}, {(6,): 1, (5, 6, 5, 4): 1, (4, 6): 1}]
MASK = torch.tensor([False] * 6 + [True, False])


@pytest.mark.parametrize("continues", [None, MASK])
def test_states_follow_hypotheses_through_a_search(continues: torch.Tensor | None) -> None:
    chance = random.Random(1)
    tracker = Tracker(WANTED, continues, torch.device("cpu"))
    table = tracker.table(lambda automaton, state: 100 * len(automaton.phrase) + state)
    sentences, hypotheses = list(range(4)), [[[]] for _ in range(4)]
    for step in range(12):
        tokens = torch.tensor([[[2, *one] for one in each] for each in hypotheses])
        said = Said(tokens, torch.tensor(sentences))
        which = tracker.which(said.sentences)
        states = tracker.states(said)

        found = table[which, states]

        for row, sentence in enumerate(sentences):
            for place, words in enumerate(hypotheses[row]):
                expected = [_walk(Automaton(*each), words, continues) for each in WANTED[sentence].items()]
                assert found[row, place].tolist()[: len(expected)] == expected
        if step == 6:
            sentences, hypotheses = [0, 2, 3], [hypotheses[row] for row in (0, 2, 3)]
        hypotheses = [[[*chance.choice(each), chance.randrange(4, 8)] for _ in range(3)] for each in hypotheses]


def _walk(automaton: Automaton, words: list[int], continues: torch.Tensor | None) -> int:
    state = 0
    for word in words:
        state = automaton.after(state, word, continues is not None and bool(continues[word]))
    return 100 * len(automaton.phrase) + state


@pytest.mark.parametrize("continues", [None, MASK])
def test_what_would_come_after_is_what_comes(continues: torch.Tensor | None) -> None:
    tracker = Tracker(WANTED, continues, torch.device("cpu"))
    said = Said(torch.full((4, 1, 1), 2), torch.arange(4))
    which = tracker.which(said.sentences)
    for word in (4, 4, 6, 5, 4, 4, 5, 7):
        states = tracker.states(said)
        would_be = tracker.after(states, torch.full((4, 1, 1), word), which)[:, :, 0]
        said = Said(torch.cat([said.tokens, torch.full((4, 1, 1), word)], dim=2), said.sentences)
        assert torch.equal(tracker.states(said), would_be)
