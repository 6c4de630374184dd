"""Load recipes from YAML and command-line overrides, report every error with its location, and write recipes."""

import copy
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from nmt_cli.errors import RecipeError
from nmt_cli.recipe.loading.errors import MAX_ISSUES, collect_issues, error_key
from nmt_cli.recipe.loading.parsing import (
    Document,
    Key,
    Location,
    RecipeIssue,
    dotted_key,
    items_of,
    parse,
    parse_scalar,
    read_document,
)
from nmt_cli.recipe.loading.schema_walk import discriminator_key, section_classes, selected_class
from nmt_cli.recipe.schema import Recipe
from nmt_cli.recipe.section import Section

_Root = TypeVar("_Root", bound=Section)

_TEXT_ERROR_TYPES = {"string_type", "path_type", "literal_error", "list_type"}
"""Types of validation errors of settings that expect text."""


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read and validate a recipe.

    Args:
        overrides: `key=value` with a dotted key and a YAML value.

    Raises:
        RecipeError: One line per error, as `file:line:column: key: message`.
    """
    return _validate_with_overrides(Recipe, read_document(path), overrides)


def recipe_or_none(path: Path) -> Recipe | None:
    """Read the recipe if `path` names one; return None for anything else, such as a run."""
    return load_recipe(path) if path.suffix in (".yaml", ".yml") and path.is_file() else None


def override(settings: _Root, overrides: Sequence[str]) -> _Root:
    """Return the settings with overrides such as `decoding.beam_size=1` applied."""
    location = Location(" ".join(f"--set {option}" for option in overrides))
    document = Document(settings.model_dump(mode="json", exclude_defaults=True), {(): location})  # defaults may change
    return _validate_with_overrides(type(settings), document, overrides)


def recipe_from_settings(settings: Mapping[str, Any], name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe with these settings and overrides.

    Args:
        settings: As in a YAML file.
        name: What messages call it, such as the file that it will be written to.
    """
    return _validate_with_overrides(Recipe, Document(copy.deepcopy(dict(settings)), {(): Location(name)}), overrides)


