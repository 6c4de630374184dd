"""Serialised models are read and written as by SentencePiece."""

from collections.abc import Callable

import pytest
from sentencepiece import SentencePieceProcessor

from nmt_cli.data.tokenizing.segmenter import Piece, PieceKind
from nmt_cli.data.tokenizing.segmenters import SEGMENTERS
from nmt_cli.data.tokenizing.sentencepiece_model import (
    read_model,
    serialize_model,
    serialize_overrides,
    serialize_pieces,
)
from nmt_cli.errors import ModelError
from nmt_cli.recipe.data import TokenizerSettings

Sentences = Callable[[int, int], list[str]]


def segmenter(sentences: Sentences, algorithm: str) -> bytes:
    recipe = TokenizerSettings.model_validate({"vocabulary_size": 330, "algorithm": algorithm, "symbols": ["<br>"]})
    return SEGMENTERS[algorithm].train(recipe, 0, sentences(0, 200), 1).model


@pytest.mark.parametrize("algorithm", ["unigram", "bpe", "character"])
def test_read_model_agrees_with_sentencepiece(sentences: Sentences, algorithm: str) -> None:
    content = segmenter(sentences, algorithm)
    processor, found = SentencePieceProcessor(model_proto=content), read_model(content)
    size = range(processor.get_piece_size())
    assert [piece.text for piece in found.pieces] == [processor.id_to_piece(i) for i in size]
    assert [piece.score for piece in found.pieces] == [processor.get_score(i) for i in size]
    assert [piece.kind == PieceKind.BYTE for piece in found.pieces] == [processor.is_byte(i) for i in size]
    assert [piece.text for piece in found.pieces if piece.kind == PieceKind.USER_DEFINED] == ["<br>"]
    assert (found.algorithm, found.normalization) == (algorithm, "identity")
    assert not found.has_charsmap


def test_serialize_model_inverts_read_model(sentences: Sentences) -> None:
    content = segmenter(sentences, "unigram")
    assert read_model(serialize_model(read_model(content))) == read_model(content)
    line = sentences(1, 1)
    assert SentencePieceProcessor(model_proto=serialize_model(read_model(content))).encode(
        line
    ) == SentencePieceProcessor(model_proto=content).encode(line)


def test_pieces_and_overrides_can_be_appended(sentences: Sentences) -> None:
    content = (
        segmenter(sentences, "unigram")
        + serialize_pieces([Piece("日本", -20.0)])
        + serialize_overrides(add_dummy_prefix=False)
    )
    processor = SentencePieceProcessor(model_proto=content)
    assert processor.encode("日本", out_type=str) == ["日本"]
    assert read_model(content).pieces[-1] == Piece("日本", -20.0)
    assert not read_model(content).add_dummy_prefix


def test_read_damaged_model_is_a_model_error(sentences: Sentences) -> None:
    content = segmenter(sentences, "unigram")
    with pytest.raises(ModelError):
        read_model(content[:-1])
    with pytest.raises(ModelError):
        read_model(b"text" * 20)
    with pytest.raises(ModelError):
        read_model(b"\x1a\x02\x08\x05")  # the name of the normalisation is an integer
