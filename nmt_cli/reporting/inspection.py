"""Description of any file or folder written by nmt: its kind, its content and the next command."""

import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.console import command_line, duration
from nmt_cli.data.preparation.manifest import MANIFEST_KIND, read_prepared_summary
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import DataError, ModelError, NmtError
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.reporting.container import ancestor, container_of, read_manifest_or_empty
from nmt_cli.reporting.evaluation_files import read_evaluation
from nmt_cli.reporting.model_facts import adapter_facts, adapters_of, is_adapter_folder, model_facts, parameter_facts
from nmt_cli.reporting.run_list import describe_score, format_size, list_run, list_runs, live_facts, resume_command
from nmt_cli.runs.directory import CONFIG, HYPOTHESES, SCORES, STATE, TOKENIZER, WEIGHTS, RunDirectory, count_parameters
from nmt_cli.runs.journal import describe_published, read_journal, read_summary
from nmt_cli.text.lines import escape_invisible


@dataclass(frozen=True)
class Description:
    """Description of a path."""

    kind: str
    """Such as run, or prepared data."""
    facts: dict[str, str]
    next: str
    """Suggested next command or action."""
    folders: list[Path] = field(default_factory=list)
    """Folders whose manifests contain the hashes of their files."""

    def as_json(self, damage: list[str] | None) -> dict[str, Any]:
        """Return the description as plain data. `damage`: result of `find_damage`; None if it was not called."""
        facts = {name: escape_invisible(value) for name, value in self.facts.items()}
        content = {"kind": self.kind, "facts": facts, "next": escape_invisible(self.next)}
        return content if damage is None else content | {"damage": list(map(escape_invisible, damage))}


def describe_path(path: Path) -> Description:
    """Describe a file or folder.

    Raises:
        DataError: The path does not exist or was not written by nmt.
        NmtError: The path was written by nmt but is damaged.
    """
    if not path.is_dir() and not path.is_file():
        raise DataError(f"{path}: is neither a file nor a folder" if path.exists() else f"{path}: does not exist")
    kinds = _FOLDERS if path.is_dir() else _FILES
    for matches, describe in kinds:
        if matches(path):
            return describe(path)
    if container := container_of(path):
        described = describe_path(container)
        advice = command_line("nmt", "show", container)
        return Description(f"part of the {described.kind}", described.facts, advice, described.folders)
    raise DataError(f"{path}: unknown {'folder' if path.is_dir() else 'file'}; it does not seem to be written by nmt")


def find_damage(description: Description) -> list[str]:
    """Compare all files with their hashes. Returns one message per damaged folder."""
    damage = []
    for folder in description.folders:
        try:
            files.read_manifest(folder, DataError)
        except DataError as error:
            damage.append(str(error))
    return damage


def format_description(path: Path, description: Description, damage: list[str] | None) -> str:
    """Format the description of a path as text. `damage`: result of `find_damage`; None if it was not called."""
    facts = dict(description.facts)
    if damage is not None:
        num_folders = len(description.folders)
        facts["check"] = "all files match their hashes" if num_folders else "no hashes to compare with"
        if damage:
            facts["check"] = f"{len(damage)} of {num_folders} folders damaged"
    width = max(map(len, facts), default=0)
    lines = [f"{path}: {description.kind}", *(f"  {name:<{width}}  {value}" for name, value in facts.items())]
    return "".join(f"{escape_invisible(line)}\n" for line in [*lines, f"next: {description.next}"])


def _run(path: Path) -> Description:
    run, listed = RunDirectory(path), list_run(path)
    summary = read_summary(run)
    updates = run.saved_updates()
    facts = {"status": listed.status, "update": f"{listed.update:,}" if listed.update is not None else "none yet"}
    if listed.live is not None:
        facts |= live_facts(listed.live) | {"to stop it": command_line("nmt", "stop", path)}
    if listed.best is not None and listed.best_update is not None:
        facts["best validation"] = f"{listed.metric} {listed.best:.2f} at update {listed.best_update:,}".lstrip()
    facts |= _recipe_facts(run.resolved)
    facts["checkpoints"] = ", ".join(f"{update:,}" for update in updates) or "none"
    facts["model"] = (describe_published(summary.get("published")) or "yes") if run.model.is_dir() else "not yet"
    facts |= adapters_of(run)
    facts |= {f"{score.name} on {name}": describe_score(score) for name, score in listed.scores.items()}
    facts["size"] = format_size(listed.bytes)
    if listed.live is not None:
        advice = command_line("tail", "-f", run.log)
    elif listed.scores and not any(score.is_stale for score in listed.scores.values()):
        advice = command_line("nmt", "report", path)
    elif listed.status == "finished":
        advice = command_line("nmt", "evaluate", path)
    else:
        advice = resume_command(run, summary)
    folders = [*([run.model] if run.model.is_dir() else []), *map(run.checkpoint, updates)]
    return Description("run", facts, advice, folders)


