"""Look up the sections of the recipe schema, and the classes that validate each section."""

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal, get_args, get_origin

from nmt_cli.recipe.section import Section

SectionKey = tuple[str, ...]
NAME = "NAME"
"""Placeholder in a SectionKey for a name chosen by the user, such as that of a corpus."""
INDEX = "NUMBER"
"""Placeholder in a SectionKey for the index of a section in a list."""


@cache
def sections(root: type[Section]) -> dict[SectionKey, tuple[type[Section], ...]]:
    """Return the classes of `root` and of every section below it, in schema order.

    A section has several classes if the value of its discriminator key selects one.
    """
    found: dict[SectionKey, tuple[type[Section], ...]] = {}

    def visit(key: SectionKey, section: type[Section]) -> None:
        if section not in found.get(key, ()):
            found[key] = (*found.get(key, ()), section)
        for name, field in section.model_fields.items():
            for inner_key, inner in _sections_in(field.annotation, (*key, name)):
                visit(inner_key, inner)

    visit((), root)
    return found


def section_classes(root: type[Section], key: tuple[str | int, ...]) -> tuple[type[Section], ...]:
    """Return the classes of the section at a key such as ("data", "train", "news"); empty if it is not a section."""
    for pattern, classes in sections(root).items():
        if len(pattern) == len(key) and all(map(_matches, pattern, key)):
            return classes
    return ()


def discriminator_key(classes: tuple[type[Section], ...]) -> str:
    """Return the key whose value selects the class, such as `architecture`."""
    annotations = {name: field.annotation for name, field in classes[0].model_fields.items()}
    return next(name for name, each in annotations.items() if get_origin(each) is Literal and len(get_args(each)) == 1)


def discriminator_value(section: type[Section], key: str) -> str:
    """Return the value of the discriminator `key` that selects this class."""
    return str(get_args(section.model_fields[key].annotation)[0])


def selected_class(classes: tuple[type[Section], ...], settings: Any) -> type[Section] | None:
    """Return the class that the settings of a section select; None if the discriminator is missing or unknown."""
    key = discriminator_key(classes)
    return next((each for each in classes if discriminator_value(each, key) == settings.get(key)), None)


def _matches(pattern: str, part: str | int) -> bool:
    return pattern == INDEX if isinstance(part, int) else pattern in (NAME, part)


def _sections_in(annotation: Any, key: SectionKey) -> Iterator[tuple[SectionKey, type[Section]]]:
    """Yield the sections in the type of a field: the type itself, or members of a union, dictionary or list in it."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield key, annotation
        return
    placeholder = {dict: (NAME,), list: (INDEX,)}.get(get_origin(annotation), ())
    for argument in get_args(annotation):
        yield from _sections_in(argument, (*key, *placeholder))
