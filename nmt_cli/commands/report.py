"""nmt report: a run → one HTML page."""

from collections.abc import Sequence
from pathlib import Path

from nmt_cli import console
from nmt_cli.errors import DataError, ModelError
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.reporting.run_report.page import Attention, RunContents, read_run, write_run_report
from nmt_cli.reporting.run_report.samples import chosen_lines
from nmt_cli.runs.directory import RunDirectory, find_model


def report(path: Path, output: Path | None = None, attention: int = 3, lines: Sequence[int] = ()) -> None:
    """Write the report of a run, given as such or as its recipe, to `output`, else into the run.

    `attention` is how many lines have their attention drawn; `lines` are the numbers of those to show.
    """
    run = load_recipe(path).run if path.suffix in (".yaml", ".yml") and path.is_file() else path
    if not RunDirectory(run).summary.is_file():
        raise ModelError(f"{run}: is no run of nmt; nmt train makes one")
    contents = read_run(run)
    for trouble in contents.troubles:
        console.warn(trouble)
    _check_lines(contents, lines)
    output = output or contents.run.report
    write_run_report(contents, _attention(contents, attention, lines), lines, output)
    console.info(f"report: {output}")


def _check_lines(contents: RunContents, lines: Sequence[int]) -> None:
    most = max((len(found.sentences) for found in contents.evaluations), default=0)
    for line in lines:
        if not 1 <= line <= most:
            raise DataError(
                f"--line {line}: the evaluated sets of {contents.run.path} have {most:,} lines at most, counted from 1"
            )


def _attention(contents: RunContents, wanted: int, lines: Sequence[int]) -> Attention:
    """Attention of the run's model for the chosen lines of its first evaluated set."""
    if not wanted and not lines:
        return Attention(explanation="No attention was asked for (--attention 0).")
    evaluated = next((found for found in contents.evaluations if found.sentences), None)
    if evaluated is None:
        return Attention(explanation="There are no translations to look at yet; nmt evaluate makes them.")
    chosen = [(number, evaluated.sentences[number - 1]) for number in chosen_lines(evaluated, wanted, lines)]
    try:
        find_model(contents.run.path)
        from nmt_cli.commands.attention import attention_maps  # torch takes seconds; without a model it is not needed
        from nmt_cli.commands.loading import load_model

        loaded = load_model(contents.run.path)
    except ModelError as error:
        return Attention(explanation=f"The model cannot be loaded: {error}")
    maps = attention_maps(loaded, [(number, sentence.source, sentence.hypothesis) for number, sentence in chosen])
    if not maps:
        return Attention(
            explanation="The model has no attention, or needs more than the lines, or they are too long to be drawn."
        )
    return Attention(maps)
