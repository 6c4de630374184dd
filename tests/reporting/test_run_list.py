"""List of runs, including damaged ones."""

import json
import os
import shutil
from pathlib import Path

import pytest
from fake_runs import FakeRun, write_run

from nmt_cli import files
from nmt_cli.errors import DataError
from nmt_cli.locks import lock
from nmt_cli.reporting.run_list import format_age, format_run_list, format_size, list_run, list_runs


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
    with lock(fake_run.run.lock):
        assert list_run(fake_run.path).status == "running"
    assert list_run(fake_run.path).status == "killed"
    fake_run.run.lock.write_text(f"process {os.getpid()} on {os.uname().nodename}")
    assert list_run(fake_run.path).status == "killed"


def test_list_run_on_another_machine_is_running(fake_run: FakeRun) -> None:
    files.write_json(fake_run.run.summary, {"status": "running"})
    fake_run.run.lock.write_text("process 7 on elsewhere")
    found = list_run(fake_run.path)
    assert (found.status, found.live and found.live.holder.host) == ("running", "elsewhere")


def report(kind: str, update: int, **values: object) -> dict[str, object]:
    return {"time": 1000.0 + update, "update": update, "epoch": 1, "target_tokens": 9, "kind": kind, **values}


STARTED, RESUMED = report("event", 0, event="started"), report("event", 4, event="resumed")
TRAIN = report("train", 4, loss=2.5, target_tokens_per_second=700.0, seconds_left=60)


@pytest.mark.parametrize(
    ("records", "update", "loss", "end"),
    [
        ([], None, None, None),
        ([STARTED], 0, None, None),
        ([STARTED, TRAIN], 4, 2.5, 1064.0),
        ([STARTED, TRAIN, report("valid", 4, set="dev", loss=3.0)], 4, 2.5, 1064.0),
        ([STARTED, TRAIN, report("progress", 5, loss=2.0, seconds_left=None)], 5, 2.0, None),
        ([STARTED, TRAIN, RESUMED], 4, None, None),
        ([STARTED, report("train", 4, loss=None, seconds_left="soon")], 0, None, None),
    ],
)
def test_live_state_is_that_of_the_last_report(
    records: list[dict[str, object]], update: int | None, loss: float | None, end: float | None, fake_run: FakeRun
) -> None:
    files.write_json(fake_run.run.summary, {"status": "running"})
    fake_run.journal(records)
    with fake_run.run.metrics.open("ab") as file:
        file.write(b'\n[1]\n{"kind": "train", "upd')  # is being written
    with lock(fake_run.run.lock):
        live = list_run(fake_run.path).live
    assert live is not None
    assert (live.update, live.loss, live.end, live.holder.process_id) == (update, loss, end, os.getpid())


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


@pytest.mark.parametrize("width", [120, 80, 60, 40])
def test_run_list_fits_the_terminal(width: int, fake_run: FakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fake_run.path.parent)
    lines = format_run_list([list_run(Path("small"))], width).split("\n")
    assert max(map(len, lines)) <= width
    assert lines[0].split()[:3] == ["run", "status", "update"]
    assert ("size" in lines[0]) == (width >= 80)
