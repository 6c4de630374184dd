"""Any file or folder → what it is, what it holds and what can be done with it."""

import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.console import duration
from nmt_cli.data.preparation.manifest import KIND, read_prepared_summary
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import DataError, ModelError, NmtError
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.reporting.listing import list_runs, listed, size
from nmt_cli.reporting.parts import above, manifest_of, whole_of
from nmt_cli.reporting.run_report.evaluations import read_evaluation_folder
from nmt_cli.reporting.templates import score_text
from nmt_cli.runs.directory import CONFIG, HYPOTHESES, SCORES, STATE, WEIGHTS, RunDirectory, count_parameters
from nmt_cli.runs.history import read_journal
from nmt_cli.runs.journal import read_summary


@dataclass(frozen=True)
class Shown:
    """What is known of a path."""

    kind: str
    """Such as run, or prepared data."""
    facts: dict[str, str]
    next: str
    """What to do with it."""
    folders: list[Path] = field(default_factory=list)
    """Those whose manifest tells the hashes of its files."""


def show_path(path: Path) -> Shown:
    """What `path` is; DataError if it is nothing that nmt made, or of another kind if it is but is damaged."""
    if not path.exists():
        raise DataError(f"{path}: does not exist")
    kinds = _FOLDERS if path.is_dir() else _FILES
    for belongs, describe in kinds:
        if belongs(path):
            return describe(path)
    if whole := whole_of(path):
        around = show_path(whole)
        return Shown(f"part of the {around.kind}", around.facts, f"nmt show {whole}", around.folders)
    what = "folder" if path.is_dir() else "file"
    raise DataError(f"{path}: is unknown; as far as can be told, nmt did not make this {what}")


def check(shown: Shown) -> list[str]:
    """Compare all files with their hashes; one line for each folder that is damaged, none if all is well."""
    damage = []
    for folder in shown.folders:
        try:
            files.read_manifest(folder, DataError)
        except DataError as error:
            damage.append(str(error))
    return damage


def _run(path: Path) -> Shown:
    run, found = RunDirectory(path), listed(path)
    read_summary(run)  # or say how it is damaged
    steps = run.saved_updates()
    facts = {"status": found.status, "update": f"{found.step:,}" if found.step is not None else "none yet"}
    if found.best is not None and found.best_step is not None:
        facts["best validation"] = f"{found.metric} {found.best:.2f} at update {found.best_step:,}".lstrip()
    facts |= _of_recipe(run.resolved)
    facts["checkpoints"] = ", ".join(f"{step:,}" for step in steps) or "none"
    facts["model"] = "yes" if (run.model / CONFIG).is_file() else "not yet"
    facts |= {f"{score.name} on {name}": score_text(score.value) for name, score in found.scores.items()}
    facts["size"] = size(found.bytes)
    is_over = found.status == "finished"
    evaluate = f"nmt evaluate {path}"
    advice = (
        f"nmt report {path}" if found.scores else evaluate if is_over else f"nmt train {run.recipe} goes on with it"
    )
    folders = [*([run.model] if run.model.is_dir() else []), *map(run.checkpoint, steps)]
    return Shown("run", facts, advice, folders)


def _checkpoint(path: Path) -> Shown:
    state = files.read_json(path / STATE, ModelError)
    facts = {}
    if isinstance(state, dict):
        known = {"num_updates": "update", "passes": "epochs", "target_tokens": "target subwords"}
        data = state.get("data")
        state = {**(data if isinstance(data, dict) else {}), **state}
        facts = {label: _counted(state[key]) for key, label in known.items() if isinstance(state.get(key), int | float)}
        if isinstance(state.get("seconds"), int | float):
            facts["training time"] = duration(state["seconds"])
    facts |= _weights(path)
    return Shown("checkpoint", facts, _translate(path), [path])


def _model(path: Path) -> Shown:
    config = files.read_json(path / CONFIG, ModelError)
    manifest = files.read_json(path / files.MANIFEST, ModelError)
    facts = {}
    if isinstance(config, dict):
        facts["languages"] = f"{config.get('source_language')} → {config.get('target_language')}"
        model, vocabularies = config.get("model"), config.get("vocabularies")
        if isinstance(model, dict):
            facts["architecture"] = str(model.get("architecture"))
        if isinstance(vocabularies, dict):
            facts["subwords"] = f"{vocabularies.get('source_size')} source, {vocabularies.get('target_size')} target"
    if isinstance(manifest, dict) and isinstance(manifest.get("averaged_updates"), list):
        facts["average of updates"] = ", ".join(map(str, manifest["averaged_updates"]))
    return Shown("model", facts | _weights(path), _translate(path), [path])


def _translate(path: Path) -> str:
    return f"nmt translate {path} < in.txt > out.txt"


def _prepared(path: Path) -> Shown:
    found = read_prepared_summary(path)
    facts = {
        corpus.name: f"{corpus.kept:,} of {corpus.read:,} pairs, {corpus.num_tokens('target'):,} target subwords"
        for corpus in found.corpora
    }
    facts |= {key: str(value) for key, value in found.settings.items() if key.startswith("tokenizer.")}
    facts["fingerprint"] = found.fingerprint
    return Shown("prepared data", facts, "nmt train, with a recipe that names it as data.prepared", [path])


