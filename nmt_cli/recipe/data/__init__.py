"""The sections `data` and `tokenizer`."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

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
from nmt_cli.recipe.data.filters import DEFAULT_FILTERS, Filter, ScoreFilter
from nmt_cli.recipe.data.tokenizer import TokenizerSettings
from nmt_cli.recipe.section import RESERVED_TOKEN, Count, CrossFieldError, File, Language, Name, Section

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

    @model_validator(mode="after")
    def check_languages(self) -> Self:
        for key, each in self._corpora():
            if each.target_language not in (None, self.target_language) and not self.language_tags:
                other = f"{each.target_language} is not data.target_language, {self.target_language}"
                raise CrossFieldError(
                    (*key, "target_language"), f"{other}; a model of several needs data.language_tags: true"
                )
        return self

    @model_validator(mode="after")
    def check_tags(self) -> Self:
        taken = self.own_tags
        for name, corpus in self.train.items():
            tag = corpus.tag or ""
            if tag in taken or RESERVED_TOKEN.fullmatch(f"<{tag}>"):
                is_taken = f"is the tag {taken[tag]}" if tag in taken else "is reserved by the tokenizer"
                raise CrossFieldError(("train", name, "tag"), f"{tag} {is_taken}; use another name")
        return self

    @model_validator(mode="after")
    def check_factors(self) -> Self:
        for number, factor in enumerate(self.factors):
            if factor in self.factors[:number]:
                raise CrossFieldError(("factors", number), f"{factor} is in the list twice")
        if self.factors and self.context is not None:
            raise CrossFieldError(("context",), "does not go with data.factors")
        for key, each in self._corpora():
            given = {} if isinstance(each, TmxCorpus) else each.factors
            for factor in given:
                if factor not in self.factors:
                    raise CrossFieldError((*key, "factors", factor), "is not in the list data.factors; add it there")
            for factor in self.factors:
                if isinstance(each, TmxCorpus):
                    raise CrossFieldError((*key, "format"), f"tmx has no factors, but data.factors wants {factor}")
                if factor not in given:
                    raise CrossFieldError(
                        (*key, "factors"), f"{factor} is missing, which data.factors wants of every corpus"
                    )
        return self

    @model_validator(mode="after")
    def check_context(self) -> Self:
        if self.context is not None:
            for name, corpus in self.train.items():
                if getattr(corpus, "alignment", None) is not None:
                    raise CrossFieldError(("train", name, "alignment"), "does not go with data.context")
        return self

    @model_validator(mode="after")
    def check_scores(self) -> Self:
        has_scores = any(getattr(corpus, "score", None) is not None for corpus in self.train.values())
        for number, each in enumerate(self.filters):
            if isinstance(each, ScoreFilter) and each.command is None and not has_scores:
                raise CrossFieldError(("filters", number, "command"), "is missing: no data.train corpus has scores")
        return self

    @property
    def own_tags(self) -> dict[str, str]:
        """Tags besides those that are given to corpora, each with what it is the tag of."""
        languages = [self.target_language, *(each.target_language for _, each in self._corpora())]
        tags = {f"2{each}": "of a language" for each in languages if each is not None} if self.language_tags else {}
        return tags | ({"sep": "between the sentences of a context"} if self.context is not None else {})

    def _corpora(self) -> Iterator[tuple[tuple[str, str], AnyCorpus | TestSet]]:
        """Corpora and test sets, each with where it stands."""
        for kind, sets in (("train", self.train), ("valid", self.valid), ("test", self.test)):
            for name, each in sets.items():
                yield (kind, name), each
