"""A task that only the line before solves is learned, and every command knows the lines before."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toy_model import save_toy_model

from nmt_cli import files
from nmt_cli.cli.evaluate import evaluate
from nmt_cli.commands.attention import attention_maps
from nmt_cli.commands.loading import load_model
from nmt_cli.commands.preprocess import preprocess
from nmt_cli.commands.score import score
from nmt_cli.commands.train import train
from nmt_cli.commands.translate import translate
from nmt_cli.commands.translators import open_translator
from nmt_cli.data.preparation.preparing import PreprocessJob
from nmt_cli.decoding.constraints.glossary import GlossaryEntry
from nmt_cli.decoding.requests import TranslateOptions
from nmt_cli.errors import ModelError, RecipeError
from nmt_cli.processes import ShardSpec
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.runs.directory import CONFIG, RunDirectory

NAMES = {"dog": ("Hund", "er"), "cat": ("Katze", "sie"), "horse": ("Pferd", "es")}
VERBS = {"runs": "rennt", "eats": "isst", "sleeps": "schläft"}


def documents(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Sources and translations: a word, then sentences with a pronoun whose gender is that of the word before."""
    chance, sources, targets = random.Random(seed), list[str](), list[str]()
    for _ in range(count):
        name, pronoun = "", ""
        for _ in range(chance.randint(1, 5)):
            if not name or chance.random() < 0.3:
                name = chance.choice(list(NAMES))
                target, pronoun = NAMES[name]
                line = (name, target)
            else:
                verb = chance.choice(list(VERBS))
                line = (f"it {verb}", f"{pronoun} {VERBS[verb]}")
                name = ""  # what comes next must name again: the line before is all that is seen
            sources.append(line[0])
            targets.append(line[1])
        sources.append("")
        targets.append("")
    return sources, targets


RECIPE = """\
run: RUN
data:
  source_language: en
  target_language: de
  prepared: prepared-RUN
  train: {words: {source: train.en, target: train.de}}
  valid: {dev: {source: dev.en, target: dev.de}}
  test: {test: {source: test.en, target: test.de}}
  context: {sentences: 1, target: TARGET}
  filters: []
  max_length: 20
tokenizer: {algorithm: word, byte_fallback: false}
model: {architecture: transformer, preset: tiny, width: 32, feed_forward: 32, heads: 2, encoder_layers: 1,
  decoder_layers: 1, dropout: 0.0, attention_dropout: 0.0, activation_dropout: 0.0}
training:
  update_tokens: 600
  batch_tokens: 600
  label_smoothing: 0.0
  optimizer: {type: adamw, learning_rate: 0.01}
  schedule: {warmup: 20}
  limits: {updates: 200}
  validation: {every: 200, metric: chrf}
  checkpoints: {keep_best: 1}
  logging: {every: 20}
decoding: {beam_size: 2}
"""


