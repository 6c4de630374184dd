"""Turn validation errors into messages with location, cause and suggestion."""

import json
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from nmt_cli.recipe.loading.parsing import Document, Key, RecipeIssue, dotted_key, parse_scalar
from nmt_cli.recipe.loading.schema_walk import discriminator_key, discriminator_value, section_classes, sections
from nmt_cli.recipe.model import PresetSection
from nmt_cli.recipe.section import PATTERNS, CrossFieldError, Section

_SIMILAR, _VERY_SIMILAR = 0.6, 0.8
"""Cutoffs of `get_close_matches`: for suggestions from the same section, and from other sections."""
MAX_ISSUES = 50
"""Errors that are shown in full."""
_MESSAGES = {
    "int_type": "must be an integer",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "path_type": "must be a file name",
    "list_type": "must be a list",
    "dict_type": "must be a section with one entry per name",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "string_too_short": "must be text",
}


def collect_issues(error: ValidationError, root: type[Section], document: Document) -> list[RecipeIssue]:
    """Return an issue for every validation error. A required key that is misspelt gives one issue, not two."""
    details = [(error_key(detail, root), detail) for detail in error.errors(include_url=False)]
    found: list[tuple[Key, str]] = []
    explained: set[Key] = set()
    for key, detail in details:
        if detail["type"] == "extra_forbidden":
            if len(found) >= MAX_ISSUES:  # to look for a similar key takes milliseconds
                found.append((key, "is not a setting"))
                continue
            message, suggested = _unknown_key_message(key, detail, root)
            found.append((key, message))
            explained |= suggested
        elif detail["type"] != "missing":
            found.append(_invalid_value(key, detail, root, document))
            explained |= _keys_missing_without_preset(key, root)
    found += [(key, "is missing") for key, detail in details if detail["type"] == "missing" and key not in explained]
    return [RecipeIssue(document.location(key), key, message) for key, message in found]


def error_key(detail: ErrorDetails, root: type[Section]) -> Key:
    """Return the key of an error: pydantic's location without the union tags and `[key]` marks that it adds."""
    key: Key = ()
    is_tag = False
    is_name = detail["type"] == "string_pattern_mismatch" and detail["loc"][-1] == "[key]"
    for part in detail["loc"][:-1] if is_name else detail["loc"]:
        key = key if is_tag else (*key, part)
        is_tag = not is_tag and len(section_classes(root, key)) > 1  # pydantic inserts the discriminator's value here
    return key


def _unknown_key_message(key: Key, detail: ErrorDetails, root: type[Section]) -> tuple[str, set[Key]]:
    """Return the message for an unknown key, and the keys that it suggests instead."""
    section, name = key[:-1], str(key[-1])
    classes = section_classes(root, section)
    if len(classes) > 1:
        discriminator, tag = discriminator_key(classes), detail["loc"][-2]
        owners = [discriminator_value(other, discriminator) for other in classes if name in other.model_fields]
        if owners:
            return f"is a setting of {discriminator} {_join_with_or(owners)}, not of {tag}", set()
        classes = tuple(sorted(classes, key=lambda other: discriminator_value(other, discriminator) != tag))
    with_name = [outer for outer, others in sections(root).items() if any(name in each.model_fields for each in others)]
    if with_name:
        return f"belongs under {_join_with_or(map(dotted_key, with_name))}", {(*outer, name) for outer in with_name}
    here = _setting_names(classes[:1])
    if close := get_close_matches(name, here, 1, _SIMILAR):
        return f"is not a setting; did you mean {close[0]}?", {(*section, close[0])}
    elsewhere = {inner: outer for outer, others in sections(root).items() for inner in _setting_names(others)}
    if close := get_close_matches(name, elsewhere, 1, _VERY_SIMILAR):
        meant = (*elsewhere[close[0]], close[0])
        return f"is not a setting; did you mean {dotted_key(meant)}?", {meant}
    return f"is not a setting; the settings here are {', '.join(here)}", set()


def _keys_missing_without_preset(key: Key, root: type[Section]) -> set[Key]:
    """Return the keys that are reported as missing only because the preset at `key` is invalid."""
    if key[-1:] != ("preset",):
        return set()
    presets = (each.sizes["base"] for each in section_classes(root, key[:-1]) if issubclass(each, PresetSection))
    return {(*key[:-1], name) for sizes in presets for name in sizes}


