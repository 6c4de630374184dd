"""Parse YAML and record the location of each value."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from nmt_cli.errors import RecipeError

Key = tuple[str | int, ...]
"""Path of a value, such as ("training", "limits", "updates"); list indices are 0-based."""

_MAX_BYTES = 100_000
_MAX_DEPTH = 20

# The scalars of YAML 1.2 (core schema): `no` and `on` are text, `3e-4` and `1e4` are numbers, `010` is ten.
_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_INTEGER_BASES = {"0o": 8, "0x": 16}
_MAX_INTEGER_DIGITS = 400


@dataclass(frozen=True)
class Location:
    """A line and column of a file, both 1-based; if `line` is 0, another source, such as a command-line option."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return _one_line(f"{self.source}:{self.line}:{self.column}" if self.line else self.source)


@dataclass(frozen=True)
class RecipeIssue:
    """An error in a recipe: its location, its key and a message."""

    location: Location
    key: Key
    message: str

    def __str__(self) -> str:
        key = f"{dotted_key(self.key)}: " if self.key else ""
        return _one_line(f"{self.location}: {key}{self.message}")


@dataclass
class Document:
    """The values of a recipe, with the location of each key."""

    values: Any
    locations: dict[Key, Location]
    raw_scalars: dict[Key, str] = field(default_factory=dict)
    """Text of each unquoted scalar before its type was resolved."""
    issues: list[RecipeIssue] = field(default_factory=list)

    def location(self, key: Key) -> Location:
        """Return the location of `key`, or of the nearest section around it."""
        while key not in self.locations:
            key = key[:-1]
        return self.locations[key]

    def value(self, key: Key) -> Any:
        """Return the value of a key; None if it is missing."""
        value = self.values
        for name in key:
            value = dict(items_of(value)).get(name)
        return value

    def is_option(self, key: Key) -> bool:
        """Return whether a command-line option gave this key."""
        return key in self.locations and not self.locations[key].line

    def set_value(self, key: Key, value: Any) -> None:
        """Set the value of a key whose section exists."""
        section = self.values
        for name in key[:-1]:
            section = section[name]
        section[key[-1]] = value

    def remove_locations(self, key: Key) -> None:
        """Remove the locations and raw scalars of a key and of all keys below it."""
        for other in [other for other in self.locations if other[: len(key)] == key]:
            del self.locations[other]
            self.raw_scalars.pop(other, None)


def read_document(path: Path) -> Document:
    """Read and parse a recipe file. Raise RecipeError if it is not a YAML mapping."""
    try:
        if path.is_dir():
            raise RecipeError(f"{path}: is a directory, not a recipe")
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RecipeError(f"{str(path)!r}: is not a file name") from error
    if len(content) > _MAX_BYTES:
        raise RecipeError(f"{path}: has more than {_MAX_BYTES:,} bytes, which is too large for a recipe")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RecipeError(f"{path}:{line}: is not UTF-8 text; convert the file to UTF-8") from error
    document = parse(text, Location(str(path), 1, 1))
    if document.values is None:
        raise RecipeError(f"{path}:1:1: is empty; a recipe needs at least run, data and model")
    if not isinstance(document.values, dict):
        kind = "a list" if isinstance(document.values, list) else "text"
        raise RecipeError(
            f"{document.location(())}: is {kind}, but a recipe consists of settings such as `run: runs/first`"
        )
    return document


def parse(text: str, start: Location) -> Document:
    """Parse one YAML document. Raise RecipeError if it is invalid or has tags, anchors or aliases."""
    loader = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
    except yaml.reader.ReaderError as error:
        location = _location_at(
            start, text.count("\n", 0, error.position), error.position - text.rfind("\n", 0, error.position)
        )
        raise RecipeError(
            f"{location}: has a character that is not allowed in YAML: U+{int(error.character):04X}"
        ) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        location = _location_at(start, mark.line, mark.column + 1) if mark else start
        raise RecipeError(f"{location}: {_describe(error)}") from error
    except (ValueError, OverflowError, TypeError, LookupError, AttributeError, RecursionError) as error:
        # PyYAML converts numbers in escapes and directives without checking them.
        location = _location_at(start, loader.line, loader.column + 1) if loader else start
        raise RecipeError(f"{location}: is not valid YAML, or has too large a number") from error
    document = Document(None, {(): start})
    if root is not None:
        document.locations[()] = _location_at(start, root.start_mark.line, root.start_mark.column + 1)
        document.values = _value(root, (), document)
    return document


