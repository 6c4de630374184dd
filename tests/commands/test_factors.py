"""A task that only factors solve is learned, and its model is told them in each way there is."""

import io
import json
import random
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from nmt_cli import files
from nmt_cli.cli.evaluate import evaluate
from nmt_cli.cli.report import report
from nmt_cli.commands.export import export
from nmt_cli.commands.preprocess import preprocess
from nmt_cli.commands.score import PairInputOptions, score
from nmt_cli.commands.train import train
from nmt_cli.commands.translate import translate
from nmt_cli.commands.translating.request_reader import InputOptions
from nmt_cli.data.preparation.preparing import PreprocessJob
from nmt_cli.decoding.requests import TranslateOptions
from nmt_cli.errors import DataError, ModelError, RecipeError
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.runs.directory import RunDirectory

pytestmark = pytest.mark.slow

RECIPE = """\
run: run
data:
  source_language: en
  target_language: de
  prepared: prepared
  train: {words: {source: train.en, target: train.de, factors: {pos: train.pos}}}
  valid: {dev: {format: jsonl, file: dev.jsonl, factors: {pos: tags.pos}}}
  test: {test: {source: test.en, target: test.de, factors: {pos: test.pos}}}
  factors: [pos]
  filters: []
  max_length: 2
tokenizer: {algorithm: word, byte_fallback: false}
model: {architecture: transformer, preset: tiny, width: 32, feed_forward: 32, heads: 2, encoder_layers: 1,
  decoder_layers: 1, dropout: 0.0, attention_dropout: 0.0, activation_dropout: 0.0}
training:
  update_tokens: 400
  batch_tokens: 400
  label_smoothing: 0.0
  optimizer: {type: adamw, learning_rate: 0.01}
  schedule: {warmup: 20}
  limits: {updates: 120}
  validation: {every: 120, metric: chrf}
  checkpoints: {keep_best: 1}
  logging: {every: 20}
decoding: {beam_size: 2}
"""
GERMAN = {
    ("run", "N"): "Lauf",
    ("run", "V"): "rennen",
    ("walk", "N"): "Gang",
    ("walk", "V"): "gehen",
    ("light", "N"): "Licht",
    ("light", "V"): "leuchten",
}
MEANINGS = list(GERMAN)
Line = list[tuple[str, str]]


def lines(count: int, seed: int) -> list[Line]:
    """Lines of one or two words, each noun or verb."""
    generator = random.Random(seed)
    return [generator.choices(MEANINGS, k=generator.randint(1, 2)) for _ in range(count)]


def texts(some: list[Line]) -> tuple[list[str], list[str], list[str]]:
    """Sources, translations and factors."""
    return (
        [" ".join(word for word, _ in line) for line in some],
        [" ".join(GERMAN[meaning] for meaning in line) for line in some],
        [" ".join(kind for _, kind in line) for line in some],
    )


def write(name: str, some: list[Line]) -> None:
    for side, content in zip(("en", "de", "pos"), texts(some), strict=True):
        Path(f"{name}.{side}").write_text("".join(f"{line}\n" for line in content))


