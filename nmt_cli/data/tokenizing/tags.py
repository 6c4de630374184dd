"""Tags: vocabulary entries that text cannot contain, which are put before sources or between sentences."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from nmt_cli.data.tokenizing.vocabulary import Vocabulary
from nmt_cli.errors import RecipeError
from nmt_cli.recipe.data import Data
from nmt_cli.recipe.section import LENGTH_CLASSES, LENGTH_PREFIX, LengthClass

_LANGUAGE_PREFIX = "2"
SEPARATOR = "sep"
"""Separates a sentence from those before it."""


def language_tag(language: str) -> str:
    """Return the tag that asks for a translation into a language."""
    return f"{_LANGUAGE_PREFIX}{language}"


def tag_languages(tags: Iterable[str]) -> list[str]:
    """Return the languages among the names of tags."""
    return [name.removeprefix(_LANGUAGE_PREFIX) for name in tags if name.startswith(_LANGUAGE_PREFIX)]


def length_tag(length: LengthClass) -> str:
    """Return the tag that asks for a translation of this length."""
    return f"{LENGTH_PREFIX}{length}"


def tags_of(data: Data) -> list[str]:
    """Return the tags that a recipe's data needs, in the order of the recipe."""
    tags: list[str] = []
    if data.language_tags:
        tags += map(language_tag, (target for _, target in language_pairs(data)))
    if data.sequence.language_tokens:
        tags += chain.from_iterable(language_pairs(data))
    tags += [corpus.tag for corpus in data.train.values() if corpus.tag is not None]
    if data.length_tags:
        tags += map(length_tag, LENGTH_CLASSES)
    if data.context is not None:
        tags.append(SEPARATOR)
    return list(dict.fromkeys(tags))


def language_pairs(data: Data) -> list[tuple[str, str]]:
    """Return source and target language of the recipe, and of each training corpus and validation set."""
    own = data.source_language, data.target_language
    return [own, *(data.languages_of(each) for each in (*data.train.values(), *data.valid.values()))]


def prefix_tags(data: Data, languages: tuple[str, str], tag: str | None) -> list[str]:
    """Return the tags before each source of a corpus with these languages: a language tag, `tag`, and a length tag.

    The length tag is that of normal length; `preprocess` replaces it for each training pair.
    """
    language = [language_tag(languages[1])] if data.language_tags else []
    if data.sequence.language_tokens and not data.sequence.source_language_last:
        language = [languages[0]]
    return language + ([] if tag is None else [tag]) + ([length_tag("normal")] if data.length_tags else [])


@dataclass(frozen=True)
class AddedTokens:
    """Tokens that are added around each text of a corpus, besides decoder_start and the final eos."""

    before_source: list[int]
    after_source: list[int]
    before_target: list[int]

    @classmethod
    def of(cls, data: Data, languages: tuple[str, str], tag: str | None, vocabulary: Vocabulary) -> "AddedTokens":
        """Return the tokens of a corpus with these languages and this tag, given one of the vocabularies."""
        sequence, special = data.sequence, vocabulary.special_tokens
        source, target = map(vocabulary.tag_id, languages) if sequence.language_tokens else (None, None)
        bos = [special.bos] if sequence.bos else []
        prefix = bos + [vocabulary.tag_id(name) for name in prefix_tags(data, languages, tag)]
        suffix = list[int]()
        if source is not None and sequence.source_language_last:
            suffix = [special.eos, source] if sequence.source_eos else [source]
        return cls(prefix, suffix, bos if target is None else [target])


def language_tokens(data: Data, tags: Iterable[str]) -> list[str] | None:
    """Return the language tokens among the tags of a tokenizer; None if the recipe does not use language tokens."""
    others = {SEPARATOR, *(corpus.tag for corpus in data.train.values())}
    return [tag for tag in tags if tag not in others] if data.sequence.language_tokens else None


@dataclass(frozen=True)
class SourceTags:
    """The tags and other tokens that a model expects around its sources and before its translations."""

    tag_ids: Mapping[str, int]
    """Ids of all tags of the source vocabulary, by name."""
    language: str = ""
    """Target language of lines that do not name one."""
    tag: str | None = None
    length: LengthClass | None = None
    """Given if the model has length tags."""
    source_language: str | None = None
    """Given if the model has language tokens: one of the source language in sources, and one of the target language at
    the beginning of translations."""
    is_language_last: bool = False
    """Whether the token of the source language follows eos instead of preceding the source."""
    source_start: tuple[int, ...] = ()
    """Source tokens before the tags."""
    prompt_start: tuple[int, ...] = ()
    """Target tokens before the language token and the translation. An empty prompt means decoder_start."""

    def with_languages(self, languages: Sequence[str], source: str, target: str) -> "SourceTags":
        """Return the tags for two languages of a model; RecipeError if the model does not have one of them."""
        for option, language in (("--source-language", source), ("--target-language", target)):
            if language not in languages:
                raise RecipeError(f"{option} {language}: this model has the languages {', '.join(languages)}")
        return replace(self, language=target, source_language=source)

    @classmethod
    def from_options(
        cls, tag_ids: Mapping[str, int], model_language: str, language: str | None, tag: str | None
    ) -> "SourceTags":
        """Return the tags that `--target-language` and `--corpus-tag` select.

        Args:
            model_language: Default target language. It is the only one if the model has no language tags.

        Raises:
            RecipeError: The model does not know the language or the tag.
        """
        languages = tag_languages(tag_ids) or [model_language]
        if language is not None and language not in languages:
            raise RecipeError(f"--target-language {language}: this model translates into {', '.join(languages)}")
        if (language or model_language) not in languages:
            raise RecipeError(f"--target-language: is needed; this model translates into {', '.join(languages)}")
        reserved = (_LANGUAGE_PREFIX, LENGTH_PREFIX)
        others = [name for name in tag_ids if not name.startswith(reserved) and name != SEPARATOR]
        if tag is not None and tag not in others:
            has = f"has the tags {', '.join(others)}" if others else "has no tags"
            raise RecipeError(f"--corpus-tag {tag}: this model {has}")
        return cls(tag_ids, language or model_language, tag)

    def ids(self, language: str | None = None) -> tuple[int, ...]:
        """Return the tag ids before a source. `language` defaults to the target language of the options."""
        names: tuple[str | None, ...] = (language_tag(language or self.language), self.tag)
        if self.length is not None:
            names = (*names, length_tag(self.length))
        if self.source_language is not None:
            names = () if self.is_language_last else (self.source_language,)
        return self.source_start + tuple(
            self.tag_ids[name] for name in names if name is not None and name in self.tag_ids
        )

    @property
    def suffix(self) -> tuple[int, ...]:
        """The source tokens after eos."""
        is_last = self.source_language is not None and self.is_language_last
        return (self.tag_ids[str(self.source_language)],) if is_last else ()

    def prompt(self, language: str | None = None) -> tuple[int, ...]:
        """Return the target tokens before translations into a language; empty for decoder_start."""
        if self.source_language is None:
            return self.prompt_start
        name = language or self.language
        if name not in self.tag_ids:
            raise RecipeError(f"target language {name}: this model has the languages {', '.join(self.tag_ids)}")
        return (*self.prompt_start, self.tag_ids[name])


NO_TAGS = SourceTags({})
