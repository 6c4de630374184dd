"""A file beside an output that describes how it was made, so that the same translation is not repeated."""

import hashlib
import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from nmt_cli import __version__, files
from nmt_cli.commands.finding import named_model
from nmt_cli.commands.translating.inputs import Input
from nmt_cli.commands.translating.outputs import is_regular_output
from nmt_cli.commands.translating.request_reader import InputOptions
from nmt_cli.commands.translating.workers import TranslatorFactory
from nmt_cli.errors import DataError, ModelError

Origin = Mapping[str, Any]
"""Everything an output's bytes depend on, except versions, as JSON."""


@dataclass(frozen=True)
class Sidecar:
    """Describes how the file `output` is made, and the contents it then has."""

    output: Path
    origin: Origin

    @property
    def path(self) -> Path:
        """The file of the description."""
        return self.output.with_name(self.output.name + ".nmt.json")

    def is_up_to_date(self) -> bool:
        """Return whether the output exists unchanged and has this origin."""
        try:
            found = files.read_json(self.path, DataError)
        except DataError:
            return False
        if not isinstance(found, dict) or found.get("origin") != self.origin or not self.output.is_file():
            return False
        return bool(found.get("output") == _describe_file(self.output))

    def write(self, lines: int) -> None:
        """Write the description of the complete output."""
        versions = {"nmt": __version__, "torch": importlib.metadata.version("torch")}
        description = {
            "origin": self.origin,
            "lines": lines,
            "output": _describe_file(self.output),
            "versions": versions,
        }
        files.write_json(self.path, description)


def sidecar_for(
    output: Path | None, source: Input, factory: TranslatorFactory, input_options: InputOptions
) -> Sidecar | None:
    """Return the sidecar of an output; None unless output and input are files. The model is not loaded."""
    if output is None or not is_regular_output(output) or source.byte_range is None:
        return None
    options = {each.name: getattr(factory.options, each.name) for each in fields(factory.options)}
    origin = {
        "input": {
            "first_line": source.first_line,
            "bytes": source.byte_range.stop - source.byte_range.start,
            "sha256": source.byte_range.sha256(),
        },
        "models": [_describe_model(path) for path in options.pop("models")],
        "options": _as_json(options | {name: _describe_list(options[name]) for name in ("glossary", "bad_words")}),
        "format": factory.format,
        "input_options": _as_json({each.name: getattr(input_options, each.name) for each in fields(input_options)}),
    }
    return Sidecar(output, origin)


def _describe_model(path: Path) -> Origin:
    named = named_model(path)
    found = named.files
    files.read_json(found.folder / files.MANIFEST, ModelError)  # raises for a model without a manifest
    parts = [found.folder / files.MANIFEST]
    if not found.standalone and found.run is not None:
        parts += [found.run.resolved, *sorted(named.tokenizer.iterdir())]
    description: dict[str, Any] = {part.name: files.sha256(part) for part in parts}
    if named.recipe is not None:
        description["decoding"] = named.recipe.decoding.model_dump(mode="json")
    return description


def _as_json(value: Any) -> Any:
    """Return an option as JSON. A file is described by its contents."""
    if isinstance(value, Path):
        return _describe_file(value) if value.is_file() else str(value)
    if isinstance(value, Mapping):
        return {str(key): _as_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(each) for each in value]
    return value


def _describe_list(values: Sequence[object]) -> Origin:
    return {"entries": len(values), "sha256": hashlib.sha256(repr(values).encode()).hexdigest()}


def _describe_file(path: Path) -> Origin:
    return {"bytes": path.stat().st_size, "sha256": files.sha256(path)}
