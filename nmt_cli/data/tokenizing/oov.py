"""Ids of words outside the vocabulary (OOV), which a model with a pointer-generator copies from the source.

With V entries in the vocabulary, such a word has the id V plus the number whose bytes are the word in UTF-8: a Python
integer of any size, which needs no table. Arrays and tensors hold V + j for the j-th such word of their source.
"""

from collections.abc import Iterable, Mapping
from itertools import islice

from nmt_cli.text.special_tokens import SpecialTokens

MAX_OOV = 2**15
"""Words outside the vocabulary that a source may have; further ones cannot be copied."""


def oov_id(text: str, vocabulary_size: int) -> int:
    """Return the id of a word outside the vocabulary."""
    return vocabulary_size + int.from_bytes(text.encode())


def oov_text(token: int, vocabulary_size: int) -> str:
    """Return the word that has this id."""
    number = token - vocabulary_size
    return number.to_bytes((number.bit_length() + 7) // 8).decode()


def number_oov(copy_ids: Iterable[int], vocabulary_size: int) -> dict[int, int]:
    """Return V + j for the id of each word of a source that is outside the vocabulary, in the order of the source."""
    words = dict.fromkeys(token for token in copy_ids if token >= vocabulary_size)
    return {word: vocabulary_size + index for index, word in enumerate(islice(words, MAX_OOV))}


def numbered(tokens: Iterable[int], numbers: Mapping[int, int], vocabulary_size: int, unk: int) -> list[int]:
    """Return tokens with the numbers of words outside the vocabulary; unk for a word that the source does not have."""
    return [token if token < vocabulary_size else numbers.get(token, unk) for token in tokens]


def copies_of_added(tokens: Iterable[int], special_tokens: SpecialTokens) -> list[int]:
    """Return the target tokens as which tokens around the text of a source can be copied: unk for tags.

    The id of a tag is one of the source vocabulary; in that of the target it may be a word, or lie beyond it.
    """
    return [token if token in special_tokens.ids else special_tokens.unk for token in tokens]
