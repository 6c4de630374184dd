"""The recipe reference in Markdown, made from the schema: `python -m nmt_cli.recipe.reference > docs/recipe.md`."""

import json
import re
from collections.abc import Iterator
from typing import Any

from nmt_cli.recipe.loading.schema_walk import NAME, NUMBER, SectionKey, choice, chosen_by, sections
from nmt_cli.recipe.model import PresetSection
from nmt_cli.recipe.schema import Recipe
from nmt_cli.recipe.section import MAX_COUNT, NO_SPACES, Section

_INTRODUCTION = """\
<!-- Made from the schema by `python -m nmt_cli.recipe.reference > docs/recipe.md`; change nmt_cli/recipe instead. -->

# Recipe reference

A recipe is one YAML file that says everything: which text, which model, how to train, translate and score. All four
commands read it, and `--set key=value` changes a setting for one command: `--set training.limits.updates=500`.

- Only `run`, `data` and `model` must be given; everything else has the default shown here.
- It is YAML 1.2: `no` is a language and not a truth value, `3e-4` is a number. Anchors and tags are not used.
- Files and folders are relative to the directory in which a command is started.
- A recipe is checked whole before any file is touched, and every mistake is told with its line.
- `NAME` stands for a name of your choice. Items of a list are counted from 1: `--set data.filters.2.most=4`.
"""


_NEEDED = "**must be given**"


def reference() -> str:
    """The whole page."""
    lines = [_INTRODUCTION.removesuffix("\n")]
    for key, classes in sections(Recipe).items():
        for section in classes:
            lines += _section(key, section, _title(key, section, classes))
    return "\n".join(lines) + "\n"


def _section(key: SectionKey, section: type[Section], title: str) -> Iterator[str]:
    """The lines on one section: a row for each of its settings."""
    yield from ("", f"## {title}", "", _sentences(section), "")
    yield from ("| key | value | default | what it does |", "|---|---|---|---|")
    settings = section.model_json_schema()["properties"]
    names = [name for name, schema in settings.items() if "const" in schema]
    if names:  # in one of several classes, what decides is first, then what must be given
        names += [name for name in settings if _default(section, name) == _NEEDED]
    for name in dict.fromkeys([*names, *settings]):
        inner_key, inner = _section_within((*key, name))
        value = _links(inner_key, inner) if inner else _value(settings[name])
        description = _one_line(section.model_fields[name].description) or (_sentences(inner[0]) if inner else "")
        yield f"| `{name}` | {value} | {_default(section, name)} | {description} |"
    if issubclass(section, PresetSection):
        yield from ("", *_presets(section))


def _section_within(key: SectionKey) -> tuple[SectionKey, tuple[type[Section], ...]]:
    """The section that a setting is, or whose names or items it holds; no class if it is a plain setting."""
    known = sections(Recipe)
    return next(((found, known[found]) for found in (key, (*key, NAME), (*key, NUMBER)) if found in known), (key, ()))


def _title(key: SectionKey, section: type[Section], classes: tuple[type[Section], ...]) -> str:
    dotted = f"`{'.'.join(key)}`" if key else "Top level"
    if key[-1:] == (NUMBER,):
        dotted = f"`{'.'.join(key[:-1])}` item"
    if len(classes) == 1:
        return dotted
    decider = choice(classes)
    return f"{dotted} with `{decider}: {chosen_by(section, decider)}`"


def _links(key: SectionKey, classes: tuple[type[Section], ...]) -> str:
    """Where the settings of a section are described."""
    anchors = [_anchor(_title(key, section, classes)) for section in classes]
    kind = {NAME: "names, each a section", NUMBER: "list of sections"}.get(key[-1], "section")
    if len(classes) == 1:
        return f"{kind} [{_title(key, classes[0], classes)}](#{anchors[0]})"
    names = [chosen_by(section, choice(classes)) for section in classes]
    links = ", ".join(f"[`{name}`](#{anchor})" for name, anchor in zip(names, anchors, strict=True))
    return f"{kind} by `{choice(classes)}`: {links}"


def _anchor(title: str) -> str:
    """The name that a heading has in a link, as GitHub makes it."""
    return re.sub(r"[^a-z0-9_ -]", "", title.lower()).replace(" ", "-")


def _sentences(section: type[Section]) -> str:
    return _one_line(section.__doc__)


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def _default(section: type[Section], name: str) -> str:
    field = section.model_fields[name]
    if issubclass(section, PresetSection) and name in section.sizes["base"]:
        return "from the preset"
    if field.is_required():
        return _NEEDED
    default = field.default
    if isinstance(default, Section | dict):
        return ""
    if isinstance(default, list):
        default = [_shortest(item) if isinstance(item, Section) else item for item in default]
    text = json.dumps(default).replace('"', "")
    return f"`{text}`"


def _shortest(item: Section) -> dict[str, Any]:
    """What to write for an item of a list: what decides on its class, and what is not the default."""
    settings = item.model_json_schema()["properties"]
    return {
        name: value
        for name, value in item
        if "const" in settings[name] or value != type(item).model_fields[name].default
    }


def _value(schema: dict[str, Any]) -> str:
    """The type and range of a setting, from its JSON schema."""
    if "anyOf" in schema:
        inner = [other for other in schema["anyOf"] if other != {"type": "null"}]
        return "; or ".join([*map(_value, inner), "`null`"][: len(schema["anyOf"])])
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{known}`" for known in schema.get("enum", [schema.get("const")]))
    if schema["type"] == "array":
        exactly = schema.get("minItems") if schema.get("minItems") == schema.get("maxItems") else None
        return f"list{f' of {exactly}' if exactly else ''}: {_value(schema['items'])}"
    if schema["type"] == "object":
        (inner,) = schema["patternProperties"].values()
        return f"names, each with: {_value(inner)}"
    if schema["type"] in ("integer", "number"):
        return ", ".join([{"integer": "whole number", "number": "number"}[schema["type"]], *_bounds(schema)])
    if schema["type"] == "boolean":
        return "`true` or `false`"
    if schema.get("format") == "path":
        return "file name"
    if "pattern" in schema:
        return "text without spaces" if schema["pattern"] == NO_SPACES else "name of letters, digits, `-` and `_`"
    return "text"


def _bounds(schema: dict[str, Any]) -> Iterator[str]:
    words = {
        "multipleOf": "multiple of",
        "minimum": "at least",
        "exclusiveMinimum": "more than",
        "maximum": "at most",
        "exclusiveMaximum": "less than",
    }
    for name, word in words.items():
        if name in schema and schema[name] < MAX_COUNT:
            yield f"{word} {schema[name]:g}" if schema[name] < 1000 else f"{word} {schema[name]:,}"


def _presets(section: type[PresetSection]) -> Iterator[str]:
    names = list(section.sizes["base"])
    yield f"| preset | {' | '.join(f'`{name}`' for name in names)} |"
    yield "|---|" + "---:|" * len(names)
    for preset, sizes in section.sizes.items():
        yield f"| `{preset}` | {' | '.join(str(sizes[name]) for name in names)} |"


if __name__ == "__main__":
    print(reference(), end="")
