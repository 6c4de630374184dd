"""A recipe's file, and settings of the command line, in; a checked recipe out, and back to YAML."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from nmt_cli.errors import RecipeError
from nmt_cli.recipe.decoding import AfterTraining
from nmt_cli.recipe.loading.errors import key_of, mistakes
from nmt_cli.recipe.loading.parsing import Document, Key, Mistake, Place, dotted, inside, parse, read_document, scalar
from nmt_cli.recipe.loading.schema_walk import choice, chosen, section_at
from nmt_cli.recipe.schema import Recipe
from nmt_cli.recipe.section import Section

_Root = TypeVar("_Root", bound=Section)

_MOST_SHOWN = 50
_TEXT_WOULD_DO = {"string_type", "path_type", "literal_error", "list_type"}


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe, as given or as resolved; `overrides` are `key=value` with dotted keys and values in YAML.

    RecipeError names every mistake, one on a line, as `file:line:column: key: what is wrong`.
    """
    return _checked(Recipe, read_document(path), overrides)


def override(settings: AfterTraining, overrides: Sequence[str]) -> AfterTraining:
    """The same settings, but for `overrides` such as `decoding.beam_size=1`."""
    place = Place(" ".join(f"--set {option}" for option in overrides))
    return _checked(AfterTraining, Document(settings.model_dump(mode="json"), {(): place}), overrides)


def resolved_yaml(recipe: Recipe) -> str:
    """The recipe with every default filled in; loading it gives an equal recipe, whatever the defaults are then."""
    settings = recipe.model_dump(mode="json")
    return yaml.dump(settings, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


class _Dumper(yaml.SafeDumper):
    """Writes what YAML takes for a line break, though it is none to us, as an escape; and text like `0o7` in quotes."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        breaks = any(character in data for character in "\x85\u2028\u2029")
        quotes = breaks or not isinstance(scalar(data), str)
        return self.represent_scalar("tag:yaml.org,2002:str", data, style='"' if quotes else None)


_Dumper.add_representer(str, _Dumper.represent_str)


def _checked(root: type[_Root], document: Document, overrides: Sequence[str]) -> _Root:
    """The settings that a document and the command line give, if there is no mistake in them."""
    for option in overrides:
        _set(root, document, option)
    settings, error = _validated(root, document)
    if error is not None:
        _keep_text_as_typed(error, root, document)
        settings, error = _validated(root, document)
    found = document.mistakes + (mistakes(error, root, document) if error is not None else [])
    if settings is None or found:
        found.sort(key=lambda mistake: (mistake.place.line == 0, mistake.place.line, mistake.place.column))
        shown = [str(mistake) for mistake in found[:_MOST_SHOWN]]
        if len(found) > _MOST_SHOWN:
            shown.append(f"{document.place(())}: and {len(found) - _MOST_SHOWN} more mistakes")
        raise RecipeError("\n".join(shown))
    return settings


def _validated(root: type[_Root], document: Document) -> tuple[_Root | None, ValidationError | None]:
    try:
        return root.model_validate(document.values), None
    except ValidationError as error:
        return None, error


def _keep_text_as_typed(error: ValidationError, root: type[Section], document: Document) -> None:
    """Put back what was typed, such as 1.10 or true, where it was read as a number but text is wanted."""
    for detail in error.errors(include_url=False):
        key = key_of(detail, root)
        if detail["type"] in _TEXT_WOULD_DO and detail["input"] is not None and key in document.typed:
            document.put(key, document.typed[key])


def _set(root: type[Section], document: Document, option: str) -> None:
    """Put the value of one `key=value` into the document."""
    name, equals, text = option.partition("=")
    place = Place(f"--set {option}")
    if not equals or not name:
        raise RecipeError(f"{place}: is not of the form key=value, such as --set seed=2")
    given = parse(text, place)
    key = _split(name, document.values)
    for depth, inner in enumerate(key):
        within = document.value(key[:depth])
        if isinstance(within, list) and not isinstance(inner, int):
            numbers = f"a number from 1 to {len(within)}" if within else "nothing, as it is empty"
            raise RecipeError(f"{place}: {dotted(key[:depth])} is a list, in which {numbers} can be set, not {inner}")
        if not isinstance(within, dict | list):
            document.forget(key[:depth])
            document.put(key[:depth], {})
        document.places.setdefault(key[:depth], place)
    _forget_other_choices(root, document, key, given.values)
    document.put(key, given.values)
    document.forget(key)
    document.places.update({(*key, *inner): where for inner, where in given.places.items()})
    document.typed.update({(*key, *inner): typed for inner, typed in given.typed.items()})
    document.mistakes += [Mistake(place, (*key, *mistake.key), mistake.message) for mistake in given.mistakes]


def _forget_other_choices(root: type[Section], document: Document, key: Key, value: Any) -> None:
    """Where the command line chooses another class for the section of `key`, drop what only the old one knew so."""
    *around, last = key
    within = tuple(around)
    classes, section = section_at(root, within), document.value(within)
    if len(classes) < 2 or last != choice(classes):
        return
    old, new = chosen(classes, section) or classes[0], chosen(classes, {last: value})
    if new is None or new is old:
        return
    for name in {name for known in classes for name in known.model_fields} & set(section) - {last}:
        fields = [known.model_fields[name].annotation for known in (old, new) if name in known.model_fields]
        is_kept = name in new.model_fields and fields[0] == fields[-1]
        if not is_kept and not document.is_option((*within, name)):
            del section[name]
            document.forget((*within, name))


def _split(name: str, section: Any) -> Key:
    """The names in a dotted key. A name that is in the document may have dots itself, such as news.2016."""
    parts = name.split(".")
    known = {str(inner + 1) if isinstance(inner, int) else inner: inner for inner, _ in inside(section)}
    size = next((size for size in range(len(parts), 0, -1) if ".".join(parts[:size]) in known), 1)
    first, rest = ".".join(parts[:size]), ".".join(parts[size:])
    key = known.get(first, first)
    return (key, *_split(rest, dict(inside(section)).get(key))) if size < len(parts) else (key,)
