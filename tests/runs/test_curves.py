"""TensorBoard, Weights & Biases and MLflow show the records of the journal."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nmt_cli.errors import ModelError, RecipeError, ResourceError
from nmt_cli.recipe.logs import Logging
from nmt_cli.runs.curves import _identity, require_trackers
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.runs.journal import Journal

installed = importlib.util.find_spec("tensorboard") is not None
needs_tensorboard = pytest.mark.skipif(not installed, reason="tensorboard is not installed")


def read_curves(run: RunDirectory) -> dict[str, list[tuple[int, float]]]:
    """Read updates and values of each curve with TensorBoard."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.tensorboard)).Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_tracker_without_its_package_names_the_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=rf"^training\.logging\.{name}: .*'nmt-cli\[{name}\]'"):
        require_trackers(Logging.model_validate({name: True}))


def test_damaged_trackers_file_is_a_model_error(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.trackers.write_text("[]")
    with pytest.raises(ModelError, match="is not a JSON object"):
        _identity(run, "mlflow", lambda: "new")


def test_journal_without_tensorboard_writes_no_curves(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    journal = Journal(run)
    journal.rewind(0)
    journal.write("train", 1, 0.1, 10, loss=1.0)
    assert not run.tensorboard.exists()


@needs_tensorboard
def test_curves_have_all_finite_numbers(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    journal = Journal(run, Logging(tensorboard=True))
    journal.rewind(0)
    journal.write("event", 0, 0.0, 0, event="started", ranks=1)
    journal.write("train", 1, 0.5, 10, loss=2.0, mixture={"clean": {"pairs": 3}})
    journal.write("train", 2, 1.0, 20, loss=float("nan"))
    journal.write("valid", 2, 1.0, 20, set="dev", bleu=12.5)
    curves = read_curves(run)
    assert curves["train/loss"] == [(1, 2.0)]
    assert curves["train/target_tokens"] == [(1, 10.0), (2, 20.0)]
    assert curves["train/mixture/clean/pairs"] == [(1, 3.0)]
    assert curves["valid/dev/bleu"] == [(2, 12.5)]
    assert not [tag for tag in curves if tag.startswith("event")]


@needs_tensorboard
def test_resumed_run_replaces_curves_after_its_checkpoint(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    for start, loss in ((0, 3.0), (2, 1.0)):
        journal = Journal(run, Logging(tensorboard=True))
        journal.rewind(start)
        for update in range(start + 1, start + 4):
            journal.write("train", update, 0.1, update * 10, loss=loss)
    assert read_curves(run)["train/loss"] == [(1, 3.0), (2, 3.0), (3, 1.0), (4, 1.0), (5, 1.0)]


@needs_tensorboard
def test_tensorboard_enabled_later_shows_the_whole_run(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    for update in (1, 2, 3):
        Journal(run).write("train", update, 0.1, update * 10, loss=1.0)
    journal = Journal(run, Logging(tensorboard=True))
    journal.rewind(2)
    journal.write("train", 3, 0.1, 30, loss=0.5)
    assert read_curves(run)["train/loss"] == [(1, 1.0), (2, 1.0), (3, 0.5)]


@needs_tensorboard
def test_unwritable_tensorboard_folder_is_a_resource_error(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.tensorboard.write_bytes(b"a file, not a folder")
    with pytest.raises(ResourceError, match="/tensorboard: "):
        Journal(run, Logging(tensorboard=True)).rewind(0)


def write_twice(run: RunDirectory, settings: Logging) -> None:
    """Write the records of a run that is resumed after update 2."""
    for start, loss in ((0, 3.0), (2, 1.0)):
        journal = Journal(run, settings)
        journal.rewind(start)
        journal.write("train", start + 1, 0.1, 10, loss=loss, mixture={"clean": {"pairs": 3}})
        journal.write("valid", start + 2, 0.1, 20, set="dev", bleu=12.5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the package
def test_mlflow_has_the_curves_of_a_resumed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracking = pytest.importorskip("mlflow.tracking", reason="needs the package mlflow-skinny")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    write_twice(RunDirectory(tmp_path / "run"), Logging(mlflow=True))
    client = tracking.MlflowClient()
    [found] = client.search_runs([client.get_experiment_by_name("nmt").experiment_id])
    history = client.get_metric_history(found.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in history] == [(1, 3.0), (3, 1.0)]
    assert {"train/mixture/clean/pairs", "valid/dev/bleu"} <= found.data.metrics.keys()


@pytest.mark.slow
def test_wandb_has_the_curves_of_a_resumed_run(tmp_path: Path) -> None:
    """In a process of its own, without a connection."""
    pytest.importorskip("wandb", reason="needs the package wandb")
    program = """
import sys
from pathlib import Path
from test_curves import write_twice
from nmt_cli.recipe.logs import Logging
from nmt_cli.runs.directory import RunDirectory
write_twice(RunDirectory(Path(sys.argv[1])), Logging(wandb=True))
import wandb
wandb.finish()
"""
    environment = {**os.environ, "WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path), "WANDB_SILENT": "true"}
    environment["PYTHONPATH"] = f"{Path(__file__).parent}:{Path(__file__).parents[2]}"
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "run")], env=environment, check=True, timeout=120)
    [written] = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    content = written.read_bytes()
    for part in (b"train/loss", b"valid/dev/bleu", b"train/mixture/clean/pairs", b"12.5"):
        assert part in content
