"""A sampler without randomness segments as SentencePiece does, for any pieces."""

import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.data.subword_sampling.bpe_dropout import BpeDropout
from nmt_cli.data.subword_sampling.piece_table import PieceTable, WordSampler, WordwiseSampler
from nmt_cli.data.subword_sampling.unigram import UnigramSampler
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.segmenter import PieceKind
from nmt_cli.errors import RecipeError
from nmt_cli.recipe.data import TokenizerSettings

Sentences = Callable[[int, int], list[str]]
SYMBOLS = ["<br>", "<b", "ab", "|"]
SYMBOL = re.compile("|".join(map(re.escape, SYMBOLS)))  # the longest first
LINES = st.lists(st.sampled_from([*SYMBOLS, "bagu", " ", "日", "<", "br>", "fra"]) | st.text("abdi <>r|", max_size=9))


@pytest.mark.parametrize("algorithm", ["unigram", "bpe", "character", "byte"])
def test_samplers_never_split_symbols_and_preserve_text(text: Sentences, algorithm: str) -> None:
    recipe = TokenizerSettings.model_validate({"vocabulary_size": 340, "algorithm": algorithm, "symbols": SYMBOLS})
    tokenizer = Tokenizer.train(recipe, [f"{line}|<br>" for line in text(0, 200)], [], seed=1, tags=["2de"])
    vocabulary, table = tokenizer.source, PieceTable(tokenizer.source.segmenter)
    symbols = [*vocabulary.ids_by_text(PieceKind.USER_DEFINED).values()]
    is_bpe = algorithm == "bpe"

    def split(line: str, sampler: WordSampler) -> list[int]:
        pieces, _ = WordwiseSampler(table, sampler).encode([line], np.random.default_rng(1))
        return vocabulary.piece_ids[pieces].tolist()

    @settings(max_examples=100)
    @given(LINES.map("".join).map(tokenizer.normalize).filter(bool))
    def check(line: str) -> None:
        (plain,) = vocabulary.encode([line])
        best = split(line, BpeDropout(table, 1e-12) if is_bpe else UnigramSampler(table, 1e4))
        kept = [token for token in best if token in symbols]
        assert len(kept) == len(SYMBOL.findall(line))
        # SentencePiece's unigram model goes through a symbol of common letters where that is far more probable.
        assert best == plain or (algorithm == "unigram" and len(kept) > sum(token in symbols for token in plain))
        sampled = split(line, BpeDropout(table, 0.5) if is_bpe else UnigramSampler(table, 0.1))
        assert [token for token in sampled if token in symbols] == kept
        assert vocabulary.decode([sampled]) == [line]
        assert not {*vocabulary.tags.values()} & {*sampled}

    check()


def test_word_segmenter_cannot_be_sampled(text: Sentences) -> None:
    recipe = TokenizerSettings.model_validate({"vocabulary_size": 300, "algorithm": "word"})
    with pytest.raises(RecipeError, match=r"^training\.subword_sampling: .*algorithm word"):
        Tokenizer.train(recipe, text(0, 20), [], seed=1).source.segmenter.sampler(0.1)
