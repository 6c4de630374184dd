"""nmt compare: runs, evaluated sets and files."""

import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest

from nmt_cli import files
from nmt_cli.cli.compare import compare
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
    """Write the files of a finished, evaluated run that a comparison reads."""
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
    compare(paths, resamples=100, json=True, **options)
    return json.loads(capsys.readouterr().out)


def test_compare_runs_on_common_test_sets(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [write_run("gru", POOR, sets=("one", "two")), write_run("big", GOOD, sets=("two", "three"), width=128)]
    compare(runs)
    printed = capsys.readouterr().out
    assert printed.startswith("two: 30 sentences, ")
    assert "big is better than gru (p < 0.001" in printed
    assert "source length: 2 words" in printed


def test_compare_recipes_checkpoints_and_evaluated_sets(capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run("run", GOOD)
    Path("recipe.yaml").write_bytes((run / "resolved.yaml").read_bytes())
    (run / "checkpoints/step_7").mkdir(parents=True)
    (run / "checkpoints/step_7/state.json").write_text("{}")
    write_set(run / "evaluation/test@step_7", POOR)
    for path in (Path("recipe.yaml"), run / "model", run / "evaluation/test", run / "evaluation/test/hypotheses.jsonl"):
        found = compared([run / "checkpoints/step_7", path], capsys, test=["test"])["test"]
        assert [result["second_is_better"] for result in found["results"]] == [True, True]
        assert found["scores"][0]["system"] == "run@step_7"


def test_compare_combines_seeds_of_one_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [write_run(f"base_seed{seed}", GOOD, seed) for seed in (1, 2, 3)]
    other = write_run("other", POOR, width=128)
    found = compared([other, *runs], capsys)["test"]
    assert {system["system"] for system in found["scores"]} == {"other", "base (3 seeds)"}
    assert list(found["scores"][2]["run_scores"]) == ["base_seed1", "base_seed2", "base_seed3"]


def test_compare_refuses_a_run_that_is_given_twice() -> None:
    run = write_run("runs/base/seed_1", GOOD)
    write_run("runs/base/seed_2", GOOD, 2)
    for other in (run, run / "evaluation/test", Path("runs/base"), run / "model"):
        with pytest.raises(RecipeError, match="is given twice"):
            compare([run, other])


def test_compare_refuses_two_layouts() -> None:
    with pytest.raises(RecipeError, match="--json: is another layout than --format latex"):
        compare([write_run("one", GOOD)], format="latex", json=True)


def test_compare_of_a_language_model_names_another_way() -> None:
    text = {"format": "text", "file": "x"}
    data = {"target_language": "en", "prepared": "p", "train": {"a": text}, "valid": {"a": text}}
    model = {"architecture": "decoder_only", "preset": "tiny"}
    run = write_run("model", GOOD)
    training = {"validation": {"metric": "loss"}}
    recipe = Recipe.model_validate({"run": "model", "data": data, "model": model, "training": training})
    (run / "resolved.yaml").write_text(resolved_yaml(recipe))
    with pytest.raises(RecipeError, match=r"^model: is a language model.* nmt evaluate"):
        compare([run])


def test_compare_gives_mean_and_deviation_of_the_folder_of_several_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    for seed, hypotheses in ((1, GOOD), (2, POOR), (10, GOOD)):
        write_run(f"runs/base/seed_{seed}", hypotheses, seed)
    found = compared([Path("runs/base")], capsys)["test"]
    assert found["results"] == []
    [bleu, _] = found["scores"]
    assert bleu["system"] == "base (3 seeds)"
    assert list(bleu["run_scores"]) == ["base/seed_1", "base/seed_2", "base/seed_10"]
    assert bleu["value"] == pytest.approx(statistics.fmean(bleu["run_scores"].values()))
    assert bleu["stdev"] == pytest.approx(statistics.stdev(bleu["run_scores"].values()))

    compare([Path("runs/base")])
    printed = capsys.readouterr().out
    assert f"over seeds ± {bleu['stdev']:.2f}" in printed
    assert any(
        line.split()[:2] == ["base/seed_10", f"{bleu['run_scores']['base/seed_10']:.2f}"]
        for line in printed.split("\n")
    )


def test_compare_records_the_hashes_of_the_test_set(capsys: pytest.CaptureFixture[str]) -> None:
    reference, source = write("ref.de", REFERENCES), write("src.en", SOURCES)
    options: dict[str, Any] = {"reference": [reference], "source": source}
    found = compared([write("old.de", POOR), write("new.de", GOOD)], capsys, **options)["test"]
    assert found["sha256"] == {"source": files.sha256(source), "reference": files.sha256(reference)}
    compare([Path("old.de"), Path("new.de")], **options)
    assert files.sha256(reference)[:8] in capsys.readouterr().out.split("\n")[0]


def test_compare_names_the_settings_that_differ(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [write_run("one", POOR), write_run("two", GOOD, width=128, seed=3)]
    compare(runs, ablation=True, format="markdown")
    table = capsys.readouterr().out
    assert re.search(r"^\| one \| [\d.]+ \| [\d.]+ \|$", table, flags=re.MULTILINE)
    assert re.search(r"^\| model\.width 64 → 128 \| \*\*[\d.]+ \(\+[\d.]+\)‡\*\* \|", table, flags=re.MULTILINE)
    with pytest.raises(RecipeError, match="--ablation"):
        compare(runs, ablation=True)


def test_compare_warns_of_metrics_that_systems_were_optimised_for(capsys: pytest.CaptureFixture[str]) -> None:
    searched, other = write_run("searched", GOOD), write_run("other", POOR, width=128)
    settings = {"strategy": "mbr", "utility": "bleu"}
    (searched / "evaluation/test/scores.json").write_text(json.dumps({"provenance": {"decoding": settings}}))
    resolved = (other / "resolved.yaml").read_text()
    (other / "resolved.yaml").write_text(resolved.replace("metric: bleu", "metric: chrf"))

    compare([searched, other], set_=["evaluation.metrics=[bleu,chrf,ter]"])
    warnings = re.findall("warning: (.*)", capsys.readouterr().err)
    assert [
        re.findall("BLEU was the utility .* searched|(?:BLEU|chrF2) chose the checkpoints of [a-z]+", each)
        for each in warnings
    ] == [
        ["BLEU was the utility by which minimum Bayes risk decoding chose the translations of searched"],
        ["BLEU chose the checkpoints of searched"],
        ["chrF2 chose the checkpoints of other"],
    ]


def test_compare_tells_how_often_human_judges_agree(capsys: pytest.CaptureFixture[str]) -> None:
    mt_thresholds = pytest.importorskip("mt_thresholds", reason="needs the package mt-thresholds")
    runs = [write_run("one", POOR), write_run("two", GOOD, width=128)]
    found = compared(runs, capsys, set_=["evaluation.metrics=[bleu,ter]"])["test"]
    bleu, ter = found["results"]
    assert bleu["human_agreement"] == mt_thresholds.accuracy(bleu["difference"], "bleu")
    assert bleu["verdict"].endswith(f"; human judges agree with {bleu['human_agreement']:.0f} % of such differences)")
    assert ter["human_agreement"] is None


def test_compare_files_with_references(capsys: pytest.CaptureFixture[str]) -> None:
    options = {"reference": [write("ref.de", REFERENCES)], "source": write("src.en", SOURCES)}
    found = compared([write("old.de", POOR), write("new.de", GOOD)], capsys, **options)["test"]
    assert found["results"][0]["verdict"].startswith("BLEU: new.de is better than old.de (p = 0.01")
    assert {part["kind"] for part in found["slices"]} == {"source length"}


def test_compare_a_file_with_a_run_needs_the_test_set(capsys: pytest.CaptureFixture[str]) -> None:
    run, file = write_run("run", POOR, sets=("one", "two")), write("new.de", GOOD)
    with pytest.raises(RecipeError, match=r"new\.de: .*--test: one, two"):
        compared([run, file], capsys)
    assert compared([run, file], capsys, test=["two"])["two"]["results"][0]["second_is_better"]


def test_compare_systems_of_the_same_name(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        Path(name).mkdir()
    files = [write("a/out.de", POOR), write("b/out.de", GOOD), write("b/out.de", GOOD)]
    found = compared(files, capsys, reference=[write("ref.de", REFERENCES)])["test"]
    assert {system["system"] for system in found["scores"]} == {"a/out.de", "b/out.de#1", "b/out.de#2"}


def test_compare_uses_the_settings_of_the_first_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [write_run("one", POOR), write_run("two", GOOD, width=128)]
    found = compared(runs, capsys, set_=["evaluation.metrics=[ter]", "evaluation.seed=7"])["test"]
    assert {system["metric"] for system in found["scores"]} == {"ter"}
    assert found["test"] == {"method": "randomisation", "resamples": 100, "seed": 7}


def test_compare_rejects_invalid_systems(capsys: pytest.CaptureFixture[str]) -> None:
    run, file = write_run("run", GOOD), write("out.de", GOOD)
    reference = write("ref.de", REFERENCES)
    with pytest.raises(RecipeError, match=r"^nowhere: "):
        compared([run, Path("nowhere")], capsys)
    with pytest.raises(RecipeError, match="--reference"):
        compared([file, file], capsys)
    with pytest.raises(DataError, match=r"out\.de .*30.* short\.de .*2"):
        compared([file, write("short.de", GOOD[:2])], capsys, reference=[reference])
    with pytest.raises(DataError, match=r"out\.de .*30.* short\.de .*2"):
        compared([file, file], capsys, reference=[write("short.de", GOOD[:2])])
    with pytest.raises(DataError, match=r"out\.de .*30.* short\.de .*2"):
        compared([file, file], capsys, reference=[reference], source=Path("short.de"))
    with pytest.raises(DataError, match=r"empty\.de: "):
        compared([write("empty.de", []), Path("empty.de")], capsys, reference=[reference])
    with pytest.raises(DataError, match=r"^run: .*--test other"):
        compared([run, file], capsys, test=["other"])
    Path("folder").mkdir()
    with pytest.raises(ModelError, match=r"^folder: "):
        compared([run, Path("folder")], capsys)


def test_compare_rejects_runs_without_a_common_test_set(capsys: pytest.CaptureFixture[str]) -> None:
    one, two = write_run("one", GOOD, sets=("a",)), write_run("two", GOOD, sets=("b",))
    with pytest.raises(DataError, match=r"one .*a; two .*b"):
        compared([one, two], capsys)
    with pytest.raises(DataError, match=r"^three: "):
        compared([one, write_run("three", GOOD, sets=())], capsys)


def test_compare_rejects_sets_with_different_references(capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run("run", GOOD)
    write_set(Path("other/test"), GOOD, [*REFERENCES[:4], "anders", *REFERENCES[5:]])
    with pytest.raises(DataError, match=r"other/test/hypotheses\.jsonl: line 5: "):
        compared([run, Path("other/test")], capsys)


@pytest.mark.parametrize(
    "line", ["no json", "[]", '{"source": "a", "hypothesis": "b", "references": []}', '{"source": 1}']
)
def test_compare_names_the_line_of_a_damaged_set(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_set(Path("one"), GOOD)
    path = Path("one/hypotheses.jsonl")
    path.write_bytes(path.read_bytes() + line.encode() + b"\n")
    with pytest.raises(DataError, match=r"hypotheses\.jsonl: line 31: "):
        compared([path, path], capsys)


def test_compare_reports_different_decoding_settings(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [write_run("one", POOR), write_run("two", GOOD, width=128), write_run("three", GOOD, width=32)]
    for run, beam in zip(runs, (5, 1, 5), strict=True):
        decoding = {"provenance": {"decoding": {"strategy": "beam", "beam_size": beam}}}
        (run / "evaluation/test/scores.json").write_text(json.dumps(decoding))
    compare(runs, resamples=10, json=True)
    differences = [line for line in capsys.readouterr().err.split("\n") if "was translated" in line]
    assert differences == ["test: one was translated with beam_size 5, two with beam_size 1"]


def test_compare_on_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    files = [write("poor", ["Ja."]), write("good", ["Ein Hund."])]
    compare(files, reference=[write("ref", ["Ein Hund."])], html=Path("page.html"))
    printed = capsys.readouterr().out
    assert printed.startswith("test: 1 sentence, ")
    assert "(p = 1.000)" in printed
    assert "±" not in printed
    assert "1 sentence, " in Path("page.html").read_text()


def test_page_has_the_same_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    files = [write("old.de", POOR), write("new.de", GOOD)]
    compare(files, reference=[write("ref.de", REFERENCES)], resamples=100, html=Path("page.html"))
    verdict = "BLEU: new.de is better than old.de"
    assert verdict in capsys.readouterr().out
    assert verdict in Path("page.html").read_text()


def test_page_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    files = [write("old.de", POOR), write("new.de", GOOD)]
    Path("page.html").mkdir()
    with pytest.raises(DataError, match=r"page\.html: "):
        compare(files, reference=[write("ref.de", REFERENCES)], html=Path("page.html"))


def test_compare_scores_files_as_suits_their_target_language(capsys: pytest.CaptureFixture[str]) -> None:
    lines = {"one": "我们今天去公园。", "two": "我们今天&apos;去公园。"}
    for name, line in lines.items():
        Path(name).write_text(f"{line}\n" * 10)
    files = [Path("one"), Path("two")]
    compare(files, reference=[Path("one")], target_language="zh", resamples=100, json=True)
    captured = capsys.readouterr()
    [comparison] = json.loads(captured.out).values()
    assert "tok:zh" in comparison["scores"][0]["signature"]
    assert "two: 10 of 10" in captured.err
