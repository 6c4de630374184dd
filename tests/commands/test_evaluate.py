"""nmt evaluate: output, files and errors."""

import hashlib
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

from nmt_cli import console, files
from nmt_cli.cli.evaluate import evaluate
from nmt_cli.commands.compare import CompareOptions, compare_systems
from nmt_cli.commands.evaluate import EvaluationResult, evaluate_model
from nmt_cli.commands.evaluation_inputs import EvaluatedModel, open_model
from nmt_cli.commands.programs import refuse_programs
from nmt_cli.decoding.requests import Request
from nmt_cli.decoding.results import TranslatedText
from nmt_cli.errors import DataError, ModelError, RecipeError, RunInUseError
from nmt_cli.evaluation.metrics import score
from nmt_cli.locks import lock
from nmt_cli.recipe.evaluation import CometMetric, Evaluation
from nmt_cli.recipe.loading import resolved_yaml
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting import evaluation_files
from nmt_cli.reporting.run_report import evaluation_sections, read_run
from nmt_cli.reporting.run_report.environment import _hashes
from nmt_cli.reporting.terminal import format_scores
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.text.checks.toxicity import ToxicityCheck

SOURCES = ["A dog runs.", "", "Two\u2028children."]
REFERENCES = ["Ein Hund läuft.", "", "Zwei Kinder."]


@dataclass
class UppercaseTranslator:
    """Translates to upper case and counts its calls."""

    calls: int = 0
    target_language: str | None = None

    def __call__(self, requests: Sequence[Request], source_language: str | None) -> Iterator[TranslatedText]:
        self.calls += 1
        self.target_language = requests[0].target_language
        return (TranslatedText(request.text.upper(), -1.5, -0.5) for request in requests)


@dataclass
class Workspace:
    """A recipe with two test sets, and a model to evaluate on them."""

    folder: Path
    translate: UppercaseTranslator = field(default_factory=UppercaseTranslator)

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
    def model(self) -> EvaluatedModel:
        run = RunDirectory(self.folder / "run")
        return EvaluatedModel(self.recipe, run.model, "update 7", "abc", "def", run.evaluation, self.translate)

    def times(self) -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in (self.folder / "run").rglob("*") if path.is_file()}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def evaluate_sets(
    model: EvaluatedModel, names: Sequence[str] = (), with_robustness: bool = False
) -> dict[str, EvaluationResult]:
    return {result.name: result for result in evaluate_model(model, names, with_robustness, console)}


