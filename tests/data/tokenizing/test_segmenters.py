"""Text is split into subwords, characters, bytes or words; symbols are never split."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing import sentencepiece_training
from nmt_cli.data.tokenizing.segmenter import PieceKind
from nmt_cli.errors import RecipeError
from nmt_cli.recipe.data import TokenizerSettings

Sentences = Callable[[int, int], list[str]]
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def trained(lines: list[str], size: int = 340, **chosen: object) -> Tokenizer:
    recipe = TokenizerSettings.model_validate({"vocabulary_size": size, **chosen})
    return Tokenizer.train(recipe, lines, [], seed=1, tags=["2de"])


def split(tokenizer: Tokenizer, line: str) -> list[str]:
    return [tokenizer.source.entries[token] for token in tokenizer.encode_source([line])[0]]


def test_character_pieces_are_the_characters_of_the_text(sentences: Sentences) -> None:
    tokenizer = trained(sentences(0, 200), size=8000, algorithm="character")
    assert sorted(text for text in tokenizer.source.ids_by_text(PieceKind.NORMAL)) == sorted("abcdefghij▁")
    assert split(tokenizer, "abc de") == ["▁", "a", "b", "c", "▁", "d", "e"]


def test_character_pieces_are_the_most_frequent_ones() -> None:
    tokenizer = trained(["aab", "aabc"] * 5, size=4 + 1 + 3, byte_fallback=False, algorithm="character")
    assert sorted(tokenizer.source.entries[5:]) == ["a", "b", "▁"]


def test_byte_segmenter_needs_no_text_and_no_size() -> None:
    tokenizer = trained([], size=8, algorithm="byte")
    assert tokenizer.source_size == 4 + 1 + 256 + 1
    assert split(tokenizer, "aé b") == ["▁", "<0x61>", "<0xC3>", "<0xA9>", "▁", "<0x62>"]


def test_word_segmenter_spells_unknown_words_as_bytes(sentences: Sentences) -> None:
    tokenizer = trained(["abc def"] * 3 + ["abc"], size=8000, algorithm="word")
    assert list(tokenizer.source.ids_by_text(PieceKind.NORMAL)) == ["▁abc", "▁def", "▁"]
    assert split(tokenizer, "abc xy def") == ["▁abc", "▁", "<0x78>", "<0x79>", "▁def"]


def test_word_segmenter_without_byte_fallback_gives_unk_per_word() -> None:
    tokenizer = trained(["abc def"], algorithm="word", byte_fallback=False)
    assert split(tokenizer, "abc xy z def") == ["▁abc", "<unk>", "<unk>", "▁def"]
    assert tokenizer.decode_target(tokenizer.encode_target(["abc xy z def"])) == ["abc ⁇ ⁇ def"]


def test_word_vocabulary_has_given_size(sentences: Sentences) -> None:
    assert trained(sentences(0, 200), size=290, algorithm="word").source_size == 290


@pytest.mark.parametrize("algorithm", ["unigram", "bpe", "character", "byte", "word"])
@pytest.mark.parametrize("byte_fallback", [True, False])
def test_each_word_begins_with_one_word_initial_piece(
    sentences: Sentences, algorithm: str, byte_fallback: bool
) -> None:
    if algorithm == "byte" and not byte_fallback:
        return  # refused by the recipe
    size = 340 if byte_fallback else 80
    tokenizer = trained(sentences(0, 200), size, algorithm=algorithm, byte_fallback=byte_fallback)

    @settings(max_examples=100)
    @given(TEXT | st.sampled_from(sentences(1, 20)))
    def check(line: str) -> None:
        line = tokenizer.normalize(line)
        tokens, _ = tokenizer.source.encode_batch([line])
        assert tokenizer.source.begins_word[tokens].sum() == (line.count(" ") + 1 if line else 0)

    check()


@pytest.mark.parametrize("algorithm", ["unigram", "bpe", "character", "byte"])
def test_symbol_is_one_piece_everywhere(sentences: Sentences, algorithm: str) -> None:
    symbols = ["<br>", "<b", 'a,"b', "<2de>", "ﬁx", "|"]
    lines = [f"{line}<br>{line}" for line in sentences(0, 200)]
    tokenizer = trained(lines, symbols=symbols, algorithm=algorithm, normalization="nfkc")
    assert {*tokenizer.source.ids_by_text(PieceKind.USER_DEFINED)} == {"<br>", "<b", 'a,"b', "<2de>", "fix", "|"}

    @settings(max_examples=100)
    @given(st.lists(st.sampled_from([*symbols, "ab", " ", "日"]) | TEXT).map("".join))
    def check(line: str) -> None:
        pieces = split(tokenizer, line)
        assert pieces.count("<br>") == tokenizer.normalize(line).count("<br>")
        assert tokenizer.tag_id("2de") not in tokenizer.encode_source([line])[0]
        assert tokenizer.decode_target(tokenizer.encode_target([line])) == [tokenizer.normalize(line)]

    check()


@pytest.mark.parametrize(
    ("symbol", "message"),
    [("＜unk＞", "SentencePiece"), ("<0ｘ41>", "SentencePiece"), ("\ufeff", "space")],
)
def test_invalid_symbol_is_a_recipe_error(symbol: str, message: str) -> None:
    with pytest.raises(RecipeError, match=rf"tokenizer\.symbols: .*{message}"):
        trained(["ab"], symbols=[symbol], normalization="nfkc")


def test_word_segmenter_rejects_symbols() -> None:
    with pytest.raises(RecipeError, match=r"tokenizer\.symbols: .*word"):
        trained(["ab"], symbols=["<br>"], algorithm="word")


@pytest.mark.parametrize(("algorithm", "least"), [("character", 262), ("word", 263)])
def test_too_small_size_error_names_smallest_size(algorithm: str, least: int) -> None:
    with pytest.raises(RecipeError, match=rf"^tokenizer\.vocabulary_size: .*\b{least}\b"):
        trained(["ab cd"], size=least - 1, algorithm=algorithm)
    assert trained(["ab cd"], size=least, algorithm=algorithm).source_size == least


def test_sample_lines_is_short_enough_and_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentencepiece_training, "MAX_CHARACTERS", 30_000)
    lines = [f"{number:06}" for number in range(40_000)]
    found = sentencepiece_training.sample_lines(iter(lines), seed=1)
    assert 4000 < len(found) <= 5000
    assert found == sorted(set(found)), "in order, and none twice"
    for quarter in range(4):
        part = sum(lines[quarter * 10_000] <= line < f"{(quarter + 1) * 10_000:06}" for line in found)
        assert part == pytest.approx(len(found) / 4, rel=0.1)


def test_sample_lines_keeps_short_text() -> None:
    assert sentencepiece_training.sample_lines(["b", "a", "b"], seed=1) == ["b", "a", "b"]