def objects(some: list[Line]) -> str:
    records = [
        {"source": source, "target": target, "tags": {"pos": pos}}
        for source, target, pos in zip(*texts(some), strict=True)
    ]
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a trained run."""
    folder = tmp_path_factory.mktemp("factors")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write("train", 6 * [*map(list, product(MEANINGS)), *map(list, product(MEANINGS, MEANINGS))])
        Path("dev.jsonl").write_text(objects(lines(12, 500)))
        write("test", lines(20, 900))
        Path("recipe.yaml").write_text(RECIPE)
        preprocess(load_recipe(Path("recipe.yaml")), PreprocessJob(), 1)
        train(Path("recipe.yaml"))
        yield folder


@pytest.fixture(autouse=True)
def _there(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)


def translated(source: str, reading: InputOptions, *options: str) -> list[str]:
    Path("in").write_text(source)
    Path("out").unlink(missing_ok=True)
    translate(TranslateOptions((Path("run"),), options), Path("in"), Path("out"), input_options=reading)
    return Path("out").read_text().split("\n")[:-1]


BY_FILE = InputOptions(factors={"pos": Path("pos")})


def of_files(source: str, pos: str, *options: str) -> list[str]:
    Path("pos").write_text(pos)
    return translated(source, BY_FILE, *options)


def test_a_task_that_only_factors_solve_is_learned(trained: Path) -> None:
    sources, targets, factors = texts(lines(20, 900))
    assert of_files("\n".join(sources) + "\n", "\n".join(factors) + "\n") == targets


def test_objects_and_files_say_the_same() -> None:
    sources, targets, factors = texts(lines(20, 900))
    records = zip(sources, factors, strict=True)
    given = "".join(json.dumps({"source": one, "factors": {"pos": other}}) + "\n" for one, other in records)
    assert translated(given, InputOptions("jsonl")) == targets


def test_a_long_line_takes_its_factors_into_its_pieces() -> None:
    found = of_files("run walk  light run\trun\n\nwalk\n", "V N V N V\n\nV\n")
    assert [line.split() for line in found] == [["rennen", "Gang", "leuchten", "Lauf", "rennen"], [], ["gehen"]]


def test_validation_knows_them() -> None:
    assert files.read_json(RunDirectory(Path("run")).pointer("best"))["score"] == 100


def test_factors_change_the_score(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    options = TranslateOptions((Path("run"),))
    for name, content in (("s", "run walk\n" * 2), ("t", "rennen Gang\n" * 2), ("p", "V N\nN V\n")):
        Path(name).write_text(content)
    score(options, Path("s"), Path("t"), input_options=PairInputOptions(factors={"pos": Path("p")}))
    right, wrong = map(float, capfdbinary.readouterr().out.split())
    assert right > wrong + 5
    record = json.dumps({"source": "run walk", "target": "rennen Gang", "factors": {"pos": "V N"}})
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{record}\n".encode())))
    score(options, input_options=PairInputOptions("jsonl"))
    assert float(capfdbinary.readouterr().out) == pytest.approx(right, abs=1e-3)


def test_what_is_missing_is_asked_for() -> None:
    with pytest.raises(DataError, match=r"line 1: .* pos.*--factors pos=FILE"):
        translated("run\n", InputOptions())
    with pytest.raises(DataError, match=r"pos: .*1"):
        of_files("run\nrun\n", "N\n")
    with pytest.raises(DataError, match=r"line 2: .*1 .*pos .*2 "):
        of_files("run\nrun walk\n", "N\nN\n")
    with pytest.raises(DataError, match="line 1: factors: "):
        translated('{"source": "run", "factors": ["N"]}\n', InputOptions("jsonl"))
    with pytest.raises(DataError, match=r"line 1: .*factors"):
        translated('{"source": "run", "factors": {"pos": "N"}}\n', InputOptions("jsonl", factors=BY_FILE.factors))


def test_what_cannot_keep_them_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"^--markup: .* pos "):
        translate(
            TranslateOptions((Path("run"),), markup=True), Path("train.en"), tmp_path / "out", input_options=BY_FILE
        )
    with pytest.raises(ModelError, match=r"\bpos\b"):
        export(Path("run"), "ctranslate2", tmp_path / "exported")
    other = RECIPE.replace("factors: [pos]", "factors: []").replace(", factors: {pos: train.pos}", "")
    other = other.replace(", factors: {pos: tags.pos}", "").replace(", factors: {pos: test.pos}", "")
    (tmp_path / "recipe.yaml").write_text(other.replace("{algorithm: word, byte_fallback: false}", "{path: run}"))
    with pytest.raises(RecipeError, match=r"^tokenizer\.path: .* pos, .*data\.factors"):
        preprocess(load_recipe(tmp_path / "recipe.yaml"), PreprocessJob(), 1)


def test_a_test_set_is_evaluated_with_its_factors(capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(Path("recipe.yaml"), ["test"], robustness=True)
    assert "chrF2++ 100.00" in capsys.readouterr().out
    report(Path("run"), Path("report.html"))
    Path("test.pos").write_text(Path("test.pos").read_text().replace("N", "V"))
    evaluate(Path("recipe.yaml"), ["test", "dev"])
    printed = capsys.readouterr().out
    assert "test  chrF2++ 100.00" not in printed
    assert "dev  chrF2++ 100.00" in printed


def test_a_test_set_with_too_few_is_told_by_its_file() -> None:
    Path("short.pos").write_text("N\n" * 20)
    options = ["data.test.test.factors={pos: short.pos}"]
    with pytest.raises(DataError, match=r"short\.pos: line \d+: .*1 .*pos .*2 "):
        evaluate(Path("recipe.yaml"), ["test"], set_=options)
