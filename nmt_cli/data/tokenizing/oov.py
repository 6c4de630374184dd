"""Ids of words outside the vocabulary (OOV), which a model with a pointer-generator copies from the source.

With V entries in the vocabulary, the id of such a word is V plus the integer whose bytes are the word in UTF-8. Python
integers have any size, so no table of words is needed. Arrays and tensors hold its extended id instead: V + j for the
j-th such word of their source.
"""

from collections.abc import Iterable, Mapping
from itertools import islice

from nmt_cli.text.special_tokens import SpecialTokens

MAX_OOV = 2**15
"""Maximum number of words outside the vocabulary in a source; further ones cannot be copied."""


def oov_id(text: str, vocabulary_size: int) -> int:
    """Return the id of a word outside the vocabulary."""
    return vocabulary_size + int.from_bytes(text.encode())


def oov_text(token: int, vocabulary_size: int) -> str:
    """Return the word that has this id."""
    number = token - vocabulary_size
    return number.to_bytes((number.bit_length() + 7) // 8).decode()


def extended_ids(copy_ids: Iterable[int], vocabulary_size: int) -> dict[int, int]:
    """Return the extended id V + j of each word of a source that is outside the vocabulary, in the source's order."""
    oov_ids = dict.fromkeys(token for token in copy_ids if token >= vocabulary_size)
    return {oov_id: vocabulary_size + index for index, oov_id in enumerate(islice(oov_ids, MAX_OOV))}


def to_extended_ids(tokens: Iterable[int], extended: Mapping[int, int], vocabulary_size: int, unk: int) -> list[int]:
    """Replace ids of words outside the vocabulary by their extended ids, or by unk if the source lacks the word."""
    return [token if token < vocabulary_size else extended.get(token, unk) for token in tokens]


def copy_ids_of_added(tokens: Iterable[int], special_tokens: SpecialTokens) -> list[int]:
    """Return the copy ids of the tokens around the text of a source: special tokens are themselves, tags are unk.

    The id of a tag belongs to the source vocabulary. In the target vocabulary, it may be a word, or not exist.
    """
    return [token if token in special_tokens.ids else special_tokens.unk for token in tokens]
