"""nmt report: write the HTML page of a run."""

from collections.abc import Sequence
from pathlib import Path

from nmt_cli import files
from nmt_cli.console import Reporter, command_line
from nmt_cli.errors import DataError, ModelError
from nmt_cli.recipe.loading import recipe_or_none
from nmt_cli.reporting.run_report import RunContents, read_run
from nmt_cli.reporting.run_report.evaluation_sections import select_lines
from nmt_cli.reporting.run_report.page import AttentionMaps, write_run_report
from nmt_cli.runs.directory import RunDirectory, find_model, not_a_run


def report(path: Path, output: Path | None, num_attention_lines: int, lines: Sequence[int], reporter: Reporter) -> Path:
    """Write the report of a run and return its path.

    Args:
        path: A run, or a recipe for its run.
        output: File to write; None for report.html in the run.
        num_attention_lines: Number of lines whose attention is drawn.
        lines: 1-based lines of the evaluated sets to show instead of the samples, with their attention.
    """
    if output is not None:
        files.require_folder_of(output)
    recipe = recipe_or_none(path)
    run = path if recipe is None else recipe.run
    if not RunDirectory(run).summary.is_file():
        raise ModelError(f"{run}: {not_a_run(run)}")
    contents = read_run(run)
    for problem in contents.problems:
        reporter.warn(problem)
    _check_lines(contents, lines)
    output = output or contents.run.report
    write_run_report(contents, _attention(contents, num_attention_lines, lines), lines, output)
    reporter.info(f"report: {output}")
    return output


def _check_lines(contents: RunContents, lines: Sequence[int]) -> None:
    max_line = max((len(evaluation.sentences) for evaluation in contents.evaluations), default=0)
    if lines and not max_line:
        command = command_line("nmt", "evaluate", contents.run.path)
        raise DataError(f"--line: no set of {contents.run.path} is evaluated yet; run {command}")
    for line in lines:
        if not 1 <= line <= max_line:
            raise DataError(f"--line {line}: lines of the sets of {contents.run.path} are numbered 1 to {max_line:,}")


def _attention(contents: RunContents, num_lines: int, lines: Sequence[int]) -> AttentionMaps:
    """Compute the attention of the run's model for the selected lines of its first evaluated set."""
    if not num_lines and not lines:
        return AttentionMaps(reason="Attention was not requested (--attention 0).")
    evaluation = next((each for each in contents.evaluations if each.sentences and not each.is_stale), None)
    if evaluation is None:
        return AttentionMaps(reason="There are no translations yet; run nmt evaluate.")
    try:
        find_model(contents.run.path)
        from nmt_cli.commands.attention import attention_maps  # imports torch, which takes seconds
        from nmt_cli.commands.loading import load_model

        loaded = load_model(contents.run.path)
    except ModelError as error:
        return AttentionMaps(reason=f"The model cannot be loaded: {error}")
    sentences = {line: evaluation.sentences[line - 1] for line in select_lines(evaluation, num_lines, lines)}
    maps = attention_maps(loaded, [(line, each.source, each.hypothesis) for line, each in sentences.items()])
    reason = "The model has no attention, needs factors or context, or the lines are too long to be drawn."
    return AttentionMaps(maps, "" if maps else reason)
