"""Trackers of experiments, which are given the records of the journal: TensorBoard, Weights & Biases and MLflow.

Each is an optional package with settings of its own in environment variables, such as WANDB_PROJECT, WANDB_MODE and
MLFLOW_TRACKING_URI.
"""

import importlib.util
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from nmt_cli import console, files
from nmt_cli.errors import ModelError, RecipeError, ResourceError
from nmt_cli.recipe.logs import Logging
from nmt_cli.runs.directory import RunDirectory

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_CURVE_KEYS = frozenset({"time", "update", "kind", "set"})
"""Entries of a record that are not curves."""
_PROJECT = "nmt"
"""Default project of Weights & Biases, and experiment of MLflow."""
Record = Mapping[str, Any]


class Tracker(Protocol):
    """Shows the numbers of records of kind train and valid as curves: `train/loss`, `valid/NAME/bleu`, by update."""

    def rewind(self, update: int, records: Iterable[Record]) -> None:
        """Continue after `update`; a tracker that is new to the run starts with the given records."""

    def add(self, record: Record) -> None:
        """Add a record."""


def open_trackers(run: RunDirectory, settings: Logging) -> list[Tracker]:
    """Return the trackers that the settings switch on; they are started by `rewind`."""
    return [_TRACKERS[name][1](run) for name in _chosen(settings)]


def require_trackers(settings: Logging) -> None:
    """Raise RecipeError if the package of a tracker is not installed."""
    for name in _chosen(settings):
        if importlib.util.find_spec(package := _TRACKERS[name][0]) is None:
            message = f"the package {package} is not installed; pip install 'nmt-cli[{name}]'"
            raise RecipeError(f"training.logging.{name}: {message}")


class TensorBoardTracker:
    """Writes events to RUN/tensorboard."""

    def __init__(self, run: RunDirectory) -> None:
        self._folder = run.tensorboard
        self._writer: SummaryWriter | None = None

    def rewind(self, update: int, records: Iterable[Record]) -> None:
        """TensorBoard drops later events."""
        from torch.utils.tensorboard import SummaryWriter  # optional, and takes a second to import

        is_new = not self._folder.exists()
        with files.disk_errors(self._folder):
            if self._writer is not None:
                self._writer.close()
            self._writer = SummaryWriter(str(self._folder), purge_step=update + 1)
        for record in records if is_new else ():
            self.add(record)

    def add(self, record: Record) -> None:
        """Write the numbers of a record at once."""
        if self._writer is not None:
            with files.disk_errors(self._folder):
                for name, value in _curves(record):
                    self._writer.add_scalar(name, value, record["update"], record["time"])
                self._writer.flush()


class WandbTracker:
    """Logs to a run of Weights & Biases, which is resumed with this one. Curves are plotted by their entry `update`."""

    def __init__(self, run: RunDirectory) -> None:
        self._directory = run
        self._run: Any = None

    def rewind(self, update: int, records: Iterable[Record]) -> None:
        """Start, once. Repeated updates are plotted a second time, as points cannot be removed."""
        if self._run is not None:
            return
        import wandb

        identity, is_new = _identity(self._directory, "wandb", lambda: secrets.token_hex(8))
        try:
            self._run = wandb.init(
                project=wandb.Settings().project or _PROJECT,
                id=identity,
                resume="allow",
                name=str(self._directory.path),
            )
            self._run.define_metric("*", step_metric="update")
        except wandb.errors.Error as error:
            raise ResourceError(f"training.logging.wandb: {error}; WANDB_MODE=offline needs no connection") from error
        for record in records if is_new else ():
            self.add(record)

    def add(self, record: Record) -> None:
        """Log the numbers of a record; wandb sends them in the background."""
        if values := dict(_curves(record)):
            self._run.log({"update": record["update"], **values})


class MlflowTracker:
    """Logs to a run of MLflow, which is resumed with this one."""

    def __init__(self, run: RunDirectory) -> None:
        self._directory = run
        self._client: Any = None
        self._identity = ""

    def rewind(self, update: int, records: Iterable[Record]) -> None:
        """Start, once. Repeated updates are logged a second time, as points cannot be removed."""
        if self._client is not None:
            return
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        try:
            self._client = MlflowClient()
            self._identity, is_new = _identity(self._directory, "mlflow", self._create)
        except MlflowException as error:
            message = str(error).split("\n")[0]
            raise ResourceError(f"training.logging.mlflow: {message}; check MLFLOW_TRACKING_URI") from error
        for record in records if is_new else ():
            self.add(record)

    def add(self, record: Record) -> None:
        """Log the numbers of a record. A server that does not answer costs these points, and a warning."""
        from mlflow.entities import Metric
        from mlflow.exceptions import MlflowException

        moment = round(1000 * record.get("time", time.time()))
        metrics = [Metric(name, value, moment, record["update"]) for name, value in _curves(record)]
        try:
            if metrics:
                self._client.log_batch(self._identity, metrics=metrics)
        except MlflowException as error:
            console.warn(f"training.logging.mlflow: {str(error).split(chr(10))[0]}")

    def _create(self) -> str:
        found = self._client.get_experiment_by_name(_PROJECT)
        experiment = found.experiment_id if found else self._client.create_experiment(_PROJECT)
        created = self._client.create_run(experiment, run_name=str(self._directory.path))
        return str(created.info.run_id)


def _chosen(settings: Logging) -> list[str]:
    given = {"tensorboard": settings.tensorboard, "wandb": settings.wandb, "mlflow": settings.mlflow}
    return [name for name, is_on in given.items() if is_on]


def _identity(run: RunDirectory, tracker: str, create: Callable[[], str]) -> tuple[str, bool]:
    """Return the tracker's name of a run, which is kept in the run, and whether it is new."""
    known = files.read_json(run.trackers, ModelError) if run.trackers.is_file() else {}
    if not isinstance(known, dict):
        raise ModelError(f"{run.trackers}: is not a JSON object; remove it")
    if isinstance(known.get(tracker), str):
        return known[tracker], False
    created = create()
    files.write_json(run.trackers, {**known, tracker: created})
    return created, True


def _curves(record: Record) -> Iterator[tuple[str, float]]:
    """Yield the numbers of a record by name; nothing if it is neither of kind train nor valid."""
    if record.get("kind") in ("train", "valid"):
        prefix = f"{record['kind']}/{record['set']}" if "set" in record else record["kind"]
        yield from _flatten(prefix, {name: value for name, value in record.items() if name not in _CURVE_KEYS})


def _flatten(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield all numbers by name; those of nested entries as `mixture/NAME/pairs`."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(f"{prefix}/{name}", value)
        elif isinstance(value, int | float):
            yield f"{prefix}/{name}", value


_TRACKERS: dict[str, tuple[str, Callable[[RunDirectory], Tracker]]] = {
    "tensorboard": ("tensorboard", TensorBoardTracker),
    "wandb": ("wandb", WandbTracker),
    "mlflow": ("mlflow", MlflowTracker),
}
"""From a key of `training.logging` to its package and class."""
