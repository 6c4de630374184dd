"""What settings there are: the sections of the schema, and the keys of each."""

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal, get_args, get_origin

from nmt_cli.recipe.section import Section

SectionKey = tuple[str, ...]
NAME = "NAME"
"""Stands in a SectionKey for the name that a user gives a corpus or test set."""
NUMBER = "NUMBER"
"""Stands in a SectionKey for the place of a section in a list, which has a number in a Key."""


@cache
def sections(root: type[Section]) -> dict[SectionKey, tuple[type[Section], ...]]:
    """Every section below `root` in order, with its class, or its classes where a choice decides which it is."""
    found: dict[SectionKey, tuple[type[Section], ...]] = {}

    def visit(key: SectionKey, section: type[Section]) -> None:
        if section not in found.get(key, ()):
            found[key] = (*found.get(key, ()), section)
        for name, field in section.model_fields.items():
            for inner_key, inner in _sections_in(field.annotation, (*key, name)):
                visit(inner_key, inner)

    visit((), root)
    return found


def section_at(root: type[Section], key: tuple[str | int, ...]) -> tuple[type[Section], ...]:
    """The class or classes of the section at `key`, with real names and numbers; none if nothing is there."""
    for known, classes in sections(root).items():
        if len(known) == len(key) and all(map(_stands_for, known, key)):
            return classes
    return ()


def choice(classes: tuple[type[Section], ...]) -> str:
    """The key that decides which of several classes a section is, such as `architecture`."""
    first = classes[0]
    return next(
        name
        for name, field in first.model_fields.items()
        if get_origin(field.annotation) is Literal
        and all(name in other.model_fields for other in classes)
        and len({other.model_fields[name].annotation for other in classes}) == len(classes)
    )


def chosen_by(section: type[Section], key: str) -> str:
    """The value of the deciding key that chooses this class."""
    return str(get_args(section.model_fields[key].annotation)[0])


def chosen(classes: tuple[type[Section], ...], given: Any) -> type[Section] | None:
    """The class that the settings of a section choose by their deciding key; None if that has no such value."""
    decider = choice(classes)
    return next((known for known in classes if chosen_by(known, decider) == given.get(decider)), None)


def _stands_for(ours: str, theirs: str | int) -> bool:
    if isinstance(theirs, int):
        return ours == NUMBER
    return ours in (NAME, theirs)


def _sections_in(annotation: Any, key: SectionKey) -> Iterator[tuple[SectionKey, type[Section]]]:
    """The sections inside a field's type: itself, those of a union, of a dictionary by name, or of a list."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield key, annotation
        return
    mark = {dict: (NAME,), list: (NUMBER,)}.get(get_origin(annotation), ())
    for argument in get_args(annotation):
        yield from _sections_in(argument, (*key, *mark))
