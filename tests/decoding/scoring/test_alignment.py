"""Word alignments follow attention, and tokens belong to the right words for any normalisation and bytes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.data.alignments import words_of
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.results import format_pharaoh
from nmt_cli.decoding.scoring.annotation import (
    decoded_word_indices,
    source_word_indices,
    word_alignment,
)

ATTENTION = torch.tensor(
    [
        [0.4, 0.3, 0.3, 0.0],  # the best token is the first, the best word has the other two
        [0.1, 0.1, 0.1, 0.7],  # eos is not a word
        [0.9, 0.0, 0.0, 0.1],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


def test_word_alignment_sums_attention_over_tokens() -> None:
    assert word_alignment(ATTENTION, [[0], [1], [1]], [[0], [1], [1]]) == [(1, 0), (0, 1)]


def test_word_alignment_links_each_target_word_once() -> None:
    assert word_alignment(ATTENTION, [[0], [0], [0]], [[0], [1], [2]]) == [(0, 0), (0, 1), (0, 2)]


def test_word_alignment_has_no_link_without_tokens() -> None:
    assert word_alignment(ATTENTION, [[2], [], []], [[0], [], [2]]) == [(2, 0), (2, 2)]
    assert word_alignment(ATTENTION, [[], [], []], [[0], [1], [2]]) == []
    assert word_alignment(torch.ones(1, 4), [[0], [0], [0]], []) == []


def test_word_alignment_accepts_tokens_of_several_words() -> None:
    assert word_alignment(ATTENTION, [[0], [1], [2]], [[0, 1], [2], [2]]) == [(0, 0), (0, 1), (0, 2)]


def test_format_pharaoh() -> None:
    assert format_pharaoh([(1, 0), (0, 2)]) == "1-0 0-2"
    assert format_pharaoh([]) == ""


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n")) | st.sampled_from(
    ["日本 語", "ﬁn½ …", "10\xa0000 b", "it´s b", "a\tb", " a  b ", "a \u200b c", "\ufeff", "▁a ▁", "é e\u0301"]
)


def spelled(tokenizer: Tokenizer, tokens: list[int], words: list[list[int]]) -> list[str]:
    """The words that tokens make, when each belongs to one."""
    made = [[token for token, word in zip(tokens, words, strict=True) if word == [number]] for number in range(20)]
    return [text for text in tokenizer.decode_target(made) if text]


@pytest.mark.parametrize("text", ["no tea here", "Kannst du?", "one Ωμέγα 日本 x😀y", "a"])
def test_tokens_of_a_word_decode_to_it(tokenizer: Tokenizer, text: str) -> None:
    (tokens,) = tokenizer.encode_source([text])

    assert spelled(tokenizer, tokens, source_word_indices(tokenizer, text, tokens)) == text.split()
    assert spelled(tokenizer, tokens, decoded_word_indices(tokenizer, text, tokens)) == text.split()


@settings(max_examples=100)
@given(text=TEXT)
def test_source_word_indices_cover_visible_words(tokenizer: Tokenizer, text: str) -> None:
    (tokens,) = tokenizer.encode_source([text])

    found = source_word_indices(tokenizer, text, tokens)

    assert len(found) == len(tokens)
    visible = {place for place, word in enumerate(words_of(text)) if tokenizer.normalize(word).split()}
    assert visible <= {word for words in found for word in words} <= set(range(len(words_of(text))))


@settings(max_examples=100)
@given(data=st.data())
def test_decoded_word_indices_cover_visible_words(tokenizer: Tokenizer, data: st.DataObject) -> None:
    tokens = data.draw(st.lists(st.integers(0, tokenizer.target_size - 1), max_size=12))
    (text,) = tokenizer.decode_target([tokens])

    found = decoded_word_indices(tokenizer, text, tokens)

    assert len(found) == len(tokens)
    visible = {place for place, word in enumerate(words_of(text)) if word.split()}
    assert visible <= {word for words in found for word in words} <= set(range(len(words_of(text))))


def test_source_word_indices_of_a_word_split_by_normalisation(plain_tokenizer: Tokenizer) -> None:
    text = "10\xa0000 ab"
    (tokens,) = plain_tokenizer.encode_source([text])
    of_last = [word for word in source_word_indices(plain_tokenizer, text, tokens) if word == [1]]

    assert set(map(tuple, source_word_indices(plain_tokenizer, text, tokens))) == {(0,), (1,)}
    assert len(of_last) == len(plain_tokenizer.encode_source(["ab"])[0])
