"""A tokenizer of real subwords, learned once."""

import random

import pytest

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.recipe.data import TokenizerSettings


def _lines() -> list[str]:
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdeghiknorstu", k=chance.randint(2, 7))) for _ in range(60)]
    words += [word.capitalize() for word in words]
    return [
        " ".join(chance.choices(words, k=chance.randint(1, 9))) + chance.choice(["", ".", " !"]) for _ in range(200)
    ]


@pytest.fixture(scope="session", params=["nfkc", "none"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    """Each normalisation in turn; tests for which it does not matter use `plain_tokenizer`."""
    settings = TokenizerSettings.model_validate({"vocabulary_size": 340, "normalization": request.param})
    return Tokenizer.train(settings, _lines(), _lines(), seed=1)


@pytest.fixture(scope="session")
def plain_tokenizer() -> Tokenizer:
    """A joint tokenizer with NFKC and byte fallback."""
    return Tokenizer.train(TokenizerSettings.model_validate({"vocabulary_size": 340}), _lines(), _lines(), seed=1)
