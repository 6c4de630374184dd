"""What is said of a corpus: where it lies, in which format, and how it is learned from."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, Tag, TypeAdapter, WrapValidator, model_validator

from nmt_cli.recipe.section import Count, File, Language, Name, Positive, Section, discriminator

_NAMED: TypeAdapter[str] = TypeAdapter(Annotated[str, Field(min_length=1)])
_NUMBERED: TypeAdapter[int] = TypeAdapter(Count)


def _column(value: Any, _validate_both: Any) -> Any:
    # A union would tell two mistakes, of which one is that a name is not a number.
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return (_NUMBERED if is_number else _NAMED).validate_python(value, strict=True)


Column = Annotated[Count | Annotated[str, Field(min_length=1)], WrapValidator(_column)]
"""Of a table: its number, counted from 1, or its name in the first line."""

FieldName = Annotated[str, Field(min_length=1)]
"""Of a JSON object; a dot leads into an object inside it, as in `translation.en`."""


class _Pairs(Section):
    """What may be said of pairs in any format."""

    source_language: Language | None = None
    """Of this corpus, where it is another than `data.source_language`."""
    target_language: Language | None = None
    """Of this corpus, where it is another than `data.target_language`."""

    @property
    def files(self) -> dict[str, Path]:
        """What is read in step, by key."""
        raise AssertionError("each format says what it reads")


class LinesCorpus(_Pairs):
    """Two files, line n of one being the translation of line n of the other; plain or packed (gzip, zstd, xz)."""

    format: Literal["lines"] = "lines"
    """How the corpus is written."""
    source: File
    """Lines in the source language."""
    target: File
    """Their translations."""
    factors: dict[Name, File] = {}
    """Line n says a factor of each word of source n, such as its part of speech; see `data.factors`."""

    @property
    def files(self) -> dict[str, Path]:
        """What is read in step, by key."""
        return {"source": self.source, "target": self.target} | {f"factors.{k}": p for k, p in self.factors.items()}


class TsvCorpus(_Pairs):
    """A table, a pair on each line, columns parted by tabs. If a column is named, the first line holds names."""

    format: Literal["tsv"] = "tsv"
    """How the corpus is written."""
    file: File
    """The table; plain or packed."""
    source: Column = 1
    """Column of the source."""
    target: Column = 2
    """Column of the translation."""
    factors: dict[Name, Column] = {}
    """Columns that say a factor of each word of the source; see `data.factors`."""

    @property
    def files(self) -> dict[str, Path]:
        """What is read, by key."""
        return {"file": self.file}

    @model_validator(mode="after")
    def check_columns(self) -> Self:
        if self.source == self.target:
            raise ValueError(f"target: {self.target} is the column of the source, too")
        return self


class JsonlCorpus(_Pairs):
    """A JSON object on each line."""

    format: Literal["jsonl"] = "jsonl"
    """How the corpus is written."""
    file: File
    """The objects; plain or packed."""
    source: FieldName = "source"
    """Field of the source; `translation.en` is the field `en` of the object `translation`."""
    target: FieldName = "target"
    """Field of the translation."""
    factors: dict[Name, FieldName] = {}
    """Fields that say a factor of each word of the source; see `data.factors`."""

    @property
    def files(self) -> dict[str, Path]:
        """What is read, by key."""
        return {"file": self.file}

    @model_validator(mode="after")
    def check_fields(self) -> Self:
        if self.source == self.target:
            raise ValueError(f"target: {self.target} is the field of the source, too")
        return self


class TmxCorpus(_Pairs):
    """A translation memory: each unit that has both languages is a pair."""

    format: Literal["tmx"] = "tmx"
    """How the corpus is written."""
    file: File
    """The memory; plain or packed."""

    @property
    def files(self) -> dict[str, Path]:
        """What is read, by key."""
        return {"file": self.file}


class _Learned(Section):
    """What is said of corpora to learn from, in any format."""

    weight: Positive = 1.0
    """How often each pair comes in an epoch: 2 is twice; 0.5 is every second one, the others in the next epoch."""
    tag: Name | None = None
    """Put before each source of this corpus, such as `bt` for back-translations; no text can write it."""


class LearnedLines(_Learned, LinesCorpus):
    """Two files, line n of one being the translation of line n of the other; plain or packed (gzip, zstd, xz)."""

    alignment: File | None = None
    """Line n links the words of pair n, such as `0-0 1-2`: source word, target word, as they stand between spaces."""
    score: File | None = None
    """Line n is a number that says how good pair n is, for the filter `score`."""

    @property
    def files(self) -> dict[str, Path]:
        """What is read in step, by key."""
        more = {"alignment": self.alignment, "score": self.score}
        return super().files | {key: path for key, path in more.items() if path is not None}


class LearnedTsv(_Learned, TsvCorpus):
    """A table, a pair on each line, columns parted by tabs. If a column is named, the first line holds names."""

    alignment: Column | None = None
    """Column that links the words, such as `0-0 1-2`."""
    score: Column | None = None
    """Column of a number that says how good a pair is, for the filter `score`."""


class LearnedJsonl(_Learned, JsonlCorpus):
    """A JSON object on each line."""

    alignment: FieldName | None = None
    """Field that links the words, such as `0-0 1-2`."""
    score: FieldName | None = None
    """Field of a number that says how good a pair is, for the filter `score`."""


class LearnedTmx(_Learned, TmxCorpus):
    """A translation memory: each unit that has both languages is a pair."""


Corpus = Annotated[
    Annotated[LinesCorpus, Tag("lines")]
    | Annotated[TsvCorpus, Tag("tsv")]
    | Annotated[JsonlCorpus, Tag("jsonl")]
    | Annotated[TmxCorpus, Tag("tmx")],
    discriminator("format", "lines"),
]
TrainingCorpus = Annotated[
    Annotated[LearnedLines, Tag("lines")]
    | Annotated[LearnedTsv, Tag("tsv")]
    | Annotated[LearnedJsonl, Tag("jsonl")]
    | Annotated[LearnedTmx, Tag("tmx")],
    discriminator("format", "lines"),
]
AnyCorpus = LinesCorpus | TsvCorpus | JsonlCorpus | TmxCorpus
"""The class of any corpus, those to learn from included."""


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class TestSet(Section):
    """Lines to translate, and one or more reference translations of each."""

    source: File
    """Lines in the source language."""
    target: Annotated[list[File], Field(min_length=1), BeforeValidator(_as_list)]
    """The reference file, or a list of them."""
    tags: File | None = None
    """Line n says of what kind line n is, such as its domain; every kind is scored on its own, too."""
    source_language: Language | None = None
    """Of this set, where it is another than `data.source_language`."""
    target_language: Language | None = None
    """Of this set, where it is another than `data.target_language`."""
    factors: dict[Name, File] = {}
    """Line n says a factor of each word of source n; see `data.factors`."""