def parse_scalar(text: str) -> Any:
    """Return the value of an unquoted scalar by the YAML 1.2 core schema."""
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _INTEGER.fullmatch(text) and len(text) <= _MAX_INTEGER_DIGITS:
        base = _INTEGER_BASES.get(text[:2])
        return int(text[2:], base) if base else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _NOT_FINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return text


class _UnsupportedYAMLError(yaml.MarkedYAMLError):
    """Valid YAML that recipes do not support."""


class _Loader(yaml.SafeLoader):
    """Composes nodes without resolving the types of scalars, which `parse_scalar` does."""

    yaml_implicit_resolvers: dict[str, Any] = {}
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _UnsupportedYAMLError(
                problem="recipes do not support & and *; write the value out",
                problem_mark=event.start_mark,
            )
        if event.tag is not None:
            raise _UnsupportedYAMLError(problem="recipes do not support tags (!)", problem_mark=event.start_mark)
        if self.depth == _MAX_DEPTH:
            raise _UnsupportedYAMLError(problem="is nested too deeply", problem_mark=event.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _value(node: yaml.Node, key: Key, document: Document) -> Any:
    """Return the value of a node and add its locations to the document."""
    if isinstance(node, yaml.MappingNode):
        return {name: _value(inner, (*key, name), document) for name, inner in _entries(node, key, document)}
    if isinstance(node, yaml.SequenceNode):
        for index, inner in enumerate(node.value):
            document.locations[*key, index] = _location(inner, document)
        return [_value(inner, (*key, index), document) for index, inner in enumerate(node.value)]
    if not isinstance(node, yaml.ScalarNode) or node.style is not None:  # quoted text or a block scalar
        return node.value
    document.raw_scalars[key] = node.value
    return parse_scalar(node.value)


def _entries(node: yaml.MappingNode, section: Key, document: Document) -> Iterator[tuple[str, yaml.Node]]:
    """Yield the keys of a mapping as text, with their values. A repeated key is reported as an issue and skipped."""
    for name, value in node.value:
        location = _location(name, document)
        if not isinstance(name, yaml.ScalarNode):
            document.issues.append(RecipeIssue(location, section, "a key must be text, not a list or a section"))
        elif (first := document.locations.get((*section, name.value))) is not None:
            where = f"line {first.line}" if first.line else "the same option"
            message = f"is given twice; the first is on {where}"
            document.issues.append(RecipeIssue(location, (*section, name.value), message))
        else:
            document.locations[*section, name.value] = location
            yield name.value, value


def dotted_key(key: Key) -> str:
    """Format a key as in `data.filters.2.type`; list indices become 1-based."""
    return ".".join(str(name + 1) if isinstance(name, int) else name for name in key)


def items_of(value: Any) -> Iterator[tuple[str | int, Any]]:
    """Yield the items of a section by key or of a list by index; nothing for any other value."""
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _one_line(text: str) -> str:
    return text.replace("\n", "\\n")


def _location(node: yaml.Node, document: Document) -> Location:
    return _location_at(document.locations[()], node.start_mark.line, node.start_mark.column + 1)


def _location_at(start: Location, lines_before: int, column: int) -> Location:
    return Location(start.source, lines_before + 1, column) if start.line else start


def _describe(error: yaml.MarkedYAMLError) -> str:
    problem = (error.problem or "cannot be understood").replace("<stream end>", "the end")
    if isinstance(error, _UnsupportedYAMLError):
        return problem
    if "\\t" in problem:
        return "is indented with a tab; use spaces"
    if "another document" in problem:
        return "begins a second document; a recipe has only one"
    if "mapping values are not allowed" in problem:
        return "has a key where none is allowed; check the indentation, and quote text that contains a colon"
    return f"is not valid YAML: {problem}"
