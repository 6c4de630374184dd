"""The prepared folder: tokenizer, token arrays and normalised text of a recipe's corpora, closed by a manifest."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.console import Progress, say
from nmt_cli.data.corpora import Tally, read_pairs
from nmt_cli.data.token_corpus import TokenCorpus, write_corpus
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import DataError, NmtError
from nmt_cli.recipe.data import Corpus
from nmt_cli.recipe.schema import Recipe
from nmt_cli.text.lines import read_lines
from nmt_cli.text.normalization import NORMALIZATIONS

_KIND = "data prepared by nmt"
_FORMAT = 1
_SAMPLING_SEED = 1  # not the recipe's: runs that differ in seed alone share their data


@dataclass(frozen=True)
class Prepared:
    """What training reads: memory-mapped corpora, in the order of the recipe."""

    tokenizer: Tokenizer
    train: list[TokenCorpus]
    valid: dict[str, TokenCorpus]
    manifest: dict[str, Any] = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all files' contents: equal data, equal fingerprint, wherever it came from."""
        return hashlib.sha256(files.json_bytes(self.manifest["files"])).hexdigest()


def prepare(recipe: Recipe) -> Prepared:
    """Fill the recipe's prepared folder anew, whole or not at all; what else may be in its place is never replaced."""
    folder = recipe.data.prepared
    check_paths(recipe)
    inputs = {name: _describe(path) for name, path in _inputs(recipe).items()}
    with files.disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with files.lock(folder.with_name(folder.name + ".lock")), files.new_folder(folder) as unfinished:
        tallies = {name: _normalize(recipe, name, unfinished / name) for name in _corpora(recipe)}
        say(f"learning {recipe.tokenizer.vocabulary_size:,} subwords")
        tokenizer = _train_tokenizer(recipe, unfinished)
        tokenizer.save(unfinished / "tokenizer")
        counts = {name: _encode(recipe, name, unfinished / name, tokenizer, tallies[name]) for name in tallies}
        files.write_manifest(
            unfinished,
            {"kind": _KIND, "format": _FORMAT, "settings": _settings(recipe), "inputs": inputs, "corpora": counts},
        )
    return open_prepared(recipe)


def is_current(recipe: Recipe) -> bool:
    """Whether the prepared folder is whole, and is what `prepare` would make of the recipe and its files today."""
    try:
        manifest = _read_manifest(recipe)
        inputs = {name: _describe(path) for name, path in _inputs(recipe).items()}
    except NmtError:
        return False
    return bool(manifest["settings"] == _settings(recipe) and manifest["inputs"] == inputs)


def open_prepared(recipe: Recipe) -> Prepared:
    """Check that the prepared folder is whole and belongs to the recipe, and open it.

    The corpora it was made from need not be there any more; those that are must not have changed.
    """
    manifest = _read_manifest(recipe)
    _check_settings(recipe, manifest)
    _check_inputs(recipe, manifest)
    folder = recipe.data.prepared
    tokenizer = Tokenizer.load(folder / "tokenizer")
    sizes = tokenizer.source_size, tokenizer.target_size
    return Prepared(
        tokenizer,
        [TokenCorpus(folder / "train" / name, *sizes) for name in recipe.data.train],
        {name: TokenCorpus(folder / "valid" / name, *sizes) for name in recipe.data.valid},
        manifest,
    )


def check_paths(recipe: Recipe) -> None:
    """DataError if a corpus is not there, or if what is in the folder's place was not made by `prepare`."""
    for path in _inputs(recipe).values():
        _check_file(path)
    folder = recipe.data.prepared
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir():
        raise DataError(f"{folder}: is a file, where data.prepared names a folder")
    if not _is_ours(folder):
        raise DataError(f"{folder}: holds files that nmt did not make; name another folder as data.prepared")


def _is_ours(folder: Path) -> bool:
    try:
        manifest = files.read_json(folder / files.MANIFEST)
    except NmtError:
        return False
    return isinstance(manifest, dict) and manifest.get("kind") == _KIND


def _corpora(recipe: Recipe) -> dict[str, Corpus]:
    """All corpora by the folder that each fills."""
    train, valid = recipe.data.train, recipe.data.valid
    return {f"train/{name}": corpus for name, corpus in train.items()} | {
        f"valid/{name}": corpus for name, corpus in valid.items()
    }


def _inputs(recipe: Recipe) -> dict[str, Path]:
    """All files that are read, by corpus and side."""
    return {
        f"{name}/{side}": path
        for name, corpus in _corpora(recipe).items()
        for side, path in (("source", corpus.source), ("target", corpus.target))
    }


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise DataError(f"{path}: is a directory, not a file")
    if not path.exists():
        raise DataError(f"{path}: does not exist")
    if not path.is_file():
        raise DataError(f"{path}: is no regular file, but must be read more than once")


