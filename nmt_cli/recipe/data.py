"""The sections `data` and `tokenizer`."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from nmt_cli.recipe.section import Count, File, Language, Name, Section


class Corpus(Section):
    """Two files, line n of one being the translation of line n of the other; plain text or gzip."""

    source: File
    """Lines in the source language."""
    target: File
    """Their translations."""

    @property
    def files(self) -> dict[str, Path]:
        """What is read in step, by key."""
        return {"source": self.source, "target": self.target}


class TrainingCorpus(Corpus):
    """Two files, line n of one being the translation of line n of the other; plain text or gzip."""

    alignment: File | None = None
    """Line n links the words of pair n, such as `0-0 1-2`: source word, target word, as they stand between spaces."""

    @property
    def files(self) -> dict[str, Path]:
        """What is read in step, by key."""
        return super().files | ({} if self.alignment is None else {"alignment": self.alignment})


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
    max_length: Count = 200
    """Longest sentence to train on, in subwords of either side; longer pairs are dropped and counted."""


class TokenizerSettings(Section):
    """How text becomes subwords."""

    take_from: File | None = None
    """Run, checkpoint, model or tokenizer folder whose tokenizer is used as it is; the keys below then say nothing."""
    normalization: Literal["nfkc", "none"] = "nfkc"
    """What is done to text first: Unicode NFKC and single spaces, or nothing."""
    algorithm: Literal["unigram", "bpe"] = "unigram"
    """How SentencePiece finds subwords."""
    vocabulary_size: Annotated[int, Field(ge=8, le=1_000_000)] = 8000
    """Subwords, the special tokens included; of each side, or of both together if joint."""
    joint: bool = True
    """One vocabulary for both languages."""
    byte_fallback: bool = True
    """Spell characters never seen in training as bytes, so that nothing is unknown."""
