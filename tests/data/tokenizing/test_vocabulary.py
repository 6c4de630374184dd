"""A vocabulary encodes lines one by one or in a batch."""

from collections.abc import Callable
from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.data.tokenizing.vocabulary import Vocabulary
from nmt_cli.recipe.data import TokenizerSettings

Sentences = Callable[[int, int], list[str]]


@pytest.mark.parametrize("byte_fallback", [True, False])
def test_encode_batch_equals_encode(sentences: Sentences, byte_fallback: bool) -> None:
    learned = TokenizerSettings(vocabulary_size=330 if byte_fallback else 80, byte_fallback=byte_fallback)
    vocabulary = Vocabulary.train(learned, sentences(0, 200), 1, ["2de"])

    @settings(max_examples=150)
    @given(
        st.lists(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"))
            | st.sampled_from(sentences(1, 20))
        )
    )
    def check(lines: list[str]) -> None:
        tokens, lengths = vocabulary.encode_batch(lines)
        ends = [0, *accumulate(lengths.tolist())]
        assert [tokens[one:end].tolist() for one, end in pairwise(ends)] == vocabulary.encode(lines)
        assert len(tokens) == ends[-1]

    check()
    assert np.issubdtype(vocabulary.encode_batch([])[0].dtype, np.integer)
