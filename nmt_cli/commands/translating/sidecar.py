"""A small file beside an output that says what it was made of, so that what is done is not done again."""

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from nmt_cli import __version__, files
from nmt_cli.commands.finding import named_model
from nmt_cli.commands.translating.answering import Opener
from nmt_cli.commands.translating.inputs import Input
from nmt_cli.commands.translating.outputs import becomes_file
from nmt_cli.commands.translating.requests import RequestOptions
from nmt_cli.errors import DataError, ModelError

Origin = Mapping[str, Any]
"""All that an output's bytes depend on, versions apart, as JSON."""


@dataclass(frozen=True)
class Sidecar:
    """Says what the file `output` was made of, and what it then held; untrue of any other contents."""

    output: Path
    origin: Origin

    @property
    def path(self) -> Path:
        """Where it is said."""
        return self.output.with_name(self.output.name + ".nmt.json")

    def is_true(self) -> bool:
        """Whether the output is there, and made of just this."""
        try:
            said = files.read_json(self.path, DataError)
        except DataError:
            return False
        if not isinstance(said, dict) or said.get("origin") != self.origin or not self.output.is_file():
            return False
        return bool(said.get("output") == _described_file(self.output))

    def write(self, lines: int) -> None:
        """Say it of the output, which is complete."""
        versions = {"nmt": __version__, "torch": importlib.metadata.version("torch")}
        said = {"origin": self.origin, "lines": lines, "output": _described_file(self.output), "versions": versions}
        files.write_json(self.path, said)


def sidecar_of(output: Path | None, source: Input, opener: Opener, reading: RequestOptions) -> Sidecar | None:
    """What is to be said of an output, if it stays and its input can be read once more; the model is not loaded."""
    if output is None or not becomes_file(output) or source.section is None:
        return None
    options = {field.name: getattr(opener.options, field.name) for field in fields(opener.options)}
    factors = {"factors": reading.factors} if reading.factors else {}
    origin = {
        "input": {
            "first_line": source.first,
            "bytes": source.section.stop - source.section.start,
            "sha256": source.section.sha256(),
        },
        "models": [_described_model(path) for path in options.pop("models")],
        "options": _plain(options),
        "format": opener.format,
        "reading": _plain({"format": reading.format, "prefixes": reading.prefixes} | factors),
    }
    return Sidecar(output, origin)


def _described_model(path: Path) -> Origin:
    named = named_model(path)
    found = named.files
    files.read_json(found.folder / files.MANIFEST, ModelError)  # a model without one is told here
    parts = [found.folder / files.MANIFEST]
    if not found.standalone and found.run is not None:
        parts += [found.run.resolved, *sorted(named.tokenizer.iterdir())]
    said: dict[str, Any] = {part.name: files.sha256(part) for part in parts}
    if named.recipe is not None:
        said["decoding"] = named.recipe.decoding.model_dump(mode="json")
    return said


def _plain(value: Any) -> Any:
    """An option as JSON; a file that it names stands for its contents."""
    if isinstance(value, Path):
        return _described_file(value) if value.is_file() else str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _described_file(path: Path) -> Origin:
    return {"bytes": path.stat().st_size, "sha256": files.sha256(path)}