def _describe(path: Path) -> dict[str, Any]:
    """What is in a file, its only trait that matters: names and times may change."""
    _check_file(path)
    try:
        return {"bytes": path.stat().st_size, "sha256": files.sha256(path)}
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _settings(recipe: Recipe) -> dict[str, Any]:
    """What decides the result, besides the files, by the recipe's keys."""
    tokenizer = {f"tokenizer.{key}": value for key, value in recipe.tokenizer.model_dump(mode="json").items()}
    return tokenizer | {
        "data.max_length": recipe.data.max_length,
        "data.train": list(recipe.data.train),
        "data.valid": list(recipe.data.valid),
    }


def _normalize(recipe: Recipe, name: str, folder: Path) -> Tally:
    """Write the usable pairs of a corpus as normalised text, for the tokenizer to learn from and then to cut."""
    corpus, tally = _corpora(recipe)[name], Tally()
    folder.mkdir(parents=True)
    source, target = _normalized(folder)
    with (
        source.open("wb") as sources,
        target.open("wb") as targets,
        Progress(f"reading {name}", "pairs") as progress,
    ):
        for one, other in read_pairs(corpus, NORMALIZATIONS[recipe.tokenizer.normalization], tally):
            sources.write(f"{one}\n".encode())
            targets.write(f"{other}\n".encode())
            progress.advance()
    _refuse_useless(corpus, tally)
    return tally


def _normalized(folder: Path) -> tuple[Path, Path]:
    return folder / "source.normalized", folder / "target.normalized"


def _train_tokenizer(recipe: Recipe, folder: Path) -> Tokenizer:
    sides = [_normalized(folder / "train" / name) for name in recipe.data.train]
    return Tokenizer.train(
        recipe.tokenizer,
        (line for source, _ in sides for line in read_lines(source)),
        (line for _, target in sides for line in read_lines(target)),
        _SAMPLING_SEED,
    )


def _encode(recipe: Recipe, name: str, folder: Path, tokenizer: Tokenizer, tally: Tally) -> dict[str, Any]:
    """Cut the normalised text of a corpus into tokens; a validation set keeps its long pairs."""
    source, target = _normalized(folder)
    longest = recipe.data.max_length if name.startswith("train/") else math.inf
    with Progress(f"cutting {name}", "pairs", total=tally.kept) as progress:

        def pairs() -> Iterator[tuple[str, str]]:
            for pair in zip(read_lines(source), read_lines(target), strict=True):
                yield pair
                progress.advance()

        tokens = write_corpus(folder, pairs(), tokenizer, longest, tally)
    source.unlink()
    target.unlink()
    _refuse_useless(_corpora(recipe)[name], tally)
    return {
        "read": tally.read,
        "kept": tally.kept,
        "dropped": dict(sorted(tally.dropped.items())),
        "source_tokens": tokens.source,
        "target_tokens": tokens.target,
    }


def _refuse_useless(corpus: Corpus, tally: Tally) -> None:
    if not tally.kept:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(tally.dropped.items()))
        raise DataError(
            f"{corpus.source}, {corpus.target}: 0 usable pairs of {tally.read:,} read"
            + (f" ({reasons})" if reasons else "")
        )


def _read_manifest(recipe: Recipe) -> dict[str, Any]:
    """The manifest, all files checked against it."""
    folder = recipe.data.prepared
    if not (folder / files.MANIFEST).is_file():
        raise DataError(f"{folder}: holds no prepared data; run `nmt preprocess` first")
    try:
        manifest = files.read_manifest(folder, DataError)
    except DataError as error:
        raise DataError(f"{error}; run `nmt preprocess` again") from error
    parts = [manifest.get(part) for part in ("settings", "inputs", "corpora")]
    if (manifest.get("kind"), manifest.get("format")) != (_KIND, _FORMAT) or not all(
        isinstance(p, dict) for p in parts
    ):
        raise DataError(f"{folder}: is not data prepared by this version of nmt; run `nmt preprocess`")
    return manifest


def _check_settings(recipe: Recipe, manifest: dict[str, Any]) -> None:
    wanted, found = _settings(recipe), manifest["settings"]
    differences = [
        f"{recipe.data.prepared}: was prepared with {key} {found.get(key)}, but the recipe says {value}; "
        "run `nmt preprocess` with this recipe"
        for key, value in wanted.items()
        if value != found.get(key)
    ]
    if differences:
        raise DataError("\n".join(differences))


def _check_inputs(recipe: Recipe, manifest: dict[str, Any]) -> None:
    for name, path in _inputs(recipe).items():
        if path.exists() and _describe(path) != manifest["inputs"].get(name):
            raise DataError(f"{path}: has changed since it was prepared; run `nmt preprocess` again")
