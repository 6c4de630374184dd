"""An extended tokenizer keeps old ids and splits no text into more tokens than before."""

import re
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.data.subword_sampling.piece_table import PieceTable
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.extension import VocabularyExtension, extend
from nmt_cli.data.tokenizing.segmenter import PieceKind
from nmt_cli.errors import RecipeError
from nmt_cli.recipe.data import TokenizerSettings

Sentences = Callable[[int, int], list[str]]
ALGORITHMS = ["unigram", "bpe", "character", "byte", "word"]
CYRILLIC = str.maketrans("abcdefghij", "абвгдежзик")


def new_text(sentences: Sentences) -> list[str]:
    """Of another domain, and of another script."""
    return [*sentences(7, 200), *(line.translate(CYRILLIC) for line in sentences(8, 300))]


def settled(pieces: int, **chosen: object) -> TokenizerSettings:
    return TokenizerSettings.model_validate({"path": "old", "extension": {"pieces": pieces}} | chosen)


def learned(sentences: Sentences, algorithm: str, **chosen: object) -> Tokenizer:
    recipe = TokenizerSettings.model_validate({"vocabulary_size": 330, "algorithm": algorithm} | chosen)
    return Tokenizer.train(recipe, sentences(0, 200), sentences(1, 200), seed=1, tags=["2de"])


def extended(sentences: Sentences, old: Tokenizer, pieces: int) -> Tokenizer:
    text = new_text(sentences)
    return extend(old, settled(pieces), text, text, seed=1)


def pieces_wanted(algorithm: str) -> int:
    return 10 if algorithm in ("character", "byte") else 60


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("joint", [True, False])
def test_extend_appends_pieces(sentences: Sentences, algorithm: str, joint: bool) -> None:
    old, number = learned(sentences, algorithm, joint=joint), pieces_wanted(algorithm)
    new = extended(sentences, old, number)
    assert new.joint == joint
    for side, before in ((new.source, old.source), (new.target, old.target)):
        assert side.entries[: len(before.entries)] == before.entries
        assert len(side.entries) == len(before.entries) + number
        assert side.tags == before.tags
    assert extended(sentences, old, number).fingerprint == new.fingerprint


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_extended_tokenizer_never_gives_more_tokens(sentences: Sentences, algorithm: str) -> None:
    old = learned(sentences, algorithm)
    new = extended(sentences, old, pieces_wanted(algorithm))
    lines = [*sentences(0, 100), *sentences(5, 200), *new_text(sentences)]
    words = sorted({word for line in lines for word in line.split()})

    @settings(max_examples=100)
    @given(st.lists(st.sampled_from(words) | st.text(st.characters(exclude_categories=["Cs"]))).map(" ".join))
    def check(line: str) -> None:
        line = new.normalize(line)
        (before,), (after,) = old.source.encode([line]), new.source.encode([line])
        assert len(after) <= len(before)
        assert new.source.decode([after]) == [line]
        assert not {*new.source.tags.values()} & {*after}

    check()
    for line, before, after in zip(lines, old.source.encode(lines), new.source.encode(lines), strict=True):
        assert len(after) <= len(before), line


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_extended_tokenizer_gives_fewer_tokens_for_new_text(sentences: Sentences, algorithm: str) -> None:
    old = learned(sentences, algorithm)
    new = extended(sentences, old, pieces_wanted(algorithm))
    lines = [line.translate(CYRILLIC) for line in sentences(8, 50)]
    assert new.source.encode_batch(lines)[1].sum() < 0.8 * old.source.encode_batch(lines)[1].sum()


@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_extended_tokenizer_can_be_sampled(sentences: Sentences, algorithm: str) -> None:
    new = extended(sentences, learned(sentences, algorithm), 60)
    table = PieceTable(new.source.segmenter)
    assert len(table.texts) == len(new.source.ids_by_text(PieceKind.NORMAL))
    if algorithm == "bpe":
        assert table.scores.tolist() == [-float(rank) for rank in range(len(table.scores))]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_vocabulary_extension_lists_old_tokens_of_new_entries(sentences: Sentences, algorithm: str) -> None:
    old = learned(sentences, algorithm)
    new = extended(sentences, old, pieces_wanted(algorithm)).with_tags(["2ru"])
    found = VocabularyExtension.between(old, new)
    assert found is not None
    *pieces, tag = found.source
    assert tag == [old.tag_id("2de")]
    for text, parts in zip(new.source.entries[old.source_size : -1], pieces, strict=True):
        assert spelled(old, parts) == text


def spelled(tokenizer: Tokenizer, parts: Sequence[int]) -> str:
    values = tokenizer.source.byte_values()
    written = [bytes([values[i]]) if i in values else tokenizer.source.entries[i].encode() for i in parts]
    return b"".join(written).decode()


def test_vocabulary_extension_between_unrelated_tokenizers_is_none(sentences: Sentences) -> None:
    old, other = learned(sentences, "unigram"), learned(sentences, "bpe")
    assert VocabularyExtension.between(old, other) is None
    assert VocabularyExtension.between(old.with_tags(["bt"]), old) is None
    assert VocabularyExtension.between(old, old) == VocabularyExtension([], [])
    apart = learned(sentences, "unigram", joint=False)
    assert VocabularyExtension.between(apart, old) is None


def test_extend_without_extension_returns_the_tokenizer(sentences: Sentences) -> None:
    old = learned(sentences, "unigram")
    assert extend(old, TokenizerSettings.model_validate({"path": "old"}), [], [], seed=1) is old


def test_too_large_extension_error_names_largest_size(sentences: Sentences) -> None:
    old, text = learned(sentences, "unigram"), sentences(7, 40)
    with pytest.raises(RecipeError, match=r"^tokenizer\.extension\.pieces: ") as told:
        extend(old, settled(5000), text, text, seed=1)
    most = int(re.findall(r"\d+", str(told.value))[-1])
    assert extend(old, settled(most), text, text, seed=1).source_size == old.source_size + most
    with pytest.raises(RecipeError, match=r"tokenizer\.extension"):
        extend(old, settled(1), [], [], seed=1)
