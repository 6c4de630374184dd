"""All automata at once match each of them alone, and their states follow the beam."""

import random

import pytest
import torch

from nmt_cli.decoding.logits_processors.tracker import ConstraintTracker, ContinuationTokens, PhraseAutomaton

WANTED = [{(4, 4, 5): 2, (6,): 1}, {}, {(4, 4): 3}, {(6,): 1, (5, 6, 5, 4): 1, (4, 6): 1}]
CONTINUATIONS = [ContinuationTokens(), ContinuationTokens([False] * 6 + [True, False])]


@pytest.mark.parametrize("continuations", CONTINUATIONS)
def test_states_follow_hypotheses_through_a_search(continuations: ContinuationTokens) -> None:
    rng = random.Random(1)
    tracker = ConstraintTracker(WANTED, continuations, torch.device("cpu"))
    table = tracker.table(lambda automaton, state: 100 * len(automaton.phrase) + state)
    sentences, hypotheses = list(range(4)), [[[]] for _ in range(4)]
    state = tracker.begin(4)
    for step in range(12):
        state = tracker.advance(state, torch.tensor([[[2, *tokens] for tokens in each] for each in hypotheses]))

        found = table[state.automata, state.states]

        assert state.sentences.tolist() == sentences
        for row, sentence in enumerate(sentences):
            for beam_index, tokens in enumerate(hypotheses[row]):
                expected = [_walk(PhraseAutomaton(*each), tokens, continuations) for each in WANTED[sentence].items()]
                assert found[row, beam_index].tolist()[: len(expected)] == expected
        beam_size, kept = len(hypotheses[0]), [0, 2, 3] if step == 6 else list(range(len(sentences)))
        parents = [[rng.randrange(beam_size) for _ in range(3)] for _ in kept]
        rows = [[row * beam_size + each for each in some] for row, some in zip(kept, parents, strict=True)]
        state = tracker.select(state, torch.tensor(rows))
        sentences = [sentences[row] for row in kept]
        hypotheses = [
            [[*hypotheses[row][each], rng.randrange(4, 8)] for each in some]
            for row, some in zip(kept, parents, strict=True)
        ]


def _walk(automaton: PhraseAutomaton, tokens: list[int], continuations: ContinuationTokens) -> int:
    state = 0
    for token in tokens:
        state = automaton.advance(state, token, token in continuations.ids)
    return 100 * len(automaton.phrase) + state


@pytest.mark.parametrize("continuations", CONTINUATIONS)
def test_after_predicts_the_next_state(continuations: ContinuationTokens) -> None:
    tracker = ConstraintTracker(WANTED, continuations, torch.device("cpu"))
    prefixes, state = torch.full((4, 1, 1), 2), tracker.begin(4)
    for token in (4, 4, 6, 5, 4, 4, 5, 7):
        predicted = tracker.after(state, torch.full((4, 1, 1), token))[:, :, 0]
        prefixes = torch.cat([prefixes, torch.full((4, 1, 1), token)], dim=2)
        state = tracker.advance(state, prefixes)
        assert torch.equal(state.states, predicted)
