"""The model card of an export: README.md, with an example that the verification runs."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from nmt_cli import __version__
from nmt_cli.interop.exporting.model import ExportedModel

CARD = "README.md"
_DOCUMENTS = "source"
_UNKNOWN = "und"
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    undefined=StrictUndefined,
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write_model_card(
    exported: ExportedModel, name: str, title: str, usage: Mapping[str, Any], verification: str, folder: Path
) -> None:
    """Write README.md, and the licence and model card of an imported model.

    Args:
        name: Of the template `NAME.md.j2`, which has the example, the first block of Python.
        title: Title of the format.
        usage: Values of that template; `parameters`, if the model no longer has all of them.
        verification: Result, as a sentence without a full stop.
    """
    source, target = exported.languages
    if exported.documents is not None:
        shutil.copytree(exported.documents, folder / _DOCUMENTS, dirs_exist_ok=True)
    values = {
        "format": name,
        "title": title,
        "is_language_model": False,
        "languages": [code for code in dict.fromkeys((source, target)) if code != _UNKNOWN],
        "source_language": source,
        "target_language": target,
        "licence": exported.licence,
        "version": __version__,
        "parameters": count_parameters(exported),
        "verification": verification[:1].upper() + verification[1:],
        "documents": f"{_DOCUMENTS}/" if exported.documents is not None else None,
        "beam_size": exported.decoding.beam_size,
        "length_penalty": exported.decoding.length_penalty,
        "max_length": exported.max_length,
        "min_length": exported.decoding.min_length,
        "longest_sentence": exported.longest_sentence,
    }
    text = _TEMPLATES.get_template("model_card.md.j2").render({**values, **usage})
    (folder / CARD).write_text(text, encoding="utf-8")


def count_parameters(exported: ExportedModel) -> str:
    """Return the number of parameters of a model, for its card."""
    return f"{sum(each.numel() for each in exported.model.parameters()):,}"
