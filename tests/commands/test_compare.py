"""nmt compare: runs, evaluated sets and files."""

import json
from pathlib import Path
from typing import Any

import pytest

from nmt_cli.commands.compare import Options, compare_systems
from nmt_cli.errors import DataError, ModelError, RecipeError
from nmt_cli.recipe.loading import resolved_yaml
from nmt_cli.recipe.schema import Recipe

SOURCES = ["A dog runs.", "Two children.", "Three cats sleep."] * 10
REFERENCES = ["Ein Hund läuft.", "Zwei Kinder.", "Drei Katzen schlafen."] * 10
GOOD = ["Ein Hund läuft.", "Zwei Kinder.", "Drei Hunde schlafen."] * 10
POOR = ["Hund.", "Zwei Kind.", "Katzen."] * 10


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, lines: list[str]) -> Path:
    path = Path(name)
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return path


def write_run(
    name: str, hypotheses: list[str], seed: int = 1, sets: tuple[str, ...] = ("test",), width: int = 64
) -> Path:
    """What comparing needs to see of a finished, evaluated run."""
    pair = {"source": "no.en", "target": "no.de"}
    data = {"source_language": "en", "target_language": "de", "prepared": "prepared"}
    content: dict[str, Any] = {**data, "train": {"a": pair}, "valid": {"b": pair}}
    model = {"architecture": "transformer", "preset": "tiny", "width": width}
    recipe = Recipe.model_validate({"run": name, "seed": seed, "data": content, "model": model})
    run = Path(name)
    (run / "model").mkdir(parents=True)
    (run / "run.json").write_text("{}")
    (run / "resolved.yaml").write_text(resolved_yaml(recipe))
    (run / "model/config.json").write_text("{}")
    for each in sets:
        write_set(run / "evaluation" / each, hypotheses)
    return run


def write_set(folder: Path, hypotheses: list[str], references: list[str] = REFERENCES) -> None:
    folder.mkdir(parents=True)
    rows = [
        {"source": source, "hypothesis": hypothesis, "references": [reference]}
        for source, hypothesis, reference in zip(SOURCES, hypotheses, references, strict=True)
    ]
    write(str(folder / "hypotheses.jsonl"), [json.dumps(row, ensure_ascii=False) for row in rows])
    (folder / "scores.json").write_text("{}")


