"""List of runs, including damaged ones."""

import json
import os
import shutil
from pathlib import Path

import pytest
from fake_runs import FakeRun, write_run

from nmt_cli import files
from nmt_cli.errors import DataError
from nmt_cli.reporting.run_list import format_age, format_size, list_run, list_runs


def test_list_run_of_a_finished_run(fake_run: FakeRun) -> None:
    found = list_run(fake_run.path)
    assert (found.status, found.update, found.best, found.best_update) == ("finished", 300, 30.0, 200)
    assert [(name, score.name, score.value) for name, score in found.scores.items()] == [("test", "BLEU", 38.25)]
    assert found.metric == "BLEU"
    assert found.bytes == sum(path.stat().st_size for path in fake_run.path.rglob("*") if path.is_file())


def test_list_runs_searches_subfolders_and_sorts_by_change(fake_run: FakeRun, tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "deep" / "er" / "one")
    for path in fake_run.path.rglob("*"):
        os.utime(path, (1e9, 1e9))
    assert [run.path.name for run in list_runs(tmp_path / "runs")] == ["one", "small"]


def test_list_runs_of_a_run(fake_run: FakeRun) -> None:
    assert [run.path for run in list_runs(fake_run.path)] == [fake_run.path]


def test_list_runs_does_not_follow_links(fake_run: FakeRun, tmp_path: Path) -> None:
    (tmp_path / "runs" / "back").symlink_to(tmp_path / "runs")
    assert len(list_runs(tmp_path / "runs")) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", "\xff"])
def test_list_run_with_a_damaged_summary(content: str, fake_run: FakeRun) -> None:
    fake_run.run.summary.write_text(content)
    assert list_run(fake_run.path).status == "damaged"


@pytest.mark.parametrize("best", ["3", "[]", "[[1]]", '[["a", 2]]', "[[NaN, 2]]", "null"])
def test_list_run_with_an_invalid_best_score(best: str, fake_run: FakeRun) -> None:
    fake_run.run.summary.write_text(f'{{"status": "finished", "best": {best}}}')
    found = list_run(fake_run.path)
    assert (found.best, found.update) == (None, None)


def test_list_run_distinguishes_killed_and_running(fake_run: FakeRun) -> None:
    files.write_json(fake_run.run.summary, {"status": "running"})
    process = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(process, 0)
    for process_id, status in ((process, "killed"), (os.getpid(), "running")):
        fake_run.run.lock.write_text(f"process {process_id} on {os.uname().nodename}")
        assert list_run(fake_run.path).status == status


@pytest.mark.parametrize("lock", ["", "process 1", "process x on here", "process 1 on another machine", "\xff"])
def test_list_run_with_an_unknown_process_is_running(lock: str, fake_run: FakeRun) -> None:
    files.write_json(fake_run.run.summary, {"status": "running"})
    fake_run.run.lock.write_text(lock)
    assert list_run(fake_run.path).status == "running"


def test_list_run_ignores_damaged_scores(fake_run: FakeRun) -> None:
    (fake_run.run.evaluation("test") / "scores.json").write_text("{")
    assert list_run(fake_run.path).scores == {}


def test_list_run_without_evaluation_has_no_scores(fake_run: FakeRun) -> None:
    shutil.rmtree(fake_run.run.evaluation("test").parent)
    assert json.dumps(list_run(fake_run.path).scores) == "{}"


def test_format_size_and_age() -> None:
    assert [format_size(count) for count in (0, 999, 1500, 12_345_678, 3 * 10**9)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "12.3 MB",
        "3.0 GB",
    ]
    assert [format_age(seconds) for seconds in (-1, 5, 120, 7200, 200_000)] == ["0 s", "5 s", "2 min", "2 h", "2 d"]


def test_list_runs_rejects_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        list_runs(tmp_path / "x")
