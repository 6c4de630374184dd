"""A phrase automaton matches a plain count, and a tracker matches each of its automata."""

import random

import pytest
import torch
from fake_models import occurrences
from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.decoding.logits_processors.tracker import ConstraintTracker, ContinuationTokens, PhraseAutomaton

WANTED = [{(4, 4, 5): 2, (6,): 1}, {}, {(4, 4): 3}, {(6,): 1, (5, 6, 5, 4): 1, (4, 6): 1}]
CONTINUATIONS = [ContinuationTokens(), ContinuationTokens([False] * 6 + [True, False])]

TOKENS = st.integers(4, 7)


def continuing(*tokens: int) -> ContinuationTokens:
    return ContinuationTokens([token in tokens for token in range(9)])


@given(
    st.lists(TOKENS, min_size=1, max_size=4),
    st.lists(TOKENS, max_size=14),
    st.sets(st.integers(6, 7)),
    st.integers(1, 3),
)
def test_automaton_accepts_as_often_as_a_plain_count(
    phrase: list[int], tokens: list[int], continuations: set[int], times: int
) -> None:
    count = occurrences(tuple(phrase), tokens, tuple(continuations))

    automaton = PhraseAutomaton(tuple(phrase), times)
    assert automaton.accepts(tokens, continuing(*continuations)) == (count >= times)


@pytest.mark.parametrize("continues", [False, True])
def test_automaton_of_an_empty_phrase_stays_in_its_only_state(continues: bool) -> None:
    assert PhraseAutomaton((), 0).advance(0, None, continues) == 0


def test_automaton_falls_back_to_the_longest_match() -> None:
    automaton, state = PhraseAutomaton((4, 4, 5), 1), 0
    for token in (4, 4, 4):
        state = automaton.advance(state, token, False)

    assert automaton.progress(state) == (0, 2)
    assert automaton.next_token(state) == 5


def test_automaton_rejects_a_phrase_whose_last_word_continues() -> None:
    automaton = PhraseAutomaton((4, 5), 1)

    assert automaton.accepts([4, 5, 4], continuing(6))
    assert not automaton.accepts([4, 5, 6], continuing(6))
    assert automaton.accepts([4, 5, 6, 4, 5], continuing(6))


@given(st.lists(TOKENS, min_size=1, max_size=5), st.lists(TOKENS, max_size=10), st.integers(1, 3))
def test_next_tokens_complete_the_phrase(phrase: list[int], tokens: list[int], times: int) -> None:
    automaton, state = PhraseAutomaton(tuple(phrase), times), 0
    for token in tokens:
        state = automaton.advance(state, token, False)

    for _ in range(times * len(phrase)):
        following = automaton.next_token(state)
        if following is None:
            break
        state = automaton.advance(state, following, False)

    assert automaton.next_token(state) is None
    assert automaton.advance(state, None, False) == automaton.states[-1]


@pytest.mark.parametrize("continuations", CONTINUATIONS)
def test_tracker_states_follow_hypotheses(continuations: ContinuationTokens) -> None:
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
                padding = [0] * (tracker.max_phrases - len(expected))
                assert found[row, beam_index].tolist() == [*expected, *padding]
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
def test_tracker_predicts_the_next_state(continuations: ContinuationTokens) -> None:
    tracker = ConstraintTracker(WANTED, continuations, torch.device("cpu"))
    prefixes, state = torch.full((4, 1, 1), 2), tracker.begin(4)
    for token in (4, 4, 6, 5, 4, 4, 5, 7):
        predicted = tracker.after(state, torch.full((4, 1, 1), token))[:, :, 0]
        prefixes = torch.cat([prefixes, torch.full((4, 1, 1), token)], dim=2)
        state = tracker.advance(state, prefixes)
        assert torch.equal(state.states, predicted)
        assert not state.states[1].any()  # the sentence without phrases
