"""`nmt export`: a model → a folder that another program can use."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from nmt_cli import __version__, console, files
from nmt_cli.commands.loading import load_model
from nmt_cli.errors import RecipeError
from nmt_cli.interop import ctranslate2
from nmt_cli.runs.checkpoints import read_tensors
from nmt_cli.runs.directory import WEIGHTS

Form = Literal["ctranslate2"]

_EXPORTS: dict[str, Callable[..., None]] = {"ctranslate2": ctranslate2.export}


def export(model: Path, to: Form, output: Path) -> None:
    """Write `model` in another form into the folder `output`, whole or not at all; an older export is replaced."""
    _refuse_foreign_folder(output)
    loaded = load_model(model)
    weights = read_tensors(loaded.files.folder / WEIGHTS)
    with files.new_folder(output) as folder:
        _EXPORTS[to](loaded.config.model, weights, loaded.tokenizer, folder)
        files.write_manifest(folder, {"format": 1, "nmt": __version__, "exported": to})
    console.info(f"{output}: the model for {to}; its README.md shows how to translate with it")


def _refuse_foreign_folder(output: Path) -> None:
    """What is in the folder's place must be an export, or nothing, since it will be gone."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    foreign = RecipeError(f"{output}: is there already, and is no export of nmt; name another folder with --output")
    try:
        manifest = files.read_json(output / files.MANIFEST, RecipeError)
    except RecipeError as error:
        raise foreign from error
    if not isinstance(manifest, dict) or "exported" not in manifest:
        raise foreign
