"""The names of all files in a run directory; no other module knows them."""

import math
from dataclasses import dataclass
from pathlib import Path

from nmt_cli import files
from nmt_cli.errors import ModelError

WEIGHTS = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"
STATE = "state.json"
CONFIG = "config.json"
TOKENIZER = "tokenizer"
SHORTLIST = "shortlist.safetensors"
ADAPTER_CONFIG = "adapter.json"
ADAPTER_WEIGHTS = "adapter.safetensors"
MODEL_CARD = "README.md"
SOURCE_DOCUMENTS = "source"
"""Folder with the licence and the model card of an imported model."""
HYPOTHESES = "hypotheses.jsonl"
SCORES = "scores.json"
REPORT = "report.md"
ANALYSIS = "analysis.json"
ROBUSTNESS = "robustness.json"
TOXICITY = "toxicity.json"
_STEP, _SEED = "step_", "seed_"


@dataclass(frozen=True)
class RunDirectory:
    """The folder of one training run, with checkpoints, journal, model and scores. It can be moved."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The recipe as given."""
        return self.path / "recipe.yaml"

    @property
    def resolved(self) -> Path:
        """The recipe with every default filled in."""
        return self.path / "resolved.yaml"

    @property
    def summary(self) -> Path:
        """Status, versions, environment and data of the run. A folder with this file is a run."""
        return self.path / "run.json"

    @property
    def metrics(self) -> Path:
        """The journal: one JSON object per line."""
        return self.path / "metrics.jsonl"

    @property
    def log(self) -> Path:
        """All messages of training, with their times."""
        return self.path / "train.log"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard events, if enabled."""
        return self.path / "tensorboard"

    @property
    def trackers(self) -> Path:
        """The names that trackers of experiments have for the run."""
        return self.path / "trackers.json"

    @property
    def tokenizer(self) -> Path:
        """A copy of the tokenizer, which makes the run self-contained."""
        return self.path / TOKENIZER

    @property
    def model(self) -> Path:
        """The averaged, deployable model."""
        return self.path / "model"

    @property
    def adapter(self) -> Path:
        """What LoRA has trained, without the model that it belongs to."""
        return self.path / "adapter"

    @property
    def checkpoints(self) -> Path:
        """The folder of all checkpoints."""
        return self.path / "checkpoints"

    @property
    def report(self) -> Path:
        """The page that `nmt report` writes."""
        return self.path / "report.html"

    @property
    def lock(self) -> Path:
        """Locked by the process that trains in this run."""
        return self.path / ".lock"

    @property
    def stop_request(self) -> Path:
        """A file that asks the process that trains in this run to save and end; a new start removes it."""
        return self.path / ".stop"

    def checkpoint(self, update: int) -> Path:
        """The checkpoint of an update."""
        return self.checkpoints / f"{_STEP}{update}"

    def pointer(self, name: str) -> Path:
        """The JSON file that names the `last` or `best` checkpoint."""
        return self.checkpoints / f"{name}.json"

    def evaluation(self, test_set: str) -> Path:
        """The folder with translations, scores and report of a test set."""
        return self.path / "evaluation" / test_set

    def refuse_links(self) -> None:
        """Raise ModelError if a folder inside the run is a symbolic link, through which nmt would write outside it."""
        evaluations = self.evaluation("any").parent
        folders = [self.checkpoints, self.model, self.adapter, self.tokenizer, self.tensorboard, evaluations]
        for folder in (*folders, *self.checkpoints.glob("*"), *evaluations.glob("*")):
            if folder.is_symlink():
                raise ModelError(f"{folder}: is a symbolic link, which may lead outside; only the run can be one")

    def of_seed(self, seed: int) -> Path:
        """Return the run with a seed, where this folder is that of several seeds."""
        return self.path / f"{_SEED}{seed}"

    def seeds(self) -> list[Path]:
        """Return the runs with several seeds in this folder, in order; empty if it is a run itself."""
        if self.summary.is_file():
            return []
        names = [path.name.removeprefix(_SEED) for path in self.path.glob(f"{_SEED}*")]
        runs = (self.of_seed(seed) for seed in sorted({int(name) for name in names if name.isdecimal()}))
        return [run for run in runs if RunDirectory(run).summary.is_file()]

    def saved_updates(self) -> list[int]:
        """Return the updates with a checkpoint, in order."""
        names = [path.name.removeprefix(_STEP) for path in self.checkpoints.glob(f"{_STEP}*")]
        return sorted({int(name) for name in names if name.isdecimal()})


@dataclass(frozen=True)
class ModelFiles:
    """A model on disk: the folder of its parameters, and the run it belongs to, if any."""

    folder: Path
    run: RunDirectory | None
    standalone: bool
    """Whether the folder contains configuration and tokenizer; a checkpoint uses those of its run."""


def find_model(path: Path) -> ModelFiles:
    """Find the model in a run (its `model/`, otherwise its last checkpoint), a checkpoint or a model folder."""
    if (toolkit := _other_toolkit(path)) is not None:
        raise ModelError(
            f"{path}: is a model of {toolkit}, which must be converted: nmt import {path} -o MODEL; docs/fine-tuning.md"
            " goes on from there"
        )
    if (path / CONFIG).is_file():
        run = RunDirectory(path.resolve().parent)
        return ModelFiles(path, run if run.summary.is_file() else None, standalone=True)
    if (path / STATE).is_file():
        run = RunDirectory(path.resolve().parent.parent)
        if not run.summary.is_file():
            raise ModelError(f"{path}: is a checkpoint outside a run; give its run, or a model folder")
        return ModelFiles(path, run, standalone=False)
    run = RunDirectory(path)
    if run.summary.is_file():
        if (run.model / CONFIG).is_file():
            return ModelFiles(run.model, run, standalone=True)
        if saved := run.saved_updates():
            return ModelFiles(run.checkpoint(saved[-1]), run, standalone=False)
        raise ModelError(f"{path}: this run has no checkpoint yet; train it first")
    if path.exists():
        raise ModelError(f"{path}: {not_a_run(path, 'a model, checkpoint or run of nmt')}")
    raise ModelError(f"{path}: does not exist; create a model with nmt train")


def not_a_run(path: Path, expected: str = "a run; nmt train creates one") -> str:
    """Return the reason why a path is not a run; name one of the runs if it is the folder of a sweep or of seeds."""
    runs = sorted(each.parent for each in path.glob(f"*/{RunDirectory(path).summary.name}"))
    if runs:
        return f"is a folder of {len(runs)} runs; choose one, such as {runs[0]}"
    return f"is not {expected}"


def _other_toolkit(path: Path) -> str | None:
    """Return the toolkit whose model is in a folder; None if it is not known, or nmt itself."""
    if not path.is_dir() or (path / files.MANIFEST).is_file():
        return None
    content = files.read_json(path / CONFIG, ModelError) if (path / CONFIG).is_file() else None
    if isinstance(content, dict) and "model_type" in content:
        return "Hugging Face"
    return "CTranslate2" if (path / "model.bin").is_file() else "Marian" if any(path.glob("*.npz")) else None


def find_adapter(path: Path) -> Path:
    """Return the folder of the adapter of a run, or of an adapter. ModelError if there is none."""
    for folder in (path, RunDirectory(path).adapter):
        if (folder / ADAPTER_CONFIG).is_file():
            return folder
    if RunDirectory(path).model.is_dir():
        raise ModelError(f"{path}: is a run without an adapter; training.lora trains adapters")
    raise ModelError(f"{path}: {not_a_run(path, 'an adapter or a run with one; training.lora trains adapters')}")


def count_parameters(path: Path) -> int:
    """Return the number of values in a safetensors file, from its header. Raises ModelError if it is not valid."""
    from safetensors import SafetensorError, safe_open

    try:
        files.open_regular(path).close()
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            return sum(math.prod(file.get_slice(name).get_shape()) for name in names)
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelError(f"{path}: is not a valid safetensors file: {error}") from error