def test_every_test_set_is_scored_and_written(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    results = evaluate_sets(workspace.model)

    reported = capsys.readouterr().err
    expected = score([line.upper() for line in SOURCES], [REFERENCES], Evaluation())
    assert list(results) == ["one", "two"]
    for name, result in results.items():
        folder = workspace.folder / "run" / "evaluation" / name
        found = [(each["name"], each["score"]) for each in result.content["scores"]]
        assert found == [(each.name, each.value) for each in expected]
        assert result.content["exact_match"] == pytest.approx(100 / 3)
        assert sorted(path.name for path in folder.glob("[!.]*")) == [
            "analysis.json",
            "hypotheses.jsonl",
            "report.md",
            "scores.json",
        ]
        assert f"report: {folder / 'report.md'}" in reported


def test_hypotheses_keep_the_order_of_lines(workspace: Workspace) -> None:
    evaluate_sets(workspace.model, ["one"])
    lines = (workspace.folder / "run/evaluation/one/hypotheses.jsonl").read_bytes().split(b"\n")[:-1]
    assert [json.loads(line)["hypothesis"] for line in lines] == [line.upper() for line in SOURCES]
    assert [json.loads(line)["references"] for line in lines] == [[line] for line in REFERENCES]


def test_result_is_the_content_of_scores_json(workspace: Workspace) -> None:
    result = evaluate_sets(workspace.model, ["one"])["one"]
    assert result.as_json() == json.loads((workspace.folder / "run/evaluation/one/scores.json").read_bytes())


def test_current_scores_are_reused_without_writing(workspace: Workspace) -> None:
    first, times = evaluate_sets(workspace.model), workspace.times()

    assert evaluate_sets(workspace.model) == first
    assert workspace.times() == times
    assert workspace.translate.calls == 2


@pytest.mark.parametrize("change", ["model", "source", "reference", "beam_size", "metrics"])
def test_scores_are_recomputed_after_a_change(workspace: Workspace, change: str) -> None:
    model = workspace.model
    evaluate_sets(model, ["one"])
    if change == "model":
        model = replace(model, sha256="def")
    if change == "source":
        workspace.write("one.en", ["Another dog.", "", "x"])
    if change == "reference":
        workspace.write("one.de", ["Noch ein Hund.", "", "x"])
    if change in ("beam_size", "metrics"):
        section, value = {"beam_size": ("decoding", 2), "metrics": ("evaluation", ["chrf"])}[change]
        changed = getattr(model.recipe, section).model_copy(update={change: value})
        model = replace(model, recipe=model.recipe.model_copy(update={section: changed}))

    evaluate_sets(model, ["one"])

    assert workspace.translate.calls == (
        1 if change in ("reference", "metrics") else 2
    )  # the translations are the same


def test_one_test_set_can_be_selected(workspace: Workspace) -> None:
    assert list(evaluate_sets(workspace.model, ["two", "two"])) == ["two"]


def test_unknown_test_set_is_rejected_with_the_known_names(workspace: Workspace) -> None:
    with pytest.raises(RecipeError, match=r"^--test three: .*one, two, valid\+one$"):
        evaluate_sets(workspace.model, ["one", "three"])


def test_files_of_unequal_length_are_rejected_before_translation(workspace: Workspace) -> None:
    workspace.write("two.de", REFERENCES[:2])
    with pytest.raises(DataError, match=r"two\.en .*3.*two\.de .*2"):
        evaluate_sets(workspace.model, [])
    assert workspace.translate.calls == 0
    assert not (workspace.folder / "run").exists()


def test_a_test_set_is_evaluated_by_one_process_at_a_time(workspace: Workspace) -> None:
    with lock(workspace.model.folder("one") / ".lock"), pytest.raises(RunInUseError):
        evaluate_sets(workspace.model, ["one"])
    assert workspace.translate.calls == 0


def test_files_are_scored_without_a_model(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    hypotheses = workspace.write("out.de", ["Ein Hund rennt.", "", "Zwei Kinder."])

    evaluate(hypothesis=hypotheses, reference=[workspace.folder / "one.de"])

    printed = capsys.readouterr().out.split("\n")
    assert printed[0].startswith("out.de  BLEU ")
    assert [line.split()[1] for line in printed[1:-1]] == ["chrF2++"]
    assert not (workspace.folder / "run").exists()


def test_files_are_scored_with_overrides(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    hypotheses = workspace.write("out.de", ["Ein Hund rennt.", "", "Zwei Kinder."])
    overrides = ["evaluation.metrics=[bleu]", "evaluation.bleu_tokenizer=char"]
    evaluate(hypothesis=hypotheses, reference=[workspace.folder / "one.de"], set_=overrides, json=True)
    [bleu] = json.loads(capsys.readouterr().out)
    assert (bleu["name"], bleu["tok"]) == ("BLEU", "char")


def test_files_are_scored_as_suits_their_target_language(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    hypothesis, reference = (
        workspace.write(name, [f"我们今天{place}。"]) for name, place in (("h", "回家"), ("r", "去公园"))
    )
    evaluate(hypothesis=hypothesis, reference=[reference], target_language="zh", json=True)
    bleu, _ = json.loads(capsys.readouterr().out)
    assert (bleu["tok"], bleu["score"] > 0) == ("zh", True)

    evaluate(hypothesis=hypothesis, reference=[reference])
    captured = capsys.readouterr()
    assert "BLEU 0.00" in captured.out
    assert "spaces" in captured.err


def test_one_sentence_has_no_interval(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(
        hypothesis=workspace.write("h", ["Ein Hund läuft."]), reference=[workspace.write("r", ["Ein Hund läuft."])]
    )
    assert "BLEU 100.00  (" in capsys.readouterr().out


def test_intervals_have_the_digits_of_their_scores_and_exact_match_appears_once(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    hypothesis = workspace.write("h", ["Ein Hund läuft."] * 300 + ["Ein Hund."])
    references = [workspace.write("r", ["Ein Hund läuft."] * 301)]
    evaluate(hypothesis=hypothesis, reference=references, set_=["evaluation.metrics=[chrf,exact_match]"])
    printed = capsys.readouterr().out
    assert re.search(r"chrF2 99\.\d\d ± 0\.\d\d  ", printed)
    assert printed.count("exact match") == 1


def test_several_references(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    references = [workspace.folder / "one.de", workspace.write("other.de", ["Ein Hund rennt.", "", "Zwei Kinder."])]
    hypotheses = workspace.write("out.de", ["Ein Hund rennt.", "", "Zwei Kinder."])
    evaluate(hypothesis=hypotheses, reference=references, json=True)
    assert {found["nrefs"] for found in json.loads(capsys.readouterr().out)} == {"2"}


def test_sanity_check_warnings_go_to_stderr(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    hypotheses = workspace.write("out.de", ["▁Ein ▁Hund", "", "Zwei Kinder."])
    evaluate(hypothesis=hypotheses, reference=[workspace.folder / "one.de"])
    assert "nmt: warning: " in capsys.readouterr().err


def test_empty_file_is_rejected(workspace: Workspace) -> None:
    with pytest.raises(DataError, match=r"empty\.de: "):
        evaluate(hypothesis=workspace.write("empty.de", []), reference=[workspace.write("none.de", [])])


def test_text_that_is_not_utf8_is_rejected_with_file_and_line(workspace: Workspace) -> None:
    (workspace.folder / "latin.de").write_bytes("eins\nläuft\ndrei\n".encode("latin1"))
    with pytest.raises(DataError, match=r"latin\.de.*2"):
        evaluate(hypothesis=workspace.folder / "latin.de", reference=[workspace.folder / "one.de"])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"hypothesis": Path("x")},
        {"reference": [Path("x")]},
        {"hypothesis": Path("x"), "reference": [Path("x")], "test": ["one"]},
        {"model": Path("run"), "hypothesis": Path("x")},
        {"model": Path("run"), "reference": [Path("x")]},
        {"model": Path("run"), "source": Path("x")},
    ],
)
def test_evaluate_rejects_incomplete_or_mixed_options(options: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match="MODEL"):
        evaluate(**options)


def write_run(workspace: Workspace) -> RunDirectory:
    """What evaluation needs to see of a finished run."""
    run = RunDirectory(workspace.folder / "run")
    for folder in (run.model, run.checkpoint(7)):
        folder.mkdir(parents=True)
    run.summary.write_text("{}")
    run.resolved.write_text(resolved_yaml(workspace.recipe))
    (run.model / "config.json").write_text("{}")
    (run.model / "manifest.json").write_text('{"averaged_updates": [9, 7], "files": {}}')
    (run.checkpoint(7) / "state.json").write_text("{}")
    (run.checkpoint(7) / "manifest.json").write_text('{"update": 7, "files": {}}')
    return run


def test_open_model_of_a_recipe_its_run_and_its_model(workspace: Workspace) -> None:
    run = write_run(workspace)
    recipe = workspace.folder / "recipe.yaml"
    recipe.write_text(resolved_yaml(workspace.recipe))
    models = [open_model(path, [], console) for path in (recipe, run.path, run.model)]
    assert {(each.model, each.weights, each.folder("one")) for each in models} == {
        (run.model, "average of updates 7, 9", run.evaluation("one"))
    }


def test_results_of_a_checkpoint_have_their_own_folder(workspace: Workspace) -> None:
    run = write_run(workspace)
    model = open_model(run.checkpoint(7), [], console)
    assert model.weights == "update 7"
    assert model.recipe.decoding.check  # as in nmt translate
    assert model.folder("one") == run.evaluation("one@step_7")


def test_open_model_applies_overrides(workspace: Workspace) -> None:
    run = write_run(workspace)
    model = open_model(run.path, ["decoding.beam_size=1"], console)
    assert model.recipe.decoding.model_dump()["beam_size"] == 1


def test_results_with_other_models_are_stale_only_if_the_model_of_the_run_has_changed(workspace: Workspace) -> None:
    run, ngrams, adapter = write_run(workspace), workspace.write("words.arpa", ["first"]), workspace.folder / "adapter"
    adapter.mkdir()
    for name in ("adapter.json", "manifest.json"):
        (adapter / name).write_text("{}")
    content = workspace.recipe.model_dump(mode="json", exclude_unset=True)
    content["model"] = {"architecture": "ctc", "preset": "tiny"}
    run.resolved.write_text(resolved_yaml(Recipe.model_validate(content)))
    search = [f"decoding={{strategy: ctc, beam_size: 4, ngram_model: {{path: {ngrams}}}}}"]

    def evaluated(model: Path) -> Path:
        opened = open_model(model, search, console, adapter=adapter)
        evaluate_sets(replace(opened, translate=workspace.translate), ["one"])
        return opened.folder("one")

    folders = [evaluated(model) for model in (run.path, run.checkpoint(7))]
    assert not any(map(evaluation_files.is_stale_evaluation, folders))
    shown = [fact.name for fact in _hashes(read_run(run.path))]
    assert {"adapter", "ngram model"} <= {name.rpartition(": ")[2] for name in shown}
    assert f"| ngram model | `{files.sha256(ngrams)}` |" in (folders[0] / "report.md").read_text()

    calls = workspace.translate.calls
    evaluated(run.path)
    assert workspace.translate.calls == calls
    workspace.write("words.arpa", ["second"])
    evaluated(run.path)
    assert workspace.translate.calls == calls + 1
    for model in (run.model, run.checkpoint(7)):
        (model / "manifest.json").write_text('{"update": 8, "files": {}}')
    assert all(map(evaluation_files.is_stale_evaluation, folders))


def test_open_model_rejects_a_model_outside_its_run(workspace: Workspace) -> None:
    folder = workspace.folder / "deployed"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="deployed"):
        open_model(folder, [], console)


def test_open_model_rejects_a_missing_model(workspace: Workspace) -> None:
    with pytest.raises(ModelError, match="nowhere"):
        open_model(workspace.folder / "nowhere", [], console)


def test_recipe_without_test_sets_is_rejected(workspace: Workspace) -> None:
    data = workspace.recipe.data.model_copy(update={"test": {}})
    model = replace(workspace.model, recipe=workspace.recipe.model_copy(update={"data": data}))
    with pytest.raises(RecipeError, match=r"data\.test"):
        evaluate_sets(model, [])


def test_scoring_files_needs_no_torch(workspace: Workspace) -> None:
    program = (
        "import sys; from pathlib import Path; from nmt_cli.cli.evaluate import evaluate;"
        "evaluate(hypothesis=Path('one.de'), reference=[Path('two.de')]); assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run(
        [sys.executable, "-c", program], cwd=workspace.folder, env=environment, check=True, capture_output=True
    )


def test_a_validation_set_is_evaluated_only_by_name(workspace: Workspace) -> None:
    content = workspace.recipe.model_dump(mode="json")
    content["data"]["valid"] = {"dev": content["data"]["valid"]["one"]}
    model = replace(workspace.model, recipe=Recipe.model_validate(content))
    assert list(evaluate_sets(model, ["dev"])) == ["dev"]
    assert (workspace.folder / "run/evaluation/dev/scores.json").is_file()
    assert list(evaluate_sets(model)) == ["one", "two"]


def test_validation_set_with_the_name_of_a_test_set_is_called_valid_name(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.write("one.de", ["Eine Katze.", "", "Drei."])
    content = workspace.recipe.model_dump(mode="json")
    content["data"]["valid"]["one"]["target"] = content["data"]["test"]["two"]["target"][0]
    model = replace(workspace.model, recipe=Recipe.model_validate(content))
    evaluate_sets(model, ["one"])
    assert "--test valid+one" in capsys.readouterr().err
    evaluate_sets(model, ["valid+one"])
    folder = workspace.folder / "run/evaluation"
    references = [
        json.loads((folder / name / "hypotheses.jsonl").read_bytes().split(b"\n")[0])["references"][0]
        for name in ("one", "valid+one")
    ]
    assert references == ["Eine Katze.", REFERENCES[0]]
    with pytest.raises(RecipeError, match=r"^--test other: .*one, two, valid\+one$"):
        evaluate_sets(model, ["other"])


def test_tags_create_slices_and_invalidate_scores(workspace: Workspace) -> None:
    tags = workspace.write("tags", ["news", "chat", "news"])
    content = workspace.recipe.model_dump(mode="json")
    content["data"]["test"]["one"]["tags"] = str(tags)
    model = replace(workspace.model, recipe=Recipe.model_validate(content))
    analysis = workspace.folder / "run/evaluation/one/analysis.json"

    evaluate_sets(model, ["one"])
    parts = [(part["name"], part["sentences"]) for part in json.loads(analysis.read_bytes())["slices"]]
    assert parts[-2:] == [("chat", 1), ("news", 2)]

    workspace.write("tags", ["chat", "chat", "chat"])
    evaluate_sets(model, ["one"])
    assert json.loads(analysis.read_bytes())["slices"][-1]["sentences"] == 3
    assert workspace.translate.calls == 1

    workspace.write("tags", ["chat"])
    with pytest.raises(DataError, match=r"one\.en .*3.*tags .*1"):
        evaluate_sets(model, ["one"])


def test_robustness_is_measured_once_and_stored(workspace: Workspace) -> None:
    first = evaluate_sets(workspace.model, ["one"], with_robustness=True)["one"]
    calls = workspace.translate.calls
    assert calls == 1 + 4

    again = evaluate_sets(workspace.model, ["one"], with_robustness=True)["one"]
    assert again == first
    document = json.loads(json.dumps(again.as_json()))
    assert [each["perturbation"] for each in document["robustness"]] == [
        "upper case",
        "title case",
        "typing mistakes",
        "no final punctuation",
    ]
    stored = json.loads((workspace.folder / "run/evaluation/one/robustness.json").read_bytes())
    assert document["robustness"] == stored["perturbations"]
    assert workspace.translate.calls == calls
    assert "one  upper case: BLEU" in format_scores("one", again.content, again.robustness or ())


def test_added_toxicity_is_counted_marked_and_stored(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    check = ToxicityCheck(["children", "dog*"], ["runs"])
    (result,) = evaluate_model(workspace.model, ["one"], False, console, check)
    folder = workspace.folder / "run/evaluation/one"
    stored = json.loads((folder / "toxicity.json").read_bytes())
    contents = {"toxic_words": b"children\ndog*\n", "source_toxic_words": b"runs\n"}
    lists = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}

    assert result.as_json()["toxicity"] == {
        "sentences": 3,
        "added": 1,
        "lines": [{"line": 3, "words": ["CHILDREN"]}],
        "lists": lists,
    }
    assert (stored["added"], stored["lists"]) == (1, lists)
    assert evaluation_files.read_added_toxicity(folder, result.content["provenance"]) == result.toxicity
    assert evaluation_files.read_added_toxicity(folder, {}) is None
    shown = format_scores("one", result.content, toxicity=result.toxicity)
    assert "one  added toxicity in 1 of 3 translations; line 3: CHILDREN" in shown
    fact = evaluation_sections._score_facts(evaluation_files.read_evaluation(folder))[-1]
    assert (fact.name, fact.value) == ("translations with added toxicity", "1")
    for name, digest in lists.items():
        assert f"{name} {digest[:8]}" in fact.note
    (folder / "toxicity.json").write_text(json.dumps(stored | {"lists": None}))
    fact = evaluation_sections._score_facts(evaluation_files.read_evaluation(folder))[-1]
    assert (fact.value, "lists" in fact.note) == ("unknown", True)


def test_hashes_of_lists_of_toxic_words_are_those_of_their_terms() -> None:
    assert ToxicityCheck(["a"]).list_hashes == {"toxic_words": hashlib.sha256(b"a\n").hexdigest()}
    assert ToxicityCheck(["a"], ["b"]).list_hashes != ToxicityCheck(["a"], ["c"]).list_hashes


@pytest.mark.parametrize("damage", ["damaged", "removed"])
def test_damaged_translations_are_made_again(workspace: Workspace, damage: str) -> None:
    evaluate_sets(workspace.model, ["one"])
    path, calls = workspace.folder / "run/evaluation/one/hypotheses.jsonl", workspace.translate.calls
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([b"{\n"] * (damage == "damaged") + lines[1:]))
    (result,) = evaluate_model(workspace.model, ["one"], False, console, ToxicityCheck(["children"]))
    assert result.toxicity is not None
    assert (result.toxicity.sentences, [each.line for each in result.toxicity.lines]) == (3, [3])
    assert path.read_bytes().splitlines(keepends=True) == lines
    assert workspace.translate.calls == calls + 1


def test_added_toxicity_of_files(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    words = workspace.write("words", ["kinder"])
    given = {
        "hypothesis": workspace.folder / "one.de",
        "reference": [workspace.folder / "one.de"],
        "toxic_words": words,
    }

    evaluate(**given, json=True)
    assert json.loads(capsys.readouterr().out)["toxicity"]["lines"] == [{"line": 3, "words": ["Kinder"]}]
    evaluate(**given, source_toxic_words=workspace.write("source", ["children"]), source=workspace.folder / "one.en")
    assert "added toxicity in 0 of 3" in capsys.readouterr().out
    with pytest.raises(RecipeError, match=r"^--source-toxic-words: requires --source"):
        evaluate(**given, source_toxic_words=words)
    with pytest.raises(RecipeError, match=r"^--source-toxic-words: has no effect without --toxic-words"):
        evaluate(**(given | {"toxic_words": None}), source_toxic_words=words)


def test_robustness_needs_a_model(workspace: Workspace) -> None:
    file = workspace.folder / "one.de"
    with pytest.raises(RecipeError, match="--robustness"):
        evaluate(hypothesis=file, reference=[file], robustness=True)


def test_training_words_create_slices_and_word_bands(workspace: Workspace) -> None:
    evaluate_sets(workspace.model, ["one"])
    analysis = json.loads((workspace.folder / "run/evaluation/one/analysis.json").read_bytes())
    assert {part["name"] for part in analysis["slices"] if part["kind"] == "rarest target word"} == {"1-9"}
    assert analysis["word_bands"][1]["expected"] > 0


def test_missing_training_text_is_reported_and_skipped(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    content = workspace.recipe.model_dump(mode="json")
    content["data"]["train"]["one"]["target"] = str(workspace.folder / "gone.de")
    evaluate_sets(replace(workspace.model, recipe=Recipe.model_validate(content)), ["one"])
    assert "gone.de: " in capsys.readouterr().err
    assert json.loads((workspace.folder / "run/evaluation/one/analysis.json").read_bytes())["word_bands"] == []


@pytest.mark.parametrize("name", ["analysis.json", "hypotheses.jsonl", "scores.json"])
def test_damaged_results_are_recomputed(workspace: Workspace, name: str) -> None:
    evaluate_sets(workspace.model, ["one"])
    path = workspace.folder / "run/evaluation/one" / name
    whole = path.read_bytes()
    path.unlink()
    (workspace.folder / "run/evaluation/one/scores.json").write_bytes(b'{"provenance": [')
    evaluate_sets(workspace.model, ["one"])
    assert path.read_bytes() == whole


def test_interrupted_evaluation_leaves_no_old_scores(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    evaluate_sets(workspace.model, ["one"])
    monkeypatch.setattr(evaluation_files, "render_evaluation", interrupt)
    with pytest.raises(KeyboardInterrupt):
        evaluate_sets(replace(workspace.model, sha256="other"), ["one"])
    assert not (workspace.folder / "run/evaluation/one/scores.json").exists()


def test_unicode_separators_carriage_returns_and_bom_do_not_change_scores(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["Ein\u2028Hund\rläuft.", "a\x85b\x0cc", "Zwei\u2029 Kinder."]
    plain, returns = workspace.write("plain.de", lines), workspace.write("crlf.de", [f"{line}\r" for line in lines])
    marked = workspace.folder / "bom.de"
    marked.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes())
    expected = [found.value for found in score(lines, [REFERENCES], Evaluation())]
    for path in (plain, returns, marked):
        evaluate(hypothesis=path, reference=[workspace.folder / "one.de"], json=True)
        assert [found["score"] for found in json.loads(capsys.readouterr().out)] == pytest.approx(expected, abs=1e-9)


def test_missing_metric_program_is_reported_before_translation(workspace: Workspace) -> None:
    evaluation = Evaluation.model_validate({"external": {"x": {"command": ["no-such-program", "{hypothesis}"]}}})
    recipe = workspace.recipe.model_copy(update={"evaluation": evaluation})
    with pytest.raises(RecipeError, match="no-such-program"):
        evaluate_sets(replace(workspace.model, recipe=recipe), ["one"])
    assert workspace.translate.calls == 0


@pytest.fixture
def run_with_command(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of someone else whose recipe has a program to run; it leaves a file `canary`."""
    monkeypatch.chdir(workspace.folder)
    (workspace.folder / "touch").write_text("#!/bin/sh\ntouch canary\nyes 1 | head -n 3\n")
    (workspace.folder / "touch").chmod(0o755)
    command = [str(workspace.folder / "touch"), "{hypothesis}"]
    recipe = Recipe.model_validate(
        workspace.recipe.model_dump() | {"evaluation": {"external": {"mine": {"command": command}}}}
    )
    run = RunDirectory(workspace.folder / "run")
    run.model.mkdir(parents=True)
    run.resolved.write_text(resolved_yaml(recipe))
    for path in (run.summary, run.model / "config.json"):
        path.write_text("{}")
    (run.model / "manifest.json").write_text('{"files": {}}')
    return run.path


@pytest.mark.parametrize("part", ["", "model"])
def test_program_in_a_run_is_not_run(run_with_command: Path, part: str) -> None:
    with pytest.raises(RecipeError, match=r"resolved\.yaml: evaluation\.external\.mine: .*touch"):
        open_model(run_with_command / part, ["evaluation.external.mine.timeout=5"], console)
    assert not Path("canary").exists()


@pytest.mark.parametrize("override", ["evaluation.external={}", None])
def test_program_in_a_run_is_run_only_if_allowed(
    run_with_command: Path, workspace: Workspace, override: str | None
) -> None:
    overrides = [override] if override else []
    model = open_model(run_with_command, overrides, console, allow_commands=override is None)
    evaluate_sets(replace(model, translate=workspace.translate), ["one"])
    assert Path("canary").exists() == (override is None)


def test_program_in_the_given_recipe_is_run(run_with_command: Path, workspace: Workspace) -> None:
    (workspace.folder / "recipe.yaml").write_bytes((run_with_command / "resolved.yaml").read_bytes())
    evaluate_sets(replace(open_model(Path("recipe.yaml"), [], console), translate=workspace.translate), ["one"])
    assert Path("canary").exists()


def test_program_in_a_compared_run_is_not_run(run_with_command: Path, workspace: Workspace) -> None:
    evaluate_sets(replace(workspace.model, sha256=files.sha256(run_with_command / "model/manifest.json")))
    (workspace.folder / "recipe.yaml").write_bytes((run_with_command / "resolved.yaml").read_bytes())
    for systems in (["one.de", "run"], ["run/evaluation/one", "one.de"]):
        paths = [Path(system) for system in systems]
        with pytest.raises(RecipeError, match=r"evaluation\.external\.mine: "):
            compare_systems(paths, CompareOptions(["one"], resamples=10), None, console)
        assert not Path("canary").exists()
    for model, allows_commands in ((Path("recipe.yaml"), False), (Path("run"), True)):
        options = CompareOptions(["one"], resamples=10, allow_commands=allows_commands)
        compare_systems([model, Path("one.de")], options, None, console)
        assert Path("canary").exists()
        Path("canary").unlink()


def test_comet_model_that_a_run_names_is_not_read() -> None:
    evaluation = Evaluation(comet=CometMetric(path=Path("evil.ckpt"), python=Path("evil")))
    for overrides in ([], ["evaluation.comet.path=mine.ckpt"], ["evaluation.external={}"]):
        with pytest.raises(
            RecipeError, match=r"evaluation\.comet: would run evil evil\.ckpt; .*evaluation\.comet=null"
        ):
            refuse_programs(evaluation, overrides, Path("run/resolved.yaml"))
    refuse_programs(evaluation, ["evaluation.comet={path: mine.ckpt}"], Path("run/resolved.yaml"))
    both = ["evaluation.comet.path=mine.ckpt", "evaluation.comet.python=mine"]
    refuse_programs(evaluation, both, Path("run/resolved.yaml"))
    of_user = Evaluation(comet=CometMetric(path=Path("mine.ckpt")))
    refuse_programs(of_user, ["evaluation.comet.path=mine.ckpt"], Path("run/resolved.yaml"))


def test_test_set_that_is_a_pipe_is_refused(workspace: Workspace) -> None:
    (workspace.folder / "one.en").unlink()
    os.mkfifo(workspace.folder / "one.en")
    with pytest.raises(DataError, match=r"one\.en: "):
        evaluate_sets(workspace.model, ["one"])
