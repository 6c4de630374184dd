"""Tags: vocabulary entries that no text can write, put before sources or between sentences."""

from nmt_cli.recipe.data import Data

SEPARATOR = "sep"
"""Stands between a sentence and those before it."""


def language_tag(language: str) -> str:
    """The tag that asks for a translation into a language."""
    return f"2{language}"


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