def _checkpoint(path: Path) -> Description:
    state = files.read_json(path / STATE, ModelError)
    facts = {}
    if isinstance(state, dict):
        labels = {"num_updates": "update", "passes": "epochs", "target_tokens": "target subwords"}
        data = state.get("data")
        state = {**(data if isinstance(data, dict) else {}), **state}
        facts = {label: _count(state[key]) for key, label in labels.items() if isinstance(state.get(key), int | float)}
        if isinstance(state.get("seconds"), int | float):
            facts["training time"] = duration(state["seconds"])
    return Description("checkpoint", facts | parameter_facts(path), _translate_command(path), [path])


def _model(path: Path) -> Description:
    config, manifest = (files.read_json(path / name, ModelError) for name in (CONFIG, files.MANIFEST))
    facts = model_facts(config, manifest, path / TOKENIZER)
    return Description("model", facts | parameter_facts(path), _translate_command(path), [path])


def _adapter(path: Path) -> Description:
    advice = f"{command_line('nmt', 'translate', 'MODEL', '--adapter', path)} < in.txt > out.txt"
    return Description("adapter", adapter_facts(path), advice, [path])


def _translate_command(path: Path) -> str:
    return f"{command_line('nmt', 'translate', path)} < in.txt > out.txt"


def _prepared(path: Path) -> Description:
    prepared = read_prepared_summary(path)
    unit = "sentence pairs" if any(each.num_tokens("source") for each in prepared.corpora) else "documents"
    facts = {
        each.name: f"{each.num_kept:,} of {each.num_read:,} {unit}, {each.num_tokens('target'):,} target subwords"
        for each in prepared.corpora
    }
    facts |= {key: json.dumps(value) for key, value in prepared.settings.items() if key.startswith("tokenizer.")}
    facts["fingerprint"] = prepared.fingerprint
    return Description("prepared data", facts, f"nmt train, with a recipe whose data.prepared is {path}", [path])


def _export(path: Path) -> Description:
    """Describe a model exported for another program."""
    manifest = read_manifest_or_empty(path)
    facts = {"format": str(manifest["exported"]), "written by": f"nmt {manifest.get('nmt')}"}
    if isinstance(verification := manifest.get("verification"), str):
        facts["verification"] = verification
    return Description("export", facts, f"read {path / 'README.md'}", [path])


def _tokenizer(path: Path) -> Description:
    tokenizer = Tokenizer.load(path)
    source_size, target_size = f"{tokenizer.source_size:,}", f"{tokenizer.target_size:,}"
    facts = {
        "subwords": f"{source_size}, joint" if tokenizer.joint else f"{source_size} source, {target_size} target",
        "normalization": tokenizer.normalization,
        "fingerprint": tokenizer.fingerprint,
    }
    return Description("tokenizer", facts, f"set tokenizer.path: {path} in a recipe to reuse it")


def _evaluation(path: Path) -> Description:
    evaluation = read_evaluation(path)
    facts = {"test set": evaluation.name, "sentences": f"{len(evaluation.sentences):,}"}
    facts |= {score.name: f"{score.value:.2f}  ({score.signature})" for score in evaluation.scores}
    if evaluation.damaged_lines:
        facts["damaged lines"] = f"{evaluation.damaged_lines:,}"
    run = ancestor(path, 2)
    if evaluation.is_stale:
        return Description("evaluation of an earlier model", facts, command_line("nmt", "evaluate", run))
    advice = command_line("nmt", "report", run) if RunDirectory(run).summary.is_file() else f"read {path / 'report.md'}"
    return Description("evaluation", facts, advice)


def _folder_of_runs(path: Path) -> Description:
    return Description("folder of runs", {"runs": f"{len(list_runs(path)):,}"}, command_line("nmt", "runs", path))


