"""Runs are listed, whatever is wrong with one of them."""

import json
import os
import shutil
from pathlib import Path

import pytest
from written_runs import WrittenRun, write_run

from nmt_cli import files
from nmt_cli.reporting.listing import age, list_runs, listed, size


def test_a_run_is_told_in_a_line(written: WrittenRun) -> None:
    found = listed(written.path)
    assert (found.status, found.step, found.best, found.best_step) == ("finished", 300, 30.0, 200)
    assert [(name, score.name, score.value) for name, score in found.scores.items()] == [("test", "BLEU", 38.25)]
    assert found.metric == "BLEU"
    assert found.bytes == sum(path.stat().st_size for path in written.path.rglob("*") if path.is_file())


def test_runs_inside_folders_are_found_and_the_newest_comes_first(written: WrittenRun, tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "deep" / "er" / "one")
    for path in written.path.rglob("*"):
        os.utime(path, (1e9, 1e9))
    assert [run.path.name for run in list_runs(tmp_path / "runs")] == ["one", "small"]


def test_a_run_is_a_folder_of_runs_too(written: WrittenRun) -> None:
    assert [run.path for run in list_runs(written.path)] == [written.path]


def test_a_link_that_leads_back_is_not_followed(written: WrittenRun, tmp_path: Path) -> None:
    (tmp_path / "runs" / "back").symlink_to(tmp_path / "runs")
    assert len(list_runs(tmp_path / "runs")) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", "\xff"])
def test_a_damaged_summary_is_told(content: str, written: WrittenRun) -> None:
    written.run.summary.write_text(content)
    assert listed(written.path).status == "damaged"


@pytest.mark.parametrize("best", ["3", "[]", "[[1]]", '[["a", 2]]', "[[NaN, 2]]", "null"])
def test_a_strange_best_is_none(best: str, written: WrittenRun) -> None:
    written.run.summary.write_text(f'{{"status": "finished", "best": {best}}}')
    found = listed(written.path)
    assert (found.best, found.step) == (None, None)


def test_a_run_whose_process_was_killed_is_told_from_one_that_runs(written: WrittenRun) -> None:
    files.write_json(written.run.summary, {"status": "running"})
    process = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(process, 0)
    for number, told in ((process, "killed"), (os.getpid(), "running")):
        written.run.lock.write_text(f"process {number} on {os.uname().nodename}")
        assert listed(written.path).status == told


@pytest.mark.parametrize("lock", ["", "process 1", "process x on here", "process 1 on another machine", "\xff"])
def test_a_run_of_which_nothing_is_known_is_believed(lock: str, written: WrittenRun) -> None:
    files.write_json(written.run.summary, {"status": "running"})
    written.run.lock.write_text(lock)
    assert listed(written.path).status == "running"


def test_damaged_scores_are_left_out(written: WrittenRun) -> None:
    (written.run.evaluation("test") / "scores.json").write_text("{")
    assert listed(written.path).scores == {}


def test_a_run_without_evaluation_has_no_scores(written: WrittenRun) -> None:
    shutil.rmtree(written.run.evaluation("test").parent)
    assert json.dumps(listed(written.path).scores) == "{}"


def test_sizes_and_ages_are_told_as_people_do() -> None:
    assert [size(count) for count in (0, 999, 1500, 12_345_678, 3 * 10**9)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "12.3 MB",
        "3.0 GB",
    ]
    assert [age(seconds) for seconds in (-1, 5, 120, 7200, 200_000)] == ["0 s", "5 s", "2 min", "2 h", "2 d"]
