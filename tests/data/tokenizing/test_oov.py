"""Words outside the vocabulary have ids of their own, from which their text comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.oov import extended_ids, oov_id, oov_text, to_extended_ids
from nmt_cli.recipe.data import TokenizerSettings

WORD = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1).filter(
    lambda word: not word.isspace() and "▁" not in word
)
LINES = ["the cat sees a dog", "a dog sees the cat"]


def tokenizer(algorithm: str, joint: bool) -> Tokenizer:
    size = {"unigram": 24 if joint else 16}.get(algorithm, 20)
    settings = {"algorithm": algorithm, "joint": joint, "byte_fallback": False, "vocabulary_size": size}
    lines = [line.upper() for line in LINES]
    return Tokenizer.train(TokenizerSettings.model_validate(settings), LINES, lines, 1).with_copies(True)


@given(WORD, st.integers(4, 10**6))
def test_text_comes_back_from_the_id(word: str, size: int) -> None:
    token = oov_id(word, size)
    assert token >= size
    assert oov_text(token, size) == word


def test_words_are_numbered_in_the_order_of_the_source() -> None:
    cat, dog = oov_id("cat", 10), oov_id("dog", 10)
    extended = extended_ids([3, dog, cat, 4, dog], 10)
    assert extended == {dog: 10, cat: 11}
    assert to_extended_ids([cat, 3, oov_id("cow", 10)], extended, 10, unk=1) == [11, 3, 1]


@pytest.mark.parametrize("algorithm", ["word", "unigram", "character"])
@pytest.mark.parametrize("joint", [True, False])
def test_any_line_comes_back_from_its_ids(algorithm: str, joint: bool) -> None:
    each = tokenizer(algorithm, joint)

    @given(st.lists(WORD | st.sampled_from(["CAT", "sees"]), min_size=1).map(" ".join))
    def check(line: str) -> None:
        line = each.normalize(line)
        (ids,) = each.encode_target([line], oov=True)
        assert each.decode_target([ids]) == [line]

    check()


@pytest.mark.parametrize("joint", [True, False])
def test_source_words_are_copied_as_target_entries_where_there_are_any(joint: bool) -> None:
    each = tokenizer("word", joint)
    (ids,) = each.encode_copies(["the CAT zzz"])
    assert each.decode_target([ids]) == ["the CAT zzz"]
    known = [text[1:] in ("the", "cat", "CAT") for text in each.target.entries]
    assert [i < each.target_size for i in ids] == [joint, True, False]
    assert sum(known) == (3 if joint else 1)


def test_models_that_cannot_meet_unknown_words_need_no_ids() -> None:
    settings = TokenizerSettings.model_validate({"vocabulary_size": 270})
    assert not Tokenizer.train(settings, LINES, LINES, 1).with_copies(True).copies
    assert not tokenizer("word", joint=True).with_copies(False).copies


def test_saved_tokenizer_still_copies(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder, each = tmp_path_factory.mktemp("saved"), tokenizer("word", joint=False)
    each.save(folder)
    loaded = Tokenizer.load(folder)
    assert loaded.copies
    assert loaded.fingerprint == each.fingerprint != each.with_copies(False).fingerprint
