"""`nmt distill`: the student's corpus and recipe, shards, training, measurement and exports."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from sacrebleu.metrics.chrf import CHRF
from synthesis_project import TEXT, contents, write_lines

from nmt_cli.commands.distill import DistillOptions, DistillResult, distill
from nmt_cli.commands.synthesis.best_candidates import best_by_chrf, given_pairs
from nmt_cli.commands.synthesis.recipes import student_recipe
from nmt_cli.commands.translators import open_translator
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.errors import DataError, RecipeError
from nmt_cli.processes import ShardSpec
from nmt_cli.recipe.corpora import LearnedLines
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.model import TransformerSettings
from nmt_cli.text.checks.checker import Checker


@pytest.fixture(autouse=True)
def teacher_direction(project: Path) -> None:
    """Turn the recipe: the model in `reverse` translates as it says."""
    text = project.read_text().replace("language: de", "language: x").replace("language: en", "language: de")
    text = text.replace("language: x", "language: en")
    for name in ("train", "dev", "test"):
        text = text.replace(f"source: {name}.de, target: {name}.en", f"source: {name}.en, target: {name}.de")
    project.write_text(text)


def run(output: str = "out", shard: str = "1/1", overrides: tuple[str, ...] = (), **changes: Any) -> DistillResult:
    options = {"output": Path(output), "teachers": (Path("reverse"),), "n_best": 4, "trains": False, **changes}
    found = distill(Path("recipe.yaml"), overrides, DistillOptions(**options), ShardSpec.parse(shard))
    assert found is not None
    return found


def written_pairs(output: str = "out") -> list[tuple[str, str]]:
    sides = [Path(output, name).read_text().removesuffix("\n").split("\n") for name in ("source.en", "target.de")]
    return list(zip(*sides, strict=True))


def test_best_of_the_beam_by_chrf_is_kept(project: Path) -> None:
    result = run(decoding=("check=false", "max_length=6"))

    options = TranslateOptions(
        (Path("reverse"),),
        ("decoding.beam_size=4", "decoding.n_best=4", "decoding.check=false", "decoding.max_length=6"),
    )
    translated, metric, check, expected = (
        open_translator(options).translate(map(Request, TEXT[:8])),
        CHRF(),
        Checker("en", "de"),
        [],
    )
    for line, reference in zip(translated, Path("train.de").read_text().split("\n"), strict=False):
        best = max(line.hypotheses, key=lambda each: metric.sentence_score(each.text, [reference]).score)
        if not check(line.source, best.text):
            expected.append((line.source, best.text))
    assert written_pairs() == expected
    assert 0 < result.pairs == len(expected)


def test_shards_of_pairs_and_text_equal_one_run(project: Path) -> None:
    text = {"text": (Path("mono"),), "decoding": ("max_length=6",)}
    run(**text)
    expected = contents("out")
    shutil.rmtree("out")

    for shard in ("2/2", "1/2"):
        assert run(shard=shard, **text).recipe is None
    run(**text)
    assert contents("out") == expected
    assert sorted(path.name for path in Path().glob("out*")) == ["out", "out.lock"]


def test_translations_of_any_program_replace_the_teacher(project: Path) -> None:
    references = Path("train.de").read_text().removesuffix("\n").split("\n")
    lines = [f"{i} ||| {text} ||| F0= -1" for i, each in enumerate(references) for text in ("six", each, "ten")]
    write_lines("nbest", lines)
    write_lines("plain", references)

    run("one", teachers=(), translations=Path("nbest"))
    run("two", teachers=(), translations=Path("plain"))

    assert written_pairs("one") == written_pairs("two") == list(zip(TEXT[:8], references, strict=True))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["eins"] * 7, "only 7"),
        (["eins"] * 9, "more than 8"),
        (["0 ||| a", "2 ||| b"], "source 0 come"),
        (["0 ||| a", "b"], "line 2"),
    ],
)
def test_translations_of_other_text_are_refused(project: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(given_pairs(load_recipe(project), write_lines("given", lines)))


def test_first_of_equally_similar_candidates_is_best() -> None:
    assert best_by_chrf(["x y", "one two", "one two"], "one two") == (1, 100.0)


@pytest.mark.parametrize("changes", [{"teachers": ()}, {"translations": Path("mono")}])
def test_teacher_and_translations_exclude_each_other(project: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match="either --teacher"):
        run(**changes)


@pytest.mark.parametrize("decoder", ["ssru", "softmax"])
@pytest.mark.parametrize("preset", ["student-tiny", "student-base"])
def test_students_have_the_sizes_of_their_preset(project: Path, preset: Any, decoder: Any) -> None:
    corpus = LearnedLines.model_validate({"source": "a", "target": "b"})
    model = student_recipe(load_recipe(project), corpus, preset, decoder).model

    assert (model.encoder_layers, model.decoder_layers, model.decoder_self_attention) == (6, 2, decoder)


def test_student_has_optimizer_and_schedule_of_its_own(project: Path) -> None:
    corpus = LearnedLines.model_validate({"source": "a", "target": "b"})
    settings = ("training.optimizer.learning_rate=0.123", "training.schedule={type: cosine}")
    student = student_recipe(load_recipe(project, settings), corpus, "student-tiny", "ssru")

    assert not student.gives("training.optimizer") and not student.gives("training.schedule")


def test_overrides_of_model_training_and_search_are_those_of_the_student(project: Path) -> None:
    changes = (
        "model.decoder_layers=1",
        "training.word_dropout={source: 0.1}",
        "decoding.beam_size=2",
        "decoding.check=false",
    )
    found = run(decoding=("max_length=6",), overrides=("run=renamed", *changes))

    assert found.recipe is not None
    student = load_recipe(found.recipe)
    assert (student.run.name, student.model.decoder_layers) == ("renamed-student", 1)
    assert student.training.word_dropout.source == 0.1 and student.decoding.beam_size == 2
    with pytest.raises(RecipeError, match=r"model\.decoder_layer"):
        run(overrides=("model.decoder_layer=1",))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("decoder", "formats"), [("ssru", ["bergamot", "marian"]), ("softmax", ["ctranslate2", "onnx"])]
)
def test_student_is_trained_measured_and_exported(
    project: Path, decoder: Any, formats: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"width": 32, "feed_forward": 32, "encoder_layers": 2, "decoder_layers": 2, "heads": 2}
    monkeypatch.setitem(TransformerSettings.sizes, "student-tiny", sizes)
    options = {"trains": True, "decoder": decoder, "decoding": ("max_length=6",), "text": (Path("mono"),)}
    first = run(**options)
    weights = Path("run-student/model/model.safetensors").read_bytes()
    again = run(**options)

    assert first.comparison is not None and again.comparison is not None
    names = ["teacher", "student", "student int8", "student int8 shortlist"]
    assert [each.name for each in first.comparison.systems] == names
    assert [each.scores for each in first.comparison.systems] == [each.scores for each in again.comparison.systems]
    assert sorted(path.name for path in first.exports) == [f"out.{name}" for name in formats]
    assert Path("run-student/model/shortlist.safetensors").is_file()
    assert Path("run-student/model/model.safetensors").read_bytes() == weights
