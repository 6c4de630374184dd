"""The prepared folder, as training opens it: tokenizer, corpora, and a manifest that says what they were made of."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.data.preparation.corpora import data_settings, file_identity, input_files
from nmt_cli.data.preparation.manifest import FORMAT, KIND, CorpusStats, fingerprint_of
from nmt_cli.data.token_corpus import TokenCorpus
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import DataError, NmtError
from nmt_cli.recipe.schema import Recipe

TOKENIZER = "tokenizer"
HASHES = "hashes.json"
"""Which files were found whole when they were last looked at."""


@dataclass(frozen=True)
class Prepared:
    """What training reads: corpora on disk, in the order of the recipe."""

    tokenizer: Tokenizer
    train: list[TokenCorpus]
    valid: dict[str, TokenCorpus]
    manifest: dict[str, Any] = field(repr=False)

    @property
    def max_length(self) -> int:
        """Tokens of the longest side that a training pair may have."""
        return int(self.manifest["settings"]["data.max_length"])

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all files' contents: equal data, equal fingerprint, wherever it came from."""
        return fingerprint_of(self.manifest)


def is_current(recipe: Recipe, taken: Tokenizer | None = None) -> bool:
    """Whether the prepared folder is whole, and is what would be made of the recipe and its files today."""
    hashes = files.HashCache(recipe.data.prepared / HASHES)
    try:
        manifest = _read_manifest(recipe, hashes.of)
        described = {name: file_identity(path, hashes.of) for name, path in input_files(recipe).items()}
    except NmtError:
        return False
    return not _differences(recipe, taken, manifest) and bool(manifest["inputs"] == described)


def open_prepared(recipe: Recipe, taken: Tokenizer | None = None) -> Prepared:
    """Check that the prepared folder is whole and belongs to the recipe, and open it.

    The corpora it was made from, and the tokenizer taken over, need not be there any more; those that are must not
    have changed. Files that have kept size and time since they were last found right are not read again.
    """
    folder = recipe.data.prepared
    hashes = files.HashCache(folder / HASHES)
    manifest = _read_manifest(recipe, hashes.of)
    if differences := _differences(recipe, taken, manifest):
        raise DataError("\n".join(differences))
    _check_inputs(recipe, manifest, hashes.of)
    hashes.save()
    tokenizer, corpora = Tokenizer.load(folder / TOKENIZER), manifest["corpora"]

    def opened(name: str) -> TokenCorpus:
        return TokenCorpus(folder / name, CorpusStats.from_json(name, corpora[name]), tokenizer)

    try:
        train = [opened(f"train/{name}") for name in recipe.data.train]
        valid = {name: opened(f"valid/{name}") for name in recipe.data.valid}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder / files.MANIFEST}: is damaged; run `nmt preprocess` again") from error
    return Prepared(tokenizer, train, valid, manifest)


def _read_manifest(recipe: Recipe, hashed: Callable[[Path], str]) -> dict[str, Any]:
    """The manifest, all files checked against it."""
    folder = recipe.data.prepared
    if not (folder / files.MANIFEST).is_file():
        raise DataError(f"{folder}: holds no prepared data; run `nmt preprocess` first")
    try:
        manifest = files.read_manifest(folder, DataError, hashed)
    except DataError as error:
        raise DataError(f"{error}; run `nmt preprocess` again") from error
    parts = [manifest.get(part) for part in ("settings", "inputs", "corpora")]
    if (manifest.get("kind"), manifest.get("format")) != (KIND, FORMAT) or not all(isinstance(p, dict) for p in parts):
        raise DataError(f"{folder}: is not data prepared by this version of nmt; run `nmt preprocess`")
    return manifest


def _differences(recipe: Recipe, taken: Tokenizer | None, manifest: dict[str, Any]) -> list[str]:
    """In words, how the recipe differs from what was prepared; a tokenizer that is not there any more is believed."""
    found = manifest["settings"]
    wanted = data_settings(recipe, taken.fingerprint if taken else found.get("tokenizer.take_from") or "unknown")
    folder, other = recipe.data.prepared, recipe.tokenizer.take_from
    if wanted["tokenizer.take_from"] != found.get("tokenizer.take_from"):
        asked = f"that of {other}" if other else "one learned from this text, as the recipe says"
        return [f"{folder}: was prepared with another tokenizer than {asked}; run `nmt preprocess` with this recipe"]
    return [
        f"{folder}: was prepared with {key} {found.get(key)}, but the recipe says {value}; "
        "run `nmt preprocess` with this recipe"
        for key, value in wanted.items()
        if value != found.get(key)
    ]


def _check_inputs(recipe: Recipe, manifest: dict[str, Any], hashed: Callable[[Path], str]) -> None:
    for name, path in input_files(recipe).items():
        if path.exists() and file_identity(path, hashed) != manifest["inputs"].get(name):
            raise DataError(f"{path}: has changed since it was prepared; run `nmt preprocess` again")