def _invalid_value(key: Key, detail: ErrorDetails, root: type[Section], document: Document) -> tuple[Key, str]:
    """Return the key and message for an invalid value. The key may be one inside the section at `key`."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        classes, given = section_classes(root, key), detail["input"]
        discriminator = discriminator_key(classes)
        known = [discriminator_value(other, discriminator) for other in classes]
        if not isinstance(given, dict):
            return key, _not_a_section(key, classes, given, root, document)
        if discriminator not in given and (close := get_close_matches(discriminator, given, 1, _VERY_SIMILAR)):
            return (*key, close[0]), f"is not a setting; did you mean {discriminator}?"
        if discriminator not in given:
            return (*key, discriminator), f"is missing; it {_choices(known)}"
        return (*key, discriminator), _choice_message(
            known, given.get(discriminator), _display(given.get(discriminator))
        )
    shown = _display(detail["input"], document.raw_scalars.get(key))
    if kind == "literal_error":
        return key, _choice_message(_literals(context["expected"]), detail["input"], shown)
    if kind == "value_error":
        error = context["error"]
        return ((*key, *error.key), error.message) if isinstance(error, CrossFieldError) else (key, str(error))
    if kind in ("model_type", "model_attributes_type"):
        return key, _not_a_section(key, section_classes(root, key), detail["input"], root, document)
    if kind in ("too_short", "too_long"):
        is_short, limit = kind == "too_short", context.get("min_length", context.get("max_length"))
        entries = "entry" if limit == 1 else "entries"
        return key, f"must have at {'least' if is_short else 'most'} {limit} {entries}, not {context['actual_length']}"
    if kind == "string_pattern_mismatch":
        return key, f"must be {PATTERNS[context['pattern']].replace('`', '')}, not {shown}"
    bounds = {name: _format_bound(bound) for name, bound in context.items()}
    message = _MESSAGES[kind].format_map(bounds) if kind in _MESSAGES else detail["msg"]
    return key, f"{message}, not {shown}{_integer_hint(kind, document.raw_scalars.get(key))}"


def _not_a_section(
    key: Key, classes: tuple[type[Section], ...], given: Any, root: type[Section], document: Document
) -> str:
    """Return the message for a value where a section is expected."""
    names, shown = _setting_names(classes), _display(given, document.raw_scalars.get(key))
    if len(classes) > 1:
        discriminator = discriminator_key(classes)
        names.sort(key=discriminator.__ne__)  # the discriminator comes first
        if given in [discriminator_value(other, discriminator) for other in classes]:
            shown += f"; write {{{discriminator}: {given}}}"
    if not section_classes(root, key[:-1]) and isinstance(key[-1], str):
        needed = [name for name, setting in classes[0].model_fields.items() if setting.is_required()]
        return f"names an entry, which must be a section with the keys {' and '.join(needed)}, not {shown}"
    return f"must be a section of settings such as {_join_with_or(names[:3])}, not {shown}"


def _choice_message(known: list[str], given: Any, shown: str) -> str:
    """Return the message for a value that is not one of the choices."""
    close = get_close_matches(str(given).lower(), known, 1, _SIMILAR)
    return f"{_choices(known)}, not {shown}" + (f"; did you mean {close[0]}?" if close else "")


def _choices(known: list[str]) -> str:
    return f"must be one of {', '.join(known)}" if len(known) > 1 else f"must be {known[0]}"


def _literals(expected: str) -> list[str]:
    """Return the values in pydantic's list of literals, such as "True, False or 'never'", as YAML."""
    return [name or other.lower() for name, other in re.findall(r"'([^']*)'|(True|False|-?\d+)", expected)]


def _integer_hint(kind: str, raw: str | None) -> str:
    """Suggest how to write 1e5 or 100_000 as an integer."""
    value = parse_scalar(raw.replace("_", "")) if kind == "int_type" and raw else None
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15 and value == int(value):
        return f"; write {int(value)}"
    return ""


def _display(value: Any, raw: str | None = None) -> str:
    """Format a value for a message: numbers as in the recipe, text in quotes."""
    if value is None:
        return "empty"
    if isinstance(value, dict | list):
        return "a section" if isinstance(value, dict) else "a list"
    if raw is None or isinstance(parse_scalar(raw), str):
        raw = json.dumps(value, ensure_ascii=False)
    return raw if len(raw) <= 60 else raw[:57] + "…"


def _format_bound(bound: Any) -> str:
    """Return a bound without a redundant `.0`."""
    return str(int(bound)) if isinstance(bound, float) and bound.is_integer() else str(bound)


def _setting_names(classes: Iterable[type[Section]]) -> list[str]:
    return list(dict.fromkeys(name for section in classes for name in section.model_fields))


def _join_with_or(names: Iterable[str]) -> str:
    *first, last = [name or "the top level" for name in names]
    return f"{', '.join(first)} or {last}" if first else last
