"""YAML text → values, each with the place where it stands."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from nmt_cli.errors import RecipeError

Key = tuple[str | int, ...]
"""Where a value stands in a recipe: ("training", "limits", "updates"); numbers count in lists, from 0."""

_MOST_BYTES = 100_000
_DEEPEST = 20

# The scalars of YAML 1.2 (core schema): `no` and `on` are text, `3e-4` and `1e4` are numbers, `010` is ten.
_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_INTEGER_BASES = {"0o": 8, "0x": 16}
_LONGEST_INTEGER = 400


@dataclass(frozen=True)
class Place:
    """A line and column of a file, both from one; or an option of the command line, when line is 0."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return _one_line(f"{self.source}:{self.line}:{self.column}" if self.line else self.source)


@dataclass(frozen=True)
class Mistake:
    """What is wrong, with which key, and where."""

    place: Place
    key: Key
    message: str

    def __str__(self) -> str:
        key = f"{dotted(self.key)}: " if self.key else ""
        return _one_line(f"{self.place}: {key}{self.message}")


@dataclass
class Document:
    """What a recipe says and where it says it; text typed without quotes is kept as it was typed."""

    values: Any
    places: dict[Key, Place]
    typed: dict[Key, str] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def place(self, key: Key) -> Place:
        """Where `key` stands, or else the nearest section around it."""
        while key not in self.places:
            key = key[:-1]
        return self.places[key]

    def value(self, key: Key) -> Any:
        """The value of a key; None if it is not there."""
        value = self.values
        for name in key:
            value = dict(inside(value)).get(name)
        return value

    def is_option(self, key: Key) -> bool:
        """Whether the command line gave this key."""
        return key in self.places and not self.places[key].line

    def put(self, key: Key, value: Any) -> None:
        """Set the value of a key that is there."""
        section = self.values
        for name in key[:-1]:
            section = section[name]
        section[key[-1]] = value

    def forget(self, key: Key) -> None:
        """Lose the places of a key and of all below it."""
        for known in [known for known in self.places if known[: len(key)] == key]:
            del self.places[known]
            self.typed.pop(known, None)


def read_document(path: Path) -> Document:
    """Parse a recipe's file."""
    try:
        if path.is_dir():
            raise RecipeError(f"{path}: is a directory, not a recipe")
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RecipeError(f"{str(path)!r}: is not a file name") from error
    if len(content) > _MOST_BYTES:
        raise RecipeError(f"{path}: has more than {_MOST_BYTES:,} bytes; this is no recipe")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RecipeError(f"{path}:{line}: is not UTF-8 text; this is no recipe, or in another encoding") from error
    document = parse(text, Place(str(path), 1, 1))
    if document.values is None:
        raise RecipeError(f"{path}:1:1: is empty; a recipe has at least run, data and model")
    if not isinstance(document.values, dict):
        kind = "a list" if isinstance(document.values, list) else "text"
        raise RecipeError(
            f"{document.place(())}: is {kind}, but a recipe is made of settings such as `run: runs/first`"
        )
    return document


def parse(text: str, start: Place) -> Document:
    """Parse one YAML document without tags, anchors and aliases; RecipeError if it is not one."""
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
    except yaml.reader.ReaderError as error:
        place = _place_of(
            start, text.count("\n", 0, error.position), error.position - text.rfind("\n", 0, error.position)
        )
        raise RecipeError(f"{place}: holds a character that text does not: U+{int(error.character):04X}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = _place_of(start, mark.line, mark.column + 1) if mark else start
        raise RecipeError(f"{place}: {_in_plain_words(error)}") from error
    document = Document(None, {(): start})
    if root is not None:
        document.places[()] = _place_of(start, root.start_mark.line, root.start_mark.column + 1)
        document.values = _value(root, (), document)
    return document


def scalar(text: str) -> Any:
    """The value of text without quotes, by YAML 1.2."""
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _INTEGER.fullmatch(text) and len(text) <= _LONGEST_INTEGER:
        base = _INTEGER_BASES.get(text[:2])
        return int(text[2:], base) if base else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _NOT_FINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return text


class _UnusedYAML(yaml.MarkedYAMLError):
    """Valid YAML that no recipe needs."""


class _Loader(yaml.SafeLoader):
    """Composes nodes that are a tree of text, with no type of their own: `scalar` decides on types."""

    yaml_implicit_resolvers: dict[str, Any] = {}
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _UnusedYAML(
                problem="& and * are not used in recipes; write the value out", problem_mark=event.start_mark
            )
        if event.tag is not None:
            raise _UnusedYAML(problem="tags (!) are not used in recipes; leave it out", problem_mark=event.start_mark)
        if self.depth == _DEEPEST:
            raise _UnusedYAML(problem="is nested too deeply", problem_mark=event.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _value(node: yaml.Node, key: Key, document: Document) -> Any:
    """The value of a node, whose places it adds to the document."""
    if isinstance(node, yaml.MappingNode):
        return {name: _value(inner, (*key, name), document) for name, inner in _entries(node, key, document)}
    if isinstance(node, yaml.SequenceNode):
        for number, inner in enumerate(node.value):
            document.places[*key, number] = _place(inner, document)
        return [_value(inner, (*key, number), document) for number, inner in enumerate(node.value)]
    if not isinstance(node, yaml.ScalarNode) or node.style is not None:  # text in quotes, or a block of it
        return node.value
    document.typed[key] = node.value
    return scalar(node.value)


def _entries(node: yaml.MappingNode, section: Key, document: Document) -> Iterator[tuple[str, yaml.Node]]:
    """The keys of a mapping, which are always text, with their values; a key given twice counts once."""
    for name, value in node.value:
        place = _place(name, document)
        if not isinstance(name, yaml.ScalarNode):
            document.mistakes.append(Mistake(place, section, "a key must be a word, not a list or section"))
        elif (first := document.places.get((*section, name.value))) is not None:
            where = f"line {first.line}" if first.line else "the same option"
            document.mistakes.append(Mistake(place, (*section, name.value), f"is given twice; the first is on {where}"))
        else:
            document.places[*section, name.value] = place
            yield name.value, value


def dotted(key: Key) -> str:
    """A key as people write it: `data.filters.2.most`, where a list begins with 1."""
    return ".".join(str(name + 1) if isinstance(name, int) else name for name in key)


def inside(value: Any) -> Iterator[tuple[str | int, Any]]:
    """What is in a section by key, or in a list by number; nothing is in another value."""
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _one_line(text: str) -> str:
    return text.replace("\n", "\\n")


def _place(node: yaml.Node, document: Document) -> Place:
    return _place_of(document.places[()], node.start_mark.line, node.start_mark.column + 1)


def _place_of(start: Place, lines_before: int, column: int) -> Place:
    return Place(start.source, lines_before + 1, column) if start.line else start


def _in_plain_words(error: yaml.MarkedYAMLError) -> str:
    problem = (error.problem or "cannot be understood").replace("<stream end>", "the end")
    if isinstance(error, _UnusedYAML):
        return problem
    if "\\t" in problem:
        return "has a tab; indent with spaces"
    if "another document" in problem:
        return "begins a second document; a recipe is one"
    if "mapping values are not allowed" in problem:
        return "has a key where none can be; look at the indentation, and quote text that has a colon in it"
    return f"is not valid YAML: {problem}"
