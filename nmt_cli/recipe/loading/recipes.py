"""A recipe's file, and settings of the command line, in; a checked recipe out, and back to YAML."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from nmt_cli.errors import RecipeError
from nmt_cli.recipe.decoding import AfterTraining
from nmt_cli.recipe.loading.mistakes import key_of, mistakes
from nmt_cli.recipe.loading.outline import choice, chosen_by, sections
from nmt_cli.recipe.loading.parsing import Document, Mistake, Place, parse, read_document
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
    """Writes what YAML takes for a line break, though it is none to us, as an escape."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        breaks = any(character in data for character in "\x85\u2028\u2029")
        return self.represent_scalar("tag:yaml.org,2002:str", data, style='"' if breaks else None)


_Dumper.add_representer(str, _Dumper.represent_str)


def _checked(root: type[_Root], document: Document, overrides: Sequence[str]) -> _Root:
    """The settings that a document and the command line give, if there is no mistake in them."""
    for option in overrides:
        _set(document, option)
    _forget_other_choices(root, document)
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


def _forget_other_choices(root: type[Section], document: Document) -> None:
    """Where the command line chooses another class for a section, drop the keys that only the old one knew."""
    for key, classes in sections(root).items():
        section = document.value(key)
        if len(classes) == 1 or not isinstance(section, dict):
            continue
        decider = choice(classes)
        chosen = [known for known in classes if chosen_by(known, decider) == section.get(decider)]
        if chosen and document.is_option((*key, decider)):
            others = {name for known in classes for name in known.model_fields} - set(chosen[0].model_fields)
            for name in others & set(section):
                if not document.is_option((*key, name)):
                    del section[name]


def _set(document: Document, option: str) -> None:
    """Put the value of one `key=value` into the document."""
    dotted, equals, text = option.partition("=")
    place = Place(f"--set {option}")
    if not equals or not dotted:
        raise RecipeError(f"{place}: is not of the form key=value, such as --set seed=2")
    given = parse(text, place)
    section = document.values
    key = _split(dotted, section)
    for depth, name in enumerate(key[:-1], 1):
        if not isinstance(section.get(name), dict):
            document.forget(key[:depth])
            section[name] = {}
        section = section[name]
        document.places.setdefault(key[:depth], place)
    section[key[-1]] = given.values
    document.forget(key)
    document.places.update({(*key, *inner): where for inner, where in given.places.items()})
    document.typed.update({(*key, *inner): typed for inner, typed in given.typed.items()})
    document.mistakes += [Mistake(place, (*key, *mistake.key), mistake.message) for mistake in given.mistakes]


def _split(dotted: str, section: Any) -> tuple[str, ...]:
    """The names in a dotted key. A name that is in the document may have dots itself, such as news.2016."""
    parts = dotted.split(".")
    known = section if isinstance(section, dict) else {}
    size = next((size for size in range(len(parts), 0, -1) if ".".join(parts[:size]) in known), 1)
    name, rest = ".".join(parts[:size]), ".".join(parts[size:])
    return (name, *_split(rest, known.get(name))) if size < len(parts) else (name,)