def _journal(path: Path) -> Description:
    history = read_journal(path)
    facts = {
        "last update": f"{history.last_update:,}",
        "epochs": f"{history.epochs:.1f}",
        "validation sets": ", ".join(history.valid) or "none",
        "events": f"{len(history.events):,}",
    }
    if history.damaged:
        facts["damaged lines"] = f"{history.damaged:,}"
    return Description("training log", facts, command_line("nmt", "report", path.parent))


def _hypotheses(path: Path) -> Description:
    with path.open("rb") as file:
        lines = sum(1 for _ in file)
    facts = {"sentences": f"{lines:,}", "fields": ", ".join(_first_record(path))}
    return Description("hypotheses of an evaluated set", facts, command_line("nmt", "compare", path, "OTHER"))


def _recipe(path: Path) -> Description:
    recipe = load_recipe(path)
    facts = {"run": str(recipe.run), **_recipe_facts(path), "prepared data": str(recipe.data.prepared)}
    if RunDirectory(recipe.run).summary.is_file():
        return Description("recipe", facts, command_line("nmt", "show", recipe.run))
    commands = (command_line("nmt", command, path) for command in ("preprocess", "train"))
    return Description("recipe", facts, " && ".join(commands))


def _safetensors(path: Path) -> Description:
    facts = {"parameters": f"{count_parameters(path):,}"}
    return Description("weights", facts, command_line("nmt", "show", path.parent))


def _page(path: Path) -> Description:
    """Describe a page written by nmt report or nmt compare."""
    title = re.search(r"<title>(.*) · nmt</title>", path.read_bytes().decode(errors="replace"))
    facts = {"title": html.unescape(title[1])} if title else {}
    return Description("report page", facts, "open it in a browser")


def _recipe_facts(path: Path) -> dict[str, str]:
    try:
        recipe = load_recipe(path)
    except NmtError:
        return {}
    data = recipe.data
    languages = {"languages": f"{data.source_language} → {data.target_language}"}
    return {
        **({"language": data.target_language} if data.is_monolingual else languages),
        "architecture": recipe.model.architecture,
        "corpora": ", ".join(data.train),
        "test sets": ", ".join(data.test) or "none",
    }


def _first_record(path: Path) -> dict[str, Any]:
    """Return the first line as a JSON object; empty if it is not one."""
    try:
        record = json.loads(_beginning(path).split(b"\n")[0])
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _count(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1_000_000)


def _is_page(path: Path) -> bool:
    return b'<meta name="generator" content="nmt">' in _beginning(path)[:1000]


def _is_recipe(path: Path) -> bool:
    """Return whether a file has the sections of a recipe, even if the recipe has errors."""
    if path.suffix not in (".yaml", ".yml"):
        return False
    beginnings = [line[:6] for line in _beginning(path).split(b"\n")]
    return b"model:" in beginnings and any(beginning.startswith(b"data:") for beginning in beginnings)


_FOLDERS: list[tuple[Callable[[Path], bool], Callable[[Path], Description]]] = [
    (lambda path: RunDirectory(path).summary.is_file(), _run),
    (lambda path: "exported" in read_manifest_or_empty(path), _export),  # it may have files with names of nmt's
    (lambda path: (path / CONFIG).is_file() and (path / WEIGHTS).is_file(), _model),
    (is_adapter_folder, _adapter),
    (lambda path: (path / STATE).is_file() and (path / WEIGHTS).is_file(), _checkpoint),
    (lambda path: read_manifest_or_empty(path).get("kind") == MANIFEST_KIND, _prepared),
    (Tokenizer.is_saved_in, _tokenizer),
    (lambda path: (path / SCORES).is_file() and (path / HYPOTHESES).is_file(), _evaluation),
    (lambda path: bool(list_runs(path)), _folder_of_runs),
]
_FILES: list[tuple[Callable[[Path], bool], Callable[[Path], Description]]] = [
    (lambda path: {"kind", "update"} <= _first_record(path).keys(), _journal),
    (lambda path: {"source", "hypothesis", "references"} <= _first_record(path).keys(), _hypotheses),
    (lambda path: path.suffix == ".safetensors", _safetensors),
    (_is_page, _page),
    (_is_recipe, _recipe),
]
