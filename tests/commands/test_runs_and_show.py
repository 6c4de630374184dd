"""nmt runs and nmt show: results on stdout, mistakes by exit code."""

import json
from pathlib import Path

import pytest
from written_runs import WrittenRun, write_prepared, write_run

from nmt_cli.commands.runs import runs
from nmt_cli.commands.show import show
from nmt_cli.errors import DataError


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WrittenRun:
    monkeypatch.chdir(tmp_path)
    return write_run(Path("runs/small"), write_prepared(Path("prepared")))


def strict(text: str) -> object:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    return json.loads(text, parse_constant=refuse)


def test_runs_are_a_table(written: WrittenRun, capsys: pytest.CaptureFixture[str]) -> None:
    runs(Path("runs"))
    head, row, end = capsys.readouterr().out.split("\n")
    assert head.split() == ["run", "status", "update", "best", "at", "update", "scores", "size", "changed"]
    assert row.split()[:9] == ["runs/small", "finished", "300", "BLEU", "30.00", "200", "test", "BLEU", "38.25"]
    assert not end


def test_runs_are_strict_json(written: WrittenRun, capsys: pytest.CaptureFixture[str]) -> None:
    written.run.summary.write_text('{"status": "finished", "update": 3, "best": [[NaN, 1]]}')
    (written.run.evaluation("test") / "scores.json").write_text('{"scores": [{"name": "x", "score": Infinity}]}')
    runs(Path("runs"), as_json=True)
    (told,) = strict(capsys.readouterr().out)  # type: ignore[misc]
    assert (told["run"], told["update"], told["best"], told["scores"]) == ("runs/small", 3, None, {})


def test_a_folder_without_runs_is_an_empty_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs(tmp_path, as_json=True)
    assert strict(capsys.readouterr().out) == []


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder"):
        runs(tmp_path / "x")


def test_names_cannot_steer_the_terminal(written: WrittenRun, capsys: pytest.CaptureFixture[str]) -> None:
    written.path.rename(written.path.with_name("evil\x1b[31m\nname"))
    runs(Path("runs"))
    assert "evil\\x1b[31m\\x0aname" in capsys.readouterr().out


def test_what_a_path_is_is_told_with_what_to_do(written: WrittenRun, capsys: pytest.CaptureFixture[str]) -> None:
    show(written.path)
    told = capsys.readouterr().out.split("\n")
    assert told[0] == "runs/small: run"
    assert told[-2] == "next: nmt report runs/small"


def test_it_is_told_in_strict_json_too(written: WrittenRun, capsys: pytest.CaptureFixture[str]) -> None:
    show(Path("prepared"), checked=True, as_json=True)
    told = strict(capsys.readouterr().out)
    assert isinstance(told, dict)
    assert (told["kind"], told["damage"]) == ("prepared data", [])


def test_damage_is_told_and_is_a_mistake(written: WrittenRun, capsys: pytest.CaptureFixture[str]) -> None:
    Path("prepared/train/small/source.bin").write_bytes(b"")
    with pytest.raises(DataError, match=r"train/small/source\.bin: is damaged") as caught:
        show(Path("prepared"), checked=True)
    assert "0 of 1 folders whole" in capsys.readouterr().out
    assert caught.value.exit_code == 3


def test_the_check_of_a_file_says_that_there_is_nothing_to_check(
    written: WrittenRun, capsys: pytest.CaptureFixture[str]
) -> None:
    show(written.run.metrics, checked=True)
    assert "there are no hashes to compare it with" in capsys.readouterr().out


def test_the_unknown_has_its_own_exit_code(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\x00")
    with pytest.raises(DataError, match="is unknown") as caught:
        show(tmp_path / "x")
    assert caught.value.exit_code == 3
