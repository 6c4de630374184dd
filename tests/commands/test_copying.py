"""A task that only copying of unknown words solves is learned, searched, scored and evaluated."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from nmt_cli.cli.evaluate import evaluate
from nmt_cli.cli.report import report
from nmt_cli.commands.preprocess import preprocess
from nmt_cli.commands.pretrained_tokenizer import pretrained_tokenizer
from nmt_cli.commands.score import PairInputOptions, score
from nmt_cli.commands.train import train
from nmt_cli.commands.translate import translate
from nmt_cli.commands.translating.request_reader import InputOptions
from nmt_cli.data.prepared import open_prepared
from nmt_cli.decoding.requests import TranslateOptions
from nmt_cli.errors import DataError, RecipeError
from nmt_cli.recipe.loading import load_recipe

RECIPE = """\
run: run
data:
  source_language: en
  target_language: de
  prepared: prepared
  train: {names: {source: train.en, target: train.de, alignment: train.links}}
  valid: {dev: {source: test.en, target: test.de}}
  test: {test: {source: test.en, target: test.de}}
  filters: []
tokenizer: {algorithm: word, byte_fallback: false, vocabulary_size: 11, joint: JOINT}
model: {architecture: rnn, output: {type: pointer_generator}, width: 32, embedding_width: 16, encoder_layers: 1,
  decoder_layers: 1, dropout: 0.0}
training:
  update_tokens: 300
  batch_tokens: 300
  label_smoothing: 0.0
  guided_alignment: {weight: 0.2}
  optimizer: {learning_rate: 0.01}
  schedule: {warmup: 20}
  limits: {updates: 160}
  validation: {every: 160, metric: chrf}
  checkpoints: {keep_best: 1}
  logging: {every: 40}
decoding: {beam_size: 2, split_sentences_above: null}
evaluation: {metrics: [exact_match]}
"""


def pairs(count: int, seed: int) -> list[tuple[str, str]]:
    """`first Abc Def Ghi` → `eins Abc`, with names that nothing else contains."""
    rng, found = random.Random(seed), []
    for _ in range(count):
        names = ["".join(rng.choices("abcdefghij", k=5)).capitalize() for _ in range(3)]
        word, number = rng.choice([("first", 0), ("second", 1), ("third", 2)])
        found.append((f"{word} {' '.join(names)}", f"{('eins', 'zwei', 'drei')[number]} {names[number]}"))
    return found


TEST = pairs(40, seed=2)
PLAIN = InputOptions()


def write(name: str, examples: list[tuple[str, str]]) -> None:
    for side, content in zip(("en", "de"), zip(*examples, strict=True), strict=True):
        Path(f"{name}.{side}").write_text("".join(f"{line}\n" for line in content))


@pytest.fixture(scope="module", params=["true", "false"], ids=["joint", "separate"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with prepared data of names."""
    folder = tmp_path_factory.mktemp("copying")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write("train", train_pairs := pairs(600, seed=1))
        links = (f"0-0 {source.split().index(target.split()[1])}-1" for source, target in train_pairs)
        Path("train.links").write_text("".join(f"{line}\n" for line in links))
        write("test", TEST)
        Path("recipe.yaml").write_text(RECIPE.replace("JOINT", request.param))
        preprocess(load_recipe(Path("recipe.yaml")))
        yield folder


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train(Path("recipe.yaml"))
    return folder / "run"


@pytest.fixture(autouse=True)
def _there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_prepared_pairs_keep_unknown_words_that_the_source_has(folder: Path) -> None:
    """Ids from V on are the words of each source that the target vocabulary lacks, in their order."""
    prepared = open_prepared(load_recipe(Path("recipe.yaml")))
    size, tokenizer = prepared.tokenizer.target_size, prepared.tokenizer
    found = prepared.valid["dev"].read_all()
    for index, (source, target) in enumerate(TEST):
        copies = found.source_columns["copy_ids"][found.sources.offsets[index] : found.sources.offsets[index + 1]]
        missing = dict.fromkeys(word for word in source.split() if f"▁{word}" not in tokenizer.target.entries)
        ids = {word: size + position for position, word in enumerate(missing)}
        known = {entry[1:]: i for i, entry in enumerate(tokenizer.target.entries)}
        assert copies.tolist() == [{**known, **ids}[word] for word in source.split()]
        targets = found.targets.values[found.targets.offsets[index] : found.targets.offsets[index + 1]]
        assert targets.tolist() == [{**known, **ids}[word] for word in target.split()]


