"""The sections of a corpus: files, format, and how it is used in training."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, TypeAdapter, WrapValidator

from nmt_cli.recipe.section import Conflicts, Count, File, Language, Name, Positive, Section, default_discriminator

_COLUMN_NAME: TypeAdapter[str] = TypeAdapter(Annotated[str, Field(min_length=1)])
_COLUMN_NUMBER: TypeAdapter[int] = TypeAdapter(Count)


def _column(value: Any, _validate_both: Any) -> Any:
    # A union would report two errors, one of them that a name is not a number.
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return (_COLUMN_NUMBER if is_number else _COLUMN_NAME).validate_python(value, strict=True)


Column = Annotated[Count | Annotated[str, Field(min_length=1)], WrapValidator(_column)]
"""A column of a table: its 1-based number, or its name in the first line."""

FieldName = Annotated[str, Field(min_length=1)]
"""A field of a JSON object; a dot leads into a nested object, as in `translation.en`."""


class _CorpusSection(Section):
    """Keys of a corpus in any format."""

    source_language: Language | None = None
    """Source language of this corpus, if it differs from `data.source_language`."""
    target_language: Language | None = None
    """Target language of this corpus, if it differs from `data.target_language`."""

    @property
    def files(self) -> dict[str, Path]:
        """Files that are read in lockstep, by key."""
        raise NotImplementedError


class LinesCorpus(_CorpusSection):
    """Two files; line n of one is the translation of line n of the other. Plain text, or gzip, bzip2, xz or zstd."""

    format: Literal["lines"] = "lines"
    """Format of the corpus."""
    source: File
    """Lines in the source language."""
    target: File
    """Their translations."""
    factors: dict[Name, File] = {}
    """By name, a file whose line n has a factor of each word of source n; see `data.factors`."""

    @property
    def files(self) -> dict[str, Path]:
        """Files that are read in lockstep, by key."""
        return {"source": self.source, "target": self.target} | {f"factors.{k}": p for k, p in self.factors.items()}


class TsvCorpus(_CorpusSection):
    """A tab-separated table, one pair per line. If a column is given by name, the first line contains the names."""

    format: Literal["tsv"] = "tsv"
    """Format of the corpus."""
    file: File
    """The table; plain text, or gzip, bzip2, xz or zstd."""
    source: Column = 1
    """Column of the source."""
    target: Column = 2
    """Column of the translation."""
    factors: dict[Name, Column] = {}
    """By name, the column of a factor of each word of the source; see `data.factors`."""

    @property
    def files(self) -> dict[str, Path]:
        """Files that are read, by key."""
        return {"file": self.file}

    def conflicts(self) -> Conflicts:
        if self.source == self.target and self.gives("target"):
            yield "target", f"{self.target} is also the column of the source"
        elif self.source == self.target:
            yield "source", f"{self.source} is the default column of the target; give target, too"


class JsonlCorpus(_CorpusSection):
    """JSON Lines: an object on each line."""

    format: Literal["jsonl"] = "jsonl"
    """Format of the corpus."""
    file: File
    """The objects; plain text, or gzip, bzip2, xz or zstd."""
    source: FieldName = "source"
    """Field of the source; `translation.en` is the field `en` of the object `translation`."""
    target: FieldName = "target"
    """Field of the translation."""
    factors: dict[Name, FieldName] = {}
    """By name, the field of a factor of each word of the source; see `data.factors`."""

    @property
    def files(self) -> dict[str, Path]:
        """Files that are read, by key."""
        return {"file": self.file}

    def conflicts(self) -> Conflicts:
        if self.source == self.target and self.gives("target"):
            yield "target", f"{self.target} is also the field of the source"
        elif self.source == self.target:
            yield "source", f"{self.source} is the default field of the target; give target, too"


class TmxCorpus(_CorpusSection):
    """A translation memory (TMX). Each unit with both languages is a pair."""

    format: Literal["tmx"] = "tmx"
    """Format of the corpus."""
    file: File
    """The translation memory; plain, or gzip, bzip2, xz or zstd."""

    @property
    def files(self) -> dict[str, Path]:
        """Files that are read, by key."""
        return {"file": self.file}


class TextCorpus(_CorpusSection):
    """Text without translations, for a language model: plain, or gzip, bzip2, xz or zstd."""

    format: Literal["text"]
    """Format of the corpus."""
    file: File
    """The text."""
    separator: Literal["blank_line", "newline", "none"] = "blank_line"
    """What separates documents, which keep their other line breaks; none: the file is one document."""
    field: FieldName | None = None
    """Read JSON Lines instead, of which each object has a document in this field."""

    @property
    def files(self) -> dict[str, Path]:
        """Files that are read, by key."""
        return {"file": self.file}

    def conflicts(self) -> Conflicts:
        if self.field is not None and self.gives("separator"):
            yield "separator", "has no effect on JSON Lines; remove it, or field"


class _TrainingKeys(Section):
    """Keys of a training corpus in any format."""

    weight: Positive = 1.0
    """How often each pair occurs per epoch: 2 is twice; 0.5 is every second pair, and the others in the next epoch."""
    tag: Name | None = None
    """Tag before each source of this corpus, such as `bt` for back-translations; a token that no text can contain."""


class LearnedLines(_TrainingKeys, LinesCorpus):
    """Two files; line n of one is the translation of line n of the other. Plain text, or gzip, bzip2, xz or zstd."""

    alignment: File | None = None
    """File with word alignments: line n links words of pair n by 0-based index, source first, such as `0-0 1-2`."""
    score: File | None = None
    """File with a quality score of pair n on line n, for the filter `score`."""

    @property
    def files(self) -> dict[str, Path]:
        """Files that are read in lockstep, by key."""
        more = {"alignment": self.alignment, "score": self.score}
        return super().files | {key: path for key, path in more.items() if path is not None}


class LearnedTsv(_TrainingKeys, TsvCorpus):
    """A tab-separated table, one pair per line. If a column is given by name, the first line contains the names."""

    alignment: Column | None = None
    """Column of the word alignments, such as `0-0 1-2`."""
    score: Column | None = None
    """Column of a quality score, for the filter `score`."""


class LearnedJsonl(_TrainingKeys, JsonlCorpus):
    """JSON Lines: an object on each line."""

    alignment: FieldName | None = None
    """Field of the word alignments, such as `0-0 1-2`."""
    score: FieldName | None = None
    """Field of a quality score, for the filter `score`."""


class LearnedTmx(_TrainingKeys, TmxCorpus):
    """A translation memory (TMX). Each unit with both languages is a pair."""


class LearnedText(_TrainingKeys, TextCorpus):
    """Text without translations, for a language model: plain, or gzip, bzip2, xz or zstd."""


AnyCorpus = LinesCorpus | TsvCorpus | JsonlCorpus | TmxCorpus | TextCorpus
"""The class of any corpus, including training corpora."""
Corpus = Annotated[AnyCorpus, Field(discriminator="format"), default_discriminator("format", "lines")]
TrainingCorpus = Annotated[
    LearnedLines | LearnedTsv | LearnedJsonl | LearnedTmx | LearnedText,
    Field(discriminator="format"),
    default_discriminator("format", "lines"),
]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class TestSet(Section):
    """A test set with one or more reference translations."""

    source: File
    """Lines in the source language."""
    target: Annotated[list[File], Field(min_length=1), BeforeValidator(_as_list)]
    """File with the reference translations, or a list of such files."""
    tags: File | None = None
    """File with the category of line n on line n, such as its domain; each category is also scored on its own."""
    source_language: Language | None = None
    """Source language of this set, if it differs from `data.source_language`."""
    target_language: Language | None = None
    """Target language of this set, if it differs from `data.target_language`."""
    factors: dict[Name, File] = {}
    """By name, a file whose line n has a factor of each word of source n; see `data.factors`."""