def resolved_yaml(recipe: Recipe) -> str:
    """Return the recipe as YAML with every default written out, so that later defaults do not change it."""
    settings = recipe.model_dump(mode="json")
    return yaml.dump(settings, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


def given_yaml(recipe: Recipe, comments: Mapping[tuple[str, ...], str]) -> str:
    """Return the given settings of a recipe as YAML. Innermost sections are on one line.

    Args:
        comments: By key, lines that are written above it as a comment; the empty key is the beginning of the file.
    """
    settings = recipe.model_dump(mode="json", exclude_unset=True)
    written = yaml.dump(
        settings, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=None
    )
    lines, key = _comment_lines(comments.get((), ""), ""), list[str]()
    for line in written.removesuffix("\n").split("\n"):
        indent = len(line) - len(line.lstrip(" "))
        if not line.lstrip(" ").startswith("-"):
            key[indent // 2 :] = [line.strip().partition(":")[0]]
            lines += _comment_lines(comments.get(tuple(key), ""), line[:indent])
        lines.append(line)
    return "".join(f"{line}\n" for line in lines)


def _comment_lines(comment: str, indent: str) -> list[str]:
    """Return the lines of a comment. Characters of file names that YAML does not allow are escaped."""
    lines = comment.split("\n") if comment else []
    return [f"{indent}# {_NOT_IN_COMMENTS.sub(_escaped, line)}" for line in lines]


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode()


_NOT_IN_COMMENTS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""Line breaks of YAML, and characters that it does not allow."""


class _Dumper(yaml.SafeDumper):
    """Escapes Unicode line breaks, and quotes text that `parse_scalar` would read as another type."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        breaks = any(character in data for character in "\x85\u2028\u2029")
        quotes = breaks or not isinstance(parse_scalar(data), str)
        return self.represent_scalar("tag:yaml.org,2002:str", data, style='"' if quotes else None)


_Dumper.add_representer(str, _Dumper.represent_str)


def _validate_with_overrides(root: type[_Root], document: Document, overrides: Sequence[str]) -> _Root:
    """Return the settings of a document with overrides. Raise RecipeError if there are any issues."""
    for option in overrides:
        _apply_override(root, document, option)
    settings, error = _validate(root, document)
    if error is not None:
        _restore_raw_text(error, root, document)
        settings, error = _validate(root, document)
    found = document.issues + (collect_issues(error, root, document) if error is not None else [])
    if settings is None or found:
        found.sort(key=lambda issue: (issue.location.line == 0, issue.location.line, issue.location.column))
        shown = [str(issue) for issue in found[:MAX_ISSUES]]
        if len(found) > MAX_ISSUES:
            shown.append(f"{document.location(())}: and {len(found) - MAX_ISSUES} more errors")
        raise RecipeError("\n".join(shown))
    return settings


def _validate(root: type[_Root], document: Document) -> tuple[_Root | None, ValidationError | None]:
    try:
        return root.model_validate(document.values), None
    except ValidationError as error:
        return None, error


def _restore_raw_text(error: ValidationError, root: type[Section], document: Document) -> None:
    """Restore unquoted text, such as 1.10 or true, where text is expected but it was parsed as another type."""
    for detail in error.errors(include_url=False):
        key = error_key(detail, root)
        if detail["type"] in _TEXT_ERROR_TYPES and detail["input"] is not None and key in document.raw_scalars:
            document.set_value(key, document.raw_scalars[key])


def _apply_override(root: type[Section], document: Document, option: str) -> None:
    """Apply one `key=value` to the document."""
    name, equals, text = option.partition("=")
    location = Location(f"--set {option}")
    if not equals or not name:
        raise RecipeError(f"{location}: is not of the form key=value, as in --set seed=2")
    given = parse(text, location)
    key = _split_key(name, document.values)
    for depth, inner in enumerate(key):
        within = document.value(key[:depth])
        if isinstance(within, list) and not isinstance(inner, int):
            items = f"items 1 to {len(within)}" if within else "no items"
            raise RecipeError(f"{location}: {dotted_key(key[:depth])} is a list with {items}, not {inner}")
        if not isinstance(within, dict | list):
            document.remove_locations(key[:depth])
            document.set_value(key[:depth], {})
        document.locations.setdefault(key[:depth], location)
    _remove_settings_of_old_class(root, document, key, given.values)
    document.set_value(key, given.values)
    document.remove_locations(key)
    document.locations.update({(*key, *inner): where for inner, where in given.locations.items()})
    document.raw_scalars.update({(*key, *inner): raw for inner, raw in given.raw_scalars.items()})
    document.issues += [RecipeIssue(location, (*key, *issue.key), issue.message) for issue in given.issues]


def _remove_settings_of_old_class(root: type[Section], document: Document, key: Key, value: Any) -> None:
    """If an override selects another class for a section, remove settings that the new class lacks or redefines."""
    within, last = key[:-1], key[-1]
    classes, section = section_classes(root, within), document.value(within)
    if len(classes) < 2 or last != discriminator_key(classes):
        return
    old, new = selected_class(classes, section) or classes[0], selected_class(classes, {last: value})
    if new is None or new is old:
        return
    for name in {name for known in classes for name in known.model_fields} & set(section) - {last}:
        fields = [known.model_fields[name].annotation for known in (old, new) if name in known.model_fields]
        is_kept = name in new.model_fields and fields[0] == fields[-1]
        if not is_kept and not document.is_option((*within, name)):
            del section[name]
            document.remove_locations((*within, name))


def _split_key(name: str, section: Any) -> Key:
    """Split a dotted key. A name in the document, such as news.2016, may itself contain dots."""
    parts = name.split(".")
    known = {str(inner + 1) if isinstance(inner, int) else inner: inner for inner, _ in items_of(section)}
    size = next((size for size in range(len(parts), 0, -1) if ".".join(parts[:size]) in known), 1)
    first, rest = ".".join(parts[:size]), ".".join(parts[size:])
    key = known.get(first, first)
    return (key, *_split_key(rest, dict(items_of(section)).get(key))) if size < len(parts) else (key,)
