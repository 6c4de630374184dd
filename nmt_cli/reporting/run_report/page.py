"""All that a run left → one self-contained HTML page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from nmt_cli import files
from nmt_cli.errors import NmtError
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.plots.heatmap import AttentionMap, draw_attention
from nmt_cli.reporting.run_report.analysis import analysis_section
from nmt_cli.reporting.run_report.corpora import corpora_section
from nmt_cli.reporting.run_report.evaluations import Evaluation, read_evaluations
from nmt_cli.reporting.run_report.facts import environment_section, key_figures, recipe_section
from nmt_cli.reporting.run_report.samples import samples_section
from nmt_cli.reporting.run_report.scores import scores_section
from nmt_cli.reporting.run_report.section import Section, absent
from nmt_cli.reporting.run_report.training import training_section
from nmt_cli.reporting.templates import render_html
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.runs.history import History, read_journal
from nmt_cli.runs.journal import read_summary

_Read = TypeVar("_Read")


@dataclass(frozen=True)
class RunContents:
    """What of a run could be read; what could not be is None, and `troubles` says why."""

    run: RunDirectory
    summary: dict[str, object]
    recipe: Recipe | None
    history: History | None
    evaluations: Sequence[Evaluation]
    troubles: Sequence[str]


@dataclass(frozen=True)
class Attention:
    """Maps of some lines of one evaluated set, or why there are none."""

    maps: Sequence[AttentionMap] = ()
    explanation: str = ""


def read_run(path: Path) -> RunContents:
    """Read a run, passing over what is missing or damaged; ModelError if there is no run at all."""
    run = RunDirectory(path)
    troubles: list[str] = []
    summary = read_summary(run)

    return RunContents(
        run,
        summary,
        _tried(lambda: load_recipe(run.resolved), troubles),
        _tried(lambda: read_journal(run.metrics), troubles),
        read_evaluations(run, troubles.append),
        troubles,
    )


def write_run_report(contents: RunContents, attention: Attention, lines: Sequence[int], output: Path) -> None:
    """Write the page, whole or not at all; `lines` are numbers, from 1, of sentences to show besides the samples."""
    with files.new_file(output) as file:
        file.write(render_run_report(contents, attention, lines).encode())


def render_run_report(contents: RunContents, attention: Attention, lines: Sequence[int] = ()) -> str:
    """The page as HTML."""
    recipe, history, summary = contents.recipe, contents.history, contents.summary
    sections = [
        scores_section(contents.evaluations),
        analysis_section(contents.evaluations),
        training_section(history, recipe, summary),
        corpora_section(recipe, history, summary, contents.evaluations),
        samples_section(contents.evaluations, recipe, lines),
        _attention_section(attention),
        environment_section(contents.run, summary, history, contents.evaluations),
        recipe_section(contents.run),
    ]
    languages = f"{recipe.data.source_language} → {recipe.data.target_language}" if recipe else ""
    page = render_html(
        "run.html.j2",
        title=contents.run.path.resolve().name,
        kind="Report of a training run",
        languages=languages,
        figures=key_figures(contents.run, summary, recipe, history, contents.evaluations),
        troubles=contents.troubles,
        sections=sections,
    )
    return str(page)


def _tried(read: Callable[[], _Read], troubles: list[str]) -> _Read | None:
    """What `read` gives, or None and one trouble more."""
    try:
        return read()
    except NmtError as error:
        troubles.append(str(error).split("\n")[0])
        return None


def _attention_section(attention: Attention) -> Section:
    if not attention.maps:
        return absent("Attention", attention.explanation or "No attention was computed.")
    return Section("Attention", "attention.html.j2", [draw_attention(one) for one in attention.maps])
