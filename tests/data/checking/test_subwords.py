"""The tokenizer to look at text with is the one prepared, or learned from a sample; what it does not know is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nmt_cli.data.checking.sampling import Pair, Sample
from nmt_cli.data.checking.subwords import coverage, find_tokenizer
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.recipe.schema import Recipe

Make = Callable[..., list[Pair]]
Look = Callable[..., Sample]


def recipe(folder: Path, **tokenizer: Any) -> Recipe:
    pair = {"source": "a", "target": "b"}
    data = {"source_language": "en", "target_language": "de", "prepared": str(folder / "prepared")}
    data |= {"train": {"t": pair}, "valid": {"v": pair}}
    model = {"architecture": "transformer", "preset": "tiny"}
    return Recipe.model_validate({"run": "r", "data": data, "model": model, "tokenizer": tokenizer})


def test_one_is_learned_from_the_sample(pairs: Make, look: Look, tmp_path: Path) -> None:
    found = find_tokenizer(recipe(tmp_path, vocabulary_size=350), [look(pairs(500))])
    assert found.tokenizer
    assert found.tokenizer.source_size == 350
    assert "from a sample" in found.origin
    assert not list(tmp_path.iterdir())


def test_the_one_prepared_is_used_if_it_is_as_the_recipe_says(pairs: Make, look: Look, tmp_path: Path) -> None:
    wanted = recipe(tmp_path, vocabulary_size=350)
    lines = [line for pair in pairs(300) for line in pair]
    Tokenizer.train(wanted.tokenizer, lines, lines, 1).save(tmp_path / "prepared" / "tokenizer")
    assert "prepared" in find_tokenizer(wanted, [look(pairs(500))]).origin
    assert "sample" in find_tokenizer(recipe(tmp_path, vocabulary_size=340), [look(pairs(500))]).origin


def test_a_vocabulary_that_the_whole_corpus_cannot_fill_is_an_error(pairs: Make, look: Look, tmp_path: Path) -> None:
    found = find_tokenizer(recipe(tmp_path, vocabulary_size=8000), [look(pairs(500))])
    (error,) = found.findings
    assert (error.level, error.where, error.is_of_recipe) == ("error", "tokenizer.vocabulary_size", True)
    assert found.tokenizer is None


def test_of_a_sample_fewer_subwords_are_learned(pairs: Make, look: Look, tmp_path: Path) -> None:
    found = find_tokenizer(recipe(tmp_path, vocabulary_size=1400), [look(pairs(21_000))])
    assert not found.findings
    assert found.tokenizer
    assert found.tokenizer.source_size in (700, 350)


def test_without_text_there_is_none(tmp_path: Path) -> None:
    assert find_tokenizer(recipe(tmp_path), []).tokenizer is None


def tokenizer(pairs: list[Pair], byte_fallback: bool = True) -> Tokenizer:
    settings = TokenizerSettings(vocabulary_size=380 if byte_fallback else 120, byte_fallback=byte_fallback)
    return Tokenizer.train(settings, (source for source, _ in pairs), (target for _, target in pairs), 1)


@pytest.mark.parametrize("byte_fallback", [True, False])
def test_text_of_the_same_kind_is_covered(byte_fallback: bool, pairs: Make, look: Look) -> None:
    assert not coverage(look(pairs(200, 2)), tokenizer(pairs(300), byte_fallback))


def test_unknown_characters_are_told(pairs: Make, look: Look) -> None:
    (found,) = coverage(look([(source, "дом 家") for source, _ in pairs(200, 2)]), tokenizer(pairs(300), False))
    assert "of the target (de) tokens are unknown" in found.what
    assert "家" in found.what


def test_characters_spelt_in_bytes_are_told(pairs: Make, look: Look) -> None:
    (found,) = coverage(look([("дом", target) for _, target in pairs(200, 2)]), tokenizer(pairs(300)))
    assert "of the source (en) tokens are single bytes, such as " in found.what
    assert "д" in found.what


def test_a_tokenizer_of_bytes_alone_is_left_alone(pairs: Make, look: Look) -> None:
    settings = TokenizerSettings(algorithm="byte")
    bytes_alone = Tokenizer.train(settings, [source for source, _ in pairs(50)], [target for _, target in pairs(50)], 1)
    assert not coverage(look([("дом", "家")] * 200), bytes_alone)
