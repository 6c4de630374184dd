"""Serialised models are read and written as SentencePiece does."""

from collections.abc import Callable

import pytest
from sentencepiece import SentencePieceProcessor

from nmt_cli.data.tokenizing.model_file import Entry, Kind, more_entries, other_habits, read_model, written
from nmt_cli.data.tokenizing.segmenter_training import train_segmenter
from nmt_cli.errors import ModelError
from nmt_cli.recipe.data import TokenizerSettings

Sentences = Callable[[int, int], list[str]]


def segmenter(sentences: Sentences, algorithm: str) -> bytes:
    recipe = TokenizerSettings.model_validate({"vocabulary_size": 330, "algorithm": algorithm, "symbols": ["<br>"]})
    return train_segmenter(recipe, 330, sentences(0, 200), 1)


@pytest.mark.parametrize("algorithm", ["unigram", "bpe", "character"])
def test_it_is_what_sentencepiece_reads(sentences: Sentences, algorithm: str) -> None:
    content = segmenter(sentences, algorithm)
    processor, found = SentencePieceProcessor(model_proto=content), read_model(content)
    size = range(processor.get_piece_size())
    assert [entry.text for entry in found.entries] == [processor.id_to_piece(i) for i in size]
    assert [entry.score for entry in found.entries] == [processor.get_score(i) for i in size]
    assert [entry.kind == Kind.BYTE for entry in found.entries] == [processor.is_byte(i) for i in size]
    assert [entry.text for entry in found.entries if entry.kind == Kind.SYMBOL] == ["<br>"]
    assert (found.algorithm, found.normalization) == (algorithm, "identity")
    assert not found.has_charsmap


def test_it_is_written_as_it_was(sentences: Sentences) -> None:
    content = segmenter(sentences, "unigram")
    assert read_model(written(read_model(content))) == read_model(content)
    line = sentences(1, 1)
    assert SentencePieceProcessor(model_proto=written(read_model(content))).encode(line) == SentencePieceProcessor(
        model_proto=content
    ).encode(line)


def test_pieces_and_another_way_with_spaces_can_be_put_at_its_end(sentences: Sentences) -> None:
    content = segmenter(sentences, "unigram") + more_entries([Entry("日本", -20.0)]) + other_habits(first_word=False)
    processor = SentencePieceProcessor(model_proto=content)
    assert processor.encode("日本", out_type=str) == ["日本"]
    assert read_model(content).entries[-1] == Entry("日本", -20.0)
    assert not read_model(content).marks_first_word


def test_damage_is_a_model_error(sentences: Sentences) -> None:
    content = segmenter(sentences, "unigram")
    with pytest.raises(ModelError):
        read_model(content[:-1])
    with pytest.raises(ModelError):
        read_model(b"text" * 20)
