"""What is wrong in a recipe, in words for people: where it stands, what is wrong, what was probably meant."""

import json
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from nmt_cli.recipe.loading.parsing import Document, Key, Mistake, dotted, scalar
from nmt_cli.recipe.loading.schema_walk import choice, chosen_by, section_at, sections
from nmt_cli.recipe.model import PresetSection
from nmt_cli.recipe.section import NO_SPACES, CrossFieldError, Section

_SIMILAR, _VERY_SIMILAR = 0.6, 0.8
_WORDING = {
    "int_type": "must be a whole number",
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


def mistakes(error: ValidationError, root: type[Section], document: Document) -> list[Mistake]:
    """Every mistake that pydantic found in a document; a key that is missing because it is misspelt is one mistake."""
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
            explained |= _left_unfilled(key, root)
    found += [(key, "is missing") for key, detail in details if detail["type"] == "missing" and key not in explained]
    return [Mistake(document.place(key), key, message) for key, message in found]


def key_of(detail: ErrorDetails, root: type[Section]) -> Key:
    """Where in the recipe an error is: pydantic's location without the marks that it adds of its own."""
    key: Key = ()
    is_tag = False
    is_name = detail["type"] == "string_pattern_mismatch" and detail["loc"][-1] == "[key]"
    for part in detail["loc"][:-1] if is_name else detail["loc"]:
        key = key if is_tag else (*key, part)
        is_tag = not is_tag and len(section_at(root, key)) > 1  # next comes which class of a union it tried
    return key


def _unknown(key: Key, detail: ErrorDetails, root: type[Section]) -> tuple[str, set[Key]]:
    """What to say of a key that no section has there, and the keys that may have been meant."""
    *within, last = key
    section, name = tuple(within), str(last)
    classes = section_at(root, section)
    if len(classes) > 1:
        decider, chosen = choice(classes), detail["loc"][-2]
        owners = [chosen_by(other, decider) for other in classes if name in other.model_fields]
        if owners:
            return f"is a setting of {decider} {_one_of(owners)}, not of {chosen}", set()
        classes = tuple(sorted(classes, key=lambda other: chosen_by(other, decider) != chosen))
    homes = [home for home, others in sections(root).items() if any(name in other.model_fields for other in others)]
    if homes:
        return f"belongs under {_one_of(map(dotted, homes))}", {(*home, name) for home in homes}
    here = _names(classes[:1])
    if close := get_close_matches(name, here, 1, _SIMILAR):
        return f"is not a setting; did you mean {close[0]}?", {(*section, close[0])}
    elsewhere = {inner: home for home, others in sections(root).items() for inner in _names(others)}
    if close := get_close_matches(name, elsewhere, 1, _VERY_SIMILAR):
        meant = (*elsewhere[close[0]], close[0])
        return f"is not a setting; did you mean {dotted(meant)}?", {meant}
    return f"is not a setting; the settings here are {', '.join(here)}", set()


def _left_unfilled(key: Key, root: type[Section]) -> set[Key]:
    """The keys that a wrong value at `key` leaves without the value they would have had from a preset."""
    if key[-1:] != ("preset",):
        return set()
    filled = (section.sizes["base"] for section in section_at(root, key[:-1]) if issubclass(section, PresetSection))
    return {(*key[:-1], name) for sizes in filled for name in sizes}


def _wrong(key: Key, detail: ErrorDetails, root: type[Section], document: Document) -> tuple[Key, str]:
    """What to say of a value that cannot be, and of which key."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        classes, given = section_at(root, key), detail["input"]
        decider = choice(classes)
        known = [chosen_by(other, decider) for other in classes]
        if not isinstance(given, dict):
            return key, _no_section(key, classes, given, root, document)
        if decider not in given and (close := get_close_matches(decider, given, 1, _VERY_SIMILAR)):
            return (*key, close[0]), f"is not a setting; did you mean {decider}?"
        return (*key, decider), _choose(known, given.get(decider), decider in given)
    shown = _shown(detail["input"], document.typed.get(key))
    if kind == "literal_error":
        return key, _choose(re.findall(r"'([^']*)'", context["expected"]), detail["input"])
    if kind == "value_error":
        return _checked(key, context["error"])
    if kind in ("model_type", "model_attributes_type"):
        return key, _no_section(key, section_at(root, key), detail["input"], root, document)
    if kind in ("too_short", "too_long"):
        few, limit = kind == "too_short", context.get("min_length", context.get("max_length"))
        return key, f"must have at {'least' if few else 'most'} {limit}, not {context['actual_length']}"
    if context.get("pattern") == NO_SPACES:
        return key, f"must be text without spaces, not {shown}"
    bounds = {name: _number(bound) for name, bound in context.items()}
    message = _WORDING[kind].format_map(bounds) if kind in _WORDING else detail["msg"]
    return key, f"{message}, not {shown}{_as_whole_number(kind, document.typed.get(key))}"


def _no_section(
    key: Key, classes: tuple[type[Section], ...], given: Any, root: type[Section], document: Document
) -> str:
    """What to say of a value where a section belongs."""
    names, shown = _names(classes), _shown(given, document.typed.get(key))
    if len(classes) > 1:
        decider = choice(classes)
        names.sort(key=decider.__ne__)  # what decides is first
        if given in [chosen_by(other, decider) for other in classes]:
            shown += f"; write {{{decider}: {given}}}"
    if not section_at(root, key[:-1]) and isinstance(key[-1], str):
        needed = [name for name, setting in classes[0].model_fields.items() if setting.is_required()]
        return f"is taken for a name of your choice; under it belong {' and '.join(needed)}, not {shown}"
    return f"must be a section of settings such as {_one_of(names[:3])}, not {shown}"


def _checked(key: Key, error: ValueError) -> tuple[Key, str]:
    """A check across keys names the key that it finds wrong, relative to its section: `heads: 3 does not …`."""
    message = str(error)
    if isinstance(error, CrossFieldError):
        return (*key, *error.key), message
    if named := re.fullmatch(r"([a-z_.]+): (.*)", message, re.DOTALL):
        return (*key, *named[1].split(".")), named[2]
    return key, message


def _choose(known: list[str], given: Any, is_given: bool = True) -> str:
    """What to say of a value that is none of those known."""
    message = f"must be one of {', '.join(known)}" if len(known) > 1 else f"must be {known[0]}"
    if not is_given:
        return f"is missing; it {message}"
    close = get_close_matches(str(given).lower(), known, 1, _SIMILAR)
    return f"{message}, not {_shown(given)}" + (f"; did you mean {close[0]}?" if close else "")


def _as_whole_number(kind: str, typed: str | None) -> str:
    """How to write 1e5 or 100_000 where a whole number belongs."""
    value = scalar(typed.replace("_", "")) if kind == "int_type" and typed else None
    whole = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15 and value == int(value)
    return f"; write {int(value)}" if whole and value is not None else ""


def _shown(value: Any, typed: str | None = None) -> str:
    """A value as it was typed, text in quotes."""
    if value is None:
        return "empty"
    if isinstance(value, dict | list):
        return "a section" if isinstance(value, dict) else "a list"
    if typed is None or isinstance(scalar(typed), str):
        typed = json.dumps(value, ensure_ascii=False)
    return typed if len(typed) <= 60 else typed[:57] + "…"


def _number(bound: Any) -> str:
    """A bound as people write it: 1, not 1.0."""
    return str(int(bound)) if isinstance(bound, float) and bound.is_integer() else str(bound)


def _names(classes: Iterable[type[Section]]) -> list[str]:
    return list(dict.fromkeys(name for section in classes for name in section.model_fields))


def _one_of(names: Iterable[str]) -> str:
    *first, last = [name or "the top level" for name in names]
    return f"{', '.join(first)} or {last}" if first else last
