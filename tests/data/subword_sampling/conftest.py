"""Text whose words have many segmentations, and two small tokenizers trained on it."""

import random
from collections.abc import Callable

import pytest

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.recipe.data import TokenizerSettings

SYLLABLES = ["ba", "di", "gu", "fra", "klo", "men", "sta", "tur"]


def _text(seed: int, count: int) -> list[str]:
    generator = random.Random(seed)
    words = ["".join(generator.choices(SYLLABLES, k=generator.randint(1, 4))) for _ in range(100)]
    return [" ".join(generator.choices(words, k=generator.randint(1, 9))) for _ in range(count)]


@pytest.fixture(scope="session")
def text() -> Callable[[int, int], list[str]]:
    """Sentences with words of syllables, by seed and number."""
    return _text


def _learned(algorithm: str) -> Tokenizer:
    settings = TokenizerSettings.model_validate({"algorithm": algorithm, "vocabulary_size": 400})
    return Tokenizer.train(settings, _text(0, 200), _text(1, 200), seed=1)


@pytest.fixture(scope="session")
def unigram() -> Tokenizer:
    """Of the unigram model, with bytes."""
    return _learned("unigram")


@pytest.fixture(scope="session")
def bpe() -> Tokenizer:
    """Of byte-pair encoding, with bytes."""
    return _learned("bpe")
