"""Figures, machine, cost, hashes and recipe of a run, as they stand in its files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.console import duration
from nmt_cli.errors import NmtError
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.run_report.evaluations import Evaluation
from nmt_cli.reporting.run_report.section import Fact, Section, absent
from nmt_cli.reporting.run_report.training import best_point
from nmt_cli.runs.directory import STATE, WEIGHTS, RunDirectory, count_parameters
from nmt_cli.runs.history import History

_LONGEST_RECIPE = 100_000


@dataclass(frozen=True)
class _Environment:
    facts: list[Fact]
    cost: list[Fact]
    hashes: list[Fact]


def key_figures(
    run: RunDirectory,
    summary: Mapping[str, Any],
    recipe: Recipe | None,
    history: History | None,
    evaluations: Sequence[Evaluation],
) -> list[Fact]:
    """The figures at the head of the page, the most telling first."""
    figures = []
    for found in evaluations[:2]:
        for score in found.scores[:1]:
            interval = "" if score.low is None or score.high is None else f"{score.low:.1f} to {score.high:.1f}"
            figures.append(Fact(f"{score.name} on {found.name}", f"{score.value:.2f}", interval))
    best = best_point(history, recipe) if history else None
    if best:
        figures.append(
            Fact(f"best {best.name} on {best.set}", f"{best.score:.2f}", f"validation, update {best.step:,}")
        )
    epochs = f"{history.epochs:.1f} epochs" if history else ""
    step = summary.get("update", history.last_update if history else 0)
    figures.append(Fact("updates", f"{step:,}" if isinstance(step, int) else str(step), epochs))
    if seconds := _seconds(run, summary):
        figures.append(Fact("training time", duration(seconds), _environment(summary).get("device", "")))
    if weights := _weights(run):
        kind = recipe.model.architecture if recipe else ""
        figures.append(Fact("weights", f"{weights / 1e6:.1f} M", kind))
    return [Fact("status", str(summary.get("status", "unknown"))), *figures]


def environment_section(
    run: RunDirectory, summary: Mapping[str, Any], history: History | None, evaluations: Sequence[Evaluation]
) -> Section:
    """Machine and versions, what it cost, and the hashes by which files can be told apart."""
    facts = [
        Fact(name, value)
        for name, value in (
            ("status", _text(summary.get("status"))),
            ("reason", _text(summary.get("reason"))),
            ("started", _text(summary.get("started"))),
            ("command", " ".join(map(str, summary["command"])) if isinstance(summary.get("command"), list) else ""),
            ("nmt", _text(summary.get("nmt"))),
            *_environment(summary).items(),
        )
        if value
    ]
    content = _Environment(facts, cost_of(run, summary, history), _hashes(run, summary, evaluations))
    return Section("Environment and cost", "environment.html.j2", content)


def recipe_section(run: RunDirectory) -> Section:
    """The recipe with every default filled in, else as given."""
    for path in (run.resolved, run.recipe):
        try:
            text = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        cut = text if len(text) <= _LONGEST_RECIPE else f"{text[:_LONGEST_RECIPE]}\n… (cut)"
        return Section("Recipe", "recipe.html.j2", (path.name, cut))
    return absent("Recipe", "The run holds no recipe.")


def cost_of(run: RunDirectory, summary: Mapping[str, Any], history: History | None) -> list[Fact]:
    """Time, work and memory that a run took."""
    cost = []
    if seconds := _seconds(run, summary):
        cost.append(Fact("training time", duration(seconds), "validations included, over all starts"))
    if history:
        cost.append(Fact("target subwords", f"{history.target_tokens:,}", f"in {history.epochs:.1f} epochs"))
        for name, label, form, factor in (
            ("target_tokens_per_second", "target subwords per second", "{:,.0f}", 1.0),
            ("model_flops_utilization", "model FLOPs utilization", "{:.1f} %", 100.0),
            ("data_wait_fraction", "time waiting for data", "{:.1f} %", 100.0),
        ):
            if name in history.train and (known := history.train[name].finite()):
                cost.append(Fact(label, form.format(factor * sum(known) / len(known)), "mean of the reports"))
        if "memory_bytes" in history.train and (known := history.train["memory_bytes"].finite()):
            cost.append(Fact("peak memory", f"{max(known) / 2**30:.2f} GiB"))
    return cost


def _hashes(run: RunDirectory, summary: Mapping[str, Any], evaluations: Sequence[Evaluation]) -> list[Fact]:
    hashes = [Fact("prepared data", _text(summary.get("data")))]
    for name, path in (("model", run.model / files.MANIFEST), ("recipe as given", run.recipe)):
        if path.is_file():
            hashes.append(Fact(name, _sha256(path)))
    for found in evaluations:
        provenance = found.content.get("provenance")
        if not isinstance(provenance, dict):
            continue
        hashes.append(Fact(f"{found.name}: model", _text(provenance.get("model"))))
        hashes.append(Fact(f"{found.name}: source", _text(provenance.get("source"))))
        references = provenance.get("references")
        for hash_ in references if isinstance(references, list) else ():
            hashes.append(Fact(f"{found.name}: reference", _text(hash_)))
    return [fact for fact in hashes if fact.value]


def _seconds(run: RunDirectory, summary: Mapping[str, Any]) -> float:
    """Time spent in training: the summary's, or, of a run that is not finished, the newest checkpoint's."""
    seconds = summary.get("seconds")
    if seconds is None and (steps := run.saved_updates()):
        try:
            state = files.read_json(run.checkpoint(steps[-1]) / STATE)
        except NmtError:
            return 0.0
        seconds = state.get("seconds") if isinstance(state, dict) else None
    return float(seconds) if isinstance(seconds, int | float) else 0.0


def _weights(run: RunDirectory) -> int:
    folders = [run.model, *(run.checkpoint(step) for step in reversed(run.saved_updates()))]
    for folder in folders:
        if (folder / WEIGHTS).is_file():
            try:
                return count_parameters(folder / WEIGHTS)
            except NmtError:
                continue
    return 0


def _environment(summary: Mapping[str, Any]) -> dict[str, str]:
    found = summary.get("environment")
    return {str(name): _text(value) for name, value in found.items()} if isinstance(found, dict) else {}


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _sha256(path: Path) -> str:
    try:
        return files.sha256(path)
    except OSError:
        return ""
