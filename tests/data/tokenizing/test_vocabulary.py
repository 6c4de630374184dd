"""A vocabulary encodes lines one by one or in a batch."""

from collections.abc import Callable
from itertools import accumulate, pairwise
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.data.arrays import RaggedArray
from nmt_cli.data.batches import collate
from nmt_cli.data.token_corpus import TokenPairs
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.segmenter import Piece, PieceKind, Segmenter
from nmt_cli.data.tokenizing.segmenters import SEGMENTERS
from nmt_cli.data.tokenizing.vocabulary import Vocabulary
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.text.special_tokens import SpecialTokens

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


class LetterSegmenter:
    """A segmenter that is not stored as a SentencePiece model: letters, and ▁ before each word."""

    name = "letters"
    unk = 0
    can_cache_words = True
    sentencepiece_model = None

    def __init__(self, model: bytes) -> None:
        self.model = model
        self.pieces = [Piece("?", 0, PieceKind.UNKNOWN), *(Piece(letter, 0) for letter in model.decode())]

    def encode(self, lines: list[str], num_threads: int = -1) -> list[list[int]]:
        letters = {piece.text: index for index, piece in enumerate(self.pieces)}
        return [[letters.get(c, 0) for word in line.split() for c in f"▁{word}"] for line in lines]

    def decode(self, rows: list[list[int]]) -> list[str]:
        return ["".join(self.pieces[i].text for i in row).replace("▁", " ").strip() for row in rows]


def test_any_segmenter_of_the_protocol_can_be_used_saved_and_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SEGMENTERS, "letters", cast(type[Segmenter], LetterSegmenter))
    vocabulary = Vocabulary.from_segmenter(SEGMENTERS["letters"]("▁ab".encode()))
    Tokenizer("none", vocabulary, vocabulary).save(tmp_path)
    tokenizer = Tokenizer.load(tmp_path)
    assert tokenizer.encode_source(["ab a", "x"]) == [[4, 5, 6, 4, 5], [4, 1]]
    assert tokenizer.source.encode_batch(["ab a", "x"])[0].tolist() == [4, 5, 6, 4, 5, 4, 1]
    assert tokenizer.decode_target([[4, 5, 6, 4, 5, 3]]) == ["ab a"]


def test_special_tokens_can_have_any_ids(tmp_path: Path) -> None:
    special = SpecialTokens(pad=3, unk=4, bos=0, eos=0, decoder_start=3)  # as in Marian's models
    segmenter = cast(Segmenter, LetterSegmenter("▁ab".encode()))
    vocabulary = Vocabulary(segmenter, ["</s>", "▁", "b", "<pad>", "<unk>", "a"], special)
    assert vocabulary.encode(["ab x"]) == [[1, 5, 2, 1, 4]]
    assert vocabulary.decode([[3, 1, 5, 2, 0]]) == ["ab"]
    assert vocabulary.with_tags(["2de"]).special_tokens == special

    rows = RaggedArray(np.array([0, 2, 3]), np.array([5, 2, 5]))
    batch = collate(TokenPairs(RaggedArray(np.array([0, 1, 2]), np.array([5, 2])), rows), np.arange(2), special)
    assert batch.source.tolist() == [[5, 0], [2, 0]]
    assert batch.decoder_input.tolist() == [[3, 5, 2], [3, 5, 3]]
    assert batch.labels.tolist() == [5, 2, 0, 5, 0]


def test_text_that_is_unknown_to_the_segmenter_becomes_an_entry_of_another_one(sentences: Sentences) -> None:
    learned = TokenizerSettings(vocabulary_size=80, byte_fallback=False)
    trained = Vocabulary.train(learned, sentences(0, 200), 1)
    unused = Piece("ɛ̃", 0.0, PieceKind.UNUSED)
    known = Vocabulary(trained.segmenter.with_pieces([unused]), [*trained.entries, "ɛ̃", "<ʒ>"])
    word = sentences(0, 1)[0].split(" ")[0]
    line = f"{word} ɛ̃ ʒ <ʒ>"
    [expected], [found] = trained.encode([line]), known.encode([line])
    first_unk = expected.index(trained.special_tokens.unk)
    assert found == [*expected[:first_unk], len(trained.entries), *expected[first_unk + 1 :]]
    tokens, _ = known.encode_batch([line, word])
    assert tokens.tolist() == [*found, *known.encode([word])[0]]
