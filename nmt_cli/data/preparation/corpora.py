"""What is to be prepared: the corpora of a recipe, their files, and all that decides what becomes of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.errors import DataError
from nmt_cli.recipe.data import AnyCorpus, LinesCorpus
from nmt_cli.recipe.data.filters import OverlapFilter
from nmt_cli.recipe.schema import Recipe

_LEARNING = {"weight"}
"""Settings of a corpus that say how it is learned from, not what is prepared."""


@dataclass(frozen=True)
class Task:
    """One corpus to prepare."""

    name: str
    """Such as train/NAME; the folder that it fills."""
    corpus: AnyCorpus
    languages: tuple[str, str]

    @property
    def is_learned(self) -> bool:
        """Whether it is learned from, so that filters and limits hold for it."""
        return self.name.startswith("train/")

    @property
    def tag(self) -> str | None:
        """What stands before each of its sources."""
        return getattr(self.corpus, "tag", None)

    @property
    def is_aligned(self) -> bool:
        """Whether its words are linked."""
        return getattr(self.corpus, "alignment", None) is not None


def tasks(recipe: Recipe) -> list[Task]:
    """All corpora to prepare, in the order of the recipe."""
    data = recipe.data
    named: dict[str, AnyCorpus] = {f"train/{name}": corpus for name, corpus in data.train.items()}
    named |= {f"valid/{name}": corpus for name, corpus in data.valid.items()}
    return [
        Task(
            name,
            corpus,
            (corpus.source_language or data.source_language, corpus.target_language or data.target_language),
        )
        for name, corpus in named.items()
    ]


def inputs(recipe: Recipe) -> dict[str, Path]:
    """All files that the result depends on, by corpus and key; those of test sets, too, if their lines are left out."""
    found = {f"{task.name}/{key}": path for task in tasks(recipe) for key, path in task.corpus.files.items()}
    if any(isinstance(each, OverlapFilter) for each in recipe.data.filters):
        for name, test in recipe.data.test.items():
            found[f"test/{name}/source"] = test.source
            found |= {f"test/{name}/target.{number}": path for number, path in enumerate(test.target, 1)}
    if recipe.tokenizer.take_from is None or recipe.tokenizer.extension:
        more = recipe.tokenizer.more_text
        for side, paths in (("source", more.source), ("target", more.target)):
            found |= {f"tokenizer/{side}.{number}": path for number, path in enumerate(paths, 1)}
    return found


def settings(recipe: Recipe, tokenizer: str) -> dict[str, Any]:
    """What decides the result, besides the files, by the recipe's keys; of a tokenizer taken over, its fingerprint."""
    data, words = recipe.data, recipe.tokenizer.model_dump(mode="json", exclude={"more_text"})
    if recipe.tokenizer.take_from is not None:
        words = {"take_from": tokenizer, "extension": words["extension"]}
    return {f"tokenizer.{key}": value for key, value in words.items()} | {
        "data.max_length": data.max_length,
        "data.train": {name: _interpretation(corpus) for name, corpus in data.train.items()},
        "data.valid": {name: _interpretation(corpus) for name, corpus in data.valid.items()},
        "data.source_language": data.source_language,
        "data.target_language": data.target_language,
        "data.on_error": data.on_error,
        "data.filters": [each.model_dump(mode="json") for each in data.filters],
        "data.language_tags": data.language_tags,
        "data.factors": list(data.factors),
        "data.context": None if data.context is None else data.context.model_dump(mode="json"),
    }


def _interpretation(corpus: AnyCorpus) -> dict[str, Any]:
    """How a corpus is read; what its files are called does not matter, nor how it is learned from."""
    said = {key: value for key, value in corpus if key not in _LEARNING and not isinstance(value, Path)}
    if isinstance(corpus, LinesCorpus):
        said["factors"] = sorted(corpus.factors)
    return said


def check_file(path: Path) -> None:
    """DataError unless it is a file that can be read more than once."""
    if path.is_dir():
        raise DataError(f"{path}: is a directory, not a file")
    if not path.exists():
        raise DataError(f"{path}: does not exist")
    if not path.is_file():
        raise DataError(f"{path}: is no regular file, but must be read more than once")


def describe(path: Path, hashed: Callable[[Path], str] = files.sha256) -> dict[str, Any]:
    """What is in a file, its only trait that matters: names and times may change."""
    check_file(path)
    try:
        return {"bytes": path.stat().st_size, "sha256": hashed(path)}
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
