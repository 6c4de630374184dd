"""The name of every file a run leaves; nothing else knows them."""

from dataclasses import dataclass
from pathlib import Path

from nmt_cli.errors import ModelError

WEIGHTS = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"
STATE = "state.json"
CONFIG = "config.json"
TOKENIZER = "tokenizer"
HYPOTHESES = "hypotheses.jsonl"
SCORES = "scores.json"
REPORT = "report.md"
ANALYSIS = "analysis.json"
ROBUSTNESS = "robustness.json"
_STEP = "step_"


@dataclass(frozen=True)
class RunDirectory:
    """Where one training keeps its checkpoints, journal, model and scores; may be moved as a whole."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The recipe as it was given."""
        return self.path / "recipe.yaml"

    @property
    def resolved(self) -> Path:
        """The recipe with every default filled in."""
        return self.path / "resolved.yaml"

    @property
    def summary(self) -> Path:
        """Status, versions, machine and data of the run; what makes a folder a run."""
        return self.path / "run.json"

    @property
    def metrics(self) -> Path:
        """The journal: one JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def tensorboard(self) -> Path:
        """The journal's numbers as curves, if asked for."""
        return self.path / "tensorboard"

    @property
    def tokenizer(self) -> Path:
        """A copy of the tokenizer, so that the run needs nothing outside."""
        return self.path / TOKENIZER

    @property
    def model(self) -> Path:
        """The averaged, deployable model."""
        return self.path / "model"

    @property
    def checkpoints(self) -> Path:
        """Folder of all checkpoints."""
        return self.path / "checkpoints"

    @property
    def report(self) -> Path:
        """The page that `nmt report` makes of all the others."""
        return self.path / "report.html"

    @property
    def lock(self) -> Path:
        """Held by the one process that trains here."""
        return self.path / ".lock"

    def checkpoint(self, step: int) -> Path:
        """The checkpoint of one update."""
        return self.checkpoints / f"{_STEP}{step}"

    def pointer(self, name: str) -> Path:
        """A small file that says which checkpoint is `last` or `best`."""
        return self.checkpoints / f"{name}.json"

    def evaluation(self, test_set: str) -> Path:
        """Translations, scores and report of one test set."""
        return self.path / "evaluation" / test_set

    def steps(self) -> list[int]:
        """Updates of which there is a checkpoint, in order."""
        found = [path.name.removeprefix(_STEP) for path in self.checkpoints.glob(f"{_STEP}*")]
        return sorted(int(step) for step in found if step.isdecimal())


@dataclass(frozen=True)
class ModelFiles:
    """A model on disk: the folder of its weights, and the run it belongs to unless it stands alone."""

    folder: Path
    run: RunDirectory | None
    standalone: bool
    """Whether the folder holds its own configuration and tokenizer; a checkpoint's are the run's."""


def find_model(path: Path) -> ModelFiles:
    """What `path` names: a run (its model, else its best or last checkpoint), a checkpoint or a model folder."""
    if (path / CONFIG).is_file():
        run = RunDirectory(path.resolve().parent)
        return ModelFiles(path, run if run.summary.is_file() else None, standalone=True)
    if (path / STATE).is_file():
        run = RunDirectory(path.resolve().parent.parent)
        if not run.summary.is_file():
            raise ModelError(f"{path}: is a checkpoint outside its run; give the run, or a model folder")
        return ModelFiles(path, run, standalone=False)
    run = RunDirectory(path)
    if run.summary.is_file():
        if (run.model / CONFIG).is_file():
            return ModelFiles(run.model, run, standalone=True)
        if steps := run.steps():
            return ModelFiles(run.checkpoint(steps[-1]), run, standalone=False)
        raise ModelError(f"{path}: this run has no checkpoint yet; train it first")
    if path.exists():
        raise ModelError(f"{path}: is no model, checkpoint or run of nmt")
    raise ModelError(f"{path}: there is no such model; nmt train makes one")
