"""nmt compare --sheet: blind sheets, and what comes back."""

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from test_compare import GOOD, POOR, SOURCES, write, write_run

from nmt_cli.cli.compare import compare
from nmt_cli.errors import DataError, RecipeError


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.chdir(tmp_path)
    return [write_run("old", POOR), write_run("new", GOOD, width=128)]


def rows(path: str) -> list[list[str]]:
    return [line.split("\t") for line in Path(path).read_text().split("\n")[:-1]]


def fill(path: str, name: str, judge: Any) -> Path:
    """Judge each row of a sheet as an annotator does."""
    header, *items = rows(path)
    judged = [[*row[:-1], str(judge(row))] for row in items]
    return write(name, ["\t".join(row) for row in [header, *judged]])


def test_direct_sheet_is_blind_and_comes_back(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    compare(runs, sheet=Path("judge"), lines=20)
    header, *items = rows("judge/sheet.tsv")
    assert header == ["item", "source", "translation", "judgement"]
    assert len(items) == 40
    assert [row[0] for row in items] == [str(number) for number in range(1, 41)]
    assert {row[1] for row in items} <= set(SOURCES)
    for name in ("sheet.tsv", "sheet.html"):
        shown = Path("judge", name).read_text().partition("<script>")[0]
        assert not re.search(r"\b(old|new)\b", shown)
    assert Path("judge/sheet.html").read_text().count('data-item="') == 40

    noise = random.Random(3)
    sheets = [
        fill("judge/sheet.tsv", name, lambda row: 60 + (20 if row[2] in GOOD else 0) + noise.randint(0, 9))
        for name in ("ann.tsv", "bob.tsv")
    ]
    capsys.readouterr()
    compare(sheet=Path("judge"), returned=sheets, json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["annotators"] == ["ann", "bob"]
    assert [each["system"] for each in found["systems"]] == ["new", "old"]
    assert found["pairs"][0]["p"] < 0.001
    assert found["agreement"] > 0.5
    compare(sheet=Path("judge"), returned=sheets)
    assert "new is better than old on 20 sentences (p < 0.001)\n" in capsys.readouterr().out


def test_preference_sheet_shows_both_in_random_order(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    compare(runs, sheet=Path("judge"), judgement="preference")
    _, *items = rows("judge/sheet.tsv")
    assert 5 < sum(row[2] in GOOD for row in items) < 25
    sheet = fill("judge/sheet.tsv", "ann.tsv", lambda row: 1 if row[2] in GOOD else 2)
    capsys.readouterr()
    compare(sheet=Path("judge"), returned=[sheet], json=True)
    found = json.loads(capsys.readouterr().out)
    assert [each["mean"] for each in found["systems"]] == [100, 0]


def test_campaign_has_the_form_of_pearmut(runs: list[Path]) -> None:
    compare(runs, sheet=Path("judge"), lines=5)
    campaign = json.loads(Path("judge/pearmut.json").read_bytes())
    assert campaign["info"] == {"assignment": "task-based", "protocol": "DA", "shuffle": True}
    [documents] = campaign["data"]
    assert len(documents) == 5
    for [item] in documents:
        line = int(item["item_id"]) - 1
        assert item["src"] == SOURCES[line]
        assert item["tgt"] == {"old": POOR[line], "new": GOOD[line]}


@pytest.mark.parametrize("value", ["101", "-1", "good"])
def test_invalid_judgements_are_named(value: str, runs: list[Path]) -> None:
    compare(runs, sheet=Path("judge"), lines=2)
    with pytest.raises(DataError, match=rf"^ann\.tsv: line 2: {value} "):
        compare(sheet=Path("judge"), returned=[fill("judge/sheet.tsv", "ann.tsv", lambda row: value)])


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "preference"},
        {"kind": ["direct"]},
        {"baseline": ["old"]},
        {"items": [{"line": 1, "systems": []}]},
        {"items": [{"line": 1, "systems": [["old"]]}]},
    ],
)
def test_damaged_keys_are_refused(changes: dict[str, Any], runs: list[Path]) -> None:
    compare(runs, sheet=Path("judge"), lines=2)
    sheet, key = fill("judge/sheet.tsv", "ann.tsv", lambda row: 1), Path("judge/key.json")
    key.write_text(json.dumps(json.loads(key.read_bytes()) | changes))
    with pytest.raises(DataError, match=r"^judge/key\.json: "):
        compare(sheet=Path("judge"), returned=[sheet])


def test_partly_filled_sheet_is_strict_json(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    compare(runs, sheet=Path("judge"), lines=2)
    shown = iter(range(4))
    sheet = fill("judge/sheet.tsv", "ann.tsv", lambda row: 50 if next(shown) == 0 else "")
    capsys.readouterr()
    compare(sheet=Path("judge"), returned=[sheet], json=True)
    assert json.loads(capsys.readouterr().out)["pairs"] == []


def test_seeds_are_one_system(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (2, 3):
        write_run(f"seeds/seed_{seed}", POOR, seed, width=32)
    compare([*runs, write_run("other_seed", GOOD, seed=5, width=128), Path("seeds")], sheet=Path("judge"), lines=2)
    shown = {name for item in json.loads(Path("judge/key.json").read_text())["items"] for name in item["systems"]}

    assert shown == {"old", "new", "seeds/seed_2"}
    printed = capsys.readouterr().err
    assert "other_seed: is not shown" in printed
    assert "seeds/seed_3: is not shown" in printed


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"sheet": Path("judge"), "html": Path("x.html")}, "--html"),
        ({"sheet": Path("judge"), "set_": ["seed=1"]}, "--set"),
        ({"sheet": Path("judge"), "resamples": 5}, "--resamples"),
        ({"sheet": Path("judge"), "json": True}, "--json"),
        ({"lines": 5}, "--lines"),
        ({"judgement": "preference"}, "--judgement"),
        ({"returned": [Path("x")]}, "--returned"),
    ],
)
def test_options_without_effect_are_refused(options: dict[str, Any], name: str, runs: list[Path]) -> None:
    with pytest.raises(RecipeError, match=f"^{name}: has no effect"):
        compare(runs, **options)
    assert not Path("judge").exists()


def test_sheets_are_refused(runs: list[Path]) -> None:
    for systems, returned in ((runs, [Path("x")]), ([], [])):
        with pytest.raises(RecipeError, match="--sheet: "):
            compare(systems, sheet=Path("judge"), returned=returned)
    with pytest.raises(RecipeError, match="two systems"):
        compare(runs[:1], sheet=Path("judge"))
    Path("judge").mkdir()
    with pytest.raises(RecipeError, match=r"^judge: exists"):
        compare(runs, sheet=Path("judge"))


def test_sheets_of_two_annotators_need_two_names(runs: list[Path]) -> None:
    compare(runs, sheet=Path("judge"), lines=2)
    for folder in ("ann", "bob"):
        Path(folder).mkdir()
    returned = [fill("judge/sheet.tsv", f"{folder}/judgements.tsv", lambda row: "50") for folder in ("ann", "bob")]
    with pytest.raises(RecipeError, match="same name"):
        compare(sheet=Path("judge"), returned=returned)


def test_item_with_thousands_of_digits_is_named(runs: list[Path]) -> None:
    compare(runs, sheet=Path("judge"), lines=2)
    Path("ann.tsv").write_text(f"item\tjudgement\n{'1' * 5000}\t50\n")
    with pytest.raises(DataError, match="is not an item"):
        compare(sheet=Path("judge"), returned=[Path("ann.tsv")])
