"""Page sections on the run itself: key figures, environment, cost, hashes and recipe."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from nmt_cli import files
from nmt_cli.console import duration
from nmt_cli.errors import NmtError
from nmt_cli.reporting.rendering import Fact, PageSection, empty_section
from nmt_cli.reporting.run_report import RunContents
from nmt_cli.reporting.run_report.learning_curves import best_validation
from nmt_cli.runs.directory import STATE, WEIGHTS, RunDirectory, count_parameters
from nmt_cli.runs.journal import describe_published

_MAX_RECIPE_LENGTH = 100_000


def key_figures(contents: RunContents) -> list[Fact]:
    """Return the figures at the top of the page, most important first."""
    recipe, history, summary = contents.recipe, contents.history, contents.summary
    figures = [Fact("status", str(summary.get("status", "unknown")))]
    current = [each for each in contents.evaluations if not each.is_stale and "@" not in each.name]
    tested = [each for each in current if recipe is None or each.name in recipe.data.test]
    for evaluation in (tested or current)[:2]:
        for score in evaluation.scores[:1]:
            interval = "" if score.low is None or score.high is None else f"{score.low:.1f} to {score.high:.1f}"
            figures.append(Fact(f"{score.name} on {evaluation.name}", f"{score.value:.2f}", interval))
    if history and (best := best_validation(history, recipe)):
        figures.append(
            Fact(f"best {best.name} on {best.set}", f"{best.score:.2f}", f"validation, update {best.update:,}")
        )
    epochs = f"{history.epochs:.1f} epochs" if history else ""
    update = summary.get("update", history.last_update if history else 0)
    figures.append(Fact("updates", f"{update:,}" if isinstance(update, int) else str(update), epochs))
    if seconds := _training_seconds(contents):
        figures.append(Fact("training time", duration(seconds), _environment(summary).get("device", "")))
    if parameters := _count_parameters(contents.run):
        architecture = recipe.model.architecture if recipe else ""
        figures.append(Fact("parameters", f"{parameters / 1e6:.1f} M", architecture))
    return figures


def environment_section(contents: RunContents) -> PageSection:
    """Show machine, versions, cost, and the hashes of data, model, recipe and test sets."""
    summary = contents.summary
    command = summary.get("command")
    values = {name: _text(summary.get(name)) for name in ("status", "reason", "started")}
    values["command"] = " ".join(map(str, command)) if isinstance(command, list) else ""
    values |= {"model": describe_published(summary.get("published")), "nmt": _text(summary.get("nmt"))}
    facts = [Fact(name, value) for name, value in (*values.items(), *_environment(summary).items()) if value]
    content = {"Run": facts, "Cost": cost_of(contents), "SHA-256": _hashes(contents)}
    return PageSection("Environment and cost", "environment.html.j2", content)


def recipe_section(run: RunDirectory) -> PageSection:
    """Show the recipe with all defaults filled in, or as given if that is missing."""
    for path in (run.resolved, run.recipe):
        try:
            text = files.read_bytes(path).decode(errors="replace")
        except NmtError:
            continue
        shown = text if len(text) <= _MAX_RECIPE_LENGTH else f"{text[:_MAX_RECIPE_LENGTH]}\n… (truncated)"
        return PageSection("Recipe", "recipe.html.j2", (path.name, shown))
    return empty_section("Recipe", "The run has no recipe.")


def cost_of(contents: RunContents) -> list[Fact]:
    """Return the time, work and memory that a run took."""
    cost, history = [], contents.history
    if seconds := _training_seconds(contents):
        cost.append(Fact("training time", duration(seconds), "including validation, over all restarts"))
    if history:
        cost.append(Fact("target subwords", f"{history.target_tokens:,}", f"in {history.epochs:.1f} epochs"))
        finite = {name: values for name, series in history.train.items() if (values := series.finite())}
        for name, label, form, factor in (
            ("target_tokens_per_second", "target subwords per second", "{:,.0f}", 1.0),
            ("model_flops_utilization", "model FLOPs utilization", "{:.1f} %", 100.0),
            ("data_wait_fraction", "time waiting for data", "{:.1f} %", 100.0),
        ):
            if values := finite.get(name, []):
                cost.append(Fact(label, form.format(factor * sum(values) / len(values)), "mean of all reports"))
        if values := finite.get("memory_bytes", []):
            cost.append(Fact("peak memory", f"{max(values) / 2**30:.2f} GiB"))
    return cost


def _hashes(contents: RunContents) -> list[Fact]:
    run = contents.run
    hashes = [Fact("prepared data", _text(contents.summary.get("data")))]
    for name, path in (("model", run.model / files.MANIFEST), ("recipe as given", run.recipe)):
        with suppress(OSError):
            hashes.append(Fact(name, files.sha256(path)))
    for evaluation in contents.evaluations:
        provenance = evaluation.content.get("provenance")
        if isinstance(provenance, dict):
            references, others = provenance.get("references"), provenance.get("other_models")
            found = [("model", provenance.get("model"))]
            found += (
                [(name.replace("_", " "), each) for name, each in others.items()] if isinstance(others, dict) else []
            )
            found += [("source", provenance.get("source"))]
            found += [("reference", each) for each in (references if isinstance(references, list) else ())]
            hashes += [Fact(f"{evaluation.name}: {name}", _text(value)) for name, value in found]
    return [fact for fact in hashes if fact.value]


def _training_seconds(contents: RunContents) -> float:
    """Return the training time from the summary, or from the newest checkpoint of an unfinished run."""
    run, seconds = contents.run, contents.summary.get("seconds")
    if seconds is None and (updates := run.saved_updates()):
        try:
            state = files.read_json(run.checkpoint(updates[-1]) / STATE)
        except NmtError:
            return 0.0
        seconds = state.get("seconds") if isinstance(state, dict) else None
    return float(seconds) if isinstance(seconds, int | float) else 0.0


def _count_parameters(run: RunDirectory) -> int:
    folders = [run.model, *(run.checkpoint(update) for update in reversed(run.saved_updates()))]
    for folder in folders:
        with suppress(NmtError):
            return count_parameters(folder / WEIGHTS)
    return 0


def _environment(summary: Mapping[str, Any]) -> dict[str, str]:
    environment = summary.get("environment")
    return {str(name): _text(value) for name, value in environment.items()} if isinstance(environment, dict) else {}


def _text(value: Any) -> str:
    return "" if value is None else str(value)
