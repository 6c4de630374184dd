"""Turn validation errors into messages with location, cause and suggestion."""

import json
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from nmt_cli.recipe.loading.parsing import Document, Key, RecipeIssue, dotted_key, parse_scalar
from nmt_cli.recipe.loading.schema_walk import discriminator_key, section_at, sections, tag_of
from nmt_cli.recipe.model import PresetSection
from nmt_cli.recipe.section import NO_SPACES, CrossFieldError, Section

_SIMILAR, _VERY_SIMILAR = 0.6, 0.8
_WORDING = {
    "int_type": "must be an integer",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "path_type": "must be a file name",
    "list_type": "must be a list",
    "dict_type": "must be a section of names",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "string_too_short": "must be text",
    "string_pattern_mismatch": "must be a plain name of letters, digits, - and _, such as en or news-2016",
}


def collect_issues(error: ValidationError, root: type[Section], document: Document) -> list[RecipeIssue]:
    """Return an issue for every validation error. A required key that is misspelt gives one issue, not two."""
    details = [(key_of(detail, root), detail) for detail in error.errors(include_url=False)]
    found: list[tuple[Key, str]] = []
    explained: set[Key] = set()
    for key, detail in details:
        if detail["type"] == "extra_forbidden":
            message, candidates = _unknown(key, detail, root)
            found.append((key, message))
            explained |= candidates
        elif detail["type"] != "missing":
            found.append(_wrong(key, detail, root, document))
            explained |= _keys_from_preset(key, root)
    found += [(key, "is missing") for key, detail in details if detail["type"] == "missing" and key not in explained]
    return [RecipeIssue(document.location(key), key, message) for key, message in found]


def key_of(detail: ErrorDetails, root: type[Section]) -> Key:
    """Return the key of an error: pydantic's location without the union tags and `[key]` marks that it adds."""
    key: Key = ()
    is_tag = False
    is_name = detail["type"] == "string_pattern_mismatch" and detail["loc"][-1] == "[key]"
    for part in detail["loc"][:-1] if is_name else detail["loc"]:
        key = key if is_tag else (*key, part)
        is_tag = not is_tag and len(section_at(root, key)) > 1  # followed by the tag of a class of the union
    return key


def _unknown(key: Key, detail: ErrorDetails, root: type[Section]) -> tuple[str, set[Key]]:
    """Return the message for an unknown key, and the keys that were probably meant."""
    *within, last = key
    section, name = tuple(within), str(last)
    classes = section_at(root, section)
    if len(classes) > 1:
        discriminator, tag = discriminator_key(classes), detail["loc"][-2]
        owners = [tag_of(other, discriminator) for other in classes if name in other.model_fields]
        if owners:
            return f"is a setting of {discriminator} {_one_of(owners)}, not of {tag}", set()
        classes = tuple(sorted(classes, key=lambda other: tag_of(other, discriminator) != tag))
    homes = [home for home, others in sections(root).items() if any(name in other.model_fields for other in others)]
    if homes:
        return f"belongs under {_one_of(map(dotted_key, homes))}", {(*home, name) for home in homes}
    here = _names(classes[:1])
    if close := get_close_matches(name, here, 1, _SIMILAR):
        return f"is not a setting; did you mean {close[0]}?", {(*section, close[0])}
    elsewhere = {inner: home for home, others in sections(root).items() for inner in _names(others)}
    if close := get_close_matches(name, elsewhere, 1, _VERY_SIMILAR):
        meant = (*elsewhere[close[0]], close[0])
        return f"is not a setting; did you mean {dotted_key(meant)}?", {meant}
    return f"is not a setting; the settings here are {', '.join(here)}", set()


def _keys_from_preset(key: Key, root: type[Section]) -> set[Key]:
    """Return the keys that have no value because the preset at `key` is wrong."""
    if key[-1:] != ("preset",):
        return set()
    filled = (section.sizes["base"] for section in section_at(root, key[:-1]) if issubclass(section, PresetSection))
    return {(*key[:-1], name) for sizes in filled for name in sizes}


