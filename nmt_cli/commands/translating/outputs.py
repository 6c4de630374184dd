"""Output: a file that appears when it is complete, or stdout, a pipe or a device, which are written to directly.

A sidecar, a file beside an output file, describes how it was made, so that the same translation is not repeated.
"""

import hashlib
import importlib.metadata
import select
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import IO, Any

from nmt_cli import __version__, files
from nmt_cli.commands.model_config import hashes_of_decoding, named_model, settings_after_training
from nmt_cli.commands.stdout import open_stdout
from nmt_cli.commands.translating.inputs import ByteRange, Input
from nmt_cli.commands.translating.request_reader import InputOptions
from nmt_cli.commands.translating.workers import TranslatorFactory
from nmt_cli.errors import DataError, ModelError, RecipeError
from nmt_cli.runs.directory import find_adapter

_LISTS = ("glossary", "bad_words", "toxic_words", "source_toxic_words")
"""Options that may be long."""
Origin = Mapping[str, Any]
"""Everything an output's bytes depend on, except versions, as JSON."""


@contextmanager
def open_output(path: Path | None) -> Iterator[IO[bytes]]:
    """Open a file that appears when it is complete, or stdout (None), a pipe or a device."""
    with open_stdout() if path is None else files.output_file(path) as stream:
        yield stream


class HashedOutput:
    """Counts and hashes what is written to a stream."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._hash, self._num_bytes, self.num_lines = stream, hashlib.sha256(), 0, 0

    def write(self, content: bytes) -> None:
        """Write bytes."""
        self._stream.write(content)
        self._hash.update(content)
        self._num_bytes += len(content)
        self.num_lines += content.count(b"\n")

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()

    def describe(self) -> Origin:
        """Return size and hash of what was written."""
        return {"bytes": self._num_bytes, "sha256": self._hash.hexdigest()}


def write_lines(target: IO[bytes] | HashedOutput, lines: bytes) -> None:
    """Write lines and flush.

    Lines are written in chunks that a pipe takes atomically: a reader never sees part of a line, however this process
    ends, unless the line is longer than a chunk.
    """
    for chunk in _chunks(lines, select.PIPE_BUF):
        target.write(chunk)
        target.flush()


def check_output(input: Path | None, output: Path | None) -> None:
    """Raise RecipeError if the output is a directory or would overwrite the input."""
    if output is None:
        return
    if output.is_dir():
        raise RecipeError(f"{output}: is a directory; name a file for the translations")
    files.require_folder_of(output)
    if input is not None and output.is_file() and input.exists() and output.samefile(input):
        raise RecipeError(f"{output}: is also the input; name another file for the translations")


def _chunks(lines: bytes, max_bytes: int) -> Iterator[bytes]:
    """Yield as many whole lines as fit into `max_bytes`, or a single line that does not."""
    start = 0
    while start < len(lines):
        end = lines.rfind(b"\n", start, start + max_bytes) + 1 or lines.find(b"\n", start) + 1 or len(lines)
        yield lines[start:end]
        start = end


@dataclass(frozen=True)
class Sidecar:
    """Describes how the file `output` is made, and the contents it then has."""

    output: Path
    origin: Origin
    describe_origin: Callable[[], Origin]
    """Return the origin as it is now, to find what changed while the file was written."""

    @property
    def path(self) -> Path:
        """The file of the description."""
        return files.beside(self.output, ".nmt.json")

    def is_up_to_date(self) -> bool:
        """Return whether the output exists unchanged and has this origin."""
        found = _read_sidecar(self.path)
        if found is None or found["origin"] != self.origin or not self.output.is_file():
            return False
        return bool(found.get("output") == _describe_file(self.output))

    def write(self, written: HashedOutput) -> None:
        """Write the description of the complete output, unless a file that it was made from has changed meanwhile."""
        if self.describe_origin() != self.origin:
            files.remove(self.path)
            return
        versions = {"nmt": __version__, "torch": importlib.metadata.version("torch")}
        description = {
            "origin": self.origin,
            "lines": written.num_lines,
            "output": written.describe(),
            "versions": versions,
        }
        files.write_json(self.path, description)


def _read_sidecar(path: Path) -> dict[str, Any] | None:
    """Return the contents of a sidecar; None if there is none, or if it is another file."""
    try:
        found = files.read_json(path)
    except DataError:
        return None
    return found if isinstance(found, dict) and {"origin", "output"} <= found.keys() else None


def sidecar_for(
    output: Path | None, source: Input, factory: TranslatorFactory, input_options: InputOptions
) -> Sidecar | None:
    """Return the sidecar of an output; None unless it, the input and the files of all options are regular files.

    The model is not loaded. A file of the user that has the name of the sidecar is left alone.
    """
    if output is None or source.byte_range is None:
        return None
    if output.is_relative_to("/dev") or (output.exists() and not output.is_file()):
        return None
    given_files = [*factory.options.models, *filter(None, [input_options.prefixes]), *input_options.factors.values()]
    if any(path.exists() and not path.is_file() and not path.is_dir() for path in given_files):
        return None  # such as a pipe, which can be read only once
    describe = partial(_describe_origin, source, source.byte_range, factory, input_options)
    sidecar = Sidecar(output, describe(), describe)
    return None if sidecar.path.exists() and _read_sidecar(sidecar.path) is None else sidecar


def _describe_origin(
    source: Input, byte_range: ByteRange, factory: TranslatorFactory, input_options: InputOptions
) -> Origin:
    options = {each.name: getattr(factory.options, each.name) for each in fields(factory.options)}
    if options["adapter"] is not None:
        options["adapter"] = find_adapter(options["adapter"]) / files.MANIFEST
    return {
        "input": {
            "first_line": source.first_line,
            "bytes": byte_range.stop - byte_range.start,
            "sha256": byte_range.sha256(),
        },
        "models": [describe_model(path, factory.options.overrides) for path in options.pop("models")],
        "options": _as_json(options | {name: _describe_list(options[name]) for name in _LISTS}),
        "format": factory.format,
        "input_options": _as_json({each.name: getattr(input_options, each.name) for each in fields(input_options)}),
    }


def describe_model(path: Path, overrides: Sequence[str] = ()) -> Origin:
    """Return hashes of all files that decide what a model translates, and the search settings of its recipe.

    Args:
        overrides: Changes of these settings, which may name a language model.
    """
    named = named_model(path)
    found = named.files
    files.read_json(found.folder / files.MANIFEST, ModelError)  # raises for a model without a manifest
    parts = [found.folder / files.MANIFEST]
    if not found.standalone and found.run is not None:
        parts += [found.run.resolved, *sorted(named.tokenizer.iterdir())]
    description: dict[str, Any] = {part.name: files.sha256(part) for part in parts}
    if named.recipe is not None:
        description["decoding"] = named.recipe.decoding.model_dump(mode="json")
    return description | hashes_of_decoding(settings_after_training(named, overrides).decoding)


def _as_json(value: Any) -> Any:
    """Return an option as JSON. A file is described by its contents."""
    if isinstance(value, Path):
        return _describe_file(value)
    if isinstance(value, Mapping):
        return {str(key): _as_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(each) for each in value]
    return value


def _describe_list(values: Sequence[object]) -> Origin:
    return {"entries": len(values), "sha256": hashlib.sha256(repr(values).encode()).hexdigest()}


def _describe_file(path: Path) -> Origin:
    with files.read_errors(path, DataError):
        return {"bytes": path.stat().st_size, "sha256": files.sha256(path)}
