"""The journal consists of strict JSON lines, and a resumed run does not repeat them."""

import json
from pathlib import Path

import pytest

from nmt_cli.runs.directory import RunDirectory
from nmt_cli.runs.journal import Journal, read_summary, update_summary


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path)


def records(run: RunDirectory) -> list[dict[str, object]]:
    return [json.loads(line) for line in run.metrics.read_bytes().split(b"\n")[:-1]]


def test_number_that_is_not_finite_becomes_null(run: RunDirectory) -> None:
    Journal(run).write("valid", 1, 0.5, 100, loss=float("nan"), bleu=12.5)
    assert records(run)[0]["loss"] is None
    assert records(run)[0]["bleu"] == 12.5


def test_rewind_removes_later_records_and_a_partial_line(run: RunDirectory) -> None:
    journal = Journal(run)
    for update in (1, 2, 3):
        journal.write("train", update, 0.1, update * 10, loss=1.0)
    with run.metrics.open("ab") as file:
        file.write(b'{"update": 2, "lo')

    journal.rewind(2)
    journal.write("train", 3, 0.1, 30, loss=0.5)

    assert [(record["update"], record["loss"]) for record in records(run)] == [(1, 1.0), (2, 1.0), (3, 0.5)]


def test_update_summary_keeps_other_values(run: RunDirectory) -> None:
    update_summary(run, status="running", data="abc")
    update_summary(run, status="finished")
    assert read_summary(run) == {"status": "finished", "data": "abc"}