def _wrong(key: Key, detail: ErrorDetails, root: type[Section], document: Document) -> tuple[Key, str]:
    """Return the key that is wrong and the message for an invalid value."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        classes, given = section_at(root, key), detail["input"]
        discriminator = discriminator_key(classes)
        known = [tag_of(other, discriminator) for other in classes]
        if not isinstance(given, dict):
            return key, _not_a_section(key, classes, given, root, document)
        if discriminator not in given and (close := get_close_matches(discriminator, given, 1, _VERY_SIMILAR)):
            return (*key, close[0]), f"is not a setting; did you mean {discriminator}?"
        return (*key, discriminator), _choose(known, given.get(discriminator), discriminator in given)
    shown = _display(detail["input"], document.typed.get(key))
    if kind == "literal_error":
        return key, _choose(re.findall(r"'([^']*)'", context["expected"]), detail["input"])
    if kind == "value_error":
        error = context["error"]
        return ((*key, *error.key), error.message) if isinstance(error, CrossFieldError) else (key, str(error))
    if kind in ("model_type", "model_attributes_type"):
        return key, _not_a_section(key, section_at(root, key), detail["input"], root, document)
    if kind in ("too_short", "too_long"):
        is_short, limit = kind == "too_short", context.get("min_length", context.get("max_length"))
        return key, f"must have at {'least' if is_short else 'most'} {limit}, not {context['actual_length']}"
    if context.get("pattern") == NO_SPACES:
        return key, f"must be text without spaces, not {shown}"
    bounds = {name: _number(bound) for name, bound in context.items()}
    message = _WORDING[kind].format_map(bounds) if kind in _WORDING else detail["msg"]
    return key, f"{message}, not {shown}{_as_integer(kind, document.typed.get(key))}"


def _not_a_section(
    key: Key, classes: tuple[type[Section], ...], given: Any, root: type[Section], document: Document
) -> str:
    """Return the message for a value where a section is expected."""
    names, shown = _names(classes), _display(given, document.typed.get(key))
    if len(classes) > 1:
        discriminator = discriminator_key(classes)
        names.sort(key=discriminator.__ne__)  # the discriminator comes first
        if given in [tag_of(other, discriminator) for other in classes]:
            shown += f"; write {{{discriminator}: {given}}}"
    if not section_at(root, key[:-1]) and isinstance(key[-1], str):
        needed = [name for name, setting in classes[0].model_fields.items() if setting.is_required()]
        return f"is read as a name of your choice; it needs the keys {' and '.join(needed)}, not {shown}"
    return f"must be a section of settings such as {_one_of(names[:3])}, not {shown}"


def _choose(known: list[str], given: Any, is_given: bool = True) -> str:
    """Return the message for a value that is not one of the choices."""
    message = f"must be one of {', '.join(known)}" if len(known) > 1 else f"must be {known[0]}"
    if not is_given:
        return f"is missing; it {message}"
    close = get_close_matches(str(given).lower(), known, 1, _SIMILAR)
    return f"{message}, not {_display(given)}" + (f"; did you mean {close[0]}?" if close else "")


def _as_integer(kind: str, typed: str | None) -> str:
    """Suggest how to write 1e5 or 100_000 as an integer."""
    value = parse_scalar(typed.replace("_", "")) if kind == "int_type" and typed else None
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15 and value == int(value):
        return f"; write {int(value)}"
    return ""


def _display(value: Any, typed: str | None = None) -> str:
    """Return a value as it was typed, text in quotes."""
    if value is None:
        return "empty"
    if isinstance(value, dict | list):
        return "a section" if isinstance(value, dict) else "a list"
    if typed is None or isinstance(parse_scalar(typed), str):
        typed = json.dumps(value, ensure_ascii=False)
    return typed if len(typed) <= 60 else typed[:57] + "…"


def _number(bound: Any) -> str:
    """Return a bound without a redundant `.0`."""
    return str(int(bound)) if isinstance(bound, float) and bound.is_integer() else str(bound)


def _names(classes: Iterable[type[Section]]) -> list[str]:
    return list(dict.fromkeys(name for section in classes for name in section.model_fields))


def _one_of(names: Iterable[str]) -> str:
    *first, last = [name or "the top level" for name in names]
    return f"{', '.join(first)} or {last}" if first else last
