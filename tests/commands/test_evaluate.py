"""nmt evaluate: what it prints, what it writes, what it refuses."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from nmt_cli import files
from nmt_cli.commands.evaluate import GivenFiles, Wanted, evaluate, evaluate_system
from nmt_cli.commands.systems import System, open_system
from nmt_cli.decoding.requests import Request
from nmt_cli.errors import DataError, ModelError, RecipeError, RunInUseError
from nmt_cli.evaluation.metrics import score
from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.recipe.loading import resolved_yaml
from nmt_cli.recipe.schema import Recipe
from nmt_cli.runs.directory import RunDirectory

SOURCES = ["A dog runs.", "", "Two\u2028children."]
REFERENCES = ["Ein Hund läuft.", "", "Zwei Kinder."]


@dataclass(frozen=True)
class Translation:
    text: str
    log_probability: float = -1.5
    score: float = -0.5


@dataclass
class Shouting:
    """Translates by shouting, and counts how often it was asked."""

    calls: int = 0
    target_language: str | None = None

    def __call__(self, requests: Sequence[Request]) -> Iterator[Translation]:
        self.calls += 1
        self.target_language = requests[0].target_language
        return (Translation(request.text.upper()) for request in requests)


@dataclass
class Bench:
    """A recipe with two test sets, and a system to evaluate on them."""

    folder: Path
    translate: Shouting = field(default_factory=Shouting)

    def __post_init__(self) -> None:
        for name in ("one", "two"):
            self.write(f"{name}.en", SOURCES)
            self.write(f"{name}.de", REFERENCES)

    def write(self, name: str, lines: list[str]) -> Path:
        path = self.folder / name
        path.write_bytes("".join(f"{line}\n" for line in lines).encode())
        return path

    @property
    def recipe(self) -> Recipe:
        pair = {"source": str(self.folder / "one.en"), "target": str(self.folder / "one.de")}
        sets = {
            name: {"source": str(self.folder / f"{name}.en"), "target": [str(self.folder / f"{name}.de")]}
            for name in ("one", "two")
        }
        data: dict[str, Any] = {"source_language": "en", "target_language": "de", "prepared": "prepared"}
        data |= {"train": {"one": pair}, "valid": {"one": pair}, "test": sets}
        model = {"architecture": "transformer", "preset": "tiny"}
        return Recipe.model_validate({"run": str(self.folder / "run"), "data": data, "model": model})

    @property
    def system(self) -> System:
        run = RunDirectory(self.folder / "run")
        return System(self.recipe, run.model, "update 7", "abc", "def", run.evaluation, self.translate)

    def times(self) -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in (self.folder / "run").rglob("*") if path.is_file()}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_every_test_set_is_scored_and_written(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate_system(bench.system, [], Wanted())

    printed, told = capsys.readouterr()
    assert [line.split("  ")[0] for line in printed.split("\n")[:-1]] == ["one"] * 3 + ["two"] * 3
    [bleu, chrf] = score([line.upper() for line in SOURCES], [REFERENCES], Evaluation())
    for found in (bleu, chrf):
        assert re.search(
            rf"^one  {found.name} {found.value:.2f} ± [0-9.]+  \({re.escape(found.signature)}\)$",
            printed,
            re.M,
        )
    assert "one  exact match 33.3 %\n" in printed
    for name in ("one", "two"):
        folder = bench.folder / "run" / "evaluation" / name
        assert sorted(path.name for path in folder.glob("[!.]*")) == [
            "analysis.json",
            "hypotheses.jsonl",
            "report.md",
            "scores.json",
        ]
        assert f"report: {folder / 'report.md'}" in told


def test_hypotheses_keep_every_line_in_its_place(bench: Bench) -> None:
    evaluate_system(bench.system, ["one"], Wanted())
    lines = (bench.folder / "run/evaluation/one/hypotheses.jsonl").read_bytes().split(b"\n")[:-1]
    assert [json.loads(line)["hypothesis"] for line in lines] == [line.upper() for line in SOURCES]
    assert [json.loads(line)["references"] for line in lines] == [[line] for line in REFERENCES]


def test_json_is_one_document_and_nothing_else(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate_system(bench.system, [], Wanted(as_json=True))
    document = json.loads(capsys.readouterr().out)
    assert list(document) == ["one", "two"]
    assert document["one"] == json.loads((bench.folder / "run/evaluation/one/scores.json").read_bytes())


def test_scores_that_are_current_are_shown_again_and_left_alone(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate_system(bench.system, [], Wanted())
    first, times = capsys.readouterr().out, bench.times()

    evaluate_system(bench.system, [], Wanted())

    assert capsys.readouterr().out == first
    assert bench.times() == times
    assert bench.translate.calls == 2


@pytest.mark.parametrize("change", ["model", "source", "reference", "beam_size", "metrics"])
def test_scores_are_made_again_when_anything_changed(bench: Bench, change: str) -> None:
    system = bench.system
    evaluate_system(system, ["one"], Wanted())
    if change == "model":
        system = replace(system, sha256="def")
    if change == "source":
        bench.write("one.en", ["Another dog.", "", "x"])
    if change == "reference":
        bench.write("one.de", ["Noch ein Hund.", "", "x"])
    if change in ("beam_size", "metrics"):
        section, value = {"beam_size": ("decoding", 2), "metrics": ("evaluation", ["chrf"])}[change]
        changed = getattr(system.recipe, section).model_copy(update={change: value})
        system = replace(system, recipe=system.recipe.model_copy(update={section: changed}))

    evaluate_system(system, ["one"], Wanted())

    assert bench.translate.calls == (1 if change in ("reference", "metrics") else 2)  # the translations are the same


def test_one_test_set_can_be_chosen(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate_system(bench.system, ["two", "two"], Wanted(as_json=True))
    assert list(json.loads(capsys.readouterr().out)) == ["two"]


def test_an_unknown_test_set_is_refused_and_the_known_are_named(bench: Bench) -> None:
    with pytest.raises(RecipeError, match=r"--test three.*it has one, two"):
        evaluate_system(bench.system, ["one", "three"], Wanted())


def test_files_of_unequal_length_stop_all_before_any_translation(bench: Bench) -> None:
    bench.write("two.de", REFERENCES[:2])
    with pytest.raises(DataError, match=r"two.en has 3 lines but .*two.de has 2"):
        evaluate_system(bench.system, [], Wanted())
    assert bench.translate.calls == 0
    assert not (bench.folder / "run").exists()


def test_two_processes_do_not_evaluate_the_same_set(bench: Bench) -> None:
    with files.lock(bench.system.folder("one") / ".lock"), pytest.raises(RunInUseError):
        evaluate_system(bench.system, ["one"], Wanted())
    assert bench.translate.calls == 0


def test_files_are_scored_without_a_model(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    hypotheses = bench.write("out.de", ["Ein Hund rennt.", "", "Zwei Kinder."])

    evaluate(None, given=GivenFiles(hypotheses, [bench.folder / "one.de"]))

    printed = capsys.readouterr().out.split("\n")
    assert printed[0].startswith("out.de  BLEU ")
    assert printed[2] == "out.de  exact match 66.7 %"
    assert not (bench.folder / "run").exists()


def test_files_are_scored_as_the_settings_say(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    hypotheses = bench.write("out.de", ["Ein Hund rennt.", "", "Zwei Kinder."])
    overrides = ["evaluation.metrics=[bleu]", "evaluation.bleu_tokenizer=char"]
    evaluate(None, [], GivenFiles(hypotheses, [bench.folder / "one.de"]), overrides, Wanted(as_json=True))
    [bleu] = json.loads(capsys.readouterr().out)
    assert (bleu["name"], bleu["tok"]) == ("BLEU", "char")


def test_one_sentence_has_no_interval(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(None, given=GivenFiles(bench.write("h", ["Ein Hund läuft."]), [bench.write("r", ["Ein Hund läuft."])]))
    assert "BLEU 100.00  (" in capsys.readouterr().out


def test_intervals_have_the_digits_of_their_scores_and_nothing_is_told_twice(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    hypothesis = bench.write("h", ["Ein Hund läuft."] * 300 + ["Ein Hund."])
    given = GivenFiles(hypothesis, [bench.write("r", ["Ein Hund läuft."] * 301)])
    evaluate(None, given=given, overrides=["evaluation.metrics=[chrf,exact_match]"])
    printed = capsys.readouterr().out
    assert re.search(r"chrF2 99\.\d\d ± 0\.\d\d  ", printed)
    assert printed.count("exact match") == 1


def test_several_references_are_given_one_after_another(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    references = [bench.folder / "one.de", bench.write("other.de", ["Ein Hund rennt.", "", "Zwei Kinder."])]
    hypotheses = bench.write("out.de", ["Ein Hund rennt.", "", "Zwei Kinder."])
    evaluate(None, given=GivenFiles(hypotheses, references), wanted=Wanted(as_json=True))
    assert {found["nrefs"] for found in json.loads(capsys.readouterr().out)} == {"2"}


def test_suspicious_text_is_warned_about_on_stderr(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    hypotheses = bench.write("out.de", ["▁Ein ▁Hund", "", "Zwei Kinder."])
    evaluate(None, given=GivenFiles(hypotheses, [bench.folder / "one.de"]))
    assert "nmt: warning: " in capsys.readouterr().err


def test_an_empty_file_is_refused(bench: Bench) -> None:
    with pytest.raises(DataError, match=r"empty\.de: has no lines"):
        evaluate(None, given=GivenFiles(bench.write("empty.de", []), [bench.write("none.de", [])]))


def test_text_that_is_not_utf8_is_refused_by_file_and_line(bench: Bench) -> None:
    (bench.folder / "latin.de").write_bytes("eins\nläuft\ndrei\n".encode("latin1"))
    with pytest.raises(DataError, match=r"latin\.de.*2"):
        evaluate(None, given=GivenFiles(bench.folder / "latin.de", [bench.folder / "one.de"]))


@pytest.mark.parametrize(
    ("model", "given", "tests"),
    [
        (None, GivenFiles(), []),
        (None, GivenFiles(Path("x")), []),
        (None, GivenFiles(references=[Path("x")]), []),
        (None, GivenFiles(Path("x"), [Path("x")]), ["one"]),
        (Path("run"), GivenFiles(Path("x")), []),
        (Path("run"), GivenFiles(references=[Path("x")]), []),
        (Path("run"), GivenFiles(source=Path("x")), []),
    ],
)
def test_half_a_request_is_refused(model: Path | None, given: GivenFiles, tests: list[str]) -> None:
    with pytest.raises(RecipeError, match="MODEL"):
        evaluate(model, tests, given)


def write_run(bench: Bench) -> RunDirectory:
    """What evaluation needs to see of a finished run."""
    run = RunDirectory(bench.folder / "run")
    for folder in (run.model, run.checkpoint(7)):
        folder.mkdir(parents=True)
    run.summary.write_text("{}")
    run.resolved.write_text(resolved_yaml(bench.recipe))
    (run.model / "config.json").write_text("{}")
    (run.model / "manifest.json").write_text('{"averaged_updates": [9, 7], "files": {}}')
    (run.checkpoint(7) / "state.json").write_text("{}")
    (run.checkpoint(7) / "manifest.json").write_text('{"update": 7, "files": {}}')
    return run


def test_a_recipe_and_its_run_and_its_model_name_the_same_system(bench: Bench) -> None:
    run = write_run(bench)
    recipe = bench.folder / "recipe.yaml"
    recipe.write_text(resolved_yaml(bench.recipe))
    systems = [open_system(path, []) for path in (recipe, run.path, run.model)]
    assert {(each.model, each.weights, each.folder("one")) for each in systems} == {
        (run.model, "average of updates 7, 9", run.evaluation("one"))
    }


def test_a_checkpoint_does_not_overwrite_the_scores_of_the_final_model(bench: Bench) -> None:
    run = write_run(bench)
    system = open_system(run.checkpoint(7), [])
    assert system.weights == "update 7"
    assert system.folder("one") == run.evaluation("one@step_7")


def test_overrides_change_how_a_run_is_evaluated(bench: Bench) -> None:
    run = write_run(bench)
    system = open_system(run.path, ["decoding.beam_size=1"])
    assert system.recipe.decoding.model_dump()["beam_size"] == 1


def test_a_model_apart_from_its_run_has_no_test_sets(bench: Bench) -> None:
    folder = bench.folder / "deployed"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="stands apart from its run"):
        open_system(folder, [])


def test_a_model_that_is_not_there_is_named(bench: Bench) -> None:
    with pytest.raises(ModelError, match="nowhere"):
        open_system(bench.folder / "nowhere", [])


def test_a_recipe_without_test_sets_is_refused(bench: Bench) -> None:
    data = bench.recipe.data.model_copy(update={"test": {}})
    system = replace(bench.system, recipe=bench.recipe.model_copy(update={"data": data}))
    with pytest.raises(RecipeError, match=r"data\.test"):
        evaluate_system(system, [], Wanted())


def test_scoring_files_needs_no_torch(bench: Bench) -> None:
    program = (
        "import sys; from pathlib import Path; from nmt_cli.commands.evaluate import GivenFiles, evaluate;"
        "evaluate(None, given=GivenFiles(Path('one.de'), [Path('two.de')])); assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", program], cwd=bench.folder, env=environment, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("redirection", "code", "told"),
    [
        (">&-", 5, "nmt: error: stdout is closed"),
        ("> /dev/full", 5, "nmt: error: stdout: no space left"),
        ("| true", 141, ""),
    ],
)
def test_scores_that_nobody_gets_are_told(redirection: str, code: int, told: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("A dog runs .\n" * 3)
    command = f"'{sys.executable}' -m nmt_cli evaluate --hypothesis text --reference text"
    shell = (
        f"(sleep 1; {command}; echo $? >&2) {redirection}"
        if "|" in redirection
        else f"{command} {redirection}; echo $? >&2"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    found = subprocess.run(
        ["sh", "-c", shell], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    *lines, exit_code = found.stderr.rstrip("\n").split("\n")
    assert int(exit_code) == code
    assert "Traceback" not in found.stderr
    assert told in "\n".join(lines)


def test_a_validation_set_is_scored_if_it_is_named(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    content = bench.recipe.model_dump(mode="json")
    content["data"]["valid"] = {"dev": content["data"]["valid"]["one"]}
    system = replace(bench.system, recipe=Recipe.model_validate(content))
    evaluate_system(system, ["dev"], Wanted(as_json=True))
    assert list(json.loads(capsys.readouterr().out)) == ["dev"]
    assert (bench.folder / "run/evaluation/dev/scores.json").is_file()
    evaluate_system(system, [], Wanted(as_json=True))
    assert list(json.loads(capsys.readouterr().out)) == ["one", "two"]


def test_a_validation_set_with_the_name_of_a_test_set_has_a_name_of_its_own(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.write("one.de", ["Eine Katze.", "", "Drei."])
    content = bench.recipe.model_dump(mode="json")
    content["data"]["valid"]["one"]["target"] = content["data"]["test"]["two"]["target"][0]
    system = replace(bench.system, recipe=Recipe.model_validate(content))
    evaluate_system(system, ["one"], Wanted())
    assert "--test valid:one is the validation set" in capsys.readouterr().err
    evaluate_system(system, ["valid:one"], Wanted())
    folder = bench.folder / "run/evaluation"
    references = [
        json.loads((folder / name / "hypotheses.jsonl").read_bytes().split(b"\n")[0])["references"][0]
        for name in ("one", "valid:one")
    ]
    assert references == ["Eine Katze.", REFERENCES[0]]
    with pytest.raises(RecipeError, match="it has one, two, valid:one"):
        evaluate_system(system, ["other"], Wanted())


def test_tags_part_the_lines_and_are_part_of_what_scores_depend_on(bench: Bench) -> None:
    tags = bench.write("tags", ["news", "chat", "news"])
    content = bench.recipe.model_dump(mode="json")
    content["data"]["test"]["one"]["tags"] = str(tags)
    system = replace(bench.system, recipe=Recipe.model_validate(content))
    analysis = bench.folder / "run/evaluation/one/analysis.json"

    evaluate_system(system, ["one"], Wanted())
    parts = [(part["name"], part["sentences"]) for part in json.loads(analysis.read_bytes())["slices"]]
    assert parts[-2:] == [("chat", 1), ("news", 2)]

    bench.write("tags", ["chat", "chat", "chat"])
    evaluate_system(system, ["one"], Wanted())
    assert json.loads(analysis.read_bytes())["slices"][-1]["sentences"] == 3
    assert bench.translate.calls == 1

    bench.write("tags", ["chat"])
    with pytest.raises(DataError, match=r"one\.en has 3 lines but .*tags has 1"):
        evaluate_system(system, ["one"], Wanted())


def test_robustness_is_told_once_and_kept(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate_system(bench.system, ["one"], Wanted(robustness=True))
    printed, calls = capsys.readouterr().out, bench.translate.calls
    assert "one  upper case: BLEU" in printed
    assert calls == 1 + 4

    evaluate_system(bench.system, ["one"], Wanted(as_json=True, robustness=True))
    document = json.loads(capsys.readouterr().out)["one"]
    assert [each["name"] for each in document["robustness"]] == [
        "upper case",
        "title case",
        "typing mistakes",
        "no final punctuation",
    ]
    kept = json.loads((bench.folder / "run/evaluation/one/robustness.json").read_bytes())
    assert document["robustness"] == kept["sets"]
    assert bench.translate.calls == calls


def test_robustness_needs_a_model(bench: Bench) -> None:
    given = GivenFiles(bench.folder / "one.de", [bench.folder / "one.de"])
    with pytest.raises(RecipeError, match="--robustness: needs a MODEL"):
        evaluate(None, given=given, wanted=Wanted(robustness=True))


def test_words_of_the_training_text_tell_rare_lines(bench: Bench) -> None:
    evaluate_system(bench.system, ["one"], Wanted())
    analysis = json.loads((bench.folder / "run/evaluation/one/analysis.json").read_bytes())
    assert {part["name"] for part in analysis["slices"] if part["kind"] == "rarest target word"} == {"1-9"}
    assert analysis["word_bands"][1]["expected"] > 0


def test_training_text_that_has_gone_is_told_and_does_without(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    content = bench.recipe.model_dump(mode="json")
    content["data"]["train"]["one"]["target"] = str(bench.folder / "gone.de")
    evaluate_system(replace(bench.system, recipe=Recipe.model_validate(content)), ["one"], Wanted())
    assert "gone.de: is not here" in capsys.readouterr().err
    assert json.loads((bench.folder / "run/evaluation/one/analysis.json").read_bytes())["word_bands"] == []


@pytest.mark.parametrize("name", ["analysis.json", "hypotheses.jsonl", "scores.json"])
def test_damaged_results_are_made_again(bench: Bench, name: str) -> None:
    evaluate_system(bench.system, ["one"], Wanted())
    path = bench.folder / "run/evaluation/one" / name
    whole = path.read_bytes()
    path.unlink()
    (bench.folder / "run/evaluation/one/scores.json").write_bytes(b'{"provenance": [')
    evaluate_system(bench.system, ["one"], Wanted())
    assert path.read_bytes() == whole


def test_an_interrupted_evaluation_leaves_no_scores_of_other_translations(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nmt_cli.commands import evaluate as module

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    evaluate_system(bench.system, ["one"], Wanted())
    monkeypatch.setattr(module, "write_evaluation", interrupt)
    with pytest.raises(KeyboardInterrupt):
        evaluate_system(replace(bench.system, sha256="other"), ["one"], Wanted())
    assert not (bench.folder / "run/evaluation/one/scores.json").exists()


def test_separators_and_lone_returns_are_scored_alike_by_every_route(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["Ein\u2028Hund\rläuft.", "a\x85b\x0cc", "Zwei\u2029 Kinder."]
    plain, returns = bench.write("plain.de", lines), bench.write("crlf.de", [f"{line}\r" for line in lines])
    marked = bench.folder / "bom.de"
    marked.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes())
    expected = [found.value for found in score(lines, [REFERENCES], Evaluation())]
    for path in (plain, returns, marked):
        evaluate(None, given=GivenFiles(path, [bench.folder / "one.de"]), wanted=Wanted(as_json=True))
        assert [found["score"] for found in json.loads(capsys.readouterr().out)] == pytest.approx(expected, abs=1e-9)


def test_a_metric_that_cannot_be_is_told_before_any_translation(bench: Bench) -> None:
    evaluation = Evaluation.model_validate({"external": {"x": {"command": ["no-such-program", "{hypothesis}"]}}})
    recipe = bench.recipe.model_copy(update={"evaluation": evaluation})
    with pytest.raises(RecipeError, match="there is no program no-such-program"):
        evaluate_system(replace(bench.system, recipe=recipe), ["one"], Wanted())
    assert bench.translate.calls == 0
