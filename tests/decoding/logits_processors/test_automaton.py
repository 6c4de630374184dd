"""An automaton counts as someone would who looks at the whole translation."""

from fake_models import occurrences
from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.decoding.logits_processors.tracker import ContinuationTokens, PhraseAutomaton

WORDS = st.integers(4, 7)
CONTINUES = st.sets(st.integers(6, 7))


@given(st.lists(WORDS, min_size=1, max_size=4), st.lists(WORDS, max_size=14), CONTINUES, st.integers(1, 3))
def test_a_phrase_is_said_as_often_as_one_counts(
    phrase: list[int], tokens: list[int], continues: set[int], times: int
) -> None:
    counted = occurrences(tuple(phrase), tokens, tuple(continues))

    assert PhraseAutomaton(tuple(phrase), times).accepts(
        tokens, ContinuationTokens([token in continues for token in range(9)])
    ) == (counted >= times)


def test_a_broken_phrase_goes_on_from_what_still_fits() -> None:
    automaton, state = PhraseAutomaton((4, 4, 5), 1), 0
    for token in (4, 4, 4):
        state = automaton.advance(state, token, False)

    assert automaton.progress(state) == (0, 2)
    assert automaton.next_token(state) == 5


def test_a_word_that_goes_on_is_another_word() -> None:
    automaton = PhraseAutomaton((4, 5), 1)

    assert automaton.accepts([4, 5, 4], ContinuationTokens([token == 6 for token in range(9)]))
    assert not automaton.accepts([4, 5, 6], ContinuationTokens([token == 6 for token in range(9)]))
    assert automaton.accepts([4, 5, 6, 4, 5], ContinuationTokens([token == 6 for token in range(9)]))


@given(st.lists(WORDS, min_size=1, max_size=5), st.lists(WORDS, max_size=10), st.integers(1, 3))
def test_the_next_token_brings_a_phrase_forward(phrase: list[int], tokens: list[int], times: int) -> None:
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
