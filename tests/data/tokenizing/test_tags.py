"""Tags are vocabulary entries that text cannot contain."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.segmenter import PieceKind
from nmt_cli.data.tokenizing.tags import prefix_tags, tags_of
from nmt_cli.errors import ModelError
from nmt_cli.recipe.data import Data, TokenizerSettings

Sentences = Callable[[int, int], list[str]]
TAGS = ["2de", "2fr", "bt", "sep", "s", "0x41"]
WRITTEN = ["<2de>", "<2de> Haus", "x<bt>y", "<s>", "▁<sep>", "<0x41>", "▁", "<2de", "2de", "<unk>"]


def corpus(**more: str) -> dict[str, str]:
    return {"source": "a", "target": "b", **more}


def data(train: dict[str, dict[str, str]], **more: object) -> Data:
    languages = {"source_language": "en", "target_language": "de"}
    return Data.model_validate(languages | {"prepared": "p", "train": train, "valid": {"v": corpus()}} | more)


def trained(sentences: Sentences, joint: bool = True, **chosen: object) -> Tokenizer:
    text = [line + " ".join(WRITTEN) for line in sentences(0, 200)]
    recipe = TokenizerSettings.model_validate({"vocabulary_size": 340, "joint": joint, **chosen})
    return Tokenizer.train(recipe, text, text[::-1], seed=1, tags=TAGS)


def test_tags_of_plain_data_are_empty() -> None:
    assert tags_of(data({"t": corpus()})) == []


def test_tags_of_languages_corpora_and_context() -> None:
    train = {"one": corpus(), "two": corpus(target_language="fr", tag="bt"), "three": corpus(tag="bt")}
    assert tags_of(data(train, language_tags=True, context={})) == ["2de", "2fr", "bt", "sep"]


def test_tags_include_language_of_validation_set() -> None:
    valid = {"v": corpus(target_language="it")}
    assert tags_of(data({"t": corpus()}, valid=valid, language_tags=True)) == ["2de", "2it"]


def test_prefix_tags_begin_with_language() -> None:
    tagged = data({"t": corpus()}, language_tags=True)
    assert prefix_tags(tagged, ("en", "de"), None) == ["2de"]
    assert prefix_tags(tagged, ("en", "fr"), "bt") == ["2fr", "bt"]
    assert prefix_tags(data({"t": corpus()}), ("en", "fr"), "bt") == ["bt"]
    assert prefix_tags(data({"t": corpus()}, sequence={"language_tokens": True}), ("en", "fr"), "bt") == ["en", "bt"]


@pytest.mark.parametrize("joint", [True, False])
def test_tags_follow_special_tokens_and_count_towards_size(sentences: Sentences, joint: bool) -> None:
    tokenizer = trained(sentences, joint)
    for side in (tokenizer.source, tokenizer.target):
        assert len(side.entries) == 340
        assert side.entries[4:10] == [f"<{tag}>" for tag in TAGS]
        assert [side.tag_id(tag) for tag in TAGS] == [*range(4, 10)]
    assert tokenizer.tag_id("bt") == 6


def test_tag_id_of_missing_tag_is_a_model_error(sentences: Sentences) -> None:
    with pytest.raises(ModelError, match=r"\b2it\b.*2de, 2fr, bt"):
        trained(sentences).tag_id("2it")


@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_text_never_becomes_a_tag(sentences: Sentences, algorithm: str) -> None:
    tokenizer = trained(sentences, algorithm=algorithm, normalization="none")
    forbidden = {*range(4), *tokenizer.source.tags.values()}

    @settings(max_examples=80)
    @given(
        st.lists(st.lists(st.sampled_from(WRITTEN) | st.text(st.characters(exclude_categories=["Cs"]))).map("".join))
    )
    def check(lines: list[str]) -> None:
        rows = tokenizer.encode_source(lines)
        assert not any(forbidden.intersection(row) for row in rows)
        assert tokenizer.decode_target(rows) == [tokenizer.normalize(line) for line in lines]

    check()


def test_learned_piece_that_looks_like_tag_has_its_own_id(sentences: Sentences) -> None:
    tokenizer = trained(sentences, algorithm="bpe")
    (row,) = tokenizer.encode_source(["<0x41>"])
    assert not set(row) & {*tokenizer.source.tags.values()}
    assert tokenizer.source.entries.count("<0x41>") == 2  # a tag, and the byte that spells A
    assert tokenizer.tag_id("0x41") not in tokenizer.encode_source(["A\u4e00A"])[0]


def test_decode_omits_tags(sentences: Sentences) -> None:
    tokenizer = trained(sentences)
    (row,) = tokenizer.encode_target(["abc def"])
    tagged = [tokenizer.tag_id("2de"), *row[:1], tokenizer.tag_id("sep"), *row[1:], tokenizer.tag_id("s")]
    assert tokenizer.decode_target([tagged]) == ["abc def"]
    assert not {*tokenizer.source.ids_by_text(*PieceKind).values()} & {*tokenizer.source.tags.values()}
    assert not tokenizer.source.begins_word[[*tokenizer.source.tags.values()]].any()


@pytest.mark.parametrize("joint", [True, False])
def test_tags_are_saved(tmp_path: Path, sentences: Sentences, joint: bool) -> None:
    tokenizer = trained(sentences, joint)
    tokenizer.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert loaded.source.tags == loaded.target.tags == tokenizer.source.tags
    assert loaded.fingerprint == tokenizer.fingerprint


@pytest.mark.parametrize("tags", [[], {"2de": 3}, {"2de": 340}, {"2de": 4, "bt": 4}, {"2de": "4"}, {"2de": True}])
def test_load_damaged_tags_is_a_model_error(tmp_path: Path, sentences: Sentences, tags: object) -> None:
    trained(sentences).save(tmp_path)
    settings = json.loads((tmp_path / "tokenizer.json").read_text())
    settings["sides"]["joint"]["tags"] = tags
    (tmp_path / "tokenizer.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        Tokenizer.load(tmp_path)