def test_a_plain_model_cannot_use_pairs_prepared_for_copying(folder: Path) -> None:
    with pytest.raises(DataError, match=r"model\.output\.type pointer_generator, but the recipe says softmax"):
        open_prepared(load_recipe(Path("recipe.yaml"), ["model.output.type=softmax"]))


def translated(text: str, *options: str, reading: InputOptions = PLAIN, format: str = "text") -> list[str]:
    Path("in").write_text(text)
    Path("out").unlink(missing_ok=True)
    translate(TranslateOptions((Path("run"),), options), Path("in"), Path("out"), format, input_options=reading)
    return Path("out").read_text().split("\n")[:-1]


SOURCES = "".join(f"{source}\n" for source, _ in TEST)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        [],
        ["decoding.beam_size=1"],
        ["decoding.precision=int8"],
        ["decoding.strategy=sampling", "decoding.top_k=1"],
        ["decoding.strategy=mbr", "decoding.candidates_from=beam", "decoding.num_candidates=4"],
        ["decoding.no_repeat_ngram_size=2"],
        ["decoding.coverage_penalty=0.1"],
    ],
)
def test_words_never_seen_in_training_are_copied(options: list[str], trained: Path) -> None:
    found = translated(SOURCES, *options)
    assert sum(one == target for one, (_, target) in zip(found, TEST, strict=True)) >= 0.99 * len(TEST)


@pytest.mark.slow
def test_constraints_work_beside_copied_words(trained: Path) -> None:
    request = json.dumps({"source": TEST[0][0], "prefix": "drei", "forbidden": ["zwei"], "required": ["eins"]})
    (found,) = translated(f"{request}\n", reading=InputOptions("jsonl"))
    assert found.split()[0] == "drei"
    assert "eins" in found.split()


@pytest.mark.slow
def test_the_score_of_a_translation_is_that_of_its_search(
    trained: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    records = list(map(json.loads, translated(SOURCES, "decoding.check=false", format="jsonl")))
    Path("hypotheses").write_text("".join(f"{record['hypothesis']}\n" for record in records))
    score(TranslateOptions((Path("run"),)), Path("in"), Path("hypotheses"), input_options=PairInputOptions())
    found = list(map(float, capfdbinary.readouterr().out.split()))
    assert found == pytest.approx([record["log_probability"] for record in records], abs=2e-3)


@pytest.mark.slow
def test_ensemble_evaluation_and_report(trained: Path) -> None:
    Path("ensemble").unlink(missing_ok=True)
    translate(TranslateOptions((Path("run"), Path("run"))), Path("test.en"), Path("ensemble"))
    assert Path("ensemble").read_text() == Path("test.de").read_text()
    evaluate(Path("recipe.yaml"), ["test"])
    report(Path("run"), Path("report.html"))


def test_what_cannot_copy_unknown_words_is_refused(folder: Path) -> None:
    unaligned = ["data.train.names.alignment=null", "training.guided_alignment=null"]
    for option in ("data.context={}", "training.augmentation={typos: 0.1}"):
        with pytest.raises(RecipeError, match=r"pointer_generator and tokenizer\.byte_fallback: false"):
            load_recipe(Path("recipe.yaml"), [*unaligned, option])
        recipe = load_recipe(Path("recipe.yaml"), [*unaligned, option, "tokenizer.path=prepared/tokenizer"])
        with pytest.raises(RecipeError, match=r"pointer_generator and the vocabulary of prepared/tokenizer"):
            pretrained_tokenizer(recipe)
