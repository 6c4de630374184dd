"""The run, model, data or evaluation that a file or folder is part of."""

from pathlib import Path

from nmt_cli import files
from nmt_cli.errors import NmtError
from nmt_cli.runs.directory import (
    ANALYSIS,
    CONFIG,
    HYPOTHESES,
    REPORT,
    ROBUSTNESS,
    SCORES,
    STATE,
    TOXICITY,
    RunDirectory,
)

_MAX_LEVELS = 4
"""Parent folders that are searched."""
_LOCK = ".lock"
_DIRECT = {files.MANIFEST, CONFIG, STATE, SCORES, REPORT, "run.json", "tokenizer.json"}
"""Files that are part of their folder, of any kind."""
_EVALUATION = {ANALYSIS, ROBUSTNESS, TOXICITY, _LOCK}
_TOKENIZER = {f"{side}.{kind}" for side in ("joint", "source", "target") for kind in ("model", "vocabulary.json")}


def container_of(path: Path) -> Path | None:
    """Return the innermost folder written by nmt that `path` is part of, or None."""
    parts = path.resolve().parts
    for levels in range(1, min(_MAX_LEVELS, len(parts) - 1) + 1):
        folder, name = ancestor(path, levels), "/".join(parts[-levels:])
        if name in _DIRECT or _is_part_of(folder, name) or _is_part_of_run(RunDirectory(folder), name):
            return folder
    return None


def ancestor(path: Path, levels: int) -> Path:
    """Return the folder this many levels up, relative if `path` is relative and long enough."""
    return path.parents[levels - 1] if len(path.parents) > levels else path.resolve().parents[levels - 1]


def read_manifest_or_empty(folder: Path) -> dict[str, object]:
    """Return a folder's manifest; empty if there is none or it cannot be read."""
    try:
        manifest = files.read_json(folder / files.MANIFEST)
    except NmtError:
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _is_part_of(folder: Path, name: str) -> bool:
    """Return whether a name is a part of an evaluation, a tokenizer or a folder with a manifest."""
    if name in _EVALUATION and (folder / HYPOTHESES).is_file():
        return True
    if name in _TOKENIZER and (folder / "tokenizer.json").is_file():
        return True
    entries = read_manifest_or_empty(folder).get("files")
    return isinstance(entries, dict) and any(f"{each}/".startswith(f"{name}/") for each in entries)


def _is_part_of_run(run: RunDirectory, name: str) -> bool:
    if not run.summary.is_file():
        return False
    path = run.path / name
    known = {run.recipe, run.resolved, run.metrics, run.log, run.report, run.lock, run.stop_request}
    known |= {run.checkpoints, run.tensorboard, run.trackers}
    pointers = {run.pointer("last"), run.pointer("best")}
    evaluations = run.evaluation("any").parent
    return path in known | pointers or evaluations in (path, path.parent) or path.parent == run.tensorboard
