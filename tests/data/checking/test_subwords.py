"""Choice of the tokenizer for checks, and the coverage of text by a tokenizer."""

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nmt_cli.data.checking.sampling import CorpusSample, Pair
from nmt_cli.data.checking.subwords import check_coverage, find_tokenizer
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.recipe.schema import Recipe

Make = Callable[..., list[Pair]]
Sampled = Callable[..., CorpusSample]


def recipe(folder: Path, **tokenizer: Any) -> Recipe:
    pair = {"source": "a", "target": "b"}
    data = {"source_language": "en", "target_language": "de", "prepared": str(folder / "prepared")}
    data |= {"train": {"t": pair}, "valid": {"v": pair}}
    model = {"architecture": "transformer", "preset": "tiny"}
    return Recipe.model_validate({"run": "r", "data": data, "model": model, "tokenizer": tokenizer})


def test_tokenizer_is_trained_on_the_sample(pairs: Make, sampled: Sampled, tmp_path: Path) -> None:
    found = find_tokenizer(recipe(tmp_path, vocabulary_size=350), [sampled(pairs(500))], None)
    assert found.tokenizer
    assert found.tokenizer.source_size == 350
    assert "on a sample" in found.origin
    assert not list(tmp_path.iterdir())


def test_prepared_tokenizer_is_used_if_it_matches_the_recipe(pairs: Make, sampled: Sampled, tmp_path: Path) -> None:
    wanted = recipe(tmp_path, vocabulary_size=350)
    lines = [line for pair in pairs(300) for line in pair]
    Tokenizer.train(wanted.tokenizer, lines, lines, 1).save(tmp_path / "prepared" / "tokenizer")
    assert "prepared" in find_tokenizer(wanted, [sampled(pairs(500))], None).origin
    assert "sample" in find_tokenizer(recipe(tmp_path, vocabulary_size=340), [sampled(pairs(500))], None).origin


def test_vocabulary_too_large_for_the_complete_corpus_is_an_error(
    pairs: Make, sampled: Sampled, tmp_path: Path
) -> None:
    found = find_tokenizer(recipe(tmp_path, vocabulary_size=8000), [sampled(pairs(500))], None)
    (error,) = found.findings
    assert (error.level, error.where, error.is_of_recipe) == ("error", "tokenizer.vocabulary_size", True)
    assert found.tokenizer is None


def test_vocabulary_is_reduced_to_what_a_sample_allows(pairs: Make, sampled: Sampled, tmp_path: Path) -> None:
    found = find_tokenizer(recipe(tmp_path, vocabulary_size=1400), [sampled(pairs(21_000))], None)
    assert not found.findings
    assert found.tokenizer
    assert 350 < found.tokenizer.source_size < 1400


def test_vocabulary_size_that_is_not_given_follows_from_the_text(pairs: Make, sampled: Sampled, tmp_path: Path) -> None:
    found = find_tokenizer(recipe(tmp_path), [sampled(pairs(500))], None)
    assert not found.findings
    assert found.tokenizer
    assert found.tokenizer.source_size <= found.vocabulary_size
    assert found.max_length == 200


def test_no_text_gives_no_tokenizer(tmp_path: Path) -> None:
    assert find_tokenizer(recipe(tmp_path), [], None).tokenizer is None


def tokenizer(pairs: list[Pair], byte_fallback: bool = True) -> Tokenizer:
    settings = TokenizerSettings(vocabulary_size=380 if byte_fallback else 120, byte_fallback=byte_fallback)
    return Tokenizer.train(settings, (source for source, _ in pairs), (target for _, target in pairs), 1)


@pytest.mark.parametrize("byte_fallback", [True, False])
def test_similar_text_has_no_findings(byte_fallback: bool, pairs: Make, sampled: Sampled) -> None:
    assert not check_coverage(sampled(pairs(200, 2)), tokenizer(pairs(300), byte_fallback))


def test_unknown_characters_are_reported(pairs: Make, sampled: Sampled) -> None:
    (found,) = check_coverage(
        sampled([(source, "дом 家") for source, _ in pairs(200, 2)]), tokenizer(pairs(300), False)
    )
    assert re.search(r"target \(de\).*unknown", found.message)
    assert "家" in found.message


def test_byte_fallback_tokens_are_reported(pairs: Make, sampled: Sampled) -> None:
    (found,) = check_coverage(sampled([("дом", target) for _, target in pairs(200, 2)]), tokenizer(pairs(300)))
    assert re.search(r"source \(en\).*bytes", found.message)
    assert "д" in found.message
    assert "right language?" in found.advice


def test_rare_characters_of_the_same_script_do_not_cast_doubt_on_the_language(pairs: Make, sampled: Sampled) -> None:
    (found,) = check_coverage(sampled([("þþþ", target) for _, target in pairs(200, 2)]), tokenizer(pairs(300)))
    assert "þ" in found.message
    assert "right language?" not in found.advice


def test_separate_marks_are_reported_with_the_normalisation_that_composes_them(pairs: Make, sampled: Sampled) -> None:
    composed = [(source + " ọjọ́", target) for source, target in pairs(200, 2)]
    decomposed = [(unicodedata.normalize("NFD", source), target) for source, target in composed]
    assert not check_coverage(sampled(composed), tokenizer(composed))
    (found,) = check_coverage(sampled(decomposed), tokenizer(composed))
    assert "tokenizer.normalization: nfc" in found.advice


def test_tokenizer_of_a_sample_may_lack_more_characters(pairs: Make, sampled: Sampled) -> None:
    texts = [(source + " þþþþ" * (index % 5 == 0), target) for index, (source, target) in enumerate(pairs(600, 2))]
    corpus, of_part = sampled(texts), tokenizer(pairs(300))
    assert check_coverage(corpus, of_part)
    assert not check_coverage(corpus, of_part, is_of_sample=True)


def test_byte_tokenizer_has_no_findings(pairs: Make, sampled: Sampled) -> None:
    settings = TokenizerSettings(algorithm="byte")
    bytes_alone = Tokenizer.train(settings, [source for source, _ in pairs(50)], [target for _, target in pairs(50)], 1)
    assert not check_coverage(sampled([("дом", "家")] * 200), bytes_alone)
