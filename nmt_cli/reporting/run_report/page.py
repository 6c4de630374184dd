"""The HTML page of a run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from nmt_cli import files
from nmt_cli.errors import NmtError
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.evaluation_files import StoredEvaluation, read_evaluations
from nmt_cli.reporting.plots.figures import AttentionMap, draw_attention
from nmt_cli.reporting.rendering import PageSection, empty_section, render_html
from nmt_cli.reporting.run_report.environment import environment_section, key_figures, recipe_section
from nmt_cli.reporting.run_report.evaluation_sections import breakdown_section, samples_section, scores_section
from nmt_cli.reporting.run_report.learning_curves import learning_curves_section
from nmt_cli.reporting.run_report.training_data import training_data_section
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.runs.history import History, read_journal
from nmt_cli.runs.journal import read_summary

_Read = TypeVar("_Read")


@dataclass(frozen=True)
class RunContents:
    """Content of a run; unreadable parts are None and explained in `problems`."""

    run: RunDirectory
    summary: dict[str, object]
    recipe: Recipe | None
    history: History | None
    evaluations: Sequence[StoredEvaluation]
    problems: Sequence[str]


@dataclass(frozen=True)
class AttentionMaps:
    """Attention of some lines of one evaluated test set, or the reason why there is none."""

    maps: Sequence[AttentionMap] = ()
    reason: str = ""


def read_run(path: Path) -> RunContents:
    """Read a run, skipping missing and damaged parts.

    Raises:
        ModelError: The path is not a run.
    """
    run = RunDirectory(path)
    problems: list[str] = []
    summary = read_summary(run)
    return RunContents(
        run,
        summary,
        _try_read(lambda: load_recipe(run.resolved), problems),
        _try_read(lambda: read_journal(run.metrics), problems),
        read_evaluations(run, problems.append),
        problems,
    )


def write_run_report(contents: RunContents, attention: AttentionMaps, lines: Sequence[int], output: Path) -> None:
    """Write the page atomically. `lines` are 1-based numbers of sentences to show instead of the samples."""
    with files.new_file(output) as file:
        file.write(render_run_report(contents, attention, lines).encode())


def render_run_report(contents: RunContents, attention: AttentionMaps, lines: Sequence[int] = ()) -> str:
    """Render the page as HTML."""
    recipe, history, summary = contents.recipe, contents.history, contents.summary
    sections = [
        scores_section(contents.evaluations),
        breakdown_section(contents.evaluations),
        learning_curves_section(history, recipe),
        training_data_section(recipe, history, summary, contents.evaluations),
        samples_section(contents.evaluations, recipe, lines),
        _attention_section(attention),
        environment_section(contents.run, summary, history, contents.evaluations),
        recipe_section(contents.run),
    ]
    languages = f"{recipe.data.source_language} → {recipe.data.target_language}" if recipe else ""
    page = render_html(
        "page.html.j2",
        title=contents.run.path.resolve().name,
        kind="Training run",
        languages=languages,
        figures=key_figures(contents.run, summary, recipe, history, contents.evaluations),
        problems=contents.problems,
        sections=sections,
    )
    return str(page)


def _try_read(read: Callable[[], _Read], problems: list[str]) -> _Read | None:
    """Return the result of `read`, or None after appending the error to `problems`."""
    try:
        return read()
    except NmtError as error:
        problems.append(str(error).split("\n")[0])
        return None


def _attention_section(attention: AttentionMaps) -> PageSection:
    if not attention.maps:
        return empty_section("Attention", attention.reason or "No attention was computed.")
    return PageSection("Attention", "attention.html.j2", [draw_attention(each) for each in attention.maps])
