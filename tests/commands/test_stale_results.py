"""Scores of an earlier model are never shown as those of the present one."""

import json
from pathlib import Path

import pytest
from fake_runs import FakeRun, sentence, write_run

from nmt_cli import console, files
from nmt_cli.commands.compare import CompareOptions, compare_systems
from nmt_cli.commands.report import report
from nmt_cli.errors import DataError
from nmt_cli.reporting.inspection import describe_path
from nmt_cli.reporting.run_list import format_run_list, list_run
from nmt_cli.reporting.run_report import read_run

PAIRS = [("Ein Hund.", "Ein Hund."), ("Zwei Kinder.", "Drei Kinder."), ("Ja.", "Ja.")]


def publish(folder: Path, weights: str) -> str:
    """Write a model and return the hash of its manifest."""
    with files.new_folder(folder) as unfinished:
        (unfinished / "model.safetensors").write_text(weights)
        files.write_json(unfinished / ("config.json" if folder.name == "model" else "state.json"), {})
        files.write_manifest(unfinished, {"averaged_updates": [1]})
    return files.sha256(folder / "manifest.json")


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    """A run whose model and two of whose checkpoints are evaluated."""
    monkeypatch.chdir(tmp_path)
    run = write_run(Path("trained"))
    for name, folder in (("test", "model"), ("test@step_1", "checkpoints/step_1"), ("test@step_2", "elsewhere")):
        model = publish(run.path / folder, "first")
        run.evaluate(name, [sentence(i, *pair) for i, pair in enumerate(PAIRS)], provenance={"model": model})
    return run


def further(run: FakeRun) -> None:
    publish(run.path / "model", "second")
    publish(run.path / "checkpoints" / "step_1", "other weights of the same update")


def _shows_test_score(run: FakeRun) -> bool:
    """Whether the figures at the top of the report have the score of the test set."""
    page = report(run.path, None, 0, (), console).read_text()
    return "BLEU on test<" in page[: page.index("<section" if "<section" in page else "<h2")]


def test_every_reader_notices_a_later_model(trained: FakeRun) -> None:
    assert {name: score.is_stale for name, score in list_run(trained.path).scores.items()} == dict.fromkeys(
        ("test", "test@step_1", "test@step_2"), False
    )
    assert read_run(trained.path).problems == []
    assert _shows_test_score(trained)
    further(trained)
    listed = list_run(trained.path)
    assert [name for name, score in listed.scores.items() if score.is_stale] == ["test", "test@step_1"]
    assert listed.as_json()["scores"]["test"]["is_stale"] is True
    assert "BLEU 38.25 (earlier model)" in format_run_list([listed])
    assert "earlier" in describe_path(trained.path).facts["BLEU on test"]
    assert describe_path(trained.path).next == "nmt evaluate trained"
    assert "earlier" in describe_path(trained.run.evaluation("test")).kind
    assert [problem.split(": ")[0] for problem in read_run(trained.path).problems] == [
        str(trained.run.evaluation(name)) for name in ("test", "test@step_1")
    ]
    assert not _shows_test_score(trained)


@pytest.mark.parametrize("system", ["trained", "trained/checkpoints/step_1", "trained/evaluation/test"])
def test_compare_refuses_an_earlier_model(trained: FakeRun, system: str) -> None:
    other = write_run(Path("other"))
    model = publish(other.path / "model", "other")
    other.evaluate("test", [sentence(i, *pair) for i, pair in enumerate(PAIRS)], provenance={"model": model})
    options = CompareOptions(["test"], resamples=10)
    compare_systems([Path("other"), Path(system)], options, None, console)
    further(trained)
    with pytest.raises(DataError, match=r"\btrained/evaluation/test\b.*nmt evaluate \S*\btrained"):
        compare_systems([Path("other"), Path(system)], options, None, console)


def test_scores_without_a_hash_are_those_of_an_earlier_model(trained: FakeRun) -> None:
    scores = trained.run.evaluation("test") / "scores.json"
    content = json.loads(scores.read_text())
    del content["provenance"]
    scores.write_text(json.dumps(content))
    assert list_run(trained.path).scores["test"].is_stale
