"""Tokenizers of the exported models, learned once."""

import pytest
from exported_models import new_tokenizer
from foreign_models import LINES

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.recipe.data import TokenizerSettings


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """A joint tokenizer without bytes."""
    return new_tokenizer()


@pytest.fixture(scope="session")
def document_tokenizer() -> Tokenizer:
    """A tokenizer of documents, whose line breaks are bytes."""
    return Tokenizer.train(TokenizerSettings(vocabulary_size=350), [], LINES, seed=1)