@pytest.fixture(scope="module", params=[True, False], ids=["both sides", "source"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a trained run."""
    folder = tmp_path_factory.mktemp("context")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, count, seed in (("train", 300, 1), ("dev", 12, 2), ("test", 20, 3)):
            for side, lines in zip(("en", "de"), documents(count, seed), strict=True):
                Path(f"{name}.{side}").write_text("".join(f"{line}\n" for line in lines))
        Path("recipe.yaml").write_text(
            RECIPE.replace("RUN", "run").replace("TARGET", "true" if request.param else "false")
        )
        preprocess(load_recipe(Path("recipe.yaml")), PreprocessJob(), 1)
        train(Path("recipe.yaml"))
        yield folder


@pytest.mark.slow
def test_a_task_that_only_the_line_before_solves(
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(trained)
    assert files.read_json(RunDirectory(Path("run")).pointer("best"))["score"] == 100

    for processes, name in ((1, "out.one"), (2, "out.two")):
        translate(TranslateOptions((Path("run"),)), Path("test.en"), Path(name), processes=processes)
        assert Path(name).read_bytes() == Path("test.de").read_bytes()

    capsys.readouterr()
    evaluate(Path("recipe.yaml"), ["test"])
    assert "chrF2++ 100.00" in capsys.readouterr().out


@pytest.mark.slow
def test_the_score_of_a_pair_depends_on_the_one_before(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.chdir(trained)
    Path("s").write_text("dog\nit runs\n\ncat\nit runs\n")
    Path("t").write_text("Hund\ner rennt\n\nKatze\ner rennt\n")
    score(TranslateOptions((Path("run"),)), Path("s"), Path("t"))
    _, right, _, _, wrong = map(float, capfdbinary.readouterr().out.split())
    assert right > wrong + 3


def toy(folder: Path, **context: Any) -> Path:
    """A model of chance that joins lines."""
    save_toy_model(folder, ["sep"], check=False)
    config = json.loads((folder / CONFIG).read_text())
    files.write_json(folder / CONFIG, config | {"context": context or None})
    files.write_manifest(folder, {"format": 1})
    return folder


@pytest.mark.parametrize(
    ("target", "asked", "refused"),
    [
        (False, {"markup": True}, "--markup"),
        (False, {"protect": ("a",)}, "--protect"),
        (False, {"alignment": True, "word_scores": True}, None),
        (True, {"markup": True}, "--markup"),
        (True, {"alignment": True}, "--alignment"),
        (True, {"word_scores": True}, "--word-scores"),
        (True, {"glossary": (GlossaryEntry("one", ("two",)),)}, "--glossary"),
        (False, {"glossary": (GlossaryEntry("one", ("two",)),)}, None),
    ],
)
def test_what_does_not_go_with_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: bool, asked: dict[str, Any], refused: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    options = TranslateOptions((toy(tmp_path / "model", sentences=1, target=target),), **asked)
    if refused is None:
        open_translator(options)
        return
    with pytest.raises(RecipeError, match=f"^{refused}: "):
        open_translator(options)


def test_parts_of_a_file_are_refused(tmp_path: Path) -> None:
    options = TranslateOptions((toy(tmp_path / "model", sentences=1),))
    (tmp_path / "in").write_text("one\n")
    with pytest.raises(RecipeError, match=r"--shard: .*data\.context.*--nproc"):
        translate(options, tmp_path / "in", tmp_path / "out", shard=ShardSpec(1, 2))


def test_lines_before_matter_to_a_file_as_in_the_model(tmp_path: Path) -> None:
    options = TranslateOptions((toy(tmp_path / "model", sentences=2),))
    lines = ["one two", "three", "four five", "", "six", "one two"] * 9
    (tmp_path / "in").write_text("".join(f"{line}\n" for line in lines))
    translate(options, tmp_path / "in", tmp_path / "out", "tsv", processes=1)
    alone = replace(options, models=(toy(tmp_path / "other"),))
    translate(alone, tmp_path / "in", tmp_path / "out.alone", "tsv", processes=1)

    found, others = ((tmp_path / name).read_text().split("\n")[:-1] for name in ("out", "out.alone"))
    assert [line.split("\t")[0] for line in found] == lines
    same = [one == other for one, other in zip(found, others, strict=True)]
    assert same == [place == 0 or lines[place - 1] == "" or line == "" for place, line in enumerate(lines)]


def test_models_translate_together_only_in_one_context(tmp_path: Path) -> None:
    models = toy(tmp_path / "one", sentences=1), toy(tmp_path / "two", sentences=2)
    with pytest.raises(ModelError, match=r"two: .*data\.context.*one"):
        open_translator(TranslateOptions(models))


def test_no_pictures_of_lines_without_their_context(tmp_path: Path) -> None:
    lines = [(1, "one", "two")]
    assert attention_maps(load_model(toy(tmp_path / "alone")), lines)
    assert not attention_maps(load_model(toy(tmp_path / "joined", sentences=1)), lines)
