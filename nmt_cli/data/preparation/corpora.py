"""The corpora of a recipe, their files, and all settings that determine the prepared data."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.errors import DataError, NmtError
from nmt_cli.recipe.adapting import LENGTH_BOUNDS, TEXT_KEYS
from nmt_cli.recipe.corpora import AnyCorpus, LinesCorpus
from nmt_cli.recipe.filters import OverlapFilter
from nmt_cli.recipe.schema import Recipe
from nmt_cli.text.lines import utf8_name

ADAPTED = "to follow the text"
"""Stands for the value of a setting that the recipe does not give."""

_TRAINING_KEYS = {"weight"}
"""Settings of a corpus that affect only training, not the prepared data."""

_TIMESTAMP_RESOLUTION = 0.02
"""Upper bound in seconds of the interval in which two changes of a file may get the same time."""


@dataclass(frozen=True)
class CorpusTask:
    """A corpus to prepare."""

    name: str
    """train/NAME or valid/NAME; also the folder of its shards."""
    corpus: AnyCorpus
    languages: tuple[str, str]

    @property
    def is_training(self) -> bool:
        """Whether it is a training corpus. Filters and limits apply only to these."""
        return self.name.startswith("train/")

    @property
    def tag(self) -> str | None:
        """Tag before each of its sources."""
        return getattr(self.corpus, "tag", None)

    @property
    def is_aligned(self) -> bool:
        """Whether it has word alignments."""
        return getattr(self.corpus, "alignment", None) is not None


def corpus_tasks(recipe: Recipe) -> list[CorpusTask]:
    """Return all corpora to prepare, in the order of the recipe."""
    data = recipe.data
    named: dict[str, AnyCorpus] = {f"train/{name}": corpus for name, corpus in data.train.items()}
    named |= {f"valid/{name}": corpus for name, corpus in data.valid.items()}
    return [CorpusTask(name, corpus, data.languages_of(corpus)) for name, corpus in named.items()]


def input_files(recipe: Recipe) -> dict[str, Path]:
    """Return all files that the prepared data depends on, by corpus or tokenizer key.

    Test sets are included if a filter drops their lines from training.
    """
    found = {f"{task.name}/{key}": path for task in corpus_tasks(recipe) for key, path in task.corpus.files.items()}
    if any(isinstance(each, OverlapFilter) for each in recipe.data.filters):
        for name, test in recipe.data.test.items():
            found[f"test/{name}/source"] = test.source
            found |= {f"test/{name}/target.{number}": path for number, path in enumerate(test.target, 1)}
    if recipe.tokenizer.path is None or recipe.tokenizer.extension:
        monolingual = recipe.tokenizer.monolingual
        for side, paths in (("source", monolingual.source), ("target", monolingual.target)):
            found |= {f"tokenizer/{side}.{number}": path for number, path in enumerate(paths, 1)}
    return found


def data_settings(recipe: Recipe, tokenizer_fingerprint: str) -> dict[str, Any]:
    """Return the settings that determine the prepared data, by recipe key.

    Args:
        tokenizer_fingerprint: That of the pretrained tokenizer, if the recipe names one; else ignored.
    """
    data, subwords = recipe.data, recipe.tokenizer.model_dump(mode="json", exclude={"monolingual"})
    if recipe.tokenizer.path is not None:
        subwords = {"path": tokenizer_fingerprint, "extension": subwords["extension"]}
    may_have_oov = recipe.tokenizer.path is not None or not (recipe.tokenizer.joint and recipe.tokenizer.byte_fallback)
    output = {"model.output.type": "pointer_generator" if recipe.model.output.copies else "softmax"}
    found = {f"tokenizer.{key}": value for key, value in subwords.items()} | {
        **(output if may_have_oov else {}),
        "data.max_length": data.max_length,
        "data.train": {name: _reading_settings(corpus) for name, corpus in data.train.items()},
        "data.valid": {name: _reading_settings(corpus) for name, corpus in data.valid.items()},
        "data.source_language": data.source_language,
        "data.target_language": data.target_language,
        "data.on_error": data.on_error,
        "data.filters": [each.model_dump(mode="json") for each in data.filters],
        "data.language_tags": data.language_tags,
        "data.length_tags": data.length_tags,
        **({LENGTH_BOUNDS: data.length_bounds or ADAPTED} if data.length_tags else {}),
        "data.sequence": data.sequence.model_dump(),
        "data.factors": list(data.factors),
        "data.context": None if data.context is None else data.context.model_dump(mode="json"),
    }
    return {key: ADAPTED if key in TEXT_KEYS and not recipe.gives(key) else value for key, value in found.items()}


def _reading_settings(corpus: AnyCorpus) -> dict[str, Any]:
    """Return the settings with which a corpus is read, without its file names."""
    found = {key: value for key, value in corpus if key not in _TRAINING_KEYS and not isinstance(value, Path)}
    if isinstance(corpus, LinesCorpus):
        found["factors"] = sorted(corpus.factors)
    return found


def check_file(path: Path) -> None:
    """Raise DataError unless the path is a file that can be read more than once."""
    if path.is_dir():
        raise DataError(f"{path}: is a directory, not a file")
    if not path.exists():
        raise DataError(f"{path}: does not exist")
    if not path.is_file():
        raise DataError(f"{path}: is not a regular file, but must be read more than once")


def file_identity(path: Path, sha256: Callable[[Path], str] = files.sha256) -> dict[str, Any]:
    """Return the size and hash of a file, which identify it regardless of its name and modification time."""
    check_file(path)
    with files.read_errors(path, DataError):
        return {"bytes": path.stat().st_size, "sha256": sha256(path)}


class HashCache:
    """Cached SHA-256 of files. A file is hashed again only if its size, times or inode have changed."""

    def __init__(self, path: Path) -> None:
        self._path, self._is_changed = path, False
        try:
            cached = files.read_json(path)
        except NmtError:
            cached = {}
        self._entries: dict[str, Any] = cached if isinstance(cached, dict) else {}

    def of(self, path: Path) -> str:
        """Return the SHA-256 of a file, from the cache if possible."""
        entry, state = self._entries.get(_key(path)), _file_state(path)
        if isinstance(entry, list) and entry[:-1] == state:
            return str(entry[-1])
        is_settled = time.time() - path.stat().st_ctime > _TIMESTAMP_RESOLUTION
        digest = files.sha256(path)
        if is_settled and _file_state(path) == state:  # a file that changes while it is read may have another hash
            self.cache_hash(path, digest)
        return digest

    def cache_hash(self, path: Path, digest: str) -> None:
        """Cache the hash of a file for its present state."""
        self._entries[_key(path)] = [*_file_state(path), digest]
        self._is_changed = True

    def save(self) -> None:
        """Save the cache if it has changed. Failures are ignored; the files are then hashed again."""
        if self._is_changed:
            with suppress(NmtError):
                files.write_json(self._path, self._entries)


def _key(path: Path) -> str:
    return utf8_name(str(path.resolve()))


def _file_state(path: Path) -> list[int]:
    """Return values of which every change of a file changes at least one: programs can reset mtime, but not ctime."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
