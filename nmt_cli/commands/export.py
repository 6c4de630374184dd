"""`nmt export`: convert a model to the format of another inference engine."""

from collections.abc import Callable
from pathlib import Path

from nmt_cli import __version__, files
from nmt_cli.commands.loading import load_model
from nmt_cli.errors import RecipeError
from nmt_cli.interop import ctranslate2
from nmt_cli.reporting.container import read_manifest_or_empty

_EXPORTERS: dict[str, Callable[..., None]] = {"ctranslate2": ctranslate2.export}


def export(model: Path, to: str, output: Path) -> None:
    """Write `model` in format `to` into the folder `output` atomically, replacing an older export.

    Raises:
        RecipeError: The folder is neither empty nor an export.
    """
    files.require_folder_of(output)
    is_empty = not output.exists() or (output.is_dir() and not any(output.iterdir()))
    if not is_empty and "exported" not in read_manifest_or_empty(output):
        raise RecipeError(f"{output}: exists and is not an nmt export; choose another folder with --output")
    loaded = load_model(model)
    with files.new_folder(files.target_of(output)) as folder:
        _EXPORTERS[to](loaded.model, loaded.tokenizer, folder)
        files.write_manifest(folder, {"format": 1, "nmt": __version__, "exported": to})
