"""Prepared data, as training opens it: tokenizer, corpora, and the manifest that records what they were made from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.data.batches import PLAIN, SequenceLayout
from nmt_cli.data.preparation.corpora import HashCache, data_settings, file_identity, input_files
from nmt_cli.data.preparation.manifest import FORMAT_VERSION, MANIFEST_KIND, CorpusStats, fingerprint_of
from nmt_cli.data.token_corpus import TokenCorpus
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import DataError, NmtError
from nmt_cli.recipe.data import SequenceSettings
from nmt_cli.recipe.schema import Recipe

TOKENIZER = "tokenizer"
_EARLIER_SETTINGS = {
    "model.output.type": "softmax",
    "data.length_tags": False,
    "data.sequence": SequenceSettings().model_dump(),
}
"""Values of settings that the manifests of earlier versions do not have."""
HASHES = "hashes.json"
"""Cache of the hashes of files that were valid when they were last read."""


@dataclass(frozen=True)
class Prepared:
    """Corpora on disk, in the order of the recipe, and their tokenizer."""

    tokenizer: Tokenizer
    train: list[TokenCorpus]
    valid: dict[str, TokenCorpus]
    manifest: dict[str, Any] = field(repr=False)
    warnings: list[str] = field(default_factory=list)
    """Test sets that the overlap filter did not use."""
    layout: SequenceLayout = PLAIN
    is_monolingual: bool = False
    """Whether the corpora are text without translations, which is packed into rows of `max_length` tokens."""

    @property
    def max_length(self) -> int:
        """Maximum number of tokens of either side of a training pair."""
        return int(self.manifest["adapted"]["data.max_length"])

    @property
    def adapted(self) -> dict[str, Any]:
        """Settings that follow from the text unless the recipe gives them, by key."""
        return dict(self.manifest["adapted"])

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the contents of all files: equal data has equal fingerprints, regardless of its paths."""
        return fingerprint_of(self.manifest)


def is_current(recipe: Recipe, pretrained: Tokenizer | None = None) -> bool:
    """Return whether the prepared folder is complete, and preparing again from the recipe and its files gives the same.

    Args:
        pretrained: The tokenizer of tokenizer.path.
    """
    hashes = HashCache(recipe.data.prepared / HASHES)
    try:
        manifest = _read_manifest(recipe, hashes.of)
        inputs = {name: file_identity(path, hashes.of) for name, path in input_files(recipe).items()}
    except NmtError:
        return False
    return not _differences(recipe, pretrained, manifest) and bool(manifest["inputs"] == inputs)


def open_prepared(recipe: Recipe, pretrained: Tokenizer | None = None) -> Prepared:
    """Check that the prepared folder is complete and belongs to the recipe, and open it.

    The input files may be gone, but those that exist must not have changed, except for test sets. Files whose size and
    times have not changed since they were last checked are not read again.

    Args:
        pretrained: The tokenizer of tokenizer.path; None if it is gone.

    Raises:
        DataError: The folder is missing, damaged, or was prepared from something else.
    """
    folder = recipe.data.prepared
    hashes = HashCache(folder / HASHES)
    manifest = _read_manifest(recipe, hashes.of)
    if differences := _differences(recipe, pretrained, manifest):
        raise DataError("\n".join(differences))
    warnings = _check_inputs(recipe, manifest, hashes.of)
    hashes.save()
    tokenizer, corpora = Tokenizer.load(folder / TOKENIZER), manifest["corpora"]

    def open_corpus(name: str) -> TokenCorpus:
        return TokenCorpus(folder / name, CorpusStats.from_json(name, corpora[name]), tokenizer)

    try:
        train = [open_corpus(f"train/{name}") for name in recipe.data.train]
        valid = {name: open_corpus(f"valid/{name}") for name in recipe.data.valid}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder / files.MANIFEST}: is damaged; run `nmt preprocess` again") from error
    layout = SequenceLayout.of(recipe.data.sequence)
    return Prepared(tokenizer, train, valid, manifest, warnings, layout, recipe.data.is_monolingual)


def _read_manifest(recipe: Recipe, hash_of: Callable[[Path], str]) -> dict[str, Any]:
    """Return the manifest, after all files were checked against it."""
    folder = recipe.data.prepared
    if not (folder / files.MANIFEST).is_file():
        raise DataError(f"{folder}: contains no prepared data; run `nmt preprocess` first")
    try:
        manifest = files.read_manifest(folder, DataError, hash_of)
    except DataError as error:
        raise DataError(f"{error}; run `nmt preprocess` again") from error
    parts = [manifest.get(part) for part in ("settings", "adapted", "inputs", "corpora")]
    is_current = manifest.get("kind") == MANIFEST_KIND and manifest.get("format") == FORMAT_VERSION
    if not is_current or not all(isinstance(part, dict) for part in parts):
        raise DataError(f"{folder}: is not data prepared by this version of nmt; run `nmt preprocess`")
    return manifest


def _differences(recipe: Recipe, pretrained: Tokenizer | None, manifest: dict[str, Any]) -> list[str]:
    """Return how the recipe differs from what was prepared, as messages. A missing tokenizer is not compared."""
    prepared = manifest["settings"]
    fingerprint = pretrained.fingerprint if pretrained else prepared.get("tokenizer.path") or "unknown"
    expected = data_settings(recipe, fingerprint)
    folder, path = recipe.data.prepared, recipe.tokenizer.path
    if expected["tokenizer.path"] != prepared.get("tokenizer.path"):
        tokenizer = f"the tokenizer of {path}" if path else "a tokenizer trained on this text"
        return [f"{folder}: was not prepared with {tokenizer}; run `nmt preprocess` with this recipe"]
    used = _EARLIER_SETTINGS | prepared | manifest["adapted"]
    return [
        f"{folder}: was prepared with {key} {used.get(key)}, but the recipe says {value}; "
        "run `nmt preprocess` with this recipe"
        for key, value in expected.items()
        if value not in (prepared.get(key), used.get(key))
    ]


def _check_inputs(recipe: Recipe, manifest: dict[str, Any], hash_of: Callable[[Path], str]) -> list[str]:
    """Raise DataError if a corpus has changed; return a warning for each test set that is new or has changed."""
    warnings = {}
    for name, path in input_files(recipe).items():
        if not path.exists() or file_identity(path, hash_of) == manifest["inputs"].get(name):
            continue
        kind, test_set, _ = f"{name}/".split("/", 2)
        if kind != "test":
            raise DataError(f"{path}: has changed since it was prepared; run `nmt preprocess` again")
        warnings[test_set] = (
            f"{path}: the training text may contain lines of this test set, which is newer than"
            f" {recipe.data.prepared}; run `nmt preprocess` again to drop them (filter overlap)"
        )
    return list(warnings.values())
