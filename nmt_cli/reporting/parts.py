"""Files and folders that say nothing alone → the run, model, data or evaluation that they are part of."""

from pathlib import Path

from nmt_cli import files
from nmt_cli.errors import NmtError
from nmt_cli.runs.directory import ANALYSIS, CONFIG, HYPOTHESES, REPORT, ROBUSTNESS, SCORES, STATE, RunDirectory

_DEEPEST = 4
"""Folders around a part that are looked into."""
_LOCK = ".lock"
_DIRECT = {files.MANIFEST, CONFIG, STATE, SCORES, REPORT, "run.json", "tokenizer.json"}
"""Files that are part of the folder they lie in, whatever it is."""
_EVALUATION = {ANALYSIS, ROBUSTNESS, _LOCK}
_TOKENIZER = {f"{side}.{kind}" for side in ("joint", "source", "target") for kind in ("model", "vocabulary.json")}


def whole_of(path: Path) -> Path | None:
    """The nearest folder around `path` of which nmt made it a part; None if there is none."""
    parts = path.resolve().parts
    for levels in range(1, min(_DEEPEST, len(parts) - 1) + 1):
        folder, name = above(path, levels), "/".join(parts[-levels:])
        if name in _DIRECT or _is_of(folder, name) or _is_of_run(RunDirectory(folder), name):
            return folder
    return None


def above(path: Path, levels: int) -> Path:
    """So many folders up, told as `path` was if it is long enough."""
    return path.parents[levels - 1] if len(path.parents) > levels else path.resolve().parents[levels - 1]


def manifest_of(folder: Path) -> dict[str, object]:
    """What a folder's manifest says; empty if it has none that can be read."""
    try:
        manifest = files.read_json(folder / files.MANIFEST)
    except NmtError:
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _is_of(folder: Path, name: str) -> bool:
    """Whether a name is that of a part of an evaluation, of a tokenizer or of what a manifest tells of."""
    if name in _EVALUATION and (folder / HYPOTHESES).is_file():
        return True
    if name in _TOKENIZER and (folder / "tokenizer.json").is_file():
        return True
    listed = manifest_of(folder).get("files")
    return isinstance(listed, dict) and any(f"{each}/".startswith(f"{name}/") for each in listed)


def _is_of_run(run: RunDirectory, name: str) -> bool:
    if not run.summary.is_file():
        return False
    path = run.path / name
    known = {run.recipe, run.resolved, run.metrics, run.report, run.lock, run.checkpoints, run.tensorboard}
    pointers = {run.pointer("last"), run.pointer("best")}
    evaluations = run.evaluation("any").parent
    return path in known | pointers or evaluations in (path, path.parent) or path.parent == run.tensorboard
