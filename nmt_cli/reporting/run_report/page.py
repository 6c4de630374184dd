"""The HTML page of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nmt_cli import files
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.plots.figures import AttentionMap, draw_attention
from nmt_cli.reporting.rendering import PageSection, empty_section, render_html
from nmt_cli.reporting.run_report import RunContents
from nmt_cli.reporting.run_report.environment import environment_section, key_figures, recipe_section
from nmt_cli.reporting.run_report.evaluation_sections import breakdown_section, samples_section, scores_section
from nmt_cli.reporting.run_report.learning_curves import learning_curves_section
from nmt_cli.reporting.run_report.training_data import training_data_section


@dataclass(frozen=True)
class AttentionMaps:
    """Attention of some lines of one evaluated test set, or the reason why there is none."""

    maps: Sequence[AttentionMap] = ()
    reason: str = ""


def write_run_report(contents: RunContents, attention: AttentionMaps, lines: Sequence[int], output: Path) -> None:
    """Write the page atomically. `lines` are 1-based numbers of sentences to show instead of the samples."""
    with (files.new_file if output == contents.run.report else files.output_file)(output) as file:
        file.write(render_run_report(contents, attention, lines).encode())


def render_run_report(contents: RunContents, attention: AttentionMaps, lines: Sequence[int] = ()) -> str:
    """Render the page as HTML."""
    sections = [
        scores_section(contents.evaluations),
        breakdown_section(contents.evaluations),
        learning_curves_section(contents),
        training_data_section(contents),
        samples_section(contents, lines),
        _attention_section(attention, contents.recipe),
        environment_section(contents),
        recipe_section(contents.run),
    ]
    data = contents.recipe and contents.recipe.data
    page = render_html(
        "page.html.j2",
        title=contents.run.path.resolve().name,
        kind="Training run",
        languages=f"{data.source_language} → {data.target_language}" if data else "",
        figures=key_figures(contents),
        problems=contents.problems,
        sections=sections,
    )
    return str(page)


def _attention_section(attention: AttentionMaps, recipe: Recipe | None) -> PageSection:
    if not attention.maps:
        return empty_section("Attention", attention.reason or "No attention was computed.")
    has_heads = recipe is None or recipe.model.architecture != "rnn"
    maps = [draw_attention(each) for each in attention.maps]
    copies = any(each.copy_probabilities for each in attention.maps)
    return PageSection("Attention", "attention.html.j2", {"maps": maps, "has_heads": has_heads, "copies": copies})
