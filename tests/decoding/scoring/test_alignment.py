"""Links follow attention, from subwords to words."""

import torch

from nmt_cli.decoding.scoring.alignment import format_pharaoh, word_alignment

SPREAD = torch.tensor(
    [
        [0.4, 0.3, 0.3, 0.0],  # the best token is the first, the best word has the other two
        [0.1, 0.1, 0.1, 0.7],  # the end is no word
        [0.9, 0.0, 0.0, 0.1],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


def test_attention_is_added_up_over_the_tokens_of_a_word() -> None:
    assert word_alignment(SPREAD, [[0], [1], [1]], [[0], [1], [1]]) == [(1, 0), (0, 1)]


def test_each_word_of_the_translation_has_one_link() -> None:
    assert word_alignment(SPREAD, [[0], [0], [0]], [[0], [1], [2]]) == [(0, 0), (0, 1), (0, 2)]


def test_what_has_no_tokens_has_no_link() -> None:
    assert word_alignment(SPREAD, [[2], [], []], [[0], [], [2]]) == [(2, 0), (2, 2)]
    assert word_alignment(SPREAD, [[], [], []], [[0], [1], [2]]) == []
    assert word_alignment(torch.ones(1, 4), [[0], [0], [0]], []) == []


def test_a_token_may_belong_to_several_words() -> None:
    assert word_alignment(SPREAD, [[0], [1], [2]], [[0, 1], [2], [2]]) == [(0, 0), (0, 1), (0, 2)]


def test_links_are_written_as_source_and_target() -> None:
    assert format_pharaoh([(1, 0), (0, 2)]) == "1-0 0-2"
    assert format_pharaoh([]) == ""
