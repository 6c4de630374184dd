"""Tags: vocabulary entries that text cannot contain, put before sources or between sentences."""

from collections.abc import Mapping
from dataclasses import dataclass

from nmt_cli.errors import RecipeError
from nmt_cli.recipe.data import Data

_LANGUAGE_PREFIX = "2"
SEPARATOR = "sep"
"""Separates a sentence from those before it."""


def language_tag(language: str) -> str:
    """Return the tag that asks for a translation into a language."""
    return f"{_LANGUAGE_PREFIX}{language}"


def tags_of(data: Data) -> list[str]:
    """Return the tags that a recipe's data needs, in the order of the recipe."""
    tags: list[str] = []
    if data.language_tags:
        corpora = [*data.train.values(), *data.valid.values()]
        languages = [data.target_language, *(each.target_language or data.target_language for each in corpora)]
        tags += map(language_tag, languages)
    tags += [corpus.tag for corpus in data.train.values() if corpus.tag is not None]
    if data.context is not None:
        tags.append(SEPARATOR)
    return list(dict.fromkeys(tags))


def prefix_tags(data: Data, target_language: str | None, tag: str | None) -> list[str]:
    """Return the tags before each source of a corpus, or of lines to translate; that of the language is first."""
    language = [language_tag(target_language or data.target_language)] if data.language_tags else []
    return language + ([] if tag is None else [tag])


@dataclass(frozen=True)
class SourceTags:
    """The tags that a model expects before its sources."""

    known: Mapping[str, int]
    """Ids of all tags of the source vocabulary."""
    language: str = ""
    """Target language of lines that do not name one."""
    tag: str | None = None

    @classmethod
    def chosen(cls, known: Mapping[str, int], own: str, language: str | None, tag: str | None) -> "SourceTags":
        """Return the tags for the options of a user.

        Args:
            own: Target language of the model if it has no language tags, and the default if it has.

        Raises:
            RecipeError: The model does not know the language or the tag.
        """
        known_languages = [name.removeprefix(_LANGUAGE_PREFIX) for name in known if name.startswith(_LANGUAGE_PREFIX)]
        languages = known_languages or [own]
        if language is not None and language not in languages:
            raise RecipeError(f"--target-language {language}: this model translates into {', '.join(languages)}")
        others = [name for name in known if not name.startswith(_LANGUAGE_PREFIX) and name != SEPARATOR]
        if tag is not None and tag not in others:
            has = f"has the tags {', '.join(others)}" if others else "has no tags"
            raise RecipeError(f"--corpus-tag {tag}: this model {has}")
        return cls(known, language or own, tag)

    def ids(self, language: str | None = None) -> tuple[int, ...]:
        """Return the ids before a source that is translated into a language; default: the chosen one."""
        names = (language_tag(language or self.language), self.tag)
        return tuple(self.known[name] for name in names if name is not None and name in self.known)


NO_TAGS = SourceTags({})
