"""TensorBoard shows the records of the journal, without those that a resumed run will repeat."""

import importlib.util
from pathlib import Path

import pytest

from nmt_cli.errors import RecipeError, ResourceError
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.runs.journal import Journal, require_tensorboard

installed = importlib.util.find_spec("tensorboard") is not None
needs_tensorboard = pytest.mark.skipif(not installed, reason="tensorboard is not installed")


def read_curves(run: RunDirectory) -> dict[str, list[tuple[int, float]]]:
    """Read updates and values of each curve with TensorBoard."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.tensorboard)).Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_require_tensorboard_without_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"'nmt-cli\[tensorboard\]'"):
        require_tensorboard()


def test_journal_without_tensorboard_writes_no_curves(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    journal = Journal(run)
    journal.rewind(0)
    journal.write("train", 1, 0.1, 10, loss=1.0)
    assert not run.tensorboard.exists()


@needs_tensorboard
def test_curves_have_all_finite_numbers(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    journal = Journal(run, tensorboard=True)
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
        journal = Journal(run, tensorboard=True)
        journal.rewind(start)
        for update in range(start + 1, start + 4):
            journal.write("train", update, 0.1, update * 10, loss=loss)
    assert read_curves(run)["train/loss"] == [(1, 3.0), (2, 3.0), (3, 1.0), (4, 1.0), (5, 1.0)]


@needs_tensorboard
def test_tensorboard_enabled_later_shows_the_whole_run(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    for update in (1, 2, 3):
        Journal(run).write("train", update, 0.1, update * 10, loss=1.0)
    journal = Journal(run, tensorboard=True)
    journal.rewind(2)
    journal.write("train", 3, 0.1, 30, loss=0.5)
    assert read_curves(run)["train/loss"] == [(1, 1.0), (2, 1.0), (3, 0.5)]


@needs_tensorboard
def test_unwritable_tensorboard_folder_is_a_resource_error(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.tensorboard.write_bytes(b"a file, not a folder")
    with pytest.raises(ResourceError, match="/tensorboard: "):
        Journal(run, tensorboard=True).rewind(0)
