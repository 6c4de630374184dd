"""The prepared folder: tokenizer, token arrays and normalised text of a recipe's corpora, closed by a manifest."""

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.console import Progress, say
from nmt_cli.data.corpora import Tally, read_pairs
from nmt_cli.data.token_corpus import TokenCorpus
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import DataError, NmtError
from nmt_cli.recipe.data import Corpus
from nmt_cli.recipe.schema import Recipe
from nmt_cli.text.lines import read_lines
from nmt_cli.text.normalization import NORMALIZATIONS

KIND = "data prepared by nmt"
"""What a manifest calls the folder."""
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
    def max_length(self) -> int:
        """Tokens of the longest side that a training pair may have."""
        return int(self.manifest["settings"]["data.max_length"])

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all files' contents: equal data, equal fingerprint, wherever it came from."""
        return fingerprint_of(self.manifest)


def prepare(recipe: Recipe, taken: Tokenizer | None = None) -> Prepared:
    """Fill the recipe's prepared folder anew, whole or not at all; what else may be in its place is never replaced.

    `taken` is what the recipe's tokenizer.take_from names; without it, a tokenizer is learned.
    """
    folder = recipe.data.prepared
    check_paths(recipe)
    inputs = {name: _describe(path) for name, path in _inputs(recipe).items()}
    with files.disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with files.lock(folder.with_name(folder.name + ".lock")), files.new_folder(folder) as unfinished:
        assert bool(taken) == bool(recipe.tokenizer.take_from), "the caller finds the tokenizer that the recipe names"
        normalize = taken.normalize if taken else NORMALIZATIONS[recipe.tokenizer.normalization]
        tallies = {name: _normalize(recipe, name, unfinished / name, normalize) for name in _corpora(recipe)}
        tokenizer = taken or _train_tokenizer(recipe, unfinished)
        tokenizer.save(unfinished / "tokenizer")
        counts = {name: _encode(recipe, name, unfinished / name, tokenizer, tallies[name]) for name in tallies}
        files.write_manifest(
            unfinished,
            {"kind": KIND, "format": _FORMAT, "settings": _settings(recipe, tokenizer.fingerprint), "inputs": inputs}
            | {"corpora": counts},
        )
    return open_prepared(recipe, taken)


def is_current(recipe: Recipe, taken: Tokenizer | None = None) -> bool:
    """Whether the prepared folder is whole, and is what `prepare` would make of the recipe and its files today."""
    try:
        manifest = _read_manifest(recipe)
        inputs = {name: _describe(path) for name, path in _inputs(recipe).items()}
    except NmtError:
        return False
    return not _differences(recipe, taken, manifest) and bool(manifest["inputs"] == inputs)


def open_prepared(recipe: Recipe, taken: Tokenizer | None = None) -> Prepared:
    """Check that the prepared folder is whole and belongs to the recipe, and open it.

    The corpora it was made from, and the tokenizer taken over, need not be there any more; those that are must not
    have changed.
    """
    manifest = _read_manifest(recipe)
    if differences := _differences(recipe, taken, manifest):
        raise DataError("\n".join(differences))
    _check_inputs(recipe, manifest)
    folder = recipe.data.prepared
    tokenizer = Tokenizer.load(folder / "tokenizer")
    return Prepared(
        tokenizer,
        [
            TokenCorpus(folder / "train" / name, manifest["corpora"][f"train/{name}"], tokenizer)
            for name in recipe.data.train
        ],
        {
            name: TokenCorpus(folder / "valid" / name, manifest["corpora"][f"valid/{name}"], tokenizer)
            for name in recipe.data.valid
        },
        manifest,
    )


def fingerprint_of(manifest: dict[str, Any]) -> str:
    """SHA-256 of all that a manifest says of its files."""
    return hashlib.sha256(files.json_bytes(manifest["files"])).hexdigest()


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
    return isinstance(manifest, dict) and manifest.get("kind") == KIND


def _corpora(recipe: Recipe) -> dict[str, Corpus]:
    """All corpora by the folder that each fills."""
    train, valid = recipe.data.train, recipe.data.valid
    return {f"train/{name}": corpus for name, corpus in train.items()} | {
        f"valid/{name}": corpus for name, corpus in valid.items()
    }


def _inputs(recipe: Recipe) -> dict[str, Path]:
    """All files that are read, by corpus and side."""
    return {f"{name}/{side}": path for name, corpus in _corpora(recipe).items() for side, path in corpus.files.items()}


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


def _settings(recipe: Recipe, tokenizer: str) -> dict[str, Any]:
    """What decides the result, besides the files, by the recipe's keys; of a tokenizer taken over, its fingerprint."""
    if recipe.tokenizer.take_from is None:
        settings = recipe.tokenizer.model_dump(mode="json")
    else:
        settings = {"take_from": tokenizer}
    return {f"tokenizer.{key}": value for key, value in settings.items()} | {
        "data.max_length": recipe.data.max_length,
        "data.train": list(recipe.data.train),
        "data.valid": list(recipe.data.valid),
    }


def _normalize(recipe: Recipe, name: str, folder: Path, normalize: Callable[[str], str]) -> Tally:
    """Write the usable pairs of a corpus as normalised text, for the tokenizer to learn from and then to cut."""
    corpus, tally = _corpora(recipe)[name], Tally()
    folder.mkdir(parents=True)
    with (
        ExitStack() as opened,
        Progress(f"reading {name}", "pairs") as progress,
    ):
        sources, targets, links = (opened.enter_context(path.open("wb")) for path in _normalized(folder))
        for pair in read_pairs(corpus, normalize, tally):
            sources.write(f"{pair.source}\n".encode())
            targets.write(f"{pair.target}\n".encode())
            links.write(f"{pair.links}\n".encode())
            progress.advance()
    _refuse_useless(corpus, tally)
    return tally


def _normalized(folder: Path) -> list[Path]:
    """Sources, targets and their links."""
    return [folder / f"{part}.normalized" for part in ("source", "target", "alignment")]


def _train_tokenizer(recipe: Recipe, folder: Path) -> Tokenizer:
    say(f"learning {recipe.tokenizer.vocabulary_size:,} subwords")
    sides = [_normalized(folder / "train" / name) for name in recipe.data.train]
    return Tokenizer.train(
        recipe.tokenizer,
        (line for source, *_ in sides for line in read_lines(source)),
        (line for _, target, _ in sides for line in read_lines(target)),
        _SAMPLING_SEED,
    )


def _encode(recipe: Recipe, name: str, folder: Path, tokenizer: Tokenizer, tally: Tally) -> dict[str, Any]:
    """Cut the normalised text of a corpus into tokens; a validation set keeps its long pairs."""
    raise NotImplementedError


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
    if (manifest.get("kind"), manifest.get("format")) != (KIND, _FORMAT) or not all(isinstance(p, dict) for p in parts):
        raise DataError(f"{folder}: is not data prepared by this version of nmt; run `nmt preprocess`")
    return manifest


def _differences(recipe: Recipe, taken: Tokenizer | None, manifest: dict[str, Any]) -> list[str]:
    """In words, how the recipe differs from what was prepared; a tokenizer that is not there any more is believed."""
    found = manifest["settings"]
    wanted = _settings(recipe, taken.fingerprint if taken else found.get("tokenizer.take_from") or "unknown")
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


def _check_inputs(recipe: Recipe, manifest: dict[str, Any]) -> None:
    for name, path in _inputs(recipe).items():
        if path.exists() and _describe(path) != manifest["inputs"].get(name):
            raise DataError(f"{path}: has changed since it was prepared; run `nmt preprocess` again")
