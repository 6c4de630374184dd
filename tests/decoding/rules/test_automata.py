"""An automaton counts as someone would who looks at the whole translation."""

from hypothesis import given
from hypothesis import strategies as st
from toys import occurrences

from nmt_cli.decoding.rules.automata import Automaton

WORDS = st.integers(4, 7)
CONTINUES = st.sets(st.integers(6, 7))


@given(st.lists(WORDS, min_size=1, max_size=4), st.lists(WORDS, max_size=14), CONTINUES, st.integers(1, 3))
def test_a_phrase_is_said_as_often_as_one_counts(
    phrase: list[int], tokens: list[int], continues: set[int], times: int
) -> None:
    counted = occurrences(tuple(phrase), tokens, tuple(continues))

    assert Automaton(tuple(phrase), times).accepts(tokens, continues.__contains__) == (counted >= times)


def test_a_broken_phrase_goes_on_from_what_still_fits() -> None:
    automaton, state = Automaton((4, 4, 5), 1), 0
    for token in (4, 4, 4):
        state = automaton.after(state, token, False)

    assert automaton.parts(state) == (0, 2)
    assert automaton.next_token(state) == 5


def test_a_word_that_goes_on_is_another_word() -> None:
    automaton = Automaton((4, 5), 1)

    assert automaton.accepts([4, 5, 4], {6}.__contains__)
    assert not automaton.accepts([4, 5, 6], {6}.__contains__)
    assert automaton.accepts([4, 5, 6, 4, 5], {6}.__contains__)


@given(st.lists(WORDS, min_size=1, max_size=5), st.lists(WORDS, max_size=10), st.integers(1, 3))
def test_the_next_token_brings_a_phrase_forward(phrase: list[int], tokens: list[int], times: int) -> None:
    automaton, state = Automaton(tuple(phrase), times), 0
    for token in tokens:
        state = automaton.after(state, token, False)

    for _ in range(times * len(phrase)):
        following = automaton.next_token(state)
        if following is None:
            break
        state = automaton.after(state, following, False)

    assert automaton.next_token(state) is None
    assert automaton.after(state, None, False) == automaton.states[-1]