def compared(paths: list[Path], capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
    compare_systems(paths, Options(resamples=100, **options), as_json=True)
    return json.loads(capsys.readouterr().out)


def test_runs_are_compared_on_their_common_sets(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [write_run("gru", POOR, sets=("one", "two")), write_run("big", GOOD, sets=("two", "three"), width=128)]
    compare_systems(runs, Options(), as_json=False)
    printed = capsys.readouterr().out
    assert printed.startswith("two: 30 sentences, approximate randomisation with 10,000 resamples\n")
    assert "BLEU: big is better than gru (p < 0.001)\n" in printed
    assert "source length: 2 words" in printed


def test_recipes_checkpoints_and_sets_name_systems_too(capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run("run", GOOD)
    Path("recipe.yaml").write_bytes((run / "resolved.yaml").read_bytes())
    (run / "checkpoints/step_7").mkdir(parents=True)
    (run / "checkpoints/step_7/state.json").write_text("{}")
    write_set(run / "evaluation/test@step_7", POOR)
    for path in (Path("recipe.yaml"), run / "model", run / "evaluation/test", run / "evaluation/test/hypotheses.jsonl"):
        found = compared([run / "checkpoints/step_7", path], capsys, tests=["test"])["test"]
        assert [result["second_is_better"] for result in found["results"]] == [True, True]
        assert found["systems"][0]["system"] == "run@step_7"


def test_seeds_of_one_recipe_are_one_system(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [write_run(f"base_seed{seed}", GOOD, seed) for seed in (1, 2, 3)]
    other = write_run("other", POOR, width=128)
    found = compared([other, *runs], capsys)["test"]
    assert {system["system"] for system in found["systems"]} == {"other", "base (3 seeds)"}
    assert list(found["systems"][2]["seeds"]) == ["base_seed1", "base_seed2", "base_seed3"]
    alone = compared(runs[:2], capsys)["test"]
    assert {system["system"] for system in alone["systems"]} == {"base_seed1", "base_seed2"}


def test_files_are_judged_by_the_references_given(capsys: pytest.CaptureFixture[str]) -> None:
    options = {"references": [write("ref.de", REFERENCES)], "source": write("src.en", SOURCES)}
    found = compared([write("old.de", POOR), write("new.de", GOOD)], capsys, **options)["test"]
    assert found["results"][0]["verdict"].startswith("BLEU: new.de is better than old.de (p = 0.01")
    assert {part["kind"] for part in found["slices"]} == {"source length"}


def test_a_file_is_compared_with_a_run_on_the_set_it_translates(capsys: pytest.CaptureFixture[str]) -> None:
    run, file = write_run("run", POOR, sets=("one", "two")), write("new.de", GOOD)
    with pytest.raises(RecipeError, match=r"new\.de: say with --test of which set it is a translation: one, two"):
        compared([run, file], capsys)
    assert compared([run, file], capsys, tests=["two"])["two"]["results"][0]["second_is_better"]


def test_systems_of_the_same_name_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    for place in ("a", "b"):
        Path(place).mkdir()
    files = [write("a/out.de", POOR), write("b/out.de", GOOD), write("b/out.de", GOOD)]
    found = compared(files, capsys, references=[write("ref.de", REFERENCES)])["test"]
    assert {system["system"] for system in found["systems"]} == {"a/out.de", "b/out.de#1", "b/out.de#2"}


def test_the_recipe_of_the_first_run_says_how_to_score(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [write_run("one", POOR), write_run("two", GOOD, width=128)]
    found = compared(runs, capsys, overrides=["evaluation.metrics=[ter]", "evaluation.seed=7"])["test"]
    assert {system["metric"] for system in found["systems"]} == {"ter"}
    assert found["test"] == {"method": "randomisation", "resamples": 100, "seed": 7}


def test_what_cannot_be_compared_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    run, file = write_run("run", GOOD), write("out.de", GOOD)
    reference = write("ref.de", REFERENCES)
    with pytest.raises(RecipeError, match="at least two"):
        compared([run], capsys)
    with pytest.raises(RecipeError, match=r"nowhere: does not exist"):
        compared([run, Path("nowhere")], capsys)
    with pytest.raises(RecipeError, match="give --reference FILE"):
        compared([file, file], capsys)
    with pytest.raises(DataError, match=r"out\.de has 30 lines but short\.de has 2"):
        compared([file, write("short.de", GOOD[:2])], capsys, references=[reference])
    with pytest.raises(DataError, match=r"out\.de has 30 lines but short\.de has 2"):
        compared([file, file], capsys, references=[write("short.de", GOOD[:2])])
    with pytest.raises(DataError, match=r"out\.de has 30 lines but short\.de has 2"):
        compared([file, file], capsys, references=[reference], source=Path("short.de"))
    with pytest.raises(DataError, match=r"empty\.de: has no lines"):
        compared([write("empty.de", []), Path("empty.de")], capsys, references=[reference])
    with pytest.raises(DataError, match="run: other is not evaluated; nmt evaluate run --test other"):
        compared([run, run], capsys, tests=["other"])
    Path("folder").mkdir()
    with pytest.raises(ModelError, match="is no model"):
        compared([run, Path("folder")], capsys)


def test_runs_without_a_common_set_or_any_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    one, two = write_run("one", GOOD, sets=("a",)), write_run("two", GOOD, sets=("b",))
    with pytest.raises(DataError, match="no test set that all were evaluated on: one has a; two has b"):
        compared([one, two], capsys)
    with pytest.raises(DataError, match="three: no test set is evaluated yet; nmt evaluate three"):
        compared([one, write_run("three", GOOD, sets=())], capsys)


def test_sets_of_other_files_are_refused_by_their_line(capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run("run", GOOD)
    write_set(Path("other/test"), GOOD, [*REFERENCES[:4], "anders", *REFERENCES[5:]])
    with pytest.raises(DataError, match=r"other/test/hypotheses\.jsonl: line 5: has another source or reference"):
        compared([run, Path("other/test")], capsys)


@pytest.mark.parametrize(
    "line", ["no json", "[]", '{"source": "a", "hypothesis": "b", "references": []}', '{"source": 1}']
)
def test_a_damaged_set_is_told_by_its_line(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_set(Path("one"), GOOD)
    path = Path("one/hypotheses.jsonl")
    path.write_bytes(path.read_bytes() + line.encode() + b"\n")
    with pytest.raises(DataError, match=r"hypotheses\.jsonl: line 31: is not that of an evaluated set"):
        compared([path, path], capsys)


def test_sets_translated_with_other_settings_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [write_run("one", POOR), write_run("two", GOOD, width=128), write_run("three", GOOD, width=32)]
    for run, beam in zip(runs, (5, 1, 5), strict=True):
        decoding = {"provenance": {"decoding": {"strategy": "beam", "beam_size": beam}}}
        (run / "evaluation/test/scores.json").write_text(json.dumps(decoding))
    compare_systems(runs, Options(resamples=10), as_json=True)
    told = [line for line in capsys.readouterr().err.split("\n") if "was translated" in line]
    assert told == ["test: one was translated with beam_size 5, two with beam_size 1"]


def test_one_sentence_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    files = [write("poor", ["Ja."]), write("good", ["Ein Hund."])]
    compare_systems(files, Options(references=[write("ref", ["Ein Hund."])]), page=Path("page.html"))
    printed = capsys.readouterr().out
    assert printed.startswith("test: 1 sentence, ")
    assert "no difference between poor and good can be shown with 1 sentence (p = 1.000)" in printed
    assert "±" not in printed
    assert "1 sentence, " in Path("page.html").read_text()


def test_a_page_tells_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    files = [write("old.de", POOR), write("new.de", GOOD)]
    options = Options(references=[write("ref.de", REFERENCES)], resamples=100)
    compare_systems(files, options, page=Path("page.html"))
    verdict = "BLEU: new.de is better than old.de"
    assert verdict in capsys.readouterr().out
    assert verdict in Path("page.html").read_text()


def test_a_page_that_cannot_be_written_leaves_none(capsys: pytest.CaptureFixture[str]) -> None:
    files = [write("old.de", POOR), write("new.de", GOOD)]
    Path("page.html").mkdir()
    with pytest.raises(DataError, match=r"page\.html: is a directory"):
        compare_systems(files, Options(references=[write("ref.de", REFERENCES)]), page=Path("page.html"))
