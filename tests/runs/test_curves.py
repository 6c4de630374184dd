"""TensorBoard shows what the journal tells, and nothing that a resumed run will tell again."""

import importlib.util
from pathlib import Path

import pytest

from nmt_cli.errors import RecipeError, ResourceError
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.runs.journal import Journal, require_tensorboard

installed = importlib.util.find_spec("tensorboard") is not None
needs_tensorboard = pytest.mark.skipif(not installed, reason="tensorboard is not installed")


def shown(run: RunDirectory) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard itself reads: values by update for each curve."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.tensorboard)).Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_a_missing_package_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"'nmt-cli\[tensorboard\]'"):
        require_tensorboard()


def test_without_the_setting_no_curves_are_written(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    journal = Journal(run)
    journal.rewind(0)
    journal.write("train", 1, 0.1, 10, loss=1.0)
    assert not run.tensorboard.exists()


@needs_tensorboard
def test_numbers_become_curves_and_a_number_that_is_not_finite_a_gap(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    journal = Journal(run, tensorboard=True)
    journal.rewind(0)
    journal.write("event", 0, 0.0, 0, event="started", ranks=1)
    journal.write("train", 1, 0.5, 10, loss=2.0, mixture={"clean": {"pairs": 3}})
    journal.write("train", 2, 1.0, 20, loss=float("nan"))
    journal.write("valid", 2, 1.0, 20, set="dev", bleu=12.5)
    curves = shown(run)
    assert curves["train/loss"] == [(1, 2.0)]
    assert curves["train/target_tokens"] == [(1, 10.0), (2, 20.0)]
    assert curves["train/mixture/clean/pairs"] == [(1, 3.0)]
    assert curves["valid/dev/bleu"] == [(2, 12.5)]
    assert not [tag for tag in curves if tag.startswith("event")]


@needs_tensorboard
def test_a_resumed_run_replaces_what_came_after_its_checkpoint(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    for start, loss in ((0, 3.0), (2, 1.0)):
        journal = Journal(run, tensorboard=True)
        journal.rewind(start)
        for step in range(start + 1, start + 4):
            journal.write("train", step, 0.1, step * 10, loss=loss)
    assert shown(run)["train/loss"] == [(1, 3.0), (2, 3.0), (3, 1.0), (4, 1.0), (5, 1.0)]


@needs_tensorboard
def test_switched_on_later_it_shows_the_whole_run(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    for step in (1, 2, 3):
        Journal(run).write("train", step, 0.1, step * 10, loss=1.0)
    journal = Journal(run, tensorboard=True)
    journal.rewind(2)
    journal.write("train", 3, 0.1, 30, loss=0.5)
    assert shown(run)["train/loss"] == [(1, 1.0), (2, 1.0), (3, 0.5)]


@needs_tensorboard
def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.tensorboard.write_bytes(b"a file in its place")
    with pytest.raises(ResourceError, match="/tensorboard: "):
        Journal(run, tensorboard=True).rewind(0)
