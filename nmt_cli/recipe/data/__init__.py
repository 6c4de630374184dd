"""The sections `data` and `tokenizer`."""

from typing import Annotated, Literal

from pydantic import Field

from nmt_cli.recipe.data.corpora import (
    AnyCorpus,
    Corpus,
    JsonlCorpus,
    LearnedJsonl,
    LearnedLines,
    LearnedTmx,
    LearnedTsv,
    LinesCorpus,
    TestSet,
    TmxCorpus,
    TrainingCorpus,
    TsvCorpus,
)
from nmt_cli.recipe.data.filters import DEFAULT_FILTERS, Filter
from nmt_cli.recipe.data.tokenizer import TokenizerSettings
from nmt_cli.recipe.section import Count, File, Language, Name, Section

__all__ = [
    "AnyCorpus",
    "Context",
    "Corpus",
    "Data",
    "Filter",
    "JsonlCorpus",
    "LearnedJsonl",
    "LearnedLines",
    "LearnedTmx",
    "LearnedTsv",
    "LinesCorpus",
    "TestSet",
    "TmxCorpus",
    "TokenizerSettings",
    "TrainingCorpus",
    "TsvCorpus",
]


class Context(Section):
    """Sentences before each one, joined to it by a token that no text can write; a blank pair ends a document."""

    sentences: Count = 1
    """How many, of the same document."""
    target: bool = True
    """Join those of the target, too; then only what is said after the last such token is the translation."""


class Data(Section):
    """The text, and where what is made from it goes."""

    source_language: Language
    """Code of the language to translate from, such as `en`."""
    target_language: Language
    """Code of the language to translate into, such as `de`."""
    prepared: File
    """Folder that `nmt preprocess` fills with tokenizer, token arrays and normalised text."""
    train: Annotated[dict[Name, TrainingCorpus], Field(min_length=1)]
    """Corpora to learn from, by name."""
    valid: Annotated[dict[Name, Corpus], Field(min_length=1)]
    """Corpora that choose the best checkpoint, by name; the first one decides, the others are reported."""
    test: dict[Name, TestSet] = {}
    """Sets that `nmt evaluate` scores, by name."""
    on_error: Literal["stop", "skip"] = "stop"
    """What to do where text is not UTF-8, or a line is no record of its format: stop, or drop the pair and count it."""
    filters: list[Filter] = DEFAULT_FILTERS
    """What is left out of the training corpora, in this order; pairs with an empty side always are."""
    max_length: Count = 200
    """Longest sentence to train on, in subwords of either side; longer pairs are dropped and counted."""
    language_tags: bool = False
    """Put a tag of the target language before each source, so that one model learns several."""
    factors: list[Name] = []
    """Features of each source word, such as its part of speech, that every corpus gives; learned with the words."""
    context: Context | None = None
