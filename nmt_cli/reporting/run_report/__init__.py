"""Report of a training run as a self-contained HTML page.

This module reads the contents of a run; missing and damaged parts are skipped.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from nmt_cli.errors import NmtError
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.evaluation_files import StoredEvaluation, read_evaluations
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.runs.journal import History, read_journal, read_summary

_Read = TypeVar("_Read")


@dataclass(frozen=True)
class RunContents:
    """Content of a run; unreadable parts are None and explained in `problems`."""

    run: RunDirectory
    summary: dict[str, Any]
    recipe: Recipe | None
    history: History | None
    evaluations: Sequence[StoredEvaluation]
    problems: Sequence[str]


def read_run(path: Path) -> RunContents:
    """Read a run, skipping missing and damaged parts.

    Raises:
        ModelError: The path is not a run.
    """
    run = RunDirectory(path)
    problems: list[str] = []
    summary = read_summary(run)
    recipe = _try_read(lambda: load_recipe(run.resolved), problems)
    history = _try_read(lambda: read_journal(run.metrics), problems)
    evaluations = sorted(read_evaluations(run, problems.append), key=lambda each: _rank(each.name, recipe))
    return RunContents(run, summary, recipe, history, evaluations, problems)


def _rank(name: str, recipe: Recipe | None) -> tuple[int, int]:
    """Sort the test sets of the recipe first, in its order, then validation sets, then those of single checkpoints."""
    test_sets = list(recipe.data.test) if recipe else []
    return int("@" in name), test_sets.index(name) if name in test_sets else len(test_sets)


def _try_read(read: Callable[[], _Read], problems: list[str]) -> _Read | None:
    """Return the result of `read`, or None after appending the error to `problems`."""
    try:
        return read()
    except NmtError as error:
        problems.append(str(error).split("\n")[0])
        return None
