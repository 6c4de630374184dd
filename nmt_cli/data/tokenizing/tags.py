"""Tags: vocabulary entries that no text can write, put before sources or between sentences."""

from collections.abc import Mapping
from dataclasses import dataclass

from nmt_cli.errors import RecipeError
from nmt_cli.recipe.data import Data

_LANGUAGE = "2"
SEPARATOR = "sep"
"""Stands between a sentence and those before it."""


def language_tag(language: str) -> str:
    """The tag that asks for a translation into a language."""
    return f"{_LANGUAGE}{language}"


def tags_of(data: Data) -> list[str]:
    """The tags that a recipe's data needs, in an order that follows from the recipe."""
    tags: list[str] = []
    if data.language_tags:
        corpora = [*data.train.values(), *data.valid.values()]
        spoken = [data.target_language, *(each.target_language or data.target_language for each in corpora)]
        tags += map(language_tag, spoken)
    tags += [corpus.tag for corpus in data.train.values() if corpus.tag is not None]
    if data.context is not None:
        tags.append(SEPARATOR)
    return list(dict.fromkeys(tags))


def tags_before(data: Data, target_language: str | None, tag: str | None) -> list[str]:
    """The tags before each source of a corpus, or of lines to translate: that of the language first."""
    language = [language_tag(target_language or data.target_language)] if data.language_tags else []
    return language + ([] if tag is None else [tag])


@dataclass(frozen=True)
class SourceTags:
    """The tags that a model was taught to find before its sources, and which it finds if no others are asked for."""

    known: Mapping[str, int]
    """All tags of the source vocabulary, and their ids."""
    language: str = ""
    tag: str | None = None

    @classmethod
    def chosen(cls, known: Mapping[str, int], own: str, language: str | None, tag: str | None) -> "SourceTags":
        """What a user asks for, of a model that translates into `own`; RecipeError if the model knows nothing of it."""
        languages = [name.removeprefix(_LANGUAGE) for name in known if name.startswith(_LANGUAGE)] or [own]
        if language is not None and language not in languages:
            raise RecipeError(f"--target-language {language}: this model translates into {', '.join(languages)}")
        others = [name for name in known if not name.startswith(_LANGUAGE) and name != SEPARATOR]
        if tag is not None and tag not in others:
            has = f"whose tags are {', '.join(others)}" if others else "which has none"
            raise RecipeError(f"--tag {tag}: was no tag in the training of this model, {has}")
        return cls(known, language or own, tag)

    def ids(self, language: str | None = None) -> tuple[int, ...]:
        """The ids before a source that is to be translated into a language; None: into the one that was chosen."""
        names = (language_tag(language or self.language), self.tag)
        return tuple(self.known[name] for name in names if name is not None and name in self.known)


NO_TAGS = SourceTags({})
