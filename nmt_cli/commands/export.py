"""`nmt export`: convert a model to the format of another inference engine."""

from collections.abc import Callable
from pathlib import Path

from nmt_cli import __version__, files
from nmt_cli.commands.loading import load_model
from nmt_cli.errors import RecipeError
from nmt_cli.interop import ctranslate2

_EXPORTERS: dict[str, Callable[..., None]] = {"ctranslate2": ctranslate2.export}


def export(model: Path, to: str, output: Path) -> None:
    """Write `model` in format `to` into the folder `output` atomically, replacing an older export."""
    _refuse_other_folder(output)
    loaded = load_model(model)
    with files.new_folder(output) as folder:
        _EXPORTERS[to](loaded.model, loaded.tokenizer, folder)
        files.write_manifest(folder, {"format": 1, "nmt": __version__, "exported": to})


def _refuse_other_folder(output: Path) -> None:
    """Raise RecipeError if the folder, which will be replaced, is neither empty nor an export."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    refusal = RecipeError(f"{output}: exists and is not an nmt export; choose another folder with --output")
    try:
        manifest = files.read_json(output / files.MANIFEST, RecipeError)
    except RecipeError as error:
        raise refusal from error
    if not isinstance(manifest, dict) or "exported" not in manifest:
        raise refusal
