"""Paths of runs, checkpoints, model folders and foreign folders."""

from pathlib import Path

import pytest

from nmt_cli.errors import ModelError
from nmt_cli.runs.directory import CONFIG, STATE, RunDirectory, find_model


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(tmp_path / "run")
    for file in (run.summary, run.checkpoint(5) / STATE, run.checkpoint(20) / STATE):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    return run


def test_find_model_of_run_without_model_is_its_last_checkpoint(run: RunDirectory) -> None:
    found = find_model(run.path)
    assert (found.folder, found.standalone) == (run.checkpoint(20), False)


def test_find_model_of_run_with_model_is_its_model(run: RunDirectory) -> None:
    run.model.mkdir()
    (run.model / CONFIG).write_text("{}")
    found = find_model(run.path)
    assert (found.folder, found.standalone, found.run) == (run.model, True, run)


def test_find_model_of_checkpoint_has_its_run(run: RunDirectory) -> None:
    assert find_model(run.checkpoint(5)).run == run


def test_find_model_of_model_folder_has_no_run(tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text("{}")
    assert find_model(tmp_path).run is None


def test_find_model_of_a_folder_of_runs_names_one(run: RunDirectory) -> None:
    with pytest.raises(ModelError, match=rf"is a folder of 1 runs; choose one, such as {run.path}$"):
        find_model(run.path.parent)


def test_find_model_of_foreign_folder_is_a_model_error(tmp_path: Path, run: RunDirectory) -> None:
    with pytest.raises(ModelError, match="nowhere: "):
        find_model(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=f"^{tmp_path}: "):
        find_model(tmp_path)
    outside = run.checkpoint(5).rename(tmp_path / "step_5")
    with pytest.raises(ModelError, match="step_5: "):
        find_model(outside)


def test_saved_updates_ignores_folders_without_a_number(run: RunDirectory) -> None:
    for name in ("step_7.nmt-0123abcd.tmp", "step_x", "other"):
        (run.checkpoints / name).mkdir()
    assert run.saved_updates() == [5, 20]
