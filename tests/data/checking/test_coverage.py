"""Characters that a tokenizer does not know are found, with examples."""

from collections.abc import Callable

import pytest

from nmt_cli.data.checking.coverage import coverage
from nmt_cli.data.checking.sampling import Pair, Sample
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.recipe.data import TokenizerSettings

Make = Callable[..., list[Pair]]
Look = Callable[..., Sample]


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