def _export(path: Path) -> Shown:
    """A model in the form of another program."""
    manifest = manifest_of(path)
    facts = {"for": str(manifest["exported"]), "written by": f"nmt {manifest.get('nmt')}"}
    return Shown("export", facts, f"read {path / 'README.md'}", [path])


def _tokenizer(path: Path) -> Shown:
    found = Tokenizer.load(path)
    subwords = (
        f"{found.source_size:,}" if found.joint else f"{found.source_size:,} source, {found.target_size:,} target"
    )
    facts = {
        "subwords": subwords + (", joint" if found.joint else ""),
        "normalization": found.normalization,
        "fingerprint": found.fingerprint,
    }
    return Shown("tokenizer", facts, f"tokenizer.take_from: {path} in a recipe uses it as it is")


def _evaluation(path: Path) -> Shown:
    found = read_evaluation_folder(path)
    facts = {"set": found.name, "sentences": f"{len(found.sentences):,}"}
    facts |= {score.name: f"{score.value:.2f}  ({score.signature})" for score in found.scores}
    if found.damaged:
        facts["damaged lines"] = f"{found.damaged:,}"
    run = above(path, 2)
    advice = f"nmt report {run}" if RunDirectory(run).summary.is_file() else f"read {path / 'report.md'}"
    return Shown("evaluation", facts, advice)


def _folder_of_runs(path: Path) -> Shown:
    found = list_runs(path)
    return Shown("folder of runs", {"runs": f"{len(found):,}"}, f"nmt runs {path}")


def _journal(path: Path) -> Shown:
    found = read_journal(path)
    facts = {
        "last update": f"{found.last_update:,}",
        "epochs": f"{found.epochs:.1f}",
        "validation sets": ", ".join(found.valid) or "none",
        "events": f"{len(found.events):,}",
    }
    if found.damaged:
        facts["damaged lines"] = f"{found.damaged:,}"
    return Shown("journal of a run", facts, f"nmt report {path.parent}")


def _hypotheses(path: Path) -> Shown:
    with path.open("rb") as file:
        lines = sum(1 for _ in file)
    first = _first_record(path)
    facts = {"sentences": f"{lines:,}", "of each": ", ".join(first)}
    return Shown("hypotheses of an evaluated set", facts, "nmt compare takes it, beside those of another system")


def _recipe(path: Path) -> Shown:
    found = load_recipe(path)
    facts = {"run": str(found.run), **_of_recipe(path), "prepared data": str(found.data.prepared)}
    return Shown("recipe", facts, f"nmt preprocess {path}, then nmt train {path}")


def _safetensors(path: Path) -> Shown:
    return Shown("weights", {"weights": f"{count_parameters(path):,}"}, f"nmt show {path.parent}")


def _page(path: Path) -> Shown:
    """What nmt report and nmt compare write."""
    title = re.search(r"<title>(.*) · nmt</title>", path.read_bytes().decode(errors="replace"))
    facts = {"of": html.unescape(title[1])} if title else {}
    return Shown("page", facts, "open it in a browser")


def _of_recipe(path: Path) -> dict[str, str]:
    try:
        recipe = load_recipe(path)
    except NmtError:
        return {}
    return {
        "languages": f"{recipe.data.source_language} → {recipe.data.target_language}",
        "architecture": recipe.model.architecture,
        "corpora": ", ".join(recipe.data.train),
        "test sets": ", ".join(recipe.data.test) or "none",
    }


def _weights(folder: Path) -> dict[str, str]:
    try:
        return {"weights": f"{count_parameters(folder / WEIGHTS):,}"}
    except ModelError:
        return {"weights": "cannot be read"}


def _first_record(path: Path) -> dict[str, Any]:
    """The first line as a JSON object; empty if it is none."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.readline(1_000_000))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _counted(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def _is_prepared(path: Path) -> bool:
    return manifest_of(path).get("kind") == KIND


def _is_export(path: Path) -> bool:
    return "exported" in manifest_of(path)


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        return b'<meta name="generator" content="nmt">' in file.read(1000)


def _is_recipe(path: Path) -> bool:
    """Whether it looks like one, though there may be mistakes in it."""
    if path.suffix not in (".yaml", ".yml"):
        return False
    with path.open("rb") as file:
        beginnings = [line[:6] for line in file.read(1_000_000).split(b"\n")]
    return b"model:" in beginnings and any(beginning.startswith(b"data:") for beginning in beginnings)


_FOLDERS: list[tuple[Callable[[Path], bool], Callable[[Path], Shown]]] = [
    (lambda path: RunDirectory(path).summary.is_file(), _run),
    (lambda path: (path / CONFIG).is_file() and (path / WEIGHTS).is_file(), _model),
    (lambda path: (path / STATE).is_file() and (path / WEIGHTS).is_file(), _checkpoint),
    (_is_prepared, _prepared),
    (_is_export, _export),
    (Tokenizer.is_saved_in, _tokenizer),
    (lambda path: (path / SCORES).is_file() and (path / HYPOTHESES).is_file(), _evaluation),
    (lambda path: bool(list_runs(path)), _folder_of_runs),
]
_FILES: list[tuple[Callable[[Path], bool], Callable[[Path], Shown]]] = [
    (lambda path: {"kind", "update"} <= _first_record(path).keys(), _journal),
    (lambda path: {"source", "hypothesis", "references"} <= _first_record(path).keys(), _hypotheses),
    (lambda path: path.suffix == ".safetensors", _safetensors),
    (_is_page, _page),
    (_is_recipe, _recipe),
]
