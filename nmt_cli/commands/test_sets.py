"""Test sets as read from their files, and the words that training has seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path

from nmt_cli import __version__, console, files
from nmt_cli.commands.systems import System
from nmt_cli.errors import DataError, RecipeError
from nmt_cli.evaluation.where.words import frequencies, splitter
from nmt_cli.recipe.data import Data, TestSet
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.report import Provenance
from nmt_cli.text.lines import read_lines

_MOST_LINES = 500_000
"""Of each training corpus; enough to tell rare words from frequent ones."""


@dataclass(frozen=True)
class SetTexts:
    """The lines of a test set, and all that its scores will depend on."""

    sources: list[str]
    references: list[list[str]]
    tags: list[str] | None
    provenance: Provenance


def choose(data: Data, wanted: Sequence[str]) -> dict[str, TestSet]:
    """The test sets of these names, which may be those of validation sets, too; all test sets if none is named.

    A validation set that has the name of a test set is called valid:NAME.
    """
    if not wanted and not data.test:
        raise RecipeError("data.test: this recipe names no test set; add one, with its source and target")
    valid = {
        f"valid:{name}" if name in data.test else name: TestSet(source=each.source, target=[each.target])
        for name, each in data.valid.items()
    }
    known = {**data.test, **valid}
    for name in wanted:
        if name not in known:
            raise RecipeError(f"--test {name}: the recipe has no such test set; it has {', '.join(known)}")
        if f"valid:{name}" in valid:
            console.say(f"{name}: is the test set of this name; --test valid:{name} is the validation set")
    return {name: known[name] for name in dict.fromkeys(wanted or data.test)}


def read_test_set(system: System, test: TestSet) -> SetTexts:
    """All lines of a test set; DataError unless they are as many in each of its files, and at least one."""
    tagged = [] if test.tags is None else [test.tags]
    sources, *others = read_parallel([test.source, *test.target, *tagged])
    provenance = Provenance(
        model=system.sha256,
        source=files.sha256(test.source),
        references=[files.sha256(path) for path in test.target],
        tags=None if test.tags is None else files.sha256(test.tags),
        decoding=system.recipe.decoding.model_dump(mode="json"),
        evaluation=system.recipe.evaluation.model_dump(mode="json"),
        versions={"nmt": __version__, "sacrebleu": version("sacrebleu")},
    )
    references = others[: len(test.target)]
    return SetTexts(sources, references, others[-1] if tagged else None, provenance)


def read_parallel(paths: Sequence[Path]) -> list[list[str]]:
    """The lines of each file; DataError unless they are as many in all, and at least one."""
    first, *others = paths
    texts = [list(read_lines(path)) for path in paths]
    for path, lines in zip(others, texts[1:], strict=True):
        if len(lines) != len(texts[0]):
            raise DataError(
                f"{first} has {len(texts[0])} lines but {path} has {len(lines)}; line n of one is line n of the other"
            )
    if not texts[0]:
        raise DataError(f"{first}: has no lines, so there is nothing to score")
    return texts


def words_seen(recipe: Recipe) -> Mapping[str, int] | None:
    """How often each word stands in the target side of the training text; None if none of that is at hand."""
    paths = [corpus.target for corpus in recipe.data.train.values()]
    there = [path for path in paths if path.is_file()]
    for path in paths:
        if path not in there:
            console.say(f"{path}: is not here, so its words do not count as seen in training")
    if not there:
        return None
    split = splitter(recipe.evaluation)
    return frequencies((line for path in there for line in islice(read_lines(path), _MOST_LINES)), split)
