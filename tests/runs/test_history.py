"""A journal is read even if some of its lines are damaged."""

import json
from pathlib import Path

import pytest

from nmt_cli.errors import ModelError
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.runs.journal import CorpusExposure, Journal, read_journal


def record(**values: object) -> str:
    return json.dumps({"time": 1.0, "update": 5, "epoch": 0.5, "target_tokens": 70, "kind": "train"} | values)


def journal(folder: Path, *lines: str) -> Path:
    path = folder / "metrics.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_read_journal_returns_written_records(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    written = Journal(run)
    written.write("event", 0, 0.0, 0, event="started", device="CPU")
    written.write("train", 10, 0.5, 300, loss=4.5, learning_rate=0.1)
    written.write("valid", 10, 0.5, 300, set="dev", num_not_improved=0, loss=4.0, bleu=3.0)
    written.write("train", 20, 1.0, 600, loss=float("nan"), learning_rate=0.2)

    history = read_journal(run.metrics)

    assert history.train["loss"].updates == [10, 20]
    assert history.train["loss"].values == [4.5, None]
    assert history.train["learning_rate"].values == [0.1, 0.2]
    assert history.valid["dev"]["bleu"].values == [3.0]
    assert [(event.name, event.details) for event in history.events] == [("started", {"device": "CPU"})]
    assert (history.last_update, history.epochs, history.target_tokens, history.damaged) == (20, 1.0, 600, 0)


def test_mixture_is_that_of_the_last_valid_record(tmp_path: Path) -> None:
    first = {"clean": {"pairs": 3, "target_tokens": 30}, "crawl": {"pairs": 4, "target_tokens": 20}}
    later = {**first, "clean": {"pairs": 9, "target_tokens": 90}}
    lines = [record(mixture=first), record(mixture=later), record(mixture={"clean": {"pairs": "?"}}), record()]

    assert read_journal(journal(tmp_path, *lines)).mixture == {
        "clean": CorpusExposure(9, 90),
        "crawl": CorpusExposure(4, 20),
    }


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "null", "7", '{"update": 1}', '{"update": -1, "kind": "train"}', '{"update": true, "kind": "train"}'],
)
def test_damaged_line_is_counted_and_skipped(line: str, tmp_path: Path) -> None:
    history = read_journal(journal(tmp_path, record(loss=2.0), line, record(update=6, loss=1.0)))
    assert history.damaged == 1
    assert history.train["loss"].values == [2.0, 1.0]


def test_partial_last_line_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(record(loss=2.0) + "\n" + record(loss=1.0)[:30])
    assert read_journal(path).damaged == 1


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400])
def test_value_that_is_not_finite_becomes_none(value: str, tmp_path: Path) -> None:
    line = record(loss="X").replace('"X"', value)
    assert read_journal(journal(tmp_path, line)).train["loss"].values == [None]


def test_values_that_are_not_numbers_are_ignored(tmp_path: Path) -> None:
    assert set(read_journal(journal(tmp_path, record(loss=1.0, note="hello", flag=True, rows=[1]))).train) == {"loss"}


def test_missing_journal_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"metrics\.jsonl: "):
        read_journal(tmp_path / "metrics.jsonl")
